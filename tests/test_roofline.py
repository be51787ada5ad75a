"""What a layer keeps for the backward pass is counted right for every variant of the model."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from t2jax import roofline
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.models.execution import POLICIES, Execution
from t2jax.models.grouped_query import GroupedQueryConfig
from t2jax.models.llama import LlamaConfig
from t2jax.models.neox import NeoXConfig

SHAPE = {'vocab': 64, 'd_model': 48, 'n_layers': 1, 'n_heads': 4}
WIDE = LlamaConfig(**SHAPE, n_kv_heads=2, head_width=20, hidden_width=100)
MODELS = {
    'base': ModelConfig(**SHAPE, hidden_multiple=8),
    'no qk-norm': ModelConfig(**SHAPE, qk_norm=False),
    'grouped': GroupedQueryConfig(**SHAPE, n_kv_heads=2),
    'llama': WIDE,
    'qwen3': dataclasses.replace(WIDE, qk_norm=True),
    'neox': NeoXConfig(**SHAPE, parallel_residual=True),
    'neox-sequential': NeoXConfig(**SHAPE, parallel_residual=False),
}


def saved_bytes(model, remat):
    """Return the bytes by token that jax saves of a layer; 23 tokens, which divide the size of no weight."""
    layer, x, positions = transformer.Layer(model, True, Execution()), jnp.ones((1, 23, 48)), jnp.arange(23)[None]
    params = nn.unbox(jax.eval_shape(layer.init, jax.random.key(0), x, jnp.array(0), (), (), positions))
    apply = jax.checkpoint(
        lambda params, x: layer.apply(params, x, jnp.array(0), (), (), positions)[0], policy=POLICIES[remat]
    )
    saved = jax.tree.leaves(jax.eval_shape(lambda params, x: jax.vjp(apply, params, x)[1], params, x))
    kept = [a for a in saved if a.size % 23 == 0 and jnp.issubdtype(a.dtype, jnp.floating)]
    return sum(a.size * a.dtype.itemsize for a in kept) / 23


@pytest.mark.parametrize('name', MODELS)
def test_what_remat_keeps_is_what_jax_saves(name):
    model = MODELS[name]
    assert roofline.kept_bytes(model, 'layer') == saved_bytes(model, 'layer')
    # outputs that are only added to the residual are needed by no gradient, but XLA's programs have them
    added = 2 if model.parallel_residual else 1
    assert roofline.kept_bytes(model, 'dots') - 4 * added * model.d_model == saved_bytes(model, 'dots')


@pytest.mark.parametrize(
    ('name', 'values', 'normalised'),  # widths: d 48; q and e 48, or 80 and 40; F 128, 256, 100 or 192
    [
        ('base', 8 * 48 + 4 * 48 + 4 * 128, 9 * 48 + 3 * 48),
        ('no qk-norm', 4 * 48 + 3 * 96 + 4 * 256, 6 * 48),
        ('grouped', 8 * 48 + 4 * 24 + 4 * 256, 9 * 48 + 3 * 24),
        ('llama', 4 * 48 + 3 * 120 + 4 * 100, 6 * 48),
        ('qwen3', 4 * 48 + 4 * 120 + 4 * 100, 6 * 48 + 3 * 120),
        ('neox', 4 * 48 + 3 * 96 + 2 * 192, 6 * 48),
    ],
)
def test_without_remat_it_keeps_inputs_and_outputs(name, values, normalised):
    assert roofline.kept_bytes(MODELS[name], 'none') == 4 * values + 4 * normalised
    half = dataclasses.replace(MODELS[name], compute_dtype='bfloat16')
    assert roofline.kept_bytes(half, 'none') == 2 * values + 4 * normalised
