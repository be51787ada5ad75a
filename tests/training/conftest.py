"""A text, and one small run through it, for all tests of training."""

import jax
import numpy as np
import pytest

from t2jax.data.feed import Feed
from t2jax.data.shards import Shards
from t2jax.mesh import Layout, make_mesh
from t2jax.training import loop
from t2jax.training.checkpoint import Checkpoints
from t2jax.training.runs import RunConfig


@pytest.fixture(scope='session')
def feed():
    """A text with a pattern in it: each word tells the next but one."""
    rng = np.random.default_rng(0)
    ids = np.cumsum(rng.integers(1, 3, 40_000)) % 11
    return Feed(Shards((ids.astype(np.uint16),), {}), batch_sequences=8, sequence_length=8, seed=0)


@pytest.fixture(scope='session')
def run(tiny, tiny_recipe):
    return RunConfig(
        'd16',
        tiny,
        64 * 40,
        tiny_recipe,
        seed=1,
        layout=Layout(steps_per_dispatch=8),
        checkpoints=Checkpoints(every=16),
    )


@pytest.fixture(scope='session')
def finished(run, feed, tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    return loop.train(run, feed, folder, make_mesh(jax.devices()[:1])), folder
