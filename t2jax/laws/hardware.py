"""Prices from what a transformer computes and reads: exact FLOPs, and Kinetics' eFLOPs on a chip (arXiv 2506.05333)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from t2jax import costs
from t2jax.chips import TPUS
from t2jax.laws.prices import check_above_0
from t2jax.laws.shapes import PORIAN_LADDER, Shape, shape_of

Array = Any


@dataclass(frozen=True)
class TransformerPrice:
    """The FLOPs of a transformer's matrix products, attention included, as this code executes them (`t2jax.costs`).

    A question is a prompt of `prompt` tokens, read once for all its samples of `answer` tokens; training is on
    sequences of `context` tokens. The first token of an answer comes with the prompt, hence at least 2. `ladder` says
    how wide and deep a model of any N is (`shapes.shape_of`).
    """

    prompt: int
    answer: int
    context: int = 2048
    ladder: tuple[Shape, ...] = PORIAN_LADDER
    unit = 'FLOPs'
    train_unit = 'FLOPs'
    served = 'question'

    def __post_init__(self) -> None:
        check_above_0(prompt=self.prompt, context=self.context)
        if not 2 <= self.answer < np.inf:
            raise ValueError(f'answer is {self.answer:g} tokens; the first comes with the prompt: give at least 2')

    @property
    def name(self) -> str:
        return f'transformer FLOPs, prompts of {self.prompt:g} and answers of {self.answer:g} tokens'

    def per_training_token(self, params: Array) -> Array:
        return costs.train_step_flops(shape_of(params, self.ladder), 1, self.context) / self.context

    def per_question(self, params: Array) -> Array:
        return costs.sample_flops(shape_of(params, self.ladder), self.prompt, self.answer, 0)

    def per_sample(self, params: Array) -> Array:
        shape = shape_of(params, self.ladder)
        return (self.answer - 1) * costs.decode_step_flops(shape, 1, self.prompt + self.answer - 1)

    def warnings(self, params: float) -> list[str]:
        low, high = (costs.count_params(self.ladder[end]) for end in (0, -1))
        if low <= params <= high:
            return []
        return [f'the width and depth of {params:.4g} parameters are guessed: the ladder has {low:.4g} to {high:.4g}']


@dataclass(frozen=True)
class BandwidthPrice:
    """Kinetics' eFLOPs: FLOPs + bytes read from memory x peak FLOP/s / bandwidth (arXiv 2506.05333).

    `batch` rows are decoded at once and share each reading of the params; numbers are of `width` bytes. Training reads
    little for what it computes, and costs its FLOPs.
    """

    work: TransformerPrice
    chip: str
    batch: int
    width: int = 2
    unit = 'eFLOPs'
    train_unit = 'eFLOPs'
    served = 'question'

    def __post_init__(self) -> None:
        check_above_0(batch=self.batch, width=self.width)
        if self.chip not in TPUS:
            raise ValueError(f'there are no constants for chip {self.chip!r}; choose one of {", ".join(TPUS)}')

    @property
    def name(self) -> str:
        return f'{self.work.name}, and reading on TPU {self.chip}, {self.batch:g} rows at once'

    def per_training_token(self, params: Array) -> Array:
        return self.work.per_training_token(params)

    def per_question(self, params: Array) -> Array:
        return self.work.per_question(params) + self._reading(params, 0)

    def per_sample(self, params: Array) -> Array:
        return self.work.per_sample(params) + self._reading(params, 1) - self._reading(params, 0)

    def warnings(self, params: float) -> list[str]:
        return self.work.warnings(params)

    def _reading(self, params: Array, samples: int) -> Array:
        shape, chip = shape_of(params, self.work.ladder), TPUS[self.chip]
        read = costs.sample_bytes(shape, self.work.prompt, self.work.answer, samples, self.width, self.batch)
        return read * chip.flops / chip.bandwidth
