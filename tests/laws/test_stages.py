"""Stages compared: shifts in closed form and paired, checkpoints by hand, a term kept where it is, and faults."""

import dataclasses
import json

import numpy as np
import pytest
from made_up import make_fit

from t2jax.laws import bootstrap as bootstrap_module
from t2jax.laws import stages as stages_module
from t2jax.laws.allocation import best_allocation
from t2jax.laws.bootstrap import bootstrap
from t2jax.laws.fit import fit_law
from t2jax.laws.forms import LAWS, PAPER_LAWS, T2_NLL, T2_NLL_OVERTRAINING
from t2jax.laws.observations import Observations, concatenate, macro_average, where
from t2jax.laws.scores import Scores, score, split
from t2jax.laws.stages import compare_stages

STARTS, CHUNK = 50, 25
C_INF = 1e6
LIMIT = 300.0


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Search fewer replicates at once; all tests share the executables of this size."""
    monkeypatch.setattr(bootstrap_module, '_CHUNK', CHUNK)


def compared(tables, **options):
    given = {'objective': 'sse', 'starts': STARTS, 'seed': 3, 'refits': 8, 'overtrained_from': 1e9}
    return compare_stages(tables, **{'inference_flops': C_INF} | given | options)


def of(found, **places):
    return [row for row in found if all(row[name] == place for name, place in places.items())]


def change(rows, **columns):
    return dataclasses.replace(rows, **columns)


@pytest.fixture
def base(mini_rows, plant):
    """Runs that scatter as runs do."""
    return plant(mini_rows, by_run=0.03, seed=2)


def test_a_planted_shift_comes_back(mini_rows, plant, planted):
    """With 1.5 B, Chinchilla's N* = (alpha A / (beta B))^(1 / (alpha + beta)) (C / 6)^(beta / (alpha + beta))."""
    found = compared({'base': plant(mini_rows), 'sft': plant(mini_rows, B=1350.0)}, refits=3)
    assert len(found['rows']) == 2 * 4 and found['refits'] == 3 and found['inference_flops'] == C_INF
    fits = {}
    for stage, b in (('base', 900.0), ('sft', 1350.0)):
        for law in PAPER_LAWS:
            parameters = planted[law.name] | {'B': b}
            fits[stage, law.name] = make_fit(law.name, parameters, params_range=(6036.0, 155072.0))
    for row in of(found['rows'], stage='sft'):
        c = row['train_flops']
        of_stage = (0.46 * 400 / (0.47 * 1350)) ** (1 / 0.93) * (c / 6) ** (0.47 / 0.93)
        assert row['chinchilla']['params'] == pytest.approx(of_stage, rel=1e-5)
        assert row['shift']['chinchilla']['ratio'] == pytest.approx(1.5 ** (2 / 0.93), rel=1e-5)
        for law in ('t2-nll', 't2-accuracy'):
            best = [
                best_allocation(fits[stage, law], train_flops=c, inference_flops=C_INF) for stage in ('sft', 'base')
            ]
            mine, of_base = (one['tokens_per_param'] for one in best)
            assert row[law]['tokens_per_param'] == pytest.approx(mine, rel=1e-4)
            assert row[law]['value'] == pytest.approx(best[0]['value'], rel=1e-6)
            assert row['shift'][law]['ratio'] == pytest.approx(mine / of_base, rel=1e-4)
            assert row['shift'][law]['ratio'] > 1.2
        for law in LAWS.keys() & row['shift'].keys():  # without noise every refit finds the same
            assert row['shift'][law]['bands']['95'] == pytest.approx([row['shift'][law]['ratio']] * 2, rel=1e-3)
            assert row[law]['bands']['params']['80'] == pytest.approx([row[law]['params']] * 2, rel=1e-3)
            assert row[law]['at_edge'] == 0


