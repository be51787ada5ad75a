"""One panel of isoFLOP profiles: its measured points, the law along 6 N D = C, and the law's optima.

k = 1 in a single pass, else k = C_inf / (2N). The measured points set the axes: a law that runs away leaves the panel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.ticker import MaxNLocator

from t2jax.laws.observations import Observations, value_at_k
from t2jax.laws.record import Fit
from t2jax.plotting.labels import human_flops
from t2jax.plotting.results import pluck
from t2jax.plotting.style import BUDGET_MAP, LAW_COLOURS, LAW_MARKERS, log_axis, set_ticks, share_axis

DOT = {'marker': 'o', 'ls': 'none', 'ms': 6, 'mec': 'white', 'mew': 0.6, 'zorder': 3}
RING = {'marker': 'o', 'ls': 'none', 'ms': 12, 'mfc': 'none', 'mec': '#555555', 'mew': 1.1, 'zorder': 4}
FRONTIER = {'ls': '--', 'lw': 1.3, 'ms': 7, 'mec': 'white', 'mew': 0.8, 'zorder': 5}
BAND = {'lw': 3.5, 'alpha': 0.35, 'solid_capstyle': 'butt', 'zorder': 4.5}
BEYOND = 4.0  # sizes this many times beyond those trained are drawn, where an optimum is there
PAST = 1.5  # curves run on for this factor past their points and optima
ROOM = 0.4  # of the height of the points, for curves and optima above and below them
FLOOR = 1e-3  # of the highest NLL: what is lower is next to none, and would squeeze all else
NARROW = 1.7  # up to this ratio between its ends a logarithmic axis has evenly spaced ticks
STEPS = 161  # points of a curve


@dataclass(frozen=True)
class Profiles:
    """What a panel shows: a column of a table at its k, and the law fitted to it, None for the points alone."""

    table: Observations
    column: str
    fit: Fit | None
    inference_flops: float | None

    def samples(self, params: Any) -> np.ndarray:
        """Count the samples k of each size: one in a single pass."""
        sizes = np.asarray(params, dtype=float)
        return np.ones_like(sizes) if self.inference_flops is None else self.inference_flops / (2 * sizes)

    def row(self, kind: str, law: str, budget: float, params: float, tokens: float, value: float) -> dict[str, Any]:
        """Say what a mark shows, for the table behind the figure."""
        about = {'kind': kind, 'law': law, 'task': str(self.table.task[0]), 'train_flops': float(budget)}
        about |= {'inference_flops': self.inference_flops, 'params': float(params), 'tokens': float(tokens)}
        return about | {'k': float(self.samples(params)), self.column: float(value)}


@dataclass(frozen=True)
class Panel:
    """The rows that a panel draws: measured points, choices of size, and the law's curve by training budget."""

    profiles: Profiles
    points: list[dict]
    choices: list[dict]
    curves: dict[float, list[dict]]

    @property
    def drawn(self) -> list[dict]:
        """Points and curves."""
        return self.points + [row for curve in self.curves.values() for row in curve]

    @property
    def numbers(self) -> list[dict]:
        """All rows, of the curves a few."""
        return self.points + self.choices + [row for curve in self.curves.values() for row in curve[::8]]


def make_panel(budgets: Sequence[float], profiles: Profiles, choices: list[dict]) -> Panel:
    """Measure and predict what a panel with these choices draws."""
    points = measured(budgets, profiles)
    sizes = reach(profiles.table.params, pluck(choices, 'params'))
    curves = {
        budget: curve(profiles, budget, *span) for budget, span in spans(profiles, points, choices, sizes).items()
    }
    return Panel(profiles, points, choices, curves)


def any_measured(table: Observations, column: str) -> bool:
    """Tell whether a column has a value."""
    return bool(np.isfinite(getattr(table, column)).any())


