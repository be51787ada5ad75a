"""Pretraining on real text: a grid of runs, and one run of it over all devices of a slice.

A Grid says what is trained on what. `t2jax train GRID --run NAME` trains one run of it, in WORKDIR/runs/NAME; a grid is
as many such commands as it has runs, on one slice after another or on many at once.
"""

import dataclasses
import difflib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from tqdm import tqdm

from t2jax import distributed
from t2jax.config import override
from t2jax.data.feed import Feed
from t2jax.data.shards import Shards, open_shards
from t2jax.laws.settings import LawSettings
from t2jax.mesh import Layout, make_mesh
from t2jax.models.config import ModelConfig
from t2jax.training import loop
from t2jax.training.checkpoint import Checkpoints
from t2jax.training.metrics import Watch
from t2jax.training.recipe import Recipe
from t2jax.training.runs import RunConfig
from t2jax.training.step import check_layout


@dataclass(frozen=True)
class Cell:
    """One run of a grid: a model, how many tokens it is trained on, and how it is spread over devices."""

    name: str
    model: ModelConfig
    tokens: float
    overtrained: bool = False  # beyond the near-Chinchilla runs that laws are fitted to
    layout: Layout = Layout()  # for the grid's slice; `adapt` fits it to others


@dataclass(frozen=True)
class Grid:
    """Runs that share text, recipe and seed."""

    workdir: str  # a folder, or its address in a bucket, gs://BUCKET/FOLDER
    tokens: str  # what `t2jax tokenize` wrote: likewise
    seed: int  # of initial params and of data order
    recipe: Recipe
    runs: tuple[Cell, ...]
    slice: str = 'v5e:4x4'  # what the layouts are meant for
    checkpoints: Checkpoints = Checkpoints()
    # for the stages of a study that follow, once the runs are trained and scored (`t2jax score`)
    inference_flops: float = 2e9  # C_inf of the allocation, FLOPs per served token (T2, figures 3 and 4)
    laws: LawSettings = LawSettings(overtrained_from=100.0)

    def __post_init__(self) -> None:
        names = [run.name for run in self.runs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not names or twice:
            raise ValueError(f'run names repeat: {twice}; rename them' if twice else 'the grid has no runs')
        if not 0 < self.inference_flops < math.inf:
            raise ValueError(f'inference_flops is {self.inference_flops}; a budget has to be above 0 and finite')

    def cell(self, name: str) -> Cell:
        """Return the run of this name; raises ValueError with the nearest names where there is none."""
        for cell in self.runs:
            if cell.name == name:
                return cell
        size = name.partition('@')[0]
        of_size = [cell.name for cell in self.runs if cell.name.partition('@')[0] == size]
        near = difflib.get_close_matches(name, of_size or [cell.name for cell in self.runs], n=4, cutoff=0)
        raise ValueError(f'the grid has no run {name!r}; the nearest of its {len(self.runs)} are {", ".join(near)}')

    def config(self, cell: Cell, flags: Sequence[str] = ()) -> RunConfig:
        """Return a run as a full training config; flags override its fields, e.g. --recipe.learning-rate 1e-3."""
        run = RunConfig(
            cell.name, cell.model, cell.tokens, self.recipe, self.seed, layout=cell.layout, checkpoints=self.checkpoints
        )
        return override(run, flags)


def adapt(layout: Layout, recipe: Recipe, devices: int, slices: int) -> Layout:
    """Fit a layout to devices in so many slices: no more microbatches than there are sequences for each device."""
    rows = max(1, recipe.batch_sequences * layout.tensor // devices)
    return dataclasses.replace(layout, slices=slices, microbatches=math.gcd(layout.microbatches, rows))


def count_slices(devices: Sequence[jax.Device]) -> int:
    """Count the TPU slices that devices belong to; other platforms are one."""
    return len({getattr(device, 'slice_index', None) or 0 for device in devices})


def open_text(grid: Grid, run: RunConfig) -> Feed:
    """Open the grid's tokens for a run; no tokenizer is needed.

    Raises ValueError for a model whose vocabulary is smaller than the tokens'; OSError where there are none.
    """
    shards = open_shards(grid.tokens, None)
    check_vocabulary(shards, run.model, grid.tokens)
    recipe = run.recipe
    return Feed(shards, recipe.batch_sequences, recipe.sequence_length, run.seed, recipe.epochs)


def check_vocabulary(shards: Shards, model: ModelConfig, where: str) -> None:
    """Raise ValueError for a model whose vocabulary does not hold every id of the tokens."""
    if model.vocab < shards.vocabulary_size:
        raise ValueError(
            f'the model has a vocabulary of {model.vocab}, and ids in {where} go up to {shards.vocabulary_size - 1}; '
            f'give the model a vocab of at least {shards.vocabulary_size}'
        )


def train_run(grid: Grid, run: RunConfig, workdir: str, watch: Watch, quiet: bool = False) -> None:
    """Train one run over all devices of all hosts, or take it up from its last checkpoint.

    Raises what `loop.train` does, and ValueError for devices that the run's layout does not fit.
    """
    feed, devices = open_text(grid, run), jax.devices()
    layout = adapt(run.layout, run.recipe, len(devices), count_slices(devices))
    run = dataclasses.replace(run, layout=layout)
    mesh = make_mesh(devices, layout)
    check_layout(run.model, run.recipe, mesh, layout)
    first = distributed.is_first()
    with tqdm(
        total=run.train_flops, unit='FLOP', unit_scale=True, desc=run.name, disable=quiet or not first, mininterval=1
    ) as bar:
        loop.train(run, feed, folder_of(workdir, run.name), mesh, _from_here(bar), watch=watch)


def folder_of(workdir: str, name: str) -> str:
    """Return where a run goes, under a folder or an address in a bucket."""
    return os.path.join(workdir, 'runs', name)


def _from_here(bar: Any) -> Callable[[float], None]:
    """Let a bar start where a resumed run does: the first call tells what is already done, which took no time now."""
    begun = False

    def update(flops: float) -> None:
        nonlocal begun
        if begun:
            bar.update(flops)
        else:
            bar.initial, begun = flops, True
            bar.n = flops
            bar.refresh()

    return update
