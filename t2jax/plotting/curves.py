"""Two tests: predicted against observed, for the laws; sampled against likelihood pass@k, for the metric."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from t2jax.laws.forms import LAWS
from t2jax.laws.observations import Observations, training_budgets, where
from t2jax.laws.record import Fit
from t2jax.plotting.labels import CHINCHILLA, LAW_NAMES, human_count, human_error, task_name
from t2jax.plotting.law_fit import agreement_axes, perfect_name
from t2jax.plotting.results import HeldOut, NotDrawn, Results, pluck
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
    note_doubts,
    set_ticks,
    share_axis,
)

# What the pass@k of a table is, by how its column measure says that it was measured.
COMPUTED = {
    'likelihood': 'computed from the likelihood',
    'counts': 'estimated from counts of right samples',
    'beta-binomial': 'of a beta-binomial fitted to counts',
    'unknown': 'as measured',
}
SAMPLED = {'fmt': 'o', 'ms': 4.5, 'mfc': 'white', 'mew': 1.2, 'elinewidth': 1.2, 'capsize': 2, 'zorder': 3}


@house_style
def extrapolation(results: Results) -> tuple[Figure, list[dict]]:
    """Draw predicted against measured for the laws fitted without the overtrained runs (T2 figure 4).

    Those are both approaches or, where a study has neither, Chinchilla's law of losses.
    """
    laws = [law for law in results.approaches if _main_test(results, law)]
    laws = laws or [law for law in (CHINCHILLA,) if _main_test(results, law)]
    if not laws:
        results.need(*([] if results.fits else [CHINCHILLA]))
        raise NotDrawn('no run was held out of a fit: none is overtrained, or too few are left without those that are')
    figure, axes = new_figure(1, len(laws), width=9.0 if len(laws) > 1 else 5.6, height=5.1)
    numbers = []
    for axis, law in zip(axes[0], laws):
        numbers += _predicted(axis, results, law)
    handles = [axes[0, 0].plot([], [], 'o', mfc=face, mec=INK)[0] for face in (FAINT, 'white')]
    handles += axes[0, 0].plot([], [], color=FAINT, lw=1.0)
    names = ['in the fit', 'overtrained, held out', perfect_name(numbers).replace('; ', ';\n')]
    key_below(figure, handles, names)
    note_doubts(figure, [_main_test(results, law).fit for law in laws])
    return figure, numbers


def _main_test(results: Results, law: str) -> HeldOut | None:
    """Find the test of a law's main fit."""
    return results.held_out[law].get(results.fits[law].task) if law in results.fits else None


def _predicted(axis: Axes, results: Results, law: str) -> list[dict]:
    """Draw the panel of one law; returns its points, as far as their observation is above 0."""
    test, column = _main_test(results, law), LAWS[law].target
    points = _predictions(results, test.fit, column)
    if not points:
        raise NotDrawn(f'no run has a {column} above 0 to hold the predictions of {LAW_NAMES[law]} against')
    low, high = agreement_axes(axis, points, column)
    size = 5 if len(points) < 400 else 3.5
    for held_out, face, alpha in ((False, LAW_COLOURS[law], 0.45), (True, 'white', 0.9)):
        mine = [point for point in points if point['held_out'] == held_out]
        style = {'ms': size, 'mfc': face, 'mec': LAW_COLOURS[law], 'mew': 0.9, 'alpha': alpha, 'zorder': 2 + held_out}
        axis.plot(pluck(mine, 'observed'), np.clip(pluck(mine, 'predicted'), low, high), 'o', **style)
    errors = [_error(test.scores.get(name)) for name in ('in_sample', 'held_out', 'null_held_out')]
    note = 'mean error: {} in the fit, {} held out (null {})'.format(*errors)
    axis.text(0, 1.02, note, transform=axis.transAxes, fontsize=8.5, color='#444444')
    axis.set_title(_title(law, test.fit.task), color=LAW_COLOURS[law], pad=21)
    return points


def _title(law: str, task: str) -> str:
    return (
        f'{LAW_NAMES[law]}, {"NLL" if task == "macro" else "loss"} on {task_name(task)}'
        if law == CHINCHILLA
        else LAW_NAMES[law]
    )


def _error(value: float | None) -> str:
    return '–' if value is None or not np.isfinite(value) else human_error(value)


