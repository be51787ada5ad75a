"""Figure 5 of T2: optimal tokens per parameter after fine-tuning, by task and stage.

    python experiments/figure_5_post_training.py out/mini

Input: the workdir of any study: the mini study, the paper's grid once it is scored, an imported ladder. Needs a study
that fine-tuned its runs. Writes figure_5_post_training.png, .pdf and .csv into WORKDIR/report, or the folder of
--out. Seconds on a CPU.

On the mini study (seed 0, 2026-11-26), mean over tasks at 4e11 FLOPs: Approach 1 657 tokens per parameter before, 601
after FT, 604 after SFT; Approach 2 490, 559, 496; Chinchilla 156, 112, 120.
"""

from t2jax.cli.figures import main

if __name__ == '__main__':
    raise SystemExit(main('figure_5_post_training', __doc__))
