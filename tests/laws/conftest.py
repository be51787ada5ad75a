"""Planted data for the laws: the grid of the mini study and one of the paper's sizes, and laws to plant in them.

Both grids are 24 runs x 8 k, so that the fits of all tests share their executables.
"""

import dataclasses

import numpy as np
import pytest
from made_up import make_fit

from t2jax.laws.forms import LAWS
from t2jax.laws.observations import Observations

LOSS = {'E': 0.3, 'A': 400.0, 'B': 900.0, 'alpha': 0.46, 'beta': 0.47}
SAMPLES = {'G': 1.5, 'gamma': 0.4}
COST = {'H': 0.002, 'eta': 0.7}
THETAS = {'theta0': 4.0, 'theta1': 1.1, 'theta2': 0.8, 'theta3': 2.0, 'theta4': -0.35}
BY_K = {'e': 0.3, 'a': -0.05, 'b': -0.06, 'alpha_k': 0.02, 'beta_k': 0.015}
BILINEAR = {'c0': 3.0, 'c1': -0.06, 'c2': -0.2, 'c3': -0.003}


@pytest.fixture(scope='session')
def planted():
    """Parameters that tests plant, by law."""
    return {
        'chinchilla': LOSS,
        't2-nll': LOSS | SAMPLES,
        't2-accuracy': LOSS | THETAS,
        't2-nll-overtraining': LOSS | SAMPLES | COST,
        'per-k': LOSS | BY_K,
        'log-bilinear': BILINEAR,
    }


@pytest.fixture(scope='session')
def plant(planted):
    """Give rows the NLL of one law and the pass@k of another, with noise by row and by run."""

    def build(rows, loss='t2-nll', passed='t2-accuracy', *, noise=0.0, by_run=0.0, seed=0, **parameters):
        rng = np.random.default_rng(seed)
        runs, of_row = np.unique(rows.run, return_inverse=True)
        factor = np.exp(noise * rng.normal(size=(2, len(rows))) + by_run * rng.normal(size=(2, len(runs)))[:, of_row])
        at = (rows.params, rows.tokens, rows.k, np)
        nll, chance = (LAWS[name].predict(planted[name] | parameters, *at) for name in (loss, passed))
        return dataclasses.replace(rows, nll=nll * factor[0], pass_at_k=np.minimum(chance * factor[1], 1))

    return build


@pytest.fixture(scope='session')
def empty_rows():
    """Build rows of runs (sizes x budgets) x k, of whole batches of tokens, with nan for all measurements."""

    def build(sizes, budgets, ks, batch=512, task='macro'):
        size, budget = (x.ravel() for x in np.meshgrid(sizes, budgets, indexing='ij'))
        tokens = np.round(budget / (6 * size) / batch) * batch
        run = np.array([f'n{s:g}-{c:.1e}' for s, c in zip(size, budget)])
        run, size, tokens = (np.repeat(x, len(ks)) for x in (run, size, tokens))
        k = np.tile(ks, len(run) // len(ks))
        return Observations(run=run, task=np.full(len(run), task), params=size, tokens=tokens, k=k)

    return build


@pytest.fixture(scope='session')
def mini_rows(empty_rows):
    """The 24 runs of the mini study at k = 1, 2, ..., 128."""
    sizes = np.array([6036, 11120, 22440, 39904, 86352, 155072.0])
    return empty_rows(sizes, [8e10, 1.6e11, 3.2e11, 6.4e11], 2.0 ** np.arange(8))


@pytest.fixture(scope='session')
def paper_rows(empty_rows):
    """Runs as large as the paper's, 5M to 901M parameters and 1.25e16 to 2.56e19 FLOPs, at k = 1, 4, ..., 16384."""
    sizes = np.array([5e6, 22e6, 57e6, 149e6, 347e6, 901e6])
    return empty_rows(sizes, 1.25e16 * 12.7 ** np.arange(4), 4.0 ** np.arange(8), batch=256 * 2048)


@pytest.fixture(scope='session')
def fit_of(planted):
    """Build a fit of a law, by name, with its planted parameters and made-up figures."""

    def build(law, **changes):
        figures = {'objective_value': 0.1 + 0.2, 'n_points': 192, 'n_runs': 24, 'starts': 500, 'share_at_best': 0.98}
        figures |= {'gradient_norm': 1e-12, 'condition_number': 47.2}
        figures |= {'residuals': {'rms': 0.01, 'largest_at': 'run a, k = 1'}}
        return make_fit(law, **{'parameters': planted[law]} | figures | changes)

    return build
