"""Llama (arXiv 2302.13971) and what came after it: RMSNorm in place of LayerNorm, and explicit widths.

Llama and Mistral; Qwen2 (arXiv 2407.10671) has biases on q, k and v, Qwen3 (arXiv 2505.09388) normalises each head of
q and k. SwiGLU and grouped queries as elsewhere here. Llama 3.1's context is stretched by slower rotary frequencies.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2jax.models.config import ModelConfig
from t2jax.models.grouped_query import GroupedQueryAttention
from t2jax.models.layers import bias, rotary_frequencies, split


@dataclass(frozen=True)
class LlamaConfig(ModelConfig):
    """A decoder with RMSNorm; None stands for the base's: as many heads of keys as of queries, its widths.

    With `qk_norm` each head of q and k is normalised on its own, by one gain of a head's width.
    """

    qk_norm: bool = False
    n_kv_heads: int | None = None
    head_width: int | None = None  # may be other than d_model / n_heads
    hidden_width: int | None = None
    qkv_bias: bool = False
    rope_factor: float = 1.0  # slow pairs turn so much slower; 1: rotary as it is
    rope_low_factor: float = 1.0  # slow: fewer turns than this in `rope_context` tokens
    rope_high_factor: float = 4.0  # pairs of more turns than this stay, those between are blended
    rope_context: float = 8192.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kv_heads < 1 or self.n_heads % self.kv_heads:
            raise ValueError(
                f'model.n_kv_heads {self.n_kv_heads} does not divide {self.n_heads} heads; use a divisor of them'
            )
        if self.hidden_width is not None and self.hidden_width < 1:
            raise ValueError(f'model.hidden_width is {self.hidden_width}; it has to be at least 1')
        if self.rope_factor < 1 or not 0 < self.rope_low_factor < self.rope_high_factor or self.rope_context <= 0:
            raise ValueError(
                f'model.rope_factor {self.rope_factor}, rope_low_factor {self.rope_low_factor}, rope_high_factor '
                f'{self.rope_high_factor}, rope_context {self.rope_context} make no scaling; use a factor of at least '
                '1, low below high, and a context above 0'
            )

    def check_heads(self) -> None:
        """Raise ValueError where heads are not of even width."""
        if self.head_width is None:
            super().check_heads()
        elif self.head_width < 2 or self.head_width % 2:
            raise ValueError(f'model.head_width is {self.head_width}; it has to be even and at least 2')

    @property
    def d_hidden(self) -> int:
        """SwiGLU width."""
        return super().d_hidden if self.hidden_width is None else self.hidden_width

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return super().d_head if self.head_width is None else self.head_width

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def layer_vectors(self) -> int:
        """Numbers in the gains and biases of a layer."""
        biases = self.d_q + 2 * self.d_kv if self.qkv_bias else 0
        return 2 * self.norm_vectors + biases + (2 * self.d_head if self.qk_norm else 0)


class RMSNorm(nn.Module):
    """x / rms(x) over the last axis with a gain, computed in float32 (arXiv 1910.07467)."""

    eps: float
    axis: str  # logical name of the normalised axis

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        gain = self.param('gain', nn.with_partitioning(nn.initializers.ones_init(), (self.axis,)), x.shape[-1:])
        x32 = x.astype(jnp.float32)
        square = jnp.square(x32).mean(-1, keepdims=True)
        return (x32 * jax.lax.rsqrt(square + self.eps) * gain).astype(x.dtype)


class LlamaAttention(GroupedQueryAttention):
    """Grouped-query attention with biases and a norm of each head, where the config asks for them."""

    def project(self, x_BTD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return queries [B, T, H K], keys and values [B, T, J K]."""
        c = self.config
        q, k, v = super().project(x_BTD)
        if not c.qkv_bias:
            return q, k, v
        kv_bias = bias(self, 'kv_bias', (2, c.d_kv), (None, 'heads'))
        return q + bias(self, 'q_bias', (c.d_q,), ('heads',)), k + kv_bias[0], v + kv_bias[1]

    def heads(self, x_BTD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return queries [B, T, H, K], keys and values [B, T, J, K], normalised but not turned."""
        c = self.config
        q, k, v = (split(part, c.d_head) for part in self.project(x_BTD))
        if c.qk_norm:
            q, k = RMSNorm(c.norm_eps, 'norm', name='q_norm')(q), RMSNorm(c.norm_eps, 'norm', name='k_norm')(k)
        return q, k, v

    def frequencies(self) -> jax.Array:
        """Return the rotary frequencies of a head's pairs, scaled as Llama 3.1's are (arXiv 2407.21783).

        With n turns in `rope_context` tokens, f becomes f / factor for n < low, f for n > high, and between them
        (1 - s) f / factor + s f with s = (n - low) / (high - low).
        """
        c = self.config
        plain = rotary_frequencies(c.d_head, c.rotary_base)
        if c.rope_factor == 1:
            return plain
        turns = c.rope_context * plain / (2 * math.pi)
        share = jnp.clip((turns - c.rope_low_factor) / (c.rope_high_factor - c.rope_low_factor), 0, 1)
        return (1 - share) * plain / c.rope_factor + share * plain
