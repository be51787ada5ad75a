"""How a forward pass is executed: attention kernel, rematerialisation, where activations live. Results are the same.

Kernels compute causal softmax(q k^T / sqrt(K)) v of whole sequences without storing the [T, T] scores: splash attention
(JAX's Pallas kernel for TPU) and cuDNN's on GPU. None stands for plain XLA (`layers.attend_causally`), which runs
anywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from t2jax import mesh as meshes
from t2jax.models.config import ModelConfig

# (q [B, T, H, K], k [B, T, J, K], v [B, T, J, K]) -> [B, T, H, K], J heads of keys dividing H
Kernel = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

POLICIES = {
    'dots': jax.checkpoint_policies.dots_with_no_batch_dims_saveable,  # products with weights; attention is redone
    'layer': jax.checkpoint_policies.nothing_saveable,
}
_LANES = 128  # a splash block's width: head widths and lengths are multiples of it


def _anywhere(x: jax.Array, axes: Sequence[str | None]) -> jax.Array:
    return x


@dataclass(frozen=True)
class Execution:
    """What a decoder has to know of the machine it runs on; the default: one device, nothing computed twice."""

    remat: str = 'none'
    kernel: Kernel | None = None
    place: Callable[[jax.Array, Sequence[str | None]], jax.Array] = _anywhere


PLAIN = Execution()


def make_execution(config: ModelConfig, layout: meshes.Layout, mesh: Mesh, length: int) -> Execution:
    """Work out how a decoder runs on sequences of `length` tokens on a mesh.

    Raises ValueError for an attention kernel that this platform or shape does not have.
    """

    def place(x: jax.Array, axes: Sequence[str | None]) -> jax.Array:
        return jax.lax.with_sharding_constraint(x, meshes.sharding(mesh, axes))

    platform = mesh.devices.flat[0].platform
    name = choose_kernel(config, layout.attention, platform, length)
    kernel = None if name == 'xla' else _over_mesh(partial(KERNELS[name], interpret=platform == 'cpu'), mesh)
    return Execution(layout.remat, kernel, place if mesh.size > 1 else _anywhere)


def choose_kernel(config: ModelConfig, name: str, platform: str, length: int) -> str:
    """Return 'xla', 'cudnn' or 'splash'; 'auto' takes the platform's own where the shapes allow it.

    On a CPU splash attention is only interpreted, for tests. Raises ValueError for a kernel that cannot run here.
    """
    if name == 'auto':
        own = {'tpu': 'splash', 'gpu': 'cudnn'}.get(platform, 'xla')
        return 'xla' if _objection(config, own, platform, length) else own
    objection = _objection(config, name, platform, length)
    if objection:
        raise ValueError(f'layout.attention {name} {objection}; use auto or xla')
    return name


def _objection(config: ModelConfig, name: str, platform: str, length: int) -> str | None:
    """Say why a kernel cannot run here, or None if it can."""
    if name == 'splash':
        if platform == 'gpu':
            return 'runs on TPU'
        if length % _LANES:
            return f'needs sequences of a multiple of {_LANES} tokens, not {length}'
    if name == 'cudnn':
        width = config.d_head
        if platform != 'gpu':
            return 'runs on GPU'
        if config.compute_dtype != 'bfloat16':
            return 'needs compute_dtype bfloat16'
        if width > 128 or width % 8:
            return f'needs heads of at most 128 numbers, a multiple of 8, not {width}'
    return None


def splash_attention(q_BTHK: jax.Array, k_BTJK: jax.Array, v_BTJK: jax.Array, interpret: bool = False) -> jax.Array:
    """Run TPU splash attention; head widths are padded with zeros to whole lanes, which changes no score."""
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

    B, T, H, K = q_BTHK.shape
    J = k_BTJK.shape[2]
    pad = [(0, 0)] * 3 + [(0, -K % _LANES)]
    by_head = lambda x: jnp.pad(x, pad).transpose(0, 2, 1, 3)
    mask = masks.MultiHeadMask([masks.CausalMask((T, T))] * (H // J))
    size = next(size for size in (512, 256, _LANES) if T % size == 0)
    blocks = splash.BlockSizes(
        block_q=size,
        block_kv=size,
        block_q_dkv=size,
        block_kv_dkv=size,
        block_q_dq=size,
        block_kv_dq=size,
    )
    one_group = splash.make_splash_mqa_single_device(mask, block_sizes=blocks, interpret=interpret)
    q_BJRTK = by_head(q_BTHK * K**-0.5).reshape(B, J, H // J, T, -1)
    out_BJRTK = jax.vmap(jax.vmap(one_group))(q_BJRTK, by_head(k_BTJK), by_head(v_BTJK))
    return out_BJRTK.reshape(B, H, T, -1)[..., :K].transpose(0, 2, 1, 3)


def cudnn_attention(q_BTHK: jax.Array, k_BTJK: jax.Array, v_BTJK: jax.Array, interpret: bool = False) -> jax.Array:
    """Run cuDNN's fused attention; scores are scaled by 1 / sqrt(K)."""
    return jax.nn.dot_product_attention(q_BTHK, k_BTJK, v_BTJK, is_causal=True, implementation='cudnn')


KERNELS = {'splash': splash_attention, 'cudnn': cudnn_attention}


def _over_mesh(kernel: Kernel, mesh: Mesh) -> Kernel:
    """Run a kernel on each device's own sequences and heads: the compiler cannot split a kernel itself."""
    spec = meshes.sharding(mesh, ('batch', 'length', 'heads', None)).spec
    return jax.shard_map(kernel, mesh=mesh, in_specs=(spec, spec, spec), out_specs=spec, check_vma=False)
