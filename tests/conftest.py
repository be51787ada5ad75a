"""Eight virtual CPU devices for every test, and a model small enough to compile in a second."""

import gc
import os
from pathlib import Path

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('MPLBACKEND', 'Agg')

import jax
import pytest
from browser import browser  # noqa: F401 a fixture
from hypothesis import settings

from t2jax.mesh import make_mesh
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.training.recipe import Recipe

jax.config.update('jax_num_cpu_devices', 8)
settings.register_profile('t2jax', deadline=None)  # a loaded machine is not a failure
settings.load_profile('t2jax')


MAPS = Path('/proc/self/maps')
MOST_MAPS = 20_000  # of the 65,530 that Linux grants a process; beyond them XLA crashes


@pytest.fixture(autouse=True, scope='module')
def forget_programs():
    """Drop what is compiled once it takes too many memory maps: some for every program, and there are thousands."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b'\n') > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


TINY = {'vocab': 12, 'd_model': 16, 'n_layers': 2, 'n_heads': 4, 'hidden_multiple': 8}


@pytest.fixture(scope='session', params=transformer.VARIANTS, ids=lambda kind: kind.__name__)
def variant(request):
    """Tiny decoders, one of each variant of the model."""
    return request.param(**TINY)


@pytest.fixture(scope='session')
def tiny():
    """A decoder of two layers and twelve words."""
    return ModelConfig(**TINY)


@pytest.fixture(scope='module')  # not session: some rooms have a `tiny` of their own
def tiny_params(tiny):
    """Its initial params."""
    return transformer.init_params(tiny, jax.random.key(0))


@pytest.fixture(scope='session')
def one_device():
    """A mesh of the first device."""
    return make_mesh(jax.devices()[:1])


@pytest.fixture(scope='session')
def tiny_recipe():
    """A recipe of eight sequences of eight tokens."""
    return Recipe(batch_sequences=8, sequence_length=8, learning_rate=1e-2, warmup_tokens_per_param=0.1)
