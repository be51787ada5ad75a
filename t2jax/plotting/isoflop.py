"""IsoFLOP profiles: one curve per training budget, model size along it, and where each rule says to stop.

Along a curve D = C / (6N). In a single pass k = 1; with the inference budget held equal k = C_inf / (2N), so
that the small models on the left are paid in samples (T2 figure 3). isoflop_panel.py draws one panel.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from t2jax.laws.forms import LAWS
from t2jax.plotting import isoflop_panel as panels
from t2jax.plotting.isoflop_panel import Panel, Profiles
from t2jax.plotting.labels import APPROACH_1, APPROACH_2, CHINCHILLA, human_count, human_flops, task_name
from t2jax.plotting.results import NotDrawn, Results, pluck
from t2jax.plotting.style import (
    BUDGET_MAP,
    FAINT,
    LAW_COLOURS,
    house_style,
    key_below,
    label_ends,
    log_axis,
    log_ticks,
    new_figure,
    note_doubts,
    set_ticks,
)

NAMED = 6  # budgets at most that are named at the ends of curves where panels are small
TITLES = {APPROACH_1: 'Approach 1 (NLL)', APPROACH_2: 'Approach 2 (pass@k)'}
HEIGHTS = {'nll': 'NLL of the answer in k tries (nats)', 'pass_at_k': 'pass@k'}
NAMES = {CHINCHILLA: 'Chinchilla’s choice', APPROACH_1: 'T2 optimum', APPROACH_2: 'T2 optimum'}


@house_style
def isoflop_profiles(results: Results) -> tuple[Figure, list[dict]]:
    """Draw both approaches (rows) against N in a single pass and at k = C_inf / (2N), with both frontiers.

    An approach without a fit has no row, unless neither has one: then all measured points are drawn alone.
    """
    drawn = _drawn(results)
    named = results.has_profiles and len(results.budgets) <= NAMED
    figure, axes = new_figure(len(drawn) // 2, 2, height=0.9 + 3.9 * (len(drawn) // 2))
    numbers = []
    for axis, profiles in zip(axes.flat, drawn):
        panel = panels.make_panel(results.budgets, profiles, _choices(results, profiles))
        _panel(axis, results, panel, named)
        numbers += panel.numbers
        law = APPROACH_1 if profiles.column == 'nll' else APPROACH_2
        once = profiles.inference_flops is None
        axis.set_title(f'{TITLES[law]}, {"single pass" if once else "k = C_inf / 2N"}', color=LAW_COLOURS[law], pad=8)
        if once:
            axis.set_ylabel(HEIGHTS[profiles.column])
        else:
            _samples_axis(axis, results.inference_flops)
    figure.align_ylabels(axes[:, 0])
    if not named:
        panels.budget_bar(axes, results.budgets, results.has_profiles)
    _finish(figure, axes[0, 0], results, results.approaches, numbers)
    return figure, numbers


@house_style
def isoflop_loss(results: Results) -> tuple[Figure, list[dict]]:
    """Draw the loss of each run against N by training budget, with Chinchilla's law and its choices."""
    if not len(results.losses):
        raise NotDrawn('no run has a loss, nor an NLL at k = 1 in its stead')
    profiles = Profiles(results.losses, 'nll', results.fits.get(CHINCHILLA), None)
    figure, axes = new_figure(1, 1, height=5.4)
    panel = panels.make_panel(results.budgets, profiles, _choices(results, profiles))
    _panel(axes[0, 0], results, panel, results.has_profiles)
    if not results.has_profiles:
        panels.budget_bar(axes, results.budgets, False)
    of = str(results.losses.task[0])
    answers = results.tables.of_answers
    axes[0, 0].set_title(f'NLL of answers, {task_name(of)}' if answers else f'Loss on {task_name(of)}')
    axes[0, 0].set_ylabel('NLL of the answer in one try (nats)' if answers else 'loss (nats per token)')
    _finish(figure, axes[0, 0], results, [], panel.numbers)
    return figure, panel.numbers


def _drawn(results: Results) -> list[Profiles]:
    """List the panels, row by row."""
    if not len(results.observations):
        raise NotDrawn('the study has losses alone: no answer was scored, and T2’s two approaches need pass@k')
    if not len(results.macro):
        raise NotDrawn('no run has every task at every k, so that there is no mean over tasks to draw')
    fits = {LAWS[law].target: results.fits[law] for law in results.approaches}
    columns = [*fits] or [name for name in HEIGHTS if panels.any_measured(results.macro, name)]
    if not columns:
        raise NotDrawn('observations.csv has neither nll nor pass_at_k of answers')
    budgets = (None, results.inference_flops)
    return [Profiles(results.macro, column, fits.get(column), budget) for column in columns for budget in budgets]


