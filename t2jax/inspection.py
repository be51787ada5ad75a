"""What the runs of a grid or a study will take, worked out from their configs alone: no device is touched."""

from collections.abc import Sequence
from typing import Any

from t2jax import costs, roofline
from t2jax.config import override
from t2jax.pretraining import Grid, adapt
from t2jax.slices import Slice
from t2jax.study_config import StudyConfig
from t2jax.training.recipe import make_schedule
from t2jax.training.runs import RunConfig


def summarize(experiment: Grid | StudyConfig, flags: Sequence[str], tpu: Slice, mfu: float) -> list[dict[str, Any]]:
    """Return a row for each run: N, D, steps, warmup, FLOPs; memory of a chip, hours and dollars on a slice.

    Hours are those of the exact FLOPs at a share `mfu` of the slice's peak.
    """
    if isinstance(experiment, Grid):
        runs = [(experiment.config(cell, flags), cell.overtrained) for cell in experiment.runs]
    else:
        study = override(experiment, flags)
        sizes, limit = study.sizes(), study.laws.overtrained_from
        runs = [(run, sizes[run.name][1] / sizes[run.name][0] > limit) for run in study.run_configs()]
    return [_row(run, overtrained, tpu, mfu) for run, overtrained in runs]


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Add up what adds up."""
    return {
        name: sum(row[name] for row in rows) for name in ('tokens', 'train_flops', 'exact_flops', 'hours', 'dollars')
    }


def _row(run: RunConfig, overtrained: bool, tpu: Slice, mfu: float) -> dict[str, Any]:
    params, tokens = costs.count_params(run.model), run.steps * run.recipe.batch_tokens
    flops = run.steps * run.step_flops
    hours = flops / mfu / tpu.chips / tpu.chip.flops / 3600
    layout = adapt(run.layout, run.recipe, tpu.chips, tpu.count)
    memory = roofline.train_memory(run.model, run.recipe, layout, tpu.chips)
    return {
        'run': run.name,
        'overtrained': overtrained,
        'params': params,
        'tokens': tokens,
        'tokens_per_param': tokens / params,
        'steps': run.steps,
        'warmup_steps': float(make_schedule(run.recipe, run.model, run.tokens).warmup_steps),
        'train_flops': run.train_flops,
        'exact_flops': flops,
        'memory_bytes': sum(memory.values()),
        'memory': memory,
        'hours': hours,
        'dollars': hours * tpu.chips * tpu.chip.dollars_per_hour,
    }
