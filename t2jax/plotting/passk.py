"""pass@k against k with its bands, by likelihood, samples and beta-binomial; and whether the first two agree."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from t2jax.laws.passk import Curve
from t2jax.plotting.labels import (
    APPROACH_1,
    APPROACH_2,
    CHINCHILLA,
    human_count,
    human_flops,
    human_percent,
    human_value,
)
from t2jax.plotting.style import (
    FAINT,
    LAW_COLOURS,
    RIVAL_COLOURS,
    house_style,
    key_below,
    label_ends,
    log_axis,
    new_figure,
    share_axis,
    title_above,
)
from t2jax.plotting.table import WIDTH

# What is computed is black, what was sampled blue, what is predicted from the samples red or orange.
COLOURS = {
    'likelihood': LAW_COLOURS[CHINCHILLA],
    'samples': LAW_COLOURS[APPROACH_1],
    'beta-binomial': LAW_COLOURS[APPROACH_2],
    'zero-inflated': RIVAL_COLOURS['per-k'],
}
# Beyond the samples drawn; the dashes of one fall in the gaps of the other, for they often lie on one another.
DASHES = {'beta-binomial': (0, (4, 4)), 'zero-inflated': (4, (4, 4))}
BAND = {'alpha': 0.15, 'lw': 0}
DOTS = {'marker': 'o', 'ms': 4.5, 'mfc': 'white', 'mew': 1.2}
WIDE = 100  # values this many times apart are drawn on a logarithmic axis
LISTED = 10  # questions of an agreement, at most


@house_style
def passk_figure(curves: Sequence[Curve], title: str, n: int | None = None) -> tuple[Figure, list[dict]]:
    """Draw pass@k against k with bands; predictions are dashed beyond `n`, the samples drawn of each question.

    Returns the figure and its points as rows. Raises ValueError without curves.
    """
    if not curves:
        raise ValueError('there is no curve to draw; give at least one')
    figure, axes = new_figure(1, 1, width=7.6, height=4.8)
    axis = axes[0, 0]
    bottom, last = _scales(axis, curves)
    marks: list[tuple[Any, str]] = []
    ends = []
    for curve in curves:
        line = _draw(axis, curve, n)
        end = np.argmax(curve.k)
        if curve.k[end] == last:
            ends.append((last, max(curve.value[end], bottom), curve.kind, COLOURS[curve.kind]))
        else:  # its name would stand on the longer curves
            marks.append((line, curve.kind))
    label_ends(axis, ends)
    marks.append((Patch(color=FAINT, **BAND), f'{" and ".join(_levels(curves))} band'))
    if n is not None and n <= last:
        marks.append((axis.axvline(n, color=FAINT, lw=1.0, ls=':', zorder=0), f'{n:,} samples drawn'))
        if n < last and any(curve.kind in DASHES for curve in curves):
            marks.append((Line2D([], [], color=FAINT, ls=DASHES['beta-binomial']), 'predicted beyond'))
    key_below(figure, *zip(*marks))
    title_above(figure, title)
    return figure, [row for curve in curves for row in _rows(curve)]


def _scales(axis: Axes, curves: Sequence[Curve]) -> tuple[float, float]:
    """Make the axes; return the least pass@k and the largest k on them."""
    k, value, high = (np.concatenate([getattr(curve, name) for curve in curves]) for name in ('k', 'value', 'high'))
    log_axis(axis, 'x', k.min() / 1.15, max(k.max(), 2 * k.min()) * 1.05, human_count)
    axis.set_xlabel('Samples k')
    axis.set_ylabel('pass@k')
    least = value[value > 0].min(initial=1)
    if value.max() > WIDE * least:
        log_axis(axis, 'y', least / 2, high.max() * 1.3, lambda share: f'{human_value(100 * share)} %')
    else:
        share_axis(axis, 0.0, high.max() or 0.01)
    return max(axis.get_ylim()[0], 0.0), k.max()


def _draw(axis: Axes, curve: Curve, n: int | None) -> Line2D:
    order, colour = np.argsort(curve.k), COLOURS[curve.kind]
    k, value, low, high = (getattr(curve, name)[order] for name in ('k', 'value', 'low', 'high'))
    axis.fill_between(k, low, high, color=colour, **BAND, zorder=1)
    dots = DOTS if curve.kind == 'samples' or len(k) == 1 else {}
    solid = len(k)
    if n is not None and curve.kind in DASHES:
        solid = int(np.sum(k <= n))
        beyond = slice(max(solid - 1, 0), None)
        axis.plot(k[beyond], value[beyond], color=colour, ls=DASHES[curve.kind], zorder=3)
    return axis.plot(k[:solid], value[:solid], color=colour, **dots, zorder=4 if dots else 3)[0]


def _rows(curve: Curve) -> list[dict]:
    columns = {name: getattr(curve, name).tolist() for name in ('k', 'value', 'low', 'high')}
    return [{'kind': curve.kind, **dict(zip(columns, row)), 'level': curve.level} for row in zip(*columns.values())]


def _levels(curves: Sequence[Curve]) -> list[str]:
    return [f'{100 * level:g} %' for level in sorted({curve.level for curve in curves})]


def _share(value: float) -> str:
    """Write a share in percent, however small."""
    return human_percent(value) if value == 0 or value >= 1e-4 else f'{human_flops(100 * value)} %'


def curve_lines(curves: Sequence[Curve]) -> str:
    """Write each curve as a table of k, pass@k and its band."""
    lines = []
    for curve in curves:
        lines += ['', f'{curve.kind + ", k":>20}{"pass@k":>16}{f"{100 * curve.level:g} % band":>32}']
        for row in _rows(curve):
            between = f'{_share(row["low"])} to {_share(row["high"])}'
            lines.append(f'{row["k"]:>20,.10g}{_share(row["value"]):>16}{between:>32}')
    return '\n'.join(lines[1:])


def agreement_lines(agreement: Any) -> str:
    """Write the verdict, totals, pass@k and questions of an `Agreement` (evaluation/agreement.py)."""
    surprising, totals = agreement.disagreements, agreement.totals
    level = f'{100 * agreement.level:g} %'
    inside = sum(each.agrees for each in agreement.pass_at_k)
    lines = textwrap.wrap(
        f'Likelihoods and samples {"agree" if agreement.agrees else "DISAGREE"}: '
        f'{len(surprising)} of {totals[-1].questions:,} questions are beyond chance, and {inside} of '
        f'{len(agreement.pass_at_k)} pass@k by likelihood lie in the {level} interval of the sampled one.',
        WIDTH,
    )
    lines += [
        '',
        f'{"right samples of":<24}{"questions":>12}{"samples":>12}{"expected":>12}{"seen":>12}{"z":>9}{"p":>9}',
    ]
    for total in totals:
        numbers = f'{total.questions:>12,}{total.samples:>12,}{total.expected:>12,.1f}{total.seen:>12,}'
        lines.append(f'{_name(total.task)}{numbers}{total.z:>9.2f}{total.p_value:>9.2g}')
    lines += ['', f'{"pass@k of":<24}{"k":>12}{"likelihood":>12}{"samples":>12}{f"{level} interval":>28}']
    for each in agreement.pass_at_k:
        between = f'{_share(each.low)} to {_share(each.high)}'
        numbers = f'{each.k:>12,}{_share(each.likelihood):>12}{_share(each.sampled):>12}{between:>28}'
        lines.append(f'{_name(each.task)}{numbers}{"" if each.agrees else "  outside"}')
    if surprising:
        lines += ['', f'{"beyond chance, of":<24}{"question":<24}{"samples":>12}{"expected":>12}{"seen":>12}{"p":>12}']
    for one in surprising[:LISTED]:
        numbers = f'{one.samples:>12,}{one.expected:>12.3g}{one.seen:>12,}{one.p_value:>12.2g}'
        lines.append(f'{_name(one.task)}{_name(one.question)}{numbers}')
    if len(surprising) > LISTED:
        lines.append(f'and {len(surprising) - LISTED:,} more')
    return '\n'.join(lines)


def _name(text: str) -> str:
    return f'{text if len(text) < 24 else text[:22] + "…":<24}'
