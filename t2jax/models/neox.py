"""GPT-NeoX (arXiv 2204.06745), the architecture of Pythia (arXiv 2304.01373).

x <- x + Attention(Norm(x)) + MLP(Norm'(x)), or one after the other where `parallel_residual` is false; LayerNorm with
gain and bias, a plain MLP with exact GELU, biases everywhere but in the head, rotary on a part of each head.
"""

from dataclasses import dataclass

import jax
from flax import linen as nn

from t2jax.models.config import ModelConfig
from t2jax.models.layers import Attention, Norm, bias, product, rotary_frequencies, weight


@dataclass(frozen=True)
class NeoXConfig(ModelConfig):
    """A GPT-NeoX decoder; a `hidden_width` of None is four times d_model."""

    qk_norm: bool = False
    hidden_width: int | None = None
    rotary_share: float = 1.0  # of the numbers of a head; Pythia's is 0.25
    parallel_residual: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.qk_norm:
            raise ValueError('model.qk_norm is True, which GPT-NeoX does not have; set it to False')
        if self.hidden_width is not None and self.hidden_width < 1:
            raise ValueError(f'model.hidden_width is {self.hidden_width}; it has to be at least 1')
        if not 0 <= self.rotary_share <= 1 or self.d_rotary % 2:
            raise ValueError(
                f'model.rotary_share is {self.rotary_share}; it has to be from 0 to 1 and give an even number of the '
                f'{self.d_head} of a head'
            )

    @property
    def d_hidden(self) -> int:
        """Width of the MLP."""
        return 4 * self.d_model if self.hidden_width is None else self.hidden_width

    @property
    def d_rotary(self) -> int:
        """Numbers of a head that turn with the position."""
        return int(self.d_head * self.rotary_share)

    @property
    def mlp_matrices(self) -> int:
        """Weight matrices of width x hidden in a feed-forward: in and out."""
        return 2

    @property
    def layer_vectors(self) -> int:
        """Numbers in the gains and biases of a layer."""
        return 2 * self.norm_vectors + 3 * self.d_q + self.d_model + self.d_hidden + self.d_model

    @property
    def norm_vectors(self) -> int:
        """Numbers in the gain and bias of a norm."""
        return 2 * self.d_model


class BiasedNorm(Norm):
    """LayerNorm over the last axis with a gain and a bias, computed in float32."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shift = self.param('bias', nn.with_partitioning(nn.initializers.zeros_init(), (self.axis,)), x.shape[-1:])
        return (self.normalise(x) + shift).astype(x.dtype)


class NeoXAttention(Attention):
    """Multi-head attention with biases, and rotary on the first part of each head."""

    def project(self, x_BTD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return queries, keys and values, each [B, T, H K]."""
        shifts = bias(self, 'qkv_bias', (3, self.config.d_q), (None, 'heads'))
        q, k, v = super().project(x_BTD)
        return q + shifts[0], k + shifts[1], v + shifts[2]

    def frequencies(self) -> jax.Array:
        """Return the rotary frequencies of the pairs that turn."""
        return rotary_frequencies(self.config.d_rotary, self.config.rotary_base)

    def output(self, out_BTE: jax.Array, residual: jax.Array) -> jax.Array:
        """Map what all heads read, [B, T, H K], to the width [B, T, D]."""
        return super().output(out_BTE, residual) + bias(self, 'out_bias', (self.config.d_model,), ('embed',))


class NeoXFeedForward(nn.Module):
    """gelu(x W1 + b1) W2 + b2."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x_BTD: jax.Array, residual: jax.Array) -> jax.Array:
        D, F = self.config.d_model, self.config.d_hidden
        w_in = weight(self, 'in', (D, F), ('embed', 'hidden'), D**-0.5)
        in_BTF = product(x_BTD, w_in) + bias(self, 'in_bias', (F,), ('hidden',))
        w_out = weight(self, 'out', (F, D), ('hidden', 'embed'), residual * F**-0.5)
        return product(nn.gelu(in_BTF, approximate=False), w_out) + bias(self, 'out_bias', (D,), ('embed',))
