"""Variable projection: a law that is linear in some coefficients is searched over its exponents alone.

At given exponents the best coefficients are a non-negative least squares problem with an exact answer, c, of at most
five unknowns. What is left to minimise, r = y - Phi(exponents) c, has the derivative -(I - Q Q') dPhi c, where Q
spans the columns in use (Golub and Pereyra 1973, in Kaufman's form): Levenberg-Marquardt over two to seven numbers.

Where every run was measured at the same k and each term is of k alone or not of k (`Law.of_k`), the squares over
(run, k) are those over runs of the mean over k, plus those over k of what is left, exactly: run + k rows stand for
run x k.
"""

from functools import partial
from itertools import product
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from t2jax.laws.forms import Array, Law
from t2jax.laws.lm import Point, Search, minimise
from t2jax.laws.observations import Observations

MAX_STEPS = 200


class Points(NamedTuple):
    """Where a law is asked: N, D and k, of equal lengths; or one number where the terms asked for do not use it."""

    params: Array
    tokens: Array
    k: Array


class Design(NamedTuple):
    """A least squares problem: rows of `points`, or of `points` and, behind them, of `contrasts` over k.

    `rest` is the part of the squares that no parameter changes.
    """

    points: Points
    contrasts: Points | None
    target: Array
    weight: Array
    rest: Array


def make_design(law: Law, rows: Observations, target: np.ndarray, weight: np.ndarray) -> Design:
    """Pose the fit of `target` to `rows`; both broadcast over leading axes of `target` and `weight` (replicates)."""
    target, weight = np.broadcast_arrays(target, weight)
    grid = _grid(rows) if law.of_k else None
    if grid is None or np.ptp(weight[..., grid], axis=-1).any():
        points = Points(rows.params, rows.tokens, rows.k)
        return Design(points, None, target, weight, np.zeros(target.shape[:-1]))
    y, of_run = target[..., grid], weight[..., grid[:, 0]]
    total = np.maximum(of_run.sum(-1, keepdims=True), 1e-300)
    by_run = y.mean(-1)
    left = y - by_run[..., None]
    by_k = np.einsum('...r,...rk->...k', of_run, left) / total
    rest = np.einsum('...r,...rk->...', of_run, (left - by_k[..., None, :]) ** 2)
    run, ks = grid[:, 0], rows.k[grid[0]]
    return Design(
        points=Points(rows.params[run], rows.tokens[run], np.array(1.0)),
        contrasts=Points(np.array(1.0), np.array(1.0), ks),
        target=np.concatenate([by_run, by_k], -1),
        weight=np.concatenate([of_run * len(ks), np.broadcast_to(total, by_k.shape)], -1),
        rest=rest,
    )


def _grid(rows: Observations) -> np.ndarray | None:
    """Return row numbers [run, k], where every run is one (N, D) and has each k once; None where not."""
    order = np.lexsort((rows.k, rows.run))
    ks = np.unique(rows.k)
    if len(rows) % len(ks):
        return None
    grid = order.reshape(-1, len(ks))
    of_run = all(np.all(column[grid] == column[grid[:, :1]]) for column in (rows.run, rows.params, rows.tokens))
    return grid if of_run and np.all(rows.k[grid] == ks) else None


def _terms(law: Law, exponents: Array, points: Points, xp: ModuleType) -> Array:
    """Return what each linear coefficient multiplies, [point, coefficient]."""
    given = dict(zip(law.exponents, exponents))
    units = [given | {name: float(name == unit) for name in law.linear} for unit in law.linear]
    terms = [law.predict(parameters, points.params, points.tokens, points.k, xp) for parameters in units]
    shape = np.broadcast_shapes(*(column.shape for column in points))
    return xp.stack([xp.broadcast_to(term, shape) for term in terms], -1)


def _columns(law: Law, exponents: Array, design: Design, xp: ModuleType) -> Array:
    above = _terms(law, exponents, design.points, xp)
    if design.contrasts is None:
        return above
    over_k = _terms(law, exponents, design.contrasts, xp)
    of_k = np.array([name in law.of_k for name in law.linear])
    mean = over_k.mean(0)
    return xp.concatenate([xp.where(of_k, mean, above), xp.where(of_k, over_k - mean, 0.0)])


