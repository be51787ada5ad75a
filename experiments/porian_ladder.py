"""Porian et al.'s 85 runs that T2 builds on, as a study: losses on RefinedWeb, Chinchilla's law, figures and report.

    t2jax study experiments/porian_ladder.py [--losses.0.path FILE]

Reads porian_all_settings.csv (arXiv 2406.19146; hparams base, warmup short, decay chinchilla), which T2 took as its
near-Chinchilla checkpoints. There are losses alone, so Chinchilla's law alone is fitted, and nothing is sampled.
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
