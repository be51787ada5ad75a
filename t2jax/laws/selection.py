"""Selection: which of k samples is handed on, and how often it is right.

Coverage counts a question as solved if any sample is right (pass@k). A verifier or a majority vote has to find it. Each
selection maps p, the chance that one sample of a question is right, to the chance that the chosen one is; the mean over
questions needs their distribution, which of the laws t2-accuracy alone predicts: p ~ Beta(a, b) (T2 Approach 2).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from t2jax.laws.forms import T2_ACCURACY, Law, beta_of_loss, chinchilla_nll, pass_at_k_of_beta

Array = Any


class Selection(Protocol):
    """A way to choose among k samples."""

    @property
    def name(self) -> str:
        """A few words, for tables."""

    @property
    def more_is_better(self) -> bool:
        """Tell whether one more sample never lowers the chance, whatever p is."""

    def chance(self, p: Array, k: Array) -> np.ndarray:
        """Return the chance that the chosen of k >= 1 samples is right, each of them being right with chance p."""

    def mean(self, a: Array, b: Array, k: Array) -> np.ndarray:
        """Average `chance` over p ~ Beta(a, b)."""


@dataclass(frozen=True)
class Coverage:
    """Any right sample counts, as if by a perfect verifier: pass@k = 1 - (1 - p)^k."""

    name = 'coverage'
    more_is_better = True

    def chance(self, p: Array, k: Array) -> np.ndarray:
        return -np.expm1(k * _log_rest(p))

    def mean(self, a: Array, b: Array, k: Array) -> np.ndarray:
        return pass_at_k_of_beta(a, b, k, np)


@dataclass(frozen=True)
class Verifier:
    """A verifier accepts right samples with chance `true_positive`, wrong ones with chance `false_positive`.

    One of the accepted samples is chosen at random; of all samples, where none is accepted.
    """

    true_positive: float
    false_positive: float

    def __post_init__(self) -> None:
        for name in ('true_positive', 'false_positive'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} is {getattr(self, name):g}; a verifier accepts with a chance from 0 to 1')

    @property
    def name(self) -> str:
        return f'verifier accepting {self.true_positive:.3g} of right and {self.false_positive:.3g} of wrong samples'

    @property
    def more_is_better(self) -> bool:
        return self.true_positive >= self.false_positive

    def chance(self, p: Array, k: Array) -> np.ndarray:
        accepted = self.false_positive + p * (self.true_positive - self.false_positive)
        rest = _log_rest(accepted)
        some = -np.expm1(k * rest) / np.where(accepted > 0, accepted, 1)  # P(some accepted) / accepted
        return p * (self.true_positive * some + (1 - self.true_positive) * np.exp((k - 1) * rest))

    def mean(self, a: Array, b: Array, k: Array) -> np.ndarray:
        return mean_under_beta(self.chance, a, b, k)


@dataclass(frozen=True)
class MajorityVote:
    """The most frequent answer is chosen, all wrong samples agreeing on one wrong answer, ties broken evenly.

    This is the worst case: wrong answers that differ split their votes. The chance is exact at whole k; a fractional k
    draws one sample more for a share of the questions.
    """

    name = 'majority vote'
    more_is_better = False  # where p is below one half

    def chance(self, p: Array, k: Array) -> np.ndarray:
        from scipy.special import betainc  # here: most plans need no scipy, and it takes longer than they do

        # P(Binomial(2 m - 1, p) >= m) is the distribution function of Beta(m, m) at p; 2 m samples do no better
        return _between_whole(lambda m, p: betainc(m, m, p), k, p)

    def mean(self, a: Array, b: Array, k: Array) -> np.ndarray:
        return _between_whole(_chance_above, k, a, b)


COVERAGE = Coverage()


def predict(
    law: Law, parameters: Mapping[str, Array], selection: Selection, params: Array, tokens: Array, k: Array
) -> np.ndarray:
    """Predict a law's target at N, D and k under a selection; arguments and parameters broadcast.

    Raises ValueError for a law of k that predicts no distribution of p over questions, unless it is coverage.
    """
    with np.errstate(
        all='ignore'
    ):  # a law far outside its data may overflow: what is not finite loses every comparison
        if isinstance(selection, Coverage) or law.single_pass:
            return law.predict(parameters, params, tokens, k, np)
        check_selection(law, selection)
        a, b = beta_of_loss(parameters, chinchilla_nll(parameters, params, tokens, k, np), np)
        return selection.mean(a, b, k)


def check_selection(law: Law, selection: Selection) -> None:
    """Refuse a selection that a law cannot predict, in one sentence."""
    if not (isinstance(selection, Coverage) or law.single_pass or law is T2_ACCURACY):
        raise ValueError(
            f'{law.name} does not say how success is spread over questions, so it can plan with coverage alone; '
            f'fit {T2_ACCURACY.name} to plan with a {selection.name}'
        )


def _log_rest(p: Array) -> np.ndarray:
    """Compute log(1 - p), of the last float below 1 where p is 1."""
    return np.log1p(-np.minimum(p, 1 - 2.0**-53))


def _between_whole(value: Callable[..., np.ndarray], k: Array, *given: Array) -> np.ndarray:
    """Interpolate value(m, *given) between whole k, m being half of the smallest even number that is at least k."""
    k, *given = np.broadcast_arrays(k, *given)
    whole = np.floor(k)
    m, m_of_next = np.ceil(whole / 2), np.ceil((whole + 1) / 2)
    found = np.array(value(m, *given))
    between = (k > whole) & (m_of_next > m)
    if np.any(between):
        now, later = found[between], value(m_of_next[between], *(x[between] for x in given))
        found[between] = now + (k - whole)[between] * (later - now)
    return found


_STEP = 0.5  # of the trapezoid rule in logit p, at most, and in standard deviations: then its error is 1e-6
_AT_ONCE = 2000  # so that the arrays stay in the cache
_TAIL = 25.0  # e^-25 of a density is left out
_FAR = 17.0  # and what is within e^-17 of p = 0 or 1, where the integrand has vanished


def mean_under_beta(chance: Callable[..., np.ndarray], a: Array, b: Array, k: Array, *more: Array) -> np.ndarray:
    """Average chance(p, k, *more) over p ~ Beta(a, b): relative error below 1e-6.

    `chance` has to be 0 at p = 0, 1 at p = 1, and no steeper in logit p than k samples, or the density itself, make it.
    Written as mean p plus the mean of chance - p, which vanishes at both ends however slowly the density does.
    """
    arrays = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (a, b, k, *more)))
    columns, shape = [x.ravel() for x in arrays], arrays[0].shape
    means = []
    for part in np.array_split(np.arange(columns[0].size), 1 + columns[0].size // _AT_ONCE):
        a, b, k, *more = (column[part] for column in columns)
        logits, weights = _beta_nodes(a, b, k)
        p = 1 / (1 + np.exp(-logits))
        values = chance(p, k[:, None], *(x[:, None] for x in more))
        means.append(a / (a + b) + np.sum((values - p) * weights, -1))
    return np.concatenate(means).reshape(shape)


def _beta_nodes(a: np.ndarray, b: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes in logit p and weights, on a last axis of their own, of an average over p ~ Beta(a, b).

    The trapezoid rule converges exponentially there, the density being proportional to p^a (1 - p)^b.
    """
    # beyond this concentration p is a point to every digit kept, and the density's own digits would run out
    fewer = np.minimum(1, 1e8 * (1 / a + 1 / b))
    a, b = a * fewer, b * fewer
    middle, spread = np.log(a) - np.log(b), np.sqrt(1 / a + 1 / b)
    low = np.maximum(middle - 8 * spread - _TAIL / a, -np.log(np.maximum(np.maximum(k, b), 1)) - _FAR)
    high = np.minimum(middle + 8 * spread + _TAIL / b, np.log(np.maximum(a, 1)) + _FAR)
    steps = (high - low) / (_STEP * np.minimum(1, spread))
    count = 1 + int(np.ceil(np.max(steps, initial=1, where=np.isfinite(steps))))
    step = (high - low) / (count - 1)
    logits = low[..., None] + step[..., None] * np.arange(count)
    a, b = a[..., None], b[..., None]
    log_density = a * logits - (a + b) * np.logaddexp(0, logits)
    density = np.exp(log_density - log_density.max(-1, keepdims=True))
    # the same rule goes on beyond both ends, where the density is e^(a x) and e^(-b x): two geometric series
    with np.errstate(over='ignore'):
        beyond = density[..., 0] / np.expm1(a[..., 0] * step) + density[..., -1] / np.expm1(b[..., 0] * step)
    return logits, density / (density.sum(-1) + beyond)[..., None]


def _chance_above(m: Array, a: Array, b: Array) -> np.ndarray:
    """Compute P(Y < p), p ~ Beta(a, b) and Y ~ Beta(m, m): for m = 1 the mean p."""
    m, a, b = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (m, a, b)))
    found, many = np.array(a / (a + b)), m > 1
    if np.any(many):
        found[many] = _chance_above_many(m[many], a[many], b[many])
    return found


def _chance_above_many(m: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Average, over the narrower of p ~ Beta(a, b) and Y ~ Beta(m, m), the other's distribution function."""
    from scipy.special import betainc

    wide = 1 / a + 1 / b > 2 / m
    narrower, other = ([np.where(which, m, x) for x in (a, b)] for which in (wide, ~wide))
    mean = mean_under_beta(lambda p, _, a, b: betainc(a, b, p), *narrower, 1.0, *other)
    return np.where(wide, 1 - mean, mean)
