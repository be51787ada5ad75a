"""Allocation: closed forms, published toy numbers, brute force, and what a budget cannot buy."""

import dataclasses
import json

import numpy as np
import pytest

from t2jax.laws.allocation import allocation_rows, best_allocation
from t2jax.laws.forms import CHINCHILLA, LAWS, T2_ACCURACY, T2_NLL
from t2jax.laws.observations import where
from t2jax.laws.record import Fit

TOY = {'E': 2.0, 'A': 400.0, 'B': 400.0, 'alpha': 0.34, 'beta': 0.28, 'G': 3.0, 'gamma': 0.3}


def fit_of(law, parameters, **ranges):
    parameters = {name: parameters[name] for name in law.parameters}
    spans = {'params_range': (1e6, 1e9), 'tokens_per_param_range': (1e-3, 1e9)}
    spans |= {'train_flops_range': (1e10, 1e25), 'k_range': (1.0, 1e6)} | ranges
    return Fit(law.name, 'macro', 'sse', 0.0, parameters, 1, 1, 1, 1.0, 0.0, **spans)


@pytest.fixture
def mini_fits(planted):
    ranges = {'params_range': (6036.0, 155072.0), 'train_flops_range': (8e10, 6.4e11)}
    return {name: fit_of(law, planted[name], **ranges) for name, law in LAWS.items()}


@pytest.fixture
def mini(mini_rows, planted):
    """The mini study as the laws would have it."""
    at = (mini_rows.params, mini_rows.tokens, mini_rows.k, np)
    nll, passed = (law.predict(planted[law.name], *at) for law in (T2_NLL, T2_ACCURACY))
    return dataclasses.replace(mini_rows, nll=nll, pass_at_k=passed)


@pytest.mark.parametrize('train_flops, params', [(1e19, 2.631e7), (1e21, 3.646e7), (1e23, 4.039e7)])
def test_the_toy_law_allocates_as_agreed(train_flops, params):
    best = best_allocation(fit_of(T2_NLL, TOY), train_flops=train_flops, inference_flops=2e9)
    assert best['params'] == pytest.approx(params, rel=2e-4)
    assert best['samples'] == pytest.approx(1e9 / best['params'])
    assert best['tokens'] == pytest.approx(train_flops / 6 / best['params'])
    assert best['tokens_per_param'] == pytest.approx(best['tokens'] / best['params'])
    assert (best['train_flops'], best['inference_flops'], best['target']) == (train_flops, 2e9, 'nll')
    assert best['value'] == T2_NLL.predict(TOY, best['params'], best['tokens'], best['samples'], np)
    assert best['warnings'] == []


@pytest.mark.parametrize('law', [CHINCHILLA, T2_NLL])
@pytest.mark.parametrize('flops', [1e17, 1e20, 1e23])
def test_a_single_pass_has_a_closed_form(law, flops):
    a, b = TOY['alpha'], TOY['beta']
    exact = (a * TOY['A'] / (b * TOY['B'])) ** (1 / (a + b)) * (flops / 6) ** (b / (a + b))
    best = best_allocation(fit_of(law, TOY), train_flops=flops)
    assert best['params'] == pytest.approx(exact, rel=1e-6)
    assert best['samples'] == 1.0 and best['inference_flops'] is None


def test_accuracy_is_maximised(planted):
    fit = fit_of(T2_ACCURACY, planted['t2-accuracy'], params_range=(6e3, 1.6e5))
    best = best_allocation(fit, train_flops=3.2e11, inference_flops=1e6)
    assert best['target'] == 'pass_at_k'
    params = np.geomspace(best['params'] / 50, min(best['params'] * 50, 5e5), 20001)
    values = fit.predict(params, 3.2e11 / 6 / params, 1e6 / 2 / params)
    assert best['value'] >= values.max()
    assert best['params'] == pytest.approx(params[values.argmax()], rel=1e-3)


def test_leaving_the_data_is_said():
    narrow = {'params_range': (1e7, 2e7), 'tokens_per_param_range': (1.0, 20.0), 'k_range': (64.0, 256.0)}
    fit = fit_of(T2_NLL, TOY, train_flops_range=(1e17, 1e18), **narrow)
    said = best_allocation(fit, train_flops=1e21, inference_flops=2e9)['warnings']
    assert [sentence.split(' is outside')[0].rsplit(' ', 1)[0] for sentence in said] == [
        'model size',
        'tokens per parameter',
        'training FLOPs',
        'samples',
    ]
    assert said[0].endswith('is outside the 1e+07 to 2e+07 that t2-nll was fitted to')
    single = best_allocation(fit, train_flops=1e18)['warnings']
    assert not any(sentence.startswith(('samples', 'training')) for sentence in single)


def test_an_optimum_at_the_edge_is_said():
    worse_when_small = TOY | {'B': 0.0, 'G': 0.0}
    free = best_allocation(fit_of(T2_NLL, worse_when_small), train_flops=1e20)
    assert free['params'] == pytest.approx(1e12)
    assert 'the optimum lies at the edge of the sizes considered, 1e+12 parameters' in free['warnings']
    bound = best_allocation(fit_of(T2_NLL, worse_when_small), train_flops=1e20, inference_flops=2e9)
    assert bound['params'] == pytest.approx(1e9) and bound['samples'] == pytest.approx(1.0)
    assert any('at the edge' in sentence for sentence in bound['warnings'])


