"""The search for the best N, D and k: a fitted law, or many refits of it at once, against a budget.

With separate budgets N alone is free: D = C / (6 N), k = C_inf / (2 N) at the paper's price (T2, "Inference
correction"). k is free too where it costs tokens, with one budget for both, and where more samples may do worse, as
with a majority vote. Needs numpy alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from t2jax.laws.budgets import ROUNDING, Budget, EndToEnd, largest_size, whole
from t2jax.laws.forms import Law
from t2jax.laws.prices import Price
from t2jax.laws.selection import Selection, predict

Array = Any

EXACT = 20  # rounds of `minimise` after which log N is good to 1e-9
_PER_SIZE = 10  # rounds after which the best share of samples at a given size is good to 1e-6
_NEAR = 4  # whole numbers of samples to try on either side of the best fractional one


class Choice(NamedTuple):
    """N, D and k, and the value predicted for them."""

    params: Array
    tokens: Array
    samples: Array
    value: Array


@dataclass(frozen=True)
class Problem:
    """What to choose by, from sizes e^`low` to e^`high`; `parameters` may be arrays [R, 1] of R refits of the law."""

    law: Law
    parameters: Mapping[str, Array]
    budget: Budget
    price: Price
    selection: Selection
    low: float
    high: float

    @property
    def sign(self) -> float:
        """1 where less of the value is better, -1 where more is."""
        return 1.0 if self.law.target == 'nll' else -1.0

    @property
    def chooses_samples(self) -> bool:
        """Tell whether k is to be chosen beside N: it costs tokens, or fewer samples than are paid may do better."""
        if self.law.single_pass:
            return False
        if isinstance(self.budget, EndToEnd):
            return True
        return self.budget.inference is not None and not self.selection.more_is_better

    def value(self, params: Array, tokens: Array, samples: Array) -> np.ndarray:
        """Predict the law's target, nan where there are no tokens to train on."""
        tokens = np.where(tokens > 0, tokens, np.nan)
        return predict(self.law, self.parameters, self.selection, params, tokens, samples)

    def spend(self, params: Array, trade: Array = -np.inf) -> Choice:
        """Spend the budget on a model of N = `params`, on as many samples as it pays.

        Where k is to be chosen, 1 / (1 + e^-`trade`) of what one sample leaves is spent on further samples.
        """
        most = self.budget.most_samples(self.price, params)
        if self.law.single_pass:
            most = np.ones_like(most)
        elif self.chooses_samples:
            most = 1 + (most - 1) / (1 + np.exp(-np.maximum(trade, -700.0)))
        return self.draw(params, np.maximum(most, 1.0))

    def most_tokens(self, params: Array) -> Array:
        """Return the training tokens beyond which more do harm by the law; inf where none do."""
        return np.inf if self.law.most_tokens is None else self.law.most_tokens(self.parameters, params)

    def draw(self, params: Array, samples: Array) -> Choice:
        """Spend the budget on so many samples of a model; value and tokens are nan where they are not paid.

        Tokens that would do harm are not bought.
        """
        paid = samples <= self.budget.most_samples(self.price, params) * (1 + ROUNDING)
        bought = np.minimum(self.budget.tokens(self.price, params, samples), self.most_tokens(params))
        tokens = np.where(paid, bought, np.nan)
        return Choice(params, tokens, samples, self.value(params, tokens, samples))

    def optimum(self, rounds: int = EXACT) -> Choice:
        """Find the best N, D and k, k a real number: arrays [R]."""
        refits = max(np.size(value) for value in self.parameters.values())
        box = [(self.low, self.high)]
        if self.chooses_samples:
            box.append(_trades(self.budget.most_samples(self.price, np.exp(self.low))))
        low, high = (np.tile([side[end] for side in box], (refits, 1)) for end in (0, 1))
        at = minimise(lambda x, *rest: self.sign * self.spend(np.exp(x), *rest).value, low, high, rounds)
        return _flat(self.spend(np.exp(at[:, :1]), *at.T[1:, :, None]))

    def optimum_at(self, samples: np.ndarray) -> Choice:
        """Find the best N and D for each of some numbers of samples, of a single fit; [] of those that are not paid."""
        low, high = np.exp(self.low), np.exp(self.high)
        most = largest_size(self.budget, self.price, samples, low, high)
        k, most = samples[most >= self.low, None], most[most >= self.low, None]
        cost = lambda log_params: self.sign * self.draw(np.exp(log_params), k).value
        return _flat(self.draw(np.exp(minimise(cost, np.full(k.shape, self.low), most, EXACT)), k))

    def at_sizes(self, params: np.ndarray) -> Choice:
        """Choose D and k, a real number, for each of some sizes, by a single fit."""
        if not self.chooses_samples:
            return _flat(self.spend(params))
        low, high = _trades(self.budget.most_samples(self.price, np.exp(self.low)))
        box = [np.full((len(params), 1), end) for end in (low, high)]
        trade = minimise(lambda z: self.sign * self.spend(params[:, None], z).value, *box, _PER_SIZE)
        return _flat(self.spend(params, trade[:, 0]))

    def best(self, choices: Choice) -> Choice:
        """Return the best of several choices, the first of equals."""
        loss = losses(self.sign * choices.value)
        i = np.argmax(loss <= loss.min() + 1e-12 * np.abs(loss.min()))
        return Choice(*(float(column[i]) for column in choices))

    def whole_near(self, choice: Choice) -> Choice:
        """Find the best choice of a whole number of samples, near a choice of a fractional one."""
        nearest = whole(choice.samples)
        return self.best(self.optimum_at(np.arange(max(1.0, nearest - _NEAR), nearest + _NEAR + 1)))

    def whole_at_sizes(self, params: np.ndarray) -> Choice:
        """Choose D and a whole k for each of some sizes, by a single fit."""
        k = whole(self.at_sizes(params).samples)
        fewer = _flat(self.draw(params, k))
        if not self.chooses_samples:  # one sample more is not paid
            return fewer
        more = _flat(self.draw(params, k + 1))
        better = losses(self.sign * more.value) < losses(self.sign * fewer.value)
        return Choice(*(np.where(better, new, old) for old, new in zip(fewer, more)))


