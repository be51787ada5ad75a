"""How well a law predicts: relative errors on the runs it was fitted to and on overtrained ones held out.

The null beside them predicts, at each k, the mean of the runs fitted to: a law that does not beat it
explains nothing. For reference, T2 reports held-out errors of 2.8 % for t2-nll and 8.4 % for t2-accuracy.
"""

from dataclasses import dataclass

import numpy as np

from t2jax.laws.forms import LAWS
from t2jax.laws.observations import Observations, where
from t2jax.laws.record import Fit


@dataclass(frozen=True)
class Scores:
    """Means of |prediction / observation - 1|, of a law and of its null, and how many rows each is over."""

    in_sample: float
    held_out: float
    null_in_sample: float
    null_held_out: float
    n_in_sample: int
    n_held_out: int


def split(observations: Observations, overtrained_from: float) -> tuple[Observations, Observations]:
    """Split into near-Chinchilla and overtrained rows: over `overtrained_from` tokens per parameter."""
    ratio = observations.tokens / observations.params
    over = ratio > overtrained_from
    if not len(over) or over.all() or not over.any():
        side = 'overtrained' if not over.any() else 'near-Chinchilla'
        span = f'{ratio.min():.4g} to {ratio.max():.4g}' if len(over) else 'nothing'
        raise ValueError(
            f'no run is {side} when over {overtrained_from:g} tokens per parameter count as overtrained; '
            f'the observations span {span}: choose a limit inside'
        )
    return where(observations, ~over), where(observations, over)


def score(fit: Fit, near: Observations, over: Observations) -> Scores:
    """Score a fit of the rows `near` on them and on the rows `over`, both of the fit's task.

    A single-pass law is scored at k = 1. Rows whose observation is 0 have no relative error and are left out. Raises
    ValueError where none is left or the null has no k to go by.
    """
    law = LAWS[fit.law]
    if law.single_pass:
        near, over = where(near, near.k == 1), where(over, over.k == 1)
    near, over = (where(rows, getattr(rows, law.target) > 0) for rows in (near, over))
    errors = []
    for name, rows in (('near-Chinchilla', near), ('overtrained', over)):
        observed = getattr(rows, law.target)
        if not len(rows):
            raise ValueError(f'{fit.law} cannot be scored on the {name} rows: none has a {law.target} above 0')
        predicted = fit.predict(rows.params, rows.tokens, rows.k)
        null = _null(near, rows, law.target)
        errors += [float(np.mean(np.abs(guess / observed - 1))) for guess in (predicted, null)]
    return Scores(errors[0], errors[2], errors[1], errors[3], len(near), len(over))


def _null(near: Observations, rows: Observations, column: str) -> np.ndarray:
    means = {k: getattr(near, column)[near.k == k].mean() for k in np.unique(near.k)}
    unknown = sorted(set(rows.k.tolist()) - means.keys())
    if unknown:
        raise ValueError(
            f'no near-Chinchilla run was measured at k = {unknown[0]:g}; drop it from the overtrained rows'
        )
    return np.array([means[k] for k in rows.k])