def measured(budgets: Sequence[float], profiles: Profiles) -> list[dict]:
    """Collect the value of each run at its k; runs whose k was not measured are left out.

    `train_flops` is the nearest of `budgets`, `own_train_flops` what the run itself spent.
    """
    table, points = profiles.table, []
    for run, at in zip(*np.unique(table.run, return_index=True)):
        own, params, tokens = (float(column[at]) for column in (table.train_flops, table.params, table.tokens))
        k = float(profiles.samples(params))
        value = value_at_k(table, str(run), k, profiles.column)
        if np.isfinite(value):
            nearest = budgets[int(np.argmin(np.abs(np.log(budgets) - np.log(own))))]
            row = profiles.row('measured', '', nearest, params, tokens, value)
            points.append(row | {'run': str(run), 'own_train_flops': own, 'tokens_per_param': tokens / params})
    return sorted(points, key=lambda point: (point['train_flops'], point['params'], point['tokens']))


def placed(profiles: Profiles, law: str, budget: float, params: float, band: Sequence[float] | None) -> list[dict]:
    """Put a size on the curve of its budget, with the interval of sizes that refits choose.

    Gives no row where the size cannot draw one sample, or the law has no value there.
    """
    tokens = budget / (6 * params)
    k = float(profiles.samples(params))
    value = float(profiles.fit.predict(params, tokens, k))
    if k < 1 - 1e-6 or not np.isfinite(value):  # an optimum at the largest size allowed has k = 1 but for rounding
        return []
    low, high = band or (None, None)
    return [profiles.row('choice', law, budget, params, tokens, value) | {'params_low': low, 'params_high': high}]


def reach(trained: Sequence[float], chosen: Sequence[float]) -> tuple[float, float]:
    """Span the sizes trained and chosen, but no choice that has run away from the data."""
    low = max(min([*trained, *chosen]), min(trained) / BEYOND)
    high = min(max([*trained, *chosen]), max(trained) * BEYOND)
    return low, high


def spans(profiles: Profiles, points: list[dict], choices: list[dict], sizes: tuple) -> dict[float, tuple]:
    """Say from which size to which the curve of each budget runs: past its own points and optima, within `sizes`."""
    found = {}
    for budget in sorted(set(pluck(points + choices, 'train_flops'))):
        mine = [row['params'] for row in points + choices if row['train_flops'] == budget]
        low, high = (float(np.clip(end, *sizes)) for end in (min(mine), max(mine)))
        low, high = low / PAST, high * PAST
        if profiles.inference_flops is not None:
            high = min(high, profiles.inference_flops / 2)  # a larger model cannot draw one sample
        if low < high:
            found[budget] = (low, high)
    return found


def curve(profiles: Profiles, budget: float, low: float, high: float) -> list[dict]:
    """Follow the law along 6 N D = C as far as it has values; nothing without a law."""
    if profiles.fit is None:
        return []
    sizes = np.geomspace(low, high, STEPS)
    sizes[-1] = high  # geomspace may miss its end by a rounding error
    tokens = budget / (6 * sizes)
    values = profiles.fit.predict(sizes, tokens, profiles.samples(sizes))
    columns = [each[np.isfinite(values)] for each in (sizes, tokens, values)]
    return [profiles.row('curve', profiles.fit.law, budget, *each) for each in zip(*columns)]


