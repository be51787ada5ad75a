"""Grids of runs."""

from collections.abc import Iterable

from t2jax import costs
from t2jax.models.config import ModelConfig
from t2jax.study import GridRun


def isoflop(models: Iterable[ModelConfig], budgets: Iterable[float]) -> tuple[GridRun, ...]:
    """Train every model at every budget C (FLOPs) on D = C / 6N tokens."""
    return tuple(
        GridRun(f'd{model.d_model}-{budget:.1e}'.replace('+', ''), model, budget / 6 / costs.count_params(model))
        for budget in budgets
        for model in models
    )
