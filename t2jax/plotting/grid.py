"""The runs behind a study: size by training budget with the tokens per parameter of each (T2 figure 8).

Of a ladder whose runs share no budgets the runs are points, tokens against size.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from t2jax import costs
from t2jax.laws.observations import SAME_BUDGET
from t2jax.laws.workdir import shorten
from t2jax.models.config import ModelConfig
from t2jax.plotting.allocation import checkpoint_picks
from t2jax.plotting.labels import human_count, human_flops, human_ratio
from t2jax.plotting.results import Results, pluck
from t2jax.plotting.style import (
    FAINT,
    GRID_MAP,
    INK,
    LAW_COLOURS,
    LAW_MARKERS,
    house_style,
    key_below,
    log_axis,
    log_ticks,
    new_figure,
)

DASHES = (0, (3, 2))
BUDGET = {'ls': '--', 'lw': 0.9, 'color': FAINT, 'zorder': 1}
MARK = {'ls': 'none', 'ms': 7, 'mec': 'white', 'mew': 0.7}
PICK_NAMES = ('lowest loss', 'best NLL in k', 'best pass@k')
CROSS = {'marker': 'x', 'ls': 'none', 'ms': 7, 'mew': 1.4, 'color': FAINT}


@house_style
def checkpoint_grid(results: Results) -> tuple[Figure, list[dict]]:
    """Draw every run, size by budget: its tokens per parameter, which rules picked it, and which were never measured.

    Where runs share no budgets they are points, tokens against size.
    """
    cells = _cells(results)
    lacking, unplaced = _missing(results)
    draw = _grid if results.has_profiles else _scatter
    figure = draw(results, cells, lacking)
    axis: Axes = figure.axes[0]
    if unplaced:
        also = 'also' if lacking else 'planned,'
        axis.set_xlabel(f'{axis.get_xlabel()}\n{also} not measured: {shorten(unplaced)}')
    rows = [cell | {'measured': True, 'picked_by': ' '.join(cell['picked_by'])} for cell in cells]
    return figure, rows + [cell | {'measured': False} for cell in lacking]


def _cells(results: Results) -> list[dict]:
    picked = {(pick['run'], pick['law']) for pick in checkpoint_picks(results)}
    cells = []
    for run in results.runs:
        over = bool(results.is_held_out(run['tokens_per_param']))
        laws = [law for law in LAW_COLOURS if (run['run'], law) in picked]
        cells.append(run | {'overtrained': over, 'picked_by': laws})
    return cells


def _missing(results: Results) -> tuple[list[dict], list[str]]:
    """Place the runs that nobody measured by the study's plan; name those of which it does not tell size or budget."""
    planned = {run['name']: run for run in results.study.get('runs', ())}
    placed, unplaced = [], []
    for name in results.missing:
        try:
            run = planned[name]
            params, tokens = float(costs.count_params(ModelConfig(**run['model']))), float(run['tokens'])
        except (KeyError, TypeError, ValueError):  # another kind of model, or a plan that says less
            unplaced.append(name)
            continue
        own = costs.train_flops(params, tokens)
        budget = min(results.budgets, key=lambda budget: abs(np.log(budget / own)))
        if results.has_profiles and abs(np.log(budget / own)) > np.log(SAME_BUDGET):
            unplaced.append(name)
            continue
        place = {'run': name, 'train_flops': budget, 'own_train_flops': own, 'params': params}
        placed.append(place | {'tokens': tokens, 'tokens_per_param': tokens / params})
    return placed, unplaced


def _grid(results: Results, cells: list[dict], lacking: list[dict]) -> Figure:
    """Draw one cell for each size and budget."""
    sizes, budgets = sorted({*pluck(cells, 'params'), *pluck(lacking, 'params')}), results.budgets
    width = max(7.6, 1.3 + 0.6 * len(sizes))
    figure, axes = new_figure(1, 1, width=width, height=max(2.8, 1.6 + 0.48 * len(budgets)))
    axis: Axes = axes[0, 0]
    ratios = np.full((len(budgets), len(sizes)), np.nan)
    for cell in cells:
        at = budgets.index(cell['train_flops']), sizes.index(cell['params'])
        ratios[at] = cell['tokens_per_param']
        _draw_cell(axis, cell, at[1], at[0])
    for cell in lacking:
        column, line = sizes.index(cell['params']), budgets.index(cell['train_flops'])
        axis.plot(column + 0.5, line + 0.5, **CROSS)
        axis.add_patch(Rectangle((column + 0.03, line + 0.03), 0.94, 0.94, fill=False, ec='#d5d9dc', lw=1))
    axis.pcolormesh(ratios, cmap=GRID_MAP, norm=_shades(cells), edgecolors='white', linewidth=2, zorder=0)
    axis.set_xticks(np.arange(len(sizes)) + 0.5, [human_count(size) for size in sizes])
    axis.set_yticks(np.arange(len(budgets)) + 0.5, [human_flops(budget) for budget in budgets])
    axis.tick_params(length=0)
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.set_xlabel('Parameters N')
    axis.set_ylabel('Training budget C (FLOPs)')
    axis.set_title('Tokens per parameter of every run')
    over = any(pluck(cells, 'overtrained'))
    held_out = [Patch(fill=False, ec=INK, ls=DASHES)] if over else []
    _add_key(figure, cells, lacking, held_out, ['overtrained, held out'] if over else [])
    return figure


