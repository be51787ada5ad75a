"""A run: one model trained on so many tokens, from random params or from another's; and its folder, read back.

FOLDER/config.json       the RunConfig
FOLDER/tokens.json       what the tokens were made with: fingerprint, name, size, end-of-document id
FOLDER/checkpoints/STEP  see checkpoint.py
FOLDER/result.json       once finished
"""

import dataclasses
import zlib
from typing import Any

import jax
from etils import epath
from jax.sharding import Mesh

from t2jax import costs
from t2jax.config import from_dict, read_json
from t2jax.mesh import Layout
from t2jax.models.config import ModelConfig
from t2jax.training import checkpoint
from t2jax.training.checkpoint import Checkpoints
from t2jax.training.recipe import Recipe
from t2jax.training.step import TrainState, init_state, state_shardings

CONFIG, RESULT, VOCABULARY = 'config.json', 'result.json', 'tokens.json'


@dataclasses.dataclass(frozen=True)
class Start:
    """The trained model whose params a run begins with, instead of random ones."""

    run: str
    step: int
    weights: int  # sum of the bits of its params
    tokens: float | None  # D, that it was trained on
    context: int  # tokens that it was trained on at once
    bos: str | None  # token that its texts begin with


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
    start: Start | None = None

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
    return (folder / RESULT).exists() and checkpoint.latest_step(folder / 'checkpoints') == run.steps


def read_run(folder: epath.PathLike) -> RunConfig:
    """Read back what a folder's run was trained as; raises FileNotFoundError where there is none."""
    path = epath.Path(folder) / CONFIG
    if not path.exists():
        raise FileNotFoundError(f'{folder} is no run: it has no {CONFIG}; give a folder such as WORKDIR/runs/NAME')
    return from_dict(RunConfig, read_json(path, 'give a run that can be read'), str(path))


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


def state_shapes(run: RunConfig, mesh: Mesh) -> TrainState:
    """Return the run's state as shapes with shardings on this mesh."""
    shapes = jax.eval_shape(lambda: init_state(run.model, run.recipe, jax.random.key(0)))
    shardings = state_shardings(run.model, run.recipe, mesh)
    place = lambda shape, where: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=where)
    return jax.tree.map(place, shapes, shardings)
