"""The look of every figure: colours, sizes, ticks in human units, and bytes that depend on the data alone."""

import io
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from t2jax.laws.record import Fit
from t2jax.plotting.labels import APPROACH_1, APPROACH_2, CHINCHILLA, TASK_NAMES, law_name

LAW_COLOURS = {CHINCHILLA: '#111111', APPROACH_1: '#1f5fd0', APPROACH_2: '#d1242f'}
LAW_MARKERS = {CHINCHILLA: 'D', APPROACH_1: 's', APPROACH_2: '^'}
RIVAL_COLOURS = {'t2-nll-overtraining': '#2a8fa8', 'per-k': '#d97f00', 'log-bilinear': '#8a3f9e'}
RIVAL_MARKERS = {'t2-nll-overtraining': 'X', 'per-k': 'v', 'log-bilinear': 'P'}
INK, FAINT = '#222222', '#8a8f94'
# Stages of fine-tuning are told apart by dash and marker; the colour stays that of the law.
STAGE_DASHES = {'base': '-', 'ft': (0, (5, 1.6)), 'sft': (0, (1.2, 1.2))}
STAGE_MARKERS = {'base': 'o', 'ft': 'v', 'sft': 'P'}

# Budgets run from pale to dark in one hue that is neither of the approaches', and that the common colour
# blindnesses keep apart from red and blue.
BUDGET_MAP = LinearSegmentedColormap.from_list('budgets', ['#7cc39c', '#45ab90', '#1a8a80', '#0b5c5e', '#06292e'])
GRID_MAP = LinearSegmentedColormap.from_list('tokens per parameter', ['#f4f7ee', '#bfe3c6', '#6cc3a6', '#2f9a8d'])
# Sizes, small to large, where there are more than three.
SIZE_MAP = LinearSegmentedColormap.from_list('sizes', ['#eda52f', '#dd6a3c', '#b3446c', '#77378c', '#33265c'])
# Three runs side by side, small to large: Okabe and Ito's orange and purple, and a grey.
SIZE_COLOURS = ('#e08a00', '#a14d8f', '#4d5560')

DOTS_PER_INCH = 144
STYLE = {
    'font.family': 'DejaVu Sans',
    'font.size': 10,
    'axes.titlesize': 11,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'axes.labelsize': 10,
    'axes.edgecolor': '#555555',
    'axes.labelcolor': INK,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': '#e4e7ea',
    'grid.linewidth': 0.8,
    'text.color': INK,
    'xtick.color': '#444444',
    'ytick.color': '#444444',
    'xtick.labelsize': 9,
    'ytick.labelsize': 9,
    'lines.linewidth': 1.6,
    'lines.markersize': 5,
    'figure.constrained_layout.use': True,
    'figure.facecolor': 'white',
    'legend.frameon': False,
    'legend.fontsize': 9,
    'path.simplify': False,
    'svg.hashsalt': 't2jax',
}
# What each kind of file would otherwise say about the hour and the software that made it.
UNSAID = {
    'png': ('Software',),
    'pdf': ('Creator', 'Producer', 'CreationDate'),
    'svg': ('Creator', 'Date', 'Format', 'Type'),
}


def house_style(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Run a drawing function under this house's settings, whatever the user's matplotlibrc says."""

    @wraps(draw)
    def styled(*args: Any, **kwargs: Any) -> Any:
        with matplotlib.style.context(STYLE, after_reset=True):
            return draw(*args, **kwargs)

    return styled


def new_figure(
    rows: int, columns: int, *, width: float = 9.0, height: float = 4.2, **kwargs: Any
) -> tuple[Figure, np.ndarray]:
    """Make a figure (inches) that no global state knows of, and its axes as a `[rows, columns]` array."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


@house_style
def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Render a figure as a key of UNSAID; equal figures give equal bytes (no date, no software version)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=dict.fromkeys(UNSAID[kind]))
    return buffer.getvalue()


def png_bytes(figure: Figure) -> bytes:
    """Render a figure as PNG."""
    return figure_bytes(figure, 'png')


def law_look(law: str) -> dict[str, str]:
    """Give a law's colour and marker; a law that this module does not know is grey."""
    colours, markers = LAW_COLOURS | RIVAL_COLOURS, LAW_MARKERS | RIVAL_MARKERS
    return {'color': colours.get(law, FAINT), 'marker': markers.get(law, 'o')}


