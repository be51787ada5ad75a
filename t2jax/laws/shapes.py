"""The shape of a decoder of any size, between and beyond the sizes of a ladder.

Transformer costs depend on a model's width and depth; a law knows its N alone. Along a ladder, log width and log depth
are linear in log N from one size to the next; beyond its ends a model of the end's proportions sets the direction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from t2jax import costs

Array = Any


@dataclass(frozen=True)
class Shape:
    """A `costs.Decoder`; of a real model, or of fractions of a layer and arrays of them between real ones."""

    vocab: int
    d_model: Array
    n_layers: Array
    d_hidden: Array

    @property
    def d_q(self) -> Array:
        """Width of queries."""
        return self.d_model

    @property
    def d_kv(self) -> Array:
        """Width of keys: every head has its own."""
        return self.d_model

    @property
    def mlp_matrices(self) -> int:
        """Weight matrices of SwiGLU."""
        return 3

    @property
    def layer_vectors(self) -> Array:
        """Numbers in the gains of a layer: of two norms, and of two of queries and keys."""
        return 4 * self.d_model

    @property
    def norm_vectors(self) -> Array:
        """Numbers in the gain of a norm."""
        return self.d_model


_SIZES = (
    (96, 3), (128, 4), (160, 5), (224, 6), (288, 8), (320, 9), (384, 10), (480, 12),
    (576, 14), (640, 15), (704, 18), (832, 21), (1024, 23), (1120, 26), (1312, 26), (1504, 30),
)  # fmt: skip
# The 16 sizes of Porian et al. (arXiv 2406.19146), 5M to 901M: OpenLM's SwiGLU width is 8/3 d up to a multiple of 256.
PORIAN_LADDER = tuple(Shape(50432, d, depth, -(-(8 * d // 3) // 256) * 256) for d, depth in _SIZES)


def shape_of(params: Array, ladder: Sequence[Shape] = PORIAN_LADDER) -> Shape:
    """Return the shape of models of N = `params` along a ladder of ascending sizes and one vocabulary.

    At a size of the ladder it is that size's own. `costs.count_params` of the result is N: the hidden width is whatever
    makes it so. Raises ValueError for a ladder that does not ascend.
    """
    log_n, log_width, log_depth = _knots(tuple(ladder))
    at = np.log(params)
    width, depth = np.exp(np.interp(at, log_n, log_width)), np.exp(np.interp(at, log_n, log_depth))
    vocab = ladder[0].vocab
    hidden = ((params - vocab * width) / (depth * width) - 4 * width) / 3
    return Shape(vocab, width, depth, hidden)


@cache
def _knots(ladder: tuple[Shape, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute log N, log width and log depth along the ladder and of its ends a million times scaled."""
    counts = [costs.count_params(shape) for shape in ladder]
    if len({shape.vocab for shape in ladder}) != 1 or sorted(set(counts)) != counts:
        raise ValueError(f'the ladder has sizes {counts}; they have to ascend and share one vocabulary')
    wide = [_scaled(ladder[0], 1e-6), *ladder, _scaled(ladder[-1], 1e6)]
    columns = [[costs.count_params(s) for s in wide], [s.d_model for s in wide], [s.n_layers for s in wide]]
    log_n, log_width, log_depth = np.log(np.array(columns, np.float64))
    return log_n, log_width, log_depth


def _scaled(shape: Shape, factor: float) -> Shape:
    return Shape(shape.vocab, shape.d_model * factor, shape.n_layers * factor, shape.d_hidden * factor)
