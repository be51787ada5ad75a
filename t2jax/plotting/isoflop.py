"""IsoFLOP profiles: one curve per training budget, model size along it, and where each rule says to stop.

Along a curve D = C / (6N). In a single pass k = 1; with the inference budget held equal k = C_inf / (2N), so
that the small models on the left are paid in samples (T2 figure 3).
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from t2jax.laws.observations import Observations, value_at_k
from t2jax.laws.record import Fit
from t2jax.plotting.labels import APPROACH_1, APPROACH_2, CHINCHILLA, human_count, human_flops
from t2jax.plotting.results import Results, pluck
from t2jax.plotting.style import (
    BUDGET_MAP,
    LAW_COLOURS,
    LAW_MARKERS,
    budget_colours,
    house_style,
    key_below,
    label_ends,
    log_axis,
    log_ticks,
    new_figure,
    set_ticks,
    share_axis,
)

DOT = {'marker': 'o', 'ls': 'none', 'ms': 6, 'mec': 'white', 'mew': 0.6, 'zorder': 3}
RING = {'marker': 'o', 'ls': 'none', 'ms': 12, 'mfc': 'none', 'mec': '#555555', 'mew': 1.1, 'zorder': 4}
FRONTIER = {'ls': '--', 'lw': 1.3, 'ms': 7, 'mec': 'white', 'mew': 0.8, 'zorder': 5}


@house_style
def isoflop_single_pass(results: Results) -> tuple[Figure, list[dict]]:
    """Draw the loss on held-out text and pass@1 against N for each training budget, and Chinchilla's choices."""
    figure, axes = new_figure(1, 2, height=4.6)
    losses = _panel(axes[0, 0], results, results.fits[CHINCHILLA], 'nll', inference_flops=None)
    passes = _panel(axes[0, 1], results, results.fits[APPROACH_2], 'pass_at_k', inference_flops=None)
    axes[0, 0].set_title('Loss on held-out text')
    axes[0, 1].set_title('One sample: pass@1')
    axes[0, 0].set_ylabel('loss (nats per token), lower is better')
    axes[0, 1].set_ylabel('pass@1, higher is better')
    _add_key(figure, axes[0, 0], [])
    return figure, losses + passes


@house_style
def isoflop_inference_corrected(results: Results) -> tuple[Figure, list[dict]]:
    """Draw both approaches against N at k = C_inf / (2N), with Chinchilla's choices and the T2 optima."""
    figure, axes = new_figure(1, 2, height=5.2)
    panels = ((APPROACH_1, 'nll', 'Approach 1: NLL'), (APPROACH_2, 'pass_at_k', 'Approach 2: pass@k'))
    numbers = []
    for axis, (law, column, title) in zip(axes[0], panels):
        inference_flops = results.inference_flops
        numbers += _panel(axis, results, results.fits[law], column, inference_flops=inference_flops)
        axis.set_title(title, color=LAW_COLOURS[law], pad=8)
        _samples_axis(axis, inference_flops)
    axes[0, 0].set_ylabel('NLL of the answer in k tries (nats), lower is better')
    axes[0, 1].set_ylabel('pass@k, higher is better')
    _add_key(figure, axes[0, 0], [APPROACH_1, APPROACH_2])
    return figure, numbers


def _panel(axis: Axes, results: Results, fit: Fit, column: str, *, inference_flops: float | None) -> list[dict]:
    """Draw one isoFLOP panel; return its measured points, curves and choices as rows."""
    laws = [CHINCHILLA] if inference_flops is None else [CHINCHILLA, fit.law]
    choices = [choice for law in laws for choice in _choices(results.rows, fit, column, law, inference_flops)]
    table = results.losses if fit.law == CHINCHILLA else results.macro
    points = _points(results, table, column, inference_flops)
    low, high = _reach(pluck(results.runs, 'params'), pluck(choices, 'params'))
    if inference_flops is not None:
        high = min(high, inference_flops / 2)  # a larger model cannot draw one sample
    numbers, ends, heights = points + choices, [], []
    for budget, colour in budget_colours(pluck(results.rows, 'train_flops')).items():
        grid = np.geomspace(low, high, 160)
        curve = fit.predict(grid, budget / (6 * grid), _samples(grid, inference_flops))
        axis.plot(grid, curve, color=colour, zorder=2)
        mine = [point for point in points if point['train_flops'] == budget]
        axis.plot(pluck(mine, 'params'), pluck(mine, column), color=colour, **DOT)
        if mine:
            best = (max if column == 'pass_at_k' else min)(mine, key=lambda point: point[column])
            axis.plot(best['params'], best[column], **RING)
        ends.append((high, float(curve[-1]), human_flops(budget), colour))
        heights += [*curve, *pluck(mine, column)]
        named = {'kind': 'curve', 'law': fit.law, 'train_flops': budget}
        numbers += [named | {'params': float(size), column: float(value)} for size, value in zip(grid[::8], curve[::8])]
    for law in laws:
        path = [choice for choice in choices if choice['law'] == law]
        style = FRONTIER | {'marker': LAW_MARKERS[law], 'color': LAW_COLOURS[law]}
        axis.plot(pluck(path, 'params'), pluck(path, column), **style)
    log_axis(axis, 'x', low, high * 1.03, lambda value: human_count(value, 2))
    axis.set_xlabel('Parameters N')
    if column == 'pass_at_k':
        share_axis(axis, min(heights), max(heights))
    else:
        air = (max(heights) / min(heights)) ** 0.08
        log_axis(axis, 'y', min(heights) / air, max(heights) * air, lambda value: f'{value:g}')
    label_ends(axis, ends, 'C, FLOPs')
    return numbers


