"""The planner of the page in a real browser, against `t2jax plan`, number for number and sentence for sentence."""

import json

import numpy as np
import pytest
from planner_cases import (
    CASES,
    COVERED,
    EDGES,
    MAJORITY,
    PAPER,
    PAPERS,
    PARTS,
    SPEEDS,
    VERIFIERS,
    ask,
    expect,
    fit_of,
    selection_of,
)

from t2jax.laws.allocation import problem_of
from t2jax.laws.budgets import Separate
from t2jax.laws.plan import plan
from t2jax.laws.record import fit_to_dict
from t2jax.laws.selection import COVERAGE
from t2jax.plotting.planner import constants, planner_script


@pytest.fixture(scope='module')
def answers(browser):
    return ask(browser, CASES)


@pytest.fixture(scope='module')
def expected():
    return expect(CASES)


@pytest.fixture(scope='module')
def choices(answers, expected):
    """Every choice of a law: the page's and the command's."""
    pairs = [pair for pair in zip(answers, expected) if 'error' not in pair[0] and 'error' not in pair[1]]
    return [(mine['choices'][law], theirs['choices'][law]) for mine, theirs in pairs for law in theirs['choices']]


def numbers(choice):
    """Flatten what has to agree: by name, a number, None, or a list of numbers."""
    found = {name: choice[name] for name in PARTS} | {'refits': choice['refits'], 'range': choice['params_range']}
    bands = {'': choice['bands']}
    for part in ('whole', 'chinchilla', 'second_best'):
        other = choice[part] or {}
        found |= {f'{part} {name}': other.get(name) for name in (*PARTS, 'worse_by', 'better_in')}
        # of two choices that are one and the same, rounding decides which is better in a refit
        if abs(other.get('worse_by') or 0) < 1e-9:
            found[f'{part} better_in'] = None
        bands[part] = other.get('bands')
    for part, columns in bands.items():
        levels = columns or {}
        levels = {'worse_by': levels} if part else levels
        found |= {f'{part} band of {n} {level}': ends for n, band in levels.items() for level, ends in band.items()}
    return found


def same(name, mine, theirs):
    """Compare to 4 digits, a value to 6; a difference of two values to the digits of the values."""
    if mine is None or theirs is None:
        return mine is theirs
    tight = {'rel': 1e-6, 'abs': 1e-12} if name.endswith('value') else {'rel': 5e-5, 'abs': 1e-12}
    return mine == pytest.approx(theirs, **(tight | ({'abs': 1e-7} if 'worse_by' in name else {})))


def test_both_refuse_the_same_in_the_same_words(answers, expected):
    assert [one.get('error') for one in answers] == [one.get('error') for one in expected]
    refused = sum('error' in one for one in expected)
    assert 20 < refused < len(CASES) / 3


def test_every_number_of_the_page_is_that_of_the_command(choices):
    for at, (mine, theirs) in enumerate(choices):
        want, got = numbers(theirs), numbers(mine)
        assert list(got) == list(want)
        wrong = {n: (got[n], want[n]) for n in want if not same(n, got[n], want[n])}
        assert not wrong, at
    assert sum(value is not None for mine, _ in choices for value in numbers(mine).values()) > 11000


def test_curves_are_the_same(choices):
    for mine, theirs in choices:
        for name, values in theirs['curve'].items():
            got = mine['curve'][name]
            assert got == (values if values is None else pytest.approx(values, rel=1e-6 if name == 'value' else 1e-4))


def test_words_are_the_same(answers, expected, choices):
    for mine, theirs in zip(answers, expected):
        assert list(mine) == list(theirs)
        if 'error' not in theirs:
            assert list(mine['choices']) == list(theirs['choices'])
            assert [mine[name] for name in ('budget', 'price', 'selection', 'warnings')] == [
                theirs[name] for name in ('budget', 'price', 'selection', 'warnings')
            ]
    for mine, theirs in choices:
        assert list(mine) == list(theirs) and mine['target'] == theirs['target']
        # the command says how to get bands: the page's reader cannot
        assert mine['warnings'] == [said.split(': `t2jax fit')[0] for said in theirs['warnings']]
        if theirs['chinchilla']:
            assert list(mine['chinchilla']) == list(theirs['chinchilla'])
            assert all(mine['chinchilla'][name] == theirs['chinchilla'][name] for name in ('by', 'warnings'))


