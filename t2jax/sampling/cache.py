"""The key-value cache of repeated sampling: each prompt once, each sample's own tokens beside it.

Both parts are allocated before the first token. A step reads them, and writes the one new column after all layers have
run, at the same place for all rows. The suffix is a ring: a slot's last `age` columns are its sample's own, whatever
column that sample began at, so a slot can be given a new sample at any step. Keys are kept after rotary, hence the
column tells nothing of the position.

An extra sample at a time costs its suffix alone: 2 L S J K numbers.
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
    """Keys and values: prefix [L, B, J, P, K], read-only, with lengths_B real tokens; suffix [L, B, G, J, S, K]."""

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
    slots: int,
    columns: int,
    dtype: str | None = None,
) -> tuple[jax.Array, Cache]:
    """Read right-padded prompts once; return logits [B, V] for every first token, and a cache for G slots.

    columns: how many tokens of a sample the cache can hold. dtype: of keys and values (default: what the model computes
    in; bfloat16 halves the cache and rounds scores).
    """
    logits_BV, prefix = transformer.prefill(model, params, prompts_BP, lengths_B)
    k_LBJPK, v_LBJPK = (part.swapaxes(2, 3).astype(dtype or part.dtype) for part in prefix)
    L, B, J, _, K = k_LBJPK.shape
    empty = jnp.zeros((L, B, slots, J, columns, K), k_LBJPK.dtype)
    return logits_BV, Cache(k_LBJPK, v_LBJPK, lengths_B, empty, empty)


def decode_step(
    model: ModelConfig,
    params: transformer.Params,
    cache: Cache,
    tokens_BG: jax.Array,
    ages_BG: jax.Array,
    column: jax.Array,
) -> tuple[jax.Array, Cache]:
    """Read one token in every slot; return logits [B, G, V] for the next, and the cache with that token in `column`.

    ages_BG: how many tokens of its own a slot's sample has in the columns before this one.
    """
    positions_BG = cache.lengths_B[:, None] + ages_BG
    prefix_mask_B1P = (jnp.arange(cache.prefix_k.shape[-2]) < cache.lengths_B[:, None])[:, None]
    columns = cache.suffix_k.shape[-2]
    steps_ago_S = (column - 1 - jnp.arange(columns)) % columns
    suffix_mask_BGS = steps_ago_S < ages_BG[..., None]
    kv = ((cache.prefix_k, cache.prefix_v), (cache.suffix_k, cache.suffix_v))
    masks = prefix_mask_B1P, suffix_mask_BGS
    logits_BGV, new = transformer.decode(model, params, tokens_BG, positions_BG, kv, masks)
    k, v = (
        jax.lax.dynamic_update_slice_in_dim(old, part[:, :, :, :, None].astype(old.dtype), column, axis=4)
        for old, part in zip((cache.suffix_k, cache.suffix_v), new)
    )
    return logits_BGV, replace(cache, suffix_k=k, suffix_v=v)
