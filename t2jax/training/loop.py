"""One run, from its first step or its last checkpoint to its end, on one host or many.

Order of a resume:
1. refuse a run longer than the text, and a folder of another config (layout, checkpoints and spike_nats may change);
2. clear away checkpoints that a killed writer left unfinished; restore the newest one that can be read onto this mesh,
   whatever devices wrote it, moving damaged ones aside; refuse other text than it was trained on;
3. cut metrics.jsonl back to the step of that checkpoint;
4. ask the feed for the batches after it. They are a function of (seed, step), so the resumed run is the uninterrupted
   one: bitwise on as many devices of the same kind, else up to rounding.

A checkpoint of step s is written only when the losses of all steps up to s are read and in order.

FOLDER/config.json        the RunConfig
FOLDER/tokens.json        what the tokens were made with: fingerprint, name, size, end-of-document id
FOLDER/metrics.jsonl      a line per dispatch; FOLDER/tensorboard/ the same; FOLDER/profile/ a trace, where asked for
FOLDER/checkpoints/STEP/  see checkpoint.py
FOLDER/result.json        once finished: tokens and FLOPs achieved, seconds, last loss
FOLDER may be in a bucket, gs://BUCKET/..., given as an etils.epath.Path; several hosts need one they all see.
"""

import contextlib
import dataclasses
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from t2jax import costs
from t2jax.chips import chip_of
from t2jax.config import claim, from_dict, read_json, write_json
from t2jax.data.feed import Feed, host_rows, stream, to_global
from t2jax.mesh import Layout, sharding
from t2jax.models.config import ModelConfig
from t2jax.training import checkpoint
from t2jax.training.checkpoint import CheckpointFolder, Checkpoints, everywhere
from t2jax.training.metrics import Dispatch, Facts, Metrics, Profile, Watch
from t2jax.training.recipe import Recipe, make_schedule, multiplier
from t2jax.training.step import TrainState, init_state, make_init, make_train_steps, state_shardings
from t2jax.training.stopping import Stopped, StopRequests

VOCABULARY = 'tokens.json'
MAY_CHANGE = ('layout', 'checkpoints', 'spike_nats')  # on resume


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """One model trained on `tokens` tokens."""

    name: str
    model: ModelConfig
    tokens: float
    recipe: Recipe
    seed: int
    layout: Layout = Layout()
    checkpoints: Checkpoints = Checkpoints()
    spike_nats: float = 3.0  # a mean loss so far above the median of the recent ones stops the run; 0: none does

    @property
    def steps(self) -> int:
        """Whole steps of the run."""
        return self.recipe.steps(self.tokens)

    @property
    def train_flops(self) -> float:
        """6 N D of the tokens really trained on."""
        return costs.train_flops(costs.count_params(self.model), self.steps * self.recipe.batch_tokens)

    @property
    def step_flops(self) -> int:
        """FLOPs of one step as executed."""
        return costs.train_step_flops(self.model, self.recipe.batch_sequences, self.recipe.sequence_length)

    def key(self) -> jax.Array:
        """Return the run's own random key, a function of study seed and run name."""
        return jax.random.fold_in(jax.random.key(self.seed), zlib.crc32(self.name.encode()))


def is_finished(run: RunConfig, folder: epath.PathLike) -> bool:
    """Tell whether the run's last checkpoint is there, and its result."""
    folder = epath.Path(folder)
    return (folder / 'result.json').exists() and checkpoint.latest_step(folder / 'checkpoints') == run.steps


def state_shapes(run: RunConfig, mesh: Mesh) -> TrainState:
    """Return the run's state as shapes with shardings on this mesh."""
    shapes = jax.eval_shape(lambda: init_state(run.model, run.recipe, jax.random.key(0)))
    shardings = state_shardings(run.model, run.recipe, mesh)
    place = lambda shape, where: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=where)
    return jax.tree.map(place, shapes, shardings)


