"""Commands from text to tokens: vocabulary and tokenize."""

import argparse
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from t2jax.data.sources import SeqioTask, TextFiles


def describe(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add both commands."""
    sub = add('vocabulary', run_vocabulary, 'train a vocabulary from text')
    _describe_source(sub)
    sub.add_argument('--size', type=int, default=4096, help='number of tokens (default: 4096)')
    what = 'tok.json: byte-level BPE, Hugging Face tokenizers; tok.model: BPE with byte fallback, SentencePiece'
    sub.add_argument('--out', type=Path, required=True, help=what)

    sub = add('tokenize', run_tokenize, 'tokenize text into shards, once for all runs; killed, it goes on')
    _describe_source(sub)
    what = 'Hugging Face tokenizer.json, or SentencePiece .model'
    sub.add_argument('--tokenizer', type=Path, required=True, metavar='FILE', help=what)
    sub.add_argument('--out', type=Path, required=True, metavar='FOLDER', help='where the shards go')
    sub.add_argument('--workers', type=int, help='processes (default: one a core); they change no byte')
    what = 'files to write (default: 16); at most as many processes work at once'
    sub.add_argument('--shards', type=int, default=16, help=what)
    what = "vocabulary size of the models, at least the tokenizer's (default: that; the paper: 50432)"
    sub.add_argument('--pad-vocab', type=int, help=what)
    sub.add_argument('--end-token', metavar='TEXT', help='token between documents (default: <|endoftext|> or </s>)')


def _describe_source(sub: argparse.ArgumentParser) -> None:
    what = 'files or globs: .txt (a document each), .jsonl (one a line; both also .gz), .parquet (one a row)'
    sub.add_argument('sources', nargs='*', metavar='SOURCE', help=what)
    sub.add_argument('--field', default='text', help='where a line, row or example has its text (default: text)')
    what = 'instead of files: c4, refinedweb (TFDS, prepared where TFDS_DATA_DIR says), or a task of --module'
    sub.add_argument('--seqio-task', metavar='NAME', help=what)
    sub.add_argument('--split', help='split of the seqio task (default: train)')
    sub.add_argument('--module', type=Path, metavar='FILE', help='Python file that registers seqio tasks')


def run_vocabulary(options: argparse.Namespace) -> None:
    """Train a vocabulary and write it."""
    from t2jax.data.tokenizers import train_vocabulary

    texts = (text for text, _ in _source(options).documents())
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # neither library looks at Ctrl-C until it is done
    try:
        vocabulary = train_vocabulary(texts, options.size, options.out, quiet=options.json)
    finally:
        signal.signal(signal.SIGINT, before)
    result = {'out': str(options.out), 'size': len(vocabulary), 'fingerprint': vocabulary.fingerprint}
    print(json.dumps(result) if options.json else f'{len(vocabulary):,} tokens: {options.out}')


def run_tokenize(options: argparse.Namespace) -> None:
    """Write token shards."""
    from t2jax.data.tokenize import tokenize

    result = tokenize(
        _source(options),
        options.tokenizer,
        options.out,
        options.shards,
        options.workers,
        options.pad_vocab,
        options.end_token,
        quiet=options.json,
    )
    if options.json:
        print(json.dumps(result))
        return
    counts = f'{result["documents"]:,} documents, {result["tokens"]:,} tokens in {result["shards"]} shards'
    finished = 'finished before, checked, nothing to do: ' if result['kept'] == result['shards'] else ''
    print(f'{finished}{counts}, for models with vocab {result["vocabulary_size"]}: {result["folder"]}')


def _source(options: argparse.Namespace) -> 'TextFiles | SeqioTask':
    from t2jax.data.sources import SeqioTask, find_files

    if bool(options.sources) == bool(options.seqio_task):
        raise ValueError('give files, or --seqio-task NAME: one of the two')
    if options.sources:
        for flag in ('split', 'module'):
            if getattr(options, flag) is not None:
                raise ValueError(f'--{flag} is for --seqio-task; files have none')
        return find_files(options.sources, options.field)
    module = None if options.module is None else str(options.module)
    return SeqioTask(options.seqio_task, options.split or 'train', options.field, module)
