"""A law that rises with D: it comes back when planted, is 0 where it is not, and buys no token that does harm."""

import dataclasses

import numpy as np
import pytest
from made_up import make_fit

from t2jax.laws import bootstrap as bootstrap_module
from t2jax.laws.allocation import allocate, cheapest, size_ceiling
from t2jax.laws.bootstrap import bootstrap
from t2jax.laws.budgets import EndToEnd, Separate
from t2jax.laws.fit import fit_law
from t2jax.laws.forms import LAWS, T2_NLL, T2_NLL_OVERTRAINING
from t2jax.laws.observations import where
from t2jax.laws.plan import plan
from t2jax.laws.record import load_fit, save_fit

LAW = T2_NLL_OVERTRAINING
TOY = {'E': 2.0, 'A': 400.0, 'B': 400.0, 'alpha': 0.34, 'beta': 0.28, 'G': 3.0, 'gamma': 0.3, 'H': 1e-3, 'eta': 0.8}
STARTS = 50


def fit_of(**changes):
    return make_fit(LAW.name, TOY | changes)


def test_it_adds_its_five_terms(planted):
    p = planted[LAW.name]
    expected = 0.3 + 400 / 2e4**0.46 + 900 / 3e6**0.47 + 1.5 / 8**0.4 + 0.002 * 150**0.7
    assert LAW.predict(p, 2e4, 3e6, 8.0, np) == pytest.approx(expected, rel=1e-14)
    assert LAWS['t2-nll-overtraining'] is LAW


@pytest.mark.parametrize('objective', ['sse', 'log-huber'])
@pytest.mark.parametrize('grid', ['mini_rows', 'paper_rows'])
def test_it_comes_back_when_planted(request, plant, planted, grid, objective):
    rows = plant(request.getfixturevalue(grid), LAW.name)
    fit = fit_law(LAW, rows, objective=objective, starts=STARTS)
    assert fit.parameters == pytest.approx(planted[LAW.name], rel=1e-6)
    assert fit.residuals['largest_relative'] < 1e-8


@pytest.mark.parametrize('noise', [0.0, 0.01])
def test_a_cost_that_is_not_there_fits_to_0(mini_rows, plant, planted, noise):
    """Where D/N does good if anything, it is the plain law, whose optimum it shares."""
    rows = plant(mini_rows, noise=noise)
    rows = dataclasses.replace(rows, nll=rows.nll * (rows.tokens / rows.params) ** (-0.02 if noise else 0))
    fit, plain = (fit_law(law, rows, starts=STARTS) for law in (LAW, T2_NLL))
    assert fit.parameters['H'] < 1e-9
    assert 'H of t2-nll-overtraining fits to 0: the observations show no such term' in fit.warnings
    assert {name: fit.parameters[name] for name in plain.parameters} == pytest.approx(plain.parameters, rel=1e-4)


def test_a_fit_is_refitted_saved_and_planned_with(mini_rows, plant, tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap_module, '_CHUNK', 25)
    rows = plant(mini_rows, LAW.name, by_run=0.003)
    fit = bootstrap(fit_law(LAW, rows, starts=STARTS), rows, n=8, seed=1)
    draws = bootstrap_module._draw_runs(24, np.unique(rows.run, return_inverse=True)[1], 8, 1)
    fresh = fit_law(LAW, dataclasses.replace(rows, weight=draws[3]), starts=STARTS)
    replicate = {name: values[3] for name, values in fit.replicates.items()}
    drawn = where(rows, draws[3] > 0)
    at = (drawn.params, drawn.tokens, drawn.k)
    np.testing.assert_allclose(LAW.predict(replicate, *at, np), fresh.predict(*at), rtol=1e-6)
    save_fit(tmp_path / 'fit.json', fit)
    assert load_fit(tmp_path / 'fit.json') == fit
    budget = Separate(6.4e11, 1e6)
    choice = plan([fit], budget)['choices'][LAW.name]
    assert choice['params'] == allocate(fit, budget)['params'] and choice['refits'] == 8
    low, high = choice['bands']['tokens_per_param']['95']
    alone = [make_fit(LAW.name, {name: v[i] for name, v in fit.replicates.items()}) for i in range(8)]
    alone = [dataclasses.replace(one, params_range=fit.params_range) for one in alone]
    ratios = [allocate(one, budget)['tokens_per_param'] for one in alone]
    assert (low, high) == pytest.approx(np.percentile(ratios, [2.5, 97.5]), rel=0.05)


