"""pass@k from likelihoods and from samples, and whether the two agree.

Likelihood: pass@k_i = 1 - (1 - p_i)^k, task NLL mean_i -log pass@k_i (T2 section 3). Samples: the unbiased
1 - C(n - c, k) / C(n, k) of Chen et al. (arXiv 2107.03374). Everything is kept in log space: p may be 1e-20.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import special, stats


def pass_at_k(nll_Q: np.ndarray, k: float) -> np.ndarray:
    """Compute 1 - (1 - exp(-nll))^k for each question; k is real and at least 1."""
    return -np.expm1(k * _log_fail(nll_Q))


def repeated_nll(nll_Q: np.ndarray, k: float) -> np.ndarray:
    """Compute -log(1 - (1 - exp(-nll))^k) for each question, in nats; at k = 1 it is nll itself."""
    tiny = nll_Q > 600  # exp(-nll) is no longer a normal number; pass@k is k p to all digits
    log_fail = k * _log_fail(np.minimum(nll_Q, 600))
    with np.errstate(divide='ignore'):
        nll = np.where(log_fail < -0.7, -np.log1p(-np.exp(log_fail)), -np.log(-np.expm1(log_fail)))
    return np.where(tiny, nll_Q - np.log(k), nll)


def _log_fail(nll_Q: np.ndarray) -> np.ndarray:
    """Compute log(1 - p); the first form is exact for small p, the second for p near 1."""
    with np.errstate(divide='ignore'):
        return np.where(nll_Q > 0.7, np.log1p(-np.exp(-nll_Q)), np.log(-np.expm1(-nll_Q)))


def unbiased_pass_at_k(n: int, c_Q: np.ndarray, k: int) -> np.ndarray:
    """Estimate pass@k from c correct of n samples, without bias; raises ValueError for k > n or k < 1."""
    if not 1 <= k <= n:
        raise ValueError(f'k = {k} cannot be estimated from {n} samples without bias; draw at least {k}')
    c = np.asarray(c_Q, float)
    log_fail = (
        special.gammaln(n - c + 1)
        + special.gammaln(n - k + 1)
        - special.gammaln(np.maximum(n - c - k, 0) + 1)
        - special.gammaln(n + 1)
    )
    return np.where(c == 0, 0.0, np.where(n - c < k, 1.0, -np.expm1(log_fail)))


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
