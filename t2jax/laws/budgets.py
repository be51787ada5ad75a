"""Budgets: what may be spent, and how many tokens and samples it pays for a model of a given size.

Either training and serving have budgets of their own (T2), or one pays for both: training once and k samples of each of
Q questions over the model's life, 6 N D + Q 2 N k T at the paper's price (Sardana et al., arXiv 2401.00448, at k = 1).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from t2jax.laws.prices import Price, samples_cost, samples_paid

Array = Any
ROUNDING = 1e-9  # a budget that pays this share less than a whole sample pays it


@dataclass(frozen=True)
class Separate:
    """A budget for training, in the price's `train_unit`, and one for each question or served token, in its `unit`.

    Without the second a single sample is drawn, whatever it costs.
    """

    train: float
    inference: float | None = None

    def check(self, price: Price) -> None:
        """Refuse what is not a budget, in one sentence."""
        _check_above_0(**{f'train_{price.train_unit.lower()}': self.train})
        if self.inference is not None:
            _check_above_0(**{f'inference_{price.unit.lower()}': self.inference})

    def most_samples(self, price: Price, params: Array) -> Array:
        """Return how many samples of a question are paid at most, not rounded."""
        return 1.0 + 0.0 * params if self.inference is None else samples_paid(price, params, self.inference)

    def tokens(self, price: Price, params: Array, samples: Array) -> Array:
        """Return the training tokens paid for a model that draws `samples` samples."""
        return self.train / price.per_training_token(params) + 0.0 * samples

    def too_small(self, price: Price, params: float) -> str:
        """Say that no sample of a model is paid."""
        name, least = f'inference_{price.unit.lower()}', float(samples_cost(price, params, 1.0))
        return _pays_no_sample(name, self.inference, params, _largest_paid(self, price, params), least)


@dataclass(frozen=True)
class EndToEnd:
    """One budget, `total`, for training and for all samples of `questions` questions (or served tokens)."""

    total: float
    questions: float

    def check(self, price: Price) -> None:
        """Refuse what is not a budget, in one sentence."""
        _check_above_0(**{f'total_{price.unit.lower()}': self.total, 'questions': self.questions})
        check_one_unit(price)

    def most_samples(self, price: Price, params: Array) -> Array:
        """Return how many samples of each question are paid at most, by a model that is not trained at all."""
        return samples_paid(price, params, self.total / self.questions)

    def tokens(self, price: Price, params: Array, samples: Array) -> Array:
        """Return the training tokens left for a model that draws `samples` samples: below 0 where it cannot."""
        return (self.total - self.questions * samples_cost(price, params, samples)) / price.per_training_token(params)

    def too_small(self, price: Price, params: float) -> str:
        """Say that no sample of a model is paid."""
        name, least = f'total_{price.unit.lower()}', self.questions * float(samples_cost(price, params, 1.0))
        return _pays_no_sample(name, self.total, params, _largest_paid(self, price, params), least)


Budget = Separate | EndToEnd


def whole(samples: Array) -> np.ndarray:
    """Round samples down to what can be drawn."""
    return np.floor(np.asarray(samples) * (1 + ROUNDING))


def largest_size(budget: Budget, price: Price, samples: Array, low: float, high: float) -> np.ndarray:
    """Return the log of the largest size, from `low` to `high`, of which a budget pays so many samples.

    -inf where it does not pay them at `low`.
    """
    samples = np.asarray(samples, np.float64)

    def pays(log_params: np.ndarray) -> np.ndarray:
        return budget.most_samples(price, np.exp(log_params)) * (1 + ROUNDING) >= samples

    smallest, largest = (np.full(samples.shape, np.log(end)) for end in (low, high))
    left, right = smallest, largest
    for _ in range(60):
        middle = (left + right) / 2
        paid = pays(middle)
        left, right = np.where(paid, middle, left), np.where(paid, right, middle)
    return np.where(pays(largest), largest, np.where(pays(smallest), left, -np.inf))


def sizes_paid(budget: Budget, price: Price, low: float, high: float) -> tuple[float, float]:
    """Return the logs of the smallest and largest size, from `low` to `high`, that a budget pays a sample of.

    Raises ValueError, naming the budget and what it pays, where it does not pay one at `low`, trained on a token.
    """
    budget.check(price)
    limit = float(largest_size(budget, price, 1.0, low, high))
    if not np.isfinite(limit):
        raise ValueError(budget.too_small(price, low))
    if not budget.tokens(price, low, 1.0) >= 1:
        raise ValueError(
            f'the budget leaves less than one training token for the smallest model considered, {low:g} parameters at '
            f'{float(price.per_training_token(low)):.3g} {price.train_unit} a token; give more'
        )
    return float(np.log(low)), limit


def check_one_unit(price: Price) -> None:
    """Refuse to add the costs of training and serving where they are in different units."""
    if price.unit != price.train_unit:
        raise ValueError(
            f'training is priced in {price.train_unit} and samples in {price.unit}, so one budget cannot pay both; '
            'give two budgets or another price'
        )


def _largest_paid(budget: Budget, price: Price, high: float) -> float:
    return float(np.exp(largest_size(budget, price, 1.0, 1.0, high)))


def _pays_no_sample(name: str, spent: float, params: float, paid: float, least: float) -> str:
    pays = f' but at most one of {paid:.4g} parameters' if paid else ''
    return (
        f'{name} {spent:g} pays no sample of even the smallest model considered ({params:g} parameters){pays}; '
        f'give more than {least:.4g}'
    )


def _check_above_0(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise ValueError(f'{name} is {value:g}; a budget has to be a finite number above 0')
