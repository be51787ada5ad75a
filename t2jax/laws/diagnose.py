"""What a fit cannot know: terms that the data do not determine, and how far the fit is from them."""

from collections.abc import Iterator

import numpy as np

from t2jax.laws.forms import Law
from t2jax.laws.observations import Observations, has_profiles, training_budgets, where

_SAME = 1.02  # values this close count as one: whole batches of tokens leave runs a percent apart


def unidentified(law: Law, rows: Observations) -> Iterator[str]:
    """Say in words which columns of the data leave which terms of the law undetermined."""
    if not law.single_pass and _is_one(rows.k):
        yield (
            f'column k holds only {rows.k[0]:g}: what samples do in {law.name} cannot be told from the rest; '
            'measure at several k'
        )
    for column, what in (('params', 'size'), ('tokens', 'amount of data')):
        values = getattr(rows, column)
        if _is_one(values):
            yield f'column {column} holds one value, {values[0]:.4g}: the data show no effect of {what}'
    ratio = rows.tokens / rows.params
    if _is_one(ratio) and not _is_one(rows.params):
        yield (
            f'columns params and tokens stand in one ratio, {ratio[0]:.4g} tokens per parameter: the effects of '
            'N and D cannot be told apart; train some sizes on more tokens'
        )
    open_ends = _without_bracket(law, rows)
    for side, budgets in open_ends.items():
        if budgets:
            named = ', '.join(f'{budget:.3g}' for budget in budgets)
            beyond = {'smallest': 'smaller', 'largest': 'larger'}[side]
            yield (
                f'at train_flops {named}, {law.target} is best at the {side} params: the optimum of a single sample '
                f'is not bracketed there; train a {beyond} model'
            )


def _is_one(values: np.ndarray) -> bool:
    return values.max() <= _SAME * values.min()


def _without_bracket(law: Law, rows: Observations) -> dict[str, list[float]]:
    """List the budgets of at least three sizes whose best run, at the smallest k, is at either end.

    Of a design by budgets alone: where most runs have no such budget, two that share one do so by chance.
    """
    rows = where(rows, rows.k == rows.k.min())
    values = getattr(rows, law.target) * (1 if law.target == 'nll' else -1)
    found: dict[str, list[float]] = {'smallest': [], 'largest': []}
    if not has_profiles(rows.params, rows.train_flops):
        return found
    budgets = training_budgets(rows.train_flops)
    for budget in np.unique(budgets):
        mine = budgets == budget
        sizes = rows.params[mine]
        if len(np.unique(sizes)) >= 3:
            best = sizes[np.argmin(values[mine])]
            for side, end in (('smallest', sizes.min()), ('largest', sizes.max())):
                if best == end:
                    found[side].append(float(budget))
    return found


def condition(matrix: np.ndarray) -> float:
    """Compute the condition number of a Jacobian J from J'J; 1e16 at most, since JSON has no inf."""
    if not len(matrix):
        return 1.0
    eigenvalues = np.linalg.eigvalsh(matrix)
    return float(np.sqrt(eigenvalues[-1] / max(eigenvalues[0], 1e-32 * eigenvalues[-1])))


def describe_residuals(rows: Observations, observed: np.ndarray, predicted: np.ndarray) -> dict[str, float | str]:
    """Summarise the errors: root mean square, mean and largest relative error, and which row the last is of.

    A row whose observation is 0 has no relative error.
    """
    error, known = predicted - observed, observed != 0
    relative = np.divide(np.abs(error), np.abs(observed), out=np.zeros_like(error), where=known)
    worst = int(np.argmax(relative))
    return {
        'rms': float(np.sqrt(np.mean(error**2))),
        'mean_relative': float(relative.sum() / max(known.sum(), 1)),
        'largest_relative': float(relative[worst]),
        'largest_at': f'run {rows.run[worst]}, k = {rows.k[worst]:g}',
    }
