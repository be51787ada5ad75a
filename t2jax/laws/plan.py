"""Plan one pair of budgets: what each fitted law would buy, beside Chinchilla's choice at equal budgets.

Needs numpy alone, so that `t2jax plan` answers at once.
"""

from collections.abc import Sequence
from typing import Any

from t2jax.laws.allocation import best_allocation
from t2jax.laws.forms import LAWS
from t2jax.laws.record import Fit


def plan(fits: Sequence[Fit], train_flops: float, inference_flops: float) -> dict[str, Any]:
    """Choose N, D and k by every law given, at 6 N D = train_flops and 2 N k = inference_flops.

    Returns train_flops, inference_flops and `choices`, a dict by law of params, tokens, tokens_per_param, samples
    (whole: a fraction of a sample cannot be drawn), target, value and warnings. A single-pass law chooses for one
    sample and, where other laws are given, is judged by each of them at equal budgets: `at_equal_budgets`, by law.
    Raises ValueError for budgets that buy no model.
    """
    if not fits:
        raise ValueError('there is no fit to plan with; give at least one')
    choices = {}
    for fit in fits:
        alone = LAWS[fit.law].single_pass
        best = best_allocation(fit, train_flops=train_flops, inference_flops=None if alone else inference_flops)
        if alone:
            samples = inference_flops / (2 * best['params'])
            best['at_equal_budgets'] = {
                other.law: float(other.predict(best['params'], best['tokens'], samples))
                for other in fits
                if not LAWS[other.law].single_pass and samples >= 1
            }
            best['samples'] = samples
        best['samples'] = int(best['samples'] + 1e-9)
        kept = (
            'params',
            'tokens',
            'tokens_per_param',
            'samples',
            'target',
            'value',
            'at_equal_budgets',
            'warnings',
        )
        choices[fit.law] = {name: best[name] for name in kept if name in best}
    return {'train_flops': train_flops, 'inference_flops': inference_flops, 'choices': choices}
