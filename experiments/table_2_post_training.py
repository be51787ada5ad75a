"""Table 2 of T2: the same comparison after fine-tuning, FT and SFT.

    python experiments/table_2_post_training.py out/mini

Input: the workdir of any study: the mini study, the paper's grid once it is scored, an imported ladder. Needs a study
that fine-tuned its runs. Writes table_2_post_training.png, .pdf and .csv into WORKDIR/report, or the folder of --out.
Seconds on a CPU.

On the mini study (seed 0, 2026-11-26): the best overtrained checkpoint wins on knowledge (54.3 against 45.9 % after
FT, 55.1 against 46.0 % after SFT) and loses on arithmetic and spatial. In the paper it wins in all six cases.
"""

from t2jax.cli.figures import main

if __name__ == '__main__':
    raise SystemExit(main('table_2_post_training', __doc__))