def _choices(results: Results, profiles: Profiles) -> list[dict]:
    """Place Chinchilla's choices and the law's own optima on its curves; none without a law."""
    if profiles.fit is None:
        return []
    placed = []
    for row in results.rows:
        for law in dict.fromkeys((CHINCHILLA, profiles.fit.law)):
            if law in results.fits:
                once = profiles.inference_flops is None and law != CHINCHILLA
                params = row[law]['params_for_one_sample' if once else 'params']
                band = None if once else ((row[law].get('bands') or {}).get('params') or {}).get('80')
                placed += panels.placed(profiles, law, row['train_flops'], params, band)
    return placed


def _panel(axis: Axes, results: Results, panel: Panel, named: bool) -> None:
    """Draw a panel, its budgets `named` at the ends of their curves."""
    column, points, choices = panel.profiles.column, panel.points, panel.choices
    sizes = pluck(panel.drawn, 'params') or [*panel.profiles.table.params]
    log_axis(axis, 'x', min(sizes) / 1.03, max(sizes) * 1.03, lambda value: human_count(value, 2), most=6)
    panels.set_heights(axis, panel)
    ends = []
    for budget, curve in panel.curves.items():
        colour = panels.shade(results.budgets, budget)
        axis.plot(pluck(curve, 'params'), pluck(curve, column), color=colour, zorder=2)
        seen = panels.inside(axis, curve or _profile(results, points, budget), column)
        name = f'{"C = " if budget == max(panel.curves) else ""}{human_flops(budget)}'
        ends += [(seen[-1]['params'], seen[-1][column], name, colour)] if seen else []
    panels.draw_points(axis, results.budgets, points, column)
    if results.has_profiles:
        panels.draw_rings(axis, points, column)
    lines = ['Parameters N'] if points else ['Parameters N', 'no checkpoint was measured at so many samples']
    for law in dict.fromkeys(pluck(choices, 'law')):
        path = [choice for choice in choices if choice['law'] == law]
        panels.draw_frontier(axis, path, law, column)
        away = len(path) - len(panels.inside(axis, path, column))
        lines += [f'not shown: {NAMES[law]} at {away} of {len(path)} budgets'] if away else []
    axis.set_xlabel('\n'.join(lines))
    if named:
        label_ends(axis, ends)


def _profile(results: Results, points: list[dict], budget: float) -> list[dict]:
    """Take the runs of a training budget, which bear its name where there is no curve."""
    return [point for point in points if results.has_profiles and point['train_flops'] == budget]


def _samples_axis(axis: Axes, inference_flops: float) -> None:
    """Say above the panel how many samples each size can draw."""
    # k = C_inf / (2N) is its own inverse; matplotlib probes it at 0, which must not warn.
    exchange = lambda value: inference_flops / (2 * np.maximum(value, 1e-9))
    top = axis.secondary_xaxis('top', functions=(exchange, exchange))
    low, high = (inference_flops / (2 * edge) for edge in reversed(axis.get_xlim()))
    set_ticks(top.xaxis, log_ticks(max(low, 1.0), high), lambda value: f'{value:.3g}' if value < 1000 else f'{value:g}')
    top.set_xlabel('Samples k that the inference budget buys', color='#444444', fontsize=9)
    top.spines['top'].set_visible(False)


def _finish(figure: Figure, axis: Axes, results: Results, approaches: list[str], numbers: list[dict]) -> None:
    """Name the marks that were drawn, and say which fits are in doubt."""
    colour, kinds = BUDGET_MAP(0.5), set(pluck(numbers, 'kind'))
    handles: list[Any] = [axis.plot([], [], color=colour, **panels.DOT)[0]]
    names = ['checkpoint']
    if results.has_profiles:
        handles += axis.plot([], [], **panels.RING)
        names.append('best checkpoint')
    if 'curve' in kinds:
        handles += axis.plot([], [], color=colour)
        names.append('fitted law')
    chosen = [row for row in numbers if row['kind'] == 'choice']
    for laws in ((CHINCHILLA,), approaches):
        drawn = [law for law in laws if law in pluck(chosen, 'law')]
        marks = [axis.plot([], [], **panels.look(law))[0] for law in drawn]
        if marks:
            handles.append(tuple(marks) if len(marks) > 1 else marks[0])
            names.append(NAMES[drawn[0]])
    if any(row['params_low'] is not None for row in chosen):
        handles += axis.plot([], [], color=FAINT, **panels.BAND)
        names.append('80 % of refits')
    key_below(figure, handles, names)
    note_doubts(figure, [results.fits[law] for law in results.fits if law in pluck(chosen, 'law')])
