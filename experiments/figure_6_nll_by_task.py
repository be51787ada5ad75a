"""Figure 6 of T2: isoFLOP profiles of the NLL task by task, over several inference budgets (Approach 1).

    python experiments/figure_6_nll_by_task.py out/mini

Input: the workdir of any study: the mini study, the paper's grid once it is scored, an imported ladder. Needs answers
at several k. Writes figure_6_nll_by_task.png, .pdf and .csv into WORKDIR/report, or the folder of --out. Seconds on a
CPU.

On the mini study (seed 0, 2026-11-26) every task's optimum is a smaller model with samples than without.
"""

from t2jax.cli.figures import main

if __name__ == '__main__':
    raise SystemExit(main('figure_6_nll_by_task', __doc__))
