"""A made-up finished study, small and quick: planted laws, exact observations, sampled columns with noise."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from made_up import make_fit
from matplotlib.figure import Figure

from t2jax.laws.checkpoints import allocation_rows
from t2jax.laws.forms import LAWS
from t2jax.laws.observations import COLUMNS, Observations, macro_average, where
from t2jax.laws.record import Fit, fit_to_dict, save_fit
from t2jax.laws.scores import score, split
from t2jax.laws.tables import write_observations
from t2jax.laws.workdir import Tables
from t2jax.plotting import report
from t2jax.plotting.figures import csv_bytes
from t2jax.plotting.results import read_results
from t2jax.plotting.style import png_bytes

SIZES = (3e3, 6e3, 12e3, 24e3, 48e3, 96e3)
BUDGETS = (8e10, 3.2e11)
KS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LOSS = {'E': 0.5, 'A': 1.2 * 3e4**0.4, 'B': 1.0 * 1.5e6**0.4, 'alpha': 0.4, 'beta': 0.4}
PLANTED = {
    'chinchilla': LOSS,
    't2-nll': LOSS | {'G': 1.5, 'gamma': 0.3},
    't2-accuracy': LOSS | {'theta0': 3.0, 'theta1': 1.2, 'theta2': 0.9, 'theta3': 0.2, 'theta4': -0.1},
}


def planted_fit(law: str, observations: Observations, task: str = 'macro', **changes: float) -> Fit:
    spans = {
        'params_range': observations.params,
        'tokens_per_param_range': observations.tokens / observations.params,
        'train_flops_range': observations.train_flops,
        'k_range': observations.k,
    }
    return make_fit(
        law,
        PLANTED[law] | changes,
        task=task,
        n_points=len(observations),
        n_runs=len(set(observations.run)),
        starts=8,
        share_at_best=0.75,
        sizes=tuple(sorted(set(observations.params.tolist()))),
        **{name: (float(values.min()), float(values.max())) for name, values in spans.items()},
        warnings=('theta2 is at a made-up bound',) if law == 't2-accuracy' else (),
    )


def observe(sizes: tuple[float, ...], sampled: bool) -> Observations:
    """Measure planted laws, exactly by likelihood and with a little noise by 16 samples."""
    noise = np.random.default_rng(0)
    rows = []
    for budget in BUDGETS:
        for params in sizes:
            tokens = budget / (6 * params)
            for task, ease in (('knowledge', 0.9), ('spatial', 1.1)):
                for k in KS:
                    where_k = (np.float64(params), np.float64(tokens), np.float64(k), np)
                    nll = ease * LAWS['t2-nll'].predict(PLANTED['t2-nll'], *where_k)
                    share = LAWS['t2-accuracy'].predict(PLANTED['t2-accuracy'], *where_k) ** ease
                    row = [f'n{params:g}-{budget:.0e}', task, params, tokens, budget, k, nll, share]
                    guess = float(np.clip(share + noise.normal(0, 0.01), 0.02, 0.98))
                    drawn = sampled and k <= 16
                    rows.append(row + ([16, guess, guess - 0.015, guess + 0.015] if drawn else [np.nan] * 4))
    columns = dict(zip(COLUMNS, zip(*rows)))
    text = ('run', 'task')
    columns = {n: np.array(v, dtype=None if n in text else float) for n, v in columns.items()}
    return Observations(**columns, measure=np.full(len(rows), 'likelihood'))


def with_refits(fit: Fit, n: int = 12) -> Fit:
    """Give a fit refits about its parameters."""
    noise = np.random.default_rng(1)
    drawn = {name: tuple((v * np.exp(noise.normal(0, 0.02, n))).tolist()) for name, v in fit.parameters.items()}
    return replace(fit, replicates=drawn, resampled='runs')


@pytest.fixture(scope='session')
def make_study(tmp_path_factory) -> Callable[..., Path]:
    """Write a finished study; options leave out a thing or bend it, and say so in their names."""

    def make(
        *,
        sizes: tuple[float, ...] = SIZES,
        sampled: bool = True,
        held_out: bool = True,
        inference_flops: float = 1e6,
        laws: tuple[str, ...] = tuple(PLANTED),
        answers: bool = True,
        text: bool = True,
        refits: bool = False,
        never_measured: tuple[str, ...] = (),
        bend_rows: Callable[[list[dict]], None] = lambda rows: None,
        bend_fit: Callable[[Fit], Fit] = lambda fit: fit,
        provenance: dict | None = None,
    ) -> Path:
        workdir = tmp_path_factory.mktemp('study')
        observations = observe(sizes, sampled)
        macro = macro_average(observations)
        once = where(macro, macro.k == 1)
        losses = replace(once, task=np.full(len(once), 'text')) if text else once
        if answers:
            write_observations(workdir / 'observations.csv', observations)
        if text:
            write_observations(workdir / 'losses.csv', losses)
        fits = {}
        for law in laws if answers else ('chinchilla',):
            main = str(losses.task[0]) if law == 'chinchilla' else 'macro'
            fits[law] = bend_fit(planted_fit(law, losses if law == 'chinchilla' else macro, main))
            fits[law] = with_refits(fits[law]) if refits else fits[law]
            tests = {}
            tasks = {main: losses if main == 'text' else macro}
            if answers:
                tasks |= {task: where(observations, observations.task == task) for task in ('knowledge', 'spatial')}
            for task, mine in tasks.items() if held_out else ():
                near, over = split(mine, 150.0)
                near_fit = planted_fit(law, near, task)
                tests[task] = {'fit': fit_to_dict(near_fit), 'scores': asdict(score(near_fit, near, over))}
            by_task = {task: fit_to_dict(planted_fit(law, mine, task)) for task, mine in tasks.items() if task != main}
            save_fit(workdir / 'fits' / f'{law}.json', fits[law], extra={'by_task': by_task, 'held_out': tests})
        rows = allocation_rows(
            fits, macro if answers else Observations(params=[], tokens=[], k=[]), losses, inference_flops
        )
        bend_rows(rows)
        (workdir / 'allocation.json').write_text(json.dumps(rows))
        refused = {law: 'there are too few rows' for law in PLANTED if law not in fits}
        (workdir / 'fits.json').write_text(json.dumps({'made_from': {}, 'refused': refused}))
        names = [{'name': str(run)} for run in (*dict.fromkeys(macro.run.tolist()), *never_measured)]
        settings = {'inference_flops': inference_flops, 'runs': names, 'training': {'seed': 1, 'note': '<b>bold</b>'}}
        (workdir / 'study.json').write_text(json.dumps(settings))
        if provenance is not None:
            (workdir / 'provenance.json').write_text(json.dumps(provenance))
        return workdir

    return make


@pytest.fixture(scope='session')
def study(make_study) -> Path:
    return make_study(provenance={'commit': 'c0ffee', 'wall_seconds': {'train': 187.5}})


@pytest.fixture(scope='session')
def results(study):
    return read_results(study)


@pytest.fixture(scope='session')
def refits(make_study):
    return read_results(make_study(refits=True))


@pytest.fixture(scope='session')
def bare(results):
    """The study before any fit."""
    return replace(results, fits={}, by_task={}, held_out={}, rows=[])


@pytest.fixture(scope='session')
def losses_alone(make_study):
    return read_results(make_study(answers=False))


@pytest.fixture(scope='session')
def ladder(results):
    """Runs that share no budgets: those of the study, each trained a little longer than the one before."""

    def longer(rows):
        factors = {run: 1.05**at for at, run in enumerate(sorted(set(results.macro.run.tolist())))}
        factor = np.array([factors[run] for run in rows.run.tolist()])
        return replace(rows, tokens=rows.tokens * factor, train_flops=rows.train_flops * factor)

    observations, losses = longer(results.observations), longer(results.losses)
    tables = Tables(observations, macro_average(observations), losses)
    rows = allocation_rows(results.fits, tables.macro, losses, results.inference_flops)
    return replace(results, tables=tables, rows=rows)


@pytest.fixture
def unrendered(monkeypatch):
    """Draw the figures of a report, but render none: for tests of its words, to which they are most of the time."""
    dot = png_bytes(Figure(figsize=(0.1, 0.1)))

    def files_of(name, figure, numbers):
        return {f'{name}.png': dot, f'{name}.pdf': b'', f'{name}.csv': csv_bytes(numbers)}

    monkeypatch.setattr(report, 'files_of', files_of)
