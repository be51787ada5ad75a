"""A fit that nobody fitted: given parameters, and made-up figures for the rest."""

from t2jax.laws.forms import LAWS
from t2jax.laws.record import Fit


def make_fit(law, parameters, **changes):
    """Build a fit of the law of this name; `parameters` may hold those of other laws too."""
    made_up = {
        'task': 'macro',
        'measure': 'likelihood',
        'objective': 'sse',
        'objective_value': 0.0,
        'n_points': 1,
        'n_runs': 1,
        'starts': 1,
        'share_at_best': 1.0,
        'gradient_norm': 0.0,
        'condition_number': 1.0,
        'residuals': {},
        'sizes': (1e6, 1e9),
        'params_range': (1e6, 1e9),
        'tokens_per_param_range': (1e-3, 1e9),
        'train_flops_range': (1e10, 1e25),
        'k_range': (1.0, 1e6),
    }
    return Fit(law=law, parameters={name: parameters[name] for name in LAWS[law].parameters}, **made_up | changes)
