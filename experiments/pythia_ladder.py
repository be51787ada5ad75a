"""Pythia's checkpoints and their real samples on GSM8K and MATH, as a study: T2's laws from counts of right samples.

    t2jax study experiments/pythia_ladder.py [--observations.0.path FILE --observations.1.path FILE]

Reads pythia_passk_counts.csv.gz: 14M to 12B params, checkpoints from 2M to 300B tokens of one schedule, about 128
questions of each benchmark. pass@k is the unbiased mean over questions, the NLL -log of it; there is no loss on text,
so Chinchilla's law is fitted to the NLL at one sample. experiments/pythia_passk.py says how far to trust any of it.

Two CPU cores, 40 seconds, 2026-11-26: at 2.1e22 FLOPs and 2.4e10 per served token Approach 1 asks for 445M params (80
%: 333M to 546M), Approach 2 for 227M (141M to 283M), far beyond the tokens per parameter that were trained,
Chinchilla for 73.6B, of which no sample is paid. Held out beyond 100 tokens per parameter, Approach 1 loses to its
null (38 against 32 %); so does Chinchilla (24 against 19 %).
"""

from pathlib import Path

from t2jax.ladder import Ladder, Source
from t2jax.laws.settings import LawSettings

TABLE = str(Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'pythia_passk_counts.csv.gz')

STUDY = Ladder(
    workdir='out/pythia',
    inference_flops=2.4e10,  # one sample of the largest, 130 of one of 90M
    observations=(Source(TABLE, 'pythia', ('gsm8k',)), Source(TABLE, 'pythia', ('math',))),
    k=tuple(2.0**power for power in range(8)),
    estimator='unbiased',
    laws=LawSettings(overtrained_from=100.0),
)
