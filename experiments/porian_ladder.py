"""Porian et al.'s isoFLOP runs on RefinedWeb, on 85 of which T2 builds, as a study: losses and Chinchilla's law alone.

    t2jax study experiments/porian_ladder.py [--losses.0.path FILE]

Reads porian_all_settings.csv (arXiv 2406.19146; hparams base, warmup short, decay chinchilla), which T2 took as its
near-Chinchilla checkpoints: 88 runs at 12 training budgets. Nothing was sampled, so Chinchilla's law alone is fitted.

Two CPU cores, 10 seconds, 2026-11-26: at 2.56e19 FLOPs 341M params (80 % of refits: 294M to 448M) on 12.5B tokens,
loss 3.003; the best of the runs is 455M at 2.985. Fitted up to 30 tokens per parameter it is off by 3.2 % beyond (its
null by 19 %).
"""

from pathlib import Path

from t2jax.ladder import Ladder, Source
from t2jax.laws.settings import LawSettings

DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data'

STUDY = Ladder(
    workdir='out/porian',
    inference_flops=2e9,
    losses=(Source(str(DATA / 'porian_all_settings.csv'), 'porian'),),
    laws=LawSettings(overtrained_from=30.0),
)
