"""What each training budget should buy, in size and tokens per parameter, and the grid of runs behind it."""

from collections.abc import Sequence
from typing import Any

import matplotlib.patches
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from t2jax.laws.allocation import best_allocation
from t2jax.plotting.labels import APPROACH_1, APPROACH_2, CHINCHILLA, human_count, human_flops, human_ratio
from t2jax.plotting.results import Results, pluck
from t2jax.plotting.style import (
    FAINT,
    GRID_MAP,
    INK,
    LAW_COLOURS,
    LAW_MARKERS,
    house_style,
    key_below,
    label_ends,
    log_axis,
    new_figure,
)

# Which law each way of picking a checkpoint belongs to.
PICKS = {'single_pass': CHINCHILLA, 'nll': APPROACH_1, 'pass_at_k': APPROACH_2}
END_NAMES = {CHINCHILLA: 'Chinchilla', APPROACH_1: 'T2, Approach 1', APPROACH_2: 'T2, Approach 2'}
DASHES = (0, (3, 2))


@house_style
def optimal_allocation(results: Results) -> tuple[Figure, list[dict]]:
    """Draw the optimal N and D/N of the three laws and of the checkpoints against the training budget.

    Lines run a factor four past the largest budget trained, dashed there.
    """
    figure, axes = new_figure(1, 2, height=4.8)
    lines, picks = _law_lines(results), _checkpoint_picks(results)
    budgets = pluck(results.rows, 'train_flops')
    right = max(pluck(lines, 'train_flops'))
    left = min(budgets) / (right / min(budgets)) ** 0.08
    for axis, column in zip(axes[0], ('params', 'tokens_per_param')):
        heights = pluck(lines + picks, column)
        log_axis(axis, 'x', left, right, human_flops, most=5)
        log_axis(axis, 'y', min(heights) / 1.5, max(heights) * 1.5, lambda value: human_count(value, 2))
        axis.axvspan(max(budgets), right, color='#f3f4f6', zorder=0, lw=0)
        _draw_lines(axis, lines, column, max(budgets))
        _draw_picks(axis, picks, column)
        axis.set_xlabel('Training budget C (FLOPs)')
    axes[0, 0].set_title('Size to train, N')
    axes[0, 1].set_title('Tokens per parameter, D/N')
    handles = [axes[0, 0].plot([], [], dash, color=FAINT)[0] for dash in ('-', '--')]
    names = ['optimum of a law', 'beyond the runs']
    for name, bracketed in (('best checkpoint', True), ('best, but an edge size', False)):
        if bracketed in pluck(picks, 'bracketed'):
            handles.append(tuple(_mark(axes[0, 0], [], [], law, bracketed) for law in LAW_COLOURS))
            names.append(name)
    key_below(figure, handles, names)
    return figure, lines + picks


def _law_lines(results: Results) -> list[dict]:
    budgets = pluck(results.rows, 'train_flops')
    # geomspace may miss its end by a rounding error, and the dashes must start where the line stops.
    inside = [*np.geomspace(min(budgets), max(budgets), 9)[:-1]] if len(budgets) > 1 else []
    beyond = max(budgets) * np.array([1.41, 2.0, 2.83, 4.0])
    lines = []
    for law, fit in results.fits.items():
        inference_flops = None if law == CHINCHILLA else results.inference_flops
        for budget in map(float, [*inside, max(budgets), *beyond]):
            best = best_allocation(fit, train_flops=budget, inference_flops=inference_flops)
            names = ('params', 'tokens', 'tokens_per_param', 'samples')
            point = {'kind': 'law', 'law': law, 'train_flops': budget}
            lines.append(point | {name: best[name] for name in names})
    return lines


def _draw_lines(axis: Axes, lines: list[dict], column: str, largest: float) -> None:
    ends = []
    for law, colour in LAW_COLOURS.items():
        mine = [point for point in lines if point['law'] == law]
        inside = [point for point in mine if point['train_flops'] <= largest]
        for part, dash in ((inside, '-'), (mine[len(inside) - 1 :], '--')):
            axis.plot(pluck(part, 'train_flops'), pluck(part, column), dash, color=colour, zorder=3)
        ends.append((mine[-1]['train_flops'], mine[-1][column], END_NAMES[law], colour))
    label_ends(axis, ends)


def _checkpoint_picks(results: Results) -> list[dict]:
    picks = []
    for row in results.rows:
        for pick, law in PICKS.items():
            best = row['checkpoints'].get(pick)
            if best:
                names = ('run', 'params', 'tokens', 'tokens_per_param', 'bracketed')
                point = {'kind': 'checkpoint', 'law': law, 'train_flops': row['train_flops']}
                picks.append(point | {name: best[name] for name in names})
    return picks


