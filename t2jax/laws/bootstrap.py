"""How sure a fit is: refits to resampled runs, resampled questions, or both.

Runs are the units that training made: all rows of a run are drawn together, as a weight (Efron and Tibshirani 1993,
cluster bootstrap). Questions are drawn by `questions.resampled`, which gives the same rows with other values. Each
replicate is searched again from the fit and from a few points about it, many replicates at once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import jax
import numpy as np
from tqdm import tqdm

from t2jax.laws.accuracy import ACCURACY_OF_LOSS, isoflop_weights
from t2jax.laws.fit import FitProblem, check, float64_on_cpu, pose, rows_of
from t2jax.laws.forms import CHINCHILLA, LAWS, T2_ACCURACY
from t2jax.laws.lm import Search
from t2jax.laws.observations import Observations
from t2jax.laws.projection import coefficients_at, make_design, project_each
from t2jax.laws.record import Fit
from t2jax.laws.search import coordinates_of, parameters_at, search_each

RESAMPLED = ('runs', 'questions', 'both')
STARTS = 3  # the fit itself, and points about it
_CHUNK = 100  # replicates searched at once


def bootstrap(
    fit: Fit,
    observations: Observations,
    *,
    n: int = 400,
    seed: int = 0,
    resample: str = 'runs',
    redrawn: Iterable[Observations] | None = None,
    quiet: bool = True,
) -> Fit:
    """Refit `fit` to `n` resampled versions of the observations that it was fitted to; returns it with `replicates`.

    For 'questions' and 'both', `redrawn` has at least n versions of the observations, row by row, from other draws
    of the questions. Raises ValueError where that is missing, or where there is nothing to resample.
    """
    law = LAWS[fit.law]
    check(law, observations, fit.objective, 1)
    if n < 1:
        raise ValueError(f'n is {n}; a bootstrap needs at least 1 refit')
    if resample not in RESAMPLED:
        raise ValueError(f'cannot resample {resample!r}; choose {", ".join(RESAMPLED)}')
    if (resample != 'runs') != (redrawn is not None):
        raise ValueError(
            f'resampling {resample} takes a table with one row per question'
            if redrawn is None
            else 'redrawn questions are for resampling questions or both'
        )
    rows = rows_of(law, observations)
    runs, of_row = np.unique(rows.run, return_inverse=True)
    if resample != 'questions' and len(runs) < 2:
        raise ValueError('there is one run; its uncertainty needs several')
    draws = _draw_runs(len(runs), of_row, n, seed) if resample != 'questions' else np.ones((n, len(rows)))
    targets = _targets(fit, observations, redrawn, n)
    refit = _refit_accuracy if law is T2_ACCURACY else _refit
    found: dict[str, list[np.ndarray]] = {name: [] for name in law.parameters}
    with tqdm(total=n, unit='refit', desc='bootstrap', disable=quiet) as bar:
        for start in range(0, n, _CHUNK):
            part = np.arange(start, start + _CHUNK) % n  # the last chunk is filled up: one shape, one executable
            chunk = {name: values[part] for name, values in targets.items()}
            parameters = refit(fit, rows, draws[part], chunk, seed)
            kept = min(_CHUNK, n - start)
            for name, values in parameters.items():
                found[name].append(values[:kept])
            bar.update(kept)
    replicates = {name: tuple(np.concatenate(values).tolist()) for name, values in found.items()}
    return replace(fit, resampled=resample, replicates=replicates)


def _draw_runs(n_runs: int, of_row: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Draw how often each run is in each replicate; [replicate, row]."""
    counts = np.random.default_rng(seed).multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=n)
    return counts[:, of_row].astype(np.float64)


def _targets(
    fit: Fit, observations: Observations, redrawn: Iterable[Observations] | None, n: int
) -> dict[str, np.ndarray]:
    """Collect what each replicate is fitted to, [replicate, row]."""
    law = LAWS[fit.law]
    columns = ('nll', 'pass_at_k') if law is T2_ACCURACY else (law.target,)
    versions: Iterator[Observations] = iter([observations] if redrawn is None else redrawn)
    count = 1 if redrawn is None else n
    kept = []
    for table, _ in zip(versions, range(count)):
        if not (np.array_equal(table.run, observations.run) and np.array_equal(table.k, observations.k)):
            raise ValueError('a redrawn table has other rows than the observations; give the same runs and k in order')
        kept.append([getattr(rows_of(law, table), name) for name in columns])
    if len(kept) < count:
        raise ValueError(f'{n} replicates need as many redrawn tables; there are {len(kept)}')
    stacked = np.array(kept)
    return {
        name: np.broadcast_to(stacked[:, i], (n, stacked.shape[-1])) if count == 1 else stacked[:, i]
        for i, name in enumerate(columns)
    }