def set_heights(axis: Axes, drawn: Panel, most: int = 7) -> None:
    """Set the y axis by the measured points and, as far as they stay near, the curves between them and the optima."""
    column, points = drawn.profiles.column, drawn.points
    trained, near = drawn.profiles.table.params, pluck(drawn.choices, column)
    for budget, line in drawn.curves.items():
        mine = [point['params'] for point in points if point['train_flops'] == budget]
        near += [row[column] for row in line if mine and min(mine) <= row['params'] <= max(mine)]
    between = [row[column] for row in drawn.drawn if trained.min() <= row['params'] <= trained.max()]
    values = np.array(pluck(points, column) or between or near or [0.5])
    if column == 'pass_at_k':
        room = ROOM * max(float(np.ptp(values)), 0.05 * values.max(), 1e-4)
        every = [*values, *np.clip(near, values.min() - room, values.max() + room)]
        share_axis(axis, max(0.0, min(every)), min(1.0, max(every)))
        return
    values = np.maximum(values, FLOOR * values.max())
    room = max((values.max() / values.min()) ** ROOM, 1.05)
    every = [*values, *np.clip(near, values.min() / room, values.max() * room)]
    air = max((max(every) / min(every)) ** 0.05, 1.005)
    low, high = min(every) / air, max(every) * air
    log_axis(axis, 'y', low, high, lambda value: f'{value:g}', most)
    if high < NARROW * low:
        evenly = MaxNLocator(min(most, 6), steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        set_ticks(axis.yaxis, [tick for tick in evenly if low <= tick <= high], lambda value: f'{value:.4g}')


def shade(budgets: Sequence[float], train_flops: float) -> Any:
    """Give a training budget its colour on the scale of the drawn ones, as style.budget_colours gives them theirs."""
    ordered = np.sort(budgets)
    shades = np.linspace(0.0, 1.0, len(ordered)) if len(ordered) > 1 else np.array([0.6])
    return BUDGET_MAP(float(np.interp(np.log(train_flops), np.log(ordered), shades)))


def draw_points(axis: Axes, budgets: Sequence[float], points: list[dict], column: str, size: float = 1.0) -> None:
    """Draw each run in the shade of what it spent."""
    for point in points:
        dot = DOT | {'ms': size * DOT['ms'], 'color': shade(budgets, point['own_train_flops'])}
        axis.plot(point['params'], point[column], **dot)


def draw_rings(axis: Axes, points: list[dict], column: str) -> None:
    """Ring the best run of each training budget, where it has a rival."""
    for budget in sorted(set(pluck(points, 'train_flops'))):
        mine = [point for point in points if point['train_flops'] == budget]
        best = (max if column == 'pass_at_k' else min)(mine, key=lambda point: point[column])
        if len(mine) > 1:
            axis.plot(best['params'], best[column], **RING)


def look(law: str) -> dict[str, Any]:
    """Give the line and marks of a law's choices."""
    return FRONTIER | {'marker': LAW_MARKERS[law], 'color': LAW_COLOURS[law]}


def draw_frontier(axis: Axes, path: list[dict], law: str, column: str, size: float = 1.0) -> None:
    """Join a law's choices, with the interval of each."""
    whole = look(law)
    line, marks = whole | {'marker': '', 'lw': size * whole['lw']}, whole | {'ls': '', 'ms': size * whole['ms']}
    for rows, style in ((path, line), (inside(axis, path, column), marks)):
        axis.plot(pluck(rows, 'params'), pluck(rows, column), **style)
    for choice in path:
        if choice['params_low'] is not None:
            ends = (choice['params_low'], choice['params_high'])
            axis.plot(ends, [choice[column]] * 2, color=LAW_COLOURS[law], **BAND)


def inside(axis: Axes, rows: list[dict], column: str) -> list[dict]:
    """Keep the rows that the axes hold."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    return [row for row in rows if left <= row['params'] <= right and bottom <= row[column] <= top]


def budget_bar(axes: np.ndarray, budgets: Sequence[float], discrete: bool) -> None:
    """Put the scale of the training budgets beside the panels: their own shades, or all between them."""
    shades = [shade(budgets, budget) for budget in budgets]
    colours = ListedColormap(shades) if discrete else BUDGET_MAP
    edges = len(budgets) if discrete else max(len(budgets) - 1, 1)
    figure = axes.flat[0].figure
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, edges), colours),
        ax=axes.ravel().tolist(),
        aspect=figure.get_figheight() / 0.18,
        pad=0.015,
    )
    bar.set_ticks([at + 0.5 * discrete for at in range(len(budgets))], labels=[human_flops(each) for each in budgets])
    bar.ax.tick_params(length=0)
    bar.set_label('Training budget C (FLOPs)')
    bar.outline.set_visible(False)
