"""Which law to believe: each fitted to the near-Chinchilla runs, and what it predicts of the overtrained ones."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from t2jax.laws.forms import LAWS
from t2jax.laws.observations import Observations, where
from t2jax.plotting.labels import human_error, law_name
from t2jax.plotting.law_fit import agreement_axes, agreement_points, lost, perfect_name
from t2jax.plotting.results import pluck
from t2jax.plotting.style import FAINT, INK, house_style, key_below, law_look, new_figure

if TYPE_CHECKING:
    from t2jax.laws.compare import Comparison

COLUMNS, PANEL, LINE = 3, 3.3, 0.19  # panels in a row; heights in inches
WIDTH = 115


@house_style
def compare_figure(
    comparisons: 'Sequence[Comparison]', near: Observations, over: Observations
) -> tuple[Figure, list[dict]]:
    """Draw predicted against observed for each law that could be fitted; say of the others why they could not.

    `near` are the rows that the laws were fitted to, `over` the overtrained ones held out. Returns the figure and its
    points. Raises ValueError if no law could be fitted.
    """
    fitted = [comparison for comparison in comparisons if comparison.fit]
    if not fitted:
        raise ValueError('there is nothing to draw: no law could be fitted')
    drawn = {each.law: _points(each, near, over) for each in fitted}
    said = [f'{law_name(each.law)} was not fitted: {each.refused}.' for each in comparisons if not each.fit]
    said += [f'{law_name(law)}: {lost(count, LAWS[law].target)}.' for law, (_, count) in drawn.items() if count]
    lines = [line for text in said for line in textwrap.wrap(text, WIDTH, subsequent_indent='    ')]
    columns = min(COLUMNS, len(fitted))
    heights = [PANEL] * -(-len(fitted) // columns) + [LINE * len(lines)] * bool(lines)
    figure, axes = new_figure(
        len(heights), columns, width=3.6 * COLUMNS, height=sum(heights) + 0.5, height_ratios=heights
    )
    for axis in axes.flat[len(fitted) :]:
        axis.set_axis_off()
    numbers = []
    for axis, comparison in zip(axes.flat, fitted):
        numbers += _panel(axis, comparison, drawn[comparison.law][0])
    if lines:
        below = axes[-1, 0].text(0, 0.5, '\n'.join(lines), transform=axes[-1, 0].transAxes, fontsize=9, va='center')
        below.set_in_layout(False)
    handles: list[Any] = [axes[0, 0].plot([], [], 'o', mfc=face, mec=INK)[0] for face in (FAINT, 'white')]
    handles += axes[0, 0].plot([], [], color=FAINT, lw=1.0)
    names = ['run in the fit', 'overtrained run, held out', perfect_name(numbers)]
    key_below(figure, handles, names)
    return figure, numbers


def _points(comparison: 'Comparison', near: Observations, over: Observations) -> tuple[list[dict], int]:
    """Compare a law with the rows in its fit and those held out; returns also how many cannot be drawn."""
    from t2jax.laws.fit import measured  # here: it loads jax

    points, left_out = [], 0
    for rows, held_out in ((near, False), (over, True)):
        mine = where(rows, measured(LAWS[comparison.law], rows))
        found, not_drawn = agreement_points(comparison.fit, mine)
        points += [point | {'held_out': held_out} for point in found]
        left_out += not_drawn
    return points, left_out


def _panel(axis: Axes, comparison: 'Comparison', points: list[dict]) -> list[dict]:
    """Draw one law, with its mean relative errors and those of its null above."""
    law, scores, colour = LAWS[comparison.law], comparison.scores, law_look(comparison.law)['color']
    low, high = agreement_axes(axis, points, law.target)
    for held_out, face, alpha in ((False, colour, 0.45), (True, 'white', 0.9)):
        mine = [point for point in points if point['held_out'] == held_out]
        style = {'ms': 4.5 if len(points) < 400 else 3, 'mfc': face, 'mec': colour, 'mew': 0.9, 'alpha': alpha}
        axis.plot(pluck(mine, 'observed'), np.clip(pluck(mine, 'predicted'), low, high), 'o', **style, zorder=3)
    errors = [scores.in_sample, scores.null_in_sample, scores.held_out, scores.null_held_out]
    note = 'mean error in the fit: {} (null {})\nheld out: {} (null {})'.format(*map(human_error, errors))
    axis.text(0, 1.02, note, transform=axis.transAxes, fontsize=8.5, color='#444444').set_in_layout(False)
    axis.set_title(law_name(comparison.law) + (', k = 1' if law.single_pass else ''), color=colour, pad=30)
    return points
