"""Table 1 of T2: pass@k of the best overtrained checkpoint and of the Chinchilla-optimal one, by task.

    python experiments/table_1_checkpoints.py out/mini

Input: the workdir of any study: the mini study, the paper's grid once it is scored, an imported ladder. Needs answers
at several k and runs that share training budgets. Writes table_1_checkpoints.png, .pdf and .csv into WORKDIR/report,
or the folder of --out. Seconds on a CPU.

On the mini study (seed 0, 2026-11-26): the best overtrained checkpoint wins on knowledge (55.1 against 45.9 %) and by
a hair on causal (79.0, 78.8 %), and loses on arithmetic (96.9, 99.1 %) and spatial (64.0, 84.3 %). In the paper it
wins on all eight tasks; on its grid the table has what it printed beside ours.
"""

from t2jax.cli.figures import main

if __name__ == '__main__':
    raise SystemExit(main('table_1_checkpoints', __doc__))