def _predictions(results: Results, fit: Fit, column: str) -> list[dict]:
    """Compare a fit with the rows it was made of, and with those kept from it, where these are above 0."""
    table = results.losses if LAWS[fit.law].single_pass else results.macro
    # Approach 2 begins with Chinchilla's law of nll at k = 1, and is fitted without the rows there that lack it.
    usable = np.isfinite(table.nll) | (table.k != 1) | (column == 'nll')
    table = where(table, usable & (getattr(table, column) > 0))
    predicted, ratios = fit.predict(table.params, table.tokens, table.k), table.tokens / table.params
    held_out = ratios > fit.tokens_per_param_range[1] * (1 + 1e-9)
    points = []
    for at, run in enumerate(table.run):
        point = {'law': fit.law, 'run': str(run), 'held_out': bool(held_out[at])}
        point |= {name: float(getattr(table, name)[at]) for name in ('params', 'tokens', 'k')}
        point |= {'observed': float(getattr(table, column)[at]), 'predicted': float(predicted[at])}
        points.append(point | {'relative_error': point['predicted'] / point['observed'] - 1})
    return points


@house_style
def pass_at_k_curves(results: Results) -> tuple[Figure, list[dict]]:
    """Draw pass@k against k for three runs, by task, and what was really sampled of them, with intervals."""
    everything = results.observations
    if not (np.isfinite(everything.pass_at_k) | np.isfinite(everything.pass_at_k_sampled)).any():
        raise NotDrawn('no run has a pass@k: no answer was scored or sampled')
    runs, tasks = three_runs(results), results.tasks
    chosen = where(everything, np.isin(everything.run, runs))
    columns = min(len(tasks), 2 if len(tasks) <= 4 else 4)
    lines = -(-len(tasks) // columns)
    figure, axes = new_figure(lines, columns, height=0.9 + (2.9 if columns < 3 else 2.4) * lines)
    for axis in axes.flat[len(tasks) :]:
        axis.set_visible(False)
    numbers = []
    for at, (axis, task) in enumerate(zip(axes.flat, tasks)):
        numbers += _task_curves(axis, where(chosen, chosen.task == task), runs)
        if columns > 2:
            axis.set_title(task, fontsize=9, pad=9)
            axis.tick_params(labelsize=8)
        else:
            axis.set_title(task)
        if at + columns >= len(tasks):
            axis.set_xlabel('Samples k')
        if at % columns == 0:
            axis.set_ylabel('pass@k')
    handles: list[Any] = axes[0, 0].plot([], [], color=FAINT)
    names = [f'{COMPUTED[str(everything.measure[0])]}, named by size N']
    if np.isfinite(chosen.pass_at_k_sampled).any():
        handles.append(axes[0, 0].errorbar([], [], yerr=[], color=FAINT, **SAMPLED))
        names.append('really sampled, with 95 % interval')
    key_below(figure, handles, names)
    return figure, numbers


def three_runs(results: Results) -> list[str]:
    """Choose the smallest, middle and largest run of the largest budget, sampled ones if there are any.

    Of runs that share no budgets the longest trained of each size stand in for those of the largest.
    """
    everything = results.observations
    whole = results.macro if len(results.macro) else everything  # runs that have every task, if there are any
    runs, first = np.unique(whole.run, return_index=True)
    params, tokens = whole.params[first], whole.tokens[first]
    if results.has_profiles:
        budgets = training_budgets(whole.train_flops[first])
        top = budgets == budgets.max()
    else:
        top = np.array([data == tokens[params == size].max() for size, data in zip(params, tokens)])
    sampled = np.isin(runs, everything.run[np.isfinite(everything.pass_at_k_sampled)])
    top = top & sampled if (top & sampled).any() else top
    ordered = runs[top][np.argsort(params[top], kind='stable')]
    return [str(ordered[at]) for at in sorted({0, len(ordered) // 2, len(ordered) - 1})]


def _task_curves(axis: Axes, observations: Observations, runs: list[str]) -> list[dict]:
    numbers, ends = [], []
    if not len(observations):
        return numbers
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
    ticks = [4.0**power for power in range(12) if low <= 4.0**power <= high]
    set_ticks(axis.xaxis, ticks if len(ticks) < 6 else ticks[::2], human_count)
    tops = np.concatenate([observations.pass_at_k, observations.pass_at_k_sampled_high])
    share_axis(axis, 0.0, float(np.nanmax(tops)) if np.isfinite(tops).any() else 1.0)
    label_ends(axis, ends)
    return numbers
