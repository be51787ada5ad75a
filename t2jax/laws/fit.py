"""Fitting a law to observations: many seeded starts, the best kept, and said how far to trust it.

Squares of a law that is linear in some coefficients are minimised over its exponents alone; other fits
search all parameters from each start, as the paper does (`route='full'` always does).
t2-accuracy is fitted in two steps: Chinchilla's law to the NLL at k = 1, then the thetas to pass@k. Always in float64
on the CPU, whatever the process uses. Source: T2, Approaches 1 (multi-start) and 2 (two steps).
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import jax
import numpy as np

from t2jax.laws.accuracy import ACCURACY_OF_LOSS, accuracy_starts, isoflop_weights
from t2jax.laws.diagnose import condition, describe_residuals, unidentified
from t2jax.laws.forms import CHINCHILLA, LAWS, T2_ACCURACY, Law
from t2jax.laws.observations import Observations, where
from t2jax.laws.projection import coefficients_at, make_design, project_all
from t2jax.laws.record import Fit
from t2jax.laws.search import (
    HUBER_DELTA,
    OBJECTIVES,
    Data,
    coordinates_of,
    is_coefficient,
    parameters_at,
    point_at,
    search_all,
)

ROUTES = ('projected', 'full')
COEFFICIENT_SPAN = 1e9  # a coefficient's term may be this many times smaller or larger than the data


def float64_on_cpu() -> ExitStack:
    """Enter a scope in which jax computes in float64 on the CPU."""
    scope = ExitStack()
    scope.enter_context(jax.enable_x64(True))
    scope.enter_context(jax.default_device(jax.local_devices(backend='cpu')[0]))
    return scope


@dataclass(frozen=True, eq=False)
class FitProblem:
    """What one search minimises: a law, an objective, rows with their weights, and the box of fit coordinates."""

    law: Law
    objective: str
    rows: Observations
    weight: np.ndarray
    low: np.ndarray
    high: np.ndarray
    centre: tuple[np.ndarray, np.ndarray, np.ndarray]

    @property
    def target(self) -> np.ndarray:
        """What the law predicts, as observed."""
        return getattr(self.rows, self.law.target)

    @property
    def exponents(self) -> np.ndarray:
        """Which fit coordinates are not linear coefficients."""
        return np.array([name not in self.law.linear for name in self.law.parameters])

    def data(self) -> Data:
        """Give what a search over all parameters takes."""
        rows = self.rows
        return Data(rows.params, rows.tokens, rows.k, self.target, self.weight, self.centre)

    def draw_starts(self, n: int, seed: int) -> np.ndarray:
        """Draw starts wide: a coefficient's term 1e-3 to 3 times the data, exponents as the law says or within +-3."""
        rng, scale = np.random.default_rng(seed), _typical(self.target)
        ranges = [
            np.log([1e-3 * scale, 3 * scale]) if is_coefficient(self.law, name) else np.clip(bounds, -3, 3)
            for name, bounds in ((name, self.law.bounds[name]) for name in self.law.parameters)
        ]
        low, high = np.array(ranges).T
        starts = rng.uniform(low, high, (n, len(ranges)))
        if self.law.exponent_starts:
            for name, values in self.law.exponent_starts(self.rows, rng, n).items():
                starts[:, self.law.parameters.index(name)] = values
        return np.clip(starts, self.low, self.high)


def pose(law: Law, objective: str, rows: Observations, weight: np.ndarray | float = 1.0) -> FitProblem:
    """Pose the fit of `law` to `rows`, each weighed by its own weight times `weight`."""
    target = getattr(rows, law.target)
    scale = _typical(target)
    span = (np.log(scale / COEFFICIENT_SPAN), np.log(scale * COEFFICIENT_SPAN))
    low, high = np.array([span if is_coefficient(law, name) else law.bounds[name] for name in law.parameters]).T
    centre = tuple(np.exp(np.mean(np.log(column))) for column in (rows.params, rows.tokens, rows.k))
    return FitProblem(law, objective, rows, _weights(rows, target, objective) * weight, low, high, centre)


def _typical(target: np.ndarray) -> float:
    """Return the median of what is not 0 (where no sample was right, pass@k is), 1 if all is."""
    return float(np.median(np.abs(target[target != 0]))) if target.any() else 1.0


