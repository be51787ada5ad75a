"""How fast a law is fitted: this project's fit against SciPy's L-BFGS-B, same starts, same objective, one process.

    python experiments/fit_speed.py [../shared/data/t2_grid_106.csv]

Approach 1's law with 2 % noise, on the paper's 106 runs x 15 k, squares, 500 starts. SciPy gets what people write:
the prediction in numpy over (log A, log B, log E, alpha, beta, log G, gamma), first with numeric gradients, then with
analytic ones, and the paper's settings (5,000 iterations, tolerance 1e-15). Also 4,000 bootstrap refits over runs.

2 CPU cores, 2026-11-22, after compilation (3.2 s): 0.168 s for the 500 starts, 97.6 % of them at the best. SciPy:
6.69 s with numeric gradients (40 times), 1.29 s with analytic ones (8 times), 10 % of its starts at its best, which
is no lower; SciPy's times vary, 6.5 to 14 s and 1.0 to 1.4 s. All seven parameters at once (`route='full'`) take 8 s.
The 4,000 refits: 5.0 s.
"""

import sys
import time
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from tqdm import tqdm

from t2jax.laws.bootstrap import bootstrap
from t2jax.laws.fit import fit_law, pose
from t2jax.laws.forms import T2_NLL
from t2jax.laws.ladders import read_grid
from t2jax.laws.observations import Observations
from t2jax.laws.search import parameters_at

STARTS, REPLICATES = 500, 4000
PLANTED = {'E': 0.5, 'A': 400.0, 'B': 400.0, 'alpha': 0.34, 'beta': 0.28, 'G': 3.0, 'gamma': 0.3}


def plant(params: np.ndarray, tokens: np.ndarray) -> Observations:
    """Give each run a noisy NLL at 15 k from 1 to 10,000."""
    ks = np.unique(np.round(np.geomspace(1, 10_000, 15)))
    n, d, k = np.repeat(params, len(ks)), np.repeat(tokens, len(ks)), np.tile(ks, len(params))
    noise = np.exp(0.02 * np.random.default_rng(0).normal(size=len(n)))
    return Observations(params=n, tokens=d, k=k, nll=T2_NLL.predict(PLANTED, n, d, k, np) * noise)


def scipy_fit(rows: Observations, starts: np.ndarray, analytic: bool) -> tuple[float, np.ndarray]:
    """Minimise from every start; returns the seconds and the objective of each."""
    log_n, log_d, log_k = np.log(rows.params), np.log(rows.tokens), np.log(rows.k)

    def terms(z: np.ndarray) -> tuple[np.ndarray, ...]:
        log_e, log_a, log_b, alpha, beta, log_g, gamma = z
        a, b, g = np.exp(log_a - alpha * log_n), np.exp(log_b - beta * log_d), np.exp(log_g - gamma * log_k)
        return np.exp(log_e), a, b, g

    def sse(z: np.ndarray) -> float:
        error = sum(terms(z)) - rows.nll
        return error @ error

    def sse_and_gradient(z: np.ndarray) -> tuple[float, np.ndarray]:
        e, a, b, g = terms(z)
        error = e + a + b + g - rows.nll
        slopes = (e * error.sum(), a @ error, b @ error, -(a * log_n) @ error, -(b * log_d) @ error)
        return error @ error, 2 * np.array([*slopes, g @ error, -(g * log_k) @ error])

    bounds = [(-50, 50)] * 3 + [(0, 3)] * 2 + [(-50, 50), (0, 3)]
    options = {'maxiter': 5000, 'maxfun': 1_000_000, 'ftol': 1e-15, 'gtol': 1e-15}
    began, values = time.perf_counter(), []
    for start in tqdm(starts, desc='SciPy, analytic' if analytic else 'SciPy, numeric', unit='start'):
        function = sse_and_gradient if analytic else sse
        found = minimize(function, start, jac=analytic, method='L-BFGS-B', bounds=bounds, options=options)
        values.append(found.fun)
    return time.perf_counter() - began, np.array(values)


def scipy_starts(rows: Observations) -> np.ndarray:
    """Give SciPy the points where this project's searches start, coefficients as logs."""
    problem = pose(T2_NLL, 'sse', rows)
    points = [parameters_at(T2_NLL, z, problem.centre, np) for z in problem.draw_starts(STARTS, seed=0)]
    logs = [[np.log(v) if name in T2_NLL.linear else v for name, v in point.items()] for point in points]
    return np.array(logs)


def main() -> None:
    """Time every way in turn and print the ratios."""
    default = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 't2_grid_106.csv'
    grid = read_grid(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
    rows = plant(grid.params, grid.tokens)
    print(f'{len(rows)} rows: {len(grid.params)} runs x {len(rows) // len(grid.params)} k; {STARTS} starts')

    def timed(route: str) -> tuple[float, object]:
        began = time.perf_counter()
        fit = fit_law(T2_NLL, rows, starts=STARTS, route=route)
        return time.perf_counter() - began, fit

    seconds = {}
    for route in ('projected', 'full'):
        first, _ = timed(route)
        seconds[route], fit = min((timed(route) for _ in range(3)), key=lambda pair: pair[0])
        share = f'{fit.share_at_best:.1%} of starts at the best'
        print(f'{route:10} {seconds[route]:8.3f} s ({first - seconds[route]:.1f} s to compile)  ', end='')
        print(f'objective {fit.objective_value:.12g}  {share}')
        if route == 'projected':
            best = fit
    for analytic in (False, True):
        took, values = scipy_fit(rows, scipy_starts(rows), analytic)
        at_best = np.mean(values <= values.min() * (1 + 1e-6))
        name = 'SciPy, ' + ('analytic' if analytic else 'numeric')
        print(f'{name:16} {took:8.2f} s  objective {values.min():.12g}  {at_best:.1%} of starts at its best')
        print(f'  {took / seconds["projected"]:.0f}x the projected fit, {took / seconds["full"]:.1f}x the full one')
        if best.objective_value > values.min() * (1 + 1e-9):
            raise SystemExit('the fit is worse than the best that SciPy found')
    bootstrap(best, rows, n=100)  # compiles
    began = time.perf_counter()
    sampled = bootstrap(best, rows, n=REPLICATES)
    print(f'{REPLICATES} bootstrap refits over runs: {time.perf_counter() - began:.1f} s')
    for name, value in PLANTED.items():
        low, high = np.percentile(sampled.replicates[name], [2.5, 97.5])
        print(f'  {name:6} planted {value:8.4g}  fitted {best.parameters[name]:8.4g}  95 % {low:.4g} to {high:.4g}')


if __name__ == '__main__':
    main()
