"""The isoFLOP optimum: the size N* of lowest loss at one training budget, and the power law N*(C) over budgets.

Log loss against log N is interpolated by Akima's cubics; N* is where the curve is lowest. Copies of the losses with
noise as large as that between seeds say how sure N* is, and log N* = log a + b log C is fitted with weights
1 / variance. Source: Porian et al., arXiv 2406.19146.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import Akima1DInterpolator

from t2jax.laws.observations import Observations, training_budgets, where

_POINTS = 50  # of the curve between two sizes; Porian et al. take 25


@dataclass(frozen=True, eq=False)
class Optimum:
    """N* at one training budget.

    `copies` holds N* of each noisy copy of the losses, nan where it is the smallest or the largest size: the runs do
    not bracket that minimum. `params` is the median of the others and `loss` that of the losses there, in nats, both
    nan where fewer than half of the copies are bracketed. `log_std` is the standard deviation of log N*.
    """

    train_flops: float
    params: float
    loss: float
    log_std: float
    copies: np.ndarray


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """N* = coefficient C^exponent; `exponents` are those of the noisy copies."""

    coefficient: float
    exponent: float
    exponents: np.ndarray

    def predict(self, train_flops: np.ndarray | float) -> np.ndarray:
        """Predict N* at training budgets, in FLOPs."""
        return self.coefficient * np.asarray(train_flops, np.float64) ** self.exponent

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Give the interval that holds the share `level` of the copies' exponents, as much on either side."""
        low, high = np.quantile(self.exponents, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def isoflop_curve(params: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate the losses `[..., S]` of S ascending sizes; returns P sizes between them and losses `[..., P]`."""
    log_params = np.log(params)
    grid = np.linspace(log_params[0], log_params[-1], (len(params) - 1) * _POINTS + 1)
    curve = Akima1DInterpolator(log_params, np.log(losses), axis=-1)(grid)
    return np.exp(grid), np.exp(curve)


def isoflop_optima(rows: Observations, *, noise: float = 0.0, copies: int = 1000, seed: int = 0) -> list[Optimum]:
    """Find N* at each training budget, ascending, from the `nll` of one task at k = 1.

    `noise` is the standard deviation of the loss between seeds, in nats; without it one copy is all. Of runs of one
    size and budget the best counts. A budget of fewer than three sizes has no N*. Raises ValueError for several
    tasks, a loss that has no log, and noise or copies out of range.
    """
    rows = where(rows, rows.k == 1)
    tasks = sorted(set(rows.task.tolist()))
    if len(tasks) != 1:
        raise ValueError(f'the rows at k = 1 are of tasks {", ".join(tasks) or "none"}; an optimum is of one task')
    if not (rows.nll > 0).all():
        raise ValueError('an isoFLOP optimum takes logs and some nll is empty or 0; fill in the column')
    if not 0 <= noise <= 0.1 * rows.nll.min() or copies < 1:
        raise ValueError(
            f'noise is {noise:g} and copies {copies}; noise has to be between 0 and a tenth of the lowest loss, '
            f'{rows.nll.min():g}, and copies at least 1'
        )
    rng = np.random.default_rng(seed)
    budgets = training_budgets(rows.train_flops)
    optima = []
    for budget in np.unique(budgets):
        params, losses = _best_by_size(where(rows, budgets == budget))
        noisy = losses + noise * rng.standard_normal((copies if noise else 1, len(losses)))
        optima.append(_optimum(float(budget), params, noisy))
    return optima


def _best_by_size(rows: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Give the sizes, ascending, and the lowest loss of each."""
    order = np.lexsort((rows.nll, rows.params))
    params, first = np.unique(rows.params[order], return_index=True)
    return params, rows.nll[order][first]


def _optimum(budget: float, params: np.ndarray, losses: np.ndarray) -> Optimum:
    """Find N* from the losses `[copies, S]` of S ascending sizes."""
    nan = np.full(len(losses), np.nan)
    if len(params) < 3:
        return Optimum(budget, np.nan, np.nan, np.nan, nan)
    sizes, curves = isoflop_curve(params, losses)
    best = np.argmin(curves, axis=1)
    bracketed = (best > 0) & (best < len(sizes) - 1)
    share = np.mean(bracketed)
    copies = np.where(bracketed, sizes[best], nan)
    if share < 0.5:
        return Optimum(budget, np.nan, np.nan, np.nan, copies)
    # N* is known no better than to a third of the distance between neighbouring sizes, however small the noise
    least = np.log(params[-1] / params[0]) / (len(params) - 1) / 3
    return Optimum(
        train_flops=budget,
        params=float(np.nanmedian(copies)),
        loss=float(np.median(np.min(curves, axis=1)[bracketed])),
        log_std=float(max(np.nanstd(np.log(copies)), least) / share),
        copies=copies,
    )


def fit_power_law(optima: Sequence[Optimum]) -> PowerLaw:
    """Fit N*(C) to the budgets that have an N*, each weighted by 1 / log_std^2.

    Raises ValueError for fewer than two of them.
    """
    found = [optimum for optimum in optima if np.isfinite(optimum.params)]
    if len(found) < 2:
        raise ValueError(
            f'the sizes bracket the lowest loss at {len(found)} of {len(optima)} training budgets and a power law '
            'needs 2: add smaller or larger models'
        )
    log_flops = np.log([optimum.train_flops for optimum in found])
    weight = np.array([optimum.log_std for optimum in found]) ** -2.0
    slope, offset = _weighted_line(log_flops, np.log([optimum.params for optimum in found]), weight)
    slopes, _ = _weighted_line(log_flops, np.log([optimum.copies for optimum in found]).T, weight)
    return PowerLaw(float(np.exp(offset)), float(slope), slopes[np.isfinite(slopes)])


def _weighted_line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit y `[..., B]` = slope x + offset by weighted least squares, leaving out nan."""
    known = np.isfinite(y)
    weight, y = weight * known, np.where(known, y, 0.0)
    total = weight.sum(-1, keepdims=True)
    with np.errstate(invalid='ignore'):  # a copy with one N* or none has no line
        x_mean, y_mean = ((weight * z).sum(-1, keepdims=True) / total for z in (x, y))
        slope = (weight * (x - x_mean) * (y - y_mean)).sum(-1) / (weight * (x - x_mean) ** 2).sum(-1)
    return slope, y_mean[..., 0] - slope * x_mean[..., 0]