def test_rows_are_what_the_file_says(base):
    tables = {'ft': base, 'base': base}
    tables = {name: concatenate([change(base, task=np.full(len(base), task)) for task in 'ba']) for name in tables}
    found = compared(tables, overtrained_from=LIMIT)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == ['inference_flops', 'refits', 'rows', 'terms']
    places = [(row['stage'], row['task'], round(row['train_flops'] / 8e10)) for row in found['rows']]
    tasks = ('b', 'a', 'macro')
    assert places == [(s, t, c) for s in ('base', 'ft') for t in tasks for c in (1, 2, 4, 8)]
    assert [(term['stage'], term['task']) for term in found['terms']] == [(s, t) for s in ('base', 'ft') for t in tasks]
    keys = {'params', 'tokens', 'tokens_per_param', 'samples', 'value', 'bands', 'at_edge', 'warnings'}
    for row in found['rows']:
        assert set(row) == {
            'stage',
            'task',
            'train_flops',
            'chinchilla',
            't2-nll',
            't2-accuracy',
            'shift',
            'checkpoints',
        }
        for law in ('chinchilla', 't2-nll', 't2-accuracy'):
            one = row[law]
            assert set(one) == keys and set(one['bands']) == {'params', 'tokens_per_param'}
            assert one['samples'] == (1.0 if law == 'chinchilla' else pytest.approx(C_INF / 2 / one['params']))
            assert one['params'] * one['tokens'] * 6 == pytest.approx(row['train_flops'])
            low, high = one['bands']['tokens_per_param']['95']
            assert low < high and 0 <= one['at_edge'] <= 1
        assert (row['shift'] is None) == (row['stage'] == 'base')
        if row['shift']:  # the same numbers: nothing moved, and of that every refit is sure
            nothing = {'ratio': 1.0, 'bands': {'80': [1.0, 1.0], '95': [1.0, 1.0]}}
            assert row['shift'] == dict.fromkeys(('chinchilla', 't2-nll', 't2-accuracy'), nothing)
    # all tasks are the same here, and so is their mean
    assert of(found['rows'], task='a')[0]['t2-nll'] == of(found['rows'], task='b')[0]['t2-nll']


def test_bands_of_a_shift_are_of_ratios_refit_by_refit(base, plant, mini_rows):
    """By hand: base and stage refitted apart, to the same runs by one seed, and each pair of optima divided."""
    tables = {'base': base, 'ft': plant(mini_rows, by_run=0.03, seed=5, B=1200.0)}
    found = compared(tables, refits=12)
    law, budget = T2_NLL, found['rows'][0]['train_flops']
    ratios = []
    for table in tables.values():
        fit = bootstrap(fit_law(law, table, starts=STARTS), table, n=12, seed=3)
        each = [{name: values[i] for name, values in fit.replicates.items()} for i in range(12)]
        fits = [make_fit(law.name, one, params_range=fit.params_range) for one in each]
        best = [best_allocation(one, train_flops=budget, inference_flops=C_INF) for one in fits]
        ratios.append(np.array([one['tokens_per_param'] for one in best]))
    row = of(found['rows'], stage='ft', train_flops=budget, task='macro')[0]
    for level, ends in (('80', [10, 90]), ('95', [2.5, 97.5])):
        expected = np.percentile(ratios[1] / ratios[0], ends)
        assert row['shift'][law.name]['bands'][level] == pytest.approx(expected, rel=1e-3)
        expected = np.percentile(ratios[1], ends)
        assert row[law.name]['bands']['tokens_per_param'][level] == pytest.approx(expected, rel=1e-3)


def test_what_runs_share_does_not_blur_a_shift(base):
    """Half the NLL has the same optima, refit by refit, however little sure each of them is."""
    found = compared({'base': base, 'ft': change(base, nll=base.nll / 2)})
    for row in of(found['rows'], stage='ft'):
        for law in ('chinchilla', 't2-nll'):
            low, high = row[law]['bands']['tokens_per_param']['80']
            assert high / low > 1.1
            assert row['shift'][law]['bands']['95'] == pytest.approx([1, 1], rel=2e-3)


