"""The idea and the answer at one glance: at the same two budgets, what Chinchilla and T2 would train, and what it gets.

Both spend C = 6 N D on training and C_inf = 2 N k on samples (T2 figure 1). A smaller model is drawn more samples of.
"""

import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from t2jax.laws.observations import where
from t2jax.plotting.answer import headline
from t2jax.plotting.labels import (
    APPROACH_1,
    APPROACH_2,
    CHINCHILLA,
    human_count,
    human_loss,
    human_percent,
    human_ratio,
    human_value,
    law_name,
    whole_samples,
)
from t2jax.plotting.results import NotDrawn, Results
from t2jax.plotting.style import (
    FAINT,
    LAW_COLOURS,
    LAW_MARKERS,
    house_style,
    key_below,
    label_ends,
    log_axis,
    new_figure,
    note_doubts,
    share_axis,
)

SHORT = {CHINCHILLA: 'Chinchilla', APPROACH_1: 'T2, Approach 1', APPROACH_2: 'T2, Approach 2'}
TARGETS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    APPROACH_1: ('nll', 'NLL of the answer in k tries', human_loss),
    APPROACH_2: ('pass_at_k', 'pass@k', human_percent),
}
PICKED = {CHINCHILLA: 'single_pass', APPROACH_1: 'nll', APPROACH_2: 'pass_at_k'}
ROWS = {
    'params': ('Parameters N', human_count),
    'tokens': ('Training tokens D', human_count),
    'tokens_per_param': ('Tokens per\nparameter D/N', human_ratio),
    'samples': ('Samples k', lambda k: f'{whole_samples(k):,}'),
}


WIDE = 98  # letters of a headline
RING = {'marker': 'o', 'ls': 'none', 'mfc': 'none', 'mew': 1.3, 'zorder': 3.5}


