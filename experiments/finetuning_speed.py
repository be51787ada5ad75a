"""Are several small models fine-tuned faster together, under vmap, than one after another?

    python experiments/finetuning_speed.py

Steps of batch 8, rows of 24 tokens, of the mini study's sizes: 24 models one after another, by the program that trains
one, and all in one program. Both are run once to compile, then timed; their params have to agree.

Two CPU cores, 2026-11-25, quiet: 1.18, 1.26, 1.18, 1.34, 1.07 and 1.13 times as fast together, from N = 3,176 (0.62
against 0.53 ms a step and model) to N = 87,024 (2.6 against 2.3 ms). No accelerator was at hand.
"""

import dataclasses
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from configs import ladder, recipe
from t2jax import costs
from t2jax.data.rows import mark
from t2jax.data.world import World
from t2jax.mesh import Layout, make_mesh
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.training.jobs import join, together
from t2jax.training.recipe import make_schedule
from t2jax.training.step import make_begin, make_train_steps

MODELS, STEPS, BATCH, LENGTH = 24, 64, 8, 24
# at a higher rate, on words drawn at random, rounding grows by itself to differences that say nothing
CHANGES = {'learning_rate': 1e-4, 'reference_width': 0, 'decay': 'constant'}
RECIPE = dataclasses.replace(recipe.MINI, batch_sequences=BATCH, sequence_length=LENGTH, **CHANGES)


def main() -> None:
    """Time each size both ways."""
    mesh = make_mesh(jax.devices()[:1])
    print(f'{jax.devices()[0].device_kind}, {MODELS} models, ms a step and model: one after another, together, ratio')
    for model in ladder.mini(len(World().vocabulary())):
        apart, side_by_side = measure(model, mesh)
        print(f'N = {costs.count_params(model):>6,}: {apart:.3f}  {side_by_side:.3f}  {apart / side_by_side:.2f} x')


def measure(model: ModelConfig, mesh: jax.sharding.Mesh) -> tuple[float, float]:
    """Return ms for a step of one model, alone and among all; raises AssertionError where they disagree."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, model.vocab, (MODELS, STEPS, BATCH, LENGTH + 1))
    marked = mark(tokens, rng.random(tokens.shape) < 0.5)
    schedule = make_schedule(RECIPE, model, STEPS * BATCH * LENGTH)
    begin = make_begin(model, RECIPE, mesh)
    params = [transformer.init_params(model, jax.random.key(i)) for i in range(MODELS)]
    states = lambda: [begin(each) for each in params]
    one, many = make_train_steps(model, RECIPE, mesh), together(model, RECIPE, mesh, Layout())
    schedules = jax.tree.map(lambda x: np.stack([x] * MODELS), schedule)

    def apart() -> list:
        return [one(state, schedule, rows, np.int32(STEPS))[0].params for state, rows in zip(states(), marked)]

    def side_by_side() -> list:
        state = many(join(states()), schedules, marked, np.int32(STEPS))[0]
        return [jax.tree.map(lambda x, i=i: x[i], state.params) for i in range(MODELS)]

    (one_by_one, alone), (all_at_once, beside) = timed(apart), timed(side_by_side)
    gaps = jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), one_by_one, all_at_once)
    assert max(jax.tree.leaves(gaps)) < 1e-3, max(jax.tree.leaves(gaps))
    return alone, beside


def timed(work: Callable[[], list]) -> tuple[list, float]:
    """Run work twice; return its result, and the second time in ms a step and model."""
    jax.block_until_ready(work())
    start = time.perf_counter()
    result = jax.block_until_ready(work())
    return result, 1e3 * (time.perf_counter() - start) / (STEPS * MODELS)


if __name__ == '__main__':
    main()
