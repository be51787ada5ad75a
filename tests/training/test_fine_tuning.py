"""Loss of what counts: by hand, zero gradients elsewhere, the same in microbatches and over devices, constant rate."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax.data.rows import in_batches, mark
from t2jax.mesh import Layout, make_mesh
from t2jax.models import transformer
from t2jax.models.execution import PLAIN
from t2jax.training import step
from t2jax.training.recipe import Recipe, make_schedule, multiplier
from t2jax.training.step import loss_fn, make_begin, make_train_steps, make_validate, read_marks

TOKENS = np.array([[1, 4, 7, 2, 9], [3, 3, 5, 0, 0]])
COUNTS = np.array([[0, 0, 0, 1, 1], [0, 1, 1, 0, 0]], bool)


def by_hand(logits_BTV, tokens_BT, counts_BT, z_loss):
    """Sum over the targets that count, one after another, in float64."""
    total = square = 0.0
    for row, at in zip(*np.nonzero(counts_BT)):
        logits = np.asarray(logits_BTV[row, at - 1], np.float64)
        log_z = np.log(np.exp(logits).sum())
        total += log_z - logits[tokens_BT[row, at]]
        square += log_z**2
    return total / counts_BT.sum(), (total + z_loss * square) / counts_BT.sum()


def weighted(recipe, marked):
    ids, counts = read_marks(jnp.asarray(marked))
    return {'tokens_BT': ids, 'weights_BT': counts / counts.mean(), 'recipe': recipe}


def test_masked_loss_is_the_mean_of_what_counts(tiny, tiny_params):
    recipe = Recipe(z_loss=0.3)
    objective, loss = loss_fn(tiny_params, tiny, **weighted(recipe, mark(TOKENS, COUNTS)))
    logits = transformer.forward(tiny, tiny_params, jnp.asarray(TOKENS[:, :-1]), PLAIN)
    expected, with_z = by_hand(logits, TOKENS, COUNTS, 0.3)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert float(objective) == pytest.approx(with_z, rel=1e-6)


def test_prompt_and_padding_get_exactly_no_gradient(tiny, monkeypatch):
    """The logits stand for the params: the gradient of each is that of its own token's loss."""
    monkeypatch.setattr(step.transformer, 'forward', lambda model, logits, tokens, execution: logits)
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, tiny.vocab)), jnp.float32)
    given = weighted(Recipe(z_loss=0.3), mark(TOKENS, COUNTS))
    gradient = jax.grad(lambda x: loss_fn(x, tiny, **given)[0])(logits)
    is_zero = (np.asarray(gradient) == 0).all(axis=-1)
    assert is_zero.tolist() == (~COUNTS[:, 1:]).tolist()


def test_text_has_no_weights_and_the_same_loss_as_text_that_counts_throughout(tiny, tiny_params):
    ids, counts = read_marks(jnp.asarray(TOKENS, jnp.uint16))
    assert counts is None and ids.dtype == jnp.int32
    plain = loss_fn(tiny_params, tiny, Recipe(), ids)
    marked = loss_fn(tiny_params, tiny, **weighted(Recipe(), mark(TOKENS, np.ones_like(COUNTS))))
    np.testing.assert_allclose(plain, marked, rtol=1e-6)


@pytest.mark.parametrize(
    ('devices', 'layout'),
    [(1, Layout(microbatches=4)), (4, Layout(fsdp=4)), (8, Layout(fsdp=2, tensor=2, microbatches=2))],
    ids=['microbatches', 'fsdp', 'all three'],
)
def test_a_layout_changes_no_masked_loss(tiny, tiny_params, devices, layout):
    """Rows have unlike numbers of tokens that count: a mean of the parts' means would be another loss."""
    rng = np.random.default_rng(1)
    tokens, counts = rng.integers(0, 12, (3, 8, 9)), rng.random((3, 8, 9)) < np.linspace(0.1, 0.9, 8)[:, None]
    counts[:, 0, 4] = True
    recipe = Recipe(batch_sequences=8, sequence_length=8, learning_rate=1e-3, decay='constant')
    schedule = make_schedule(recipe, tiny, 3 * 64)
    found = []
    for mesh, how in ((make_mesh(jax.devices()[:1]), Layout()), (make_mesh(jax.devices()[:devices], layout), layout)):
        state = make_begin(tiny, recipe, mesh)(tiny_params)
        found.append(make_train_steps(tiny, recipe, mesh, how)(state, schedule, mark(tokens, counts), np.int32(3)))
    (state, losses, _), (other, other_losses, _) = found
    np.testing.assert_allclose(losses, other_losses, rtol=2e-5)
    for one, two in zip(jax.tree.leaves(state.params), jax.tree.leaves(other.params)):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_a_state_that_begins_with_params_leaves_them_alone(tiny, tiny_params, one_device):
    recipe = Recipe(batch_sequences=2, sequence_length=4)
    state = make_begin(tiny, recipe, one_device)(tiny_params)
    before = jax.tree.map(np.asarray, tiny_params)
    schedule = make_schedule(recipe, tiny, 64)
    make_train_steps(tiny, recipe, one_device)(state, schedule, mark(TOKENS, COUNTS)[None], np.int32(1))
    assert all(map(np.array_equal, jax.tree.leaves(before), jax.tree.leaves(tiny_params)))


def test_validation_sums_what_counts_over_batches(tiny, tiny_params, one_device):
    marked = np.concatenate([mark(TOKENS, COUNTS)] * 3)
    score = partial(make_validate(tiny, one_device, Layout()), tiny_params)
    logits = transformer.forward(tiny, tiny_params, jnp.asarray(TOKENS[:, :-1]), PLAIN)
    expected = 3 * COUNTS.sum() * by_hand(logits, TOKENS, COUNTS, 0)[0]
    assert float(score(in_batches(marked, 4))) == pytest.approx(expected, rel=1e-5)


def test_a_constant_rate_stays_where_a_cosine_falls(tiny):
    recipe = Recipe(batch_sequences=8, sequence_length=8, warmup_tokens_per_param=0.0, decay='constant')
    schedule = make_schedule(recipe, tiny, 64 * 10)
    assert [float(multiplier(schedule, step)) for step in (0, 5, 9)] == [1, 1, 1]
    falling = make_schedule(dataclasses.replace(recipe, decay='cosine'), tiny, 64 * 10)
    assert float(multiplier(falling, 9)) < 0.1
    with pytest.raises(ValueError, match="recipe.decay is 'linear'; use cosine or constant"):
        Recipe(decay='linear')
