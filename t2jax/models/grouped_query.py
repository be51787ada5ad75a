"""Grouped-query attention (arXiv 2305.13245), the shipped example of a model variant: heads share keys and values.

A variant is this one file, its line in `transformer.VARIANTS` and a row in `configs/ladder.py`.
"""

from dataclasses import dataclass

import jax

from t2jax.models.config import ModelConfig
from t2jax.models.layers import Attention, product, weight


@dataclass(frozen=True)
class GroupedQueryConfig(ModelConfig):
    """A decoder whose n_heads heads of queries share n_kv_heads heads of keys and values."""

    n_kv_heads: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_kv_heads < 1 or self.n_heads % self.n_kv_heads:
            raise ValueError(
                f'model.n_kv_heads {self.n_kv_heads} does not divide {self.n_heads} heads; use a divisor of them'
            )

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.n_kv_heads


class GroupedQueryAttention(Attention):
    """Attention with fewer heads of keys and values than of queries; all but the projection is the base's."""

    def project(self, x_BTD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return queries [B, T, H K], keys and values [B, T, J K]."""
        c = self.config
        q_BTE = product(x_BTD, weight(self, 'q', (c.d_model, c.d_q), ('embed', 'heads'), c.d_model**-0.5))
        kv = weight(self, 'kv', (c.d_model, 2, c.d_kv), ('embed', None, 'heads'), c.d_model**-0.5)
        kv_BTCE = product(x_BTD, kv)
        return q_BTE, kv_BTCE[:, :, 0], kv_BTCE[:, :, 1]