def test_the_edges_are_edges(answers):
    """Each edge of `EDGES` is reached, by the words of the page or what it bought."""
    edges = dict(zip(EDGES, answers))
    begins = {
        'no sample': 'inference_flops 1000 pays no sample',
        'no sample of one budget': 'total_flops 1e+16 pays no sample',
        'no token': 'the budget leaves less than one training token',
        'no token of one budget': 'the budget leaves less than one training token',
        'not above 0': 'train_flops is -1',
        'no questions': 'questions is 0',
        'two units': 'training is priced in FLOPs and samples in seconds',
    }
    for name, words in begins.items():
        assert edges[name]['error'].startswith(words), name
    of = lambda name, law: edges[name]['choices'][law]
    said = lambda name, law: ' '.join(of(name, law)['warnings'])
    for name in ('part of a sample', 'part of a sample, alone'):
        assert 0 < of(name, 'chinchilla')['samples'] < 1 and of(name, 'chinchilla')['whole']['samples'] == 0
    assert of('part of a sample', 't2-nll')['chinchilla']['value'] is None
    assert of('no inference budget', 't2-nll')['samples'] == 1
    for name in ('largest considered', 'smallest considered'):
        assert 'lies at the edge of the sizes considered' in said(name, 't2-nll')
        assert 'of the refits choose a size at the edge' in said(name, 't2-nll')
    assert of('largest considered', 't2-nll')['params'] == pytest.approx(9e11)
    assert of('smallest considered', 't2-nll')['params'] == pytest.approx(5e5)
    assert 'the largest size of which the budget pays a sample' in said('largest paid', 't2-nll')
    found = [choice for one in answers for choice in one.get('choices', {}).values()]
    warnings = ' '.join(said for choice in found for said in choice['warnings'])
    for words in (
        'draws one sample',
        'of the first 20 of 25 refits',
        'tokens do harm',
        'decoded at once',
        'is guessed',
    ):
        assert words in warnings
    assert {len(one['choices']) for one in answers if 'error' not in one} == {1, 2, 3}


FAULTS = {
    'answer is 0': {'price': {'kind': 'paper', 'answer': 0}},
    'prompt is 0': {'price': {'kind': 'transformer', 'prompt': 0, 'answer': 9}},
    'context is 0': {'price': {'kind': 'transformer', 'prompt': 9, 'answer': 9, 'context': 0}},
    'answer is 1 tokens': {'price': {'kind': 'v4', 'prompt': 9, 'answer': 1, 'batch': 1}},
    'batch is 0': {'price': {'kind': 'v4', 'prompt': 9, 'answer': 9, 'batch': 0}},
    'at least two sizes': {'price': {'kind': 'measured', **{n: v and v[:1] for n, v in SPEEDS.items()}}},
    'a speed for each': {'price': {'kind': 'measured', **SPEEDS, 'train_tokens_per_second': [1.0]}},
    'not finite and above 0': {'price': {'kind': 'measured', **SPEEDS, 'tokens_per_second': [1.0, 0.0, 1.0]}},
    'have to ascend': {'price': {'kind': 'measured', **SPEEDS, 'params': [1e6, 1e6, 1e7]}},
    'dollars is 0': {'price': {'kind': 'measured', **SPEEDS, 'dollars_per_hour': 0}},
    'measure the speed': {
        'price': {'kind': 'measured', **SPEEDS, 'train_tokens_per_second': None, 'dollars_per_hour': 1}
    },
    'false_positive is 1.2': {'selection': {'kind': 'verifier', 'true_positive': 0.5, 'false_positive': 1.2}},
    'true_positive is -1': {'selection': {'kind': 'verifier', 'true_positive': -1, 'false_positive': 0}},
    'no fit to plan with': {'fits': []},
    'give one fit of each law': {'fits': [fit_of('t2-nll'), fit_of('t2-nll')]},
    'success is spread': {'fits': [fit_of('chinchilla'), fit_of('t2-nll')], 'selection': MAJORITY},
}


