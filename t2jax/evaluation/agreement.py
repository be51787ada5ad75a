"""Whether likelihoods and samples of one checkpoint tell the same: c_i ~ Binomial(n_i, p_i), p_i = exp(-NLL_i).

So it has to be at temperature 1 with exact match, question by question. Where it is not, the sampler, the likelihood or
the grader is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from t2jax.evaluation.passk import sampled_intervals
from t2jax.laws.passk import pass_at_k, unbiased_pass_at_k

EVERY = 'all tasks'
FALSE_ALARM = 0.01  # the chance that any question at all is called surprising where none is


@dataclass(frozen=True)
class PassAtK:
    """Mean pass@k of a task's questions: by likelihood, and by samples with the interval of their noise."""

    task: str
    k: int
    likelihood: float
    sampled: float
    low: float
    high: float

    @property
    def agrees(self) -> bool:
        """Tell whether the likelihood's value is in the interval."""
        return self.low <= self.likelihood <= self.high


@dataclass(frozen=True)
class Total:
    """Right samples of a task: expected, seen, the difference in standard deviations, and its two-sided p-value."""

    task: str
    questions: int
    samples: int
    expected: float
    seen: int
    z: float
    p_value: float


@dataclass(frozen=True)
class Disagreement:
    """A question whose right samples are too many or too few to be chance."""

    task: str
    question: str
    samples: int
    expected: float
    seen: int
    p_value: float


@dataclass(frozen=True, eq=False)
class Agreement:
    """The report, by task and, of several, over all: see `agreement`."""

    level: float
    pass_at_k: tuple[PassAtK, ...]
    totals: tuple[Total, ...]
    p_value_Q: np.ndarray
    disagreements: tuple[Disagreement, ...]

    @property
    def agrees(self) -> bool:
        """Tell whether no question is surprising and no total is, at `level` for all totals together (Bonferroni)."""
        limit = (1 - self.level) / len(self.totals)
        return not self.disagreements and all(total.p_value >= limit for total in self.totals)


def agreement(
    task_Q: Sequence[str],
    question_Q: Sequence[str],
    nll_Q: np.ndarray,
    n_Q: np.ndarray,
    c_Q: np.ndarray,
    ks: Sequence[int],
    level: float = 0.95,
) -> Agreement:
    """Compare the NLL (nats) of each question's answer with c right of n samples drawn at temperature 1.

    A question's p-value is twice the smaller binomial tail; those below 0.01 / questions (Bonferroni) are listed as
    disagreements, the most surprising first. n must not depend on the samples seen: of an adaptive `Plan` give each
    question's first round alone.

    Raises ValueError for columns of unequal length, counts that cannot be, and k beyond the fewest samples.
    """
    nll, n, c = np.asarray(nll_Q, float), np.asarray(n_Q), np.asarray(c_Q)
    _check(task_Q, question_Q, nll, n, c)
    p, rest = np.exp(-nll), -np.expm1(-nll)
    p_value_Q = _two_sided(*_tails(n, c, p, rest))
    tasks = np.asarray(task_Q, str)
    groups = {name: tasks == name for name in dict.fromkeys(tasks.tolist())}
    if len(groups) > 1:
        groups[EVERY] = np.full(len(nll), True)
    passes, totals = [], []
    for name, mine in groups.items():
        totals.append(_total(name, n[mine], c[mine], p[mine], rest[mine]))
        for k, sampled in zip(ks, zip(*_sampled(n[mine], c[mine], ks, level))):
            passes.append(PassAtK(name, k, float(pass_at_k(nll[mine], k).mean()), *map(float, sampled)))
    surprising = [at for at in np.argsort(p_value_Q, kind='stable') if p_value_Q[at] < FALSE_ALARM / len(nll)]
    disagreements = tuple(
        Disagreement(str(tasks[q]), str(question_Q[q]), int(n[q]), float(n[q] * p[q]), int(c[q]), float(p_value_Q[q]))
        for q in surprising
    )
    return Agreement(level, tuple(passes), tuple(totals), p_value_Q, disagreements)