def train(
    run: RunConfig,
    feed: Feed,
    folder: epath.PathLike,
    mesh: Mesh,
    progress: Callable[[float], None] = lambda flops: None,
    should_stop: Callable[[], bool] = lambda: False,
    watch: Watch | None = None,
) -> TrainState:
    """Train a run to its end and return its state; progress is told the FLOPs, 6 N D, of each dispatch.

    Of several hosts each calls it, with the same arguments and a mesh over all their devices; they are stopped by
    signals: should_stop is for one process.

    Raises Stopped when asked to stop, after saving; FloatingPointError naming the steps when the loss is no longer
    finite or leaps; ValueError for a folder of another config, no readable checkpoint, or too little text; OSError
    where nothing can be written.
    """
    folder, watch = epath.Path(folder), watch or Watch()
    feed.batches(run.steps, 0)  # refuses a run longer than the text before its first step
    _by_first_host(lambda: claim(folder / 'config.json', run, free=MAY_CHANGE))
    _by_first_host(lambda: _note_vocabulary(folder, feed))
    if not everywhere((folder / 'config.json').exists()):
        raise ValueError(f'not every host sees {folder}; several hosts need one folder, as in a bucket gs://...')
    position = _Position(run, feed, mesh)
    flops = run.train_flops / run.steps
    with StopRequests(should_stop) as stop, CheckpointFolder(folder / 'checkpoints', run.checkpoints) as saved:
        found = saved.restore_latest(lambda: state_shapes(run, mesh))
        if found is None:
            step, state = 0, _init(run.model, run.recipe, mesh)(run.key())
        else:
            step, state = position.check(found[1]), found[0]
        progress(flops * step)
        profile, queue = Profile(folder, watch), _Steps(run, feed, mesh)
        with Metrics(folder, step, _facts(run, mesh), watch) as metrics:
            while step < run.steps and stop.code is None:
                with contextlib.closing(queue.blocks(step)) as blocks:
                    for block in blocks:
                        if stop.reached():
                            break
                        profile.before(step, state)
                        state, losses, norms = queue(state, block)
                        done = metrics.add(Dispatch(step, step + len(block), losses, norms))
                        step += len(block)
                        progress(flops * done)
                progress(flops * metrics.settle())
                if step:
                    saved.save(step, state, position.at(step))
                metrics.flush()
            profile.end(state)
        saved.wait()
    if step < run.steps:
        saved_it = ' and saved it' if step else ''
        raise Stopped(f'run {run.name} stopped at step {step} of {run.steps}{saved_it}', stop.code)
    _by_first_host(lambda: write_json(folder / 'result.json', _result(run, metrics)))
    return state


def load_params(run: RunConfig, folder: epath.PathLike, mesh: Mesh, step: int | None = None) -> Any:
    """Read the params of a finished run, or of a run after `step` steps.

    Raises FileNotFoundError if it is not finished, or has no checkpoint of that step.
    """
    if step is None and not is_finished(run, folder):
        raise FileNotFoundError(f'run {run.name} in {folder} is not finished; train it first')
    checkpoints, step = epath.Path(folder) / 'checkpoints', run.steps if step is None else step
    there = checkpoint.saved_steps(checkpoints)
    if step not in there:
        raise FileNotFoundError(f'run {run.name} in {folder} has no checkpoint of step {step}; it has {there}')
    return checkpoint.restore(checkpoints, step, state_shapes(run, mesh))[0].params


def read_run(folder: epath.PathLike) -> RunConfig:
    """Read back what a folder's run was trained as; raises FileNotFoundError where there is none."""
    path = epath.Path(folder) / 'config.json'
    if not path.exists():
        raise FileNotFoundError(f'{folder} is no run: it has no config.json; give a folder such as WORKDIR/runs/NAME')
    return from_dict(RunConfig, read_json(path, 'give a run that can be read'), str(path))