def test_refits_that_failed_are_left_out(base, monkeypatch):
    def failing(fit, *given, **options):
        fit = bootstrap(fit, *given, **options)
        return change(fit, replicates=fit.replicates | {'alpha': (np.nan, *fit.replicates['alpha'][1:])})

    whole = compared({'base': base, 'ft': change(base, nll=base.nll / 2)})
    monkeypatch.setattr(stages_module, 'bootstrap', failing)
    found = compared({'base': base, 'ft': change(base, nll=base.nll / 2)})
    for row, other in zip(of(found['rows'], stage='ft'), of(whole['rows'], stage='ft')):
        assert row['shift']['t2-nll']['bands']['95'] == pytest.approx([1, 1], rel=2e-3)
        assert row['t2-nll']['bands'] != other['t2-nll']['bands']
    monkeypatch.setattr(
        stages_module,
        'bootstrap',
        lambda fit, *_, **__: change(fit, replicates=dict.fromkeys(fit.parameters, (np.nan,))),
    )
    none = compared({'base': base})['rows'][0]['t2-nll']
    assert none['bands'] == {'params': {}, 'tokens_per_param': {}} and none['at_edge'] is None


def hand_made():
    """Four runs of one budget, N from 1,000 to 8,000, at k = 1, 64 and 512, and what they scored."""
    params = np.repeat([1e3, 2e3, 4e3, 8e3], 3)
    once, passed = np.repeat([3.0, 2.5, 2.0, 2.2], 3), np.array([[0.1, 0.6, 0.9], [0.1, 0.7, 0.8]] * 2)
    k = np.tile([1.0, 64, 512], 4)
    run = np.repeat(['tiny', 'small', 'middle', 'large'], 3)
    return Observations(run=run, params=params, tokens=1e9 / params, k=k, nll=once / k**0.1, pass_at_k=passed.ravel())


def test_checkpoints_are_chosen_by_hand_made_numbers():
    rows = hand_made()
    picks = stages_module.best_pair(rows, 512e3)  # pays 256, 128, 64 and 32 samples
    at_256 = 0.6 ** (1 / 3) * 0.9 ** (2 / 3)  # two thirds of the way from log 64 to log 512
    assert picks['chinchilla'] == {
        'run': 'middle',
        'params': 4e3,
        'tokens': 2.5e5,
        'tokens_per_param': 62.5,
        'samples': 64.0,
        'pass_at_k': 0.6,
        'nll': pytest.approx(2 / 64**0.1),
    }
    assert picks['overtrained']['run'] == 'tiny' and picks['overtrained']['samples'] == 256
    assert picks['overtrained']['pass_at_k'] == pytest.approx(at_256)
    assert picks['overtrained']['nll'] == pytest.approx(3 / 256**0.1)
    # tiny cannot be read at 2 x 512 samples, small at 512 can
    assert stages_module.best_pair(rows, 2048e3)['overtrained']['run'] == 'small'


def test_a_checkpoint_that_is_not_there_is_null():
    rows = hand_made()
    tiny_is_best = change(rows, nll=np.where(rows.run == 'tiny', 0.5, rows.nll))
    assert stages_module.best_pair(tiny_is_best, 512e3)['overtrained'] is None
    assert stages_module.best_pair(tiny_is_best, 512e3)['chinchilla']['run'] == 'tiny'
    none = {'chinchilla': None, 'overtrained': None}
    assert stages_module.best_pair(where(rows, rows.k > 1), 512e3) == none
    assert stages_module.best_pair(change(rows, pass_at_k=rows.k * np.nan), 512e3)['overtrained'] is None
    assert stages_module._for_json([{'a': float('nan'), 'b': float('inf'), 'c': 1.5, 'd': 'x', 'e': None}]) == [
        {'a': None, 'b': None, 'c': 1.5, 'd': 'x', 'e': None}
    ]


def test_rows_hold_the_checkpoints_of_their_budget_alone(base):
    for row in compared({'base': base})['rows']:
        trained = where(base, np.abs(base.train_flops / row['train_flops'] - 1) < 0.02)
        assert row['checkpoints'] == stages_module.best_pair(trained, C_INF)
        assert row['checkpoints']['chinchilla']['nll'] > 0


