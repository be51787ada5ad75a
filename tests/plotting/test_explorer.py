"""The explorer in a real browser: what it answers is what `plan` answers, asked by keyboard, by link or by hand."""

import itertools
import json
import shlex

import explorer_page
import numpy as np
import pytest
from explorer_page import (
    FIELDS,
    FITS,
    INFERENCE,
    PARAMETERS,
    PRICES,
    SELECTIONS,
    TRAIN,
    ask,
    assert_same,
    errors,
    fit_of,
    settled,
    shown,
    text,
    value_of,
    visit,
    write_page,
)

from t2jax.cli import main
from t2jax.laws.budgets import EndToEnd, Separate
from t2jax.laws.hardware import BandwidthPrice, TransformerPrice
from t2jax.laws.plan import plan
from t2jax.laws.prices import PaperPrice
from t2jax.laws.record import save_fit
from t2jax.laws.selection import COVERAGE, MajorityVote, Verifier
from t2jax.plotting.labels import human_count

url, page = explorer_page.url, explorer_page.page


def question(at, rng):
    """Draw the at-th question: the fields, and the same for `plan`."""
    kind, price, select = list(itertools.product(('separate', 'total'), PRICES, SELECTIONS))[(at * 7) % 36]
    fields = {
        'kind': kind,
        'price': price,
        'select': select,
        'prompt': 512,
        'answer': 1 if at % 2 else 100,
        'batch': 1024,
    }
    fields |= {'tp': round(rng.uniform(0.6, 1), 3), 'fp': round(rng.uniform(0, 0.3), 3)}
    fields['answer'] = max(fields['answer'], 1 if price == 'paper' else 2)
    a_sample = {'paper': fields['answer']}.get(price, 600) * (1 if price in ('paper', 'transformer') else 20)
    train, inference = 10 ** rng.uniform(17.5, 21), 10 ** rng.uniform(8, 11) * a_sample
    fields |= {'train': train, 'inference': inference, 'total': 2 * train, 'questions': train / inference}
    work = None if price == 'paper' else TransformerPrice(512, fields['answer'])
    prices = PaperPrice(fields['answer']) if price == 'paper' else work
    prices = BandwidthPrice(work, price, 1024) if price not in ('paper', 'transformer') else prices
    budget = Separate(train, inference) if kind == 'separate' else EndToEnd(2 * train, fields['questions'])
    selections = {'coverage': COVERAGE, 'verifier': Verifier(fields['tp'], fields['fp']), 'majority': MajorityVote()}
    return fields, budget, prices, selections[select]


@pytest.mark.slow
@pytest.mark.parametrize('tenth', range(5))
def test_what_it_answers_is_what_plan_answers(page, tenth):
    rng = np.random.default_rng(tenth)
    answered = 0
    for at in range(10 * tenth, 10 * tenth + 10):
        fields, budget, price, selection = question(at, rng)
        ask(page, **fields)
        try:
            found = plan(FITS, budget, price=price, selection=selection)
        except ValueError as error:
            assert errors(page) == [f'{str(error).rstrip(".")}.']
            continue
        assert errors(page) == [], fields
        assert_same(page, found)
        assert all(said in text(page, '.unable') for said in found['warnings'])
        answered += 1
    assert answered >= 7


def test_a_slider_moved_by_keyboard_changes_the_answer(page):
    from selenium.webdriver.common.keys import Keys

    before = shown(page)
    slider = page.find_element('name', 'train-slider')
    assert slider.get_attribute('aria-valuetext') == '1e20 FLOPs'
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    settled(page)
    assert value_of(page, 'train') == '1.3e20' and slider.get_attribute('aria-valuetext') == '1.3e20 FLOPs'
    assert_same(page, plan(FITS, Separate(1.3e20, INFERENCE)))
    assert shown(page)['t2-nll']['params'] != before['t2-nll']['params']
    whole = plan(FITS, Separate(1.3e20, INFERENCE))['choices']['t2-accuracy']['whole']
    bought = f'Train {human_count(whole["params"])} parameters on {human_count(whole["tokens"])} tokens'
    assert text(page, 'output').startswith(f'{bought} and draw {whole["samples"]} samples of each question.')


