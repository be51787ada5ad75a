"""What each law would buy beside the best checkpoints trained, at every training budget of a study."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from t2jax.laws.allocation import as_dict, best_allocation, problem_of, warnings_of
from t2jax.laws.bands import choose_again, refits_of
from t2jax.laws.budgets import Separate
from t2jax.laws.forms import LAWS
from t2jax.laws.observations import SAME_BUDGET, Observations, has_profiles, profile_budgets, value_at_k, where
from t2jax.laws.record import Fit


def allocation_rows(
    fits: Mapping[str, Fit], observations: Observations, losses: Observations, inference_flops: float
) -> list[dict[str, Any]]:
    """Compare what each law would buy with the best checkpoint trained, at each training budget in the data.

    `fits` has those of the three laws that there are, by name, `observations` are of one task (the macro average),
    `losses` of the same runs at k = 1 (on held-out text, or the same task); either may be empty. Chinchilla chooses by
    the loss of a single pass and is judged by the other two laws at equal budgets, None where the budget pays it no
    whole sample. `params_for_one_sample` is what a T2 law would buy if a token were sampled once: how much of its
    distance from Chinchilla is the samples' doing, and how much is that it looks at tasks and not at text. Each choice
    has its `warnings` and `bands` of params, tokens, tokens_per_param, samples and value, None without refits. A
    checkpoint is None where no run of the budget was measured at its number of samples, and `bracketed` if both a
    smaller and a larger run of the budget were measured and are worse; runs that share no budgets have no checkpoints.
    """
    if not fits:
        raise ValueError('there is no fit of chinchilla, t2-nll or t2-accuracy; an allocation needs at least one')
    runs = observations if len(observations) else losses
    profiles = has_profiles(runs.params, runs.train_flops)
    rows = []
    for budget in profile_budgets(runs.params, runs.train_flops):
        row: dict[str, Any] = {'train_flops': budget, 'inference_flops': float(inference_flops)}
        row['losses_of'] = str(losses.task[0]) if len(losses) else ''
        if 'chinchilla' in fits:
            row['chinchilla'] = _chinchilla_at_equal_budgets(fits, budget, inference_flops)
        for law in ('t2-nll', 't2-accuracy'):
            if law in fits:
                row[law] = _choice(fits[law], budget, inference_flops)
                once = best_allocation(fits[law], train_flops=budget)['params']
                low, high = fits[law].params_range
                outside = not 0.99 * low <= once <= 1.01 * high
                row[law] |= {'params_for_one_sample': once, 'one_sample_outside_the_runs': outside}
        row['checkpoints'] = _checkpoints(observations, losses, budget, inference_flops) if profiles else {}
        rows.append(row)
    return rows


def _checkpoints(
    observations: Observations, losses: Observations, budget: float, inference_flops: float
) -> dict[str, Any]:
    """Find the best run of a budget by each measure that there is."""
    found = {}
    for pick, table, samples, column in (
        ('single_pass', losses, None, 'nll'),
        ('nll', observations, inference_flops, 'nll'),
        ('pass_at_k', observations, inference_flops, 'pass_at_k'),
    ):
        if np.isfinite(getattr(table, column)).any():
            trained = where(table, np.abs(np.log(table.train_flops / budget)) < np.log(SAME_BUDGET))
            found[pick] = _best_checkpoint(trained, samples, column)
    return found


def best_pair(trained: Observations, inference_flops: float) -> dict[str, dict[str, Any] | None]:
    """Choose, of the runs of one budget, Chinchilla's (lowest nll at k = 1), and of those trained longer the best.

    That is the one of the highest pass@k at the samples that the inference budget pays (T2, tables 1 and 2). Either is
    None where there is no such run, or none measured.
    """
    runs, once = [], []
    for run in dict.fromkeys(trained.run.tolist()):
        i = int(np.argmax(trained.run == run))
        params, tokens = float(trained.params[i]), float(trained.tokens[i])
        samples = inference_flops / (2 * params)
        found = {'run': run, 'params': params, 'tokens': tokens, 'tokens_per_param': tokens / params}
        values = {name: value_at_k(trained, run, samples, name) for name in ('pass_at_k', 'nll')}
        runs.append(found | {'samples': samples} | values)
        once.append(value_at_k(trained, run, 1.0, 'nll'))
    if not np.isfinite(once).any():
        return {'chinchilla': None, 'overtrained': None}
    pick = runs[int(np.argmin(np.where(np.isfinite(once), once, np.inf)))]
    longer = [run for run in runs if run['tokens_per_param'] > pick['tokens_per_param']]
    longer = [run for run in longer if np.isfinite(run['pass_at_k'])]
    return {'chinchilla': pick, 'overtrained': max(longer, key=lambda run: run['pass_at_k'], default=None)}


def _choice(fit: Fit, train_flops: float, inference_flops: float | None) -> dict[str, Any]:
    problem = problem_of(fit, Separate(train_flops, inference_flops))
    best = problem.best(problem.optimum())
    refits = refits_of(problem, fit)
    bands = None if refits is None else choose_again(refits, best)[0]
    chosen = as_dict(best)
    chosen[LAWS[fit.law].target] = chosen.pop('value')
    return {**chosen, 'warnings': warnings_of(fit, problem, best), 'bands': bands}


def _chinchilla_at_equal_budgets(fits: Mapping[str, Fit], train_flops: float, inference_flops: float) -> dict[str, Any]:
    choice = _choice(fits['chinchilla'], train_flops, None)
    choice['loss'] = choice.pop('nll')
    choice['samples'] = _samples(choice['params'], inference_flops)
    for law in ('t2-nll', 't2-accuracy'):
        if law in fits:
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
