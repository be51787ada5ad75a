"""Samples where they are needed: a question gets as many again while the interval of its pass@k is wide.

How many samples a question gets then depends on how many are right, which biases 1 - C(n - c, k) / C(n, k). Without
bias is the mean of that over the first draws alone, given where sampling ended (Rao and Blackwell; for k = 1 Girshick,
Mosteller and Savage 1946): with W(n, c) the number of sequences of right and wrong that the plan takes to (n, c),

    W(n_r, c) = sum over the c' that go on of W(n_(r-1), c') C(n_r - n_(r-1), c - c'),   W(first, c) = C(first, c).

The beta-binomial needs no correction: a question's likelihood is W(n, c) times the integral of p^c (1 - p)^(n - c), and
W knows no parameter.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from t2jax.laws import passk

_AT_ONCE = 4_000_000  # entries of a matrix


@dataclass(frozen=True)
class Plan:
    """`first` samples of every question, then as many again while the interval of its pass@k is wider than `band`.

    The interval is that of `level` by Jeffreys' prior, p ~ Beta(c + 1/2, n - c + 1/2), at `k` tries; it reaches to 0
    where no sample is right and to 1 where all are (Brown, Cai and DasGupta 2001), or for large k the prior alone would
    vouch for a question never solved. No question gets more than `most`. Without a band, or with `most` equal to
    `first`, every question gets `first`. The rule looks at a question's own n and c alone, so hosts need not talk, and
    sampling resumes by question.
    """

    first: int
    most: int
    k: float = 1
    band: float | None = None
    level: float = 0.9

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.most:
            raise ValueError(f'a plan has first {self.first} and most {self.most}; use 1 <= first <= most')
        if not self.k >= 1:
            raise ValueError(f'a plan has k {self.k}; its band is of pass@k for a k of at least 1')
        if self.band is not None and not 0 < self.band < 1:
            raise ValueError(f'a plan has band {self.band}; use a width between 0 and 1, or None for no band')
        if not 0 < self.level < 1:
            raise ValueError(f'a plan has level {self.level}; use one between 0 and 1')

    def sizes(self) -> tuple[int, ...]:
        """List the numbers of samples that a question may end with: first, twice as many, ..., most."""
        sizes = [self.first]
        while self.band is not None and sizes[-1] < self.most:
            sizes.append(min(2 * sizes[-1], self.most))
        return tuple(sizes)

    def next_size(self, n: int) -> int:
        """Return how many samples a question with n should have after the next round.

        Raises ValueError where there is no next round.
        """
        for size in self.sizes():
            if size > n:
                return size
        raise ValueError(f'a question has {n} samples; the plan ends with {self.sizes()[-1]}')

    def band_width(self, n_Q: np.ndarray | int, c_Q: np.ndarray) -> np.ndarray:
        """Compute the width of the interval of pass@k after c right of n samples; n and c broadcast."""
        from scipy.special import betaincinv

        n, c = np.asarray(n_Q, float), np.asarray(c_Q, float)
        low, high = (betaincinv(c + 0.5, n - c + 0.5, tail) for tail in (0.5 - self.level / 2, 0.5 + self.level / 2))
        low, high = np.where(c > 0, low, 0.0), np.where(c < n, high, 1.0)
        with np.errstate(divide='ignore'):
            log_most, log_least = self.k * np.log1p(-low), self.k * np.log1p(-high)  # of the chance that all fail
        return -np.exp(log_most) * np.expm1(log_least - log_most)

    def wants_more(self, n_Q: np.ndarray | int, c_Q: np.ndarray) -> np.ndarray:
        """Tell which questions need further samples after c right of n; n and c broadcast.

        A question in the midst of a round does: to stop there would be a look that the plan does not take.
        """
        n, c = np.broadcast_arrays(n_Q, c_Q)
        sizes = self.sizes()
        wide = False if self.band is None else self.band_width(n, c) > self.band
        return (n < sizes[-1]) & (wide | ~np.isin(n, sizes))


def unbiased_pass_at_k(plan: Plan, n_Q: np.ndarray | int, c_Q: np.ndarray, k: int) -> np.ndarray:
    """Estimate pass@k without bias from questions that ended with c right of n samples under a plan; 1 <= k <= first.

    Whether any of the first k samples is right has mean 1 - (1 - p)^k, since the plan always draws them. Its mean given
    the end (n, c) has the same mean, and is known without p: p^c (1 - p)^(n - c) is the chance of each of the W(n, c)
    sequences that end there, so all are equally likely. The estimate is that mean: 1 - (sequences to (n, c) that begin
    with k failures) / (sequences to (n, c)). It is computed as the mean, over the counts after the first round from
    which the plan gets to (n, c), of the estimate for a fixed n: there nothing cancels. With a fixed plan it is that.

    Raises ValueError for another k and for an (n, c) at which the plan does not end.
    """
    if not 1 <= k <= plan.first or k != int(k):
        raise ValueError(
            f'k = {k} cannot be estimated without bias where every question has only its first {plan.first} samples '
            f'for certain; use whole k from 1 to {plan.first}'
        )
    n, c = (np.asarray(x, int) for x in np.broadcast_arrays(n_Q, c_Q))
    estimate = np.full(n.shape, np.nan)
    possible = (c >= 0) & (c <= n)
    for size, value in _rounds(plan, n, c, int(k)):
        here = (n == size) & possible
        estimate[here] = value[c[here]]
    lost = np.flatnonzero(np.isnan(estimate))
    if len(lost):
        sizes = ', '.join(map(str, plan.sizes()))
        raise ValueError(
            f'a question has {c.flat[lost[0]]} of {n.flat[lost[0]]} samples right, where the plan of {sizes} samples '
            'does not end; give the plan by which it was sampled, and finished questions alone'
        )
    return estimate


def _rounds(plan: Plan, n_Q: np.ndarray, c_Q: np.ndarray, k: int) -> Iterator[tuple[int, np.ndarray]]:
    """Give the estimate at each size by c, [size + 1]: nan where the plan does not end or no question did."""
    before = None
    for size in plan.sizes():
        goes_on = plan.wants_more(size, np.arange(size + 1))
        if before is None:
            count = np.arange(size + 1)
            log_ways, value = _log_choose(size, count), passk.unbiased_pass_at_k(size, count, k)
        else:
            count = np.flatnonzero(goes_on | np.isin(np.arange(size + 1), c_Q[n_Q == size]))
            log_ways, value = _next_round(count, *before)
        ends = np.full(size + 1, np.nan)
        ends[count] = np.where(goes_on[count], np.nan, value)
        yield size, ends
        on = goes_on[count]
        if not on.any() or size >= n_Q.max(initial=0):
            return
        new = plan.next_size(size) - size
        before = count[on], log_ways[on], value[on], _log_choose(new, np.arange(new + 1))


def _next_round(
    count: np.ndarray, c: np.ndarray, log_ways: np.ndarray, value: np.ndarray, log_choose: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count the ways (logs) to each `count` from the c that go on, and average their values over those ways."""
    found = []
    for part in np.array_split(count, 1 + len(count) * len(c) // _AT_ONCE):
        right = part[:, None] - c  # of the new samples
        inside = (right >= 0) & (right < len(log_choose))
        log_each = np.where(inside, log_ways + log_choose[right * inside], -np.inf)
        top = np.maximum(log_each.max(1, initial=-np.inf), -1e300)  # -inf where there is no way
        each = np.exp(log_each - top[:, None])
        total = each.sum(1)
        with np.errstate(divide='ignore', invalid='ignore'):
            found.append((top + np.log(total), np.minimum(each @ value / total, 1)))  # not 1 and a bit
    return tuple(np.concatenate(columns) for columns in zip(*found))


def _log_choose(n: int, c: np.ndarray) -> np.ndarray:
    from scipy.special import gammaln

    return gammaln(n + 1) - gammaln(c + 1) - gammaln(n - c + 1)
