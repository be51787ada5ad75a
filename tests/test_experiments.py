"""The experiments that no published number tests: what is theirs alone, on small data."""

import sys
from pathlib import Path

import numpy as np
import pytest

from t2jax.laws.observations import Observations

EXPERIMENTS = Path(__file__).resolve().parents[1] / 'experiments'


@pytest.fixture
def experiment(monkeypatch):
    """Import an experiment by name."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    yield lambda name: __import__(name)
    for name in ('fit_speed', 'pythia_passk'):
        sys.modules.pop(name, None)


def test_scipy_minimises_what_the_fit_minimises(experiment):
    """On a few runs: from a start at the planted law, both gradients end at the objective of the project's own fit."""
    from t2jax.laws.fit import fit_law
    from t2jax.laws.forms import T2_NLL

    fit_speed = experiment('fit_speed')
    sizes = np.geomspace(1e7, 1e9, 6)
    rows = fit_speed.plant(np.repeat(sizes, 2), np.repeat(sizes, 2) * np.tile([20, 200], 6))
    assert len(rows) == 12 * 15
    planted = fit_speed.PLANTED
    start = [np.log(planted[name]) if name in T2_NLL.linear else planted[name] for name in T2_NLL.parameters]
    best = fit_law(T2_NLL, rows, starts=40).objective_value
    for analytic in (False, True):
        _, values = fit_speed.scipy_fit(rows, np.array([start]), analytic)
        assert values[0] == pytest.approx(best, rel=1e-3) and values[0] >= best * (1 - 1e-9)


def test_what_overtraining_leaves_is_of_each_sizes_last_checkpoint(experiment):
    rows = Observations(
        params=np.array([1e6, 1e6, 1e6, 4e6, 4e6]),
        tokens=np.array([1e7, 1e9, 1e8, 4e7, 4e8]),
        k=np.ones(5),
        pass_at_k=np.array([0.1, 0.2, 0.4, 0.1, 0.3]),
    )
    said = experiment('pythia_passk').overtrained_drops(rows)
    assert said == ['1e+06: 100, 50%', '4e+06: 100, 100%']
