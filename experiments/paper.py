"""The paper's 106 checkpoints: 85 near Chinchilla's ratio and 21 overtrained, 5M to 901M params, on real text.

    t2jax tokenize --seqio-task refinedweb --tokenizer gpt-neox.json --pad-vocab 50432 --out out/refinedweb
    t2jax inspect experiments/paper.py
    t2jax compile experiments/paper.py --run 901M@2.56e19 --topology v5e:16x16
    t2jax train experiments/paper.py --run 901M@2.56e19 --distributed
    python launch/sweep.py experiments/paper.py --workdir gs://BUCKET/paper --place us-west4-a,v5e:4x4 --spot
    t2jax score out/paper/runs/* --task lambada:FILE --task sciq:FILE ... --out out/paper/scores
    t2jax study experiments/paper.py

Sizes, budgets and which runs are overtrained: configs/grid.py; Porian et al.'s recipe (arXiv 2406.19146): 256 sequences
of 2048 tokens, GPT-NeoX's vocabulary padded to 50,432. The longest run reads 115e9 tokens (37M@2.56e19).

Hardware: v5e:4x4 slices (16 chips); 4.0e20 FLOPs of 6 N D in all, 116 hours and 2,229 dollars of one slice at 40 % of
its peak by `t2jax inspect`. Result: none yet, it is not run; experiments/preflight.md has what its steps need.
"""

from configs import grid, layouts, recipe
from t2jax.pretraining import Grid
from t2jax.training.checkpoint import Checkpoints

GRID = Grid(
    workdir='out/paper',
    tokens='out/refinedweb',
    seed=0,
    recipe=recipe.PAPER,
    runs=grid.paper(layouts.V5E_16),
    slice='v5e:4x4',
    checkpoints=Checkpoints(every=1000, keep_last=2),
)
