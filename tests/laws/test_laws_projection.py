"""Variable projection: exact coefficients, an exact gradient, and the same squares however the rows are laid out."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import least_squares, nnls

from t2jax.laws import projection
from t2jax.laws.fit import fit_law, float64_on_cpu
from t2jax.laws.forms import CHINCHILLA, LAWS, PER_K, T2_NLL
from t2jax.laws.lm import Point, minimise
from t2jax.laws.observations import Observations, where
from t2jax.laws.projection import make_design, nonnegative_least_squares

solve = jax.jit(nonnegative_least_squares)


def scaled(columns):
    lengths = np.linalg.norm(columns, axis=0)
    return columns / np.where(lengths > 0, lengths, 1)


def solve_nnls(columns, y):
    """Solve by the function under test, columns of length 1 or 0."""
    with float64_on_cpu():
        return np.asarray(solve(columns.T @ columns, columns.T @ y))


def in_turn(columns, y, rel):
    """Check against scipy that no c >= 0 leaves less."""
    c = solve_nnls(columns, y)
    assert (c >= 0).all()
    _, least = nnls(columns, y)
    assert np.sum((columns @ c - y) ** 2) == pytest.approx(least**2, rel=rel, abs=1e-13 * np.sum(y**2))
    return c


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 5), rows=st.integers(1, 9), noise=st.sampled_from([0, 0.3, 3]))
def test_nonnegative_least_squares_is_scipys(seed, n, rows, noise):
    """Random columns, any sign: supports of every size; more columns than rows too."""
    rng = np.random.default_rng(seed)
    columns = scaled(rng.normal(size=(rows, n)))
    y = columns @ rng.normal(size=n) + noise * rng.normal(size=rows)
    in_turn(columns, y, rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 5))
def test_positive_columns_have_scipys_coefficients(seed, n):
    """What laws pose: decaying powers of about the same direction."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, 40)
    columns = scaled(np.exp(-np.arange(n) * rng.uniform(0.2, 1) * x[:, None]))
    y = columns @ rng.uniform(0, 1, n) + 0.05 * rng.normal(size=40)
    c = in_turn(columns, y, rel=1e-9)
    np.testing.assert_allclose(c, nnls(columns, y)[0], atol=1e-7)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 5),
    tie=st.sampled_from(['twice', 'opposite', 'zero', 'sum', 'nearly']),
)
def test_columns_that_depend_on_others_do_no_harm(seed, n, tie):
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(8, n))
    last = {
        'twice': columns[:, 0],
        'opposite': -columns[:, 0],
        'zero': np.zeros(8),
        'sum': columns[:, :-1].sum(1),
        'nearly': columns[:, 0] + 1e-5 * rng.normal(size=8),
    }
    columns[:, -1] = last[tie]
    columns = scaled(columns[:, rng.permutation(n)])
    y = columns @ rng.normal(size=n) + rng.normal(size=8)
    in_turn(columns, y, rel=1e-5 if tie == 'nearly' else 1e-9)


def test_where_every_column_points_away_all_coefficients_are_0():
    columns = scaled(np.random.default_rng(0).uniform(0.1, 1, (6, 3)))
    np.testing.assert_array_equal(solve_nnls(columns, -columns.sum(1)), np.zeros(3))
    np.testing.assert_array_equal(solve_nnls(columns, np.zeros(6)), np.zeros(3))


def test_one_binding_bound_is_not_the_unbounded_solution_cut_off():
    """y asks for (2, -1): clipping gives (2, 0), the right answer is the best of the first column alone."""
    columns = scaled(np.array([[1.0, 1.0], [0.0, 1.0]]))
    y = columns @ np.array([2.0, -1.0])
    np.testing.assert_allclose(solve_nnls(columns, y), [2 - np.sqrt(0.5), 0], rtol=1e-12)


def squares(law, design, exponents):
    """Minimise the squares of a design over the coefficients, by scipy, at given exponents."""
    root = np.sqrt(design.weight)
    columns = projection._columns(law, exponents, design, np)
    return nnls(columns * root[:, None], design.target * root)[1] ** 2 + design.rest


def direct_columns(law, rows, exponents):
    """Ask the law itself for what its coefficients multiply, row by row, times the roots of the weights."""
    at, ones = (rows.params, rows.tokens, rows.k, np), np.ones(len(rows))
    units = [
        dict(zip(law.exponents, exponents)) | {name: float(name == unit) for name in law.linear} for unit in law.linear
    ]
    return np.stack([law.predict(unit, *at) * ones for unit in units], 1) * np.sqrt(rows.weight)[:, None]