def _weights(rows: Observations, target: np.ndarray, objective: str) -> np.ndarray:
    """Weigh by the column weight, and by 1 / se^2 where a standard error is given (of the log, for log-huber)."""
    if np.isnan(rows.se).all():
        return rows.weight
    precision = (target / rows.se) ** 2 if objective == 'log-huber' else rows.se**-2.0
    # Huber's delta is in units of the log itself: there the weights say only which row counts more
    scale = np.average(precision, weights=rows.weight) if objective == 'log-huber' else 1.0
    return rows.weight * precision / scale


@dataclass(frozen=True)
class Best:
    """The best of all searches, in the words of a Fit."""

    parameters: dict[str, float]
    objective_value: float
    starts: int
    share_at_best: float
    gradient_norm: float
    condition_number: float
    converged: bool
    warnings: tuple[str, ...]


def fit_law(
    law: Law,
    observations: Observations,
    *,
    objective: str = 'sse',
    starts: int = 500,
    seed: int = 0,
    route: str = 'projected',
) -> Fit:
    """Fit `law` to the observations of one task, from `starts` seeded starts, and keep the best.

    A single-pass law is fitted to the rows of k = 1. For t2-accuracy, `starts` are those of the first step,
    and the objective's value, share, gradient and condition are those of the second. Raises ValueError for what
    cannot be fitted.
    """
    check(law, observations, objective, starts)
    if route not in ROUTES:
        raise ValueError(f'route {route!r} is not known; choose {" or ".join(ROUTES)}')
    rows = rows_of(law, observations)
    if law is T2_ACCURACY:
        best = _fit_accuracy(rows, objective, starts, seed, route)
    else:
        problem = pose(law, objective, rows)
        best = solve(problem, problem.draw_starts(starts, seed), route)
    rows = where(rows, rows.weight > 0)
    ranges = {
        'params_range': rows.params,
        'tokens_per_param_range': rows.tokens / rows.params,
        'train_flops_range': rows.train_flops,
        'k_range': rows.k,
    }
    predicted = law.predict(best.parameters, rows.params, rows.tokens, rows.k, np)
    return Fit(
        law=law.name,
        task=str(rows.task[0]),
        measure=str(rows.measure[0]),
        objective=objective,
        n_points=len(rows),
        n_runs=len(set(rows.run.tolist())),
        residuals=describe_residuals(rows, getattr(rows, law.target), predicted),
        sizes=tuple(sorted(set(rows.params.tolist()))),
        **{**vars(best), 'warnings': tuple(unidentified(law, rows)) + best.warnings},
        **{name: (float(values.min()), float(values.max())) for name, values in ranges.items()},
    )


def rows_of(law: Law, observations: Observations) -> Observations:
    """Keep the rows that a law is about: those at k = 1 for a single-pass law."""
    return where(observations, observations.k == 1) if law.single_pass else observations


def measured(law: Law, observations: Observations) -> np.ndarray:
    """Tell which rows have what `law` is fitted to: nll is not finite where no sample was right; all, if none has."""
    has = np.isfinite(getattr(observations, law.target))
    if law is T2_ACCURACY:
        has &= np.isfinite(observations.nll) | (observations.k != 1)
    return has if has.any() else np.ones(len(observations), bool)


def check(law: Law, observations: Observations, objective: str, starts: int) -> None:
    """Refuse what cannot be fitted, in one sentence."""
    if LAWS.get(law.name) is not law:
        raise ValueError(f'law {law.name!r} is not in t2jax.laws.forms.LAWS; list it, so that its fits can predict')
    if objective not in OBJECTIVES:
        raise ValueError(f'objective {objective!r} is not known; choose {" or ".join(OBJECTIVES)}')
    if starts < 1:
        raise ValueError(f'starts is {starts}; a fit needs at least 1')
    tasks = sorted(set(observations.task.tolist()))
    if len(tasks) > 1:
        raise ValueError(f'the observations are of tasks {", ".join(tasks)}; fit one, or their macro average')
    if len(set(np.isnan(rows_of(law, observations).se).tolist())) > 1:
        raise ValueError('some rows have a standard error se and some have none; give it for every row or for none')
    steps = [(law, rows_of(law, observations))]
    steps += [(CHINCHILLA, rows_of(CHINCHILLA, observations))] if law is T2_ACCURACY else []
    for part, rows in steps:
        of = 'rows at k = 1' if part.single_pass else 'rows'
        count = int((rows.weight > 0).sum())
        if count < len(part.parameters):
            raise ValueError(f'{law.name} needs at least {len(part.parameters)} {of}, there are {count}')
        values = getattr(rows, part.target)
        if not np.isfinite(values).all():
            raise ValueError(f'{law.name} needs {part.target} and some {of} have none; fill in the column')
        if objective == 'log-huber' and values.min() <= 0:
            raise ValueError(f'log-huber takes logs and some {part.target} is 0; use sse or drop those rows')


