"""Fits: planted laws come back, scipy finds nothing better, rows count as weighted, and what cannot be is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from t2jax.laws import fit as fit_module
from t2jax.laws import forms
from t2jax.laws.accuracy import ACCURACY_OF_LOSS, isoflop_weights
from t2jax.laws.fit import fit_law, measured, pose
from t2jax.laws.forms import CHINCHILLA, LAWS, T2_ACCURACY, T2_NLL, Law
from t2jax.laws.observations import training_budgets, where
from t2jax.laws.projection import project_all
from t2jax.laws.search import search_all

OBJECTIVES = ('sse', 'log-huber')
STARTS = 50


def huber_sum(errors, delta=1e-3, weight=1.0):
    size = np.abs(errors)
    return np.sum(weight * np.where(size <= delta, size**2 / 2, delta * (size - delta / 2)))


def objective_of(objective, predicted, observed, weight=1.0):
    if objective == 'sse':
        return np.sum(weight * (predicted - observed) ** 2)
    return huber_sum(np.log(predicted / observed), weight=weight)


def scipy_best(law, objective, rows, near, weight=1.0):
    """Fit an additive law by L-BFGS-B over (logs of coefficients, exponents), with an analytic gradient."""
    columns = {'A': rows.params, 'B': rows.tokens, 'G': rows.k}
    exponents = {'A': 'alpha', 'B': 'beta', 'G': 'gamma'}
    coefficients = [name for name in law.parameters if name in 'EABG']

    def value_and_gradient(z):
        p = dict(zip(law.parameters, z))
        term, slope = {}, {}
        for name in coefficients:
            log_x = np.log(columns[name]) if name in columns else 0.0
            term[name] = np.exp(p[name] - p.get(exponents.get(name), 0.0) * log_x) * np.ones(len(rows))
            slope[name] = term[name]
            if name in exponents:
                slope[exponents[name]] = -term[name] * log_x
        predicted, observed = sum(term.values()), rows.nll
        if objective == 'sse':
            outer = 2 * weight * (predicted - observed)
        else:
            outer = np.clip(np.log(predicted / observed), -1e-3, 1e-3) / predicted
        gradient = np.array([outer @ slope[name] for name in law.parameters])
        return objective_of(objective, predicted, observed, weight) * 1e3, gradient * 1e3

    rng, best = np.random.default_rng(1), np.inf
    start = np.array([np.log(near[name]) if name in coefficients else near[name] for name in law.parameters])
    bounds = [(-30, 30) if name in coefficients else (0, 3) for name in law.parameters]
    tight = {'maxiter': 20000, 'maxfun': 100000, 'ftol': 1e-15, 'gtol': 1e-12, 'maxcor': 50}
    for _ in range(3):
        z = start + rng.normal(0, 0.1, len(start))
        for _ in range(5):  # L-BFGS-B stalls: started again where it stopped, it goes on
            found = minimize(value_and_gradient, z, jac=True, method='L-BFGS-B', bounds=bounds, options=tight)
            z = found.x
        best = min(best, found.fun / 1e3)
    return best


def rows_for(law, rows):
    return where(rows, rows.k == 1) if law.single_pass else rows


def change(rows, **columns):
    return dataclasses.replace(rows, **columns)


def assert_same_fit(one, other, rel=1e-6):
    assert one.parameters == pytest.approx(other.parameters, rel=rel)
    assert one.objective_value == pytest.approx(other.objective_value, rel=1e-9)


@pytest.mark.parametrize('objective', OBJECTIVES)
@pytest.mark.parametrize('grid, other', [('mini_rows', {}), ('paper_rows', {'E': 1.7, 'A': 482.0, 'B': 2085.0})])
@pytest.mark.parametrize('law', ['chinchilla', 't2-nll'])
def test_a_planted_loss_law_comes_back(request, plant, planted, law, grid, other, objective):
    rows = plant(request.getfixturevalue(grid), law, **other)
    fit = fit_law(LAWS[law], rows, objective=objective, starts=STARTS)
    assert fit.parameters == pytest.approx(planted[law] | other, rel=1e-6)
    assert fit.share_at_best > 0.5
    assert all('bracketed' in warning for warning in fit.warnings)
    assert fit.residuals['largest_relative'] < 1e-9


@pytest.mark.parametrize('objective', OBJECTIVES)
def test_planted_approach_2_comes_back(mini_rows, plant, planted, objective):
    fit = fit_law(T2_ACCURACY, plant(mini_rows, 'chinchilla'), objective=objective, starts=STARTS)
    assert fit.parameters == pytest.approx(planted['t2-accuracy'], rel=1e-6)
    assert fit.share_at_best > 0.5


@pytest.mark.parametrize('objective', OBJECTIVES)
@pytest.mark.parametrize('law', [CHINCHILLA, T2_NLL])
def test_scipy_finds_the_same_optimum(mini_rows, plant, planted, law, objective):
    rows = rows_for(law, plant(mini_rows, law.name, noise=0.03))
    fit = fit_law(law, rows, objective=objective, starts=STARTS)
    predicted = fit.predict(rows.params, rows.tokens, rows.k)
    assert fit.objective_value == pytest.approx(objective_of(objective, predicted, rows.nll), rel=1e-9)
    assert fit.objective_value == pytest.approx(scipy_best(law, objective, rows, planted[law.name]), rel=1e-6)


@pytest.mark.parametrize('law', [CHINCHILLA, T2_NLL, LAWS['per-k']])
def test_the_projected_fit_is_the_papers(mini_rows, plant, law):
    rows = plant(mini_rows, law.name, noise=0.02, seed=1)
    fits = [fit_law(law, rows, starts=STARTS, route=route) for route in ('projected', 'full')]
    assert fits[0].objective_value == pytest.approx(fits[1].objective_value, rel=1e-8)
    assert fits[0].parameters == pytest.approx(fits[1].parameters, rel=1e-4)
    assert fits[0].share_at_best > 0.4


def test_approach_2_weighs_losses_by_isoflop_group_and_then_fits_pass_at_k(mini_rows, plant, planted):
    rows = plant(mini_rows, 'chinchilla', noise=0.03)
    fit = fit_law(T2_ACCURACY, rows, starts=STARTS)
    single = where(rows, rows.k == 1)
    budgets = training_budgets(single.train_flops)
    weight = 1 / np.array([single.nll[budgets == budget].var() for budget in budgets])
    weight /= weight.mean()
    loss = CHINCHILLA.predict(fit.parameters, single.params, single.tokens, single.k, np)
    step_1 = objective_of('sse', loss, single.nll, weight)
    assert len(set(weight.round(12).tolist())) == 4
    assert step_1 == pytest.approx(scipy_best(CHINCHILLA, 'sse', single, planted['chinchilla'], weight), rel=1e-6)

    thetas = [name for name in fit.parameters if name.startswith('theta')]

    def sse(z):
        predicted = T2_ACCURACY.predict(fit.parameters | dict(zip(thetas, z)), rows.params, rows.tokens, rows.k, np)
        return np.sum((predicted - rows.pass_at_k) ** 2)

    start = [planted['t2-accuracy'][name] for name in thetas]
    for _ in range(3):
        found = minimize(sse, start, method='Nelder-Mead', options={'maxiter': 4000, 'xatol': 1e-10, 'fatol': 1e-16})
        start = found.x
    assert fit.objective_value == pytest.approx(sse([fit.parameters[name] for name in thetas]), rel=1e-9)
    assert fit.objective_value == pytest.approx(found.fun, rel=1e-6)


def test_runs_alone_in_their_budget_get_the_mean_weight():
    flops = np.array([1e10, 1e10, 1e10, 2e10, 2e10, 4e10, 8e10, 8e10])
    nll = np.array([3.0, 4.0, 8.0, 3.0, 3.5, 9.0, 2.7, 2.7])  # the last two are equal: no variance either
    one, two = 1 / nll[:3].var(), 1 / nll[3:5].var()
    mean = (3 * one + 2 * two) / 5
    expected = np.array([one, one, one, two, two, mean, mean, mean]) / mean
    np.testing.assert_allclose(isoflop_weights(flops, nll, np.ones(8)), expected, rtol=1e-12)
    np.testing.assert_array_equal(isoflop_weights(flops * np.arange(1, 9) ** 2, nll, np.ones(8)), np.ones(8))


def test_isoflop_weights_count_a_row_as_its_weight():
    flops, nll = np.array([1e10, 1e10, 1e10, 2e10, 2e10]), np.array([3.0, 4.0, 8.0, 3.0, 3.5])
    times = np.array([[2, 1, 0, 3, 1], [1, 1, 1, 0, 2], [3, 0, 0, 0, 7]])
    weighted = isoflop_weights(flops, nll, times.astype(float))
    for count, weight in zip(times, weighted):
        copies = np.repeat(np.arange(5), count)
        expected = isoflop_weights(flops[copies], nll[copies], np.ones(len(copies)))
        np.testing.assert_allclose(weight[copies], expected, rtol=1e-12)


@pytest.mark.parametrize('objective, law', [('sse', 'chinchilla'), ('log-huber', 'chinchilla'), ('sse', 't2-nll')])
def test_a_row_of_weight_2_is_two_rows_and_one_of_weight_0_none(mini_rows, plant, law, objective):
    rows = rows_for(LAWS[law], plant(mini_rows, law, noise=0.01))
    weighted, copied = weighted_and_copied(rows)
    weighted = change(weighted, nll=np.where(weighted.weight == 0, 1e3, rows.nll))
    fits = [fit_law(LAWS[law], one, objective=objective, starts=STARTS) for one in (weighted, copied)]
    assert_same_fit(*fits)
    assert [fit.n_points for fit in fits] == [len(rows) * 7 // 8, len(rows)]
    assert [fit.n_runs for fit in fits] == [21, 24]
    assert fits[0].residuals['largest_relative'] < 0.2
    for span in ('params_range', 'tokens_per_param_range', 'train_flops_range', 'k_range', 'sizes'):
        assert getattr(fits[0], span) == getattr(fits[1], span)


def test_both_steps_of_approach_2_count_rows_as_weighted(mini_rows, plant):
    rows = plant(mini_rows, 'chinchilla', noise=0.03)
    assert_same_fit(*(fit_law(T2_ACCURACY, one, starts=STARTS) for one in weighted_and_copied(rows)))


def weighted_and_copied(rows):
    """Give the last three runs no weight and the first three 2; and as many rows with the first three runs twice."""
    part = len(rows) // 8
    weight = np.repeat([2.0, 1.0, 0.0], [part, 6 * part, part])
    copied = where(rows, np.concatenate([np.arange(7 * part), np.arange(part)]))
    again = np.arange(len(rows)) >= 7 * part
    return change(rows, weight=weight), change(copied, run=np.char.add(copied.run, np.where(again, '-again', '')))


@pytest.mark.parametrize('objective', OBJECTIVES)
def test_a_standard_error_weighs_by_its_square(mini_rows, plant, objective):
    rows = plant(mini_rows, 'chinchilla', noise=0.03)
    rows = change(rows, se=rows.nll * np.random.default_rng(2).uniform(0.01, 0.05, len(rows)))
    fit = fit_law(CHINCHILLA, rows, objective=objective, starts=STARTS)
    rows = where(rows, rows.k == 1)
    predicted = fit.predict(rows.params, rows.tokens, rows.k)
    weight = rows.se**-2 if objective == 'sse' else (rows.nll / rows.se) ** 2
    weight /= 1 if objective == 'sse' else weight.mean()
    assert fit.objective_value == pytest.approx(objective_of(objective, predicted, rows.nll, weight), rel=1e-9)
    by_weight = fit_law(
        CHINCHILLA, change(rows, weight=weight, se=rows.se * np.nan), objective=objective, starts=STARTS
    )
    assert_same_fit(fit, by_weight)


def test_a_fit_says_what_it_rests_on(mini_rows, plant):
    rows = change(plant(mini_rows, noise=0.01), measure=np.full(len(mini_rows), 'counts'))
    single, sampled = (fit_law(law, rows, starts=STARTS) for law in (CHINCHILLA, T2_NLL))
    assert (single.n_points, single.n_runs, single.k_range) == (24, 24, (1.0, 1.0))
    assert (sampled.n_points, sampled.n_runs, sampled.k_range) == (192, 24, (1.0, 128.0))
    assert sampled.params_range == (6036.0, 155072.0)
    assert sampled.train_flops_range == (rows.train_flops.min(), rows.train_flops.max())
    ratio = rows.tokens / rows.params
    assert sampled.tokens_per_param_range == (ratio.min(), ratio.max())
    assert (sampled.task, sampled.law, sampled.objective, sampled.starts) == ('macro', 't2-nll', 'sse', STARTS)
    assert (sampled.measure, sampled.sizes) == ('counts', (6036.0, 11120.0, 22440.0, 39904.0, 86352.0, 155072.0))
    assert sampled.gradient_norm < 1e-6
    errors = sampled.predict(rows.params, rows.tokens, rows.k) - rows.nll
    assert sampled.residuals['rms'] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert (sampled.resampled, sampled.replicates) == ('', {})


def test_the_condition_number_is_that_of_the_jacobian(mini_rows, plant):
    rows = plant(mini_rows, noise=0.01)
    fit = fit_law(T2_NLL, rows, starts=STARTS)
    columns = [np.ones(len(rows))]
    for exponent, x in (('alpha', rows.params), ('beta', rows.tokens), ('gamma', rows.k)):
        log_x = np.log(x) - np.log(x).mean()  # an exponent turns its term about the centre of the data
        term = np.exp(-fit.parameters[exponent] * log_x)
        columns += [term, term * log_x]
    scaled = np.stack([column / np.linalg.norm(column) for column in columns], 1)
    assert fit.condition_number == pytest.approx(np.linalg.cond(scaled), rel=1e-6)


def test_a_seed_fixes_a_fit_and_the_shape_its_executable(mini_rows, plant):
    rows = plant(mini_rows, noise=0.02)
    first = fit_law(T2_NLL, rows, starts=STARTS, seed=3)
    compiled = search_all._cache_size() + project_all._cache_size()
    assert fit_law(T2_NLL, rows, starts=STARTS, seed=3) == first
    other = fit_law(T2_NLL, plant(mini_rows, noise=0.02, seed=5), starts=STARTS, seed=4)
    assert search_all._cache_size() + project_all._cache_size() == compiled
    assert other.objective_value != first.objective_value


def test_a_fit_takes_nothing_from_the_process(mini_rows, plant, monkeypatch):
    """Neither x64 nor the default device, of the eight here, moves a digit or a search; and neither is changed."""
    rows = plant(mini_rows, noise=0.02)
    alone = fit_law(T2_NLL, rows, starts=STARTS)
    used = set()

    def watch(name):
        search = getattr(fit_module, name)

        def watched(*args):
            ends = search(*args)
            used.update((leaf.dtype.name, *leaf.devices()) for leaf in jax.tree.leaves(ends) if leaf.dtype.kind == 'f')
            return ends

        monkeypatch.setattr(fit_module, name, watched)

    watch('project_all')
    watch('search_all')
    with jax.enable_x64(True), jax.default_device(jax.devices()[3]):
        assert fit_law(T2_NLL, rows, starts=STARTS) == alone
    assert used == {('float64', jax.devices('cpu')[0])}
    assert not jax.config.jax_enable_x64
    assert isinstance(alone.parameters['A'], float)
    assert jnp.ones(3).dtype == jnp.float32


def test_a_term_that_is_not_there_fits_to_0(mini_rows, plant, planted):
    fit = fit_law(T2_NLL, plant(mini_rows, E=0.0), starts=STARTS)
    assert fit.parameters['E'] < 1e-6
    assert 'E of t2-nll fits to 0: the observations show no such term' in fit.warnings
    assert fit.parameters['alpha'] == pytest.approx(planted['t2-nll']['alpha'], rel=1e-6)


def test_a_parameter_at_its_bound_is_said(mini_rows, plant):
    fit = fit_law(T2_NLL, plant(mini_rows, gamma=5.0), starts=STARTS)
    assert fit.parameters['gamma'] == 3.0
    assert 'gamma of t2-nll is at its upper bound: the fit would go beyond it' in fit.warnings


def test_data_that_cannot_tell_terms_apart_are_said(mini_rows, plant):
    """At one D/N, A / N^alpha and B / D^beta of nearly equal exponents are one term."""
    rows = where(mini_rows, mini_rows.k == 1)
    params = np.geomspace(1e4, 1e5, len(rows))
    rows = plant(change(rows, params=params, tokens=20 * params, train_flops=120 * params**2), 'chinchilla')
    fit = fit_law(CHINCHILLA, rows, starts=STARTS)
    assert fit.warnings[0].startswith('columns params and tokens stand in one ratio, 20 tokens per parameter')
    assert 'the data do not determine every parameter of chinchilla: others fit as well' in fit.warnings
    assert 1e5 < fit.condition_number <= 1e16


def test_a_lucky_start_is_said(mini_rows, plant, monkeypatch):
    monkeypatch.setattr('t2jax.laws.search.MAX_STEPS', 4)
    fresh = jax.jit(search_all.__wrapped__, static_argnames=('law', 'objective'))  # compiled for 4 steps
    monkeypatch.setattr(fit_module, 'search_all', fresh)
    fit = fit_law(CHINCHILLA, plant(mini_rows, 'chinchilla', noise=0.01), starts=7, route='full')
    assert 'only one of 7 starts for chinchilla reached the best: a better may exist' in fit.warnings
    assert any('had not converged' in warning for warning in fit.warnings)
    assert not fit.converged and fit.doubt == 'its search had not converged when its steps ran out'
    assert fit.share_at_best == pytest.approx(1 / 7)


def test_a_new_law_is_one_value(mini_rows, monkeypatch):
    law = Law(
        name='size-only',
        target='nll',
        parameters=('E', 'A', 'alpha'),
        bounds={'E': (0.0, np.inf), 'A': (0.0, np.inf), 'alpha': (0.0, 3.0)},
        predict=lambda p, params, tokens, k, xp: p['E'] + p['A'] * xp.exp(-p['alpha'] * xp.log(params)),
        linear=('E', 'A'),
    )
    rows = change(mini_rows, nll=0.5 + 30 / mini_rows.params**0.3)
    with pytest.raises(ValueError, match="law 'size-only' is not in t2jax.laws.forms.LAWS"):
        fit_law(law, rows)
    monkeypatch.setitem(forms.LAWS, 'size-only', law)
    fit = fit_law(law, rows, starts=STARTS)
    assert fit.parameters == pytest.approx({'E': 0.5, 'A': 30, 'alpha': 0.3}, rel=1e-6)
    assert fit.predict(1e5, 1e6, 1) == pytest.approx(0.5 + 30 / 1e5**0.3)


def test_most_runs_may_have_no_success(mini_rows, plant):
    """The median pass@k is 0 then: it gives no scale to theta1, which is searched as a log."""
    rows = plant(mini_rows, 'chinchilla')
    rows = change(rows, pass_at_k=np.where(rows.pass_at_k < 0.3, 0, rows.pass_at_k))
    assert np.median(rows.pass_at_k) == 0
    problem = pose(ACCURACY_OF_LOSS, 'sse', change(rows, params=rows.nll))
    theta1 = ACCURACY_OF_LOSS.parameters.index('theta1')
    assert problem.low[theta1] < np.log(0.01) and problem.high[theta1] > np.log(100)
    nothing = pose(ACCURACY_OF_LOSS, 'sse', change(rows, params=rows.nll, pass_at_k=0 * rows.nll))
    assert np.isfinite(nothing.draw_starts(5, 0)).all()


def test_rows_without_a_value_are_told_apart(mini_rows, plant):
    rows = plant(mini_rows)
    nll = np.where((rows.k == 2) | (rows.params < 1e4), np.nan, rows.nll)
    rows = change(rows, nll=nll, pass_at_k=np.where(rows.k == 4, np.nan, rows.pass_at_k))
    np.testing.assert_array_equal(measured(T2_NLL, rows), np.isfinite(nll))
    np.testing.assert_array_equal(measured(LAWS['log-bilinear'], rows), rows.k != 4)
    at_once = (rows.k == 1) & (rows.params < 1e4)
    np.testing.assert_array_equal(measured(T2_ACCURACY, rows), (rows.k != 4) & ~at_once)
    assert measured(T2_NLL, change(rows, nll=nll * np.nan)).all()


@pytest.mark.parametrize(
    'law, changed, options, sentence',
    [
        ('t2-nll', lambda r: r, {'objective': 'mse'}, "objective 'mse' is not known; choose sse or log-huber$"),
        ('t2-nll', lambda r: r, {'starts': 0}, 'starts is 0; a fit needs at least 1'),
        ('t2-nll', lambda r: r, {'route': 'short'}, "route 'short' is not known; choose projected or full"),
        (
            't2-nll',
            lambda r: change(r, task=np.where(r.k == 1, 'a', 'b')),
            {},
            'the observations are of tasks a, b; fit one, or their macro average',
        ),
        ('chinchilla', lambda r: where(r, r.k > 1), {}, 'chinchilla needs at least 5 rows at k = 1, there are 0'),
        ('t2-accuracy', lambda r: where(r, r.k > 1), {}, 't2-accuracy needs at least 5 rows at k = 1, there are 0'),
        (
            't2-nll',
            lambda r: where(r, (r.params < 1e4) & (r.k == 1)),
            {},
            't2-nll needs at least 7 rows, there are 4$',
        ),
        (
            't2-nll',
            lambda r: change(r, weight=np.where((r.params < 1e4) & (r.k == 1), 1.0, 0.0)),
            {},
            't2-nll needs at least 7 rows, there are 4$',
        ),
        (
            't2-nll',
            lambda r: change(r, nll=np.where(r.k == 1, np.nan, r.nll)),
            {},
            't2-nll needs nll and some rows have none; fill in the column',
        ),
        (
            't2-accuracy',
            lambda r: change(r, nll=r.nll * np.nan),
            {},
            't2-accuracy needs nll and some rows at k = 1 have none',
        ),
        (
            't2-nll',
            lambda r: change(r, nll=r.nll * 0),
            {'objective': 'log-huber'},
            'log-huber takes logs and some nll is 0; use sse or drop those rows',
        ),
        (
            't2-nll',
            lambda r: change(r, se=np.where(r.k == 1, np.nan, 0.1)),
            {},
            'some rows have a standard error se and some have none; give it for every row or for none',
        ),
        (
            't2-nll',
            lambda r: change(r, nll=r.nll * 1e200),
            {},
            f't2-nll is finite at none of {STARTS} starts; check the units of the data',
        ),
    ],
)
@pytest.mark.filterwarnings('ignore:overflow')
def test_what_cannot_be_fitted_is_refused(mini_rows, plant, law, changed, options, sentence):
    with pytest.raises(ValueError, match='^' + sentence):
        fit_law(LAWS[law], changed(plant(mini_rows)), **{'starts': STARTS} | options)