def _reach(trained: list[float], chosen: list[float]) -> tuple[float, float]:
    """Span the sizes trained and the choices, but no choice that has run away from the data."""
    low = max(min(trained + chosen), min(trained) / 5)
    high = min(max(trained + chosen), max(trained) * 5)
    return low / 1.25, high * 1.25


def _samples(params: Any, inference_flops: float | None) -> Any:
    """Count the samples k of each size: one in a single pass."""
    sizes = np.asarray(params, dtype=float)
    return np.ones_like(sizes) if inference_flops is None else inference_flops / (2 * sizes)


def _points(results: Results, table: Observations, column: str, inference_flops: float | None) -> list[dict]:
    """Collect the measured value of each run at its k; runs whose k was not measured are left out."""
    points = []
    for run in results.runs:
        k = float(_samples(run['params'], inference_flops))
        value = value_at_k(table, run['run'], k, column)
        if np.isfinite(value):
            points.append({'kind': 'measured'} | run | {'k': k, column: float(value)})
    return points


def _choices(rows: list[dict], fit: Fit, column: str, law: str, inference_flops: float | None) -> list[dict]:
    """Place a law's choices on the curves of `fit`, as far as they can draw one sample."""
    choices = []
    for row in rows:
        params, tokens = row[law]['params'], row[law]['tokens']
        k = float(_samples(params, inference_flops))
        if k >= 1 - 1e-6:  # an optimum at the largest size allowed has k = 1 but for rounding
            choice = {'kind': 'choice', 'law': law, 'train_flops': row['train_flops'], 'params': params}
            value = float(fit.predict(params, tokens, k))
            choices.append(choice | {'tokens': tokens, 'k': k, column: value})
    return choices


def _samples_axis(axis: Axes, inference_flops: float) -> None:
    """Say above the panel how many samples each size can draw."""
    # k = C_inf / (2N) is its own inverse; matplotlib probes it at 0, which must not warn.
    exchange = lambda value: inference_flops / (2 * np.maximum(value, 1e-9))
    top = axis.secondary_xaxis('top', functions=(exchange, exchange))
    low, high = (inference_flops / (2 * edge) for edge in reversed(axis.get_xlim()))
    set_ticks(top.xaxis, log_ticks(max(low, 1.0), high), lambda value: f'{value:g}')
    top.set_xlabel('Samples k that the inference budget buys', color='#444444', fontsize=9)
    top.spines['top'].set_visible(False)


def _add_key(figure: Figure, axis: Axes, optima: list[str]) -> None:
    """Name dots, rings, curves and frontiers under the panels."""
    colour = BUDGET_MAP(0.5)
    handles = [axis.plot([], [], color=colour, **DOT)[0], axis.plot([], [], **RING)[0]]
    handles += axis.plot([], [], color=colour)
    names = ['checkpoint', 'best checkpoint', 'fitted law', "Chinchilla's choice"]
    marks = [
        axis.plot([], [], **FRONTIER | {'marker': LAW_MARKERS[law], 'color': LAW_COLOURS[law]})[0]
        for law in (CHINCHILLA, *optima)
    ]
    handles.append(marks[0])
    if optima:
        handles.append(tuple(marks[1:]))
        names.append('T2 optimum')
    key_below(figure, handles, names)
