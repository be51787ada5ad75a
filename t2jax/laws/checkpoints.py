"""What each law would buy beside the best checkpoints trained, at every training budget of a study."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from t2jax.laws.allocation import best_allocation
from t2jax.laws.forms import LAWS
from t2jax.laws.observations import Observations, training_budgets, value_at_k, where
from t2jax.laws.record import Fit


def allocation_rows(
    fits: Mapping[str, Fit], observations: Observations, losses: Observations, inference_flops: float
) -> list[dict[str, Any]]:
    """Compare what each law would buy with the best checkpoint trained, at each training budget in the data.

    `fits` has the three laws by name, `observations` are of one task (the macro average), `losses` of the same
    runs on held-out text at k = 1. Chinchilla chooses by the loss of a single pass and is judged by the other two laws
    at equal budgets, None where the budget pays it no whole sample. `params_for_one_sample` is what a T2 law would buy
    if a token were sampled once: how much of its distance from Chinchilla is the samples' doing, and how much is that
    it looks at tasks and not at text. Each choice has its `warnings`. A checkpoint is None where no run of the budget
    was measured at its number of samples, and `bracketed` if both a smaller and a larger run of the budget were
    measured and are worse.
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
    choice['samples'] = _samples(choice['params'], inference_flops)
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
        samples = _samples(params, inference_flops)
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


def _samples(params: float, inference_flops: float | None) -> float:
    return 1.0 if inference_flops is None else inference_flops / (2 * params)
