"""Laws beside the best checkpoints: the rows of a study's allocation."""

import dataclasses
import json

import numpy as np
import pytest
from made_up import make_fit

from t2jax.laws.allocation import best_allocation
from t2jax.laws.checkpoints import allocation_rows
from t2jax.laws.forms import PAPER_LAWS, T2_ACCURACY, T2_NLL
from t2jax.laws.observations import where


def fit_of(law, parameters, **changes):
    return make_fit(law.name, parameters, **changes)


@pytest.fixture
def mini_fits(planted):
    ranges = {'params_range': (6036.0, 155072.0), 'train_flops_range': (8e10, 6.4e11)}
    return {law.name: fit_of(law, planted[law.name], **ranges) for law in PAPER_LAWS}


@pytest.fixture
def mini(mini_rows, planted):
    """The mini study as the laws would have it."""
    at = (mini_rows.params, mini_rows.tokens, mini_rows.k, np)
    nll, passed = (law.predict(planted[law.name], *at) for law in (T2_NLL, T2_ACCURACY))
    return dataclasses.replace(mini_rows, nll=nll, pass_at_k=passed)


def test_rows_compare_laws_and_checkpoints_at_each_budget(mini, mini_fits):
    rows = allocation_rows(mini_fits, mini, mini, 1e6)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [row['train_flops'] for row in rows] == pytest.approx([8e10, 1.6e11, 3.2e11, 6.4e11], rel=5e-3)
    for row in rows:
        c, places = row['train_flops'], ('params', 'tokens', 'tokens_per_param', 'samples')
        assert row['inference_flops'] == 1e6
        for law, target in (('t2-nll', 'nll'), ('t2-accuracy', 'pass_at_k')):
            best = best_allocation(mini_fits[law], train_flops=c, inference_flops=1e6)
            alone = best_allocation(mini_fits[law], train_flops=c)['params']
            once = {'params_for_one_sample': alone, 'one_sample_outside_the_runs': not 5.9e3 < alone < 1.6e5}
            said = {name: best[name] for name in (*places, 'warnings')} | {target: best['value'], 'bands': None}
            assert row[law] == said | once
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
    assert set(unmeasured['checkpoints']) == {'single_pass', 'nll'}


def test_rows_have_the_laws_and_the_checkpoints_that_there_are(mini, mini_fits):
    none = where(mini, mini.k < 0)
    losses = dataclasses.replace(where(mini, mini.k == 1), task=np.full((mini.k == 1).sum(), 'text'))
    rows = allocation_rows({'chinchilla': mini_fits['chinchilla']}, none, losses, 1e6)
    assert [row['train_flops'] for row in rows] == pytest.approx([8e10, 1.6e11, 3.2e11, 6.4e11], rel=5e-3)
    for row in rows:
        assert set(row) == {'train_flops', 'inference_flops', 'losses_of', 'chinchilla', 'checkpoints'}
        assert row['losses_of'] == 'text' and set(row['checkpoints']) == {'single_pass'}
        single = best_allocation(mini_fits['chinchilla'], train_flops=row['train_flops'])
        assert row['chinchilla']['loss'] == single['value'] and 'nll' not in row['chinchilla']
    with pytest.raises(ValueError, match='an allocation needs at least one'):
        allocation_rows({}, none, losses, 1e6)


def test_runs_that_share_no_budget_have_no_checkpoints(mini, mini_fits):
    tokens = mini.tokens * np.linspace(1, 9, len(mini))
    apart = dataclasses.replace(mini, tokens=tokens, train_flops=6 * mini.params * tokens)
    rows = allocation_rows(mini_fits, apart, where(apart, apart.k == 1), 1e6)
    assert len(rows) == 5 and all(row['checkpoints'] == {} for row in rows)


def test_bands_are_of_the_refits(mini, mini_fits, planted):
    parameters = planted['t2-nll']
    spread = {name: tuple(value * np.array([0.95, 1.0, 1.05])) for name, value in parameters.items()}
    fits = {'t2-nll': dataclasses.replace(mini_fits['t2-nll'], replicates=spread)}
    row = allocation_rows(fits, mini, mini, 1e6)[-1]['t2-nll']
    low, high = row['bands']['params']['95']
    assert low < row['params'] < high
    assert set(row['bands']) == {'params', 'tokens', 'tokens_per_param', 'samples', 'value'}
