"""Stages of post-training compared: does the best D/N move, and does overtraining cost something afterwards?

The shift of a stage is its optimal D/N over that of the base, at one task, law and training budget. Its bands are
paired: the tables have the same rows, and which runs the i-th refit draws depends on their number, the order of their
names and the seed alone, so the i-th refits of base and stage rest on the same runs, and their ratio is one of the
bootstrap's. N and D are those of pre-training. Sources: T2, "Post-training" (figure 5, table 2); for the term of
overtraining Springer et al., arXiv 2503.19206.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from t2jax.laws.allocation import as_dict, problem_of, warnings_of
from t2jax.laws.bands import band, optima
from t2jax.laws.bootstrap import bootstrap
from t2jax.laws.budgets import Separate
from t2jax.laws.checkpoints import best_pair
from t2jax.laws.fit import fit_law
from t2jax.laws.forms import LAWS, PAPER_LAWS, T2_NLL, T2_NLL_OVERTRAINING
from t2jax.laws.observations import Observations, macro_average, training_budgets, where
from t2jax.laws.record import Fit
from t2jax.laws.scores import score, split

BASE = 'base'
_ROUNDS = 8  # of `minimise`, for each refit: N good to 1e-4, far less than any band of a shift
_PAIRED = ('run', 'task', 'k', 'params', 'tokens', 'train_flops')
_ROUNDING = 1e-6  # held-out errors closer than this differ by where the searches stopped


@dataclass(frozen=True, eq=False)
class _Optimum:
    """What a law would buy, as a row has it, and D/N of the fit and of every refit, nan where that has none."""

    choice: dict[str, Any]
    ratio: float
    ratios: np.ndarray


def compare_stages(
    tables: Mapping[str, Observations],
    inference_flops: float,
    *,
    objective: str,
    starts: int,
    seed: int,
    refits: int,
    overtrained_from: float,
    quiet: bool = True,
) -> dict[str, Any]:
    """Fit the laws to every stage, task and the macro average, and compare their optima with the base's; for JSON.

    `tables` has the observations of 'base' and of any other stages, row by row of the same runs, tasks and k. Returns
    inference_flops and refits as given; `rows`, for each stage, task and training budget: what each of the paper's laws
    would buy with bands of `refits` redrawn tables, its shift (None for the base), and of the runs trained Chinchilla's
    pick and the best overtrained one; and `terms`, for each stage and task: the mean relative errors on runs of over
    `overtrained_from` tokens per parameter of t2-nll and of t2-nll-overtraining, both fitted to the others, with its
    parameters, and whether the term is kept, as it is where it lowers the error. No terms where no run is held out.

    Raises ValueError for tables that do not match, and, naming stage and task, for a law that cannot be fitted.
    """
    _check(tables, refits)
    stages = [BASE, *(stage for stage in tables if stage != BASE)]
    how = {'objective': objective, 'starts': starts, 'seed': seed}
    parts = [(stage, task, part) for stage in stages for task, part in _by_task(stage, tables[stage]).items()]
    bases: dict[tuple[str, float, str], _Optimum] = {}
    rows, terms = [], []
    with tqdm(total=(len(PAPER_LAWS) + 1) * len(parts), unit='fit', desc='stages', disable=quiet) as bar:
        for stage, task, part in parts:
            place = {'stage': stage, 'task': task}
            budgets = training_budgets(part.train_flops)
            mine = [place | {'train_flops': budget} for budget in np.unique(budgets).tolist()]
            try:
                for law in PAPER_LAWS:
                    fit = bootstrap(fit_law(law, part, **how), part, n=refits, seed=seed)
                    for row in mine:
                        _choose(row, fit, inference_flops, bases)
                    bar.update(1)
                terms += [place | term for term in _test_term(part, overtrained_from, how)]
                bar.update(1)
            except ValueError as error:
                raise ValueError(f'stage {stage}, task {task}: {error}') from None
            for row in mine:
                row['checkpoints'] = best_pair(where(part, budgets == row['train_flops']), inference_flops)
            rows += mine
    return _for_json({'inference_flops': float(inference_flops), 'refits': refits, 'rows': rows, 'terms': terms})


def _check(tables: Mapping[str, Observations], refits: int) -> None:
    if BASE not in tables:
        raise ValueError(f'the stages are {", ".join(tables) or "none"}; shifts are against {BASE!r}: give it too')
    if refits < 1:
        raise ValueError(f'refits is {refits}; the bands of a shift need at least 1')
    base = tables[BASE]
    for stage, table in tables.items():
        if len(table) != len(base):
            raise ValueError(f'stage {stage} has {len(table)} rows and {BASE} {len(base)}; {_SAME_ROWS}')
        for name in _PAIRED:
            mine, theirs = getattr(table, name), getattr(base, name)
            other = np.flatnonzero(mine != theirs)
            if len(other):
                i = other[0]
                said = f'{name} {mine[i]} where {BASE} has {theirs[i]}'
                raise ValueError(f'stage {stage} has in row {i + 1} {said}; {_SAME_ROWS}')


_SAME_ROWS = 'shifts are paired by run: give every stage the same runs, tasks and k in one order'


def _by_task(stage: str, table: Observations) -> dict[str, Observations]:
    """Part a table into its tasks, and behind them their mean."""
    by_task = {task: where(table, table.task == task) for task in dict.fromkeys(table.task.tolist())}
    try:
        return by_task | {'macro': macro_average(table)}
    except ValueError as error:
        raise ValueError(f'stage {stage}, task macro: {error}') from None


def _choose(
    row: dict[str, Any], fit: Fit, inference_flops: float, bases: dict[tuple[str, float, str], _Optimum]
) -> None:
    """Put into a row what a law would buy, and how far that is from the base's, which is put into `bases`."""
    law, train_flops = LAWS[fit.law], row['train_flops']
    found = _optimum(fit, Separate(train_flops, None if law.single_pass else inference_flops))
    row[law.name] = found.choice
    of_base = row['task'], train_flops, law.name
    if row['stage'] == BASE:
        bases[of_base], row['shift'] = found, None
    else:
        base = bases[of_base]
        shift = {'ratio': found.ratio / base.ratio, 'bands': band(found.ratios / base.ratios)}
        row['shift'] = row.get('shift', {}) | {law.name: shift}