def _check(task_Q: Sequence[str], question_Q: Sequence[str], nll: np.ndarray, n: np.ndarray, c: np.ndarray) -> None:
    lengths = [len(column) for column in (task_Q, question_Q, nll, n, c)]
    if len(set(lengths)) > 1 or not lengths[0]:
        raise ValueError(
            f'task, question, nll, n and c have {", ".join(map(str, lengths))} values; give one of each per question'
        )
    wrong = np.flatnonzero(~((nll >= 0) & (c >= 0) & (c <= n) & (n >= 1)))
    if len(wrong):
        q = wrong[0]
        raise ValueError(
            f'task {str(task_Q[q])!r}, question {str(question_Q[q])!r} has an NLL of {nll[q]:g} and '
            f'{c[q]:g} of {n[q]:g} samples right; an NLL is at least 0, and right ones are at most as many as drawn'
        )


def _two_sided(at_least: np.ndarray, at_most: np.ndarray) -> np.ndarray:
    return np.minimum(1, 2 * np.minimum(at_least, at_most))


def _tails(n: np.ndarray, c: np.ndarray, p: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute P(X >= c) and P(X <= c) for X ~ Binomial(n, p); rest is 1 - p, which has lost its digits near p = 1."""
    from scipy.special import betainc

    at_least = np.where(c > 0, betainc(np.maximum(c, 1), n - c + 1, p), 1)
    at_most = np.where(c < n, betainc(np.maximum(n - c, 1), c + 1, rest), 1)
    return at_least, at_most


def _total(task: str, n: np.ndarray, c: np.ndarray, p: np.ndarray, rest: np.ndarray) -> Total:
    expected, spread, seen = float(n @ p), float(np.sqrt(n @ (p * rest))), int(c.sum())
    apart = seen - expected
    z = apart / spread if spread else 0.0 if apart == 0 else float(np.copysign(np.inf, apart))
    p_value = float(_two_sided(*_tails_of_sum(n, seen, p, rest)))
    return Total(task, len(n), int(n.sum()), expected, seen, z, p_value)


def _tails_of_sum(n: np.ndarray, seen: int, p: np.ndarray, rest: np.ndarray) -> tuple[float, float]:
    """Compute P(S >= seen) and P(S <= seen) for the sum S of independent Binomial(n, p), to 1e-13.

    The sum's characteristic function is inverted on a window beyond which lies less than e^-40 (Bernstein), from the
    frequencies w up to which it is not below e^-40: its absolute value is at most exp(-(w spread / pi)^2).
    """
    spread = np.sqrt(n @ (p * rest))
    reach = int(10 * spread) + 60
    first, width = int(n @ p) - reach, 2 * reach
    needed = int(min(reach, 20 / max(spread, 1e-9) * width / (2 * np.pi))) + 1
    turns = np.exp(2j * np.pi / width * np.arange(needed))
    transform = np.array([np.prod((rest + p * turn) ** n) for turn in turns]) * turns**-first
    chance = np.fft.irfft(transform.conj(), width)
    at = seen - first
    tails = chance[max(at, 0) :].sum(), chance[: max(at + 1, 0)].sum()
    return float(max(tails[0], 0.0)), float(max(tails[1], 0.0))


def _sampled(n: np.ndarray, c: np.ndarray, ks: Sequence[int], level: float) -> tuple[np.ndarray, ...]:
    """Estimate the mean pass@k from samples and bound it for their noise: value, low and high, each [K].

    Questions of equal n are bounded together, then distances from the estimates are added in squares (Zou and Donner
    2008).
    """
    value_K, below_K, above_K = np.zeros((3, len(ks)))
    for size in np.unique(n):
        mine = c[n == size]
        share = len(mine) / len(n)
        own_K = np.array([unbiased_pass_at_k(size, mine, k).mean() for k in ks])
        low_K, high_K = np.transpose(sampled_intervals(int(size), mine, ks, level))
        value_K += share * own_K
        below_K += (share * (own_K - low_K)) ** 2
        above_K += (share * (high_K - own_K)) ** 2
    return value_K, value_K - np.sqrt(below_K), value_K + np.sqrt(above_K)
