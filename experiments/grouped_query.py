"""Grouped-query attention, the shipped model variant, on the paper's recipe: 149M with half the heads of keys.

    t2jax inspect experiments/grouped_query.py
    t2jax compile experiments/grouped_query.py --run 140M-gqa@2.56e19 --topology v5e:4x4
    t2jax train experiments/grouped_query.py --run 140M-gqa@2.56e19 --distributed

Its cache is half as large as that of the paper's 149M, to which these budgets belong (configs/grid.py).

Hardware: v5e:4x4. Not yet run; compiled in experiments/preflight.md.
"""

from configs import ladder, layouts, recipe
from t2jax import costs
from t2jax.pretraining import Cell, Grid
from t2jax.training.checkpoint import Checkpoints

GRID = Grid(
    workdir='out/grouped_query',
    tokens='out/refinedweb',
    seed=0,
    recipe=recipe.PAPER,
    runs=tuple(
        Cell(
            f'{size}@{budget:g}'.replace('+', ''),
            model,
            budget / 6 / costs.count_params(model),
            False,
            layouts.V5E_16[size],
        )
        for size, model in ladder.grouped_query().items()
        for budget in (3.2e18, 2.56e19)
    ),
    checkpoints=Checkpoints(every=1000, keep_last=2),
)
