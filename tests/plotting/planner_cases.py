"""Questions to the page's planner: made-up fits, every kind of budget, price and selection, and whom to ask."""

import json

import numpy as np
from made_up import make_fit

from t2jax.laws.budgets import EndToEnd, Separate
from t2jax.laws.forms import LAWS
from t2jax.laws.hardware import BandwidthPrice, TransformerPrice
from t2jax.laws.plan import plan
from t2jax.laws.prices import MeasuredPrice, MoneyPrice, PaperPrice
from t2jax.laws.record import fit_to_dict
from t2jax.laws.selection import COVERAGE, MajorityVote, Verifier
from t2jax.plotting.planner import constants, planner_script

LOSS = {'E': 1.7, 'A': 400.0, 'B': 1500.0, 'alpha': 0.34, 'beta': 0.3}
PARAMETERS = {
    'chinchilla': LOSS | {'A': 440.0},  # its pick is not that of the others for one sample
    't2-nll': LOSS | {'G': 2.0, 'gamma': 0.35},
    't2-accuracy': LOSS | {'theta0': 3.2, 'theta1': 1.6, 'theta2': 0.85, 'theta3': 0.4, 'theta4': -0.2},
    't2-nll-overtraining': LOSS | {'G': 2.0, 'gamma': 0.35, 'H': 0.01, 'eta': 0.4},
    'per-k': LOSS | {'e': 0.05, 'a': 0.1, 'b': 0.1, 'alpha_k': 0.01, 'beta_k': 0.01},
    'log-bilinear': {'c0': 6.0, 'c1': -0.13, 'c2': 0.1, 'c3': -0.006},
}
PAPERS, RIVALS = ('chinchilla', 't2-nll', 't2-accuracy'), ('t2-nll-overtraining', 'per-k', 'log-bilinear')
PARTS = ('params', 'tokens', 'tokens_per_param', 'samples', 'value')
PAPER, COVERED = {'kind': 'paper', 'answer': 1}, {'kind': 'coverage'}
VERIFIERS = [{'kind': 'verifier', 'true_positive': t, 'false_positive': f} for t, f in ((0.9, 1 / 19), (0.3, 0.4))]
MAJORITY = {'kind': 'majority'}
SPEEDS = {
    'params': [4e6, 5e7, 1e9],
    'tokens_per_second': [9e5, 2e5, 4e3],
    'train_tokens_per_second': [3e5, 4e4, 1e3],
    'dollars_per_hour': None,
}
PRICES = ('paper', 'transformer', 'v4', 'paper', 'v5e', 'measured', 'v5p', 'dollars', 'v6e', 'half measured', 'paper')


def fit_of(law, refits=0):
    parameters = {name: PARAMETERS[law][name] for name in LAWS[law].parameters}
    noise = np.random.default_rng(3)
    drawn = {name: tuple((v * np.exp(noise.normal(0, 0.02, refits))).tolist()) for name, v in parameters.items()}
    ranges = {'params_range': (5e6, 9e8), 'tokens_per_param_range': (1.0, 5e3), 'train_flops_range': (1e16, 3e19)}
    ranges |= {'k_range': (1.0, 1024.0), 'sizes': tuple(np.geomspace(5e6, 9e8, 6).tolist())}
    return make_fit(law, parameters, **ranges, replicates=drawn if refits else {})


def price_of(kind, answer=1.0, prompt=0, batch=0, context=2048, dollars_per_hour=None, **speeds):
    """Build the price that the page is given as JSON."""
    if kind == 'paper':
        return PaperPrice(answer)
    if kind == 'measured':
        columns = {name: column and tuple(column) for name, column in speeds.items()}
        measured = MeasuredPrice(**columns, answer=answer)
        return measured if dollars_per_hour is None else MoneyPrice(measured, dollars_per_hour / 3600)
    exact = TransformerPrice(prompt, answer, context)
    return exact if kind == 'transformer' else BandwidthPrice(exact, kind, batch)


def selection_of(kind, **rates):
    return {'coverage': lambda: COVERAGE, 'verifier': lambda: Verifier(**rates), 'majority': MajorityVote}[kind]()