def _draw_picks(axis: Axes, picks: list[dict], column: str) -> None:
    """Mark checkpoints beside, not on top of, each other; hollow where no larger or smaller size was trained.

    Call it after the axis limits are final: the marks stand a fixed share of the width apart.
    """
    left, right = np.log(axis.get_xlim())
    budgets = np.log(sorted(set(pluck(picks, 'train_flops'))))
    apart = 0.038 * (right - left)
    if len(budgets) > 1:
        apart = min(apart, 0.3 * float(np.diff(budgets).min()))
    for law, steps in ((CHINCHILLA, -1), (APPROACH_1, 0), (APPROACH_2, 1)):
        for point in (point for point in picks if point['law'] == law):
            across = point['train_flops'] * np.exp(steps * apart)
            _mark(axis, across, point[column], law, point['bracketed'])


def _mark(axis: Axes, x: float | list, y: float | list, law: str, filled: bool) -> Line2D:
    colour = LAW_COLOURS[law]
    face = colour if filled else 'white'
    return axis.plot(x, y, LAW_MARKERS[law], ms=7, zorder=4, mec=colour, mew=1.4, mfc=face)[0]


@house_style
def checkpoint_grid(results: Results) -> tuple[Figure, list[dict]]:
    """Draw every run as a cell, size by budget: its tokens per parameter, and which rules picked it."""
    cells = _cells(results)
    sizes, budgets = sorted(set(pluck(cells, 'params'))), pluck(results.rows, 'train_flops')
    width = max(7.0, 1.3 + 0.62 * len(sizes))
    figure, axes = new_figure(1, 1, width=width, height=max(2.8, 1.6 + 0.58 * len(budgets)))
    axis: Axes = axes[0, 0]
    ratios = np.full((len(budgets), len(sizes)), np.nan)
    for cell in cells:
        at = budgets.index(cell['train_flops']), sizes.index(cell['params'])
        ratios[at] = cell['tokens_per_param']
        _draw_cell(axis, cell, at[1], at[0])
    shades = LogNorm(np.nanmin(ratios), max(np.nanmax(ratios), np.nanmin(ratios) * 1.01))
    axis.pcolormesh(ratios, cmap=GRID_MAP, norm=shades, edgecolors='white', linewidth=2, zorder=0)
    axis.set_xticks(np.arange(len(sizes)) + 0.5, [human_count(size) for size in sizes])
    axis.set_yticks(np.arange(len(budgets)) + 0.5, [human_flops(budget) for budget in budgets])
    axis.tick_params(length=0)
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.set_xlabel('Parameters N')
    axis.set_ylabel('Training budget C (FLOPs)')
    axis.set_title('Tokens per parameter of every run')
    handles: list[Any] = [axis.plot([], [], LAW_MARKERS[law], color=LAW_COLOURS[law], ms=7)[0] for law in LAW_COLOURS]
    names = ['lowest loss', 'best NLL in k', 'best pass@k']
    if any(pluck(cells, 'overtrained')):
        handles.append(matplotlib.patches.Patch(fill=False, ec=INK, ls=DASHES))
        names.append('overtrained, held out')
    key_below(figure, handles, names)
    return figure, [cell | {'picked_by': ' '.join(cell['picked_by'])} for cell in cells]


def _cells(results: Results) -> list[dict]:
    picked = {(pick['run'], pick['law']) for pick in _checkpoint_picks(results)}
    cells = []
    for run in results.runs:
        over = bool(results.is_held_out(run['tokens_per_param']))
        laws = [law for law in LAW_COLOURS if (run['run'], law) in picked]
        cells.append(run | {'overtrained': over, 'picked_by': laws})
    return cells


def _draw_cell(axis: Axes, cell: dict, column: int, line: int) -> None:
    axis.text(column + 0.5, line + 0.66, human_ratio(cell['tokens_per_param']), ha='center', va='center')
    if cell['overtrained']:
        corner = (column + 0.06, line + 0.06)
        box = matplotlib.patches.Rectangle(corner, 0.88, 0.88, fill=False, ec=INK, lw=1.2, ls=DASHES)
        axis.add_patch(box)
    picked: Sequence[str] = cell['picked_by']
    for law, at in zip(LAW_COLOURS, (0.26, 0.5, 0.74)):
        if law in picked:
            style = {'color': LAW_COLOURS[law], 'ms': 7, 'mec': 'white', 'mew': 0.7}
            axis.plot(column + at, line + 0.29, LAW_MARKERS[law], **style)
