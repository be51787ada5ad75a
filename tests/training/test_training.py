"""Training: the recipe by hand, one device like eight, and a restored run like one that never stopped."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from t2jax import costs
from t2jax.mesh import Layout, make_mesh
from t2jax.training import checkpoint, jobs, loop
from t2jax.training.recipe import Recipe, make_schedule, multiplier
from t2jax.training.runs import is_finished, load_params, state_shapes
from t2jax.training.step import init_state, loss_fn, make_init, make_train_steps, state_shardings


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((np.asarray(x) == np.asarray(y)).all()), a, b)))


def test_a_step_is_adamw_by_hand(tiny, tiny_recipe, feed):
    """One step from zero moments: clip, Adam with bias correction, decay that ignores the rate."""
    recipe = dataclasses.replace(tiny_recipe, weight_decay=0.1, clip_norm=0.5)
    state = init_state(tiny, recipe, jax.random.key(0))
    schedule = make_schedule(recipe, tiny, 64 * 40)
    tokens = feed.batches(0, 1)
    grads = jax.grad(lambda p: loss_fn(p, tiny, recipe, jnp.asarray(tokens[0], jnp.int32))[0])(state.params)
    norm = np.sqrt(sum(float(jnp.square(g).sum()) for g in jax.tree.leaves(grads)))
    assert norm > 0.5  # so that the clip is seen
    m = float(multiplier(schedule, jnp.int32(0)))
    rate = float(schedule.peak_rate)

    def by_hand(p, g):
        g = np.asarray(g, np.float64) * 0.5 / norm
        first, second = 0.1 * g / (1 - 0.9), 0.05 * g**2 / (1 - 0.95)
        return p - m * (rate * first / (np.sqrt(second) + 1e-8) + 0.1 * np.asarray(p))

    expected = jax.tree.map(by_hand, state.params, grads)
    step = make_train_steps(tiny, recipe, make_mesh(jax.devices()[:1]))
    after, losses, norms = step(state, schedule, tokens, jnp.int32(1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), after.params, expected)
    assert float(norms[0]) == pytest.approx(norm, rel=1e-5)
    assert int(after.step) == 1


def test_the_loss_is_cross_entropy_and_z_loss_adds_log_z_squared(tiny, tiny_params, feed):
    tokens = jnp.asarray(feed.batches(0, 1)[0], jnp.int32)
    plain, nll = loss_fn(tiny_params, tiny, Recipe(z_loss=0.0), tokens)
    with_z, same_nll = loss_fn(tiny_params, tiny, Recipe(z_loss=0.5), tokens)
    from t2jax.models.transformer import forward

    logits = np.asarray(forward(tiny, tiny_params, tokens[:, :-1]), np.float64)
    log_z = np.log(np.exp(logits).sum(-1))
    by_hand = (log_z - np.take_along_axis(logits, np.asarray(tokens)[:, 1:, None], -1)[..., 0]).mean()
    assert float(nll) == float(same_nll) == pytest.approx(by_hand, rel=1e-5) == float(plain)
    assert float(with_z) == pytest.approx(by_hand + 0.5 * (log_z**2).mean(), rel=1e-5)


def test_the_schedule_warms_up_and_ends_at_zero_without_a_jump(tiny):
    recipe = Recipe(batch_sequences=8, sequence_length=8, warmup_tokens_per_param=0.5, max_warmup_share=0.25)
    schedule = make_schedule(recipe, tiny, 64 * 200)
    values = np.array([float(multiplier(schedule, jnp.int32(t))) for t in range(200)])
    warmup = float(schedule.warmup_steps)
    assert warmup == pytest.approx(min(0.5 * costs.count_params(tiny), 0.25 * 64 * 200) / 64)
    peak = int(np.ceil(warmup)) - 1
    assert (np.diff(values[: peak + 1]) > 0).all() and (np.diff(values[peak + 1 :]) < 0).all()
    assert np.abs(np.diff(values)).max() < 1.5 / warmup
    assert values.max() <= 1 and values[-1] < 1e-3


def test_the_rate_falls_with_the_square_root_of_the_width(tiny):
    recipe = Recipe(learning_rate=1e-2, reference_width=64)
    assert float(make_schedule(recipe, tiny, 1e9).peak_rate) == pytest.approx(2e-2)  # tiny is 16 wide
    assert float(make_schedule(Recipe(), tiny, 1e9).peak_rate) == pytest.approx(3e-3)


def test_a_run_learns_and_records_it(run, finished):
    state, folder = finished
    lines = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    assert [line['step'] for line in lines] == [8, 16, 24, 32, 40]
    assert lines[-1]['tokens'] == 64 * 40
    assert lines[-1]['loss'] < lines[0]['loss'] - 0.3
    assert is_finished(run, folder)
    assert same(load_params(run, folder, make_mesh(jax.devices()[:1])), state.params)


@pytest.mark.parametrize('stop_after', [1, 3])
def test_a_stopped_and_restored_run_equals_an_uninterrupted_one(run, feed, finished, tmp_path, stop_after):
    mesh, calls = make_mesh(jax.devices()[:1]), iter(range(100))
    with pytest.raises(loop.Stopped):
        loop.train(run, feed, tmp_path, mesh, should_stop=lambda: next(calls) >= stop_after)
    assert not is_finished(run, tmp_path)
    state = loop.train(run, feed, tmp_path, mesh)
    assert same(state, finished[0])
    strip = lambda path: [json.loads(line)['loss'] for line in path.read_text().splitlines()]
    assert strip(tmp_path / 'metrics.jsonl') == strip(finished[1] / 'metrics.jsonl')


def test_the_state_is_split_as_the_rules_say(tiny, tiny_recipe):
    mesh = make_mesh(jax.devices(), Layout(fsdp=2, tensor=2))
    state = state_shardings(tiny, tiny_recipe, mesh)
    for params in (state.params, state.moments[1].mu):
        assert params['layers']['attention']['qkv'].spec == PartitionSpec((), ('fsdp',), None, ('tensor',))


def test_a_mesh_that_does_not_divide_the_model_is_refused(tiny, tiny_recipe):
    odd = dataclasses.replace(tiny, vocab=11)
    with pytest.raises(ValueError, match='axis vocab of 11 does not divide over 2 devices of the mesh axis tensor'):
        make_init(odd, tiny_recipe, make_mesh(jax.devices(), Layout(tensor=2)))


def test_all_budgets_of_a_size_share_one_executable(run, feed, tmp_path):
    mesh = make_mesh(jax.devices()[:1])
    compiled = jobs._compiled(run.model, run.recipe, mesh, run.layout)
    loop.train(run, feed, tmp_path / 'a', mesh)
    before = compiled._cache_size()
    loop.train(dataclasses.replace(run, tokens=64 * 11), feed, tmp_path / 'b', mesh)
    assert compiled._cache_size() == before == 1


def test_a_checkpoint_restores_onto_other_devices(run, finished):
    _, folder = finished
    params = load_params(run, folder, make_mesh(jax.devices()[2:4], Layout(fsdp=2)))
    assert same(params, finished[0].params)
    assert len(params['head'].sharding.device_set) == 2


def test_runs_of_one_study_start_from_different_params(run):
    other = dataclasses.replace(run, name='d16-again')
    init = make_init(run.model, run.recipe, make_mesh(jax.devices()[:1]))
    assert not same(init(run.key()).params, init(other.key()).params)


def test_a_damaged_checkpoint_is_named(run, feed, finished, tmp_path):
    mesh = make_mesh(jax.devices()[:1])
    loop.train(run, feed, tmp_path, mesh)
    for path in (tmp_path / 'checkpoints' / '40').rglob('*'):
        if path.is_file() and path.parent.name == 'd':
            path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(ValueError, match=r'checkpoint .*/40 cannot be read .*; delete that folder'):
        load_params(run, tmp_path, mesh)
    wide = dataclasses.replace(run, model=dataclasses.replace(run.model, d_model=32))
    with pytest.raises(ValueError, match='cannot be read'):
        checkpoint.restore(finished[1] / 'checkpoints', 40, state_shapes(wide, mesh))


def test_a_folder_of_another_config_is_refused(run, feed, finished):
    other = dataclasses.replace(run, seed=2)
    with pytest.raises(ValueError, match=r'holds another config \(seed: 1 -> 2\)'):
        loop.train(other, feed, finished[1], make_mesh(jax.devices()[:1]))


def test_a_loss_that_is_not_finite_stops_the_run_by_name(run, feed, tmp_path):
    wild = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, learning_rate=1e30))
    with pytest.raises(
        FloatingPointError, match=r'loss of run d16 is not finite between steps 0 and 8; .* lower recipe'
    ):
        loop.train(wild, feed, tmp_path, make_mesh(jax.devices()[:1]))
    assert checkpoint.latest_step(tmp_path / 'checkpoints') is None


def test_an_unfinished_run_has_no_params(run, tmp_path):
    with pytest.raises(FileNotFoundError, match='run d16 .* is not finished; train it first'):
        load_params(run, tmp_path, make_mesh(jax.devices()[:1]))
