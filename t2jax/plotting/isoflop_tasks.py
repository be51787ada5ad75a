"""IsoFLOP profiles task by task, at several inference budgets (T2 figures 6 and 7).

Rows are tasks, columns a single pass (k = 1) and equal inference budgets, k = C_inf / (2N); each task has its own fit.
"""

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from t2jax.laws.allocation import best_allocation
from t2jax.laws.forms import LAWS
from t2jax.laws.observations import where
from t2jax.plotting import isoflop_panel as panels
from t2jax.plotting.isoflop_panel import Panel, Profiles
from t2jax.plotting.labels import APPROACH_1, APPROACH_2, LAW_NAMES, human_count, human_flops, task_name
from t2jax.plotting.results import NotDrawn, Results, pluck
from t2jax.plotting.style import BUDGET_MAP, house_style, key_below, log_axis, new_figure, note_doubts

HEIGHTS = {'nll': 'NLL of the answer in k tries (nats)', 'pass_at_k': 'pass@k'}
FACTORS = (4.0, 1 / 4, 16.0, 1 / 16)  # of the study's inference budget, for the third column
SMALL = 0.6  # size of marks in these panels
LINE = {'lw': 1.1, 'zorder': 2}


def nll_by_task(results: Results) -> tuple[Figure, list[dict]]:
    """Draw the NLL of each task against N, with Approach 1's curves and optima, where the task has a fit."""
    return _by_task(results, APPROACH_1)


def pass_at_k_by_task(results: Results) -> tuple[Figure, list[dict]]:
    """Draw pass@k of each task against N, with Approach 2's curves and optima, where the task has a fit."""
    return _by_task(results, APPROACH_2)


@house_style
def _by_task(results: Results, law: str) -> tuple[Figure, list[dict]]:
    column, fits = LAWS[law].target, results.by_task.get(law, {})
    if not len(results.observations):
        raise NotDrawn('the study has losses alone: no task was scored')
    if not panels.any_measured(results.observations, column):
        raise NotDrawn(f'{LAW_NAMES[law]} by task needs {column} of answers, and observations.csv has none')
    columns = inference_budgets(results, column)
    figure, axes = new_figure(len(results.tasks), len(columns), height=1.5 + 1.4 * len(results.tasks))
    shown = []
    for task in results.tasks:
        table = where(results.observations, results.observations.task == task)
        for budget in columns:
            profiles = Profiles(table, column, fits.get(task), budget)
            shown.append(panels.make_panel(results.budgets, profiles, _optima(results, profiles)))
    _share_sizes(axes, pluck([row for panel in shown for row in panel.drawn], 'params'))
    for axis, panel in zip(axes.flat, shown):
        _draw(axis, panel, results.budgets)
    for axis, task in zip(axes[:, 0], results.tasks):
        name = textwrap.fill(task_name(task).replace('_', '_ '), 15).replace('_ ', '_')
        axis.set_ylabel(name, fontweight='bold', fontsize=9)
    for axis, inference_flops in zip(axes[0], columns):
        once = inference_flops is None
        axis.set_title('single pass, k = 1' if once else f'C_inf = {human_flops(inference_flops)}', fontsize=10)
    figure.align_ylabels(axes[:, 0])
    figure.supylabel(HEIGHTS[column], fontsize=10)
    panels.budget_bar(axes, results.budgets, results.has_profiles)
    _name_marks(figure, axes, shown, law)
    drawn = [fits[task] for task in results.tasks if task in fits]
    note_doubts(figure, drawn)
    return figure, [row for panel in shown for row in panel.numbers]


def inference_budgets(results: Results, column: str) -> list[float | None]:
    """Choose the columns: a single pass (None), the study's budget, and that one of FACTORS of it best measured."""
    first = where(results.observations, results.observations.task == results.tasks[0])
    given = results.inference_flops
    counts = {
        factor: len(panels.measured(results.budgets, Profiles(first, column, None, factor * given)))
        for factor in FACTORS
    }
    best = max(counts, key=lambda factor: counts[factor])  # the first of several
    return [None, *sorted([given, best * given] if counts[best] else [given])]


def _optima(results: Results, profiles: Profiles) -> list[dict]:
    """Find the optimum of each curve."""
    fit, placed = profiles.fit, []
    for budget in results.budgets if fit else ():
        best = best_allocation(fit, train_flops=budget, inference_flops=profiles.inference_flops)
        placed += panels.placed(profiles, fit.law, budget, best['params'], None)
    return placed


def _share_sizes(axes: np.ndarray, sizes: list[float]) -> None:
    """Give all panels the same sizes, written under the last row alone."""
    for axis in axes.flat:
        log_axis(axis, 'x', min(sizes) / 1.1, max(sizes) * 1.1, lambda value: human_count(value, 2), most=5)
    for axis in axes[:-1].flat:
        axis.tick_params(labelbottom=False)
    for axis in axes[-1]:
        axis.set_xlabel('Parameters N', fontsize=9)


def _draw(axis: Axes, panel: Panel, budgets: list[float]) -> None:
    """Draw one task at one inference budget; call it after the sizes are set."""
    column = panel.profiles.column
    panels.set_heights(axis, panel, most=4)
    axis.tick_params(labelsize=8)
    for budget, curve in panel.curves.items():
        axis.plot(pluck(curve, 'params'), pluck(curve, column), color=panels.shade(budgets, budget), **LINE)
    panels.draw_points(axis, budgets, panel.points, column, SMALL)
    if panel.choices:
        panels.draw_frontier(axis, panel.choices, panel.profiles.fit.law, column, SMALL)


def _name_marks(figure: Figure, axes: np.ndarray, shown: list[Panel], law: str) -> None:
    """Name the marks under the panels, and say where optima are missing."""
    axis, colour, column = axes[0, 0], BUDGET_MAP(0.5), LAWS[law].target
    handles: list[Any] = axis.plot([], [], color=colour, **panels.DOT)
    names = ['checkpoint']
    if any(panel.choices for panel in shown):
        pairs = [(panels.inside(each, panel.choices, column), panel.choices) for each, panel in zip(axes.flat, shown)]
        whole = all(len(seen) == len(every) for seen, every in pairs)
        handles += axis.plot([], [], color=colour)
        handles += axis.plot([], [], **panels.look(law))
        names += ['the task’s own law', 'its optimum' if whole else 'its optimum, where the panel holds it']
    key_below(figure, handles, names)