def nonnegative_least_squares(gram: Array, slope: Array) -> Array:
    """Minimise c' G c - 2 c' s over c >= 0, G of unit diagonal: of all supports, the best whose solution is positive.

    Written out, since batches of tiny matrices are slow through a linear algebra library.
    """
    n = len(slope)
    support = np.array(list(product((0.0, 1.0), repeat=n)))[1:]
    matrix = gram * support[:, :, None] * support[:, None, :] + (1 - support)[:, :, None] * np.eye(n)
    right = slope * support
    lower: dict[tuple[int, int], Array] = {}
    regular = True
    for j in range(n):
        pivot = matrix[:, j, j] - sum(lower[j, m] ** 2 for m in range(j))
        regular &= pivot > 1e-13
        lower[j, j] = jnp.sqrt(jnp.maximum(pivot, 1e-13))
        for i in range(j + 1, n):
            lower[i, j] = (matrix[:, i, j] - sum(lower[i, m] * lower[j, m] for m in range(j))) / lower[j, j]
    forward: list[Array] = []
    for i in range(n):
        forward.append((right[:, i] - sum(lower[i, m] * forward[m] for m in range(i))) / lower[i, i])
    back: dict[int, Array] = {}
    for i in reversed(range(n)):
        back[i] = (forward[i] - sum(lower[m, i] * back[m] for m in range(i + 1, n))) / lower[i, i]
    c = jnp.stack([back[i] for i in range(n)], -1)
    gain = jnp.where(regular & (c >= 0).all(-1), (c * right).sum(-1), 0.0)
    best = jnp.argmax(gain)
    return jnp.where(gain[best] > 0, c[best], 0.0)


def _orthonormal(columns: Array) -> Array:
    """Orthonormalise columns of length 1 or 0 (modified Gram-Schmidt); what depends on those before becomes 0."""
    kept: list[Array] = []
    for j in range(columns.shape[1]):
        column = columns[:, j]
        for q in kept:
            column = column - q * (q @ column)
        length = jnp.sqrt(column @ column)
        kept.append(jnp.where(length > 1e-7, column / jnp.maximum(length, 1e-7), 0.0))
    return jnp.stack(kept, -1)


def coefficients_at(law: Law, design: Design, exponents: np.ndarray) -> np.ndarray:
    """Solve one design for the coefficients that are best at given exponents."""
    from scipy.optimize import nnls  # here: a fit alone needs it, and it takes a moment to import

    root = np.sqrt(design.weight)
    columns = _columns(law, exponents, design, np) * root[:, None]
    lengths = np.sqrt(np.sum(columns**2, 0))
    lengths = np.where(lengths > 0, lengths, 1.0)
    return nnls(columns / lengths, design.target * root)[0] / lengths


def point_at(law: Law, design: Design, exponents: Array, low: Array, high: Array) -> Point:
    """Evaluate the squares, the coefficients being the best, and their derivatives by the exponents."""
    root = jnp.sqrt(design.weight)
    y = design.target * root
    columns = _columns(law, exponents, design, jnp) * root[:, None]
    lengths = jnp.sqrt(jnp.sum(columns**2, 0))
    lengths = jnp.where(lengths > 0, lengths, 1.0)
    columns = columns / lengths
    c = nonnegative_least_squares(columns.T @ columns, y @ columns)
    q = _orthonormal(columns * (c > 0))
    r = q @ (q.T @ y) - y
    moved = jax.jacfwd(lambda x: (_columns(law, x, design, jnp) @ (c / lengths)) * root)(exponents)
    jacobian = moved - q @ (q.T @ moved)
    return Point.of(exponents, r @ r + design.rest, jacobian, r, low, high)


def _search(law: Law, design: Design, start: Array, low: Array, high: Array) -> Search:
    evaluate = partial(point_at, law, design, low=low, high=high)
    return minimise(evaluate, start, low, high, MAX_STEPS, tolerance=1e-9)


@partial(jax.jit, static_argnames=('law',))
def project_all(law: Law, design: Design, starts: Array, low: Array, high: Array) -> Search:
    """Search from each row of `starts` (exponents); returned fields gain a leading axis."""
    return jax.vmap(lambda start: _search(law, design, start, low, high))(starts)


@partial(jax.jit, static_argnames=('law', 'axes'))
def project_each(law: Law, design: Design, axes: Any, starts: Array, low: Array, high: Array) -> Search:
    """Search each problem of a batch, the fields of `design` with `axes` 0, from all `starts`; [problem, start]."""
    return jax.vmap(lambda one: project_all(law, one, starts, low, high), in_axes=(axes,))(design)
