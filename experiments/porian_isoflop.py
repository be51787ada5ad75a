"""Porian et al.'s optimal sizes N*(C), found again in fifteen settings; then Chinchilla's law on the 85 runs of T2.

    python experiments/porian_isoflop.py [DATA] [--out porian.png]

DATA is the folder of porian_all_settings.csv, porian_optima.csv and t2_grid_106.csv (arXiv 2406.19146). a is the
exponent of N* ~ C^a, its interval from noisy copies of the losses; 'theirs' is a from their own N* and standard
deviations. Two CPU cores, 20 seconds; printed on 2026-11-22, the first five of fifteen settings (in the other ten a is
within 0.002 of theirs, too):

N* ~ C^a                                            a  95 %             theirs  budgets  largest |log N*/theirs|
Kaplan et al.                                  0.8353  0.824 to 0.845   0.8353       11                    0.014
+ count the head                               0.7066  0.690 to 0.717   0.7065       11                    0.008
+ short warmup                                 0.6023  0.592 to 0.618   0.6020       12                    0.012
+ decay to budget                              0.5716  0.560 to 0.588   0.5715       12                    0.008
tuned, no decay                                0.4966  0.490 to 0.504   0.4969       12                    0.006

                          objective      runs         E         A         B     alpha      beta         a     error
sse                    5.375899e-01        85     2.718      6022 1.021e+05    0.5289    0.5809    0.5234     1.32%
sse, D/N >= 4          1.348172e-01        60     2.685      2537 2.449e+05     0.466     0.633     0.576     0.92%
log-huber              9.712468e-04        85     2.549     632.6 1.189e+05    0.3797    0.5911    0.6089     1.19%
log-huber, D/N >= 4    4.672168e-04        60     2.549     679.2 1.546e+05    0.3808    0.6086    0.6151     0.83%

The same runs ("+ decay to budget") say 0.572 without a law. With one, a depends on the objective, 0.52 or 0.61: the 25
runs of D/N < 4 make two thirds of the sum of squares, and without them it says 0.58.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from t2jax.laws.fit import fit_law
from t2jax.laws.forms import CHINCHILLA
from t2jax.laws.isoflop import Optimum, PowerLaw, fit_power_law, isoflop_curve, isoflop_optima
from t2jax.laws.ladders import read_grid, read_porian
from t2jax.laws.observations import Observations, training_budgets, where
from t2jax.laws.record import Fit
from t2jax.laws.tables import keep_rows, read_numbers, read_table
from t2jax.plotting import style
from t2jax.plotting.labels import human_count, human_flops

DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data'
NOISE = {'rw': 0.002, 'owt2': 0.01}  # standard deviation of the loss between seeds, in nats, by text: theirs

# (hparams, warmup, decay, param_count): their five steps from Kaplan's exponent to Chinchilla's, then variants
STEPS = {
    ('base', 'long', 'kaplan', 'kaplan'): 'Kaplan et al.',
    ('base', 'long', 'kaplan', 'standard'): '+ count the head',
    ('base', 'short', 'kaplan', 'standard'): '+ short warmup',
    ('base', 'short', 'chinchilla', 'standard'): '+ decay to budget',
    ('tuned', 'short', 'const', 'standard'): 'tuned, no decay',
}
OTHERS = {
    ('tuned', 'long', 'const', 'kaplan'): 'Kaplan et al., tuned',
    ('base', 'long', 'kaplan', 'attention'): '+ count the head, N with attention',
    ('base', 'short', 'kaplan', 'attention'): '+ short warmup, N with attention',
    ('base', 'short', 'chinchilla', 'attention'): '+ decay to budget, N with attention',
    ('tuned', 'short', 'const', 'attention'): 'tuned, no decay, N with attention',
}
SETTINGS = {('rw', *key): name for key, name in (STEPS | OTHERS).items()}
SETTINGS |= {('owt2', *key): f'OpenWebText2: {name}' for key, name in STEPS.items()}


def find_optima(data: Path, setting: tuple[str, ...]) -> tuple[Observations, list[Optimum], PowerLaw]:
    """Read a setting's runs and find N* at each budget and N*(C)."""
    rows = read_porian(data / 'porian_all_settings.csv', *setting)
    optima = isoflop_optima(rows, noise=NOISE[setting[0]])
    return rows, optima, fit_power_law(optima)


def published_optima(data: Path, setting: tuple[str, ...]) -> list[Optimum]:
    """Read their own N* of a setting, nan where they have none."""
    table = read_table(data / 'porian_optima.csv')
    for name, value in zip(('dataset', 'hparams', 'warmup', 'decay', 'param_count'), setting):
        table = keep_rows(table, np.array(table.cells(name)) == value)
    columns = (read_numbers(table, name) for name in ('flops', 'n_star', 'loss_star', 'log_n_star_std'))
    return [Optimum(*map(float, row), copies=np.array([row[1]])) for row in zip(*columns)]


