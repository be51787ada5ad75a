"""Mean pass@k of questions with its band, and how far the noise of sampling alone may put it off.

The mean over questions of 1 - (1 - p)^k, p from likelihoods, from counts of right samples without bias, or from a
beta-binomial fitted to the counts (estimators: laws/passk.py). The bands of curves are central intervals of bootstrap
replicates of the questions: they say what other questions like these would give.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from scipy import stats

from t2jax.laws import sequential
from t2jax.laws.forms import pass_at_k_of_beta
from t2jax.laws.passk import Curve, fit_beta_binomial, pass_at_k, unbiased_pass_at_k
from t2jax.laws.sequential import Plan


def likelihood_curve(
    nll_Q: np.ndarray, ks: Sequence[float], level: float = 0.95, replicates: int = 1000, seed: int = 0
) -> Curve:
    """Average pass@k over questions from the NLL (nats) of their answers, at real k >= 1 (T2 section 3).

    Raises ValueError for a k below 1 and for an NLL below 0.
    """
    nll, k_K = np.asarray(nll_Q, float), _tries(ks, level)
    if not len(nll) or not np.all(nll >= 0):
        raise ValueError(f'the NLL of {len(nll)} answers has to be at least 0, in nats, and of at least one answer')
    values_QK = np.stack([pass_at_k(nll, k) for k in k_K], 1)
    return _mean_curve('likelihood', k_K, values_QK, np.ones(len(nll)), level, replicates, seed)


def sampled_curve(
    n_Q: np.ndarray | int,
    c_Q: np.ndarray,
    ks: Sequence[int],
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
    plan: Plan | None = None,
) -> Curve:
    """Average the unbiased pass@k of questions, c of n samples being right, at whole k up to the fewest samples.

    `plan` is the one they were sampled by, if n depended on what was seen; k then goes to its first round. A question
    is redrawn together with its samples, so that replicates differ by both, and the band carries the noise of sampling
    as well; where no sample is right it has no width (`sampled_intervals` then still has a bound).

    Raises ValueError for other k, and for counts that the plan cannot end with.
    """
    k_K, (n, c, times) = _tries(ks, level), _tabulate(n_Q, c_Q)
    if np.any(k_K != np.floor(k_K)):
        raise ValueError(f'k is {", ".join(f"{k:g}" for k in k_K)}; from samples without bias k has to be whole')
    if plan is None:
        values = [unbiased_pass_at_k(n, c, int(k)) for k in k_K]
    else:
        values = [sequential.unbiased_pass_at_k(plan, n, c, int(k)) for k in k_K]
    return _mean_curve('samples', k_K, np.stack(values, 1), times, level, replicates, seed)


def predicted_curve(
    n_Q: np.ndarray | int,
    c_Q: np.ndarray,
    ks: Sequence[float],
    with_mass: bool = False,
    level: float = 0.95,
    replicates: int = 200,
    seed: int = 0,
) -> Curve:
    """Predict the mean pass@k at any real k >= 1, beyond n too, by a beta-binomial fitted to c right of n samples.

    `with_mass` lets some questions be impossible. Each replicate is a new fit to questions redrawn; one without any
    right sample predicts 0. Raises ValueError where no sample of any question is right.
    """
    k_K, (n, c, times) = _tries(ks, level), _tabulate(n_Q, c_Q)

    def predict(times_U: np.ndarray) -> np.ndarray:
        a, b, mass = fit_beta_binomial(n, c, with_mass, times_U)
        return (1 - mass) * pass_at_k_of_beta(a, b, k_K, np)

    value = predict(times)
    drawn = [predict(again) if again @ c else np.zeros(len(k_K)) for again in _redrawn(times, replicates, seed)]
    return _curve('zero-inflated' if with_mass else 'beta-binomial', k_K, value, np.array(drawn), level)


def _tries(ks: Sequence[float], level: float) -> np.ndarray:
    k_K = np.asarray(ks, float)
    if not len(k_K) or not np.all((k_K >= 1) & (k_K < np.inf)):
        raise ValueError(f'k is {", ".join(f"{k:g}" for k in k_K) or "empty"}; list numbers of tries, each at least 1')
    if not 0 < level < 1:
        raise ValueError(f'the level of a band is {level:g}; use one between 0 and 1')
    return k_K


def _tabulate(n_Q: np.ndarray | int, c_Q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List the different (n, c) and how many questions have each."""
    n, c = np.broadcast_arrays(np.asarray(n_Q), np.asarray(c_Q))
    wrong = np.flatnonzero(~((c >= 0) & (c <= n) & (n >= 1)))
    if len(wrong) or not c.size:
        seen = f'question {wrong[0]} has {c[wrong[0]]:g} of {n[wrong[0]]:g} samples right' if c.size else 'no question'
        raise ValueError(f'{seen}; give for each question the samples drawn, 1 or more, and how many of them are right')
    (n, c), times = np.unique(np.stack([n, c]), axis=1, return_counts=True)
    return n, c, times


def _redrawn(times_U: np.ndarray, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """Draw as many questions with replacement, `replicates` times: how often each kind of question is drawn."""
    rng = np.random.default_rng(seed)
    total = int(times_U.sum())
    for _ in range(replicates):
        yield rng.multinomial(total, times_U / total)


def _mean_curve(
    kind: str,
    k_K: np.ndarray,
    values_UK: np.ndarray,
    times_U: np.ndarray,
    level: float,
    replicates: int,
    seed: int,
) -> Curve:
    drawn = [again @ values_UK for again in _redrawn(times_U, replicates, seed)]
    total = times_U.sum()
    return _curve(kind, k_K, times_U @ values_UK / total, np.array(drawn) / total, level)


def _curve(kind: str, k_K: np.ndarray, value_K: np.ndarray, drawn_RK: np.ndarray, level: float) -> Curve:
    low, high = np.quantile(drawn_RK, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return Curve(kind, k_K, value_K, low, high, level)


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
