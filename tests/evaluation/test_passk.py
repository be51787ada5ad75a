"""pass@k by both roads, against enumeration, and the interval's coverage."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax.evaluation.passk import pass_at_k, repeated_nll, sampled_intervals, unbiased_pass_at_k


@pytest.mark.parametrize(('n', 'c', 'k', 'value'), [(10, 3, 5, 0.916667), (200, 1, 100, 0.5), (10000, 1, 1000, 0.1)])
def test_unbiased_estimates_of_the_literature(n, c, k, value):
    assert unbiased_pass_at_k(n, np.array([c]), k)[0] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize('k', [0, 6])
def test_more_tries_than_samples_are_refused(k):
    with pytest.raises(ValueError, match=f'k = {k} cannot be estimated from 5 samples'):
        unbiased_pass_at_k(5, np.array([0]), k)


@given(n=st.integers(1, 8), data=st.data())
def test_the_unbiased_estimate_is_the_share_of_subsets_with_a_success(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    hits = [any(i < c for i in subset) for subset in combinations(range(n), k)]
    assert unbiased_pass_at_k(n, np.array([c]), k)[0] == pytest.approx(np.mean(hits), abs=1e-12)


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


@pytest.mark.parametrize('spread', [(0.05, 0.5), (0.4, 0.6), (5, 0.3), (0.02, 8.0)])
def test_the_interval_covers_the_questions_own_mean(spread):
    """Fixed questions, fresh samples: the mean of the true pass@k lies inside at least nine times in ten."""
    rng = np.random.default_rng(0)
    p, ks, inside, trials = rng.beta(*spread, 256), (1, 8, 64), 0, 60
    truth = [np.mean(1 - (1 - p) ** k) for k in ks]
    for _ in range(trials):
        bounds = sampled_intervals(64, rng.binomial(64, p), ks)
        inside += sum(low <= value <= high for (low, high), value in zip(bounds, truth))
    assert inside / trials / len(ks) > 0.9


def test_no_success_and_no_failure_still_have_a_bound():
    (low, high), _ = sampled_intervals(64, np.zeros(100, int), (1, 64))
    assert low == 0 and 3.689 / 6400 < high < 4.5 / 6400  # the exact bound of a Poisson count of none is 3.689
    (low, high), _ = sampled_intervals(64, np.full(100, 64), (1, 64))
    assert high == 1 and 0.9 < low < 1
