"""The search over all parameters at once: what is minimised, in which coordinates, from many starts.

Minimises sum_i w_i rho(r_i). For 'sse', rho(r) = r^2 of the errors (T2); for 'log-huber', Huber's loss with
delta 1e-3 of the errors of the logs (Hoffmann et al., arXiv 2203.15556), by iteratively reweighted squares.
A search runs in fit coordinates: coefficients as logs, and of a term's size at the centre of the data, the
rest as they are.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from t2jax.laws.forms import Array, Law
from t2jax.laws.lm import Point, Search, minimise

OBJECTIVES = ('sse', 'log-huber')
HUBER_DELTA = 1e-3
MAX_STEPS = 500


class Data(NamedTuple):
    """What a law is fitted to: rows, and `centre`, the geometric means of N, D and k."""

    params: Array
    tokens: Array
    k: Array
    target: Array
    weight: Array
    centre: tuple[Array, Array, Array]


def is_coefficient(law: Law, name: str) -> bool:
    """Tell whether a parameter is fitted as its log."""
    return law.bounds[name] == (0.0, inf)


def terms_at_centre(law: Law, exponents: Mapping[str, Array], centre: tuple, xp: ModuleType) -> dict[str, Array]:
    """Compute what each linear coefficient multiplies at the centre of the data."""
    units = {unit: {name: float(name == unit) for name in law.linear} for unit in law.linear}
    return {unit: law.predict({**exponents, **ones}, *centre, xp) for unit, ones in units.items()}


def parameters_at(law: Law, z: Array, centre: tuple, xp: ModuleType) -> dict[str, Array]:
    """Map fit coordinates to parameters: the term A / N^alpha is exp(z_A) at the centre of the data."""
    values = {name: z[i] for i, name in enumerate(law.parameters)}
    terms = terms_at_centre(law, values, centre, xp)
    coefficients = [name for name in law.parameters if is_coefficient(law, name)]
    return values | {name: xp.exp(values[name]) / terms.get(name, 1.0) for name in coefficients}


def coordinates_of(law: Law, parameters: Mapping[str, float], centre: tuple) -> np.ndarray:
    """Map parameters to fit coordinates; a coefficient of 0 gives -inf."""
    terms = terms_at_centre(law, parameters, centre, np)
    with np.errstate(divide='ignore'):
        logs = {
            name: np.log(parameters[name] * terms.get(name, 1.0))
            for name in law.parameters
            if is_coefficient(law, name)
        }
    return np.array([logs.get(name, parameters[name]) for name in law.parameters])


def _rho(objective: str, r: Array) -> tuple[Array, Array]:
    """Return rho(r) and the weight rho'(r) / r that makes squares of it."""
    if objective == 'sse':
        return r * r, jnp.full_like(r, 2.0)
    size = jnp.abs(r)
    value = jnp.where(size <= HUBER_DELTA, 0.5 * r * r, HUBER_DELTA * (size - 0.5 * HUBER_DELTA))
    return value, HUBER_DELTA / jnp.maximum(size, HUBER_DELTA)


@partial(jax.jit, static_argnames=('law', 'objective'))
def point_at(law: Law, objective: str, data: Data, z: Array, low: Array, high: Array) -> Point:
    """Evaluate the objective and its derivatives at fit coordinates `z`, in the box `low` to `high`."""

    def residuals(z: Array) -> Array:
        prediction = law.predict(parameters_at(law, z, data.centre, jnp), data.params, data.tokens, data.k, jnp)
        return prediction - data.target if objective == 'sse' else jnp.log(prediction) - jnp.log(data.target)

    jacobian, r = jax.jacfwd(lambda z: (residuals(z),) * 2, has_aux=True)(z)
    rho, w = _rho(objective, r)
    root = jnp.sqrt(data.weight * w)
    return Point.of(z, jnp.sum(data.weight * rho), jacobian * root[:, None], r * root, low, high)


def _search(law: Law, objective: str, data: Data, start: Array, low: Array, high: Array) -> Search:
    coefficient = np.array([is_coefficient(law, name) for name in law.parameters])

    def bend(move: Array) -> Array:
        # a law is linear in its coefficients, not in their logs: step in the former, to no less than 1/1000
        return jnp.where(coefficient, jnp.log(jnp.maximum(1 + move, 1e-3)), move)

    evaluate = partial(point_at, law, objective, data, low=low, high=high)
    return minimise(evaluate, start, low, high, MAX_STEPS, tolerance=1e-10, bend=bend)


@partial(jax.jit, static_argnames=('law', 'objective'))
def search_all(law: Law, objective: str, data: Data, starts: Array, low: Array, high: Array) -> Search:
    """Search from each row of `starts` in the box `low` to `high`; returned fields gain a leading axis."""
    return _few_at_a_time(lambda start: _search(law, objective, data, start, low, high), starts)


@partial(jax.jit, static_argnames=('law', 'objective', 'axes'))
def search_each(law: Law, objective: str, data: Data, axes: Data, starts: Array, low: Array, high: Array) -> Search:
    """Search each problem of a batch, the fields of `data` with `axes` 0, from all `starts`; [problem, start]."""

    def search(own: dict[str, Array]) -> Search:
        one = data._replace(**own)
        return jax.vmap(lambda start: _search(law, objective, one, start, low, high))(starts)

    return _few_at_a_time(search, {name: getattr(data, name) for name in Data._fields if getattr(axes, name) == 0})


def _few_at_a_time(search: Callable[[Any], Search], each: Any) -> Search:
    """Map over the leading axis two by two: searches side by side all go on until the slowest of them ends.

    Of an odd number one by one, since a last one alone would have to be compiled apart.
    """
    count = len(jax.tree.leaves(each)[0])
    return jax.lax.map(search, each, batch_size=2 - count % 2)
