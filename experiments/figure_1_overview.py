"""Figure 1 of T2: the question, and a study's answer, at a glance.

    python experiments/figure_1_overview.py out/mini

Input: the workdir of any study: the mini study, the paper's grid once it is scored, an imported ladder. Needs the
fits of Chinchilla and of one approach. Writes figure_1_overview.png, .pdf and .csv into WORKDIR/report, or the folder
of --out. Seconds on a CPU.

On the mini study (seed 0, 2026-11-26): at 4e11 FLOPs to train and 1e6 per served token Approach 1 asks for 9.6k
params and 52 samples, Approach 2 for 10.3k and 48, Chinchilla for 23.2k, of which 21 samples are paid; Approach 2
expects 74.0 % against 70.8 %. The paper draws the same idea without numbers of a study.
"""

from t2jax.cli.figures import main

if __name__ == '__main__':
    raise SystemExit(main('figure_1_overview', __doc__))
