"""Counts against published sizes and against what XLA says of the compiled, unrolled model."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from t2jax import costs
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.sampling import cache as caches
from t2jax.training.recipe import Recipe
from t2jax.training.step import loss_fn

MODEL = ModelConfig(vocab=512, d_model=128, n_layers=3, n_heads=4, hidden_multiple=64, unroll_layers=True)
SHAPES = jax.eval_shape(lambda: transformer.init_params(MODEL, jax.random.key(0)))


def compiled_flops(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().cost_analysis()['flops']


def tokens(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)


@pytest.mark.parametrize(('width', 'depth', 'params'), [(96, 3, 5173248), (128, 4, 7503872)])
def test_n_is_porians_count(width, depth, params):
    assert costs.count_params(ModelConfig(vocab=50432, d_model=width, n_layers=depth)) == params


def test_the_papers_budgets():
    assert costs.train_flops(1e6, 2e7) == 1.2e14
    assert costs.inference_flops(1e6, 50) == 1e8


# XLA also counts element-wise work, which the exact counts leave out: a few percent at this width.
def test_forward_flops_are_what_xla_compiles():
    found = compiled_flops(lambda p, t: transformer.forward(MODEL, p, t), SHAPES, tokens(4, 64))
    assert costs.forward_flops(MODEL, 4, 64) == pytest.approx(found, rel=0.05)
    assert costs.forward_flops(MODEL, 4, 64) < found


def test_train_step_flops_are_what_xla_compiles():
    gradient = jax.grad(lambda p, t: loss_fn(p, MODEL, Recipe(), t)[0])
    found = compiled_flops(gradient, SHAPES, tokens(4, 65))
    assert costs.train_step_flops(MODEL, 4, 64) == pytest.approx(found, rel=0.05)


def test_prefill_and_decode_flops_are_what_xla_compiles():
    prefill = lambda p, t, n: caches.prefill(MODEL, p, t, n, slots=8, columns=16)
    found = compiled_flops(prefill, SHAPES, tokens(4, 64), tokens(4))
    assert costs.prefill_flops(MODEL, 4, 64) == pytest.approx(found, rel=0.05)
    _, cache = jax.eval_shape(prefill, SHAPES, tokens(4, 64), tokens(4))
    step = lambda p, c, t, a, s: caches.decode_step(MODEL, p, c, t, a, s)
    found = compiled_flops(step, SHAPES, cache, tokens(4, 8), tokens(4, 8), tokens())
    # the compiled step attends to the whole preallocated cache, 64 + 16 columns
    assert costs.decode_step_flops(MODEL, 32, 80) == pytest.approx(found, rel=0.05)


def test_a_sample_costs_its_prompt_once_and_each_further_token():
    steps = 2 * costs.decode_step_flops(MODEL, 10, 64 + 2)
    assert costs.sample_flops(MODEL, 64, 3, 10) == costs.prefill_flops(MODEL, 1, 64) + steps
    assert costs.sample_flops(MODEL, 64, 1, 10) == costs.prefill_flops(MODEL, 1, 64)


def test_cache_bytes_are_the_caches_size():
    make = lambda p: caches.prefill(MODEL, p, jnp.zeros((4, 64), jnp.int32), jnp.ones(4, jnp.int32), 8, 16)[1]
    cache = jax.eval_shape(make, SHAPES)
    held = sum(x.size * 4 for x in (cache.prefix_k, cache.prefix_v, cache.suffix_k, cache.suffix_v))
    assert costs.cache_bytes(MODEL, 4 * (64 + 8 * 16), 4) == held
    read = costs.decode_step_bytes(MODEL, 4, 8, 64, 16, 4)
    assert read == held + 4 * costs.count_params(MODEL)


def test_a_scanned_model_would_be_counted_short():
    """Why the model above is unrolled: XLA counts the body of a loop once."""
    scanned = dataclasses.replace(MODEL, unroll_layers=False)
    found = compiled_flops(lambda p, t: transformer.forward(scanned, p, t), SHAPES, tokens(4, 64))
    assert found < 0.6 * costs.forward_flops(MODEL, 4, 64)


def test_sample_bytes_are_those_of_its_steps():
    prompt, answer, samples, width = 64, 9, 8, 2
    steps = sum(costs.decode_step_bytes(MODEL, 1, samples, prompt, step, width) for step in range(1, answer))
    prefill = width * costs.count_params(MODEL) / samples  # of `samples` prompts at once
    assert costs.sample_bytes(MODEL, prompt, answer, samples, width, batch=samples) == pytest.approx(steps + prefill)
    shared = costs.sample_bytes(MODEL, prompt, answer, samples, width, batch=2 * samples)
    saved = (8 * width + width / samples) * costs.count_params(MODEL) / 2
    assert steps + prefill - shared == pytest.approx(saved)
