"""The planner of the page in a real browser, against `t2jax plan`, number for number."""

import json
from dataclasses import replace

import numpy as np
import pytest
from made_up import make_fit

from t2jax.laws.budgets import EndToEnd, Separate
from t2jax.laws.forms import LAWS
from t2jax.laws.hardware import BandwidthPrice, TransformerPrice
from t2jax.laws.plan import plan
from t2jax.laws.prices import PaperPrice
from t2jax.laws.record import fit_to_dict
from t2jax.laws.selection import COVERAGE, MajorityVote, Verifier
from t2jax.plotting.planner import constants, planner_script

LOSS = {'E': 1.7, 'A': 400.0, 'B': 1500.0, 'alpha': 0.34, 'beta': 0.3}
PARAMETERS = {
    'chinchilla': LOSS,
    't2-nll': LOSS | {'G': 2.0, 'gamma': 0.35},
    't2-accuracy': LOSS | {'theta0': 3.2, 'theta1': 1.6, 'theta2': 0.85, 'theta3': 0.4, 'theta4': -0.2},
    't2-nll-overtraining': LOSS | {'G': 2.0, 'gamma': 0.35, 'H': 0.01, 'eta': 0.4},
    'per-k': LOSS | {'e': 0.05, 'a': 0.1, 'b': 0.1, 'alpha_k': 0.01, 'beta_k': 0.01},
    'log-bilinear': {'c0': 6.0, 'c1': -0.13, 'c2': 0.1, 'c3': -0.006},
}
PARTS = ('params', 'tokens', 'tokens_per_param', 'samples', 'value')
SELECTIONS = {
    'coverage': (COVERAGE, {'kind': 'coverage'}),
    'verifier': (Verifier(0.9, 0.05), {'kind': 'verifier', 'true_positive': 0.9, 'false_positive': 0.05}),
    'bad verifier': (Verifier(0.3, 0.4), {'kind': 'verifier', 'true_positive': 0.3, 'false_positive': 0.4}),
    'majority': (MajorityVote(), {'kind': 'majority'}),
}


def fit_of(law, refits=0):
    parameters = {name: PARAMETERS[law][name] for name in LAWS[law].parameters}
    noise = np.random.default_rng(3)
    drawn = {name: tuple((v * np.exp(noise.normal(0, 0.02, refits))).tolist()) for name, v in parameters.items()}
    ranges = {'params_range': (5e6, 9e8), 'tokens_per_param_range': (1.0, 5e3), 'train_flops_range': (1e16, 3e19)}
    ranges |= {'k_range': (1.0, 1024.0), 'sizes': tuple(np.geomspace(5e6, 9e8, 6).tolist())}
    return make_fit(law, parameters, **ranges, replicates=drawn if refits else {})


def draw_budgets(rng, n):
    """Draw budgets of both kinds, some of which pay little or nothing."""
    budgets = []
    for at in range(n):
        train, serve = 10 ** rng.uniform(15, 23), 10 ** rng.uniform(5.0, 12.5)
        if at % 3 == 2:
            budgets.append(EndToEnd(train, 10 ** rng.uniform(2, 10)))
        else:
            budgets.append(Separate(train, None if at % 9 == 0 else serve))
    return budgets


def draw_price(rng, at):
    answer, prompt, batch = int(rng.integers(2, 900)), int(rng.integers(1, 2000)), int(rng.integers(1, 300))
    exact = TransformerPrice(prompt, answer)
    kind = ('paper', 'paper', 'transformer', 'v4', 'v5e', 'v5p', 'v6e')[at % 7]
    if kind == 'paper':
        tokens = 1 if at % 2 else answer
        return PaperPrice(tokens), {'kind': kind, 'answer': tokens}
    given = {'kind': kind, 'prompt': prompt, 'answer': answer}
    return (exact, given) if kind == 'transformer' else (BandwidthPrice(exact, kind, batch), given | {'batch': batch})


def scale(budget, price):
    """Pay the exact prices as many samples as the paper's would: they are for whole answers."""
    more = 1.0 if price.unit == 'FLOPs' and price.served == 'token' else 300.0
    if isinstance(budget, EndToEnd):
        return replace(budget, total=budget.total * more)
    return replace(budget, inference=budget.inference and budget.inference * more)


def make_cases():
    rng, cases = np.random.default_rng(8), []
    three, rivals = ('chinchilla', 't2-nll', 't2-accuracy'), ('t2-nll-overtraining', 'per-k', 'log-bilinear')
    for at, budget in enumerate(draw_budgets(rng, 230)):
        price, given = draw_price(rng, at)
        name = 'coverage' if at < 170 else 'verifier' if at < 200 else 'bad verifier' if at < 215 else 'majority'
        laws = three if name != 'coverage' else (three, rivals, three[:1], three[1:2])[at % 4]
        refits = 0 if name in ('majority', 'bad verifier') or at % 3 else 9
        fits = [fit_of(law, refits) for law in laws]
        cases.append((fits, scale(budget, price), price, given, *SELECTIONS[name]))
    return cases


CASES = make_cases()


