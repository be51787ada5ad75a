"""Chinchilla's law refitted to Chinchilla's own runs, beside the parameters that were published.

    python experiments/chinchilla_refit.py [DATA]

DATA is the folder of chinchilla_epoch.csv: the runs as Besiroglu et al. (arXiv 2404.10102) read them off figure 4 of
Hoffmann et al. (arXiv 2203.15556). Log-Huber of delta 1e-3, summed; +- from 400 refits to resampled runs. Two CPU
cores, 20 seconds; printed on 2026-11-22:

                                objective        E        A        B    alpha     beta        a      D/N
refit, 240 runs              1.018274e-03   1.8172    477.8   2143.4   0.3473   0.3672   0.5139     17.9
  +-                                        0.0238    117.4   1323.7   0.0147   0.0206   0.0201
Besiroglu et al.             1.022843e-03   1.8172    482.0   2085.4   0.3478   0.3658   0.5126     18.4
  +-                                        0.0300    124.6   1293.2   0.0200   0.0200   0.0200
Hoffmann et al., unrounded   1.231163e-03   1.6934    406.4    410.7   0.3392   0.2849   0.4565     58.9
Hoffmann et al., as printed  4.121009e-03   1.6900    406.4    410.7   0.3400   0.2800   0.4516     92.6
refit, 245 runs              1.826011e-03   1.8913    495.7  12845.6   0.3493   0.4530   0.5646      6.8
a: N* ~ C^a. D/N: optimal at C = 5.76e+23. 100% and 100% of 500 starts reach the refits.

The published refit stopped 0.4 % above the optimum. Five runs of 245 decide between 18 and 7 tokens per parameter.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from t2jax.laws.bootstrap import bootstrap
from t2jax.laws.fit import fit_law
from t2jax.laws.forms import CHINCHILLA
from t2jax.laws.ladders import read_epoch
from t2jax.laws.observations import Observations
from t2jax.laws.record import Fit
from t2jax.laws.search import HUBER_DELTA

DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data'
BUDGET = 5.76e23  # FLOPs, Chinchilla's own
NAMES = ('E', 'A', 'B', 'alpha', 'beta')
PUBLISHED = {
    'Besiroglu et al.': (1.8172, 482.01, 2085.43, 0.3478, 0.3658),
    'Hoffmann et al., unrounded': (1.69337368, 406.401018, 410.722827, 0.33917084, 0.2849083),
    'Hoffmann et al., as printed': (1.69, 406.4, 410.7, 0.34, 0.28),
}
BESIROGLU_ERRORS = (0.03, 124.58, 1293.23, 0.02, 0.02, 0.02)  # the last is that of a


def refit(data: Path, kept_240: bool) -> tuple[Observations, Fit]:
    """Fit the law to the 240 runs that Besiroglu et al. keep, or to all 245."""
    rows = read_epoch(data / 'chinchilla_epoch.csv', kept_240)
    return rows, fit_law(CHINCHILLA, rows, objective='log-huber')


def standard_errors(rows: Observations, fit: Fit) -> list[float]:
    """Bootstrap the standard errors of the five parameters and of the exponent of N*(C)."""
    replicates = {name: np.array(values) for name, values in bootstrap(fit, rows).replicates.items()}
    return [float(np.std(values)) for values in [*(replicates[name] for name in NAMES), size_exponent(replicates)]]


def log_huber(parameters: Mapping[str, float], rows: Observations) -> float:
    """Sum the Huber losses of the log errors."""
    error = np.abs(np.log(CHINCHILLA.predict(parameters, rows.params, rows.tokens, rows.k, np) / rows.nll))
    return float(np.sum(np.where(error <= HUBER_DELTA, error**2 / 2, HUBER_DELTA * (error - HUBER_DELTA / 2))))


def size_exponent(parameters: Mapping[str, np.ndarray | float]) -> np.ndarray | float:
    """Return a of N* ~ C^a, from D = C / (6 N)."""
    return parameters['beta'] / (parameters['alpha'] + parameters['beta'])


def optimal_size(parameters: Mapping[str, float], train_flops: float) -> float:
    """Return N* in closed form."""
    A, B, alpha, beta = (parameters[name] for name in NAMES[1:])
    return (alpha * A / (beta * B) * (train_flops / 6) ** beta) ** (1 / (alpha + beta))


def lines(data: Path) -> Iterator[str]:
    """Yield the table: each set of parameters, its objective, and what it would have Chinchilla's budget buy."""
    rows, fit = refit(data, kept_240=True)
    every, fit_245 = refit(data, kept_240=False)
    yield _line('', 'objective', *NAMES, 'a', 'D/N')
    yield _entry(f'refit, {fit.n_points} runs', fit.parameters, rows)
    yield _line('  +-', '', *map(_short, standard_errors(rows, fit)), '')
    for name, values in PUBLISHED.items():
        yield _entry(name, dict(zip(NAMES, values)), rows)
        if name == 'Besiroglu et al.':
            yield _line('  +-', '', *map(_short, BESIROGLU_ERRORS), '')
    yield _entry(f'refit, {fit_245.n_points} runs', fit_245.parameters, every)
    reached = ' and '.join(f'{one.share_at_best:.0%}' for one in (fit, fit_245))
    yield f'a: N* ~ C^a. D/N: optimal at C = {BUDGET:g}. {reached} of {fit.starts} starts reach the refits.'


def _entry(name: str, parameters: Mapping[str, float], rows: Observations) -> str:
    ratio = BUDGET / 6 / optimal_size(parameters, BUDGET) ** 2
    values = [*(parameters[name] for name in NAMES), size_exponent(parameters)]
    return _line(name, f'{log_huber(parameters, rows):.6e}', *map(_short, values), f'{ratio:.1f}')


def _short(value: float) -> str:
    return f'{value:.4f}' if value < 10 else f'{value:.1f}'


def _line(name: str, objective: str, *cells: str) -> str:
    return (f'{name:<28}{objective:>13}' + ''.join(f'{cell:>9}' for cell in cells)).rstrip()


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table; exit code 2 where the data cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('data', nargs='?', type=Path, default=DATA, help='folder of the CSV (default: %(default)s)')
    options = parser.parse_args(argv)
    try:
        print(*lines(options.data), sep='\n')
    except ValueError as error:
        parser.exit(2, f'{error}\n')


if __name__ == '__main__':
    main()