def budget_colours(budgets: Sequence[float]) -> dict[float, Any]:
    """Give each training budget its shade, small budgets pale."""
    ordered = sorted(budgets)
    shades = np.linspace(0.0, 1.0, len(ordered)) if len(ordered) > 1 else [0.6]
    return {budget: BUDGET_MAP(shade) for budget, shade in zip(ordered, shades)}


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Choose round numbers for a logarithmic axis: of a few round series the densest with at most `most`."""
    chosen = [low, high]
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    wide = [[10.0**power for power in decades if power % step == 0] for step in (4, 3, 2, 1)]
    series = ([1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, *range(4, 10)])
    fine = [[digit * 10.0**power for power in decades for digit in digits] for digits in series]
    for candidates in wide + fine:
        inside = [tick for tick in candidates if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if 2 <= len(inside) <= most:
            chosen = inside
    return chosen


def set_ticks(axis: Axis, ticks: Sequence[float], write: Callable[[float], str]) -> None:
    """Put labelled ticks where told and nowhere else."""
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FixedFormatter([write(tick) for tick in ticks]))
    axis.set_minor_locator(NullLocator())


def log_axis(axes: Axes, which: str, low: float, high: float, write: Callable[[float], str], most: int = 7) -> None:
    """Make the 'x' or 'y' axis logarithmic from low to high with human ticks."""
    getattr(axes, f'set_{which}scale')('log')
    getattr(axes, f'set_{which}lim')(low, high)
    set_ticks(getattr(axes, f'{which}axis'), log_ticks(low, high, most), write)


def share_axis(axes: Axes, low: float, high: float) -> None:
    """Make the y axis one of shares between 0 and 1, in percent, with air around low and high."""
    margin = 0.06 * max(high - low, 1e-6)
    axes.set_ylim(max(low - margin, -margin / 3), high + margin)
    ticks = MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(low, high)
    bottom, top = max(0.0, low - margin), min(1.0, high + margin)
    inside = [tick for tick in ticks if bottom - 1e-9 <= tick <= top + 1e-9]
    set_ticks(axes.yaxis, inside, lambda value: f'{100 * value:.3g} %')


def spread(values: Sequence[float], gap: float, top: float = np.inf) -> list[float]:
    """Move values until neighbours are `gap` apart, in order, as little as needed, within 0 and `top`."""
    order = np.argsort(values, kind='stable')
    # Isotonic regression of value - rank * gap: neighbours that collide pool, each pool at its members' mean.
    pools: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        mean, weight = float(values[index]) - rank * gap, 1
        while pools and pools[-1][0] > mean:
            before, members = pools.pop()
            mean, weight = (before * members + mean * weight) / (members + weight), members + weight
        pools.append((mean, weight))
    room = max(0.0, top - (len(order) - 1) * gap)
    shifted = [min(max(mean, 0.0), room) for mean, weight in pools for _ in range(weight)]
    moved = [0.0] * len(shifted)
    for rank, index in enumerate(order):
        moved[index] = shifted[rank] + rank * gap
    return moved


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, Any]], header: str = '', gap: float = 11.5) -> None:
    """Write each (x, y, text, colour) just right of its point, shifted up or down so that no texts touch.

    `header` names what the texts are, above the uppermost; `gap` is in points. Call it after the axis limits
    are final: the shift is worked out in the axes' own height.
    """
    if not ends:
        return
    height = axes.get_position().height * axes.figure.get_figheight() * 72
    to_axes = axes.transScale + axes.transLimits
    wished = [to_axes.transform((x, y))[1] * height for x, y, _, _ in ends]
    given = spread(wished, gap, height)
    top = int(np.argmax(given))
    texts = [(*end, new - old, 9) for end, old, new in zip(ends, wished, given)]
    if header:
        texts.append((*ends[top][:2], header, FAINT, given[top] - wished[top] + gap, 8))
    for x, y, text, colour, lift, size in texts:
        place = {'xytext': (7, lift), 'textcoords': 'offset points', 'va': 'center', 'annotation_clip': False}
        axes.annotate(text, (x, y), color=colour, fontsize=size, **place)


def title_above(figure: Figure, text: str) -> None:
    """Write a title over all panels, in as many lines as it takes."""
    lines = textwrap.wrap(text, int(10.2 * figure.get_figwidth()))
    figure.suptitle('\n'.join(lines), x=0.01, ha='left', fontsize=11, fontweight='bold')


def note_doubts(figure: Figure, fits: Iterable[Fit]) -> None:
    """Say over all panels which of the fits drawn are not to be trusted; nothing where all are."""
    of = lambda fit: law_name(fit.law) + ('' if fit.task in TASK_NAMES else f' of {fit.task}')
    doubts = list(dict.fromkeys(f'{of(fit)}: {fit.doubt}' for fit in fits if fit.doubt))
    if doubts:
        text = '\n'.join(textwrap.wrap('Not to be trusted. ' + '; '.join(doubts), int(11 * figure.get_figwidth())))
        figure.get_layout_engine().set(h_pad=0.085)  # room for the box
        box = {'facecolor': '#fdf3dc', 'edgecolor': '#c98a00', 'boxstyle': 'round,pad=0.25'}
        figure.suptitle(text, x=0.02, ha='left', fontsize=9.5, color='#6b4a00', bbox=box)


def key_below(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Name the marks in one row under the panels, where no curve can run through the words.

    A handle that is a tuple of marks shows them side by side.
    """
    together = {tuple: HandlerTuple(None, pad=0.3)}
    room = {'handlelength': 2.6, 'handletextpad': 0.5, 'columnspacing': 1.4}
    figure.legend(handles, names, loc='outside lower center', ncols=len(handles), handler_map=together, **room)
