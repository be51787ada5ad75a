"""Figure 3 of T2: isoFLOP profiles, two approaches x (single pass, inference-corrected), with both frontiers.

    python experiments/figure_3_isoflop.py out/mini

Input: the workdir of any study: the mini study, the paper's grid once it is scored, an imported ladder. A study of
losses alone (porian_ladder.py) gets isoflop_loss, the profiles of the loss. Writes figure_3_isoflop.png, .pdf and
.csv into WORKDIR/report, or the folder of --out. Seconds on a CPU.

On the mini study (seed 0, 2026-11-26) the optima move to smaller models from left to right, as in the paper: at 4e11
FLOPs Approach 1 from 17.5k to 9.6k params, Approach 2 from 20.6k to 10.3k.
"""

from t2jax.cli.figures import main

if __name__ == '__main__':
    raise SystemExit(main('figure_3_isoflop', __doc__, of_losses='isoflop_loss'))