def _flat(choice: Choice) -> Choice:
    """Repeat what is the same for all, and drop the axes in which nothing differs."""
    return Choice(*(np.broadcast_to(column, choice.value.shape).ravel() for column in choice))


def _trades(most_samples: float) -> tuple[float, float]:
    """Return the range of `trade`: from next to nothing for further samples to next to nothing for all else.

    Of equals `minimise` keeps the first, here the fewest samples.
    """
    return -12.0 - np.log(most_samples), 12.0


def losses(values: np.ndarray) -> np.ndarray:
    """Count nan as infinitely bad."""
    return np.where(np.isnan(values), np.inf, values)


def minimise(cost: Callable[..., np.ndarray], low: np.ndarray, high: np.ndarray, rounds: int) -> np.ndarray:
    """Find the minima of R functions of one or two numbers in boxes from `low` to `high`, [R, n]: returns them, [R, n].

    `cost` takes each number as an array [R, points] and returns one like it; nan counts as worst. Every round lays a
    grid over what is left of the box and keeps what lies around its best point, so that of several minima one at least
    a cell of the first grid wide is found.
    """
    refits, n = low.shape
    left, right = low, high
    for i in range(rounds):
        count = {1: 9, 2: 13}[n] if i else {1: 33, 2: 17}[n]
        axes = np.meshgrid(*[np.linspace(0, 1, count)] * n, indexing='ij')
        unit = np.stack([axis.ravel() for axis in axes], -1)
        at = left[:, None] + unit * (right - left)[:, None]
        best = at[np.arange(refits), np.argmin(losses(cost(*np.moveaxis(at, -1, 0))), 1)]
        # one number is bracketed by the neighbours of the best point; two may lie further along a slanted valley
        reach = (right - left) * n / (count - 1)
        left, right = np.maximum(low, best - reach), np.minimum(high, best + reach)
    return best