def test_a_term_is_kept_where_it_was_planted_and_not_where_not(mini_rows, plant):
    """The base has none, fine-tuned models pay for overtraining; both laws are fitted to the near runs alone."""
    table = plant(mini_rows, 't2-nll-overtraining', noise=0.002, H=0.01)
    tables = {'base': plant(mini_rows, noise=0.002), 'sft': table}
    terms = compared(tables, overtrained_from=LIMIT, refits=1)['terms']
    for term in terms:
        assert term['kept'] == (term['stage'] == 'sft') == (term['with_term'] < term['held_out'] - 1e-6)
        assert set(term['parameters']) == set(T2_NLL_OVERTRAINING.parameters)
    term = of(terms, stage='sft', task='macro')[0]
    assert term['with_term'] < term['held_out'] / 3 and term['held_out'] < term['null_held_out']
    near, over = split(macro_average(table), LIMIT)
    for law, name in ((T2_NLL, 'held_out'), (T2_NLL_OVERTRAINING, 'with_term')):
        scores = score(fit_law(law, near, starts=STARTS), near, over)
        assert (term[name], term['null_held_out']) == pytest.approx((scores.held_out, scores.null_held_out), rel=1e-4)


@pytest.mark.parametrize('limit', [1e-9, 1e9])
def test_without_runs_on_both_sides_no_term_is_tested(base, limit):
    assert compared({'base': base}, overtrained_from=limit, refits=1)['terms'] == []


@pytest.mark.parametrize('better, kept', [(1e-2, True), (1e-8, False), (0.0, False), (-1e-2, False)])
def test_a_term_that_is_better_by_rounding_is_not_kept(base, monkeypatch, better, kept):
    errors = {'t2-nll': 0.1, 't2-nll-overtraining': 0.1 - better}
    monkeypatch.setattr(stages_module, 'score', lambda fit, *_: Scores(0.0, errors[fit.law], 0.0, 0.5, 1, 1))
    (term,) = compared({'base': base}, overtrained_from=LIMIT, refits=1)['terms']
    assert term['kept'] is kept and (term['held_out'], term['null_held_out']) == (0.1, 0.5)


FEW = lambda rows: where(rows, np.isin(rows.run, sorted(set(rows.run.tolist()))[:4]))
SHUFFLED = lambda rows: where(rows, np.arange(len(rows))[::-1])


@pytest.mark.parametrize(
    'tables, options, sentence',
    [
        (lambda base: {'ft': base}, {}, "the stages are ft; shifts are against 'base': give it too"),
        (lambda base: {}, {}, "the stages are none; shifts are against 'base'"),
        (lambda base: {'base': base}, {'refits': 0}, 'refits is 0; the bands of a shift need at least 1'),
        (lambda base: {'base': base, 'ft': FEW(base)}, {}, 'stage ft has 32 rows and base 192; shifts are paired'),
        (
            lambda base: {'base': base, 'ft': SHUFFLED(base)},
            {},
            'stage ft has in row 1 run n155072-6.4e[+]11 where base has n6036-8.0e[+]10; shifts are paired by run',
        ),
        (lambda base: {'base': base, 'ft': change(base, tokens=2 * base.tokens)}, {}, 'stage ft has in row 1 tokens'),
        (
            lambda base: {'base': FEW(base)},
            {},
            'stage base, task macro: chinchilla needs at least 5 rows at k = 1, there are 4',
        ),
        (
            lambda base: {'base': base, 'sft': change(base, nll=np.where(base.k == 4, np.nan, base.nll))},
            {},
            'stage sft, task macro: t2-nll needs nll and some rows have none; fill in the column',
        ),
        (lambda base: {'base': base}, {'inference_flops': 100.0}, 'stage base, task macro: inference_flops 100 pays'),
        (lambda base: {'base': base}, {'objective': 'l1'}, "stage base, task macro: objective 'l1' is not known"),
    ],
)
def test_what_cannot_be_compared_is_refused(base, tables, options, sentence):
    with pytest.raises(ValueError, match=f'^{sentence}'):
        compared(tables(base), **{'refits': 1} | options)


def test_a_task_that_lacks_a_run_is_named(base):
    rows = concatenate([base, where(change(base, task=np.full(len(base), 'b')), base.run != base.run[0])])
    with pytest.raises(ValueError, match="^stage base, task macro: task 'b' lacks run 'n6036-8.0e[+]10' at k = 1"):
        compared({'base': rows})
