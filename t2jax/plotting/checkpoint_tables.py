"""Tables 1 and 2 of T2: at equal budgets, the best overtrained checkpoint against the Chinchilla-optimal one, by task.

pass@k at k = C_inf / (2N), of the largest training budget. Chinchilla-optimal is the lowest NLL of answers in one try;
overtrained are the runs of more tokens per parameter, of which the best by pass@k. Where a study has the paper's
budgets and tasks, what the paper printed stands beside ours.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from t2jax.laws.checkpoints import best_pair
from t2jax.laws.observations import SAME_BUDGET, where
from t2jax.plotting.labels import STAGE_NAMES, human_count, human_flops, human_percent, task_name
from t2jax.plotting.published import TABLE_1, TABLE_2, Pair, at_the_papers_budgets
from t2jax.plotting.results import NotDrawn, Results
from t2jax.plotting.style import INK, house_style, new_figure

PICKS = ('overtrained', 'chinchilla')
HEAD = {'task': 'task', 'stage': 'after', 'overtrained': 'best overtrained', 'chinchilla': 'Chinchilla-optimal'}
PAPER_HEAD = {'paper_overtrained': 'paper: overtrained', 'paper_chinchilla': 'paper: Chinchilla'}
LINE, WIDTHS = 0.27, {'task': 2.1, 'stage': 0.7}  # inches


def table_1(results: Results) -> tuple[Figure, list[dict]]:
    """Draw Table 1, the base models'; NotDrawn where no answers were measured or no runs share a budget."""
    rows = compare_checkpoints(results)
    return draw_table(rows, _caption('Table 1', rows[0])), rows


def table_2(results: Results) -> tuple[Figure, list[dict]]:
    """Draw Table 2, after fine-tuning; NotDrawn where nothing was fine-tuned."""
    rows = compare_after_fine_tuning(results)
    return draw_table(rows, _caption('Table 2', rows[0])), rows


def compare_checkpoints(results: Results) -> list[dict]:
    """Compare both checkpoints of every task: names and numbers, pass@k as shares, None where there is none."""
    table, budget = results.observations, results.budgets[-1]
    if not len(table):
        raise NotDrawn('Table 1 needs answers measured at several k; this study has losses alone')
    if not results.has_profiles:
        raise NotDrawn('Table 1 compares runs of one training budget; the runs of this study share none')
    mine = where(table, np.abs(np.log(table.train_flops / budget)) < np.log(SAME_BUDGET))
    paper = at_the_papers_budgets(budget, results.inference_flops)
    rows = []
    for task in results.tasks:
        pair = best_pair(where(mine, mine.task == task), results.inference_flops)
        row = {'train_flops': budget, 'inference_flops': results.inference_flops, 'task': task}
        for pick in PICKS:
            best = pair[pick] or {}
            names = ('run', 'params', 'tokens', 'tokens_per_param', 'samples', 'pass_at_k')
            row |= {f'{pick}_{name}': best.get(name) for name in names}
        rows.append(row | _published(TABLE_1.get(task) if paper else None))
    return rows


def compare_after_fine_tuning(results: Results) -> list[dict]:
    """Return the comparisons after fine-tuning at the largest budget, the mean over tasks left out."""
    after = results.posttraining
    if after is None:
        raise NotDrawn('Table 2 needs a study that fine-tuned its runs; this one did not')
    largest = [row for row in after.comparisons if row['train_flops'] == after.largest_budget]
    rows = []
    for row in sorted(largest, key=lambda row: after.stages.index(row['stage'])):
        if row['task'] != 'macro' and row['stage'] != 'base':
            paper = at_the_papers_budgets(row['train_flops'], row['inference_flops'])
            rows.append(row | _published(TABLE_2.get((row['stage'], row['task'])) if paper else None))
    return rows


def _published(pair: Pair | None) -> dict:
    if pair is None:
        return {}
    values = {f'paper_{pick}_pass_at_k': getattr(pair, pick) for pick in PICKS}
    return values | {f'paper_{pick}_size': getattr(pair, f'{pick}_size') for pick in PICKS}


def cells_of(row: dict) -> dict[str, str]:
    """Write a row for people: pass@k in percent, the size in brackets."""
    cells = {'task': task_name(row['task'])}
    if 'stage' in row:
        cells['stage'] = STAGE_NAMES[row['stage']]
    for pick in PICKS:
        size, value = row[f'{pick}_params'], row[f'{pick}_pass_at_k']
        cells[pick] = 'none' if size is None else f'{human_percent(value)} ({human_count(size)})'
    for pick in PICKS:
        if f'paper_{pick}_size' in row:
            cells[f'paper_{pick}'] = f'{human_percent(row[f"paper_{pick}_pass_at_k"])} ({row[f"paper_{pick}_size"]})'
    return cells


def heads_of(rows: Sequence[dict]) -> dict[str, str]:
    """Name the columns that rows have."""
    seen = {name for row in rows for name in cells_of(row)}
    return {name: words for name, words in (HEAD | PAPER_HEAD).items() if name in seen}


def _caption(name: str, row: dict) -> str:
    train, serve = human_flops(row['train_flops']), human_flops(row['inference_flops'])
    return f'{name}. pass@k of checkpoints of {train} FLOPs, {serve} per served token (size N in brackets)'


@house_style
def draw_table(rows: Sequence[dict], caption: str) -> Figure:
    """Draw rows as a table, the better of each pair in bold."""
    heads = heads_of(rows)
    widths = [WIDTHS.get(name, 2.05) for name in heads]
    left = np.concatenate([[0.0], np.cumsum(widths)])
    height = LINE * (len(rows) + 2.2)
    figure, axes = new_figure(1, 1, width=float(left[-1]) + 0.2, height=height)
    axis = axes[0, 0]
    axis.set(xlim=(0, left[-1]), ylim=(len(rows) + 0.8, -1.7))
    axis.axis('off')
    axis.text(0, -1.2, caption, fontsize=9.5, va='center', color='#444444')
    for line in (-0.55, len(rows) + 0.55):
        axis.plot([0, left[-1]], [line, line], color=INK, lw=0.9)
    axis.plot([0, left[-1]], [0.45, 0.45], color=INK, lw=0.5)
    lines = [(0, heads, ())] + [(1 + at, cells_of(row), _better(row)) for at, row in enumerate(rows)]
    for at, cells, bold in lines:
        for x, width, name in zip(left, widths, heads):
            right = name not in WIDTHS
            place = {'ha': 'right', 'x': x + width - 0.05} if right else {'ha': 'left', 'x': x}
            weight = 'bold' if at == 0 or name in bold else 'normal'
            axis.text(y=at, s=cells.get(name, '–'), va='center', fontweight=weight, **place)
    return figure


def _better(row: dict) -> tuple[str, ...]:
    """Name the columns that hold the higher pass@k of ours and of the paper's."""
    found = []
    for prefix in ('', 'paper_'):
        ours, theirs = (row.get(f'{prefix}{pick}_pass_at_k') for pick in PICKS)
        if ours is not None and theirs is not None and ours != theirs:
            found.append(f'{prefix}{PICKS[0] if ours > theirs else PICKS[1]}')
    return tuple(found)
