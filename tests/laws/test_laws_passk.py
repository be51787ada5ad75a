"""pass@k by all roads, against enumeration, exact fractions, planted questions and SciPy's beta-binomial."""

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from t2jax.laws.forms import pass_at_k_of_beta
from t2jax.laws.passk import fit_beta_binomial, pass_at_k, repeated_nll, unbiased_pass_at_k


@pytest.mark.parametrize(('n', 'c', 'k', 'value'), [(10, 3, 5, 0.916667), (200, 1, 100, 0.5), (10000, 1, 1000, 0.1)])
def test_unbiased_estimates_of_the_literature(n, c, k, value):
    assert unbiased_pass_at_k(n, np.array([c]), k)[0] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(('n', 'k'), [(5, 0), (5, 10), ([100, 5], 10)])
def test_more_tries_than_samples_are_refused(n, k):
    with pytest.raises(ValueError, match=f'k = {k} cannot be estimated from 5 samples without bias; use k from 1 to 5'):
        unbiased_pass_at_k(n, np.zeros(len(n) if isinstance(n, list) else 1), k)


@given(n=st.integers(1, 8), data=st.data())
def test_the_unbiased_estimate_is_the_share_of_subsets_with_a_success(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    hits = [any(i < c for i in subset) for subset in combinations(range(n), k)]
    assert unbiased_pass_at_k(n, np.array([c]), k)[0] == pytest.approx(np.mean(hits), abs=1e-12)


def test_questions_may_have_different_numbers_of_samples():
    n, c = np.array([10, 200, 10000, 7, 7]), np.array([3, 1, 1, 0, 7])
    np.testing.assert_allclose(unbiased_pass_at_k(n, c, 1), c / n, rtol=1e-12)
    np.testing.assert_array_equal(unbiased_pass_at_k(n, c, 5), [unbiased_pass_at_k(*one, 5) for one in zip(n, c)])
    assert unbiased_pass_at_k(n, c, 7)[3:].tolist() == [0, 1]


@pytest.mark.parametrize(('n', 'c', 'k'), [(4_000_000, 1, 1), (4_000_000, 3, 700), (4_000_000, 3_999_000, 3)])
def test_millions_of_samples_lose_no_digits(n, c, k):
    exact = 1 - Fraction(comb(n - c, k), comb(n, k))
    assert unbiased_pass_at_k(n, c, k) == pytest.approx(float(exact), rel=1e-12)


@given(st.floats(0, 40), st.integers(1, 1000))
def test_pass_at_k_is_a_probability_that_rises_with_k(nll, k):
    values = [pass_at_k(np.array([nll]), j)[0] for j in (k, k + 1)]
    assert 0 <= values[0] <= values[1] <= 1
    assert values[0] == pytest.approx(1 - (1 - np.exp(-nll)) ** k, rel=1e-6, abs=1e-12)


def test_tiny_and_certain_answers_lose_no_digits():
    nll = np.array([1e-12, 46.0, 500.0, 2000.0])
    np.testing.assert_allclose(pass_at_k(nll[:3], 100), [1, 100 * np.exp(-46), 100 * np.exp(-500)], rtol=1e-10)
    np.testing.assert_allclose(repeated_nll(nll, 1), nll, rtol=1e-9)
    np.testing.assert_allclose(repeated_nll(nll, 100)[1:], nll[1:] - np.log(100), rtol=1e-9)
    assert pass_at_k(np.array([0.0]), 1)[0] == 1


def counts(a, b, mass, questions=4000, seed=0):
    """Draw n, c of questions of which a share `mass` is impossible; n differs between them."""
    rng = np.random.default_rng(seed)
    p = rng.beta(a, b, questions) * (rng.random(questions) >= mass)
    n = rng.choice([64, 128, 1000], questions)
    return n, rng.binomial(n, p)


def log_likelihood(n, c, a, b, mass):
    """Compute it by SciPy, apart from what is tested."""
    return np.log((c == 0) * mass + (1 - mass) * stats.betabinom.pmf(c, n, a, b)).sum()


@pytest.mark.parametrize(('a', 'b', 'mass'), [(0.3, 5.0, 0.0), (0.05, 2.0, 0.0), (1.5, 60.0, 0.4), (3.0, 0.5, 0.1)])
def test_planted_questions_come_back(a, b, mass):
    n, c = counts(a, b, mass)
    fitted = fit_beta_binomial(n, c, with_mass=mass > 0)
    assert fitted == pytest.approx((a, b, mass), rel=0.1)
    for k in (1, 100, 1e4):
        chance, planted = ((1 - m) * pass_at_k_of_beta(x, y, k, np) for x, y, m in (fitted, (a, b, mass)))
        assert chance == pytest.approx(planted, rel=0.08)


@pytest.mark.parametrize('with_mass', [False, True])
def test_no_parameters_nearby_are_likelier(with_mass):
    n, c = counts(0.8, 30.0, 0.3, questions=100)
    best = fit_beta_binomial(n, c, with_mass)
    for i in range(2 + with_mass):
        for factor in (0.99, 1.01):
            moved = [value * factor if i == j else value for j, value in enumerate(best)]
            assert log_likelihood(n, c, *moved) < log_likelihood(n, c, *best)


@pytest.mark.parametrize('seed', range(5))
def test_a_mass_never_makes_the_fit_worse(seed):
    n, c = counts(0.2, 3.0, 0.0, questions=40, seed=seed)
    plain, massive = (log_likelihood(n, c, *fit_beta_binomial(n, c, with_mass)) for with_mass in (False, True))
    assert massive >= plain - 1e-3


def test_spread_is_found_where_few_questions_succeed():
    n, c = np.full(128, 128), np.array([2] + [0] * 127)
    a, b, _ = fit_beta_binomial(n, c)
    alike = 1e4, 1e4 / (c.sum() / n.sum()) - 1e4
    assert log_likelihood(n, c, a, b, 0.0) > log_likelihood(n, c, *alike, 0.0) + 1


@pytest.mark.parametrize('a', [0.05, 20.0])
def test_nearly_certain_questions_stay_finite(a):
    rng = np.random.default_rng(0)
    n = rng.choice([10_000, 50_000], 1000)
    fitted = fit_beta_binomial(n, rng.binomial(n, rng.beta(a, 0.01, 1000)))
    assert pass_at_k_of_beta(*fitted[:2], 1.0, np) == pytest.approx(a / (a + 0.01), rel=0.05)


@pytest.mark.parametrize('c', [[1, 0, 0, 0], [10, 10, 10, 10], [5, 5, 5, 5]])
def test_questions_all_alike_still_give_the_mean(c):
    """The best spread is none or endless: the fit stays within its bounds and its pass@1 is that of the counts."""
    a, b, _ = fit_beta_binomial(np.full(4, 10), np.array(c))
    assert pass_at_k_of_beta(a, b, 1.0, np) == pytest.approx(np.mean(c) / 10, rel=0.02)


def test_no_success_at_all_has_no_beta_binomial():
    with pytest.raises(ValueError, match='no sample of any question is right; a beta-binomial needs at least one'):
        fit_beta_binomial(np.full(3, 10), np.zeros(3))
