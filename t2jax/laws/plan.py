"""Plan a budget: what each fitted law would buy, how sure it is, and what the alternatives would lose.

Needs numpy alone, so that `t2jax plan` answers at once.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from t2jax.laws.allocation import as_dict, problem_of, warnings_of
from t2jax.laws.bands import band, choose_again, most_refits, refits_of, regret
from t2jax.laws.budgets import Budget, EndToEnd, Separate, whole
from t2jax.laws.forms import LAWS
from t2jax.laws.prices import PAPER, Price, samples_paid
from t2jax.laws.problem import Choice, Problem
from t2jax.laws.record import Fit
from t2jax.laws.selection import COVERAGE, Coverage, Selection, check_selection

_CURVE = 100  # sizes at which the predicted value is given, for a figure
_SAME = 0.01  # sizes closer than this are one and the same choice


def plan(
    fits: Sequence[Fit], budget: Budget, *, price: Price = PAPER, selection: Selection = COVERAGE
) -> dict[str, Any]:
    """Choose N, D and k by every law given, within a budget; the result is ready for JSON.

    Returns budget, price and selection in words and numbers, warnings, and `choices` by law. Each has target ('nll',
    'pass_at_k', or 'success' with a selection other than coverage), the optimum, k a real number, as params, tokens,
    tokens_per_param, samples and value; `whole`, the best of whole k as the same; `bands` of the optimum, by the same
    names, None without bootstrap refits; `refits`, how many the bands are of; `chinchilla`, Chinchilla's pick at the
    same budgets; `second_best`, of the sizes trained; `curve`, the predicted value against N; `params_range`, of the
    sizes trained; warnings. A single-pass law chooses for one sample; its `samples` are what the inference budget then
    pays, in `whole` 0 where that is less than one.

    Raises ValueError for budgets that buy no model and for a selection that no law given can predict.
    """
    if not fits:
        raise ValueError('there is no fit to plan with; give at least one')
    names = [fit.law for fit in fits]
    if len(set(names)) < len(names):
        raise ValueError(f'the fits are of {", ".join(names)}; give one fit of each law')
    able, left_out = _able(fits, selection)
    chinchilla = next((fit for fit in fits if LAWS[fit.law].single_pass), None)
    return {
        'budget': dict(vars(budget)),
        'price': {'name': price.name, 'unit': price.unit, 'train_unit': price.train_unit, 'served': price.served},
        'selection': selection.name,
        'choices': {fit.law: _plan_law(fit, budget, price, selection, chinchilla) for fit in able},
        'warnings': left_out,
    }


def _able(fits: Sequence[Fit], selection: Selection) -> tuple[list[Fit], list[str]]:
    """Split the fits into those that can predict a selection and what is to say of the others."""
    able, refused = [], []
    for fit in fits:
        try:
            check_selection(LAWS[fit.law], selection)
            able.append(fit)
        except ValueError as error:
            refused.append(str(error))
    if refused and all(LAWS[fit.law].single_pass for fit in able):
        raise ValueError(refused[0])
    return able, refused


def _plan_law(fit: Fit, budget: Budget, price: Price, selection: Selection, chinchilla: Fit | None) -> dict[str, Any]:
    law = LAWS[fit.law]
    once = law.single_pass and isinstance(budget, Separate)
    problem = problem_of(fit, Separate(budget.train) if once else budget, price, selection)
    best = problem.best(problem.optimum())
    bought = problem.whole_near(best)
    refits = refits_of(problem, fit)
    bands, at_edge = (None, 0.0) if refits is None else choose_again(refits, best)
    if once:
        paid = 1.0 if budget.inference is None else float(samples_paid(price, best.params, budget.inference))
        shown, shown_whole = best._replace(samples=paid), bought._replace(samples=max(0.0, float(whole(paid))))
        bands = bands and {name: values for name, values in bands.items() if name != 'samples'}
    else:
        shown, shown_whole = best, bought
    return {
        'target': law.target if law.target == 'nll' or isinstance(selection, Coverage) else 'success',
        **as_dict(shown),
        'whole': {**as_dict(shown_whole), 'samples': int(shown_whole.samples)},
        'bands': bands,
        'refits': 0 if refits is None else len(refits.parameters[law.parameters[0]]),
        'chinchilla': None if law.single_pass else _chinchilla(problem, refits, bought, chinchilla or fit),
        'second_best': _second_best(problem, refits, bought, fit),
        'curve': _curve(problem, refits, best, fit),
        'params_range': list(fit.params_range),
        'warnings': [*fit.warnings, *warnings_of(fit, problem, best), *_doubts(fit, problem, best, at_edge)],
    }


def _doubts(fit: Fit, problem: Problem, best: Choice, at_edge: float) -> list[str]:
    """Say what the bands lack, and where an optimum is no bracketed one in k."""
    said = []
    if problem.chooses_samples and best.samples < 1.001:
        said.append('the optimum draws one sample: the law predicts nothing better of more at this budget')
    if not fit.replicates:
        said.append(
            f'the fit holds no bootstrap refits, so there are no bands: `t2jax fit TABLE --law {fit.law} --out '
            'fit.json` gives bands; for a study TABLE is WORKDIR/observations.csv'
        )
    refits, most = max(map(len, fit.replicates.values()), default=0), most_refits(problem)
    if most and refits > most:
        said.append(f'the bands are of the first {most} of {refits} refits, so that the answer comes at once')
    if at_edge > 0.05:
        edge = 'at the edge of those considered or paid: the bands are cut there'
        said.append(f'{at_edge:.0%} of the refits choose a size {edge}')
    return said


def _chinchilla(problem: Problem, refits: Problem | None, bought: Choice, fit: Fit) -> dict[str, Any]:
    """Judge, by a law, the size chosen for a single sample with the same spent on training and on each question.

    `by` says which law chose it. Value and worse_by are None where the budget pays its size no sample.
    """
    budget, price = problem.budget, problem.price
    if isinstance(budget, EndToEnd):
        spent = float(price.per_training_token(bought.params) * bought.tokens)
        budget = Separate(spent, (budget.total - spent) / budget.questions)
    once = problem_of(fit, Separate(budget.train), price)
    if not LAWS[fit.law].single_pass:
        once = problem_of(fit, Separate(budget.train), price, problem.selection)
    pick = once.best(once.optimum())
    found = {'by': fit.law, 'warnings': warnings_of(fit, once, pick)}
    apart = replace(problem, budget=budget)
    if whole(budget.most_samples(price, pick.params)) < 1:
        none = {'samples': 0, 'value': None, 'worse_by': None, 'bands': None, 'better_in': None}
        return {**found, **as_dict(pick), **none}
    pick = apart.best(apart.whole_at_sizes(np.array([pick.params])))
    return {**found, **as_dict(pick), 'samples': int(pick.samples), **regret(problem, refits, bought, pick)}


def _second_best(problem: Problem, refits: Problem | None, bought: Choice, fit: Fit) -> dict[str, Any] | None:
    """Find the best of the sizes really trained, other than the optimum, and what acting on it would lose."""
    sizes = np.array(fit.sizes)
    sizes = sizes[np.abs(np.log(sizes / bought.params)) > _SAME]
    if not len(sizes):
        return None
    other = problem.best(problem.whole_at_sizes(sizes))
    if np.isnan(other.value):  # the budget pays no sample of any
        return None
    return {**as_dict(other), 'samples': int(other.samples), **regret(problem, refits, bought, other)}


def _curve(problem: Problem, refits: Problem | None, best: Choice, fit: Fit) -> dict[str, list[float] | None]:
    """Predict the value at sizes around the optimum and the data, k a real number, with the 80 % band of the refits."""
    low = max(problem.low, np.log(min(fit.params_range[0], best.params) / 3))
    high = min(problem.high, np.log(max(fit.params_range[1], best.params) * 3))
    found = problem.at_sizes(np.exp(np.linspace(low, high, _CURVE)))
    shown = np.isfinite(found.value)
    params, tokens, samples, value = (column[shown] for column in found)
    curve = {'params': params.tolist(), 'value': value.tolist(), 'low': None, 'high': None}
    if refits is not None:
        values = refits.value(params[None], tokens[None], samples[None])
        edges = np.array([band(column)['80'] for column in values.T])
        curve |= {'low': edges[:, 0].tolist(), 'high': edges[:, 1].tolist()}
    return curve
