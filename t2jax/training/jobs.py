"""Jobs of the training loop, and the compiled steps of those under way: of one run, or of several under vmap."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import Mesh

from t2jax.data.feed import Feed, host_rows, stream, to_global
from t2jax.data.rows import RowFeed, used_width
from t2jax.mesh import Layout, sharding
from t2jax.models.config import ModelConfig
from t2jax.models.transformer import Params
from t2jax.training.recipe import Recipe, make_schedule
from t2jax.training.runs import RunConfig
from t2jax.training.step import TrainState, make_begin, make_init, make_train_steps, make_validate


class Validation(NamedTuple):
    """Held-out rows [C, B, T + 1], as RowFeed has them, and after which steps they are scored."""

    tokens: np.ndarray
    rows: int  # without those that fill the last batch up
    steps: tuple[int, ...]


class Job(NamedTuple):
    """A run, what it is trained on, where it goes, and what gives the params it starts from; None: random ones."""

    run: RunConfig
    feed: Feed | RowFeed
    folder: epath.PathLike
    load: Callable[[], Params] | None = None
    validation: Validation | None = None


def join(states: Sequence[TrainState]) -> TrainState:
    """Put the states of runs side by side, as a program over all of them takes them; one stays as it is."""
    return jax.tree.map(lambda *parts: jnp.stack(parts), *states) if states[1:] else states[0]


def split(state: TrainState, count: int) -> list[TrainState]:
    """Take them apart again."""
    return [jax.tree.map(itemgetter(i), state) for i in range(count)] if count > 1 else [state]


def begin(job: Job, mesh: Mesh) -> TrainState:
    """Make the state of step 0; raises ValueError for a run that starts from params which nobody gives."""
    if job.run.start and job.load is None:
        raise ValueError(f'run {job.run.name} starts from the params of {job.run.start.run}; give what loads them')
    make = _begin if job.load else _init
    return make(job.run.model, unrated(job.run.recipe), mesh)(job.load() if job.load else job.run.key())


class Steps:
    """The compiled steps of the runs under way, and what feeds them."""

    def __init__(self, jobs: Sequence[Job], mesh: Mesh) -> None:
        run = jobs[0].run
        self._jobs, self._run, self._mesh, self._per = jobs, run, mesh, run.layout.steps_per_dispatch
        make = together if jobs[1:] else _compiled
        self._compiled = make(run.model, run.recipe, mesh, run.layout)
        schedules = [make_schedule(job.run.recipe, job.run.model, job.run.tokens) for job in jobs]
        self._schedule = jax.tree.map(lambda *x: np.stack(x), *schedules) if jobs[1:] else schedules[0]
        self._sharding = sharding(mesh, ('step', 'batch', 'length'))
        self._batch = jobs[0].feed.batch_sequences
        self._rows = host_rows(self._sharding, self._batch)

    def blocks(self, step: int) -> Iterator[list[np.ndarray]]:
        """Read this host's rows of the steps from `step` to the next checkpoint or validation, a dispatch at a time."""
        stop = self._run.checkpoints.next_after(step, self._run.steps)
        looks = [at for job in self._jobs if job.validation for at in job.validation.steps if at > step]
        stop = min([stop, *looks])
        with contextlib.ExitStack() as opened:
            streams = [stream(job.feed, step, stop, self._per, self._rows) for job in self._jobs]
            for one in streams:
                opened.enter_context(contextlib.closing(one))
            yield from map(list, zip(*streams, strict=True))

    def __call__(self, state: TrainState, blocks: list[np.ndarray]) -> tuple[TrainState, jax.Array, jax.Array]:
        """Queue a block of each run; a short one is filled up, so that it needs no executable of its own."""
        count = np.int32(len(blocks[0]))
        width = max(map(used_width, blocks))
        blocks = [block[:, :, :width] for block in blocks]
        blocks = [np.pad(block, [(0, self._per - len(block)), (0, 0), (0, 0)]) for block in blocks]
        if blocks[1:]:
            tokens = jax.device_put(np.stack(blocks), self._mesh.devices.flat[0])
        else:
            tokens = to_global(blocks[0], self._rows, self._sharding, self._batch)
        return self._compiled(state, self._schedule, tokens, count)

    def validate(self, state: TrainState, step: int) -> list[dict[str, float]]:
        """Score what is held out of each run, where it is time: a row to add to its metrics."""
        if not any(job.validation and step in job.validation.steps for job in self._jobs):
            return [{} for _ in self._jobs]
        score = _validate(self._run.model, self._mesh, self._run.layout)
        parts = zip(split(state, len(self._jobs)), self._jobs)
        sums = [score(part.params, job.validation.tokens) / job.validation.rows for part, job in parts]
        return [{'validation_nll': round(float(nll), 6)} for nll in sums]


# runs of one size share what is compiled, whatever their learning rates: those are in their schedules
def unrated(recipe: Recipe) -> Recipe:
    """Return a recipe as it is but for the learning rate."""
    return dataclasses.replace(recipe, learning_rate=1.0)


_init, _begin, _validate = cache(make_init), cache(make_begin), cache(make_validate)


def _compiled(model: ModelConfig, recipe: Recipe, mesh: Mesh, layout: Layout) -> Any:
    return _compile(model, unrated(recipe), mesh, layout)


@cache
def _compile(model: ModelConfig, recipe: Recipe, mesh: Mesh, layout: Layout) -> Any:
    return make_train_steps(model, recipe, mesh, layout)


def together(model: ModelConfig, recipe: Recipe, mesh: Mesh, layout: Layout) -> Any:
    """Return what `make_train_steps` does, for the joined states, schedules and tokens of several runs."""
    return _compile_together(model, unrated(recipe), mesh, layout)


@cache
def _compile_together(model: ModelConfig, recipe: Recipe, mesh: Mesh, layout: Layout) -> Any:
    one = make_train_steps(model, recipe, mesh, layout)
    return jax.jit(jax.vmap(one, in_axes=(0, 0, 0, None)), donate_argnums=0)