def draw_price(rng, at):
    """Draw what the page is given; a paper's price alone is also of single tokens."""
    answer, prompt, batch = int(rng.integers(2, 900)), int(rng.integers(1, 2000)), int(rng.integers(1, 300))
    name = PRICES[at % len(PRICES)]
    if name == 'paper':
        return {'kind': name, 'answer': answer if at % 2 else 1}
    if name in ('measured', 'dollars', 'half measured'):
        changes = {'dollars': {'dollars_per_hour': 1.2}, 'half measured': {'train_tokens_per_second': None}}
        return {'kind': 'measured', 'answer': answer, **SPEEDS, **changes.get(name, {})}
    given = {'kind': name, 'prompt': prompt, 'answer': answer} | ({'context': 512} if at % 2 else {})
    return given if name == 'transformer' else given | {'batch': batch}


def draw_budget(rng, at, given):
    """Draw a budget of either kind, about the same in every price; some pay little or nothing."""
    price = price_of(**given)
    train, serve = price.per_training_token(1e7) / 6e7, price.per_sample(1e7) / 2e7
    paid, asked, questions = 10 ** rng.uniform(15, 23), 10 ** rng.uniform(5.0, 12.5), 10 ** rng.uniform(2, 10)
    if at % 3 == 2:
        return EndToEnd(float(paid * train), float(questions * train / serve))
    return Separate(float(paid * train), None if at % 9 == 0 else float(asked * serve))


# what they are about is in `test_the_edges_are_edges`
EDGES = {
    'no sample': (PAPERS, Separate(1e18, 1e3), PAPER),
    'no sample of one budget': (PAPERS, EndToEnd(1e16, 1e15), PAPER),
    'no token': (PAPERS, Separate(2e6, 1e9), PAPER),
    'no token of one budget': (PAPERS, EndToEnd(1.000000001e15, 1e9), PAPER),
    'not above 0': (PAPERS, Separate(-1.0, 1e9), PAPER),
    'no questions': (PAPERS, EndToEnd(1e20, 0.0), PAPER),
    'two units': (PAPERS, EndToEnd(1e20, 1e3), {'kind': 'measured', **SPEEDS, 'train_tokens_per_second': None}),
    'part of a sample': (PAPERS, Separate(1e22, 1e8), PAPER),
    'part of a sample, alone': (PAPERS[:1], Separate(1e22, 1e8), PAPER),
    'no inference budget': (PAPERS, Separate(1e19), PAPER),
    'largest considered': (PAPERS, Separate(1e32), PAPER),
    'smallest considered': (PAPERS, Separate(1e8), PAPER),
    'largest paid': (('t2-nll',), Separate(1e19, 4e6), PAPER),
}
EDGES = {name: ([fit_of(law, 7) for law in laws], *rest, COVERED) for name, (laws, *rest) in EDGES.items()}


def make_cases():
    rng, cases = np.random.default_rng(8), list(EDGES.values())
    for at in range(240):
        given = draw_price(rng, at)
        budget = draw_budget(rng, at, given)
        selection = COVERED if at < 180 else VERIFIERS[at % 2] if at < 215 else MAJORITY
        laws = (PAPERS, RIVALS, PAPERS[:1], PAPERS[1:2])[at % 4] if selection is COVERED else PAPERS
        refits = 0 if at % 5 % 2 else 25 if selection is MAJORITY else 9
        cases.append(([fit_of(law, refits) for law in laws], budget, given, selection))
    return cases


CASES = make_cases()
RUN = """
const [asked, constants] = JSON.parse(arguments[0]);
return JSON.stringify(asked.map((one) => {
  try { return t2plan.plan({...one, constants}); }
  catch (error) { return {error: error.message}; }
}));
"""


def ask(browser, cases):
    """Return what the page's planner says to every case, or its error."""
    keys = ('fits', 'budget', 'price', 'selection')
    asked = [([fit_to_dict(fit) for fit in fits], dict(vars(budget)), *rest) for fits, budget, *rest in cases]
    given = json.dumps([[dict(zip(keys, case)) for case in asked], constants()])
    browser.get('about:blank')
    # 1e20 is an integer in JSON, and every digit of one that JavaScript did not know
    return json.loads(browser.execute_script(planner_script() + RUN, given), parse_int=float)


def expect(cases):
    """Return what `t2jax plan` says to them."""
    said = []
    for fits, budget, price, selection in cases:
        try:
            said.append(plan(fits, budget, price=price_of(**price), selection=selection_of(**selection)))
        except ValueError as error:
            said.append({'error': str(error)})
    return said
