"""The planner of the report's page: the JavaScript that computes there what `t2jax plan` does, and its constants."""

from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

from t2jax.chips import TPUS
from t2jax.laws.shapes import PORIAN_LADDER

SCRIPTS = ('laws.js', 'prices.js', 'problem.js', 'plan.js')  # each needs those before it; the last defines `t2plan`


def constants() -> dict[str, Any]:
    """Return what prices rest on, for JSON: the ladder of shapes, and each chip's peak FLOP/s and bytes/s."""
    chips = {name: {'flops': chip.flops, 'bandwidth': chip.bandwidth} for name, chip in TPUS.items()}
    return {'ladder': [asdict(shape) for shape in PORIAN_LADDER], 'chips': chips}


@cache
def planner_script() -> str:
    """Return the JavaScript of the planner, to be inlined: it defines the global `t2plan`."""
    folder = files('t2jax.plotting') / 'assets'
    return '\n'.join((folder / name).read_text(encoding='utf-8') for name in SCRIPTS)
