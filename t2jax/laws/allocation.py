"""Allocation: the model size, training tokens and samples that a law says a budget should buy.

Training costs C = 6 N D FLOPs and a served token C_inf = 2 N k, so that N alone is free:
D = C / (6 N), k = C_inf / (2 N) (T2, "Inference correction"). Needs numpy alone.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from t2jax.laws.forms import LAWS
from t2jax.laws.observations import Observations, training_budgets, value_at_k, where
from t2jax.laws.record import Fit

# How many times beyond the fitted sizes to search: budgets grow, but models far smaller obey no law.
_BELOW, _ABOVE = 10.0, 1e3
_GRID = 4001


def best_allocation(fit: Fit, *, train_flops: float, inference_flops: float | None = None) -> dict[str, Any]:
    """Find the size that the law likes best at a training budget, and what else the budgets then buy.

    `inference_flops` is the budget of one served token, for as many samples as it pays; None asks for a
    single pass. Returns params, tokens, tokens_per_param, samples (not rounded), train_flops,
    inference_flops, target ('nll' or 'pass_at_k'), value and warnings, a list of sentences. Raises
    ValueError for a budget that buys no model.
    """
    for name, flops in (('train_flops', train_flops), ('inference_flops', inference_flops)):
        if flops is not None and not 0 < flops < np.inf:
            raise ValueError(f'{name} is {flops:g}; a budget has to be a finite number above 0')
    low, high = fit.params_range[0] / _BELOW, fit.params_range[1] * _ABOVE
    if inference_flops is not None:
        if inference_flops / 2 <= low:
            raise ValueError(
                f'inference_flops {inference_flops:g} pays no sample of even the smallest model considered '
                f'({low:g} parameters); give more than {2 * low:g}'
            )
        high = min(high, inference_flops / 2)
    sign = 1.0 if LAWS[fit.law].target == 'nll' else -1.0

    def cost(log_params: np.ndarray) -> np.ndarray:
        params = np.exp(log_params)
        return sign * fit.predict(params, train_flops / (6 * params), _samples(params, inference_flops))

    grid = np.linspace(np.log(low), np.log(high), _GRID)
    best = int(np.argmin(cost(grid)))
    at_edge = best in (0, _GRID - 1)
    params = float(np.exp(grid[best] if at_edge else _golden_section(cost, grid[best - 1], grid[best + 1])))
    chosen = _chosen(params, train_flops, inference_flops)
    warnings = _warnings(fit, chosen, train_flops, inference_flops)
    if at_edge:
        warnings.append(f'the optimum lies at the edge of the sizes considered, {params:.4g} parameters')
    value = float(fit.predict(params, chosen['tokens'], chosen['samples']))
    return {
        **chosen,
        'train_flops': float(train_flops),
        'inference_flops': None if inference_flops is None else float(inference_flops),
        'target': LAWS[fit.law].target,
        'value': value,
        'warnings': warnings,
    }


def _samples(params: np.ndarray | float, inference_flops: float | None) -> np.ndarray | float:
    return 1.0 if inference_flops is None else inference_flops / (2 * params)


def _chosen(params: float, train_flops: float, inference_flops: float | None) -> dict[str, float]:
    tokens = float(train_flops / (6 * params))
    samples = float(_samples(params, inference_flops))
    return {'params': params, 'tokens': tokens, 'tokens_per_param': tokens / params, 'samples': samples}


def _golden_section(cost: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> float:
    """Narrow the minimum between `low` and `high` down to 1e-10."""
    ratio = (np.sqrt(5) - 1) / 2
    while high - low > 1e-10:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if cost(left) <= cost(right):
            high = right
        else:
            low = left
    return (low + high) / 2


def _warnings(fit: Fit, chosen: Mapping[str, float], train_flops: float, inference_flops: float | None) -> list[str]:
    """Say where an allocation leaves the data that the law was fitted to."""
    reached = [
        ('model size', chosen['params'], fit.params_range),
        ('tokens per parameter', chosen['tokens_per_param'], fit.tokens_per_param_range),
        ('training FLOPs', train_flops, fit.train_flops_range),
    ]
    if inference_flops is not None and not LAWS[fit.law].single_pass:
        reached.append(('samples', chosen['samples'], fit.k_range))
    return [
        f'{what} {value:.4g} is outside the {low:.4g} to {high:.4g} that {fit.law} was fitted to'
        for what, value, (low, high) in reached
        if not 0.99 * low <= value <= 1.01 * high
    ]


def allocation_rows(
    fits: Mapping[str, Fit], observations: Observations, losses: Observations, inference_flops: float
) -> list[dict[str, Any]]:
    """Compare what each law would buy with the best checkpoint trained, at each training budget in the data.

    `fits` has the three laws by name, `observations` are of one task (the macro average), `losses` of the same
    runs on held-out text at k = 1. Chinchilla chooses by the loss of a single pass and is judged by the other two laws
    at equal budgets, None where the budget pays it no whole sample. `params_for_one_sample` is what a T2 law would buy
    if a token were sampled once: how much of its distance from Chinchilla is the samples' doing, and how much is that
    it looks at tasks and not at text. Each choice has its `warnings`. A checkpoint is
    None where no run of the budget was measured at its number of samples, and `bracketed` if both a smaller and a
    larger run of the budget were measured and are worse.
    """
    missing = [law for law in ('chinchilla', 't2-nll', 't2-accuracy') if law not in fits]
    if missing:
        raise ValueError(f'there is no fit of {", ".join(missing)}; an allocation compares all three laws')
    budgets, loss_budgets = (training_budgets(table.train_flops) for table in (observations, losses))
    rows = []
    for budget in np.unique(budgets).tolist():
        row = {'train_flops': budget, 'inference_flops': float(inference_flops)}
        row['chinchilla'] = _chinchilla_at_equal_budgets(fits, budget, inference_flops)
        for law in ('t2-nll', 't2-accuracy'):
            row[law] = _choice(fits[law], budget, inference_flops)
            row[law]['params_for_one_sample'] = _choice(fits[law], budget, None)['params']
        trained = where(observations, budgets == budget)
        row['checkpoints'] = {
            'single_pass': _best_checkpoint(where(losses, loss_budgets == budget), None, 'nll'),
            'nll': _best_checkpoint(trained, inference_flops, 'nll'),
            'pass_at_k': _best_checkpoint(trained, inference_flops, 'pass_at_k'),
        }
        rows.append(row)
    return rows


def _choice(fit: Fit, train_flops: float, inference_flops: float | None) -> dict[str, Any]:
    best = best_allocation(fit, train_flops=train_flops, inference_flops=inference_flops)
    kept = ('params', 'tokens', 'tokens_per_param', 'samples', 'warnings')
    return {**{name: best[name] for name in kept}, best['target']: best['value']}


def _chinchilla_at_equal_budgets(fits: Mapping[str, Fit], train_flops: float, inference_flops: float) -> dict[str, Any]:
    choice = _choice(fits['chinchilla'], train_flops, None)
    choice['samples'] = float(_samples(choice['params'], inference_flops))
    for law in ('t2-nll', 't2-accuracy'):
        value = fits[law].predict(choice['params'], choice['tokens'], choice['samples'])
        choice[LAWS[law].target] = float(value) if choice['samples'] >= 1 else None
    return choice


def _best_checkpoint(trained: Observations, inference_flops: float | None, column: str) -> dict[str, Any] | None:
    """Choose among the runs of one budget by `column`, at the samples the budget pays (None: at k = 1)."""
    candidates = []
    for run in dict.fromkeys(trained.run.tolist()):
        i = int(np.argmax(trained.run == run))
        params, tokens = float(trained.params[i]), float(trained.tokens[i])
        samples = float(_samples(params, inference_flops))
        value = value_at_k(trained, run, samples, column)
        if not np.isnan(value):
            found = {'run': run, 'params': params, 'tokens': tokens, 'tokens_per_param': tokens / params}
            measured = {'nll': value} if inference_flops is None else {'samples': samples, 'value': value}
            candidates.append((value, found | measured))
    if not candidates:
        return None
    _, best = (min if column == 'nll' else max)(candidates, key=lambda candidate: candidate[0])
    sizes = [found['params'] for _, found in candidates]
    return {**best, 'bracketed': min(sizes) < best['params'] < max(sizes)}
