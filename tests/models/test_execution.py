"""However a forward pass is executed, it is the same function: kernels, rematerialisation, and what each refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax.mesh import Layout, make_mesh
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.models.execution import choose_kernel, make_execution
from t2jax.models.grouped_query import GroupedQueryConfig
from t2jax.models.layers import Block, attend, attend_causally


@pytest.mark.parametrize('heads', [(4, 4), (4, 2)], ids=['multi-head', 'grouped'])
def test_splash_attention_is_attention(heads):
    """The TPU kernel, interpreted, over a mesh: values and gradients, with head widths that fill no lane."""
    config = ModelConfig(vocab=8, d_model=96, n_layers=1)
    mesh = make_mesh(jax.devices()[:4], Layout(fsdp=2, tensor=2))
    kernel = make_execution(config, Layout(attention='splash'), mesh, length=128).kernel
    rng = np.random.default_rng(0)
    q, k, v = (jnp.array(rng.normal(size=(2, 128, n, 24)), jnp.float32) for n in (heads[0], heads[1], heads[1]))
    plain = lambda q, k, v: attend(q, (Block(k, v, jnp.tri(128, dtype=bool)[None]),))
    np.testing.assert_allclose(jax.jit(kernel)(q, k, v), plain(q, k, v), atol=1e-5)
    into = lambda f: jax.jit(jax.grad(lambda *x: jnp.square(f(*x)).sum(), argnums=(0, 1, 2)))(q, k, v)
    for found, expected in zip(into(kernel), into(plain)):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_causal_attention_in_parts_of_the_queries_is_attention():
    """300 queries are three parts, the last one short."""
    rng = np.random.default_rng(1)
    q, k, v = (jnp.array(rng.normal(size=(1, 300, n, 8)), jnp.float32) for n in (4, 2, 2))
    whole = attend(q, (Block(k, v, jnp.tri(300, dtype=bool)[None]),))
    np.testing.assert_allclose(attend_causally(q, k, v), whole, atol=1e-5)


def test_a_platform_gets_its_own_kernel_where_the_shape_allows():
    half = ModelConfig(vocab=8, d_model=512, n_layers=1, compute_dtype='bfloat16')
    wide = dataclasses.replace(half, d_model=1504)
    assert choose_kernel(half, 'auto', 'tpu', 2048) == choose_kernel(wide, 'auto', 'tpu', 2048) == 'splash'
    assert choose_kernel(half, 'auto', 'tpu', 100) == 'xla'
    assert choose_kernel(half, 'auto', 'gpu', 2048) == 'cudnn'
    assert choose_kernel(wide, 'auto', 'gpu', 2048) == choose_kernel(half, 'auto', 'cpu', 2048) == 'xla'


@pytest.mark.parametrize(
    ('name', 'platform', 'length', 'sentence'),
    [
        ('splash', 'gpu', 2048, 'layout.attention splash runs on TPU; use auto or xla'),
        ('splash', 'tpu', 100, 'needs sequences of a multiple of 128 tokens, not 100'),
        ('cudnn', 'tpu', 2048, 'layout.attention cudnn runs on GPU'),
        ('cudnn', 'gpu', 2048, 'needs compute_dtype bfloat16'),
    ],
)
def test_a_kernel_that_cannot_run_is_refused(name, platform, length, sentence):
    with pytest.raises(ValueError, match=sentence):
        choose_kernel(ModelConfig(vocab=8, d_model=512, n_layers=1), name, platform, length)


def test_a_group_of_heads_shares_keys_and_values(tiny):
    """With the keys and values of every group copied to its heads, grouped queries are plain attention."""
    if not isinstance(tiny, GroupedQueryConfig):
        pytest.skip('about grouped queries')
    params = transformer.init_params(tiny, jax.random.key(3))
    grouped = params['layers']['attention']
    L, D = tiny.n_layers, tiny.d_model
    heads = grouped['kv'].reshape(L, D, 2, tiny.n_kv_heads, -1)
    copied = jnp.repeat(heads, tiny.n_heads // tiny.n_kv_heads, axis=3).reshape(L, D, 2, D)
    plain = {key: grouped[key] for key in ('out', 'q_norm')}
    plain |= {'qkv': jnp.concatenate([grouped['q'][:, :, None], copied], axis=2), 'k_norm': grouped['q_norm']}
    whole = ModelConfig(tiny.vocab, D, L, tiny.n_heads, tiny.hidden_multiple)
    tokens = jnp.array(np.random.default_rng(0).integers(0, 12, (2, 9)))
    same_params = params | {'layers': params['layers'] | {'attention': plain}}
    # a norm over copies is the norm over what was copied
    a, b = transformer.forward(tiny, params, tokens), transformer.forward(whole, same_params, tokens)
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_heads_of_keys_have_to_divide_heads_of_queries():
    with pytest.raises(ValueError, match='model.n_kv_heads 3 does not divide 4 heads; use a divisor'):
        GroupedQueryConfig(vocab=8, d_model=16, n_layers=1, n_kv_heads=3)