def _refit(
    fit: Fit, rows: Observations, draws: np.ndarray, targets: Mapping[str, np.ndarray], seed: int
) -> dict[str, np.ndarray]:
    law = LAWS[fit.law]
    return _search(pose(law, fit.objective, rows), fit.parameters, draws, targets[law.target], seed)


def _refit_accuracy(
    fit: Fit, rows: Observations, draws: np.ndarray, targets: Mapping[str, np.ndarray], seed: int
) -> dict[str, np.ndarray]:
    """Refit both steps: the thetas to pass@k at the losses that the replicate's own first step predicts."""
    at_once = rows.k == 1
    single = rows_of(CHINCHILLA, rows)
    drawn, nll = draws[:, at_once], targets['nll'][:, at_once]
    counted = single.weight * drawn * np.isfinite(nll)
    by_budget = isoflop_weights(single.train_flops, np.nan_to_num(nll), counted)
    loss = _search(pose(CHINCHILLA, fit.objective, single), fit.parameters, drawn * by_budget, nll, seed)
    columns = {name: values[:, None] for name, values in loss.items()}
    predicted = CHINCHILLA.predict(columns, rows.params, rows.tokens, rows.k, np)
    second = pose(ACCURACY_OF_LOSS, fit.objective, replace(rows, params=predicted[0]))
    thetas = {name: fit.parameters[name] for name in ACCURACY_OF_LOSS.parameters}
    return loss | _search(second, thetas, draws, targets['pass_at_k'], seed, params=predicted)


def _search(
    problem: FitProblem,
    parameters: Mapping[str, float],
    draws: np.ndarray,
    targets: np.ndarray,
    seed: int,
    params: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Search every replicate from `parameters` and points about them; returns the best of each, by parameter."""
    law = problem.law
    # drawn questions may hold no success at all: such a row has no nll and no log of pass@k, and no say
    has = np.isfinite(targets) & ((targets > 0) | (problem.objective == 'sse'))
    weight, targets = problem.weight * draws * has, np.where(has, targets, problem.target)
    at = np.clip(coordinates_of(law, parameters, problem.centre), problem.low, problem.high)
    about = np.random.default_rng(seed).normal(0, 0.1, (STARTS - 1, len(at)))
    starts = np.clip(np.concatenate([at[None], at + about]), problem.low, problem.high)
    with float64_on_cpu():
        if problem.objective == 'sse' and law.linear:
            low, high, starts = (part[..., problem.exponents] for part in (problem.low, problem.high, starts))
            design = make_design(law, problem.rows, targets, weight)
            axes = type(design)(points=None, contrasts=None, target=0, weight=0, rest=0)
            ends = jax.tree.map(np.asarray, project_each(law, design, axes, starts, low, high))
            z = _best_of(ends)
            each = [design._replace(target=t, weight=w) for t, w in zip(design.target, design.weight)]
            c = np.array([coefficients_at(law, one, exponents) for one, exponents in zip(each, z)])
            return dict(zip(law.exponents, z.T)) | dict(zip(law.linear, c.T))
        data = problem.data()._replace(target=targets, weight=weight)
        axes = type(data)(*[None] * 3, target=0, weight=0, centre=None)
        if params is not None:
            data, axes = data._replace(params=params), axes._replace(params=0)
        ends = jax.tree.map(
            np.asarray, search_each(law, problem.objective, data, axes, starts, problem.low, problem.high)
        )
    each = [parameters_at(law, row, problem.centre, np) for row in _best_of(ends)]
    return {name: np.array([one[name] for one in each]) for name in law.parameters}


def _best_of(ends: Search) -> np.ndarray:
    """Return each problem's best point, [problem, coordinates]."""
    best = np.argmin(ends.best.value, 1)
    return ends.best.z[np.arange(len(best)), best]
