"""What each law would buy as the training budget grows: N, D and D/N, with the runs and public models beside it.

Chinchilla spends C = 6 N D on one pass; T2's laws also have C_inf = 2 N k for samples (T2 figure 2). A band holds the
middle 80 % of the optima of a law's bootstrap refits.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import Bbox

from t2jax.laws.allocation import problem_of
from t2jax.laws.bands import band, optima, refits_of
from t2jax.laws.budgets import Separate
from t2jax.laws.problem import Problem
from t2jax.laws.record import Fit
from t2jax.plotting.labels import APPROACH_1, APPROACH_2, CHINCHILLA, LAW_NAMES, human_count, human_flops
from t2jax.plotting.public_models import PublicModel
from t2jax.plotting.results import NotDrawn, Results, pluck
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
)

# Which law each way of picking a checkpoint belongs to.
PICKS = {'single_pass': CHINCHILLA, 'nll': APPROACH_1, 'pass_at_k': APPROACH_2}
END_NAMES = {CHINCHILLA: 'Chinchilla', APPROACH_1: 'Approach 1', APPROACH_2: 'Approach 2'}
PANELS = {'params': 'Parameters N', 'tokens': 'Training tokens D', 'tokens_per_param': 'Tokens per parameter D/N'}
LARGE, PAPERS_END = 1e18, 1e25  # FLOPs: a study above LARGE is drawn as far as the paper's figure goes
DASHES = (0, (3, 1.6))
STEP = 2.5  # at most this factor between budgets computed
ROUNDS = 6  # of each refit's search: N good to 0.1 %
CUT = 0.1  # no band where more of the refits than it leaves outside at an end are at an edge of the sizes
FAR = 300.0  # axes reach no further than this factor beyond what was trained, published or chosen within the runs
# Where the name of a mark may stand (points from it), in order of preference.
BESIDE = ((5, 0), (-5, 0), (0, 5), (0, -5), (4, 4), (-4, 4), (4, -4), (-4, -4))
ACROSS, UP = {1: 'left', 0: 'center', -1: 'right'}, {1: 'bottom', 0: 'center', -1: 'top'}
MODEL = {
    'marker': 'o',
    'ls': 'none',
    'ms': 4,
    'color': '#7a8087',
    'mec': 'white',
    'mew': 0.4,
    'zorder': 2.5,
    'clip_on': False,
}


@house_style
def optimal_allocation(results: Results, models: Sequence[PublicModel] = ()) -> tuple[Figure, list[dict]]:
    """Draw the optimal N, D and D/N of each law, and of the best checkpoints, against the training budget.

    Lines run a factor four past the largest budget trained, or to 1e25 FLOPs (and the largest model) where `models` are
    laid over or the study is large; they are dashed there. Raises NotDrawn where no law is fitted.
    """
    if not results.fits:
        results.need(*LAW_NAMES)
    published = [_as_row(model) for model in models]
    budgets, largest = budgets_drawn(results.budgets, pluck(published, 'train_flops')), max(results.budgets)
    lines = [point for fit in results.fits.values() for point in _law_line(results, fit, budgets)]
    picks = checkpoint_picks(results)
    if not any(np.isfinite(pluck(lines, 'params'))):
        raise NotDrawn('every optimum lies at an edge of the sizes considered: the laws choose nothing to draw')
    figure, axes = new_figure(1, 3, width=10.5, height=4.4)
    left = budgets[0] / (budgets[-1] / budgets[0]) ** 0.07
    for axis, (column, title) in zip(axes[0], PANELS.items()):
        log_axis(axis, 'x', left, budgets[-1], human_flops, most=4)
        log_axis(axis, 'y', *_reach(lines, picks + published, column, largest), _write)
        axis.tick_params(labelsize=10)
        axis.axvspan(largest, budgets[-1], color='#f1f3f5', zorder=0, lw=0)
        _draw_lines(axis, lines, column, largest)
        _draw_picks(axis, picks, column)
        axis.set_title(title)
    served = f'\n{human_flops(results.inference_flops)} FLOPs per served token' if results.approaches else ''
    axes[0, 1].set_xlabel(f'Training budget C (FLOPs){served}')
    note_doubts(figure, results.fits.values())
    _add_key(figure, lines, picks, published)
    if published:
        _draw_models(figure, axes[0], published)
    return figure, lines + picks + published


def budgets_drawn(budgets: Sequence[float], published: Sequence[float] = ()) -> list[float]:
    """Choose the budgets to compute: those of a study and on past them, at most a factor STEP apart."""
    largest = max(budgets)
    end = max(4 * largest, PAPERS_END if published or largest > LARGE else 0.0, *published)
    stops, chosen = [*budgets, end], [budgets[0]]
    for low, high in zip(stops, stops[1:]):
        steps = int(np.ceil(np.log(high / low) / np.log(STEP)))
        # geomspace may miss its end by a rounding error, and the dashes must start where the line stops.
        chosen += [*np.geomspace(low, high, steps + 1)[1:-1].tolist(), high]
    return chosen


def _law_line(results: Results, fit: Fit, budgets: Sequence[float]) -> list[dict]:
    """Compute a law's optimum and its bands at each budget; nan at an edge of the sizes considered."""
    inference_flops = None if fit.law == CHINCHILLA else results.inference_flops
    points = []
    for budget in budgets:
        problem = problem_of(fit, Separate(budget, inference_flops))
        best = problem.best(problem.optimum())
        at_edge = bool(_at_edge(problem, best.params, inference_flops))
        point = {'kind': 'law', 'law': fit.law, 'train_flops': budget, 'samples': best.samples, 'at_edge': at_edge}
        values = {'params': best.params, 'tokens': best.tokens, 'tokens_per_param': best.tokens / best.params}
        point |= {name: float('nan') if at_edge else value for name, value in values.items()}
        refits = refits_of(problem, fit)
        if refits is not None:
            again, _ = optima(refits, ROUNDS)
            columns = {'params': again.params, 'tokens': again.tokens, 'tokens_per_param': again.tokens / again.params}
            if not at_edge and np.mean(_at_edge(problem, again.params, inference_flops)) <= CUT:
                bands = {name: band(column)['80'] for name, column in columns.items()}
                point |= {f'{name}_{end}': bands[name][at] for name in bands for at, end in enumerate(('low', 'high'))}
        points.append(point)
    return points


