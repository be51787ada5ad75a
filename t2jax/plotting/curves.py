"""Two tests: predicted against observed, for the laws; sampled against likelihood pass@k, for the metric."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from t2jax.laws.observations import Observations, training_budgets, where
from t2jax.plotting.labels import APPROACH_1, APPROACH_2, human_count, human_percent
from t2jax.plotting.law_fit import agreement_axes
from t2jax.plotting.results import Results, pluck
from t2jax.plotting.style import (
    FAINT,
    INK,
    LAW_COLOURS,
    SIZE_COLOURS,
    house_style,
    key_below,
    label_ends,
    log_axis,
    new_figure,
    set_ticks,
    share_axis,
)

SAMPLED = {'fmt': 'o', 'ms': 4.5, 'mfc': 'white', 'mew': 1.2, 'elinewidth': 1.2, 'capsize': 2, 'zorder': 3}


@house_style
def extrapolation(results: Results) -> tuple[Figure, list[dict]]:
    """Draw predicted against measured for both approaches, fitted without the overtrained runs (T2 figure 4).

    Raises ValueError if the study kept no overtrained run out of a fit.
    """
    figure, axes = new_figure(1, 2, height=5.1)
    numbers = []
    panels = ((APPROACH_1, 'nll', 'Approach 1: NLL'), (APPROACH_2, 'pass_at_k', 'Approach 2: pass@k'))
    for axis, (law, column, title) in zip(axes[0], panels):
        if 'macro' not in results.held_out[law]:
            raise ValueError(f'the extrapolation figure needs a held-out fit of {law}; this study has none')
        points = _predictions(results, law, column)
        _scatter(axis, points, column, LAW_COLOURS[law])
        scores = results.held_out[law]['macro'].scores
        errors = [human_percent(scores[name]) for name in ('in_sample', 'held_out', 'null_held_out')]
        note = 'mean error: {} in the fit, {} held out (null {})'.format(*errors)
        axis.text(0, 1.02, note, transform=axis.transAxes, fontsize=9, color='#444444')
        axis.set_title(title, color=LAW_COLOURS[law], pad=21)
        numbers += points
    handles = [axes[0, 0].plot([], [], 'o', mfc=face, mec=INK)[0] for face in (FAINT, 'white')]
    handles += axes[0, 0].plot([], [], color=FAINT, lw=1.0)
    names = ['run in the fit', 'overtrained run, held out', 'perfect prediction (band: ±10 %)']
    key_below(figure, handles, names)
    return figure, numbers


def _predictions(results: Results, law: str, column: str) -> list[dict]:
    macro = results.macro
    predicted = results.held_out[law]['macro'].fit.predict(macro.params, macro.tokens, macro.k)
    observed = getattr(macro, column)
    held_out = results.is_held_out(macro.tokens / macro.params)
    points = []
    for at, run in enumerate(macro.run):
        point = {'law': law, 'run': str(run), 'held_out': bool(held_out[at])}
        point |= {name: float(getattr(macro, name)[at]) for name in ('params', 'tokens', 'k')}
        points.append(point | {'observed': float(observed[at]), 'predicted': float(predicted[at])})
    return points


def _scatter(axis: Axes, points: list[dict], column: str, colour: str) -> None:
    agreement_axes(axis, points, column)
    size = 5 if len(points) < 400 else 3.5
    for held_out, face, alpha in ((False, colour, 0.45), (True, 'white', 0.9)):
        mine = [point for point in points if point['held_out'] == held_out]
        style = {'ms': size, 'mfc': face, 'mec': colour, 'mew': 0.9, 'alpha': alpha, 'zorder': 2 + held_out}
        axis.plot(pluck(mine, 'observed'), pluck(mine, 'predicted'), 'o', **style)


@house_style
def pass_at_k_curves(results: Results) -> tuple[Figure, list[dict]]:
    """Draw pass@k against k for three runs of the largest budget, by task: likelihood, samples, intervals."""
    runs, tasks = three_runs(results), results.tasks
    chosen = where(results.observations, np.isin(results.observations.run, runs))
    columns = min(len(tasks), 2 if len(tasks) <= 4 else 4)
    lines = -(-len(tasks) // columns)
    figure, axes = new_figure(lines, columns, height=0.9 + 2.9 * lines)
    for axis in axes.flat[len(tasks) :]:
        axis.set_visible(False)
    numbers = []
    for at, (axis, task) in enumerate(zip(axes.flat, tasks)):
        numbers += _task_curves(axis, where(chosen, chosen.task == task), runs)
        axis.set_title(task)
        if at + columns >= len(tasks):
            axis.set_xlabel('Samples k')
        if at % columns == 0:
            axis.set_ylabel('pass@k')
    handles: list[Any] = axes[0, 0].plot([], [], color=FAINT)
    handles.append(axes[0, 0].errorbar([], [], yerr=[], color=FAINT, **SAMPLED))
    key_below(figure, handles, ['computed from the likelihood', 'really sampled, with 95 % interval'])
    return figure, numbers


def three_runs(results: Results) -> list[str]:
    """Choose the smallest, middle and largest run of the largest budget, sampled ones if there are any."""
    macro, everything = results.macro, results.observations
    budgets = training_budgets(macro.train_flops)
    top = np.unique(macro.run[budgets == budgets.max()])
    sampled = [run for run in top if np.isfinite(everything.pass_at_k_sampled[everything.run == run]).any()]
    ordered = sorted(sampled or top, key=lambda run: macro.params[macro.run == run][0])
    return [str(ordered[at]) for at in sorted({0, len(ordered) // 2, len(ordered) - 1})]


def _task_curves(axis: Axes, observations: Observations, runs: list[str]) -> list[dict]:
    numbers, ends = [], []
    for run, colour in zip(runs, SIZE_COLOURS):
        mine = where(observations, observations.run == run)
        mine = where(mine, np.argsort(mine.k))
        axis.plot(mine.k, mine.pass_at_k, color=colour)
        drawn = np.isfinite(mine.pass_at_k_sampled)
        value, low, high = (getattr(mine, f'pass_at_k_sampled{end}')[drawn] for end in ('', '_low', '_high'))
        reach = np.clip([value - low, high - value], 0, None)
        axis.errorbar(mine.k[drawn], value, yerr=reach, color=colour, **SAMPLED)
        if len(mine):
            ends.append((mine.k[-1], mine.pass_at_k[-1], human_count(mine.params[0]), colour))
        sampled = [f'pass_at_k_sampled{end}' for end in ('', '_low', '_high')]
        for at in range(len(mine)):
            row = {'run': run, 'task': str(mine.task[at])}
            names = ('params', 'k', 'pass_at_k', *sampled)
            numbers.append(row | {name: float(getattr(mine, name)[at]) for name in names})
    low, high = float(observations.k.min()), float(observations.k.max())
    log_axis(axis, 'x', low / 1.15, max(high, 2 * low) * 1.05, human_count)
    fours = [4.0**power for power in range(12) if low <= 4.0**power <= high]
    set_ticks(axis.xaxis, fours, human_count)
    tops = [observations.pass_at_k, observations.pass_at_k_sampled_high]
    share_axis(axis, 0.0, float(np.nanmax(np.concatenate(tops))))
    label_ends(axis, ends, 'N')
    return numbers
