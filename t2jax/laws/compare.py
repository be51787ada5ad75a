"""Which law do the data support? Each is fitted to the near-Chinchilla runs and tested on the overtrained ones.

The test is T2's: models trained far longer than Chinchilla's law advises are held out, since that is where the laws
send us. Where the NLL is -log of a mean pass@k (real samples), every law predicts both, and all are also scored on that
one quantity: laws of pass@k and laws of the NLL can then be ranked together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from t2jax.laws.fit import fit_law, measured
from t2jax.laws.forms import LAWS, Law
from t2jax.laws.observations import Observations, where
from t2jax.laws.record import Fit
from t2jax.laws.scores import Scores, score, split

LOG_OF_MEAN = ('counts', 'beta-binomial')  # the measures whose nll is -log pass@k


@dataclass(frozen=True)
class Comparison:
    """A law's fit to the near-Chinchilla rows and its scores, or None and the reason why there is none.

    `log_errors` are the mean |log(predicted pass@k / observed)| in the fit and held out, and those of the null, where
    the law can be asked for pass@k.
    """

    law: str
    target: str
    fit: Fit | None
    scores: Scores | None
    log_errors: tuple[float, float, float, float] | None
    refused: str


def compare(
    observations: Observations,
    overtrained_from: float,
    *,
    objective: str = 'sse',
    starts: int = 500,
    seed: int = 0,
    laws: Sequence[Law] = tuple(LAWS.values()),
    advance: Callable[[], None] = lambda: None,
) -> list[Comparison]:
    """Fit every law to the rows of at most `overtrained_from` tokens per parameter and score it on the others.

    The observations are of one task. A law that cannot be fitted or scored is kept, with the reason. `advance` is
    called after each law. Raises ValueError where all runs lie on one side of the limit.
    """
    near, over = split(observations, overtrained_from)
    found = []
    for law in laws:
        try:
            rows, held_out = (where(side, measured(law, side)) for side in (near, over))
            fit = fit_law(law, rows, objective=objective, starts=starts, seed=seed)
            scores = score(fit, rows, held_out)
            found.append(Comparison(law.name, law.target, fit, scores, _log_errors(fit, rows, held_out), ''))
        except ValueError as error:
            found.append(Comparison(law.name, law.target, None, None, None, str(error)))
        advance()
    return found


def _log_errors(fit: Fit, near: Observations, over: Observations) -> tuple[float, float, float, float] | None:
    law = LAWS[fit.law]
    if law.single_pass or near.measure[0] not in LOG_OF_MEAN:
        return None
    near, over = (where(rows, rows.pass_at_k > 0) for rows in (near, over))
    # of several tasks the nll is the mean of such logs, which no pass@k is the exponential of
    if not len(near) or not len(over) or not np.allclose(near.nll, -np.log(near.pass_at_k)):
        return None
    errors = []
    for rows in (near, over):
        predicted = fit.predict(rows.params, rows.tokens, rows.k)
        log_predicted = -predicted if law.target == 'nll' else np.log(np.maximum(predicted, 1e-300))
        errors.append(float(np.mean(np.abs(log_predicted - np.log(rows.pass_at_k)))))
    for rows in (near, over):
        known = np.isin(rows.k, near.k)
        null = np.array([np.log(near.pass_at_k[near.k == k]).mean() for k in rows.k[known]])
        errors.append(float(np.mean(np.abs(null - np.log(rows.pass_at_k[known])))))
    return errors[0], errors[1], errors[2], errors[3]
