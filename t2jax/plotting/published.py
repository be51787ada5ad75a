"""What T2 (arXiv 2604.01411) printed, to stand beside a study of its own grid: tables 1 and 2, and held-out errors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from t2jax.plotting.labels import APPROACH_1, APPROACH_2

TRAIN_FLOPS, INFERENCE_FLOPS = 2.56e19, 2e9  # at which both tables stand
# Mean relative errors on the 21 overtrained checkpoints, of laws fitted to the other 85 (figure 4).
HELD_OUT_ERRORS = {APPROACH_1: 0.028, APPROACH_2: 0.084}


@dataclass(frozen=True)
class Pair:
    """pass@k, a share, and size of the best overtrained checkpoint, and of the Chinchilla-optimal one."""

    overtrained: float
    overtrained_size: str
    chinchilla: float
    chinchilla_size: str


TABLE_1: Mapping[str, Pair] = {
    'lambada': Pair(0.4990, '37M', 0.2730, '455M'),
    'openbookqa': Pair(0.0140, '37M', 0.0030, '901M'),
    'sciq': Pair(0.0120, '37M', 0.0022, '611M'),
    'arc_easy': Pair(0.0014, '149M', 0.0007, '611M'),
    'simple_knowledge': Pair(0.1460, '84M', 0.0580, '901M'),
    'multi_step_arithmetic': Pair(0.5790, '37M', 0.1840, '901M'),
    'commonsense_causal': Pair(0.0810, '37M', 0.0140, '901M'),
    'spatial_reasoning': Pair(0.0600, '37M', 0.0110, '901M'),
}
# By stage of post-training and task.
TABLE_2: Mapping[tuple[str, str], Pair] = {
    ('ft', 'openbookqa'): Pair(0.0280, '37M', 0.0045, '901M'),
    ('ft', 'sciq'): Pair(0.5610, '149M', 0.2900, '901M'),
    ('ft', 'arc_easy'): Pair(0.0560, '149M', 0.0150, '901M'),
    ('sft', 'openbookqa'): Pair(0.0260, '37M', 0.0038, '901M'),
    ('sft', 'sciq'): Pair(0.6680, '84M', 0.5760, '347M'),
    ('sft', 'arc_easy'): Pair(0.0820, '37M', 0.0340, '455M'),
}


def at_the_papers_budgets(train_flops: float, inference_flops: float) -> bool:
    """Tell whether budgets are those of the tables, so that their numbers may stand beside ours."""
    pairs = (train_flops, TRAIN_FLOPS), (inference_flops, INFERENCE_FLOPS)
    return all(math.isclose(ours, theirs, rel_tol=0.02) for ours, theirs in pairs)
