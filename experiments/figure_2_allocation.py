"""Figure 2 of T2: optimal N, D and D/N against the training budget, by Chinchilla and both approaches.

    python experiments/figure_2_allocation.py out/mini [--public-models]

Input: the workdir of any study: the mini study, the paper's grid once it is scored, an imported ladder. Draws
whichever laws are fitted. With --public-models, 30 models that others published lie over it, as in the paper: those
trained for use are far above 20 tokens per parameter. Writes figure_2_allocation.png, .pdf and .csv into
WORKDIR/report, or the folder of --out. Seconds on a CPU.

On the mini study (seed 0, 2026-11-26), from 5e10 to 4e11 FLOPs: Chinchilla 75 to 124 tokens per parameter, Approach 1
154 to 723, Approach 2 182 to 630.
"""

from t2jax.cli.figures import main
from t2jax.plotting.public_models import PUBLIC_MODELS

FLAGS = [('public-models', {'models': PUBLIC_MODELS}, 'lay models that others published over it')]

if __name__ == '__main__':
    raise SystemExit(main('figure_2_allocation', __doc__, flags=FLAGS))
