"""Several runs in one program: each is the run that it would be alone, and they stop, die and go on together."""

import dataclasses
import itertools
import json
import shutil
from functools import partial

import jax
import numpy as np
import pytest

from t2jax.data.rows import RowFeed, in_batches, mark
from t2jax.mesh import make_mesh
from t2jax.models import transformer
from t2jax.training import loop
from t2jax.training.jobs import Job, Validation
from t2jax.training.loop import train_jobs
from t2jax.training.metrics import Watch
from t2jax.training.runs import Start, is_finished, load_params, read_run

QUIET = Watch(tensorboard=False)
RATES = (1e-3, 3e-3, 1e-2)


@pytest.fixture(scope='module')
def make_jobs(run):
    """Three runs of other rates and texts, from other params, that are looked at after 6 and 12 steps."""
    rng = np.random.default_rng(0)
    tokens = np.cumsum(rng.integers(1, 3, (3, 32, 9)), axis=2) % 11
    held_out = Validation(in_batches(mark(tokens[0, :6], np.ones((6, 9), bool)), 8), 6, (6, 12))

    def make(folder):
        jobs = []
        for i, rate in enumerate(RATES):
            recipe = dataclasses.replace(run.recipe, learning_rate=rate, decay='constant', warmup_tokens_per_param=0.0)
            start = Start('d16', 40, i, 2560.0, 8, None)
            config = dataclasses.replace(run, name=f'r{i}', recipe=recipe, tokens=64 * 12, start=start)
            feed = RowFeed(mark(tokens[i], rng.random((32, 9)) < 2), 8, 0, 3, {})
            load = partial(transformer.init_params, run.model, jax.random.key(i))
            jobs.append(Job(config, feed, folder / config.name, load, held_out))
        return jobs

    return make


@pytest.fixture(scope='module')
def mesh():
    return make_mesh(jax.devices()[:1])


@pytest.fixture(scope='module')
def together(make_jobs, mesh, tmp_path_factory):
    folder = tmp_path_factory.mktemp('together')
    return train_jobs(make_jobs(folder), mesh, watch=QUIET), folder


def rows_of(folder):
    keep = ('step', 'loss', 'learning_rate', 'validation_nll')
    lines = (folder / 'metrics.jsonl').read_text().splitlines()
    return [[row.get(name) for name in keep] for row in map(json.loads, lines)]


def same(one, two):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two)))


def test_each_is_what_it_is_alone(together, make_jobs, mesh, tmp_path):
    states, folder = together
    for job, state in zip(make_jobs(tmp_path), states):
        (alone,) = train_jobs([job], mesh, watch=QUIET)
        for one, two in zip(jax.tree.leaves(alone.params), jax.tree.leaves(state.params)):
            np.testing.assert_allclose(
                one, two, atol=1e-3
            )  # Adam moves by a whole rate where a gradient is all rounding
        mine, theirs = rows_of(folder / job.run.name), rows_of(tmp_path / job.run.name)
        assert (
            [(row[0], row[2]) for row in mine]
            == [(row[0], row[2]) for row in theirs]
            == [
                (6, job.run.recipe.learning_rate),
                (12, job.run.recipe.learning_rate),
            ]
        )
        np.testing.assert_allclose(np.array(mine, float), np.array(theirs, float), rtol=1e-4)


def test_each_leaves_a_folder_of_its_own(together, make_jobs, mesh):
    states, folder = together
    for job, state in zip(make_jobs(folder), states):
        assert read_run(job.folder) == job.run and read_run(job.folder).start.weights == int(job.run.name[1])
        assert is_finished(job.run, job.folder)
        assert same(load_params(job.run, job.folder, mesh), state.params)
        assert same(job.load(), transformer.init_params(job.run.model, jax.random.key(int(job.run.name[1]))))
    assert not same(states[0].params, states[1].params)


@pytest.mark.parametrize('stop_after', [0, 1])
def test_stopped_and_resumed_they_are_the_same(together, make_jobs, mesh, tmp_path, stop_after):
    calls = itertools.count()
    with pytest.raises(loop.Stopped, match='run r0 and 2 more stopped at step'):
        train_jobs(make_jobs(tmp_path), mesh, should_stop=lambda: next(calls) >= stop_after, watch=QUIET)
    states = train_jobs(make_jobs(tmp_path), mesh, watch=QUIET)
    assert all(map(same, states, together[0]))
    assert [rows_of(tmp_path / f'r{i}') for i in range(3)] == [rows_of(together[1] / f'r{i}') for i in range(3)]


def test_killed_while_saving_they_begin_again_from_where_all_are(together, make_jobs, mesh, tmp_path):
    """One has its last checkpoint and result, the others nothing: what is done again comes out the same."""
    shutil.copytree(together[1] / 'r1', tmp_path / 'r1')
    states = train_jobs(make_jobs(tmp_path), mesh, watch=QUIET)
    assert all(map(same, states, together[0]))
    assert all(is_finished(job.run, job.folder) for job in make_jobs(tmp_path))
    again = train_jobs(make_jobs(tmp_path), mesh, watch=QUIET)  # all are finished: nothing is trained
    assert all(map(same, again, states))


def test_what_cannot_go_together_is_refused(make_jobs, tmp_path, mesh):
    jobs = make_jobs(tmp_path)
    odd = jobs[2]._replace(run=dataclasses.replace(jobs[2].run, tokens=64 * 6))
    with pytest.raises(ValueError, match='runs r0 and r2 cannot be trained together; they may differ in their texts'):
        train_jobs([*jobs[:2], odd], mesh, watch=QUIET)
    with pytest.raises(ValueError, match='run r0 starts from the params of d16; give what loads them'):
        train_jobs([jobs[0]._replace(load=None, folder=tmp_path.parent / 'no-params')], mesh, watch=QUIET)
    with pytest.raises(ValueError, match='3 runs are to be trained together on 2 devices'):
        train_jobs(jobs, make_mesh(jax.devices()[:2]), watch=QUIET)
    assert not list(tmp_path.iterdir())
