"""What Llama and GPT-NeoX add to the decoder: cached, packed and counted like the base, in every form they have."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax import costs
from t2jax.config import from_dict, to_dict
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.models.llama import LlamaConfig, RMSNorm
from t2jax.models.neox import NeoXConfig

SHAPE = {'vocab': 12, 'd_model': 16, 'n_layers': 2, 'n_heads': 4, 'hidden_multiple': 8}
SCALED = {'rope_factor': 4.0, 'rope_context': 16.0}
FORMS = {
    'llama': LlamaConfig(**SHAPE, n_kv_heads=2, hidden_width=20, **SCALED),
    'qwen2': LlamaConfig(**SHAPE, n_kv_heads=1, qkv_bias=True),
    'qwen3': LlamaConfig(**SHAPE | {'d_model': 14}, n_kv_heads=2, head_width=6, qk_norm=True),
    'neox': NeoXConfig(**SHAPE, hidden_width=24, rotary_share=0.5),
    'neox-sequential': NeoXConfig(**SHAPE, parallel_residual=False),
}
# whole functions compile sooner than their operations one by one
prefill, decode, packed_states, forward = (
    jax.jit(getattr(transformer, name), static_argnums=0) for name in ('prefill', 'decode', 'packed_states', 'forward')
)
ROWS = np.random.default_rng(0).integers(0, 12, (2, 7))


@pytest.fixture(scope='module', params=FORMS)
def form(request):
    """Yield a model, its params, all random, and its logits of ROWS."""
    model = FORMS[request.param]
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: transformer.init_params(model, jax.random.key(0)))
    params = jax.tree.map(lambda leaf: jnp.array(rng.normal(0.3, 0.4, leaf.shape), jnp.float32), shapes)
    return model, params, forward(model, params, jnp.array(ROWS))


def test_a_cached_step_is_the_whole_forward(form):
    """Five tokens in the prefix, one in the suffix, and the seventh now."""
    model, params, whole = form
    first, kv = prefill(model, params, jnp.array(ROWS[:, :6]), jnp.array([6, 3]))
    np.testing.assert_allclose(first, whole[[0, 1], [5, 2]], rtol=1e-4, atol=1e-5)
    assert kv[0].shape == (2, 2, 6, model.kv_heads, model.d_head)
    prefix, suffix = (tuple(x[:, :, part].swapaxes(2, 3) for x in kv) for part in (slice(5), slice(5, 6)))
    blocks, masks = (
        (prefix, tuple(x[:, :, None] for x in suffix)),
        (jnp.ones((2, 1, 5), bool), jnp.ones((2, 1, 1), bool)),
    )
    last, _ = decode(model, params, jnp.array(ROWS[:, 6:]), jnp.full((2, 1), 6), blocks, masks)
    np.testing.assert_allclose(last[:, 0], whole[:, 6], rtol=1e-4, atol=1e-5)


def test_packed_rows_are_read_apart(form):
    """Seven tokens of the first row and four of the second, end to end."""
    model, params, whole = form
    tokens = jnp.array([*ROWS[0], *ROWS[1, :4]])
    positions = jnp.array([*range(7), *range(4)])
    slots = jnp.array([range(7), [7, 8, 9, 10, 0, 0, 0]])
    states = packed_states(model, params, tokens, positions, slots, jnp.arange(11))
    expected = jnp.concatenate([whole[0], whole[1, :4]])
    np.testing.assert_allclose(transformer.head(model, params, states), expected, rtol=1e-4, atol=1e-5)


def test_every_number_is_counted(form):
    model, params, _ = form
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == costs.count_stored_params(model)
    vectors = ('gain', 'bias', 'q_bias', 'kv_bias', 'qkv_bias', 'in_bias', 'out_bias', 'embed')
    weights = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params) if path[-1].key not in vectors]
    assert sum(leaf.size for leaf in weights) == costs.count_params(model)


@pytest.mark.parametrize(
    ('model', 'elsewhere'),  # the second: how much of it is element-wise, of which an exact GELU has more
    [
        (LlamaConfig(vocab=512, d_model=128, n_layers=3, hidden_width=320, n_kv_heads=2, head_width=64), 0.05),
        (NeoXConfig(vocab=512, d_model=128, n_layers=3), 0.1),
    ],
    ids=['wide heads', 'two matrices'],
)
def test_forward_flops_are_what_xla_compiles(model, elsewhere):
    model = dataclasses.replace(model, unroll_layers=True)
    shapes = jax.eval_shape(lambda: transformer.init_params(model, jax.random.key(0)))
    run = jax.jit(lambda p, t: transformer.forward(model, p, t))
    found = run.lower(shapes, jax.ShapeDtypeStruct((4, 128), jnp.int32)).compile().cost_analysis()['flops']
    assert costs.forward_flops(model, 4, 128) == pytest.approx(found, rel=elsewhere)


def test_a_config_is_known_by_its_fields(form):
    model = form[0]
    again = from_dict(ModelConfig, to_dict(model))
    assert again == model and type(again) is type(model)


def test_slow_pairs_alone_are_scaled():
    """Llama 3.1: wavelengths below context / 4 stay, above the context they grow eight times, between is between."""
    model = LlamaConfig(vocab=8, d_model=64, n_layers=1, n_heads=1, rope_factor=8.0, rope_context=256.0)
    attention = transformer.LlamaAttention(model, True)
    scaled = np.asarray(attention.frequencies(), np.float64)
    plain = np.asarray(transformer.LlamaAttention(dataclasses.replace(model, rope_factor=1.0), True).frequencies())
    wave, ratio = 2 * math.pi / plain, plain / scaled
    np.testing.assert_allclose(plain, 10_000.0 ** (-np.arange(32) / 32), rtol=1e-5)
    np.testing.assert_allclose(ratio[wave < 64], 1)
    np.testing.assert_allclose(ratio[wave > 256], 8, rtol=1e-6)
    between = ratio[(wave > 64) & (wave < 256)]
    assert len(between) > 2 and (np.diff(ratio) >= 0).all() and (between > 1).all() and (between < 8).all()


def test_rmsnorm_keeps_the_mean():
    x = jnp.array([[3.0, 4.0]])
    out = RMSNorm(0.0, 'norm').apply({'params': {'gain': jnp.array([1.0, 2.0])}}, x)
    np.testing.assert_allclose(out, np.array([[3.0, 8.0]]) / math.sqrt(12.5), rtol=1e-6)


@pytest.mark.parametrize(
    ('kind', 'change', 'sentence'),
    [
        (LlamaConfig, {'n_kv_heads': 3}, 'model.n_kv_heads 3 does not divide 4 heads; use a divisor'),
        (LlamaConfig, {'head_width': 5}, 'model.head_width is 5; it has to be even'),
        (LlamaConfig, {'hidden_width': 0}, 'model.hidden_width is 0; it has to be at least 1'),
        (LlamaConfig, {'rope_factor': 0.5}, 'make no scaling; use a factor of at least 1'),
        (LlamaConfig, {'rope_low_factor': 4.0}, 'make no scaling'),
        (NeoXConfig, {'qk_norm': True}, 'model.qk_norm is True, which GPT-NeoX does not have'),
        (NeoXConfig, {'hidden_width': 0}, 'model.hidden_width is 0'),
        (NeoXConfig, {'rotary_share': 0.25}, 'rotary_share is 0.25; .* an even number of the 4 of a head'),
        (NeoXConfig, {'rotary_share': 1.5}, 'it has to be from 0 to 1'),
    ],
)
def test_impossible_forms_are_refused_in_words(kind, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        kind(**SHAPE, **change)
