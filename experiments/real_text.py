"""From real text to a checkpoint by the real commands: does a small decoder beat a bigram model on held-out text?

    python experiments/real_text.py ../shared/data/text/dickens.jsonl.gz

Takes a .jsonl or .jsonl.gz file with a document a line. One document of fourteen is held out; `t2jax vocabulary`,
`tokenize` and `train` do the rest, in processes of their own, into out/real_text. Run again, it goes on where it was.
The bigram model is as good as one gets: p(w | v) = (c(v, w) + m p(w)) / (c(v) + m), m the best for the held-out text.

Two CPU cores, 2026-11-22, seven minutes beside other work: 3,267,621 tokens to train on, 55,698 held out, vocabulary
2048; the bigram model 4.7166 nats a token, the decoder of 6.8e12 FLOPs (282k params, 4M tokens) 4.5696.
"""

import gzip
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

from t2jax.data.feed import Feed
from t2jax.data.shards import Shards, open_shards
from t2jax.mesh import make_mesh
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.pretraining import Cell, Grid
from t2jax.training.checkpoint import Checkpoints
from t2jax.training.recipe import Recipe
from t2jax.training.runs import load_params
from t2jax.training.step import token_losses

OUT = Path('out/real_text')
VOCAB = 2048
HELD_OUT = 14  # of so many documents one is held out

MODEL = ModelConfig(VOCAB, d_model=64, n_layers=3, hidden_multiple=8, unroll_layers=True)
GRID = Grid(
    workdir=str(OUT),
    tokens=str(OUT / 'tokens'),
    seed=0,
    recipe=Recipe(batch_sequences=32, sequence_length=128, learning_rate=6e-3, epochs=2),
    runs=(Cell('small', MODEL, tokens=4_000_000),),
    checkpoints=Checkpoints(every=200, keep_last=2),
)


def main(text: Path) -> None:
    """Split, tokenize, train, and compare."""
    split(text)
    run('vocabulary', OUT / 'train.jsonl', '--size', VOCAB, '--out', OUT / 'tokenizer.json', unless='tokenizer.json')
    for source, folder in (('train', 'tokens'), ('held_out', 'held_out')):
        run('tokenize', OUT / f'{source}.jsonl', '--tokenizer', OUT / 'tokenizer.json', '--out', OUT / folder)
    run('train', __file__, '--run', 'small')
    train, held_out = (np.concatenate(open_shards(OUT / name, None).arrays) for name in ('tokens', 'held_out'))
    bigram, m = bigram_loss(train, held_out)
    print(f'{len(train):,} tokens to train on, {len(held_out):,} held out, vocabulary {VOCAB}')
    print(f'bigram model: {bigram:.4f} nats a token (m = {m:g})')
    print(f'decoder of {GRID.config(GRID.runs[0]).train_flops:.2g} FLOPs: {decoder_loss(held_out):.4f} nats a token')


def split(text: Path) -> None:
    """Write the documents to train on, and those held out."""
    opener = gzip.open if text.suffix == '.gz' else open
    with opener(text, 'rt', encoding='utf-8') as file:
        lines = list(file)
    OUT.mkdir(parents=True, exist_ok=True)
    for name, held_out in (('train', False), ('held_out', True)):
        kept = [line for i, line in enumerate(lines) if (i % HELD_OUT == 5) == held_out]
        (OUT / f'{name}.jsonl').write_text(''.join(kept), encoding='utf-8')


def run(*arguments: object, unless: str = '') -> None:
    """Run a command of t2jax in a process of its own, unless what it makes is there."""
    if not unless or not (OUT / unless).exists():
        subprocess.run([sys.executable, '-m', 't2jax', *map(str, arguments)], check=True)


def bigram_loss(train: np.ndarray, held_out: np.ndarray) -> tuple[float, float]:
    """Return the best bigram model's mean loss on held-out ids, and its m."""
    counts = np.zeros((VOCAB, VOCAB))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    unigram = (counts.sum(0) + 1) / (counts.sum() + VOCAB)
    before, after = held_out[:-1], held_out[1:]
    losses = []
    for m in np.geomspace(1, 10_000, 41):
        p = (counts[before, after] + m * unigram[after]) / (counts.sum(1)[before] + m)
        losses.append((float(-np.log(p).mean()), float(m)))
    return min(losses)


def decoder_loss(held_out: np.ndarray) -> float:
    """Return the trained decoder's mean loss on the same ids, in windows of its context."""
    config = GRID.config(GRID.runs[0])
    params = load_params(config, OUT / 'runs' / 'small', make_mesh(jax.devices()[:1]))
    text = Feed(Shards((held_out,), {}), 1, config.recipe.sequence_length, seed=0)
    windows = text.batches(0, text.steps)[:, 0].astype(np.int32)
    loss = jax.jit(lambda ids: token_losses(transformer.forward(MODEL, params, ids[:, :-1]), ids[:, 1:])[0].mean(1))
    return float(np.mean([loss(windows[i : i + 1])[0] for i in range(len(windows))]))


if __name__ == '__main__':
    main(Path(sys.argv[1]))