def fit_85(data: Path, objective: str, least_ratio: float = 0.0) -> Fit:
    """Fit Chinchilla's law to those of Porian et al.'s 85 runs in T2's grid that see `least_ratio` D/N or more."""
    rows = read_grid(data / 't2_grid_106.csv')
    kept = np.isfinite(rows.nll) & (rows.tokens >= least_ratio * rows.params)
    return fit_law(CHINCHILLA, where(rows, kept), objective=objective)


def optima_lines(data: Path) -> Iterator[str]:
    """Yield N*(C) by setting, beside the exponent of their own optima."""
    yield f'{"N* ~ C^a":<46}{"a":>7}  {"95 %":<15}{"theirs":>8}{"budgets":>9}{"largest |log N*/theirs|":>25}'
    for setting, name in SETTINGS.items():
        _, optima, law = find_optima(data, setting)
        theirs = published_optima(data, setting)
        distance = np.abs(np.log([mine.params / other.params for mine, other in zip(optima, theirs, strict=True)]))
        low, high = law.interval()
        interval, found = f'{low:.3f} to {high:.3f}', int(np.isfinite(distance).sum())
        yield (
            f'{name:<46}{law.exponent:>7.4f}  {interval:<15}{fit_power_law(theirs).exponent:>8.4f}{found:>9}'
            f'{np.nanmax(distance):>25.3f}'
        )


def fit_lines(data: Path) -> Iterator[str]:
    """Yield the fits of Chinchilla's law, by objective and runs, with their exponent of N*(C)."""
    heads = ('runs', *CHINCHILLA.parameters, 'a', 'error')
    yield f'{"":<22}{"objective":>13}' + ''.join(f'{head:>10}' for head in heads)
    for objective, ratio in itertools.product(('sse', 'log-huber'), (0.0, 4.0)):
        fit = fit_85(data, objective, ratio)
        p = fit.parameters
        name = f'{objective}, D/N >= {ratio:g}' if ratio else objective
        cells = ''.join(f'{value:>10.4g}' for value in (*p.values(), p['beta'] / (p['alpha'] + p['beta'])))
        yield f'{name:<22}{fit.objective_value:>13.6e}{fit.n_points:>10}{cells}{fit.residuals["mean_relative"]:>10.2%}'


@style.house_style
def draw(data: Path) -> Figure:
    """Draw the isoFLOP curves of the runs that T2 uses, and N*(C) of the five steps."""
    figure, axes = style.new_figure(1, 2, width=10.5, height=4.8)
    _draw_curves(axes[0, 0], data)
    _draw_power_laws(axes[0, 1], data)
    return figure


def _draw_curves(axis: Axes, data: Path) -> None:
    rows, optima, _ = find_optima(data, ('rw', 'base', 'short', 'chinchilla', 'standard'))
    budgets = training_budgets(rows.train_flops)
    ends = []
    for optimum, colour in zip(optima, style.budget_colours(np.unique(budgets)).values()):
        mine = where(rows, budgets == optimum.train_flops)
        order = np.argsort(mine.params)
        sizes, curve = isoflop_curve(mine.params[order], mine.nll[order])
        axis.plot(sizes, curve, color=colour)
        axis.plot(mine.params, mine.nll, 'o', ms=4, color=colour)
        axis.plot(optimum.params, optimum.loss, '*', ms=13, color='#d1242f', mec='white', zorder=3)
        ends.append((sizes[-1], curve[-1], human_flops(optimum.train_flops), colour))
    style.log_axis(axis, 'x', 4.5e6, 1e9, human_count)
    style.log_axis(axis, 'y', 2.9, 7.2, lambda value: f'{value:g}')
    axis.set(title='+ decay to budget: runs, curves, optima', xlabel='Parameters N', ylabel='loss (nats per token)')
    style.label_ends(axis, ends, 'C, FLOPs')


def _draw_power_laws(axis: Axes, data: Path) -> None:
    for (key, name), colour, mark in zip(STEPS.items(), ('#111111', *style.SIZE_COLOURS, '#0b5c5e'), 'Dos^v'):
        _, optima, law = find_optima(data, ('rw', *key))
        flops, sizes = np.array([(one.train_flops, one.params) for one in optima if np.isfinite(one.params)]).T
        axis.plot(flops, law.predict(flops), color=colour, lw=1.2)
        axis.plot(flops, sizes, mark, color=colour, mec='white', label=f'{name}: a = {law.exponent:.3f}')
    style.log_axis(axis, 'x', 1e16, 3.2e19, human_flops)
    style.log_axis(axis, 'y', 8e5, 1.5e9, human_count)
    axis.set(title='Optimal size N* ~ C^a', xlabel='training budget C, FLOPs', ylabel='N*, as each counts it')
    axis.legend()


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables and draw the figure; exit code 2 where the data cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('data', nargs='?', type=Path, default=DATA, help='folder of the CSVs (default: %(default)s)')
    parser.add_argument('--out', type=Path, help='where to write the figure, a PNG (default: no figure)')
    options = parser.parse_args(argv)
    try:
        print(*optima_lines(options.data), '', *fit_lines(options.data), sep='\n')
        if options.out:
            options.out.write_bytes(style.png_bytes(draw(options.data)))
    except (ValueError, OSError) as error:
        parser.exit(2, f'{error}\n')


if __name__ == '__main__':
    main()