def direct_squares(law, rows, exponents):
    return nnls(direct_columns(law, rows, exponents), rows.nll * np.sqrt(rows.weight))[1] ** 2


EXPONENTS = {
    'chinchilla': [[0.46, 0.47], [0.1, 1.3], [2.9, 0.0]],
    't2-nll': [[0.46, 0.47, 0.4], [0.1, 1.3, 0.05], [2.9, 0.0, 2.5]],
    't2-nll-overtraining': [[0.46, 0.47, 0.4, 0.7], [0.1, 1.3, 0.05, 0.0], [2.9, 0.0, 2.5, 3.0]],
    'per-k': [[0.46, 0.47, 0.3, -0.05, -0.06, 0.02, 0.015], [0.1, 1.3, 0.1, 0.2, 0.4, -0.02, 0.1]],
}


def of_runs(rows, weight):
    """Weigh by run."""
    return dataclasses.replace(rows, weight=weight[np.unique(rows.run, return_inverse=True)[1]])


def layouts(rows):
    """Give the name of each layout, its rows, and whether runs x k factorise in it."""
    rng = np.random.default_rng(5)
    by_run = of_runs(rows, rng.integers(0, 4, 24).astype(float))
    shuffled = where(by_run, rng.permutation(len(rows)))
    yield 'plain', rows, True
    yield 'runs weighed', by_run, True
    yield 'shuffled', shuffled, True
    nudged = rows.weight.copy()
    nudged[17] += 1e-12
    yield 'one weight apart', dataclasses.replace(rows, weight=nudged), False
    missing = np.arange(len(rows)) != 100
    yield 'one missing', where(rows, missing), False
    yield 'one at weight 0', dataclasses.replace(rows, weight=missing.astype(float)), False
    twice = (rows.run == rows.run[0]) & (rows.k == 4)
    yield 'one k twice in a run', dataclasses.replace(rows, k=np.where(twice, 2, rows.k)), False
    # a run that is named as one, and is another (N, D) at each k
    yield 'run of many', dataclasses.replace(rows, params=np.where(rows.k == 4, 2, 1) * rows.params), False
    yield 'one k', where(rows, rows.k == 2), True


@pytest.mark.parametrize('law', list(EXPONENTS))
def test_squares_are_the_same_however_the_rows_are_laid_out(mini_rows, plant, law):
    law = LAWS[law]
    for name, rows, factorises in layouts(plant(mini_rows, noise=0.05)):
        design = make_design(law, rows, rows.nll, rows.weight)
        assert (design.contrasts is not None) == (factorises and bool(law.of_k)), name
        for exponents in EXPONENTS[law.name]:
            expected = direct_squares(law, rows, exponents)
            assert squares(law, design, exponents) == pytest.approx(expected, rel=1e-10), name


def test_replicates_factorise_one_by_one(mini_rows, plant):
    """A batch of targets and of run weights, some 0, gives each its own squares."""
    rng = np.random.default_rng(2)
    rows = plant(mini_rows, noise=0.05)
    target = rows.nll * rng.uniform(0.8, 1.2, (3, len(rows)))
    weight = np.stack([of_runs(rows, rng.integers(0, 3, 24).astype(float)).weight for _ in range(3)])
    design = make_design(T2_NLL, rows, target, weight)
    assert design.contrasts is not None and design.target.shape == (3, 24 + 8)
    for i in range(3):
        one = design._replace(target=design.target[i], weight=design.weight[i], rest=design.rest[i])
        alone = dataclasses.replace(rows, nll=target[i], weight=weight[i])
        for exponents in EXPONENTS['t2-nll']:
            assert squares(T2_NLL, one, exponents) == pytest.approx(direct_squares(T2_NLL, alone, exponents), rel=1e-10)


def test_the_factorised_fit_is_the_plain_one(mini_rows, plant):
    rows = plant(mini_rows, noise=0.02, by_run=0.02)
    nudged = rows.weight.copy()
    nudged[17] += 1e-12
    fits = [fit_law(T2_NLL, one, starts=50) for one in (rows, dataclasses.replace(rows, weight=nudged))]
    assert fits[0].objective_value == pytest.approx(fits[1].objective_value, rel=1e-9)
    assert fits[0].parameters == pytest.approx(fits[1].parameters, rel=1e-6)


