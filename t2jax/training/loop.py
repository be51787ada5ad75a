"""One run, from its first step or its last checkpoint to its end.

Resume order: read the run's config and refuse another one; restore the last checkpoint; cut metrics.jsonl back to
that step; ask the feed for the batches after it. Since batches are a function of (seed, step), the resumed run is the
uninterrupted one.

FOLDER/config.json, FOLDER/metrics.jsonl (one line per dispatch), FOLDER/checkpoints/<step>/
"""

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from t2jax import costs
from t2jax.config import claim, write_text
from t2jax.data.feed import Feed
from t2jax.models.config import ModelConfig
from t2jax.training import checkpoint
from t2jax.training.recipe import Recipe, make_schedule
from t2jax.training.step import TrainState, init_state, make_init, make_train_steps, state_shardings


@dataclass(frozen=True)
class RunConfig:
    """One model trained on `tokens` tokens."""

    name: str
    model: ModelConfig
    tokens: float
    recipe: Recipe
    seed: int
    steps_per_dispatch: int = 256
    checkpoint_every: int = 0  # steps, rounded up to whole dispatches; 0: at the end alone

    @property
    def steps(self) -> int:
        """Whole steps of the run."""
        return self.recipe.steps(self.tokens)

    @property
    def train_flops(self) -> float:
        """6 N D of the tokens really trained on."""
        return costs.train_flops(costs.count_params(self.model), self.steps * self.recipe.batch_tokens)

    def key(self) -> jax.Array:
        """Return the run's own random key, a function of study seed and run name."""
        return jax.random.fold_in(jax.random.key(self.seed), zlib.crc32(self.name.encode()))


class Stopped(Exception):
    """Training was asked to stop; everything up to the last checkpoint is kept."""


def is_finished(run: RunConfig, folder: Path) -> bool:
    """Tell whether the run's last checkpoint is there."""
    return checkpoint.latest_step(folder / 'checkpoints') == run.steps


def state_shapes(run: RunConfig, mesh: Mesh) -> TrainState:
    """Return the run's state as shapes with shardings on this mesh."""
    shapes = jax.eval_shape(lambda: init_state(run.model, run.recipe, jax.random.key(0)))
    shardings = state_shardings(run.model, run.recipe, mesh)
    place = lambda shape, where: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=where)
    return jax.tree.map(place, shapes, shardings)


def train(
    run: RunConfig,
    feed: Feed,
    folder: Path,
    mesh: Mesh,
    progress: Callable[[float], None] = lambda flops: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainState:
    """Train a run to its end and return its state; progress is told the FLOPs of each dispatch.

    Raises Stopped when asked to stop, FloatingPointError naming the steps when the loss is no longer finite, and
    ValueError for a folder of another config, a damaged checkpoint or too little text.
    """
    claim(folder / 'config.json', run)
    saved = checkpoint.latest_step(folder / 'checkpoints')
    if saved is None:
        state = make_init(run.model, run.recipe, mesh)(run.key())
    else:
        state = checkpoint.restore(folder / 'checkpoints', saved, state_shapes(run, mesh))
    step = saved or 0
    progress(run.train_flops * step / run.steps)
    metrics = _Metrics(folder / 'metrics.jsonl', step)
    train_steps = _compiled(run.model, run.recipe, mesh)
    schedule = make_schedule(run.recipe, run.model, run.tokens)
    since_save = 0
    while step < run.steps:
        if should_stop():
            raise Stopped
        started = time.perf_counter()
        count = min(run.steps_per_dispatch, run.steps - step)
        tokens = _padded(feed.batches(step, count), run.steps_per_dispatch)
        state, losses, norms = train_steps(state, schedule, tokens, jnp.int32(count))
        step, since_save = step + count, since_save + count
        losses, norms = np.asarray(losses)[:count], np.asarray(norms)[:count]
        if not np.isfinite(losses).all():
            raise FloatingPointError(
                f'loss of run {run.name} is not finite between steps {step - count} and {step}; '
                f'lower recipe.learning_rate ({run.recipe.learning_rate})'
            )
        metrics.add(step, run.recipe.batch_tokens, losses, norms, time.perf_counter() - started)
        progress(run.train_flops * count / run.steps)
        if step == run.steps or (run.checkpoint_every and since_save >= run.checkpoint_every):
            checkpoint.save(folder / 'checkpoints', step, state)
            since_save = 0
    return state


def load_params(run: RunConfig, folder: Path, mesh: Mesh) -> Any:
    """Read the params of a finished run; raises FileNotFoundError if it is not finished."""
    if not is_finished(run, folder):
        raise FileNotFoundError(f'run {run.name} in {folder} is not finished; train it first')
    return checkpoint.restore(folder / 'checkpoints', run.steps, state_shapes(run, mesh)).params


@cache
def _compiled(model: ModelConfig, recipe: Recipe, mesh: Mesh) -> Any:
    return make_train_steps(model, recipe, mesh)


def _padded(batches: np.ndarray, steps: int) -> np.ndarray:
    """Fill up to a whole dispatch, so that a run's last one needs no executable of its own."""
    return np.pad(batches, [(0, steps - len(batches)), (0, 0), (0, 0)])


class _Metrics:
    """metrics.jsonl: one line per dispatch, appended as it ends; a resumed run first drops what it will redo."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        old = path.read_text(encoding='utf-8').splitlines() if path.exists() else []
        kept = [line for line in old if line.endswith('}') and json.loads(line)['step'] <= step]
        write_text(path, ''.join(f'{line}\n' for line in kept))

    def add(self, step: int, batch_tokens: int, losses: np.ndarray, norms: np.ndarray, seconds: float) -> None:
        row = {
            'step': step,
            'tokens': step * batch_tokens,
            'loss': round(float(losses.mean()), 6),
            'gradient_norm': round(float(norms.mean()), 6),
            'seconds': round(seconds, 4),
            'tokens_per_second': round(len(losses) * batch_tokens / seconds, 1),
        }
        with open(self._path, 'a', encoding='utf-8') as file:
            file.write(json.dumps(row) + '\n')