def _shades(cells: list[dict]) -> LogNorm:
    ratios = pluck(cells, 'tokens_per_param')
    return LogNorm(min(ratios), max(max(ratios), min(ratios) * 1.01))


def _draw_cell(axis: Axes, cell: dict, column: int, line: int) -> None:
    ratio = cell['tokens_per_param']
    words = human_ratio(ratio) if ratio < 9999.5 else human_count(ratio)
    axis.text(column + 0.5, line + 0.66, words, ha='center', va='center')
    if cell['overtrained']:
        corner = (column + 0.06, line + 0.06)
        axis.add_patch(Rectangle(corner, 0.88, 0.88, fill=False, ec=INK, lw=1.2, ls=DASHES))
    picked: Sequence[str] = cell['picked_by']
    for law, at in zip(LAW_COLOURS, (0.26, 0.5, 0.74)):
        if law in picked:
            axis.plot(column + at, line + 0.27, LAW_MARKERS[law], color=LAW_COLOURS[law], **MARK)


def _scatter(results: Results, cells: list[dict], lacking: list[dict]) -> Figure:
    """Draw runs that share no budgets as points, tokens against size, along lines of equal training FLOPs."""
    figure, axes = new_figure(1, 1, width=8.0, height=4.8)
    axis: Axes = axes[0, 0]
    x, y = pluck(cells + lacking, 'params'), pluck(cells + lacking, 'tokens')
    for which, values, name in (('x', x, 'Parameters N'), ('y', y, 'Training tokens D')):
        air = (max(values) / min(values)) ** 0.06 * 1.05
        right = 1.8 if which == 'x' else 1.0  # room for the names of budgets
        log_axis(axis, which, min(values) / air, max(values) * air * right, lambda value: human_count(value, 2))
        getattr(axis, f'set_{which}label')(name)
    over = pluck(cells, 'overtrained')
    edges = [INK if held_out else '#8fa39a' for held_out in over]
    style = {'c': pluck(cells, 'tokens_per_param'), 'cmap': GRID_MAP, 'norm': _shades(cells), 's': 46, 'zorder': 3}
    points = axis.scatter(pluck(cells, 'params'), pluck(cells, 'tokens'), edgecolors=edges, linewidths=0.9, **style)
    if lacking:
        axis.plot(pluck(lacking, 'params'), pluck(lacking, 'tokens'), **CROSS)
    _draw_budgets(axis, results.budgets)
    bar = figure.colorbar(points, ax=axis, pad=0.02)
    ticks = log_ticks(min(style['c']), max(style['c']))
    bar.set_ticks(ticks, labels=[_write(tick) for tick in ticks])
    bar.minorticks_off()
    bar.set_label('Tokens per parameter D/N')
    bar.outline.set_visible(False)
    axis.set_title(f'The {len(cells)} runs measured: they share no training budgets')
    handles = [Line2D([], [], **BUDGET)]
    names = ['training budget C, FLOPs']
    if any(over):
        handles.append(Line2D([], [], marker='o', ls='none', ms=6.5, mfc='#6cc3a6', mec=INK))
        names.append('overtrained, held out')
    _add_key(figure, cells, lacking, handles, names)
    return figure


def _draw_budgets(axis: Axes, budgets: list[float]) -> None:
    """Draw the budgets of the allocation as lines D = C / (6 N), each named where it leaves the panel."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    for budget in budgets:
        start, end = max(left, budget / (6 * top)), min(right, budget / (6 * bottom))
        if start < end:
            axis.plot([start, end], [budget / (6 * start), budget / (6 * end)], **BUDGET)
            beside = {'ha': 'right', 'va': 'top'} if end == right else {'ha': 'left', 'va': 'bottom'}
            words = {'fontsize': 8.5, 'color': '#555b61', 'textcoords': 'offset points', **beside}
            axis.annotate(human_flops(budget), (end, budget / (6 * end)), (-3 if end == right else 4, 0), **words)


def _write(value: float) -> str:
    return human_count(value) if value >= 1 else f'{value:g}'


def _add_key(figure: Figure, cells: list[dict], lacking: list[dict], handles: list[Any], names: list[str]) -> None:
    """Name the marks under the panel, those that there are, before the handles given."""
    marks, meanings = [], []
    for law, name in zip(LAW_COLOURS, PICK_NAMES):
        if any(law in cell['picked_by'] for cell in cells):
            marks.append(Line2D([], [], marker=LAW_MARKERS[law], color=LAW_COLOURS[law], **MARK))
            meanings.append(name)
    if lacking:
        handles, names = [*handles, Line2D([], [], **CROSS)], [*names, 'not measured']
    if marks or handles:
        key_below(figure, marks + handles, meanings + names)