@pytest.mark.parametrize(
    'law, at_zero', [(CHINCHILLA, ''), (T2_NLL, ''), (PER_K, ''), (T2_NLL, 'E'), (CHINCHILLA, 'E')]
)
def test_the_gradient_is_that_of_the_projected_squares(mini_rows, plant, law, at_zero):
    """Half of it, as `Point` says; also where a coefficient is held at 0. J'J is that over all but the coefficients."""
    rows = plant(mini_rows, law.name, noise=0.05)
    rows = where(rows, rows.k == 1) if law.single_pass else rows
    exponents = np.array(EXPONENTS[law.name][0]) * (0.5 if at_zero else 1.1)
    design, far = make_design(law, rows, rows.nll, rows.weight), np.full(len(exponents), 5.0)
    with float64_on_cpu():
        at = jax.jit(lambda x: projection.point_at(law, design, x, -far, far))
        point = jax.tree.map(np.asarray, at(exponents))
    columns = direct_columns(law, rows, exponents)
    c, length = nnls(columns, rows.nll * np.sqrt(rows.weight))
    assert [name for name, value in zip(law.linear, c) if value == 0] == ([at_zero] if at_zero else [])
    assert point.value == pytest.approx(length**2, rel=1e-10)
    moved = []
    for i, step in enumerate(1e-5 * np.eye(len(exponents))):
        with float64_on_cpu():
            slope = float(at(exponents + step).value - at(exponents - step).value) / 2e-5
        assert 2 * point.gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-6 * float(point.value))
        either = [direct_columns(law, rows, exponents + sign * step) @ c for sign in (1, -1)]
        moved.append((either[0] - either[1]) / 2e-5)
    moved, used = np.stack(moved, 1), columns[:, c > 0]
    moved -= used @ np.linalg.lstsq(used, moved, rcond=None)[0]
    matrix = point.matrix * np.outer(point.norms, point.norms)
    np.testing.assert_allclose(matrix, moved.T @ moved, rtol=1e-5, atol=1e-6 * np.max(matrix))


def decay(z, x, xp):
    return z[0] * xp.exp(-z[1] * x) + z[2]


@pytest.mark.parametrize('box, n_held', [((-10.0, 10.0), 0), ((0.2, 0.9), 1), ((0.6, 0.9), 2)])
def test_levenberg_marquardt_ends_where_scipys_does(box, n_held):
    """A decay, free and with some of its three numbers held at a bound; such a coordinate has no gradient left."""
    x = np.linspace(0, 4, 30)
    rng = np.random.default_rng(1)
    y = 1.5 * np.exp(-0.7 * x) + 0.1 + 0.05 * rng.normal(size=30)
    start, low, high = np.full(3, max(0.5, box[0])), np.full(3, box[0]), np.full(3, box[1])
    with float64_on_cpu():

        def evaluate(z):
            jacobian, r = jax.jacfwd(lambda z: (decay(z, x, jnp) - y,) * 2, has_aux=True)(z)
            return Point.of(z, r @ r, jacobian, r, low, high)

        end = jax.jit(lambda z: minimise(evaluate, z, low, high, 100, tolerance=1e-9))(start)
    tight = dict.fromkeys(('xtol', 'ftol', 'gtol'), 1e-15)
    found = least_squares(lambda z: decay(z, x, np) - y, start, bounds=box, jac='3-point', **tight)
    assert bool(end.done) and int(end.steps) < 100
    assert float(end.best.value) == pytest.approx(2 * found.cost, rel=1e-9)
    np.testing.assert_allclose(end.best.z, found.x, atol=1e-6)
    held = (np.asarray(end.best.z) == low) | (np.asarray(end.best.z) == high)
    assert held.sum() == n_held
    assert np.abs(end.best.gradient).max() < 1e-7
    assert (np.diag(end.best.matrix)[held] == 0).all()


def test_a_design_of_one_row_per_run_needs_no_k():
    rows = Observations(params=[1e6, 1e7, 1e8], tokens=[1e8, 1e9, 1e9], k=[1, 1, 1], nll=[3, 2, 1])
    design = make_design(T2_NLL, rows, rows.nll, rows.weight)
    assert design.contrasts.k.tolist() == [1.0]
    assert design.rest == 0
