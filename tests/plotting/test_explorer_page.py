"""The explorer's page for everybody: phone, dark, paper, no scripts, axe-core's rules, nothing fetched."""

import itertools

import explorer_page
import numpy as np
import pytest
from axe import findings
from explorer_page import FITS, INFERENCE, TRAIN, ask, text, visit

from t2jax.laws.budgets import Separate
from t2jax.laws.plan import plan
from t2jax.plotting.explorer import explorer_html
from t2jax.plotting.labels import human_count
from t2jax.plotting.markup import document

url, page = explorer_page.url, explorer_page.page


@pytest.mark.parametrize('width', [320, 375, 1000])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_nothing_is_wider_than_the_window(browser, url, width, scheme):
    visit(browser, f'{url}#explorer?price=v5e&select=verifier&answer=64&inference=1e16', scheme, width=width)
    wide = browser.execute_script('const e = document.documentElement; return [e.scrollWidth, e.clientWidth]')
    assert wide[0] <= wide[1] <= width
    dark = browser.execute_script(
        'return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((c) => c < 60)'
    )
    assert dark == (scheme == 'dark')
    outside = """
    return [...document.querySelectorAll('.charts text')].filter((node) => {
      const [mine, svg] = [node.getBoundingClientRect(), node.closest('.drawing').getBoundingClientRect()];
      return mine.left < svg.left - 1 || mine.right > svg.right + 1;
    }).map((node) => node.textContent)"""
    assert browser.execute_script(outside) == []


def test_on_paper_and_without_scripts_there_is_the_answer_for_the_studys_budgets(browser, url):
    visit(browser, url, media='print')
    for selector in ('form', 'output', '.charts', '.command', '.contents', '.skip'):
        assert not browser.find_element('css selector', selector).is_displayed(), selector
    paper = text(browser, '.static')
    browser.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', {'value': True})
    try:
        browser.get('about:blank')
        browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'media': ''})
        browser.get(url)
        assert browser.find_element('css selector', '.static').text.split() == paper.split()
        assert not browser.find_element('css selector', 'form').is_displayed()
        assert 'Scripts are off' in browser.find_element('css selector', '#explorer').text
    finally:
        browser.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', {'value': False})
    for budget in (1e18, 1e19, 1e20):
        for choice in plan(FITS, Separate(budget, INFERENCE))['choices'].values():
            assert f'{human_count(choice["params"])}\t{human_count(choice["tokens"])}' in paper.replace(' ', '\t')


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [320, 1000])
def test_axe_finds_nothing_serious(browser, url, scheme, width):
    visit(browser, url, scheme, width=width)
    ask(browser, price='v5e', answer='64', inference='1e16', select='verifier', tp='2')
    assert findings(browser) == []


def test_the_page_has_landmarks_links_to_its_parts_and_headings_in_order(page):
    assert page.execute_script(
        "return ['header', 'main', 'nav'].map((one) => document.querySelectorAll(one).length)"
    ) == [1, 1, 1]
    links = page.execute_script(
        "return [...document.querySelectorAll('nav a, .skip')].map((one) => one.getAttribute('href'))"
    )
    assert links == ['#answer', '#before', '#explorer', '#after']
    assert page.execute_script('return arguments[0].every((one) => document.querySelector(one))', links)
    levels = page.execute_script(
        "return [...document.querySelectorAll('h1, h2, h3')].map((one) => Number(one.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_page_fetches_nothing_and_equal_fits_give_equal_pages(url, page):
    html = explorer_html(FITS, TRAIN, INFERENCE)
    assert html == explorer_html(list(FITS), TRAIN, INFERENCE)
    assert not any(word in document('', [html]) for word in ('src="http', 'href="http', '@import', 'url('))
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_a_study_of_many_budgets_prints_a_few():
    budgets = np.geomspace(1e17, TRAIN, 30).tolist()
    static = explorer_html(FITS, TRAIN, INFERENCE, budgets).split('class="static"')[1].split('</table>')[0]
    heads = [part.split('</th>')[0] for part in static.split('rowspan="3">')[1:]]
    assert 5 <= len(heads) <= 8 and heads[-1] == '1e20' and heads == sorted(heads, key=float)


def test_a_budget_that_buys_nothing_says_so_in_the_static_answer():
    static = explorer_html(FITS, TRAIN, 1e3).split('class="static"')[1].split('</table>')[0]
    assert 'pays no sample of even the smallest model considered' in static


def test_no_fit_is_refused():
    with pytest.raises(ValueError, match='no fit to plan with'):
        explorer_html([], 1e20, 1e10)
