"""The interval of a sampled pass@k covers the questions' own mean, and has a bound where nothing was right."""

import numpy as np
import pytest

from t2jax.evaluation.passk import sampled_intervals


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
