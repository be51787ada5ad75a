"""The explorer's page in a browser: made-up fits, and how a test asks it and reads it."""

import numpy as np
import pytest
from made_up import make_fit

from t2jax.laws.forms import LAWS
from t2jax.plotting.explorer import explorer_html
from t2jax.plotting.markup import document, section

LOSS = {'E': 2.0, 'A': 400.0, 'B': 400.0, 'alpha': 0.34, 'beta': 0.28}
THETAS = {'theta0': 2.0, 'theta1': 1.5, 'theta2': 0.8, 'theta3': 1.0, 'theta4': -0.2}
PARAMETERS = {'t2-accuracy': LOSS | THETAS, 'chinchilla': LOSS, 't2-nll': LOSS | {'G': 3.0, 'gamma': 0.3}}
TRAIN, INFERENCE = 1e20, 2e10
PRICES = ('paper', 'transformer', 'v4', 'v5e', 'v5p', 'v6e')
SELECTIONS = ('coverage', 'verifier', 'majority')
PARTS = ('params', 'tokens', 'tokens_per_param', 'samples', 'value')
FIELDS = ('train', 'inference', 'total', 'questions', 'answer', 'prompt', 'batch', 'tp', 'fp')


def fit_of(law, refits=0):
    rng = np.random.default_rng(0)
    parameters = {name: PARAMETERS[law][name] for name in LAWS[law].parameters}
    draw = lambda value: tuple((value * np.exp(0.03 * rng.normal(size=refits))).tolist())
    return make_fit(
        law,
        parameters,
        sizes=tuple(np.geomspace(5e6, 9e8, 16).tolist()),
        params_range=(5e6, 9e8),
        tokens_per_param_range=(1.0, 1e6),
        train_flops_range=(1e16, 1e20),
        k_range=(1.0, 1e3),
        gradient_norm=float('nan'),
        warnings=('a warning with </script> & in it',),
        replicates={name: draw(value) for name, value in parameters.items()} if refits else {},
    )


FITS = [fit_of(law) for law in PARAMETERS]


def write_page(folder, fits, budgets=()):
    sections = [
        section('Before', '<p>Something else.</p>'),
        explorer_html(fits, TRAIN, INFERENCE, budgets),
        section('After', '<p>The end.</p>'),
    ]
    path = folder / 'index.html'
    path.write_text(document('A lead.', sections), encoding='utf-8')
    return path.as_uri()


@pytest.fixture(scope='module')
def url(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp('page'), FITS, (1e18, 1e19))


def visit(browser, url, scheme='light', media='', width=1000, height=900):
    size = {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': False}
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)
    features = [('prefers-color-scheme', scheme), ('prefers-reduced-motion', 'reduce')]
    features = [{'name': name, 'value': value} for name, value in features]
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'media': media, 'features': features})
    browser.get('about:blank')
    browser.get_log('browser')  # forgets what earlier pages said
    browser.get(url)
    settled(browser, 'all')
    return browser


@pytest.fixture
def page(browser, url):
    """The page, opened anew; it must have nothing to say in the console."""
    yield visit(browser, url)
    assert browser.get_log('browser') == []


WAIT = """
const [wanted, done, end] = [arguments[0], arguments[1], Date.now() + 30000];
const look = () => {
  const root = document.getElementById('explorer');
  const wrong = root.querySelector('.error:not(:empty)');
  if (root.dataset.ready === 'all' || root.dataset.ready === wanted || wrong) done(true);
  else if (Date.now() > end) done(false);
  else setTimeout(look, 20);
};
requestAnimationFrame(() => requestAnimationFrame(look));
"""
FILL = """
const form = document.querySelector('form');
for (const [name, value] of Object.entries(arguments[0])) {
  form.elements[name].value = value;
  const node = form.elements[name].length && form.elements[name][0].type === 'radio'
    ? [...form.elements[name]].find((one) => one.checked) : form.elements[name];
  node.dispatchEvent(new Event('input', { bubbles: true }));
}
"""


def settled(browser, wanted='answer'):
    """Wait until the page has answered, or has drawn 'all'."""
    assert browser.execute_async_script(WAIT, wanted)


def ask(browser, **fields):
    browser.execute_script(
        FILL, {name: value if isinstance(value, str) else repr(value) for name, value in fields.items()}
    )
    settled(browser)


def shown(browser):
    """Read the numbers of every law."""
    cards = browser.execute_script(
        "return [...document.querySelectorAll('[data-law]')].map((card) => ({...card.dataset}))"
    )
    names = {name: name.title().replace('_', '') for name in PARTS}
    names = {name: camel[0].lower() + camel[1:] for name, camel in names.items()}
    return {card['law']: {name: float(card[camel]) for name, camel in names.items()} for card in cards}


def errors(browser):
    return browser.execute_script(
        "return [...document.querySelectorAll('.error')].map((e) => e.textContent).filter(Boolean)"
    )


def text(browser, selector):
    return browser.execute_script('return document.querySelector(arguments[0]).innerText', selector)


def value_of(browser, name):
    return browser.execute_script('return document.querySelector(`[name=${arguments[0]}]`).value', name)


def assert_same(browser, found):
    got = shown(browser)
    assert set(got) == set(found['choices'])
    for law, choice in found['choices'].items():
        assert got[law] == pytest.approx({name: choice[name] for name in PARTS}, rel=1e-4)