def test_faults_are_refused_in_the_same_words(browser):
    whole = {'fits': [fit_of('t2-nll')], 'budget': Separate(1e20, 1e11), 'price': PAPER, 'selection': COVERED}
    cases = [tuple((whole | fault).values()) for fault in FAULTS.values()]
    answers, expected = ask(browser, cases), expect(cases)
    for words, mine, theirs in zip(FAULTS, answers, expected):
        assert words in mine['error'] and mine == theirs


SHAPES = """
const [fits, budgets, sizes, constants, selections] = JSON.parse(arguments[0]);
const rest = {price: {kind: 'paper', answer: 1}, constants};
const of = (selection) => [
  t2plan.frontier({fits, budgets, inference: 2e10, selection, ...rest}),
  t2plan.profile(fits[2], {train: budgets[1], inference: 2e10}, rest.price, selection, constants, sizes),
];
return JSON.stringify(selections.map(of));
"""


def test_a_frontier_and_a_profile_are_those_of_plans(browser):
    fits, sizes, selections = [fit_of(law) for law in PAPERS], [1e7, 1e8, 1e9], [COVERED, *VERIFIERS]
    budgets = [1e17, 3e19, 1e22, 1.0]  # the last pays no token
    browser.get('about:blank')
    given = json.dumps([[fit_to_dict(fit) for fit in fits], budgets, sizes, constants(), selections])
    found = json.loads(browser.execute_script(planner_script() + SHAPES, given))
    for (frontier, profile), selection in zip(found, (selection_of(**given) for given in selections)):
        able = fits if selection is COVERAGE else [fits[0], fits[2]]
        assert list(frontier) == [fit.law for fit in fits]
        for at, budget in enumerate(budgets[:3]):
            for law, choice in plan(fits, Separate(budget, 2e10), selection=selection)['choices'].items():
                want = {'train': budget} | {name: choice[name] for name in PARTS}
                assert frontier[law][at] == pytest.approx(want, rel=1e-3 if selection is not COVERAGE else 1e-5), law
        assert {law: len(line) for law, line in frontier.items() if line} == dict.fromkeys((fit.law for fit in able), 3)
        exact = problem_of(fits[2], Separate(3e19, 2e10), selection=selection).at_sizes(np.array(sizes))
        for name, column in exact._asdict().items():
            assert [point[name] for point in profile] == pytest.approx(column.tolist(), rel=1e-5)


def test_fewer_refits_and_none_can_be_asked_for(browser):
    fits = [fit_of('t2-nll', 12)]
    browser.get('about:blank')
    script = """
    const [fits, constants] = JSON.parse(arguments[0]);
    const rest = {price: {kind: 'paper', answer: 1}, selection: {kind: 'coverage'}, constants};
    const budget = {train: 1e20, inference: 2e10};
    const ask = (refits) => t2plan.plan({fits, budget, refits, ...rest}).choices['t2-nll'];
    return JSON.stringify([ask(0), ask(5), ask(undefined)]);
    """
    given = json.dumps([[fit_to_dict(fit) for fit in fits], constants()])
    none, five, all_of_them = json.loads(browser.execute_script(planner_script() + script, given))
    assert [choice['refits'] for choice in (none, five, all_of_them)] == [0, 5, 12]
    assert none['bands'] is none['curve']['low'] is none['second_best']['bands'] is None
    first = [fit_of('t2-nll', 12)]
    first[0].replicates.update({name: values[:5] for name, values in first[0].replicates.items()})
    want = plan(first, Separate(1e20, 2e10))['choices']['t2-nll']
    assert five['bands']['params']['80'] == pytest.approx(want['bands']['params']['80'], rel=1e-5)
    assert 'the bands are of the first 5 of 12 refits' in ' '.join(five['warnings'])
    assert 'the bands are of' not in ' '.join(none['warnings'] + all_of_them['warnings'])
