"""The two steps of t2-accuracy's fit: weights for the losses, then a law of the loss with starts of its own.

Source: T2, Approach 2.
"""

import itertools

import numpy as np

from t2jax.laws.forms import THETA_BOUNDS, Law, accuracy_of_loss
from t2jax.laws.observations import Observations, training_budgets, where

# The second step of t2-accuracy: the column params carries the loss that the first step predicts.
ACCURACY_OF_LOSS = Law(
    name='t2-accuracy',
    target='pass_at_k',
    parameters=tuple(THETA_BOUNDS),
    bounds=THETA_BOUNDS,
    predict=lambda parameters, loss, tokens, k, xp: accuracy_of_loss(parameters, loss, k, xp),
)


def isoflop_weights(train_flops: np.ndarray, nll: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weigh each row by 1 / variance of the NLL over its training budget, mean 1 (T2 Approach 2, step 1).

    A row of `weight` 2 counts as two; `nll` and `weight` may have leading axes (replicates). A budget of one row, or
    of equal values, has no variance: its rows get the mean weight.
    """
    _, budget = np.unique(training_budgets(train_flops), return_inverse=True)
    member = np.eye(budget.max() + 1)[budget]
    total = np.maximum(weight @ member, 1e-300)
    mean = ((weight * nll) @ member / total)[..., budget]
    variance = ((weight * (nll - mean) ** 2) @ member / total)[..., budget]
    known = variance > (1e-12 * mean) ** 2
    inverse = np.divide(1, variance, out=np.zeros_like(variance), where=known)
    typical = (weight * inverse).sum(-1, keepdims=True) / np.maximum((weight * known).sum(-1, keepdims=True), 1e-300)
    return np.divide(inverse, typical, out=np.ones_like(variance), where=known)


def accuracy_starts(rows: Observations, seed: int) -> np.ndarray:
    """Start from sigmoids of the loss (in `rows.params`) fitted to pass@1, times a grid of concentrations.

    One sigmoid for each of four theta2; each grid point once as it is and once jittered.
    """
    single = where(rows, rows.k == 1)
    loss, accuracy = single.params, np.maximum(single.pass_at_k, 1e-9)
    grid = []
    for theta2 in np.geomspace(min(1.05 * accuracy.max(), 0.999), 0.999, 4):
        logit = np.log(theta2 / np.minimum(accuracy, 0.999 * theta2) - 1)
        slope, offset = np.polyfit(loss, logit, 1)
        theta1 = max(slope, 1e-2)
        for level, theta4 in itertools.product((-1.0, 1.0, 3.0), (-1.0, -0.3, 0.3)):
            grid.append([-offset / theta1, np.log(theta1), theta2, level - theta4 * loss.mean(), theta4])
    jitter = np.random.default_rng(seed).normal(0, [0.3, 0.3, 0.1, 1.0, 0.3], (len(grid), 5))
    return np.concatenate([grid, grid + jitter])