@pytest.mark.parametrize('params', [1e6, 1e9])
def test_most_tokens_are_where_the_law_is_lowest(params):
    tokens = np.geomspace(1e5, 1e14, 200001)
    values = LAW.predict(TOY, params, tokens, 1.0, np)
    assert LAW.most_tokens(TOY, params) == pytest.approx(tokens[values.argmin()], rel=1e-3)


def test_most_tokens_of_a_law_without_one_of_its_terms():
    given = {name: np.array([[value]]) for name, value in TOY.items()}
    for none in ('H', 'eta'):
        np.testing.assert_array_equal(LAW.most_tokens(given | {none: np.zeros((1, 1))}, np.ones(3)), [[np.inf] * 3])
    for none in ('B', 'beta'):  # then the fewest are best
        np.testing.assert_array_equal(LAW.most_tokens(given | {none: np.zeros((1, 1))}, np.ones(3)), [[1.0] * 3])


@pytest.mark.parametrize('train, inference, left', [(1e19, None, False), (1e19, 2e9, False), (1e23, 2e8, True)])
def test_an_allocation_is_the_best_of_all_that_the_budget_pays(train, inference, left):
    """By brute force over N and D: where samples make small models pay, some of the training budget is better kept."""
    best = allocate(fit_of(), Separate(train, inference))
    params = np.geomspace(1e5, (inference or 2e12) / 2, 1501)[:, None]
    tokens = train / (6 * params) * np.geomspace(1e-8, 1, 1501)
    samples = 1.0 if inference is None else inference / (2 * params)
    values = LAW.predict(TOY, params, tokens, samples, np)
    i, j = np.unravel_index(values.argmin(), values.shape)
    assert best['value'] <= values.min() and best['value'] == pytest.approx(values.min(), rel=1e-4)
    assert best['params'] == pytest.approx(params[i, 0], rel=0.03)
    assert best['tokens'] == pytest.approx(tokens[i, j], rel=0.06)
    spent = 6 * best['params'] * best['tokens'] / train
    assert (spent < 0.9) == left and spent <= 1 + 1e-9
    said = [warning for warning in best['warnings'] if 'do harm' in warning]
    expected = f'more than {best["tokens"]:.4g} tokens do harm: {1 - spent:.0%} of the training budget is left'
    assert [sentence.endswith(expected) for sentence in said] == [True] * left


def test_without_a_cost_it_allocates_as_the_plain_law():
    for budget in (Separate(1e21, 2e9), EndToEnd(1e21, 1e12)):
        none, plain = allocate(fit_of(H=0.0), budget), allocate(make_fit('t2-nll', TOY), budget)
        assert none['warnings'] == plain['warnings'] == []
        assert (none['params'], none['tokens'], none['value']) == (plain['params'], plain['tokens'], plain['value'])


def test_the_ceiling_is_the_best_size_of_a_budget_without_end():
    params = np.geomspace(1e6, 1e9, 100001)
    values = LAW.predict(TOY, params, LAW.most_tokens(TOY, params), 1e9 / params, np)
    assert size_ceiling(fit_of(), 2e9) == pytest.approx(params[values.argmin()], rel=1e-3)


def test_the_cheapest_way_to_a_value_is_not_past_the_best_tokens():
    """By brute force, and as the dual of one budget for both; a value that only a law without cost reaches is none."""
    best = allocate(fit_of(), EndToEnd(1e21, 1e12))
    back = cheapest(fit_of(), best['value'], 1e12)
    # the best is 3 % of D away from where no more tokens help: a search of N and k on grids is good to that much there
    assert back['cost'] == pytest.approx(1e21, rel=1e-3)
    assert back['tokens'] == pytest.approx(best['tokens'], rel=0.03)
    value = best['value']
    params, k = np.geomspace(1e6, 1e10, 201)[:, None, None], np.geomspace(1, 300, 101)[:, None]
    tokens = np.geomspace(1e8, 1e13, 2001)
    reached = LAW.predict(TOY, params, tokens, k, np) <= value
    cost = np.where(reached, 6 * params * tokens + 1e12 * 2 * params * k, np.inf)
    assert back['cost'] <= cost.min() and back['cost'] == pytest.approx(cost.min(), rel=0.02)
    with pytest.raises(ValueError, match='reaches nll 2.01, however long it is trained'):
        cheapest(fit_of(H=0.1), 2.01, 1e12)
    assert cheapest(fit_of(H=0.0), 2.1, 1e12)['value'] == pytest.approx(2.1, rel=1e-12)