class _Steps:
    """The compiled steps of a run, and the text that feeds them."""

    def __init__(self, run: RunConfig, feed: Feed, mesh: Mesh) -> None:
        self._run, self._feed, self._per = run, feed, run.layout.steps_per_dispatch
        self._compiled = _compiled(run.model, run.recipe, mesh, run.layout)
        self._schedule = make_schedule(run.recipe, run.model, run.tokens)
        self._sharding = sharding(mesh, ('step', 'batch', 'length'))
        self._rows = host_rows(self._sharding, feed.batch_sequences)

    def blocks(self, step: int) -> Iterator[np.ndarray]:
        """Read this host's rows of the steps from `step` to the next checkpoint, a dispatch at a time."""
        return stream(self._feed, step, self._run.checkpoints.next_after(step, self._run.steps), self._per, self._rows)

    def __call__(self, state: TrainState, block: np.ndarray) -> tuple[TrainState, jax.Array, jax.Array]:
        """Queue a block; a short one is filled up, so that it needs no executable of its own."""
        count = np.int32(len(block))
        block = np.pad(block, [(0, self._per - len(block)), (0, 0), (0, 0)])
        tokens = to_global(block, self._rows, self._sharding, self._feed.batch_sequences)
        return self._compiled(state, self._schedule, tokens, count)


# runs of one size share what is compiled
_init = cache(make_init)


@cache
def _compiled(model: ModelConfig, recipe: Recipe, mesh: Mesh, layout: Layout) -> Any:
    return make_train_steps(model, recipe, mesh, layout)


class _Position:
    """Where in its text a run is, as checkpoints record it."""

    def __init__(self, run: RunConfig, feed: Feed, mesh: Mesh) -> None:
        self._run, self._epoch_steps = run, feed.steps // feed.epochs
        text = zlib.crc32(feed.read(0, slice(0, 1)).astype(np.uint32).tobytes())  # changes with seed, order and ids
        devices = f'{mesh.size} x {mesh.devices.flat[0].device_kind}'
        self._same = {'text': text, 'layout': dataclasses.asdict(run.layout), 'devices': devices}

    def at(self, step: int) -> dict[str, Any]:
        place = {'step': step, 'tokens': step * self._run.recipe.batch_tokens, 'epoch': step // self._epoch_steps}
        return place | self._same

    def check(self, saved: dict[str, Any]) -> int:
        """Return the step to go on from; raises ValueError if the run was trained on other text."""
        if saved['text'] != self._same['text']:
            raise ValueError(
                f'run {self._run.name} was trained on other text than it is given now, or in another order; '
                'give it the token shards it began with, or another folder'
            )
        return saved['step']


def _facts(run: RunConfig, mesh: Mesh) -> Facts:
    schedule = make_schedule(run.recipe, run.model, run.tokens)
    rate = lambda step: float(schedule.peak_rate * multiplier(schedule, step))
    chip = chip_of(mesh.devices.flat[0].device_kind)
    peak = chip.flops * mesh.size if chip else None
    return Facts(run.name, run.recipe.batch_tokens, run.step_flops, peak, rate, run.spike_nats)


def _result(run: RunConfig, metrics: Metrics) -> dict[str, Any]:
    return {
        'run': run.name,
        'params': costs.count_params(run.model),
        'steps': run.steps,
        'tokens': run.steps * run.recipe.batch_tokens,
        'train_flops': run.train_flops,
        'executed_flops': run.steps * run.step_flops,
        'seconds': round(metrics.seconds, 3),  # of the dispatches that count: not of starts, nor of steps done twice
        'loss': metrics.loss,
    }


def _note_vocabulary(folder: epath.Path, feed: Feed) -> None:
    if feed.vocabulary and not (folder / VOCABULARY).exists():
        write_json(folder / VOCABULARY, feed.vocabulary)


def _by_first_host(write: Callable[[], None]) -> None:
    """Let one host write, and all go on or give up together."""
    error = None
    if jax.process_index() == 0:
        try:
            write()
        except (ValueError, OSError) as failed:
            error = failed
        except Exception as failed:  # what a bucket's library raises is not documented
            error = OSError(f"the run's folder cannot be written ({' '.join(str(failed).split())[:200]})")
    if jax.process_count() > 1 and multihost_utils.broadcast_one_to_all(np.bool_(error is not None)) and not error:
        raise ValueError('the first host gave up; its own message says why')
    if error:
        raise error
