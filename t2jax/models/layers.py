"""Layers of the OpenLM decoder: LayerNorm, rotary attention with QK-norm, SwiGLU.

Shape suffixes, one letter an axis, used everywhere in array code and einsum strings:
B batch or questions, G samples per question, T query length, S key length, P prefix, D model width, H heads,
J heads of keys and values (H, or fewer where R = H / J heads of queries share them), K head width, F hidden,
V vocabulary, L layers, C parts of a fused projection.

One attention serves training, prefill and cached decode: softmax(q k^T / sqrt(K)) v, taken jointly over a list of
key/value blocks. Source: OpenLM as used by Porian et al. (arXiv 2406.19146).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2jax.models.config import ModelConfig
from t2jax.models.execution import PLAIN, Execution


class Block(NamedTuple):
    """Keys and values that queries may look at, and which of them.

    axes: of k and v, in any order: BSJK, shared by all queries of a row, or BTSJK, one set per query.
    mask: boolean, broadcastable to [B, T, S]; True where a query may look.
    """

    k: jax.Array
    v: jax.Array
    mask: jax.Array
    axes: str = 'BSJK'


def attend(q_BTHK: jax.Array, blocks: tuple[Block, ...]) -> jax.Array:
    """Attend to all blocks in one softmax, computed in float32; returns [B, T, H, K]."""
    *rows, H, K = q_BTHK.shape
    J = blocks[0].k.shape[blocks[0].axes.index('J')]
    q_BTJRK = q_BTHK.reshape(*rows, J, H // J, K)
    scores = []
    for block in blocks:
        scores_BJRTS = jnp.einsum(f'BTJRK,{block.axes}->BJRTS', q_BTJRK, block.k, preferred_element_type=jnp.float32)
        scores.append(jnp.where(block.mask[:, None, None], scores_BJRTS / math.sqrt(K), -jnp.inf))
    weights = jax.nn.softmax(jnp.concatenate(scores, axis=-1), axis=-1).astype(q_BTHK.dtype)
    out_BTJRK, start = 0.0, 0
    for block in blocks:
        stop = start + block.v.shape[block.axes.index('S')]
        out_BTJRK += jnp.einsum(f'BJRTS,{block.axes}->BTJRK', weights[..., start:stop], block.v)
        start = stop
    return out_BTJRK.reshape(q_BTHK.shape)


def attend_causally(q_BTHK: jax.Array, k_BTJK: jax.Array, v_BTJK: jax.Array) -> jax.Array:
    """Let each query attend to itself and earlier ones; in parts of queries, so that keys after a part cost nothing."""
    length = q_BTHK.shape[1]
    size = max(128, -(-length // 8))
    parts = []
    for start in range(0, length, size):
        stop = min(start + size, length)
        mask_TS = jnp.arange(start, stop)[:, None] >= jnp.arange(stop)
        parts.append(attend(q_BTHK[:, start:stop], (Block(k_BTJK[:, :stop], v_BTJK[:, :stop], mask_TS[None]),)))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)


def rotate(x_BTHK: jax.Array, positions_BT: jax.Array, frequencies: jax.Array) -> jax.Array:
    """Apply rotary positions, rotate-half form (arXiv 2104.09864): pair i turns by position * frequencies[i].

    Of n frequencies' pairs are the first 2 n numbers of a head; the others stay as they are.
    """
    half = len(frequencies)
    angles = positions_BT[..., None, None] * frequencies
    cos, sin = jnp.cos(angles).astype(x_BTHK.dtype), jnp.sin(angles).astype(x_BTHK.dtype)
    a, b, still = x_BTHK[..., :half], x_BTHK[..., half : 2 * half], x_BTHK[..., 2 * half :]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin, still], axis=-1)


def rotary_frequencies(width: int, base: float) -> jax.Array:
    """Return base^(-2i/width) of each pair i of `width` numbers."""
    half = width // 2
    return base ** (-jnp.arange(half, dtype=jnp.float32) / half)


class Norm(nn.Module):
    """LayerNorm over the last axis with a gain and no bias, computed in float32."""

    eps: float
    axis: str  # logical name of the normalised axis

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.normalise(x).astype(x.dtype)

    def normalise(self, x: jax.Array) -> jax.Array:
        """Return the norm of x in float32."""
        gain = self.param('gain', nn.with_partitioning(nn.initializers.ones_init(), (self.axis,)), x.shape[-1:])
        x32 = x.astype(jnp.float32)
        centred = x32 - x32.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + self.eps) * gain


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


def bias(module: nn.Module, name: str, shape: tuple[int, ...], axes: tuple[str | None, ...]) -> jax.Array:
    """Declare a bias, at first zero; cast to the compute type."""
    zeros = nn.with_partitioning(nn.initializers.zeros_init(), axes)
    return module.param(name, zeros, shape).astype(module.config.compute_dtype)


def product(x: jax.Array, w: jax.Array, dtype: jnp.dtype | None = None) -> jax.Array:
    """Multiply the last axis of x by the first of w, all other axes of x taken as one.

    With those apart, XLA on a CPU transposes a whole gradient to get at that of w: twice the time.
    """
    flat = jnp.tensordot(x.reshape(-1, x.shape[-1]), w, axes=1, preferred_element_type=dtype)
    return flat.reshape(*x.shape[:-1], *w.shape[1:])


def split(x_BTE: jax.Array, width: int) -> jax.Array:
    """Split the last axis into heads of `width`."""
    return x_BTE.reshape(*x_BTE.shape[:2], -1, width)


class Attention(nn.Module):
    """Multi-head attention with QK-norm over the whole projected width before the split into heads."""

    config: ModelConfig
    causal: bool  # the T axis is time: each query sees itself and earlier ones. Else T independent samples
    execution: Execution = PLAIN

    @nn.compact
    def __call__(
        self, x_BTD: jax.Array, positions_BT: jax.Array, past: tuple[Block, ...], residual: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Return the layer's output [B, T, D] and its own keys and values [B, T, J, K].

        Independent samples see themselves and the past; there is none where T is time.
        """
        q, k, v = self.heads(x_BTD)
        frequencies = self.frequencies()
        q, k = rotate(q, positions_BT, frequencies), rotate(k, positions_BT, frequencies)
        if self.causal:
            out = (self.execution.kernel or attend_causally)(q, k, v)
        else:
            out = attend(q, (*past, Block(k[:, :, None], v[:, :, None], jnp.ones((1, 1, 1), bool), 'BTSJK')))
        return self.output(out.reshape(*out.shape[:2], -1), residual), (k, v)

    def heads(self, x_BTD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return queries [B, T, H, K], keys and values [B, T, J, K], normalised but not turned."""
        c = self.config
        q, k, v = self.project(x_BTD)
        if c.qk_norm:
            q, k = Norm(c.norm_eps, 'heads', name='q_norm')(q), Norm(c.norm_eps, 'heads', name='k_norm')(k)
        return split(q, c.d_head), split(k, c.d_head), split(v, c.d_head)

    def frequencies(self) -> jax.Array:
        """Return the rotary frequencies of a head's pairs."""
        return rotary_frequencies(self.config.d_head, self.config.rotary_base)

    def output(self, out_BTE: jax.Array, residual: jax.Array) -> jax.Array:
        """Map what all heads read, [B, T, H K], to the width [B, T, D]."""
        c = self.config
        return product(out_BTE, weight(self, 'out', (c.d_q, c.d_model), ('heads', 'embed'), residual * c.d_q**-0.5))

    def project(self, x_BTD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return queries [B, T, H K], keys and values [B, T, J K]."""
        D = self.config.d_model
        qkv_BTCE = product(x_BTD, weight(self, 'qkv', (D, 3, D), ('embed', None, 'heads'), D**-0.5))
        return qkv_BTCE[:, :, 0], qkv_BTCE[:, :, 1], qkv_BTCE[:, :, 2]


class FeedForward(nn.Module):
    """SwiGLU: (silu(x W1) * (x W2)) W3 (arXiv 2002.05202)."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x_BTD: jax.Array, residual: jax.Array) -> jax.Array:
        D, F = self.config.d_model, self.config.d_hidden
        w_in = weight(self, 'in', (D, 2, F), ('embed', None, 'hidden'), D**-0.5)
        in_BTCF = product(x_BTD, w_in)
        w_out = weight(self, 'out', (F, D), ('hidden', 'embed'), residual * F**-0.5)
        return product(nn.silu(in_BTCF[:, :, 0]) * in_BTCF[:, :, 1], w_out)
