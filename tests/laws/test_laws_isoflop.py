"""isoFLOP optima: planted ones come back, noise and weights do as told, what is not bracketed is left out."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax.laws.isoflop import Optimum, fit_power_law, isoflop_optima
from t2jax.laws.observations import Observations, where

SIZES = np.geomspace(1e6, 1e8, 9)
SPACING = np.log(10) / 4  # of log SIZES
LAW = {'E': 1.8, 'A': 480.0, 'B': 2000.0, 'alpha': 0.35, 'beta': 0.37}


def isoflop_rows(budgets, loss, sizes=SIZES):
    params, budget = (x.ravel() for x in np.meshgrid(sizes, budgets))
    tokens = budget / (6 * params)
    return Observations(params=params, tokens=tokens, k=np.ones(len(params)), nll=loss(params, tokens))


def parabola(params, tokens, curvature=0.02):
    """A loss whose log is least at N = 1.3e7 (C / 1e17)^0.6."""
    best = np.log(1.3e7) + 0.6 * np.log(6 * params * tokens / 1e17)
    return np.exp(1 + curvature * (np.log(params) - best) ** 2)


def optimum(train_flops, params, log_std=0.1, copies=None):
    return Optimum(train_flops, params, 3.0, log_std, np.array([params] if copies is None else copies, float))


def test_the_minimum_of_a_parabola_comes_back():
    (found,) = isoflop_optima(isoflop_rows([1e17], parabola))
    assert found.train_flops == pytest.approx(1e17)
    assert np.log(found.params / 1.3e7) == pytest.approx(0, abs=SPACING / 50)
    assert found.loss == pytest.approx(np.e, rel=1e-5)
    assert found.copies.tolist() == [found.params]


@given(st.floats(0.55, 0.65), st.integers(0, 2**32 - 1))
def test_rows_in_any_order_give_the_planted_exponent(exponent, seed):
    def loss(params, tokens):
        best = np.log(1.3e7) + exponent * np.log(6 * params * tokens / 1e17)
        return np.exp(1 + 0.02 * (np.log(params) - best) ** 2)

    rows = isoflop_rows([1e17, 3e17, 9e17], loss)
    shuffled = where(rows, np.random.default_rng(seed).permutation(len(rows)))
    law = fit_power_law(isoflop_optima(shuffled))
    assert law.exponent == pytest.approx(exponent, abs=0.015)
    assert law.predict(3e17) == pytest.approx(1.3e7 * 3**exponent, rel=0.03)


def test_a_planted_chinchilla_law_gives_its_own_optimum():
    """N* = (alpha A / (beta B))^(1 / (alpha + beta)) (C / 6)^(beta / (alpha + beta))."""
    alpha, beta = LAW['alpha'], LAW['beta']
    rows = isoflop_rows(
        10.0 ** np.arange(17, 21),
        lambda params, tokens: LAW['E'] + LAW['A'] * params**-alpha + LAW['B'] * tokens**-beta,
        sizes=np.geomspace(1e6, 1e10, 60),
    )
    law = fit_power_law(isoflop_optima(rows))
    scale = (alpha * LAW['A'] / (beta * LAW['B'])) ** (1 / (alpha + beta))
    assert law.exponent == pytest.approx(beta / (alpha + beta), abs=2e-4)
    assert law.predict(1e19) == pytest.approx(scale * (1e19 / 6) ** (beta / (alpha + beta)), rel=5e-3)


def test_of_one_size_and_budget_the_best_run_counts():
    rows = isoflop_rows([1e17], parabola)
    worse = dataclasses.replace(rows, nll=rows.nll + np.linspace(0.3, 0.1, len(rows)))
    both = Observations(
        **{
            name: np.concatenate([getattr(worse, name), getattr(rows, name)])
            for name in ('params', 'tokens', 'k', 'nll')
        }
    )
    (alone,), (doubled,) = isoflop_optima(rows), isoflop_optima(both)
    assert (doubled.params, doubled.loss) == (alone.params, alone.loss)


def test_noise_spreads_the_copies_as_theory_says_and_a_seed_fixes_them():
    rows = isoflop_rows([1e17], parabola)
    noise = 0.002
    (found,) = isoflop_optima(rows, noise=noise, copies=4000, seed=3)
    (again,) = isoflop_optima(rows, noise=noise, copies=4000, seed=3)
    (other,) = isoflop_optima(rows, noise=noise, copies=4000, seed=4)
    assert found.copies.tolist() == again.copies.tolist() != other.copies.tolist()
    # log N* moves by the slope that the noise of two neighbours, 0.002 / e each in log loss, gives, over 2 x 0.02
    rough = noise / np.e * np.sqrt(2) / SPACING / 2 / 0.02
    assert 0.5 * rough < np.log(found.copies).std() < 2 * rough
    assert np.log(found.params / 1.3e7) == pytest.approx(0, abs=2 * rough / np.sqrt(4000) + SPACING / 50)


@pytest.mark.parametrize('noise', [0.0, 1e-5])
def test_log_std_is_at_least_a_third_of_the_distance_between_sizes(noise):
    (found,) = isoflop_optima(isoflop_rows([1e17], parabola), noise=noise)
    assert found.log_std == pytest.approx(SPACING / 3)


def test_copies_that_are_not_bracketed_are_nan_and_widen_log_std():
    flat = isoflop_rows([1e17], lambda params, tokens: parabola(params, tokens, curvature=1e-3))
    (found,) = isoflop_optima(flat, noise=0.01)
    known = found.copies[np.isfinite(found.copies)]
    share = len(known) / 1000
    assert 0.5 < share < 1 and found.copies.shape == (1000,)
    assert SIZES[0] < known.min() and known.max() < SIZES[-1]
    assert found.log_std == pytest.approx(max(np.log(known).std(), SPACING / 3) / share)
    assert found.params == np.median(known)


@pytest.mark.parametrize('loss', [lambda params, tokens: 3 + 1e6 / params, lambda params, tokens: 3 + params / 1e9])
def test_a_budget_whose_best_size_is_an_end_has_no_optimum(loss):
    rows = isoflop_rows([1e17, 1e18], loss)
    optima = isoflop_optima(rows, noise=1e-4)
    assert [optimum.train_flops for optimum in optima] == pytest.approx([1e17, 1e18])
    for found in optima:
        assert np.isnan([found.params, found.loss, found.log_std]).all()
    with pytest.raises(ValueError, match='^the sizes bracket the lowest loss at 0 of 2 training budgets'):
        fit_power_law(optima)


@pytest.mark.parametrize('sizes', [1, 2])
def test_two_sizes_are_too_few(sizes):
    rows = isoflop_rows([1e17], parabola, sizes=SIZES[3 : 3 + sizes])
    (found,) = isoflop_optima(rows)
    assert np.isnan(found.params) and np.isnan(found.copies).all()


def test_budgets_weigh_by_1_over_variance():
    flops, params, std = (
        np.array([1e17, 1e18, 1e19, 1e20]),
        np.array([1e7, 5e7, 2e8, 4e9]),
        np.array([0.1, 0.2, 0.1, 3]),
    )
    law = fit_power_law([optimum(*row) for row in zip(flops, params, std)])
    slope, offset = np.polyfit(np.log(flops), np.log(params), 1, w=1 / std)
    assert law.exponent == pytest.approx(slope, rel=1e-9)
    assert law.coefficient == pytest.approx(np.exp(offset), rel=1e-6)
    assert law.interval() == pytest.approx((slope, slope), rel=1e-9)


def test_each_copy_has_an_exponent_of_the_budgets_that_it_brackets():
    nan = np.nan
    copies = [[1e7, 1e7, 1e7, nan], [1e8, 4e7, nan, nan], [1e9, nan, 1e8, 1e9]]
    optima = [optimum(10.0 ** (17 + i), 10.0 ** (7 + i), copies=row) for i, row in enumerate(copies)]
    law = fit_power_law([*optima, optimum(1e20, nan, nan, [nan] * 4)])
    assert law.exponents == pytest.approx([1.0, np.log10(4), 0.5])  # the last copy has a single N*
    assert law.exponent == pytest.approx(1.0)
    assert law.interval(0.5) == pytest.approx(np.quantile(law.exponents, [0.25, 0.75]))


@pytest.mark.parametrize(
    'change, options, sentence',
    [
        (
            lambda r: dataclasses.replace(r, task=np.where(r.params > 1e7, 'a', 'b')),
            {},
            'the rows at k = 1 are of tasks a, b',
        ),
        (lambda r: dataclasses.replace(r, k=r.k + 1), {}, 'the rows at k = 1 are of tasks none'),
        (
            lambda r: dataclasses.replace(r, nll=np.where(r.params > 1e7, np.nan, r.nll)),
            {},
            'an isoFLOP optimum takes logs',
        ),
        (lambda r: dataclasses.replace(r, nll=0 * r.nll), {}, 'an isoFLOP optimum takes logs'),
        (lambda r: r, {'noise': -0.1}, 'noise is -0.1 and copies 1000'),
        (lambda r: r, {'noise': 1.0}, 'noise is 1 and copies 1000'),
        (lambda r: r, {'copies': 0}, 'noise is 0 and copies 0'),
    ],
)
def test_what_has_no_optimum_is_refused(change, options, sentence):
    with pytest.raises(ValueError, match='^' + sentence):
        isoflop_optima(change(isoflop_rows([1e17], parabola)), **options)