@pytest.fixture(scope='module')
def answers(browser):
    """What the page's planner says to every case, or its error."""
    browser.get('about:blank')
    asked = [
        {
            'fits': [fit_to_dict(fit) for fit in fits],
            'budget': dict(vars(budget)),
            'price': price,
            'selection': selection,
        }
        for fits, budget, _, price, _, selection in CASES
    ]
    script = """
    const [asked, constants] = JSON.parse(arguments[0]);
    const answers = asked.map((one) => {
      try { return t2plan.plan({...one, constants, points: one.selection.kind === 'majority' ? 5 : 100}); }
      catch (error) { return {error: error.message}; }
    });
    return JSON.stringify(answers, (name, value) => (Number.isNaN(value) ? 'nan' : value));
    """
    return json.loads(browser.execute_script(planner_script() + script, json.dumps([asked, constants()])))


@pytest.fixture(scope='module')
def expected():
    """What `t2jax plan` says to them."""
    said = []
    for fits, budget, price, _, selection, _ in CASES:
        try:
            said.append(plan(fits, budget, price=price, selection=selection))
        except ValueError as error:
            said.append({'error': str(error)})
    return said


def numbers(choice):
    """Flatten what has to agree: by name, a number, None, or a list of numbers."""
    found = {name: choice[name] for name in PARTS} | {'refits': choice['refits']}
    for part in ('whole', 'chinchilla', 'second_best'):
        if choice[part]:
            found |= {f'{part}.{name}': choice[part][name] for name in PARTS}
            # of two choices that are one and the same, rounding decides which is better in a refit
            apart = abs(choice[part].get('worse_by') or 0) > 1e-9
            told = ('worse_by', 'better_in') if apart else ('worse_by',)
            found |= {f'{part}.{name}': choice[part].get(name) for name in told}
    for name, levels in (choice['bands'] or {}).items():
        found |= {f'band {name} {level}': ends for level, ends in levels.items()}
    return found


def test_both_refuse_the_same(answers, expected):
    refused = [at for at, one in enumerate(expected) if 'error' in one]
    assert [at for at, one in enumerate(answers) if 'error' in one] == refused
    assert 10 < len(refused) < len(CASES) / 3
    for at in refused:
        assert answers[at]['error'].split(' ')[0] == expected[at]['error'].split(' ')[0]


def test_every_number_of_the_page_is_that_of_the_command(answers, expected):
    compared = 0
    for at, (mine, theirs) in enumerate(zip(answers, expected)):
        if 'error' in theirs:
            continue
        assert list(mine['choices']) == list(theirs['choices'])
        assert mine['price'] == theirs['price'] and mine['budget'].keys() == theirs['budget'].keys()
        for law, choice in theirs['choices'].items():
            want, got = numbers(choice), numbers(mine['choices'][law])
            assert list(got) == list(want), (at, law)
            for name, value in want.items():
                close = {'rel': 5e-5, 'abs': 1e-9}  # to 4 digits
                same = value is None if got[name] is None else got[name] == pytest.approx(value, **close, nan_ok=True)
                assert same, (at, law, name, got[name], value)
                compared += 1
    assert compared > 8000


def test_curves_and_warnings_are_the_same(answers, expected):
    for at, (mine, theirs) in enumerate(zip(answers, expected)):
        if 'error' in theirs or CASES[at][4].name == 'majority vote':
            continue
        for law, choice in theirs['choices'].items():
            for name, values in choice['curve'].items():
                curve = mine['choices'][law]['curve'][name]
                assert (curve is None) == (values is None), (at, law, name)
                assert values is None or curve == pytest.approx(values, rel=1e-4), (at, law, name)
            begin = [[words[:40] for words in one['warnings']] for one in (mine['choices'][law], choice)]
            assert begin[0] == begin[1], (at, law)


def test_frontier_and_profile_are_those_of_plans(browser):
    fits, budgets = [fit_of(law) for law in ('chinchilla', 't2-nll', 't2-accuracy')], [1e17, 3e19, 1e22]
    browser.get('about:blank')
    script = """
    const [fits, budgets, constants] = JSON.parse(arguments[0]);
    const rest = {price: {kind: 'paper', answer: 1}, selection: {kind: 'coverage'}, constants};
    const budget = {train: budgets[1], inference: 2e10};
    return [t2plan.frontier({fits, budgets, inference: 2e10, ...rest}),
            t2plan.profile(fits[2], budget, rest.price, rest.selection, constants, [1e7, 1e8])];
    """
    asked = json.dumps([[fit_to_dict(fit) for fit in fits], budgets, constants()])
    frontier, profile = browser.execute_script(planner_script() + script, asked)
    for at, budget in enumerate(budgets):
        for law, choice in plan(fits, Separate(budget, 2e10))['choices'].items():
            names = PARTS if law != 'chinchilla' else [part for part in PARTS if part != 'samples']
            assert {n: frontier[law][at][n] for n in names} == pytest.approx({n: choice[n] for n in names}, rel=1e-5)
    for point, size in zip(profile, (1e7, 1e8)):
        assert point['samples'] == pytest.approx(2e10 / (2 * size))
        assert point['value'] == pytest.approx(float(fits[2].predict(size, 3e19 / (6 * size), 1e10 / size)), rel=1e-9)
