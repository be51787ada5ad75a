"""Fitting a law to observations: many seeded starts, the best kept, and said how far to trust it.

t2-accuracy is fitted in two steps: Chinchilla's law to the NLL at k = 1, then the thetas to pass@k. Always in
float64 on the CPU, whatever the process uses. Source: T2, Approaches 1 (multi-start) and 2 (two steps).
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from t2jax.laws.forms import CHINCHILLA, LAWS, T2_ACCURACY, THETA_BOUNDS, Law, accuracy_of_loss
from t2jax.laws.observations import Observations, training_budgets, where
from t2jax.laws.record import Fit
from t2jax.laws.search import (
    HUBER_DELTA,
    MAX_STEPS,
    OBJECTIVES,
    Data,
    is_coefficient,
    parameters_at,
    search_all,
)

COEFFICIENT_SPAN = 1e9  # a coefficient's term may be this many times smaller or larger than the data

# The second step of t2-accuracy: the column params carries the loss that the first step predicts.
_ACCURACY_OF_LOSS = Law(
    name='t2-accuracy',
    target='pass_at_k',
    parameters=tuple(THETA_BOUNDS),
    bounds=THETA_BOUNDS,
    predict=lambda parameters, loss, tokens, k, xp: accuracy_of_loss(parameters, loss, k, xp),
)


class _Best(NamedTuple):
    """The best of all searches, in the words of a Fit."""

    parameters: dict[str, float]
    objective_value: float
    starts: int
    share_at_best: float
    gradient_norm: float
    warnings: tuple[str, ...]


def fit_law(law: Law, observations: Observations, *, objective: str = 'sse', starts: int = 500, seed: int = 0) -> Fit:
    """Fit `law` to the observations of one task, from `starts` seeded starts, and keep the best.

    A single-pass law is fitted to the rows of k = 1. For t2-accuracy, `starts` are those of the first step,
    and the objective's value, share and gradient are those of the second. Raises ValueError for what cannot
    be fitted.
    """
    _check(law, observations, objective, starts)
    rows = where(observations, observations.k == 1) if law.single_pass else observations
    if law is T2_ACCURACY:
        best = _fit_accuracy(rows, objective, starts, seed)
    else:
        best = _minimise(law, objective, rows, _starts(law, rows, starts, seed))
    ranges = {
        'params_range': rows.params,
        'tokens_per_param_range': rows.tokens / rows.params,
        'train_flops_range': rows.train_flops,
        'k_range': rows.k,
    }
    return Fit(
        law=law.name,
        task=str(rows.task[0]),
        objective=objective,
        n_points=len(rows),
        n_runs=len(set(rows.run.tolist())),
        **best._asdict(),
        **{name: (float(values.min()), float(values.max())) for name, values in ranges.items()},
    )


def _check(law: Law, observations: Observations, objective: str, starts: int) -> None:
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
    single = where(observations, observations.k == 1)
    steps = [(law, single if law.single_pass else observations)]
    steps += [(CHINCHILLA, single)] if law is T2_ACCURACY else []
    for part, rows in steps:
        of = 'rows at k = 1' if part.single_pass else 'rows'
        if len(rows) < len(part.parameters):
            raise ValueError(f'{law.name} needs at least {len(part.parameters)} {of}, there are {len(rows)}')
        values = getattr(rows, part.target)
        if not np.isfinite(values).all():
            raise ValueError(f'{law.name} needs {part.target} and some {of} have none; fill in the column')
        if objective == 'log-huber' and values.min() <= 0:
            raise ValueError(f'log-huber takes logs and some {part.target} is 0; use sse or drop those rows')


def _minimise(
    law: Law, objective: str, rows: Observations, starts: np.ndarray, weight: np.ndarray | float = 1.0
) -> _Best:
    """Search from `starts` (one row of fit coordinates each) and keep the best."""
    target = getattr(rows, law.target)
    scale = np.median(np.abs(target))
    span = (np.log(scale / COEFFICIENT_SPAN), np.log(scale * COEFFICIENT_SPAN))
    box = [span if is_coefficient(law, name) else law.bounds[name] for name in law.parameters]
    low, high = np.array(box).T
    centre = {column: np.mean(np.log(getattr(rows, column))) for column, _ in law.powers.values()}
    weight = np.broadcast_to(np.float64(weight), target.shape)
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend='cpu')[0]):
        data = Data(rows.params, rows.tokens, rows.k, target, weight, centre)
        ends = search_all(law, objective, data, np.clip(starts, low, high), low, high)
        ends = jax.tree.map(np.asarray, ends)
    values = ends.best.value
    end = jax.tree.map(lambda leaf: leaf[np.argmin(values)], ends)
    best = end.best
    if not np.isfinite(best.value):
        raise ValueError(f'{law.name} is finite at none of {len(starts)} starts; check the units of the data')
    # a value this small is all rounding: data without noise are met exactly at each of them
    rounding = 1e-18 * np.sum(weight * (target**2 if objective == 'sse' else HUBER_DELTA))
    at_best = int(np.sum(values <= best.value * (1 + 1e-6) + rounding))
    warnings = list(_bound_warnings(law, best.z, low, high))
    free = np.diag(best.matrix) > 0
    if np.linalg.eigvalsh(best.matrix[np.ix_(free, free)]).min(initial=1.0) < 1e-10:
        warnings.append(f'the data do not determine every parameter of {law.name}: others fit as well')
    if not end.done:
        warnings.append(f'the best search for {law.name} had not converged after {MAX_STEPS} steps')
    if at_best == 1 < len(starts):
        warnings.append(f'only one of {len(starts)} starts for {law.name} reached the best: a better may exist')
    return _Best(
        parameters={name: float(value) for name, value in parameters_at(law, best.z, centre, np).items()},
        objective_value=float(best.value),
        starts=len(starts),
        share_at_best=at_best / len(starts),
        gradient_norm=float(np.linalg.norm(best.gradient)),
        warnings=tuple(warnings),
    )


def _bound_warnings(law: Law, z: np.ndarray, low: np.ndarray, high: np.ndarray) -> Iterator[str]:
    for name, value, least, most in zip(law.parameters, z, low, high):
        if is_coefficient(law, name) and value < least + np.log(1e3):
            yield f'{name} of {law.name} fits to 0: the observations show no such term'
        elif not least < value < most:
            side = 'lower' if value <= least else 'upper'
            yield f'{name} of {law.name} is at its {side} bound: the fit would go beyond it'


def _starts(law: Law, rows: Observations, n: int, seed: int) -> np.ndarray:
    """Draw starts wide: a coefficient's term 1e-3 to 3 times the data, the rest in its bounds within +-3."""
    rng = np.random.default_rng(seed)
    scale = np.median(np.abs(getattr(rows, law.target)))
    ranges = [
        np.log([1e-3 * scale, 3 * scale]) if is_coefficient(law, name) else np.clip(law.bounds[name], -3, 3)
        for name in law.parameters
    ]
    low, high = np.array(ranges).T
    return rng.uniform(low, high, (n, len(law.parameters)))