def test_the_whole_form_is_reached_by_tab_and_changed_by_keys(page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    page.execute_script('document.querySelector("[name=kind]").focus()')
    seen = []
    for _ in range(8):
        seen.append(page.execute_script('return document.activeElement.name'))
        ActionChains(page).send_keys(Keys.TAB).perform()
    assert seen == ['kind', 'train', 'train-slider', 'inference', 'inference-slider', 'price', 'answer', 'select']
    page.execute_script('document.querySelector("[name=kind]").focus()')
    ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    settled(page)
    assert_same(page, plan(FITS, EndToEnd(2e20, 5e9)))
    assert (
        not page.find_element('name', 'train').is_displayed() and page.find_element('name', 'questions').is_displayed()
    )


@pytest.mark.parametrize(
    ('typed', 'budget'), [('1e21', 1e21), ('2.5e20', 2.5e20), (' 2.5E+20 ', 2.5e20), ('300,000,000,000,000,000', 3e17)]
)
def test_a_budget_can_be_typed(page, typed, budget):
    from selenium.webdriver.common.keys import Keys

    field = page.find_element('name', 'train')
    field.send_keys(Keys.CONTROL + 'a')
    field.send_keys(typed)
    settled(page)
    assert errors(page) == [] and field.get_attribute('aria-invalid') == 'false'
    assert_same(page, plan(FITS, Separate(budget, INFERENCE)))
    assert float(page.find_element('name', 'train-slider').get_attribute('value')) == pytest.approx(
        np.log10(budget), abs=0.026
    )


@pytest.mark.parametrize(
    ('fields', 'wrong', 'words'),
    [
        ({'train': 'much'}, 'train', '‘much’ is not a budget'),
        ({'train': ''}, 'train', 'Nothing is not a budget'),
        ({'train': '2,5e20'}, 'train', '‘2,5e20’ is not a budget'),
        ({'train': '0'}, 'train', 'give a number above 0'),
        ({'inference': '-1'}, 'inference', 'give a number above 0'),
        ({'inference': '1e400'}, 'inference', 'give a number above 0'),
        ({'inference': '100'}, 'inference', 'pays no sample of even the smallest model considered'),
        ({'kind': 'total', 'questions': '1e30'}, 'total', 'pays no sample of even the smallest model considered'),
        ({'answer': '1.5'}, 'answer', 'give a whole number of at least 1'),
        ({'select': 'verifier', 'tp': '1.2'}, 'tp', 'give a number from 0 to 1'),
        ({'price': 'transformer', 'answer': '1'}, 'answer', 'give a whole number of at least 2'),
        ({'price': 'v5e', 'answer': '64', 'batch': '0'}, 'batch', 'give a whole number of at least 1'),
    ],
)
def test_a_bad_field_is_marked_says_one_sentence_and_keeps_the_last_answer(page, fields, wrong, words):
    before, sentence = shown(page), text(page, 'output')
    ask(page, **fields)
    (said,) = errors(page)
    assert words in said and said.endswith('.') and said.count('. ') == 0
    field = page.find_element('name', wrong)
    assert field.get_attribute('aria-invalid') == 'true'
    described = field.get_attribute('aria-describedby')
    assert page.find_element('id', described).text == said
    assert page.execute_script("return document.querySelectorAll('[aria-invalid=true]').length") == 1
    if 'price' not in fields:
        assert shown(page) == before and text(page, 'output') == sentence
    page.find_element('name', 'back').click()
    settled(page)
    assert errors(page) == [] and shown(page) == before


def test_every_price_and_selection_can_be_chosen_and_shows_its_fields(page):
    from selenium.webdriver.support.ui import Select

    def visible():
        return {name for name in FIELDS if page.find_element('name', name).is_displayed()}

    before = shown(page)['t2-accuracy']['samples']
    for price, more in (('v6e', {'prompt', 'batch'}), ('transformer', {'prompt'}), ('paper', set())):
        Select(page.find_element('name', 'price')).select_by_value(price)
        settled(page)
        assert errors(page) == [] and visible() == {'train', 'inference', 'answer'} | more
        # another price is another unit: the budget follows, so that about as many samples are paid as before
        assert 0.2 < shown(page)['t2-accuracy']['samples'] / before < 5
    for select, more in (('verifier', {'tp', 'fp'}), ('majority', set()), ('coverage', set())):
        Select(page.find_element('name', 'select')).select_by_value(select)
        settled(page)
        assert errors(page) == [] and visible() == {'train', 'inference', 'answer'} | more
    options = page.execute_script("return [...document.querySelectorAll('option')].map((one) => one.value)")
    assert options == [*PRICES, *SELECTIONS]


def test_an_answer_can_be_linked_and_the_way_back_is_short(page, url):
    ask(page, train='3e19', inference='4e11', answer='10', select='verifier', fp='0.1')
    found = plan(FITS, Separate(3e19, 4e11), price=PaperPrice(10), selection=Verifier(0.9, 0.1))
    assert_same(page, found)
    link = page.current_url
    visit(page, link)
    assert page.current_url == link and value_of(page, 'train') == '3e19'
    assert_same(page, found)
    page.find_element('name', 'back').click()
    settled(page)
    assert '?' not in page.current_url and value_of(page, 'inference') == '2e10'
    assert_same(page, plan(FITS, Separate(TRAIN, INFERENCE)))
    visit(page, f'{url}#explorer?price=gold&train=%3Cb%3E&kind=total')  # a link that somebody broke
    assert value_of(page, 'price') == 'paper' and value_of(page, 'train') == '<b>' and errors(page) == []


@pytest.mark.parametrize('select', ['coverage', 'verifier:0.9,0.05'])
def test_the_command_it_shows_gives_the_same_answer(page, tmp_path, capsys, select):
    for fit in FITS:
        save_fit(tmp_path / 'fits' / f'{fit.law}.json', fit)
    ask(page, price='v5e', answer='64', prompt='128', batch='32', inference='5e14', select=select.partition(':')[0])
    command = shlex.split(text(page, '.command code'))
    assert (
        command[:3] == ['t2jax', 'plan', 'WORKDIR']
        and command[-2:] == ['--select', select][: 2 * (':' in select)]
        or (select == 'coverage' and '--select' not in command)
    )
    main([*command[1:2], str(tmp_path), *command[3:], '--json'])
    assert_same(page, json.loads(capsys.readouterr().out))


def test_bands_follow_where_the_fits_have_refits(browser, tmp_path):
    fits = [fit_of(law, 120) for law in PARAMETERS]
    visit(browser, write_page(tmp_path, fits))
    assert_same(browser, plan(fits, Separate(TRAIN, INFERENCE)))
    said = text(browser, '[data-law=t2-nll] dl')
    low, high = plan(fits, Separate(TRAIN, INFERENCE))['choices']['t2-nll']['bands']['params']['80']
    assert f'80\u00a0%: {human_count(low)} to {human_count(high)}' in said
    assert browser.execute_script("return document.querySelectorAll('#sizes-chart .band').length") == 1
    assert browser.get_log('browser') == []


def test_chinchilla_alone_plans_for_one_sample_and_says_so(browser, tmp_path):
    visit(browser, write_page(tmp_path, [fit_of('chinchilla')]))
    assert 'the plan is for one sample' in text(browser, 'form')
    assert not browser.find_element('name', 'select').is_displayed()
    assert 'for one sample; the budget pays' in text(browser, 'output')
    assert_same(browser, plan([fit_of('chinchilla')], Separate(TRAIN, INFERENCE)))
    ask(browser, kind='total')
    assert_same(browser, plan([fit_of('chinchilla')], EndToEnd(2e20, 5e9)))
    assert browser.get_log('browser') == []


def test_the_charts_show_every_law_and_the_law_chosen(page):
    lines = "return [...document.querySelectorAll('#frontier-chart .name')].map((node) => node.textContent)"
    browser_waits(page, f'{lines}.length', 3)
    assert sorted(page.execute_script(lines)) == ['Approach 1 (NLL)', 'Approach 2 (pass@k)', 'Chinchilla']
    assert text(page, '#sizes-chart').count('pass@k, higher is better') == 1
    page.find_element('css selector', '.charts input[value=t2-nll]').click()
    assert text(page, '#sizes-chart').count('NLL (nats), lower is better') == 1
    best = plan(FITS, Separate(TRAIN, INFERENCE))['choices']['t2-nll']
    assert f'best {human_count(best["params"])}' in text(page, '#sizes-chart')
    assert f'Chinchilla {human_count(best["chinchilla"]["params"])}' in text(page, '#sizes-chart')


def browser_waits(browser, script, expected):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda one: one.execute_script(script) == expected)
