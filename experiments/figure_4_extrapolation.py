"""Figure 4 of T2: predicted against observed, the overtrained runs held out of the fit.

    python experiments/figure_4_extrapolation.py out/mini

Input: the workdir of any study: the mini study, the paper's grid once it is scored, an imported ladder. Needs runs
that were held out: laws.overtrained_from says from which D/N on. Writes figure_4_extrapolation.png, .pdf and .csv
into WORKDIR/report, or the folder of --out. Seconds on a CPU.

On the mini study (seed 0, 2026-11-26) Approach 1 is off by 88 % on the overtrained runs (its null 32 %) and Approach
2 by 35 % (60 %). The paper: 2.8 % and 8.4 %.
"""

from t2jax.cli.figures import main

if __name__ == '__main__':
    raise SystemExit(main('figure_4_extrapolation', __doc__))