def _at_edge(problem: Problem, params: Any, inference_flops: float | None) -> np.ndarray:
    """Tell which optima the search's edge stopped; the largest size that is paid one sample is a true one."""
    paid = inference_flops is not None and problem.high > np.log(inference_flops / 2) - 1e-6
    above = np.inf if paid else problem.high - np.log(params)
    return np.minimum(np.log(params) - problem.low, above) < 1e-6


def _as_row(model: PublicModel) -> dict:
    row = {'kind': 'model', 'name': model.name, 'source': model.source, 'train_flops': model.train_flops}
    return row | {name: getattr(model, name) for name in PANELS}


def checkpoint_picks(results: Results) -> list[dict]:
    """List the best checkpoint of every budget by each law's measure, as rows; none without isoFLOP profiles."""
    picks = []
    for row in results.rows:
        for pick, law in PICKS.items():
            best = row['checkpoints'].get(pick)
            if best:
                names = ('run', 'params', 'tokens', 'tokens_per_param', 'bracketed')
                point = {'kind': 'checkpoint', 'law': law, 'train_flops': row['train_flops']}
                picks.append(point | {name: best[name] for name in names})
    return picks


def _write(value: float) -> str:
    return human_count(value, 2) if value < 1e15 else human_flops(value)


def _reach(lines: list[dict], marks: list[dict], column: str, largest: float) -> tuple[float, float]:
    """Span all that is drawn; of what lies beyond the runs only what is not too far off."""
    kept = [*pluck(marks, column), *(point[column] for point in lines if point['train_flops'] <= largest)]
    kept = [value for value in kept if np.isfinite(value)]
    every = [value for value in pluck(lines, column) if np.isfinite(value)]
    low, high = (min(kept), max(kept)) if kept else (min(every), max(every))
    return max(min(*every, low), low / FAR) / 1.6, min(max(*every, high), high * FAR) * 1.6


def _draw_lines(axis: Axes, lines: list[dict], column: str, largest: float) -> None:
    ends = []
    for law, colour in LAW_COLOURS.items():
        mine = [point for point in lines if point['law'] == law]
        drawn = [point for point in mine if np.isfinite(point[column])]
        if not drawn:
            continue
        inside = [point for point in mine if point['train_flops'] <= largest]
        for part, dash in ((inside, '-'), (mine[len(inside) - 1 :], DASHES)):
            axis.plot(pluck(part, 'train_flops'), pluck(part, column), ls=dash, color=colour, lw=2, zorder=3)
        if any(f'{column}_low' in point for point in mine):
            low, high = ([point.get(f'{column}_{end}', np.nan) for point in mine] for end in ('low', 'high'))
            axis.fill_between(pluck(mine, 'train_flops'), low, high, color=colour, alpha=0.14, lw=0, zorder=1.5)
        bottom, top = axis.get_ylim()
        x, y = drawn[-1]['train_flops'], drawn[-1][column]
        off = ' ↑' if y > top else ' ↓' if y < bottom else ''
        ends.append((x, float(np.clip(y, bottom, top)), END_NAMES[law] + off, colour))
    label_ends(axis, ends, gap=13)


