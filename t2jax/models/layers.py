"""Layers of the OpenLM decoder: LayerNorm, rotary attention with QK-norm, SwiGLU.

Shape suffixes, one letter an axis, used everywhere in array code and einsum strings:
B batch or questions, G samples per question, T query length, S key length, P prefix, D model width, H heads,
K head width, F hidden, V vocabulary, L layers, C parts of a fused projection.

One attention serves training, prefill and cached decode: softmax(q k^T / sqrt(K)) v, taken jointly over a list of
key/value blocks. Source: OpenLM as used by Porian et al. (arXiv 2406.19146).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2jax.models.config import ModelConfig


class Block(NamedTuple):
    """Keys and values that queries may look at, and which of them.

    k, v: [B, S, H, K], shared by all queries of a row, or [B, T, S, H, K], one set per query.
    mask: boolean, broadcastable to [B, T, S]; True where a query may look.
    """

    k: jax.Array
    v: jax.Array
    mask: jax.Array


def attend(q_BTHK: jax.Array, blocks: tuple[Block, ...]) -> jax.Array:
    """Attend to all blocks in one softmax, computed in float32; returns [B, T, H, K]."""
    scores = []
    for block in blocks:
        keys = 'BSHK' if block.k.ndim == 4 else 'BTSHK'
        scores_BHTS = jnp.einsum(f'BTHK,{keys}->BHTS', q_BTHK, block.k) / math.sqrt(q_BTHK.shape[-1])
        scores.append(jnp.where(block.mask[:, None], scores_BHTS.astype(jnp.float32), -jnp.inf))
    weights = jax.nn.softmax(jnp.concatenate(scores, axis=-1), axis=-1).astype(q_BTHK.dtype)
    out_BTHK, start = 0.0, 0
    for block in blocks:
        values, length = ('BSHK', block.v.shape[1]) if block.v.ndim == 4 else ('BTSHK', block.v.shape[2])
        out_BTHK += jnp.einsum(f'BHTS,{values}->BTHK', weights[..., start : start + length], block.v)
        start += length
    return out_BTHK


def rotate(x_BTHK: jax.Array, positions_BT: jax.Array, base: float) -> jax.Array:
    """Apply rotary positions, rotate-half form (arXiv 2104.09864): pair i turns by position / base^(2i/K)."""
    half = x_BTHK.shape[-1] // 2
    angles = positions_BT[..., None, None] * base ** (-jnp.arange(half, dtype=jnp.float32) / half)
    cos, sin = jnp.cos(angles).astype(x_BTHK.dtype), jnp.sin(angles).astype(x_BTHK.dtype)
    a, b = x_BTHK[..., :half], x_BTHK[..., half:]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


class Norm(nn.Module):
    """LayerNorm over the last axis with a gain and no bias, computed in float32."""

    eps: float
    axis: str  # logical name of the normalised axis

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        gain = self.param('gain', nn.with_partitioning(nn.initializers.ones_init(), (self.axis,)), x.shape[-1:])
        x32 = x.astype(jnp.float32)
        centred = x32 - x32.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        return (centred * jax.lax.rsqrt(variance + self.eps) * gain).astype(x.dtype)


def weight(
    module: nn.Module,
    name: str,
    shape: tuple[int, ...],
    axes: tuple[str | None, ...],
    scale: jax.Array | float,
) -> jax.Array:
    """Declare a weight: normal of standard deviation `scale`, cut at three; cast to the compute type."""

    def draw(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return scale * jax.random.truncated_normal(key, -3.0, 3.0, shape, jnp.float32)

    return module.param(name, nn.with_partitioning(draw, axes), shape).astype(module.config.compute_dtype)


class Attention(nn.Module):
    """Multi-head attention with QK-norm over the whole projected width before the split into heads."""

    config: ModelConfig

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        positions_BT: jax.Array,
        past: tuple[Block, ...],
        causal: bool,
        residual: jax.Array,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Return the layer's output [B, T, D] and its own keys and values [B, T, H, K].

        causal: the T axis is time, each query sees itself and earlier ones. Otherwise T holds independent
        samples that each see the past and themselves only.
        """
        c = self.config
        D, heads = c.d_model, (c.n_heads, c.d_model // c.n_heads)
        qkv = weight(self, 'qkv', (D, 3, D), ('embed', None, 'heads'), D**-0.5)
        qkv_BTCE = jnp.einsum('BTD,DCE->BTCE', x_BTD, qkv)
        q, k, v = (qkv_BTCE[:, :, part] for part in range(3))
        if c.qk_norm:
            q, k = Norm(c.norm_eps, 'heads', name='q_norm')(q), Norm(c.norm_eps, 'heads', name='k_norm')(k)
        q, k, v = (part.reshape(*part.shape[:2], *heads) for part in (q, k, v))
        q, k = rotate(q, positions_BT, c.rotary_base), rotate(k, positions_BT, c.rotary_base)
        if causal:
            own = Block(k, v, jnp.tri(x_BTD.shape[1], dtype=bool)[None])
        else:
            own = Block(k[:, :, None], v[:, :, None], jnp.ones((1, 1, 1), bool))
        out = attend(q, (*past, own)).reshape(x_BTD.shape)
        return out @ weight(self, 'out', (D, D), ('heads', 'embed'), residual * D**-0.5), (k, v)


class FeedForward(nn.Module):
    """SwiGLU: (silu(x W1) * (x W2)) W3 (arXiv 2002.05202)."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x_BTD: jax.Array, residual: jax.Array) -> jax.Array:
        D, F = self.config.d_model, self.config.d_hidden
        w_in = weight(self, 'in', (D, 2, F), ('embed', None, 'hidden'), D**-0.5)
        in_BTCF = jnp.einsum('BTD,DCF->BTCF', x_BTD, w_in)
        return (nn.silu(in_BTCF[:, :, 0]) * in_BTCF[:, :, 1]) @ weight(
            self, 'out', (F, D), ('hidden', 'embed'), residual * F**-0.5
        )
