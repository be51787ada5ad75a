"""pass@k of questions from their answers' likelihoods, from counts of right samples, or from a beta-binomial.

Likelihood: 1 - (1 - p_i)^k, in log space, for p may be 1e-20 (T2 section 3). Counts: the unbiased
1 - C(n - c, k) / C(n, k) of Chen et al. (arXiv 2107.03374), for k <= n. Beta-binomial: p_i ~ Beta(a, b), but for a
share of impossible questions, `mass`; then any k will do.
"""

from dataclasses import dataclass

import numpy as np

from t2jax.laws.forms import pass_at_k_of_beta


@dataclass(frozen=True, eq=False)
class Curve:
    """Mean pass@k of some questions at each k [K], and the band of `level` about it.

    `kind` is what it is computed from: 'likelihood', 'samples', 'beta-binomial' or 'zero-inflated', the last with a
    mass of impossible questions.
    """

    kind: str
    k: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float


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


def unbiased_pass_at_k(n_Q: np.ndarray | int, c_Q: np.ndarray, k: int) -> np.ndarray:
    """Estimate pass@k from c correct of n samples, without bias; n and c broadcast.

    Raises ValueError for k < 1 or k > n.
    """
    n, c = np.broadcast_arrays(np.asarray(n_Q, float), np.asarray(c_Q, float))
    fewest = int(n.min())
    if not 1 <= k <= fewest:
        raise ValueError(f'k = {k} cannot be estimated from {fewest} samples without bias; use k from 1 to {fewest}')
    few_wrong = n - c < k
    # C(n - c, k) / C(n, k) is B(c, n - c + 1) / B(c, n - c - k + 1), as in the law: there nothing cancels
    chance = pass_at_k_of_beta(c, np.where(few_wrong, 1.0, n - c - k + 1), float(k), np)
    return np.where(c == 0, 0.0, np.where(few_wrong, 1.0, chance))


def fit_beta_binomial(
    n_Q: np.ndarray, c_Q: np.ndarray, with_mass: bool = False, times_Q: np.ndarray | None = None
) -> tuple[float, float, float]:
    """Fit (a, b, mass) to c correct of n samples of each question, by maximum likelihood; `times_Q` repeats questions.

    A question is impossible with probability `mass` (0 unless `with_mass`), else its p is from Beta(a, b); its mean
    pass@k is (1 - mass) pass_at_k_of_beta(a, b, k). Raises ValueError where no sample is right: there is no best a.
    """
    from scipy.optimize import minimize

    table, row = np.unique(np.stack([n_Q, c_Q]).astype(float), axis=1, return_inverse=True)
    times = np.bincount(row.ravel(), times_Q)
    (n, c), times = table[:, times > 0], times[times > 0]
    if not np.any(c):
        raise ValueError('no sample of any question is right; a beta-binomial needs at least one')
    start = [np.log(np.average((c + 0.01) / (n - c + 0.01), weights=times)), np.log(0.5)]
    if with_mass:
        share = np.clip(times[c == 0].sum() / times.sum() / 2, 0.01, 0.5)
        start.append(np.log(share / (1 - share)))
    # One start: five more gained 0.05 in log-likelihood at most on 1,500 random tables. SLSQP, since L-BFGS-B has a
    # threaded LAPACK solve 2 x 2 systems, ten times slower on a busy machine.
    options = {'ftol': 1e-9, 'maxiter': 500}
    bounds = _BOUNDS[: len(start)]
    found = minimize(_surprise, start, (n, c, times), 'SLSQP', True, bounds=bounds, options=options).x
    odds, log_a = found[:2]
    mass = 1 / (1 + np.exp(-found[2])) if with_mass else 0.0
    return float(np.exp(log_a)), float(np.exp(log_a - odds)), float(mass)


_BOUNDS = ((-30.0, 10.0), (-8.0, 8.0), (-20.0, 20.0))  # of log(a / b), log a and log(mass / (1 - mass))


def _surprise(x: np.ndarray, n: np.ndarray, c: np.ndarray, times: np.ndarray) -> tuple[float, np.ndarray]:
    """Return minus the log-likelihood of counts seen so many `times`, and its gradient in x (see _BOUNDS)."""
    from scipy.special import betaln, digamma

    a, b = np.exp(x[1]), np.exp(x[1] - x[0])
    log_beta = betaln(a + c, b + n - c) - betaln(a, b)
    mass = 1 / (1 + np.exp(-x[2])) if len(x) > 2 else 0.0
    log_all = log_beta + np.log1p(-mass)
    if mass:
        log_all = np.where(c == 0, np.logaddexp(np.log(mass), log_all), log_all)
    possible = times * np.exp(log_beta + np.log1p(-mass) - log_all)  # how many of the questions seem possible
    common = digamma(a + b) - digamma(a + b + n)
    by_a = a * possible @ (digamma(a + c) - digamma(a) + common)
    by_b = b * possible @ (digamma(b + n - c) - digamma(b) + common)
    gradient = [-by_b, by_a + by_b, np.sum(times - possible) - mass * times.sum()]
    return -float(times @ log_all), -np.array(gradient[: len(x)])
