"""The search behind a fit: Levenberg-Marquardt from many starts at once, one compilation per law and shape.

Minimises sum_i w_i rho(r_i). For 'sse', rho(r) = r^2 of the errors (T2); for 'log-huber', Huber's loss with
delta 1e-3 of the errors of the logs (Hoffmann et al., arXiv 2203.15556), by iteratively reweighted squares.
A search runs in fit coordinates: coefficients as logs, and of a term's size at the centre of the data, the
rest as they are.
"""

from collections.abc import Mapping
from functools import partial
from math import inf
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve

from t2jax.laws.forms import Array, Law

OBJECTIVES = ('sse', 'log-huber')
HUBER_DELTA = 1e-3
MAX_STEPS = 500


class Data(NamedTuple):
    """What a law is fitted to: rows, and the mean of log N, log D and log k (`centre`, by column)."""

    params: Array
    tokens: Array
    k: Array
    target: Array
    weight: Array
    centre: Mapping[str, Array]


class Point(NamedTuple):
    """A point `z` of fit coordinates: the objective there, its gradient, and the scaled normal matrix.

    Gradient and matrix are 0 in a coordinate that the box holds back; `norms` are those of the Jacobian's
    columns.
    """

    z: Array
    value: Array
    gradient: Array
    matrix: Array
    norms: Array


class Search(NamedTuple):
    """Where one search stands: its best point, and the one it tries next."""

    best: Point
    trial: Array
    damping: Array
    growth: Array
    steps: Array
    done: Array


def is_coefficient(law: Law, name: str) -> bool:
    """Tell whether a parameter is fitted as its log."""
    return law.bounds[name] == (0.0, inf)


def parameters_at(law: Law, z: Array, centre: Mapping[str, Array], xp: ModuleType) -> dict[str, Array]:
    """Map fit coordinates to parameters: the term A / N^alpha is exp(z_A) where log N is at its centre."""
    values = {name: z[i] for i, name in enumerate(law.parameters)}
    for name in [name for name in law.parameters if is_coefficient(law, name)]:
        column, exponent = law.powers.get(name, (None, None))
        values[name] = xp.exp(values[name] + (values[exponent] * centre[column] if column else 0.0))
    return values


def _rho(objective: str, r: Array) -> tuple[Array, Array]:
    """Return rho(r) and the weight rho'(r) / r that makes squares of it."""
    if objective == 'sse':
        return r * r, jnp.full_like(r, 2.0)
    size = jnp.abs(r)
    value = jnp.where(size <= HUBER_DELTA, 0.5 * r * r, HUBER_DELTA * (size - 0.5 * HUBER_DELTA))
    return value, HUBER_DELTA / jnp.maximum(size, HUBER_DELTA)


@partial(jax.jit, static_argnames=('law', 'objective'))
def search_all(law: Law, objective: str, data: Data, starts: Array, low: Array, high: Array) -> Search:
    """Search from each row of `starts` in the box `low` to `high`; returned fields gain a leading axis."""
    n = len(law.parameters)
    coefficient = np.array([is_coefficient(law, name) for name in law.parameters])

    def residuals(z: Array) -> Array:
        prediction = law.predict(parameters_at(law, z, data.centre, jnp), data.params, data.tokens, data.k, jnp)
        return prediction - data.target if objective == 'sse' else jnp.log(prediction) - jnp.log(data.target)

    def evaluate(z: Array) -> Point:
        jacobian, r = jax.jacfwd(lambda z: (residuals(z),) * 2, has_aux=True)(z)
        rho, w = _rho(objective, r)
        gradient = jacobian.T @ (data.weight * w * r)
        free = jnp.where(gradient > 0, z > low, z < high)
        norms = jnp.sqrt(jnp.sum((data.weight * w)[:, None] * jacobian**2, axis=0))
        norms = jnp.where(norms > 0, norms, 1.0)
        jacobian = jacobian * free / norms
        matrix = jacobian.T @ (jacobian * (data.weight * w)[:, None])
        return Point(z, jnp.sum(data.weight * rho), gradient * free, matrix, norms)

    def step(s: Search) -> Search:
        tried = evaluate(s.trial)
        better = tried.value < s.best.value
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), tried, s.best)
        # rejected steps raise the damping ever faster (Nielsen), so that a search at rounding level ends soon
        damping = jnp.where(better, jnp.maximum(0.2 * s.damping, 1e-12), s.growth * s.damping)
        slope = best.gradient / best.norms
        move = -cho_solve(cho_factor(best.matrix + damping * jnp.eye(n)), slope) / best.norms
        # a law is linear in its coefficients, not in their logs: step in the former, to no less than 1/1000
        move = jnp.where(coefficient, jnp.log(jnp.maximum(1 + move, 1e-3)), move)
        return Search(
            best=best,
            trial=jnp.clip(best.z + move, low, high),
            damping=damping,
            growth=jnp.where(better, 2.0, 2.0 * s.growth),
            steps=s.steps + 1,
            done=(damping > 1e10) | (jnp.max(jnp.abs(slope)) <= 1e-10 * jnp.sqrt(best.value)),
        )

    def search(z: Array) -> Search:
        nowhere = Point(z, jnp.array(jnp.inf), jnp.zeros(n), jnp.eye(n), jnp.ones(n))
        first = Search(nowhere, z, *map(jnp.array, (5e-2, 2.0, 0, False)))
        return jax.lax.while_loop(lambda s: ~s.done & (s.steps < MAX_STEPS), step, first)

    return jax.vmap(search)(starts)