def _fit_accuracy(rows: Observations, objective: str, starts: int, seed: int) -> _Best:
    """Fit Chinchilla's law to the NLL at k = 1, then the thetas to pass@k at the loss that it predicts."""
    single = where(rows, rows.k == 1)
    first = _starts(CHINCHILLA, single, starts, seed)
    loss = _minimise(CHINCHILLA, objective, single, first, _isoflop_weights(single))
    predicted = CHINCHILLA.predict(loss.parameters, rows.params, rows.tokens, rows.k, np)
    at_loss = replace(rows, params=predicted)
    best = _minimise(_ACCURACY_OF_LOSS, objective, at_loss, _accuracy_starts(at_loss, seed))
    return best._replace(parameters=loss.parameters | best.parameters, warnings=loss.warnings + best.warnings)


def _isoflop_weights(rows: Observations) -> np.ndarray:
    """Weigh each row by 1 / variance of the NLL over its training budget, mean 1 (T2 Approach 2, step 1).

    A budget of one row, or of equal values, has no variance: its rows get the mean weight.
    """
    budgets = training_budgets(rows.train_flops)
    variance = np.array([np.var(rows.nll[budgets == budget]) for budget in budgets])
    known = variance > 0
    if not known.any():
        return np.ones(len(rows))
    weight = 1 / np.where(known, variance, 1.0)
    weight = np.where(known, weight, weight[known].mean())
    return weight / weight.mean()


def _accuracy_starts(rows: Observations, seed: int) -> np.ndarray:
    """Start from sigmoids of the loss (in `rows.params`) fitted to pass@1, times a grid of concentrations.

    One sigmoid for each of four theta2; each grid point once as it is and twice jittered.
    """
    single = where(rows, rows.k == 1)
    loss, accuracy = single.params, np.maximum(single.pass_at_k, 1e-9)
    grid = []
    for theta2 in np.geomspace(min(1.05 * accuracy.max(), 0.999), 0.999, 4):
        logit = np.log(theta2 / np.minimum(accuracy, 0.999 * theta2) - 1)
        slope, offset = np.polyfit(loss, logit, 1)
        theta1 = max(slope, 1e-2)
        for level, theta4 in itertools.product((-1.0, 1.0, 3.0), (-1.0, -0.3, 0.3)):
            grid.append([-offset / theta1, np.log(theta1), theta2, level - theta4 * loss.mean(), theta4])
    jitter = np.random.default_rng(seed).normal(0, [0.3, 0.3, 0.1, 1.0, 0.3], (2 * len(grid), 5))
    return np.concatenate([grid, np.tile(grid, (2, 1)) + jitter])
