"""Figure 8 of T2: the grid of checkpoints, tokens per parameter by size and training budget.

    python experiments/figure_8_checkpoint_grid.py out/mini

Input: the workdir of any study: the mini study, the paper's grid once it is scored, an imported ladder. Runs that
share no training budgets are drawn by N and D instead; runs that nobody measured yet are marked. Writes
figure_8_checkpoint_grid.png, .pdf and .csv into WORKDIR/report, or the folder of --out. Seconds on a CPU.

On the paper's grid 12 budgets of 106 runs, 21 of them overtrained; on the mini study 4 budgets of 22 runs.
"""

from t2jax.cli.figures import main

if __name__ == '__main__':
    raise SystemExit(main('figure_8_checkpoint_grid', __doc__))