def solve(problem: FitProblem, starts: np.ndarray, route: str = 'projected') -> Best:
    """Search from `starts` (one row of fit coordinates each) and keep the best."""
    law, weight, target = problem.law, problem.weight, problem.target
    box = problem.low, problem.high
    projected = route == 'projected' and problem.objective == 'sse' and bool(law.linear)
    with float64_on_cpu():
        data = problem.data()
        if projected:
            design = make_design(law, problem.rows, target, weight)
            ends = project_all(law, design, *(part[..., problem.exponents] for part in (starts, *box)))
        else:
            ends = search_all(law, problem.objective, data, starts, *box)
        values, done = np.asarray(ends.best.value), np.asarray(ends.done)
        at = int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
        if not np.isfinite(values[at]):
            raise ValueError(f'{law.name} is finite at none of {len(starts)} starts; check the units of the data')
        best = jax.tree.map(lambda leaf: np.asarray(leaf)[at], ends.best)
        if projected:
            z = best.z
            parameters = dict(zip(law.exponents, z)) | dict(zip(law.linear, coefficients_at(law, design, z)))
            z = np.clip(coordinates_of(law, parameters, problem.centre), *box)
            best = jax.tree.map(np.asarray, point_at(law, problem.objective, data, z, *box))
    # a value this small is all rounding: data without noise are met exactly at each of them
    rounding = 1e-18 * np.sum(weight * (target**2 if problem.objective == 'sse' else HUBER_DELTA))
    reached = values <= best.value * (1 + 1e-6) + rounding
    at_best, converged = int(reached.sum()), bool(done[at] or done[reached].any())
    warnings = list(_bound_warnings(problem, best.z))
    free = np.diag(best.matrix) > 0
    number = condition(best.matrix[np.ix_(free, free)])
    if number > 1e5:
        warnings.append(f'the data do not determine every parameter of {law.name}: others fit as well')
    if not converged:
        warnings.append(f'the best search for {law.name} had not converged when its steps ran out')
    if at_best <= 1 < len(starts):
        warnings.append(f'only one of {len(starts)} starts for {law.name} reached the best: a better may exist')
    parameters = {name: float(v) for name, v in parameters_at(law, best.z, problem.centre, np).items()}
    at_floor = [is_coefficient(law, name) and z <= low for name, z, low in zip(parameters, best.z, problem.low)]
    return Best(
        # the least that a log can say stands for a term that is not there
        parameters={name: 0.0 if no else value for (name, value), no in zip(parameters.items(), at_floor)},
        objective_value=float(best.value),
        starts=len(starts),
        share_at_best=max(at_best, 1) / len(starts),
        gradient_norm=float(np.linalg.norm(best.gradient)),
        condition_number=number,
        converged=converged,
        warnings=tuple(warnings),
    )


def _bound_warnings(problem: FitProblem, z: np.ndarray) -> Iterator[str]:
    law = problem.law
    for name, value, least, most in zip(law.parameters, z, problem.low, problem.high):
        if is_coefficient(law, name) and value < least + np.log(1e3):
            yield f'{name} of {law.name} fits to 0: the observations show no such term'
        elif not least < value < most:
            side = 'lower' if value <= least else 'upper'
            yield f'{name} of {law.name} is at its {side} bound: the fit would go beyond it'


def _fit_accuracy(rows: Observations, objective: str, starts: int, seed: int, route: str) -> Best:
    """Fit Chinchilla's law to the NLL at k = 1, then the thetas to pass@k at the loss that it predicts."""
    single = rows_of(CHINCHILLA, rows)
    first = pose(CHINCHILLA, objective, single, isoflop_weights(single.train_flops, single.nll, single.weight))
    loss = solve(first, first.draw_starts(starts, seed), route)
    predicted = CHINCHILLA.predict(loss.parameters, rows.params, rows.tokens, rows.k, np)
    second = pose(ACCURACY_OF_LOSS, objective, replace(rows, params=predicted))
    best = solve(second, accuracy_starts(second.rows, seed))
    both = loss.converged and best.converged
    parameters, warnings = loss.parameters | best.parameters, loss.warnings + best.warnings
    return replace(best, parameters=parameters, converged=both, warnings=warnings)
