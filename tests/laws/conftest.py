"""Planted data for the laws: the grid of the mini study, and the paper's, with nothing measured yet."""

import numpy as np
import pytest

from t2jax.laws.observations import Observations

LOSS = {'E': 0.3, 'A': 400.0, 'B': 900.0, 'alpha': 0.46, 'beta': 0.47}
SAMPLES = {'G': 1.5, 'gamma': 0.4}
THETAS = {'theta0': 4.0, 'theta1': 1.1, 'theta2': 0.8, 'theta3': 2.0, 'theta4': -0.35}


@pytest.fixture(scope='session')
def planted():
    """Parameters of the three laws that tests plant, by law."""
    return {'chinchilla': LOSS, 't2-nll': LOSS | SAMPLES, 't2-accuracy': LOSS | THETAS}


@pytest.fixture(scope='session')
def empty_rows():
    """Build rows of runs (sizes x budgets) x k, of whole batches of tokens, with nan for all measurements."""

    def build(sizes, budgets, ks, batch=512, task='macro'):
        size, budget = (x.ravel() for x in np.meshgrid(sizes, budgets, indexing='ij'))
        tokens = np.round(budget / (6 * size) / batch) * batch
        run = np.array([f'n{s:g}-{c:.1e}' for s, c in zip(size, budget)])
        run, size, tokens = (np.repeat(x, len(ks)) for x in (run, size, tokens))
        k, nan = np.tile(np.asarray(ks, float), len(run) // len(ks)), np.full(len(run), np.nan)
        return Observations(
            run, np.full(len(run), task), size, tokens, 6 * size * tokens, k, *[nan.copy() for _ in range(6)]
        )

    return build


@pytest.fixture(scope='session')
def mini_rows(empty_rows):
    """The 24 runs of the mini study at k = 1, 2, ..., 128."""
    sizes = np.array([6036, 11120, 22440, 39904, 86352, 155072.0])
    return empty_rows(sizes, [8e10, 1.6e11, 3.2e11, 6.4e11], 2.0 ** np.arange(8))


@pytest.fixture(scope='session')
def paper_rows(empty_rows):
    """Runs as large as the paper's, 5M to 900M parameters and 1.25e16 to 2.56e19 FLOPs, at six k."""
    sizes = np.array([5e6, 9e6, 22e6, 57e6, 149e6, 347e6, 901e6])
    return empty_rows(sizes, 1.25e16 * 4.0 ** np.arange(6), [1, 4, 16, 64, 256, 1024], batch=256 * 2048)
