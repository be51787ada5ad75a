"""The key-value cache of repeated sampling: each prompt once, each sample's own tokens beside it.

Both parts are allocated before the first token. Decoding reads them; the one new column a step makes is written
after all layers have run, at the same place for all rows.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp

from t2jax.models import transformer
from t2jax.models.config import ModelConfig


@partial(
    jax.tree_util.register_dataclass,
    data_fields=('prefix_k', 'prefix_v', 'lengths_B', 'suffix_k', 'suffix_v'),
    meta_fields=(),
)
@dataclass(frozen=True)
class Cache:
    """Keys and values: prefix [L, B, P, H, K], read-only, with lengths_B real tokens; suffix [L, B, G, S, H, K]."""

    prefix_k: jax.Array
    prefix_v: jax.Array
    lengths_B: jax.Array
    suffix_k: jax.Array
    suffix_v: jax.Array


def prefill(
    model: ModelConfig,
    params: transformer.Params,
    prompts_BP: jax.Array,
    lengths_B: jax.Array,
    samples: int,
    columns: int,
) -> tuple[jax.Array, Cache]:
    """Read right-padded prompts once; return logits [B, V] for every first token, and a cache for G samples.

    columns: how many tokens of each sample the cache can hold.
    """
    logits_BV, (k_LBPHK, v_LBPHK) = transformer.prefill(model, params, prompts_BP, lengths_B)
    L, B, _, H, K = k_LBPHK.shape
    empty = jnp.zeros((L, B, samples, columns, H, K), k_LBPHK.dtype)
    return logits_BV, Cache(k_LBPHK, v_LBPHK, lengths_B, empty, empty)


def decode_step(
    model: ModelConfig, params: transformer.Params, cache: Cache, tokens_BG: jax.Array, column: jax.Array
) -> tuple[jax.Array, Cache]:
    """Read the token that stands in `column` of every sample; return logits [B, G, V] for the next, and the cache."""
    positions_BG = jnp.broadcast_to(cache.lengths_B[:, None] + column, tokens_BG.shape)
    prefix_mask = (jnp.arange(cache.prefix_k.shape[2]) < cache.lengths_B[:, None])[:, None]
    suffix_mask = (jnp.arange(cache.suffix_k.shape[3]) < column)[None, None]
    kv = ((cache.prefix_k, cache.prefix_v), (cache.suffix_k, cache.suffix_v))
    logits_BGV, new = transformer.decode(model, params, tokens_BG, positions_BG, kv, (prefix_mask, suffix_mask))
    k, v = (
        jax.lax.dynamic_update_slice_in_dim(old, part[:, :, :, None], column, axis=3)
        for old, part in zip((cache.suffix_k, cache.suffix_v), new)
    )
    return logits_BGV, replace(cache, suffix_k=k, suffix_v=v)
