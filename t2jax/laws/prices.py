"""Prices: what training a model and drawing samples from it cost, in FLOPs, eFLOPs, seconds or dollars.

Every price has three parts, functions of N alone: one training token, one question (its prompt, whatever the number of
samples) and one sample of it. So D tokens cost D x the first, k samples the second + k x the third, and what a budget
pays follows by division. The paper's price is 6 N, 0 and 2 N (T2, "Inference correction"). This module
has the paper's, measured speeds and money; `t2jax.laws.hardware` counts what a transformer computes and reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from t2jax import costs
from t2jax.laws.tables import read_numbers, read_table

Array = Any


class Price(Protocol):
    """The price of a training token, a question and a sample of a model of N = `params`."""

    @property
    def name(self) -> str:
        """A few words, for tables."""

    @property
    def unit(self) -> str:
        """What questions and samples cost: 'FLOPs', 'eFLOPs', 'seconds' or 'dollars'."""

    @property
    def train_unit(self) -> str:
        """What training tokens cost."""

    @property
    def served(self) -> str:
        """What k samples are drawn of: 'token' or 'question'."""

    def per_training_token(self, params: Array) -> Array:
        """Price one training token."""

    def per_question(self, params: Array) -> Array:
        """Price what all samples of a question share."""

    def per_sample(self, params: Array) -> Array:
        """Price each sample of a question."""

    def warnings(self, params: float) -> list[str]:
        """Say in sentences what is doubtful about the price of a model."""


def samples_cost(price: Price, params: Array, samples: Array) -> Array:
    """Price `samples` samples of one question, or served token."""
    return price.per_question(params) + samples * price.per_sample(params)


def samples_paid(price: Price, params: Array, budget: Array) -> Array:
    """Return how many samples of one question, or served token, a budget pays: not rounded, 0 or less where none."""
    return (budget - price.per_question(params)) / price.per_sample(params)


def check_above_0(**values: float) -> None:
    """Refuse a part of a price that is not a finite number above 0, by its name."""
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise ValueError(f'{name} is {value:g}; it has to be a finite number above 0')


@dataclass(frozen=True)
class PaperPrice:
    """The paper's: training costs 6 N D FLOPs, a sample 2 N for each of `answer` tokens; 1 where tokens are served."""

    answer: float = 1.0
    unit = 'FLOPs'
    train_unit = 'FLOPs'

    def __post_init__(self) -> None:
        check_above_0(answer=self.answer)

    @property
    def name(self) -> str:
        return '6 N D to train, 2 N a sample' + ('' if self.answer == 1 else f' of {self.answer:g} tokens, for each')

    @property
    def served(self) -> str:
        return 'token' if self.answer == 1 else 'question'

    def per_training_token(self, params: Array) -> Array:
        return costs.train_flops(params, 1.0)

    def per_question(self, params: Array) -> Array:
        return 0.0 * params

    def per_sample(self, params: Array) -> Array:
        return costs.inference_flops(params, self.answer)

    def warnings(self, params: float) -> list[str]:
        return []


PAPER = PaperPrice()


@dataclass(frozen=True)
class MeasuredPrice:
    """Seconds from measured speeds: tokens per second when sampling and, if measured, when training, by size.

    A sample is `answer` tokens; its prompt is in the measured speed. Between sizes the log of the speed is linear in
    log N; beyond the largest it falls as 1 / N, and no model is faster than the smallest. Where training was not
    measured it costs 6 N D FLOPs.
    """

    params: tuple[float, ...]
    tokens_per_second: tuple[float, ...]
    train_tokens_per_second: tuple[float, ...] | None = None
    answer: float = 1.0
    unit = 'seconds'

    def __post_init__(self) -> None:
        check_above_0(answer=self.answer)
        speeds = self.tokens_per_second, self.train_tokens_per_second or self.tokens_per_second
        if any(len(column) != len(self.params) for column in speeds) or len(self.params) < 2:
            raise ValueError('a table of measured speeds needs at least two sizes and a speed for each')
        if not all(0 < value < np.inf for column in (self.params, *speeds) for value in column):
            raise ValueError('a table of measured speeds holds a number that is not finite and above 0; mend it')
        if list(self.params) != sorted(set(self.params)):
            raise ValueError('the sizes of a table of measured speeds have to ascend, each of them once')

    @property
    def name(self) -> str:
        return f'measured speeds of {len(self.params)} sizes, answers of {self.answer:g} tokens'

    @property
    def train_unit(self) -> str:
        return 'FLOPs' if self.train_tokens_per_second is None else 'seconds'

    @property
    def served(self) -> str:
        return 'token' if self.answer == 1 else 'question'

    def per_training_token(self, params: Array) -> Array:
        if self.train_tokens_per_second is None:
            return costs.train_flops(params, 1.0)
        return self._seconds(params, self.train_tokens_per_second)

    def per_question(self, params: Array) -> Array:
        return 0.0 * params

    def per_sample(self, params: Array) -> Array:
        return self.answer * self._seconds(params, self.tokens_per_second)

    def warnings(self, params: float) -> list[str]:
        low, high = self.params[0], self.params[-1]
        if low <= params <= high:
            return []
        return [f'the speed of {params:.4g} parameters is guessed: measured were {low:.4g} to {high:.4g}']

    def _seconds(self, params: Array, speeds: Sequence[float]) -> Array:
        seconds = np.exp(-np.interp(np.log(params), np.log(self.params), np.log(speeds)))
        return seconds * np.maximum(params / self.params[-1], 1.0)


def read_measured(path: str | Path, answer: float = 1.0) -> MeasuredPrice:
    """Read measured speeds from a table with params, tokens_per_second and, if known, train_tokens_per_second."""
    table = read_table(path)
    columns = {name: read_numbers(table, name) for name in ('params', 'tokens_per_second')}
    if 'train_tokens_per_second' in table.header:
        columns['train_tokens_per_second'] = read_numbers(table, 'train_tokens_per_second')
    order = np.argsort(columns['params'])
    try:
        return MeasuredPrice(**{name: tuple(column[order].tolist()) for name, column in columns.items()}, answer=answer)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


@dataclass(frozen=True)
class MoneyPrice:
    """Dollars: another price times `dollars` for each of its units, e.g. 1.2 / 3600 for seconds at 1.20 an hour."""

    of: Price
    dollars: float
    unit = 'dollars'
    train_unit = 'dollars'

    def __post_init__(self) -> None:
        check_above_0(dollars=self.dollars)
        if self.of.unit != self.of.train_unit:
            raise ValueError(
                f'samples cost {self.of.unit} but training costs {self.of.train_unit}, so one rate in dollars cannot '
                'price both; measure the speed of training too'
            )

    @property
    def name(self) -> str:
        return f'{self.dollars:.4g} dollars for each of {self.of.unit}: {self.of.name}'

    @property
    def served(self) -> str:
        return self.of.served

    def per_training_token(self, params: Array) -> Array:
        return self.dollars * self.of.per_training_token(params)

    def per_question(self, params: Array) -> Array:
        return self.dollars * self.of.per_question(params)

    def per_sample(self, params: Array) -> Array:
        return self.dollars * self.of.per_sample(params)

    def warnings(self, params: float) -> list[str]:
        return self.of.warnings(params)
