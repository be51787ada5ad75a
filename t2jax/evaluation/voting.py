"""How often the one answer chosen among k samples of a question is right, from n samples drawn: by vote or by score.

Both average over the k-subsets of the n samples, as the unbiased pass@k does. With scores in ascending order, the best
of a subset is the i-th (from 0) in a share C(i, k - 1) / C(n, k) of them.
"""

from collections.abc import Sequence

import numpy as np


def majority(answers: Sequence[str], right: Sequence[bool], k: int, draws: int = 200, seed: int = 0) -> float:
    """Compute the chance that the most frequent answer among a random k of the n samples of a question is right.

    '' is no answer and gets no votes; without any votes the choice is wrong. Ties are broken evenly, in expectation.
    Exact for k = 1 and k = n, else the mean of `draws` random subsets.

    Raises ValueError for k below 1 or above n, and for an answer that is right in one sample and wrong in another.
    """
    _check(len(answers), len(right), k)
    names, which = np.unique(np.asarray(answers, str), return_inverse=True)
    count_A, right_A = np.bincount(which), np.bincount(which, np.asarray(right, float))
    mixed = np.flatnonzero((right_A > 0) & (right_A < count_A))
    if len(mixed):
        raise ValueError(f'answer {str(names[mixed[0]])!r} is right in one sample and wrong in another; grade answers')
    if k == 1:
        return float(right_A[names != ''].sum() / len(answers))
    if k == len(answers):
        votes_DA = count_A[None]
    else:
        votes_DA = np.random.default_rng(seed).multivariate_hypergeometric(count_A, k, draws)
    votes_DA = votes_DA * (names != '')
    first_DA = (votes_DA == votes_DA.max(1, keepdims=True)) & (votes_DA > 0)
    right_D = (first_DA & (right_A > 0)).sum(1)
    return float(np.mean(right_D / np.maximum(first_DA.sum(1), 1)))


def best_of(scores: Sequence[float], right: Sequence[bool], k: int) -> float:
    """Compute the chance that the highest-scored of a random k of the n samples of a question is right.

    Exact; samples of equal score are chosen evenly. Scores that say which are right give the unbiased pass@k.

    Raises ValueError for k below 1 or above n, and for a score that is no number.
    """
    from scipy.special import gammaln

    n, score = len(scores), np.asarray(scores, float)
    _check(n, len(right), k)
    if np.isnan(score).any():
        raise ValueError(
            f'the score of sample {np.flatnonzero(np.isnan(score))[0]} is no number; use -inf for the worst'
        )
    _, tied = np.unique(score, return_inverse=True)
    right_of_tied = np.bincount(tied, np.asarray(right, float)) / np.bincount(tied)
    i = np.arange(k - 1, n)  # whoever is best of k has k - 1 below
    log_share = gammaln(i + 1) - gammaln(i - k + 2)  # of C(i, k - 1), but for what all have in common
    share = np.exp(log_share - log_share[-1])
    return min(1.0, float(share @ right_of_tied[np.sort(tied)[k - 1 :]] / share.sum()))  # not 1 and a bit


def _check(n: int, of_right: int, k: int) -> None:
    if n != of_right:
        raise ValueError(f'there are {n} samples, and {of_right} are marked right or wrong; mark each')
    if not 1 <= k <= n or k != int(k):
        raise ValueError(f'k = {k} cannot be drawn from {n} samples; use whole k from 1 to {n}')
