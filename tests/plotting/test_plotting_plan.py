"""The plan as text, and what it is computed from."""

import numpy as np
import pytest

from t2jax.laws.plan import plan
from t2jax.laws.record import load_fit
from t2jax.plotting.plan import plan_lines
from t2jax.plotting.table import WIDTH


@pytest.fixture(scope='module')
def fits(study):
    return [load_fit(path) for path in sorted((study / 'fits').glob('*.json'))]


def test_choices_spend_both_budgets_and_chinchilla_is_judged_at_equal_ones(fits):
    found = plan(fits, 2e11, 1e6)['choices']
    for choice in found.values():
        assert 6 * choice['params'] * choice['tokens'] == pytest.approx(2e11)
        assert choice['samples'] == int(1e6 / 2 / choice['params'] + 1e-9)
    chinchilla = found['chinchilla']
    k = 1e6 / 2 / chinchilla['params']
    for fit in fits:
        if fit.law != 'chinchilla':
            value = fit.predict(chinchilla['params'], chinchilla['tokens'], k)
            assert chinchilla['at_equal_budgets'][fit.law] == pytest.approx(float(value))
            better = found[fit.law]['value'] <= value if fit.law == 't2-nll' else found[fit.law]['value'] >= value
            assert better


def test_the_text_holds_every_choice_and_fits_the_terminal(fits):
    text = plan_lines(plan(fits, 2e13, 1e6))
    assert 'With 2e13 FLOPs to train and 1e6 FLOPs per served token' in text
    assert text.count('at equal budgets') == 2 and 'Approach 1 (NLL)' in text and 'Approach 2 (pass@k)' in text
    assert '! ' in text and 'outside' in text  # 2e13 FLOPs are beyond the data
    assert max(map(len, text.splitlines())) <= WIDTH


def test_a_single_fit_plans_alone(fits):
    alone = plan([fit for fit in fits if fit.law == 'chinchilla'], 2e11, 1e3)
    assert alone['choices']['chinchilla']['samples'] == 0
    assert '< 1' in plan_lines(alone)
    with pytest.raises(ValueError, match='there is no fit to plan with'):
        plan([], 2e11, 1e6)


def test_a_law_far_outside_its_data_warns_nobody_of_overflow(fits):
    fit = next(fit for fit in fits if fit.law == 't2-accuracy')
    with np.errstate(all='raise', under='ignore'):
        assert np.isfinite(fit.predict(1e-2, 1e-2, np.array([1.0, 1e6]))).all()