def test_a_budget_that_buys_nothing_is_refused():
    fit = fit_of(T2_NLL, TOY)
    with pytest.raises(
        ValueError, match=r'inference_flops 2000 pays no sample .* \(100000 parameters\); give more than'
    ):
        best_allocation(fit, train_flops=1e20, inference_flops=2e3)
    for flops in (0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match='train_flops is .*; a budget has to be a finite number above 0'):
            best_allocation(fit, train_flops=flops)
        with pytest.raises(ValueError, match='inference_flops is .*; a budget has to be'):
            best_allocation(fit, train_flops=1e20, inference_flops=flops)


def test_rows_compare_laws_and_checkpoints_at_each_budget(mini, mini_fits):
    rows = allocation_rows(mini_fits, mini, mini, 1e6)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [row['train_flops'] for row in rows] == pytest.approx([8e10, 1.6e11, 3.2e11, 6.4e11], rel=5e-3)
    for row in rows:
        c, places = row['train_flops'], ('params', 'tokens', 'tokens_per_param', 'samples')
        assert row['inference_flops'] == 1e6
        for law, target in (('t2-nll', 'nll'), ('t2-accuracy', 'pass_at_k')):
            best = best_allocation(mini_fits[law], train_flops=c, inference_flops=1e6)
            once = {'params_for_one_sample': best_allocation(mini_fits[law], train_flops=c)['params']}
            assert row[law] == {name: best[name] for name in (*places, 'warnings')} | {target: best['value']} | once
        chinchilla = row['chinchilla']
        single = best_allocation(mini_fits['chinchilla'], train_flops=c)
        assert chinchilla['params'] == single['params']
        assert chinchilla['samples'] == 5e5 / single['params']
        at = (chinchilla['params'], chinchilla['tokens'], chinchilla['samples'])
        assert chinchilla['nll'] == mini_fits['t2-nll'].predict(*at) >= row['t2-nll']['nll']
        assert chinchilla['pass_at_k'] == mini_fits['t2-accuracy'].predict(*at) <= row['t2-accuracy']['pass_at_k']


def test_checkpoints_are_the_best_runs_of_their_budget(mini, mini_fits):
    row = allocation_rows(mini_fits, mini, mini, 1e6)[1]
    trained = where(mini, np.abs(mini.train_flops / row['train_flops'] - 1) < 0.02)
    single = where(trained, trained.k == 1)
    best = int(np.argmin(single.nll))
    assert row['checkpoints']['single_pass'] == {
        'run': single.run[best],
        'params': single.params[best],
        'tokens': single.tokens[best],
        'tokens_per_param': single.tokens[best] / single.params[best],
        'nll': single.nll[best],
        'bracketed': True,
    }
    for column, choose in (('nll', min), ('pass_at_k', max)):
        # the law itself between the k measured: interpolation is off by less than the runs differ
        law = mini_fits[{'nll': 't2-nll', 'pass_at_k': 't2-accuracy'}[column]]
        values = law.predict(single.params, single.tokens, 5e5 / single.params)
        chosen = row['checkpoints'][column]
        assert chosen['run'] == single.run[values.tolist().index(choose(values))]
        assert chosen['value'] == pytest.approx(choose(values), rel=1e-2)
        assert chosen['samples'] == 5e5 / chosen['params']


def test_the_best_of_a_row_of_sizes_is_not_bracketed(mini, mini_fits):
    falling = dataclasses.replace(mini, nll=1 / mini.params, pass_at_k=1 / mini.params)
    checkpoints = allocation_rows(mini_fits, falling, falling, 1e6)[0]['checkpoints']
    assert checkpoints['single_pass']['params'] == 155072 and not checkpoints['single_pass']['bracketed']
    assert checkpoints['pass_at_k']['params'] == 6036 and not checkpoints['pass_at_k']['bracketed']


def test_runs_without_a_value_at_their_samples_are_passed_over(mini, mini_fits):
    # 2e5 FLOPs: 0.64 samples of the largest model; up to k = 8: not the 16.6 samples of the smallest
    rows = allocation_rows(mini_fits, where(mini, mini.k <= 8), mini, 2e5)
    for row in rows:
        assert row['checkpoints']['nll']['params'] in (22440, 39904, 86352)
        assert row['checkpoints']['single_pass']['run']
    none = allocation_rows(mini_fits, where(mini, mini.k > 1), where(mini, mini.k > 1), 2e4)[0]
    assert none['checkpoints'] == {'single_pass': None, 'nll': None, 'pass_at_k': None}
    assert none['chinchilla']['samples'] < 1
    assert none['chinchilla']['nll'] is None and none['chinchilla']['pass_at_k'] is None
    unmeasured = allocation_rows(mini_fits, dataclasses.replace(mini, pass_at_k=np.nan * mini.k), mini, 1e6)[0]
    assert unmeasured['checkpoints']['pass_at_k'] is None


def test_an_allocation_needs_all_three_laws(mini, mini_fits):
    del mini_fits['t2-accuracy']
    with pytest.raises(ValueError, match='there is no fit of t2-accuracy; an allocation compares all three laws'):
        allocation_rows(mini_fits, mini, mini, 1e6)
