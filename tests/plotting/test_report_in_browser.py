"""The whole report in a real browser: quiet console, nothing serious by axe-core, phone, and the answer of `plan`."""

import json

import pytest
from axe import findings
from explorer_page import ask, shown, visit

from t2jax.cli import main
from t2jax.plotting.report import write_report

PARTS = ('params', 'tokens', 'samples', 'value')


@pytest.fixture(scope='module')
def workdir(make_study):
    workdir = make_study(refits=True, never_measured=('n9-lost',), provenance={'commit': 'c0ffee'})
    write_report(workdir)
    return workdir


@pytest.fixture(scope='module')
def url(workdir):
    return (workdir / 'report' / 'index.html').as_uri()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_the_console_is_quiet_and_axe_finds_nothing_serious(browser, url, scheme):
    visit(browser, url, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.get_log('browser') == []
    assert findings(browser) == []


def test_a_study_of_losses_is_as_quiet(browser, make_study):
    visit(browser, write_report(make_study(answers=False)).as_uri())
    assert browser.get_log('browser') == [] and findings(browser) == []
    assert list(shown(browser)) == ['chinchilla']


@pytest.mark.parametrize('width', [320, 1000])
def test_nothing_is_wider_than_the_window(browser, url, width):
    visit(browser, url, width=width)
    browser.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.execute_script('return document.documentElement.scrollWidth') <= width


def test_small_figures_are_not_blown_up(browser, url):
    visit(browser, url, width=1400)
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('figure img')].map((one) => [one.clientWidth, one.naturalWidth])"
    )
    assert len(sizes) > 6 and all(0 < shown <= natural * 96 / 144 + 1 for shown, natural in sizes)


def test_it_answers_as_the_command_does_of_the_same_workdir(browser, url, workdir, capsys):
    visit(browser, url)
    for train, inference in ((3.2e11, 1e6), (2e12, 3e6), (5e10, 2e5)):
        ask(browser, train=train, inference=inference)
        asked = ['--train-flops', str(train), '--inference-flops', str(inference), '--json']
        assert main(['plan', str(workdir), *asked]) == 0
        choices = json.loads(capsys.readouterr().out)['choices']
        mine = shown(browser)
        assert set(mine) == set(choices)
        for law, choice in choices.items():
            assert {p: mine[law][p] for p in PARTS} == pytest.approx({p: choice[p] for p in PARTS}, rel=1e-4)


def test_missing_runs_are_in_sight(browser, url):
    visit(browser, url)
    assert 'Not measured yet: 1 run (n9-lost).' in browser.find_element('tag name', 'main').text
