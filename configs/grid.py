"""Grids of runs."""

from collections.abc import Iterable, Mapping

from configs import ladder
from t2jax import costs
from t2jax.mesh import Layout
from t2jax.models.config import ModelConfig
from t2jax.pretraining import Cell
from t2jax.study_config import GridRun


def isoflop(models: Iterable[ModelConfig], budgets: Iterable[float]) -> tuple[GridRun, ...]:
    """Train every model at every budget C (FLOPs) on D = C / 6N tokens."""
    return tuple(
        GridRun(f'd{model.d_model}-{budget:.1e}'.replace('+', ''), model, budget / 6 / costs.count_params(model))
        for budget in budgets
        for model in models
    )


# The paper's checkpoints (T2, figure 8): at C_train = 1.25e16 x 2^i FLOPs the sizes that Porian et al. trained (85
# runs: hparams=base, warmup=short, decay=chinchilla), and those that T2 trained beyond, overtrained (21 runs).
PAPER_RUNS = (
    ('5M 7M 9M 15M 22M 28M 37M', ''),
    ('7M 9M 15M 22M 28M 37M 57M', ''),
    ('9M 15M 22M 28M 37M 57M 84M 108M', '7M'),
    ('15M 22M 28M 37M 57M 84M 108M 149M', '7M 9M'),
    ('22M 28M 37M 57M 84M 108M 149M 220M', '7M 9M 15M'),
    ('28M 37M 57M 84M 108M 149M 220M', '7M 9M 15M 22M'),
    ('37M 57M 84M 108M 149M 220M', '9M 22M'),
    ('57M 84M 108M 149M 220M 347M 455M 611M', '9M 22M 37M'),
    ('84M 108M 149M 220M 347M 455M 611M 901M', ''),
    ('108M 149M 220M 347M 455M 611M 901M', '9M 28M 84M'),
    ('149M 220M 347M 455M 611M 901M', ''),
    ('220M 347M 455M 611M 901M', '37M 84M 149M'),
)


def paper(layouts: Mapping[str, Layout]) -> tuple[Cell, ...]:
    """Return the paper's 106 runs, smallest budget first, each laid out as its size is.

    D = C_train / 6N tokens, N exact and without the input embedding. The ratios printed in figure 8 are another thing,
    C_train / 6 label^2, the size's rounded label for N: 9M at 1.25e16 reads 26 and has 21.6 tokens per parameter.
    """
    models = ladder.porian()
    cells = []
    for i, (porian, overtrained) in enumerate(PAPER_RUNS):
        budget = 1.25e16 * 2**i
        for size in sorted(porian.split() + overtrained.split(), key=lambda size: costs.count_params(models[size])):
            tokens = budget / 6 / costs.count_params(models[size])
            name = f'{size}@{budget:.3g}'.replace('+', '')
            cells.append(Cell(name, models[size], tokens, size in overtrained.split(), layouts[size]))
    return tuple(cells)
