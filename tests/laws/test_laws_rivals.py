"""The rivals: closed forms of per-k and log-bilinear, and both come back when planted."""

import dataclasses
import math

import numpy as np
import pytest

from t2jax.laws.fit import fit_law
from t2jax.laws.forms import CHINCHILLA, LAWS, LOG_BILINEAR, PER_K, T2_NLL

STARTS = 50


def test_per_k_adds_its_three_terms(planted):
    p, k = planted['per-k'], 8.0
    floor = 0.3 / k**0.3
    by_size = 400 * k**0.05 / 2e4 ** (0.46 + 0.02 * math.log(k))
    by_data = 900 * k**0.06 / 3e6 ** (0.47 + 0.015 * math.log(k))
    assert PER_K.predict(p, 2e4, 3e6, k, np) == pytest.approx(floor + by_size + by_data, rel=1e-13)


def test_per_k_is_chinchillas_law_at_each_k(planted):
    """At k = 1 with its own parameters, at k = 30 with others: E / k^e, A / k^a, alpha + alpha_k log k, ..."""
    p, params, tokens = planted['per-k'], np.array([1e4, 1e8]), np.array([[1e6], [1e10]])
    at_1 = CHINCHILLA.predict(p, params, tokens, 1.0, np)
    np.testing.assert_allclose(PER_K.predict(p, params, tokens, 1.0, np), at_1, rtol=1e-13)
    moved = {'E': p['E'] / 30 ** p['e'], 'A': p['A'] / 30 ** p['a'], 'B': p['B'] / 30 ** p['b']}
    moved |= {name: p[name] + p[f'{name}_k'] * math.log(30) for name in ('alpha', 'beta')}
    at_30 = CHINCHILLA.predict(moved, params, tokens, 1.0, np)
    np.testing.assert_allclose(PER_K.predict(p, params, tokens, 30.0, np), at_30, rtol=1e-13)


def test_log_bilinear_is_linear_in_the_logs_and_their_product(planted):
    p, (params, tokens, k) = planted['log-bilinear'], np.meshgrid([1e4, 1e6], [1e7, 1e9], [1.0, 5.0, 90.0])
    passed = LOG_BILINEAR.predict(p, params, tokens, k, np)
    assert ((passed > 0) & (passed < 1)).all()
    log_c, log_k = np.log(6 * params * tokens), np.log(k)
    expected = p['c0'] + p['c1'] * log_c + p['c2'] * log_k + p['c3'] * log_c * log_k
    np.testing.assert_allclose(np.log(-np.log(passed)), expected, rtol=1e-12)


def test_log_bilinear_knows_only_the_product_of_size_and_data(planted):
    many, few = (LOG_BILINEAR.predict(planted['log-bilinear'], n, 1e12 / n, 4.0, np) for n in (1e4, 1e7))
    assert many == pytest.approx(few, rel=1e-12)


def test_no_rival_overflows_far_outside_the_data(planted):
    """A plan asks for 1e30 FLOPs and k = 1e9: a chance stays one, a loss stays finite."""
    for c1 in (-3.0, 3.0):
        passed = LOG_BILINEAR.predict(planted['log-bilinear'] | {'c1': c1}, 1e15, 1e15, 1e9, np)
        assert passed in (0.0, 1.0)
    assert np.isfinite(PER_K.predict(planted['per-k'], np.array([1.0, 1e15]), 1e15, 1e9, np)).all()


@pytest.mark.parametrize('objective', ['sse', 'log-huber'])
@pytest.mark.parametrize('law', ['per-k', 'log-bilinear'])
def test_a_planted_rival_comes_back(mini_rows, plant, planted, law, objective):
    rows = plant(mini_rows, 'per-k', 'log-bilinear')
    fit = fit_law(LAWS[law], rows, objective=objective, starts=STARTS)
    assert fit.parameters == pytest.approx(planted[law], rel=1e-6)
    assert fit.share_at_best > 0.3
    assert all('bracketed' in warning for warning in fit.warnings)


def test_a_rival_comes_back_at_the_papers_sizes(paper_rows, plant, planted):
    rows = plant(paper_rows, 'per-k', 'log-bilinear')
    for law in (PER_K, LOG_BILINEAR):
        fit = fit_law(law, rows, starts=STARTS)
        assert fit.parameters == pytest.approx(planted[law.name], rel=1e-6)


def test_chances_of_0_and_1_do_not_stop_log_bilinear(mini_rows, plant, planted):
    rows = plant(mini_rows, passed='log-bilinear')
    passed = np.where(rows.run == rows.run[0], 0.0, np.where(rows.run == rows.run[-1], 1.0, rows.pass_at_k))
    weight = np.where((passed == 0) | (passed == 1), 0.0, 1.0)
    for weighed in (weight, None):
        fit = fit_law(LOG_BILINEAR, dataclasses.replace(rows, pass_at_k=passed, weight=weighed), starts=STARTS)
        assert np.isfinite(list(fit.parameters.values())).all()
        if weighed is not None:
            assert fit.parameters == pytest.approx(planted['log-bilinear'], rel=1e-6)


def test_rivals_that_k_does_not_move_agree_with_the_plain_law(mini_rows, plant, planted):
    """Where more samples help all alike, per-k says so: no exponent of N or D depends on k."""
    rows = plant(mini_rows, 'chinchilla')
    fit = fit_law(PER_K, dataclasses.replace(rows, nll=rows.nll / rows.k**0.25), starts=STARTS)
    plain = planted['chinchilla']
    expected = plain | {'e': 0.25, 'a': 0.25, 'b': 0.25, 'alpha_k': 0.0, 'beta_k': 0.0}
    assert fit.parameters == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_t2_nll_is_no_special_case_of_per_k(mini_rows, plant):
    """Its term of k is added, per-k's multiply: neither law can imitate the other."""
    for planted_law, other in (('t2-nll', PER_K), ('per-k', T2_NLL)):
        fit = fit_law(other, plant(mini_rows, planted_law), starts=STARTS)
        assert fit.residuals['mean_relative'] > 1e-4