def _draw_picks(axis: Axes, picks: list[dict], column: str) -> None:
    """Mark checkpoints beside, not on top of, each other; hollow where no larger or smaller size was trained.

    Call it after the axis limits are final: the marks stand a fixed share of the width apart.
    """
    left, right = np.log(axis.get_xlim())
    budgets = np.log(sorted(set(pluck(picks, 'train_flops'))))
    apart = 0.038 * (right - left)
    if len(budgets) > 1:
        apart = min(apart, 0.3 * float(np.diff(budgets).min()))
    for law, steps in ((CHINCHILLA, -1), (APPROACH_1, 0), (APPROACH_2, 1)):
        for point in (point for point in picks if point['law'] == law):
            across = point['train_flops'] * np.exp(steps * apart)
            axis.plot(across, point[column], **_look(law, point['bracketed'], 7 if len(budgets) < 7 else 5))


def _look(law: str, filled: bool, size: float = 7) -> dict[str, Any]:
    colour = LAW_COLOURS[law]
    face = colour if filled else 'white'
    return {'marker': LAW_MARKERS[law], 'ls': 'none', 'ms': size, 'mec': colour, 'mew': 1.2, 'mfc': face, 'zorder': 4}


def _add_key(figure: Figure, lines: list[dict], picks: list[dict], published: list[dict]) -> None:
    """Name lines, bands and marks under the panels."""
    handles: list[Any] = [Line2D([], [], ls=dash, color=FAINT, lw=2) for dash in ('-', DASHES)]
    names = ['optimum of a law', 'beyond the runs']
    if any('params_low' in point for point in lines):
        handles.append(Patch(color=FAINT, alpha=0.3, lw=0))
        names.append('80 % of its refits')
    for name, bracketed in (('best checkpoint', True), ('best, but an edge size', False)):
        laws = [law for law in LAW_COLOURS if (law, bracketed) in [(pick['law'], pick['bracketed']) for pick in picks]]
        if laws:
            handles.append(tuple(Line2D([], [], **_look(law, bracketed)) for law in laws))
            names.append(name)
    if published:
        handles.append(Line2D([], [], **MODEL))
        names.append('public model')
    key_below(figure, handles, names)


def _draw_models(figure: Figure, axes: Sequence[Axes], published: list[dict]) -> None:
    """Mark public models, and name those that have room beside their mark, the first first."""
    for axis, column in zip(axes, PANELS):
        axis.plot(pluck(published, 'train_flops'), pluck(published, column), **MODEL)
    for _ in range(2):  # names are placed in the final layout, which settles at its second, and do not change it
        figure.draw_without_rendering()
    for axis, column in zip(axes, PANELS):
        _name_models(axis, published, column)


def _name_models(axis: Axes, published: list[dict], column: str) -> None:
    marks = axis.transData.transform([(row['train_flops'], row[column]) for row in published])
    taken = [Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in marks]
    taken += [text.get_window_extent() for text in axis.texts]
    for line in axis.lines:
        path = line.get_transform().transform_path(line.get_path()).interpolated(16).vertices
        taken += [Bbox.from_extents(x - 2, y - 2, x + 2, y + 2) for x, y in path[np.isfinite(path).all(1)]]
    for row in published:
        style = {'textcoords': 'offset points', 'fontsize': 8, 'color': '#555b61', 'in_layout': False}
        text = axis.annotate(row['name'], (row['train_flops'], row[column]), (0, 0), **style)
        for x, y in BESIDE:
            text.xyann = (x, y)
            text.set(ha=ACROSS[np.sign(x)], va=UP[np.sign(y)])
            box = text.get_window_extent()
            inside = axis.bbox.x0 <= box.x0 and box.x1 <= axis.bbox.x1
            if inside and axis.bbox.y0 <= box.y0 and box.y1 <= axis.bbox.y1 and not any(map(box.overlaps, taken)):
                taken.append(box.padded(3))
                break
        else:
            text.remove()
