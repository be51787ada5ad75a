"""Allocation: the model size, training tokens and samples that a law says a budget should buy.

Separate budgets (T2), one for training and serving together, and the dual: the cheapest way to a given value, which
for a single sample is Sardana et al.'s question (arXiv 2401.00448). Needs numpy alone.
"""

from typing import Any

import numpy as np

from t2jax.laws.budgets import Budget, Separate, check_one_unit, sizes_paid
from t2jax.laws.forms import LAWS
from t2jax.laws.hardware import BandwidthPrice
from t2jax.laws.prices import PAPER, Price, samples_cost
from t2jax.laws.problem import EXACT, Choice, Problem, minimise
from t2jax.laws.record import Fit
from t2jax.laws.selection import COVERAGE, Selection, check_selection

# How many times beyond the fitted sizes and samples to search: budgets grow, but models far smaller obey no law.
_BELOW, _ABOVE = 10.0, 1e3
_ENDLESS = 1e60  # a training budget at which no term in D is left


def problem_of(fit: Fit, budget: Budget, price: Price = PAPER, selection: Selection = COVERAGE) -> Problem:
    """Pose the question that a fit answers: which N, D and k does a budget buy?

    Raises ValueError, one sentence, for a budget that buys no model and for a selection that the law knows nothing of.
    """
    law = LAWS[fit.law]
    check_selection(law, selection)
    sizes = sizes_paid(budget, price, *_sizes_considered(fit))
    return Problem(law, _parameters(fit), budget, price, selection, *sizes)


def allocate(
    fit: Fit, budget: Budget, *, price: Price = PAPER, selection: Selection = COVERAGE, integer: bool = False
) -> dict[str, Any]:
    """Find the N, D and k that the law likes best within a budget.

    A single-pass law is asked for one sample. With `integer` k is whole, else it is a real number. Returns params,
    tokens, tokens_per_param, samples, target ('nll' or 'pass_at_k'), value and warnings, a list of sentences. By a law
    to which more tokens may do harm, part of the budget may be left, and a warning says so. Raises ValueError for a
    budget that buys no model.
    """
    problem = problem_of(fit, budget, price, selection)
    choice = problem.best(problem.optimum())
    if integer:
        choice = problem.whole_near(choice)
    return {**as_dict(choice), 'target': problem.law.target, 'warnings': warnings_of(fit, problem, choice)}


def best_allocation(fit: Fit, *, train_flops: float, inference_flops: float | None = None) -> dict[str, Any]:
    """Allocate the paper's two budgets: 6 N D = `train_flops` and 2 N k = `inference_flops`, None for a single pass.

    Returns what `allocate` does, and the two budgets.
    """
    given = {'train_flops': float(train_flops), 'inference_flops': inference_flops and float(inference_flops)}
    return {**allocate(fit, Separate(train_flops, inference_flops)), **given}


def size_ceiling(fit: Fit, inference: float, *, price: Price = PAPER, selection: Selection = COVERAGE) -> float:
    """Return the N that the optimum nears as the training budget grows without end.

    Each larger model is drawn fewer samples of, so at a fixed `inference` budget no training makes it worth it. Under
    a law to which that does not matter it is the largest size that the budget pays a sample of.
    """
    return allocate(fit, Separate(_ENDLESS, inference), price=price, selection=selection)['params']


