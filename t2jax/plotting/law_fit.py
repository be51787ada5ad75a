"""How well a fitted law meets its data: predicted against observed, and where the errors lie."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from t2jax.laws.forms import LAWS
from t2jax.laws.observations import Observations, training_budgets, where
from t2jax.laws.record import Fit
from t2jax.plotting.labels import TARGET_NAMES, human_count, human_error, human_flops, human_value, law_name
from t2jax.plotting.results import pluck
from t2jax.plotting.style import (
    BUDGET_MAP,
    FAINT,
    house_style,
    key_below,
    log_axis,
    log_ticks,
    new_figure,
    set_ticks,
    title_above,
)

WITHIN = 0.5  # errors up to this are drawn in percent; larger ones as ratios, on a logarithmic axis
BEYOND = 100.0  # a prediction this many times off is drawn no further off
BAND = '#eceef0'
ALONG = {
    'params': ('Error along model size', 'Parameters N'),
    'tokens_per_param': ('Error along D/N', 'Tokens per parameter D/N'),
    'k': ('Error along k', 'Samples k'),
}


@house_style
def fit_figure(fit: Fit, rows: Observations) -> tuple[Figure, list[dict]]:
    """Draw a fit against the rows it was fitted to: predicted against observed, and relative errors along N and k.

    A law of a single pass is shown at k = 1, along N and D/N, coloured by training budget. Returns the figure and
    its points. Rows whose observation is not above 0 are in neither, and the figure says how many they are.
    """
    points, left_out = agreement_points(fit, rows)
    law = LAWS[fit.law]
    figure, axes = new_figure(1, 3, width=12.6, height=4.7)
    low, high = agreement_axes(axes[0, 0], points, law.target)
    axes[0, 0].set_title('Predicted against observed')
    along, by = (('params', 'tokens_per_param'), 'train_flops') if law.single_pass else (('params', 'k'), 'k')
    observed, predicted = (np.array(pluck(points, name)) for name in ('observed', 'predicted'))
    ratio = np.clip(predicted / observed, 1 / BEYOND, BEYOND)
    pairs = [(observed, np.clip(predicted, low, high)), *((np.array(pluck(points, name)), ratio) for name in along)]
    colours = _colour_scale(axes[0], np.array(pluck(points, by)), by)
    for axis, (x, y) in zip(axes[0], pairs):
        axis.scatter(x, y, s=18 if len(points) < 400 else 9, color=colours, alpha=0.7, lw=0, zorder=3)
    for axis, name, (x, _) in zip(axes[0, 1:], along, pairs[1:]):
        _error_axes(axis, name, x, ratio)
    title_above(figure, _title(fit, points, left_out))
    key_below(figure, axes[0, 0].plot([], [], color=FAINT, lw=1.0), [perfect_name(points)])
    return figure, points


def agreement_points(fit: Fit, rows: Observations) -> tuple[list[dict], int]:
    """Compare a fit with rows one by one, as far as they are above 0; returns also how many are not.

    Raises ValueError if none is.
    """
    law = LAWS[fit.law]
    if law.single_pass:
        rows = where(rows, rows.k == 1)
    observed = getattr(rows, law.target)
    columns = {name: getattr(rows, name) for name in ('params', 'tokens', 'k')}
    columns |= {'tokens_per_param': rows.tokens / rows.params, 'train_flops': training_budgets(rows.train_flops)}
    columns |= {'observed': observed, 'predicted': fit.predict(rows.params, rows.tokens, rows.k)}
    shown = np.flatnonzero(observed > 0)
    if not len(shown):
        raise ValueError(f'{fit.law} cannot be drawn: no row has a {law.target} above 0')
    points = []
    for at in shown:
        point = {'law': fit.law, 'run': str(rows.run[at])}
        point |= {name: float(values[at]) for name, values in columns.items()}
        points.append(point | {'relative_error': point['predicted'] / point['observed'] - 1})
    return points, len(rows) - len(shown)


def agreement_axes(axis: Axes, points: list[dict], target: str) -> tuple[float, float]:
    """Make logarithmic axes for observed (x) and predicted (y), with the diagonal and a band of 10 % about it.

    Returns their limits, which hold all predictions but those far beyond the observations.
    """
    observed, predicted = (np.array(pluck(points, name)) for name in ('observed', 'predicted'))
    values = [*observed, *np.clip(predicted, observed.min() / BEYOND, observed.max() * BEYOND)]
    low, high = _with_air(values)
    diagonal = np.array([low, high])
    axis.fill_between(diagonal, diagonal / 1.1, diagonal * 1.1, color=BAND, lw=0, zorder=0)
    axis.plot(diagonal, diagonal, color=FAINT, lw=1.0, zorder=1)
    percent = target == 'pass_at_k' and low >= 1e-4
    write = (lambda value: f'{100 * value:g} %') if percent else human_value
    for which in 'xy':
        log_axis(axis, which, low, high, write, most=6)
    axis.set_xlabel(f'Observed {TARGET_NAMES[target]}')
    axis.set_ylabel(f'Predicted {TARGET_NAMES[target]}')
    return low, high


def lost(count: int, target: str) -> str:
    """Say how many rows are not drawn, and why."""
    return f'{count:,} rows have no {TARGET_NAMES[target]} above 0 and are not drawn'


def perfect_name(points: list[dict]) -> str:
    """Name the diagonal, and say if predictions are drawn nearer to it than they are."""
    ratios = 1 + np.array(pluck(points, 'relative_error'))
    beyond = np.any((ratios > BEYOND) | (ratios < 1 / BEYOND))
    return 'perfect prediction (band: ±10 %)' + (f'; off by over {BEYOND:g} times: at the edge' if beyond else '')


def _with_air(values: Sequence[float]) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    air = (high / low) ** 0.06 * 1.02
    return low / air, high * air


def _error_axes(axis: Axes, name: str, values: np.ndarray, ratio: np.ndarray) -> None:
    """Make axes for predicted / observed along `name`, with the line of 1 and a band of 10 % about it."""
    title, label = ALONG[name]
    axis.set_title(title)
    axis.set_xlabel(label)
    log_axis(axis, 'x', *_with_air(values), lambda value: human_count(value, 2), most=6)
    if name == 'k':
        set_ticks(axis.xaxis, _sample_ticks(values), human_count)
    axis.axhline(1, color=FAINT, lw=1.0, zorder=1)
    reach = max(float(np.abs(ratio - 1).max()), 1e-6)
    if reach > 0.1:
        axis.axhspan(1 / 1.1, 1.1, color=BAND, lw=0, zorder=0)
    if reach <= WITHIN:
        axis.set_ylim(1 - 1.12 * reach, 1 + 1.12 * reach)
        errors = MaxNLocator(8, steps=[1, 2, 5, 10], symmetric=True).tick_values(-reach, reach)
        inside = [1 + error for error in errors if abs(error) <= 1.12 * reach]
        set_ticks(axis.yaxis, inside, lambda value: f'{100 * (value - 1):+.3g} %' if value != 1 else '0 %')
        axis.set_ylabel('Relative error of the prediction')
    else:
        reach = 1.1 * float(np.exp(np.abs(np.log(ratio)).max()))
        log_axis(axis, 'y', 1 / reach, reach, human_value)
        axis.set_ylabel('Predicted / observed')


def _colour_scale(axes: Sequence[Axes], values: np.ndarray, name: str) -> np.ndarray:
    """Give each value its colour, [values, RGBA], and put the scale beside the panels if there are several."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.tile(BUDGET_MAP(0.6), (len(values), 1))
    scale = ScalarMappable(LogNorm(low, high), BUDGET_MAP)
    bar = axes[0].figure.colorbar(scale, ax=list(axes), pad=0.01, aspect=35)
    if name == 'k':
        set_ticks(bar.ax.yaxis, _sample_ticks(values), human_count)
    else:
        set_ticks(bar.ax.yaxis, log_ticks(low, high), human_flops)
    bar.set_label('Samples k' if name == 'k' else 'Training FLOPs C')
    bar.outline.set_visible(False)
    return scale.to_rgba(values)


def _sample_ticks(samples: np.ndarray) -> list[float]:
    """Tick the k that were measured, if they are few."""
    measured = np.unique(samples).tolist()
    return measured if len(measured) <= 8 else log_ticks(measured[0], measured[-1])


def _title(fit: Fit, points: list[dict], left_out: int) -> str:
    """Say the law, the objective and its value, the mean error, and which points are not drawn where they are."""
    errors = np.abs(pluck(points, 'relative_error'))
    said = f'{law_name(fit.law)}: {fit.objective} {fit.objective_value:.4g}, '
    said += f'mean error {human_error(float(errors.mean()))} over {fit.n_points:,} points of {fit.n_runs:,} runs'
    said += f', task {fit.task}' if fit.task != 'all' else ''
    return said + (f'; {lost(left_out, LAWS[fit.law].target)}' if left_out else '')
