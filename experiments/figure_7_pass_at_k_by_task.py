"""Figure 7 of T2: isoFLOP profiles of pass@k task by task, over several inference budgets (Approach 2).

    python experiments/figure_7_pass_at_k_by_task.py out/mini

Input: the workdir of any study: the mini study, the paper's grid once it is scored, an imported ladder. Needs answers
at several k. Writes figure_7_pass_at_k_by_task.png, .pdf and .csv into WORKDIR/report, or the folder of --out.
Seconds on a CPU.

On the mini study (seed 0, 2026-11-26) every task's optimum is a smaller model with samples than without.
"""

from t2jax.cli.figures import main

if __name__ == '__main__':
    raise SystemExit(main('figure_7_pass_at_k_by_task', __doc__))
