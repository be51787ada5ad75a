"""How far a mean pass@k from real samples may be off, for the noise of sampling alone (estimators: laws/passk.py)."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import stats

from t2jax.laws.passk import unbiased_pass_at_k


def sampled_intervals(n: int, c_Q: np.ndarray, ks: Sequence[int], level: float = 0.95) -> list[tuple[float, float]]:
    """Bound the questions' mean pass@k, at each k, from counts of successes: for the noise of sampling alone.

    The variance of each question's estimate is averaged over what its count says of p: p's distribution over
    questions is itself estimated from the counts. The bounds are those of a weighted Poisson sum (Fay and Feuer
    1997), so that no success at all still has an upper bound.
    """
    p, likelihood = _success_grid(n)
    seen = np.bincount(np.asarray(c_Q, int), minlength=n + 1)
    over_p = _posterior(likelihood, seen) @ seen / seen.sum() ** 2
    intervals = []
    for k in ks:
        estimate = unbiased_pass_at_k(n, np.arange(n + 1), k)
        variance = np.maximum(likelihood @ estimate**2 - (likelihood @ estimate) ** 2, 0) @ over_p
        value = estimate @ seen / seen.sum()
        if value <= 0.5:
            intervals.append(_poisson_bounds(value, variance, k / n / seen.sum(), level))
        else:  # the rare events are the failures
            low, high = _poisson_bounds(1 - value, variance, 1 / seen.sum(), level)
            intervals.append((max(0.0, 1 - high), 1 - low))
    return intervals


@lru_cache
def _success_grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values of p from 0 to 1, dense at both ends, and the probability of each count 0..n at each."""
    small = np.geomspace(1e-2 / n, 0.5, 60)
    p = np.concatenate([[0.0], small, 1 - small[-2::-1], [1.0]])
    return p, stats.binom.pmf(np.arange(n + 1), n, p[:, None])


def _posterior(likelihood: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return p's distribution [grid, n + 1] given each count, under the prior that makes the counts likeliest (EM)."""
    prior = np.full(len(likelihood), 1 / len(likelihood))
    for _ in range(200):
        joint = prior[:, None] * likelihood
        posterior = joint / np.maximum(joint.sum(0), 1e-300)
        prior = posterior @ seen / seen.sum()
    return posterior


def _poisson_bounds(value: float, variance: float, weight: float, level: float) -> tuple[float, float]:
    """Bound a weighted sum of rare events; `weight` is the most that one more event would add."""
    tail = (1 - level) / 2
    low = 0.0
    if value > 0 and variance > 0:
        low = variance / (2 * value) * stats.chi2.ppf(tail, 2 * value**2 / variance)
    above, spread = value + weight, variance + weight**2
    return float(low), float(min(1.0, spread / (2 * above) * stats.chi2.ppf(1 - tail, 2 * above**2 / spread)))
