"""The plan as text: every number in it, within the terminal's width."""

import numpy as np
import pytest
from made_up import make_fit

from t2jax.laws.budgets import EndToEnd, Separate
from t2jax.laws.forms import LAWS
from t2jax.laws.plan import plan
from t2jax.laws.prices import MeasuredPrice, MoneyPrice, PaperPrice
from t2jax.laws.selection import Verifier
from t2jax.plotting.plan import WIDTH, _wrapped, plan_lines

LOSS = {'E': 2.0, 'A': 400.0, 'B': 400.0, 'alpha': 0.34, 'beta': 0.28}
THETAS = {'theta0': 2.0, 'theta1': 1.5, 'theta2': 0.8, 'theta3': 1.0, 'theta4': -0.2}
PARAMETERS = {'chinchilla': LOSS, 't2-nll': LOSS | {'G': 3.0, 'gamma': 0.3}, 't2-accuracy': LOSS | THETAS}


def fit_of(law, refits):
    rng = np.random.default_rng(0)
    parameters = {name: PARAMETERS[law][name] for name in LAWS[law].parameters}
    draw = lambda value: tuple(value * np.exp(0.03 * rng.normal(size=refits)))
    return make_fit(
        law,
        parameters,
        sizes=tuple(np.geomspace(5e6, 9e8, 16).tolist()),
        params_range=(5e6, 9e8),
        tokens_per_param_range=(1.0, 1e6),
        train_flops_range=(1e16, 1e20),
        k_range=(1.0, 1e3),
        replicates={name: draw(value) for name, value in parameters.items()} if refits else {},
    )


@pytest.fixture(scope='module')
def fits():
    return [fit_of(law, 50) for law in PARAMETERS]


def test_the_text_holds_every_choice_with_its_bands_and_alternatives(fits):
    found = plan(fits, Separate(1e21, 2e9))
    text = plan_lines(found)
    assert text.startswith('With 1e21 FLOPs to train and 2e9 FLOPs per served token; 6 N D to train, 2 N a sample')
    for row in ('N, parameters', 'D, training tokens', 'D/N', 'k, samples'):
        assert text.count(f'  {row} ') == 3
    assert text.count('Second best, of the sizes trained:') == 3 and text.count('To buy: ') == 3
    assert 'Approach 1 (NLL)' in text and 'Approach 2 (pass@k)' in text and '80 %' in text and '95 %' in text
    assert '  N, parameters                36.5M ' in text and '  k, samples                    27.4 ' in text
    assert 'To buy: 37M parameters, 4.5T tokens, 27 samples; NLL 4.299.' in text
    low, high = found['choices']['t2-nll']['bands']['params']['80']
    assert f'{low / 1e6:.3g}M to {high / 1e6:.3g}M' in text
    assert 'for which the budget pays no sample' in text  # Chinchilla's 1.6B parameters
    assert text.count('! training FLOPs 1e+21 is outside') == 3
    assert text.count("! Chinchilla's pick: model size ") == 2
    assert max(map(len, text.splitlines())) <= WIDTH == 88


def test_alternatives_are_judged_and_a_number_stays_with_its_percent(fits):
    text = plan_lines(plan(fits, Separate(1e19, 2e10)))
    assert "Chinchilla's pick, at the same budgets:" in text and 'worse by' in text and '% of refits' in text
    lines = _wrapped('x' * 81 + ' 618 % more', '  ')
    assert lines == ['  ' + 'x' * 81, '    618 % more']


def test_without_refits_there_are_no_bands(fits):
    text = plan_lines(plan([fit_of('t2-nll', 0)], Separate(1e19, 2e10)))
    assert '80 %' not in text and 'refits, so there are no bands' in text
    assert "Chinchilla's pick (this law for one sample), at the same budgets:" in text


def test_one_budget_other_prices_and_selections_are_named(fits):
    together = plan_lines(plan(fits, EndToEnd(1e21, 2e12), price=PaperPrice(10)))
    assert together.startswith('With 1e21 FLOPs for training and 2T questions together; ')
    price = MeasuredPrice((1e6, 1e8, 1e9), (5e4, 5e3, 5e2), (1e5, 1e4, 1e3), answer=100)
    seconds = plan_lines(plan(fits, Separate(1e9, 2.0), price=price))
    assert seconds.startswith('With 1B seconds to train and 2 seconds per question; measured speeds of 3 sizes')
    dollars = plan_lines(plan(fits, EndToEnd(1e6, 1e6), price=MoneyPrice(price, 1 / 3600)))
    assert dollars.startswith('With 1M dollars for training and 1M questions together; 0.0002778 dollars for each')
    check = plan_lines(plan(fits, Separate(1e20, 2e9), selection=Verifier(1.0, 0.05)))
    assert 'verifier accepting 1 of right and 0.05 of wrong' in check and '  success  ' in check
    assert check.count('\n! t2-nll does not say') == 1
    for text in (together, seconds, dollars, check):
        assert max(map(len, text.splitlines())) <= WIDTH


def test_a_single_pass_law_alone(fits):
    text = plan_lines(plan(fits[:1], Separate(2e20, 1e3)))
    assert '  k, samples                     < 1' in text and '  loss  ' in text
    assert 'for which the budget pays no sample; loss' in text
    assert 'to train; 6 N D' in plan_lines(plan(fits[:1], Separate(2e20)))