def cheapest(
    fit: Fit, value: float, questions: float, *, price: Price = PAPER, selection: Selection = COVERAGE
) -> dict[str, Any]:
    """Find the cheapest N, D and k that are predicted to reach a value, training and `questions` questions together.

    Returns params, tokens, tokens_per_param, samples (a real number; 1 for a single-pass law), value and cost. Raises
    ValueError where no model considered reaches the value.
    """
    law = LAWS[fit.law]
    check_selection(law, selection)
    check_one_unit(price)
    if not (np.isfinite(value) and 0 < questions < np.inf):
        raise ValueError(f'value is {value:g} and questions {questions:g}; both have to be finite, questions above 0')
    sizes = np.log(_sizes_considered(fit))
    problem = Problem(law, _parameters(fit), Separate(_ENDLESS), price, selection, *sizes)

    def buy(log_params: np.ndarray, log_samples: np.ndarray) -> tuple[Choice, np.ndarray]:
        params, samples = np.exp(log_params), np.exp(log_samples)
        reaches = lambda tokens: problem.sign * (problem.value(params, tokens, samples) - value) <= 0
        most = np.minimum(problem.most_tokens(params), _ENDLESS) + 0.0 * params
        low, high = np.zeros(params.shape), np.log(most)
        for _ in range(60):  # up to there more tokens are never worse: halve the range of log D
            middle = (low + high) / 2
            reached = reaches(np.exp(middle))
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        tokens = np.where(reaches(most), np.exp(high), np.nan)
        cost = price.per_training_token(params) * tokens + questions * samples_cost(price, params, samples)
        return Choice(params, tokens, samples, problem.value(params, tokens, samples)), cost

    box = np.array([sizes, [0.0, 0.0 if law.single_pass else np.log(fit.k_range[1] * _ABOVE)]])
    at = minimise(lambda *x: buy(*x)[1], box[None, :, 0], box[None, :, 1], EXACT)
    choice, cost = buy(*at.T[:, :, None])
    if not np.isfinite(cost.item()):
        raise ValueError(
            f'no model of {fit.params_range[0] / _BELOW:.4g} to {fit.params_range[1] * _ABOVE:.4g} parameters reaches '
            f'{law.target} {value:g}, however long it is trained; ask for less'
        )
    return {**as_dict(Choice(*(column.item() for column in choice))), 'cost': cost.item()}


def as_dict(choice: Choice) -> dict[str, float]:
    """Name the parts of one choice."""
    return {
        'params': choice.params,
        'tokens': choice.tokens,
        'tokens_per_param': choice.tokens / choice.params,
        'samples': choice.samples,
        'value': choice.value,
    }


def warnings_of(fit: Fit, problem: Problem, choice: Choice) -> list[str]:
    """Say where a choice leaves the data that the law was fitted to, or the sizes considered."""
    reached = [
        ('model size', choice.params, fit.params_range),
        ('tokens per parameter', choice.tokens / choice.params, fit.tokens_per_param_range),
        ('training FLOPs', 6 * choice.params * choice.tokens, fit.train_flops_range),
    ]
    if not (problem.law.single_pass or (isinstance(problem.budget, Separate) and problem.budget.inference is None)):
        reached.append(('samples', choice.samples, fit.k_range))
    said = [
        f'{what} {value:.4g} is outside the {low:.4g} to {high:.4g} that {fit.law} was fitted to'
        for what, value, (low, high) in reached
        if not 0.99 * low <= value <= 1.01 * high
    ]
    low, high = fit.params_range
    for end, name in ((low, 'smallest'), (high, 'largest')):
        if 0.99 * end <= choice.params <= 1.01 * end:
            said.append(f'the optimum is the {name} size trained, {end:.4g}: nothing measured lies beyond it')
    below, above = np.log(choice.params) - problem.low, problem.high - np.log(choice.params)
    if above < 1e-6 and problem.high < np.log(_sizes_considered(fit)[1]) - 1e-6:
        said.append(
            f'the optimum is the largest size of which the budget pays a sample, {choice.params:.4g} parameters'
        )
    elif min(below, above) < 1e-6:
        said.append(f'the optimum lies at the edge of the sizes considered, {choice.params:.4g} parameters')
    paid = float(problem.budget.tokens(problem.price, choice.params, choice.samples))
    if choice.tokens < (1 - 1e-6) * paid:
        said.append(
            f'{fit.law} predicts that more than {choice.tokens:.4g} tokens do harm: {1 - choice.tokens / paid:.0%} of '
            'the training budget is left'
        )
    if isinstance(problem.price, BandwidthPrice) and choice.samples > problem.price.batch:
        said.append(
            f'{choice.samples:.4g} samples are more than the {problem.price.batch:g} rows decoded at once, but the '
            "price reads the prompt's cache once a step for all of them: it is too low"
        )
    return said + problem.price.warnings(choice.params)


def _parameters(fit: Fit) -> dict[str, np.ndarray]:
    return {name: np.array([[value]]) for name, value in fit.parameters.items()}


def _sizes_considered(fit: Fit) -> tuple[float, float]:
    return fit.params_range[0] / _BELOW, fit.params_range[1] * _ABOVE
