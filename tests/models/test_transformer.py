"""The decoder: causality, parity of its three ways of running, and what its params are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax import costs
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.models.layers import Block, attend, rotary_frequencies, rotate

TOKENS = jnp.array(np.random.default_rng(0).integers(0, 11, (3, 9)))


def test_a_logit_depends_on_no_later_token(tiny, tiny_params):
    """Gradients of position 4 with respect to the embeddings of a row of distinct tokens are zero after it."""
    row = jnp.arange(9)[None]

    def logit(embed):
        return transformer.forward(tiny, tiny_params | {'embed': embed}, row)[0, 4].sum()

    gradient = np.abs(jax.grad(logit)(tiny_params['embed'])).sum(-1)
    assert (gradient[:5] > 0).all()
    assert (gradient[5:9] == 0).all()


def test_scanned_layers_equal_unrolled_ones_on_the_same_params(tiny, tiny_params):
    unrolled = dataclasses.replace(tiny, unroll_layers=True)
    a = transformer.forward(tiny, tiny_params, TOKENS)
    np.testing.assert_allclose(a, transformer.forward(unrolled, tiny_params, TOKENS), rtol=1e-5, atol=1e-5)


def test_prefill_reads_each_row_at_its_own_last_token(tiny, tiny_params):
    lengths = jnp.array([9, 4, 1])
    logits, (k, v) = transformer.prefill(tiny, tiny_params, TOKENS, lengths)
    whole = transformer.forward(tiny, tiny_params, TOKENS)
    np.testing.assert_allclose(logits, whole[jnp.arange(3), lengths - 1], rtol=1e-5, atol=1e-5)
    assert k.shape == v.shape == (2, 3, 9, tiny.kv_heads, 4)


def test_params_are_counted_as_costs_count_them(tiny, tiny_params):
    leaves = jax.tree.leaves(tiny_params)
    assert sum(leaf.size for leaf in leaves) == costs.count_stored_params(tiny)
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)


def test_logical_axes_name_every_axis_of_every_param(tiny, tiny_params):
    axes = transformer.logical_axes(tiny)
    ranks = jax.tree.map(len, axes, is_leaf=lambda leaf: isinstance(leaf, tuple))
    assert ranks == jax.tree.map(jnp.ndim, tiny_params)
    assert axes['layers']['attention']['out'] == ('layers', 'heads', 'embed')


def test_later_layers_start_with_smaller_output_weights():
    model = ModelConfig(vocab=11, d_model=64, n_layers=4, n_heads=2, hidden_multiple=8)
    out = transformer.init_params(model, jax.random.key(1))['layers']['attention']['out']
    expected = 64**-0.5 / np.sqrt(2.0 * np.arange(1, 5)) * 0.9866  # standard deviation after the cut at three
    np.testing.assert_allclose(np.std(out, axis=(1, 2)), expected, rtol=0.05)


def test_rotary_scores_depend_on_distance_alone():
    rng = np.random.default_rng(1)
    q, k = (jnp.array(rng.normal(size=(1, 1, 1, 8))) for _ in range(2))
    turn = lambda x, i: rotate(x, jnp.array([[i]]), rotary_frequencies(8, 100.0))
    score = lambda i, j: (turn(q, i) * turn(k, j)).sum()
    np.testing.assert_allclose(score(7, 3), score(24, 20), rtol=1e-4)
    assert abs(score(7, 3) - score(7, 4)) > 1e-3


def test_attention_over_two_blocks_is_one_softmax_over_both():
    rng = np.random.default_rng(2)
    q, k, v = (jnp.array(rng.normal(size=(2, n, 2, 4))) for n in (3, 5, 5))
    mask = jnp.array(rng.random((2, 3, 5)) < 0.7).at[:, :, 0].set(True)
    whole = attend(q, (Block(k, v, mask),))
    per_query = lambda x: jnp.broadcast_to(x[:, None], (2, 3, *x.shape[1:]))
    heads_first = lambda x: x.swapaxes(-3, -2)
    halves = (
        Block(heads_first(k[:, :2]), heads_first(v[:, :2]), mask[..., :2], 'BJSK'),
        Block(per_query(k[:, 2:]), per_query(v[:, 2:]), mask[..., 2:], 'BTSJK'),
    )
    np.testing.assert_allclose(attend(q, halves), whole, rtol=1e-5, atol=1e-6)
    weights = np.exp(np.einsum('thk,shk->ths', q[0], k[0]) / 2) * np.asarray(mask[0])[:, None]
    by_hand = np.einsum('ths,shk->thk', weights / weights.sum(-1, keepdims=True), v[0])
    np.testing.assert_allclose(whole[0], by_hand, rtol=1e-5, atol=1e-6)


def test_bfloat16_compute_keeps_float32_params_and_logits(tiny, tiny_params):
    half = dataclasses.replace(tiny, compute_dtype='bfloat16')
    logits = transformer.forward(half, tiny_params, TOKENS)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, transformer.forward(tiny, tiny_params, TOKENS), atol=0.1)


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'n_heads': 6}, 'd_model 16 does not split into 6 heads of even width; use a multiple of 12'),
        ({'vocab': 0}, 'model.vocab is 0; it has to be at least 1'),
        ({'compute_dtype': 'float64'}, "compute_dtype is 'float64'; use float32 or bfloat16"),
    ],
)
def test_impossible_shapes_are_refused_in_words(tiny, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(tiny, **change)