@house_style
def overview(results: Results) -> tuple[Figure, list[dict]]:
    """Draw, at the largest budget, the choices of Chinchilla and T2 and what the law predicts of both against k.

    Raises NotDrawn where there is no choice of T2 to set beside Chinchilla's.
    """
    if not len(results.observations):
        raise NotDrawn("the overview sets T2's choice beside Chinchilla's: it needs observations at several k")
    results.need(CHINCHILLA, *(() if results.approaches else (APPROACH_2,)))
    if not results.rows:
        raise NotDrawn('the overview needs the allocation: `t2jax fit WORKDIR` makes it')
    row, law = results.rows[-1], results.approaches[-1]
    figure, axes = new_figure(1, 2, width=10.5, height=4.8, width_ratios=(1.15, 1))
    numbers = _choices(axes[0, 0], row, results.approaches)
    curves = _curves(axes[0, 1], results, row, law)
    words = headline([row])
    lines = textwrap.wrap(words, 8 + len(words) // -(-len(words) // WIDE))  # of about one length
    said = axes[0, 0].set_title('\n'.join(lines), pad=26)
    for axis, words in ((axes[0, 0], 'What to buy'), (axes[0, 1], f'What it gets, predicted by {law_name(law)}')):
        axis.text(0, 1.03, words, transform=axis.transAxes, fontsize=10.5, color='#444444')
    note_doubts(figure, [results.fits[name] for name in (CHINCHILLA, *results.approaches)])
    marks = [Line2D([], [], **_look(name, False)) for name in (CHINCHILLA, *results.approaches)]
    names = [law_name(name) for name in (CHINCHILLA, *results.approaches)]
    if any(number['outside_the_runs'] for number in numbers):
        marks.append(Line2D([], [], **_look(law, True) | {'color': FAINT}))
        names.append('hollow: outside the runs')
    if any(number['kind'] == 'checkpoint' for number in curves):
        marks.append(Line2D([], [], **RING | {'mec': FAINT, 'ms': 7}))
        names.append('best checkpoint, measured')
    key_below(figure, marks, names)
    for _ in range(2):  # a layout settles at its second; the headline starts at the figure's left edge
        figure.draw_without_rendering()
    place = axes[0, 0].get_position()
    said.set_x((0.01 - place.x0) / place.width)
    return figure, numbers + curves


def _choices(axis: Axes, row: dict, laws: list[str]) -> list[dict]:
    """Draw N, D, D/N and k of each T2 law as multiples of Chinchilla's, each with its number."""
    theirs, numbers = row[CHINCHILLA], []
    for law in (CHINCHILLA, *laws):
        outside = _is_outside(row[law])
        number = {'kind': 'choice', 'law': law, 'train_flops': row['train_flops'], 'outside_the_runs': outside}
        numbers.append(number | {name: row[law][name] for name in ROWS})
    ratios = {law: {name: row[law][name] / theirs[name] for name in ROWS} for law in laws}
    every = [1.0, *(ratio for mine in ratios.values() for ratio in mine.values())]
    room = max((max(every) / min(every)) ** 0.3, 1.3)  # for the numbers beside the outermost marks
    log_axis(axis, 'x', min(every) / room, max(every) * room, _write_times, most=6)
    apart = 0.0 if len(laws) == 1 else 0.17
    for at, (name, (_, write)) in enumerate(ROWS.items()):
        for law, step, number in zip(laws, (-apart, apart), numbers[1:]):
            ratio, colour, height = ratios[law][name], LAW_COLOURS[law], at + step
            axis.plot([1, ratio], [height, height], color=colour, lw=3, alpha=0.3, solid_capstyle='butt', zorder=2)
            axis.plot(ratio, height, **_look(law, number['outside_the_runs']))
            _beside(axis, ratio, height, write(row[law][name]), 1 if ratio >= 1 else -1, colour)
        axis.plot(1, at, **_look(CHINCHILLA, numbers[0]['outside_the_runs']))
        mean = np.mean([np.log(mine[name]) for mine in ratios.values()])
        _beside(axis, 1, at, write(theirs[name]), -1 if mean > 0 else 1, LAW_COLOURS[CHINCHILLA])
    axis.axvline(1, color=LAW_COLOURS[CHINCHILLA], lw=0.8, zorder=1)
    axis.set_yticks(range(len(ROWS)), [label for label, _ in ROWS.values()], fontsize=10.5)
    axis.set_ylim(len(ROWS) - 0.5, -0.6)
    axis.tick_params(axis='y', length=0)
    axis.grid(False, axis='y')
    axis.spines['left'].set_visible(False)
    axis.set_xlabel("relative to Chinchilla's choice")
    return numbers


def _is_outside(choice: dict) -> bool:
    return any(' is outside the ' in warning for warning in choice['warnings'])


def _write_times(value: float) -> str:
    return (human_count(value) if value >= 1 else human_value(value)) + '×'


def _look(law: str, hollow: bool) -> dict[str, Any]:
    colour = LAW_COLOURS[law]
    look = {'marker': LAW_MARKERS[law], 'ls': 'none', 'color': colour, 'mfc': 'white' if hollow else colour}
    return look | {'mew': 1.5, 'ms': 8.5, 'zorder': 4, 'clip_on': False}


def _beside(axis: Axes, x: float, y: float, words: str, side: int, colour: str) -> None:
    place = {'textcoords': 'offset points', 'va': 'center', 'ha': 'left' if side > 0 else 'right'}
    axis.annotate(words, (x, y), (8 * side, 0), color=colour, fontsize=11, fontweight='bold', **place)


def _curves(axis: Axes, results: Results, row: dict, law: str) -> list[dict]:
    """Draw what a law predicts of both choices against k, as far as each one's inference budget reaches."""
    column, label, write = TARGETS[law]
    most = row[law]['samples']
    numbers, ends, heights = [], [], []
    for owner in (CHINCHILLA, law):
        params, tokens, samples = (row[owner][name] for name in ('params', 'tokens', 'samples'))
        if samples < 1 - 1e-6:  # the largest size that is paid a sample has k = 1 but for rounding
            continue
        samples = max(samples, 1.0)
        k = np.geomspace(1, samples, 40)
        values = results.fits[law].predict(params, tokens, k)
        colour = LAW_COLOURS[owner]
        axis.plot(k, values, color=colour, lw=2.2, zorder=3)
        axis.plot(samples, values[-1], **_look(owner, _is_outside(row[owner])))
        axis.plot([samples, 2 * max(most, samples)], values[[-1, -1]], ':', color=colour, lw=1.2, zorder=2)
        most = max(most, samples)
        heights += values.tolist()
        words = f'{SHORT[owner]}\n{write(values[-1])}, k = {whole_samples(samples):,}'
        ends.append([values[-1], words, colour])
        named = {'kind': 'curve', 'law': law, 'choice_of': owner, 'params': params, 'tokens': tokens}
        numbers += [named | {'k': float(x), column: float(y)} for x, y in zip(k, values)]
        measured = _measured(results, row, owner, samples, column)
        if measured:  # rings of two sizes: both choices' best may be one run
            axis.plot(
                *_columns(measured, 'k', column), **RING | {'mec': colour, 'ms': 7.5 if owner == CHINCHILLA else 4}
            )
        heights += [point[column] for point in measured]
        numbers += measured
    right = max(most, 2) * 1.2
    log_axis(axis, 'x', 1 / right**0.02, right, human_count)
    if column == 'pass_at_k':
        share_axis(axis, min(heights), max(heights))
    else:
        air = 0.08 * max(max(heights) - min(heights), 1e-6)
        axis.set_ylim(min(heights) - air, max(heights) + air)
    axis.set_xlabel('Samples k')
    axis.set_ylabel(label)
    label_ends(axis, [(right, *end) for end in ends], gap=30)
    if row[CHINCHILLA]['samples'] < 1 - 1e-6:
        words = f"The budget pays no sample\nof Chinchilla's choice ({human_count(row[CHINCHILLA]['params'])})"
        height = 0.97 if column == 'pass_at_k' else 0.12
        axis.text(0.03, height, words, transform=axis.transAxes, va='top', color=LAW_COLOURS[CHINCHILLA])
    return numbers


def _columns(rows: list[dict], *names: str) -> list[list[float]]:
    return [[row[name] for row in rows] for name in names]


def _measured(results: Results, row: dict, owner: str, samples: float, column: str) -> list[dict]:
    """Collect what the budget's best checkpoint by a law's own measure reached, up to the samples of the choice."""
    best = row['checkpoints'].get(PICKED[owner])
    if not best:
        return []
    mine = where(results.macro, (results.macro.run == best['run']) & (results.macro.k <= samples))
    named = {'kind': 'checkpoint', 'choice_of': owner, 'run': best['run'], 'params': best['params']}
    points = [named | {'k': float(k), column: float(y)} for k, y in zip(mine.k, getattr(mine, column))]
    return [point for point in points if np.isfinite(point[column])]
