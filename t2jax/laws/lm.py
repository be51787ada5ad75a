"""Levenberg-Marquardt with bounds, as a pure function that vmaps over starts and problems.

Minimises a sum of weighted squares from its residuals r and Jacobian J: solves (J'J + damping I) step = -J'r with
the columns of J scaled to length 1, keeps a step that improves, and holds a coordinate at its bound while the slope
points outwards.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from t2jax.laws.forms import Array


class Point(NamedTuple):
    """A point `z`: the objective there, half its gradient, and J'J with columns scaled by their lengths, `norms`.

    Gradient and matrix are 0 in a coordinate that its bound holds back.
    """

    z: Array
    value: Array
    gradient: Array
    matrix: Array
    norms: Array

    @classmethod
    def of(cls, z: Array, value: Array, jacobian: Array, residual: Array, low: Array, high: Array) -> 'Point':
        """Build the point from J [rows, coordinates] and r [rows], both times the root of the weights."""
        gradient = jacobian.T @ residual
        free = jnp.where(gradient > 0, z > low, z < high)
        norms = jnp.sqrt(jnp.sum(jacobian**2, axis=0))
        norms = jnp.where(norms > 0, norms, 1.0)
        jacobian = jacobian * free / norms
        return cls(z, value, gradient * free, jacobian.T @ jacobian, norms)


class Search(NamedTuple):
    """Where one search stands: its best point, and the one it tries next."""

    best: Point
    trial: Array
    damping: Array
    growth: Array
    steps: Array
    done: Array


def minimise(
    evaluate: Callable[[Array], Point],
    start: Array,
    low: Array,
    high: Array,
    max_steps: int,
    *,
    tolerance: float,
    bend: Callable[[Array], Array] = lambda move: move,
) -> Search:
    """Search until the slope is `tolerance` of the residuals' length; `bend` maps a step to the one taken."""
    n = len(start)

    def step(s: Search) -> Search:
        tried = evaluate(s.trial)
        better = tried.value < s.best.value
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), tried, s.best)
        # rejected steps raise the damping ever faster (Nielsen), so that a search at rounding level ends soon; the
        # first step to succeed after one keeps it, or it would be rejected again at once
        eased = jnp.where(s.growth > 2, s.damping, jnp.maximum(0.2 * s.damping, 1e-12))
        damping = jnp.where(better, eased, s.growth * s.damping)
        slope = best.gradient / best.norms
        move = bend(-cho_solve(cho_factor(best.matrix + damping * jnp.eye(n)), slope) / best.norms)
        return Search(
            best=best,
            trial=jnp.clip(best.z + move, low, high),
            damping=damping,
            growth=jnp.where(better, 2.0, 2.0 * s.growth),
            steps=s.steps + 1,
            done=(damping > 1e10) | (jnp.max(jnp.abs(slope)) <= tolerance * jnp.sqrt(best.value)),
        )

    nowhere = Point(start, jnp.array(jnp.inf), jnp.zeros(n), jnp.eye(n), jnp.ones(n))
    first = Search(nowhere, start, *map(jnp.array, (5e-2, 2.0, 0, False)))
    return jax.lax.while_loop(lambda s: ~s.done & (s.steps < max_steps), step, first)