def _optimum(fit: Fit, budget: Separate) -> _Optimum:
    problem = problem_of(fit, budget)
    best = problem.best(problem.optimum())
    names = problem.law.parameters
    refits = replace(problem, parameters={name: np.array(fit.replicates[name])[:, None] for name in names})
    found, at_edge = optima(refits, _ROUNDS)
    known = np.isfinite(found.value)  # not of a refit that failed
    ratios = np.where(known, found.tokens / found.params, np.nan)
    choice = {
        **as_dict(best),
        'bands': {'params': band(found.params[known]), 'tokens_per_param': band(ratios)},
        'at_edge': float(np.mean(at_edge[known])) if known.any() else None,
        'warnings': [*fit.warnings, *warnings_of(fit, problem, best)],
    }
    return _Optimum(choice, best.tokens / best.params, ratios)


def _test_term(table: Observations, overtrained_from: float, how: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Fit t2-nll to the near-Chinchilla runs, without and with a term of overtraining, and score both on the others."""
    overtrained = table.tokens / table.params > overtrained_from
    if overtrained.all() or not overtrained.any():
        return []
    near, over = split(table, overtrained_from)
    # weighed 0 instead of left out: of one shape with the fits to all rows, and so of one executable
    weighed = replace(table, weight=table.weight * ~overtrained)
    plain, term = (fit_law(law, weighed, **how) for law in (T2_NLL, T2_NLL_OVERTRAINING))
    without, with_term = (score(fit, near, over) for fit in (plain, term))
    return [
        {
            'held_out': without.held_out,
            'with_term': with_term.held_out,
            'null_held_out': without.null_held_out,
            'kept': with_term.held_out < without.held_out - _ROUNDING,
            'parameters': term.parameters,
        }
    ]


def _for_json(value: Any) -> Any:
    """Put null for what is not finite, which JSON cannot say."""
    if isinstance(value, dict):
        return {name: _for_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_for_json(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
