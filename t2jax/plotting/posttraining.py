"""Does the allocation survive fine-tuning? Optimal tokens per parameter by stage (T2 figure 5), and the curves."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from t2jax.plotting.labels import (
    APPROACH_1,
    APPROACH_2,
    CHINCHILLA,
    LAW_NAMES,
    STAGE_NAMES,
    human_count,
    human_flops,
    human_value,
    task_name,
)
from t2jax.plotting.posttraining_results import PostTraining, is_beyond
from t2jax.plotting.results import NotDrawn, Results, pluck
from t2jax.plotting.style import (
    FAINT,
    INK,
    LAW_COLOURS,
    SIZE_MAP,
    STAGE_DASHES,
    STAGE_MARKERS,
    house_style,
    key_below,
    label_ends,
    log_axis,
    new_figure,
    set_ticks,
)

# How far the axes follow optima beyond the tokens per parameter trained, and bands beyond the optima, factors.
REACH, FAR = 30.0, 5.0
# Sizes named at the ends of their lines; the others lie between them in colour.
NAMED = 6
# Panels of curves side by side in a page's width.
ACROSS = 4


@house_style
def post_training(results: Results) -> tuple[Figure, list[dict]]:
    """Draw the optimal D/N of T2 and of Chinchilla at every stage against the training budget, a row for each task.

    Raises ValueError if nothing was fine-tuned.
    """
    after = _fine_tuned(results)
    figure, axes = new_figure(len(after.tasks), 2, height=1.1 + 2.5 * len(after.tasks))
    seen = [job['tokens'] / job['params'] for job in after.jobs]
    for line, task in zip(axes, after.tasks):
        mine = [point for point in after.optima if point['task'] == task]
        for axis, law in zip(line, (APPROACH_1, APPROACH_2)):
            # both panels of a task have the same height, so that the approaches can be compared
            _optima_axes(axis, mine, min(seen) / REACH, max(seen) * REACH)
            _draw_optima(axis, [point for point in mine if point['law'] in (CHINCHILLA, law)], after.stages)
            axis.set_title(f'{_SHORT[law]}: {task_name(task)}', color=LAW_COLOURS[law], fontsize=10)
        line[0].set_ylabel('Optimal D/N')
    for axis in axes[-1]:
        axis.set_xlabel('Training budget C (FLOPs)')
    _optima_key(figure, axes[0, 0], after)
    return figure, after.optima


def _fine_tuned(results: Results) -> PostTraining:
    if results.posttraining is None:
        raise NotDrawn('the figures of fine-tuning need a study that fine-tuned its runs; this one did not')
    return results.posttraining


def _optima_axes(axis: Axes, points: list[dict], floor: float, ceiling: float) -> None:
    """Span the optima from `floor` to `ceiling`, and bands as far as FAR beyond; what lies further is cut."""
    best = np.clip([value for value in pluck(points, _ENDS[0]) if value > 0] or [floor, ceiling], floor, ceiling)
    ends = [point[name] for point in points for name in _ENDS[1:]]
    ends = np.clip([end for end in ends if end > 0] or best, best.min() / FAR, best.max() * FAR)
    low, high = min(best.min(), ends.min()), max(best.max(), ends.max())
    log_axis(axis, 'y', low / 1.4, high * 1.4, lambda value: human_count(value, 2), most=6)
    budgets = sorted(set(pluck(points, 'train_flops')))
    air = (budgets[-1] / budgets[0]) ** 0.12 if len(budgets) > 1 else 1.5
    log_axis(axis, 'x', budgets[0] / air, budgets[-1] * air, human_flops, most=5)


def _draw_optima(axis: Axes, points: list[dict], stages: list[str]) -> None:
    """Draw lines of optima and whiskers of 80 % bands, the stages of a law side by side at each budget."""
    left, right = np.log(axis.get_xlim())
    low, high = axis.get_ylim()
    budgets = np.log(sorted(set(pluck(points, 'train_flops'))))
    apart = min([0.026 * (right - left), *0.13 * np.diff(budgets)])
    ends, rightmost = [], 0.0
    for law in dict.fromkeys(pluck(points, 'law')):
        for at, stage in enumerate(stages):
            # an optimum that is not known takes its line apart; one past the frame is drawn on it
            mine = [point for point in points if (point['law'], point['stage']) == (law, stage)]
            across = np.array(pluck(mine, 'train_flops')) * np.exp(
                apart * (2 * (at - (len(stages) - 1) / 2) + 0.5 * (-1 if law == CHINCHILLA else 1))
            )
            value, bottom, top = (np.clip(np.array(pluck(mine, name), float), low, high) for name in _ENDS)
            bottom[np.isnan(value)] = np.nan
            colour, order = LAW_COLOURS[law], 3 if law == CHINCHILLA else 4
            axis.plot(across, value, ls=STAGE_DASHES[stage], color=colour, lw=1.3, zorder=order)
            axis.vlines(across, bottom, top, color=colour, lw=1.1, alpha=0.45, zorder=order - 0.5)
            for x, y, point in zip(across, value, mine):
                face = 'white' if is_beyond(point) else colour
                mark = {'ms': 6, 'mec': colour, 'mew': 1.2, 'mfc': face, 'clip_on': False, 'zorder': order + 1}
                axis.plot(x, y, STAGE_MARKERS[stage], **mark)
            known = np.flatnonzero(np.isfinite(value))
            if len(known):
                ends.append((value[known[-1]], STAGE_NAMES[stage], colour))
                rightmost = max(rightmost, across[known[-1]])
    label_ends(axis, [(rightmost, *end) for end in ends], gap=10.5)


def _optima_key(figure: Figure, axis: Axes, after: PostTraining) -> None:
    handles: list[Any] = [axis.plot([], [], color=LAW_COLOURS[law])[0] for law in LAW_NAMES]
    names = ['Chinchilla, k = 1', 'T2, Approach 1', 'T2, Approach 2']
    for stage in after.stages:
        dash = {'ls': STAGE_DASHES[stage], 'marker': STAGE_MARKERS[stage], 'color': FAINT, 'ms': 6}
        handles += axis.plot([], [], **dash)
        names.append(STAGE_NAMES[stage])
    if any(map(is_beyond, after.optima)):
        handles += axis.plot([], [], 'o', mfc='white', mec=FAINT, mew=1.2, ms=6)
        names.append('at an edge')
    key_below(figure, handles, names)


@house_style
def fine_tuning_curves(results: Results) -> tuple[Figure, list[dict]]:
    """Draw the NLL of validation answers against epochs at the chosen learning rate, a panel for each task and stage.

    Raises ValueError if nothing was fine-tuned.
    """
    return curves_figure(_fine_tuned(results))


@house_style
def curves_figure(after: PostTraining) -> tuple[Figure, list[dict]]:
    """Draw what `fine_tuning_curves` does, of fine-tunings alone."""
    curves = _longest(after)
    tasks = list(dict.fromkeys(pluck(after.curves, 'task')))
    stages = [stage for stage in STAGE_NAMES if stage in pluck(after.curves, 'stage')]
    sizes = sorted(set(pluck(curves, 'params')))
    shades = SIZE_MAP(np.linspace(0.0, 1.0, len(sizes)) if len(sizes) > 1 else [0.5])
    colours = dict(zip(sizes, shades))
    turned = len(tasks) > ACROSS  # then tasks run down the page, and stages across
    shape = (len(tasks), len(stages)) if turned else (len(stages), len(tasks))
    figure, axes = new_figure(*shape, height=1.0 + 2.7 * shape[0])
    for line, stage in zip(axes.T if turned else axes, stages):
        for axis, task in zip(line, tasks):
            on_task = [point for point in curves if point['task'] == task]
            _curves_axes(axis, on_task)
            mine = [point for point in on_task if point['stage'] == stage]
            _draw_curves(axis, mine, colours)
            axis.set_title(f'{STAGE_NAMES[stage]}: {task}' if turned else task, fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel('Epoch')
    for at, axis in enumerate(axes[:, 0]):
        axis.set_ylabel(
            'NLL of the answer (nats)' if turned else f'{STAGE_NAMES[stages[at]]}: NLL of the answer (nats)'
        )
    handles = axes[0, 0].plot([], [], 'o', color=INK, ms=5) + axes[0, 0].plot([], [], 'x', color=INK, ms=7, mew=1.8)
    key_below(figure, handles, ['lowest of its line', 'ends worse than before fine-tuning'])
    return figure, curves


def _longest(after: PostTraining) -> list[dict]:
    """Keep the curves of the chosen learning rates, of each size at its most tokens."""
    key = ('run', 'task', 'stage', 'learning_rate')
    chosen = {tuple(job[name] for name in key) for job in after.chosen}
    most: dict[float, float] = {}
    for job in after.jobs:
        most[job['params']] = max(_known(job), most.get(job['params'], 0.0))
    return [
        point
        for point in after.curves
        if tuple(point[name] for name in key) in chosen and _known(point) == most[point['params']]
    ]


def _known(row: dict) -> float:
    return 0.0 if math.isnan(row['tokens']) else row['tokens']  # an import's may be unknown


def _curves_axes(axis: Axes, points: list[dict]) -> None:
    """Span all stages of a task, so that they can be compared; four decades below the highest at most."""
    finite = [value for value in pluck(points, 'validation_nll') if 0 < value < np.inf] or [1.0]
    high = max(finite)
    low = max(min(finite), high / 1e4)
    air = max((high / low) ** 0.06, 1.03)
    log_axis(axis, 'y', low / air, high * air, human_value, most=6)
    last = max(pluck(points, 'epoch'), default=1.0)
    axis.set_xlim(-0.03 * last, 1.03 * last)
    set_ticks(axis.xaxis, np.unique(np.linspace(0, last, 4).round()), lambda value: f'{value:g}')


def _draw_curves(axis: Axes, points: list[dict], colours: dict[float, Any]) -> None:
    ends, bottom_top = [], axis.get_ylim()
    for run in sorted(set(pluck(points, 'run')), key=lambda run: next(p['params'] for p in points if p['run'] == run)):
        mine = sorted((point for point in points if point['run'] == run), key=lambda point: point['epoch'])
        size = mine[0]['params']
        colour = colours[size]
        epochs, nll = pluck(mine, 'epoch'), np.array(pluck(mine, 'validation_nll'))
        shown = np.clip(nll, *bottom_top)  # a diverged job runs along the top
        axis.plot(epochs, shown, color=colour, zorder=3)
        lowest = int(np.argmin(np.where(np.isnan(nll), np.inf, nll)))
        axis.plot(epochs[lowest], shown[lowest], 'o', color=colour, ms=5, clip_on=False, zorder=4)
        if not nll[-1] <= nll[0]:
            axis.plot(epochs[-1], shown[-1], 'x', color=colour, ms=7, mew=1.8, clip_on=False, zorder=5)
        if np.isfinite(shown[-1]):
            ends.append((epochs[-1], shown[-1], human_count(size, 2), colour))
    named = set(np.linspace(0, len(ends) - 1, min(NAMED, len(ends))).round().astype(int).tolist())
    label_ends(axis, [end for at, end in enumerate(ends) if at in named], 'N')


_SHORT = {APPROACH_1: 'Approach 1', APPROACH_2: 'Approach 2'}
_ENDS = ('tokens_per_param', 'tokens_per_param_low', 'tokens_per_param_high')
