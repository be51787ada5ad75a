"""Text to token shards, once for all runs of a grid: side by side, resumable, the same bytes however it was done.

What is in shard i depends on source, tokenizer and number of shards alone, so worker processes make shards in any
order. A shard gets its name when it is whole, then its entry beside it, and the manifest comes last:

OUT/tokenize.json      the config; a folder belongs to one
OUT/tokens-00000.npy   a finished shard
OUT/tokens-00000.json  its entry in the manifest, until that is written
OUT/manifest.json      see shards.py
"""

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

from t2jax.config import claim, read_json, to_dict, write_json
from t2jax.data.shards import MANIFEST, open_shard, shard_name, write_manifest, write_shard
from t2jax.data.sources import SeqioTask, TextFiles
from t2jax.data.tokenizers import FileVocabulary

SHARDS = 16
POLL_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Tokenization:
    """What decides every byte of the shards."""

    source: TextFiles | SeqioTask
    vocabulary: str  # fingerprint
    vocabulary_name: str
    vocabulary_size: int
    end_id: int
    shards: int


@dataclasses.dataclass(frozen=True)
class _Job:
    """What a worker needs to make any shard."""

    out: Path
    source: TextFiles | SeqioTask
    tokenizer: Path
    pad_to: int | None
    end_token: str | None
    fingerprint: str
    shards: int


class _Stopped(Exception):
    """The main process wants no more."""


def tokenize(
    source: TextFiles | SeqioTask,
    tokenizer: Path,
    out: Path,
    shards: int = SHARDS,
    workers: int | None = None,
    pad_to: int | None = None,
    end_token: str | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Write the shards of a source to `out`; return the manifest's counts and how many shards were `kept`.

    Finished shards are checked and kept, damaged ones made anew. Raises ValueError or OSError, one sentence each, for
    bad text, a bad tokenizer, a full disk, or a folder of another config; shards finished by then stay. `workers` is
    the number of processes (default: one a core); they import the caller's main module, which needs the usual guard.
    """
    if shards < 1 or (workers is not None and workers < 1):
        raise ValueError(f'--shards is {shards} and --workers {workers}; both have to be at least 1')
    vocabulary = FileVocabulary(tokenizer, pad_to, end_token)
    job = _Job(out, source, tokenizer, pad_to, end_token, vocabulary.fingerprint, shards)
    config = Tokenization(source, vocabulary.fingerprint, vocabulary.name, len(vocabulary), vocabulary.end_id, shards)
    if (out / MANIFEST).exists() and not (out / 'tokenize.json').exists():
        raise ValueError(f'{out} holds shards that `t2jax tokenize` did not write; choose another --out')
    if not any(out.glob('tokens-*.json')) and not (out / MANIFEST).exists():
        (out / 'tokenize.json').unlink(missing_ok=True)  # nothing was finished under that config
    claim(out / 'tokenize.json', config)
    for left in out.glob('.tokens-*.tmp'):  # of a killed run
        left.unlink()
    if isinstance(source, SeqioTask):
        source.prepare()
    done = _make(job, _known(out, shards), workers or os.cpu_count() or 1, quiet)
    entries = [entry for entry, _ in done]
    if not sum(entry['documents'] for entry in entries):
        raise ValueError('there is not one document in the source; give sources that have some')
    write_manifest(out, vocabulary, to_dict(source), entries)
    for number in range(shards):
        _entry_path(out, number).unlink(missing_ok=True)
    counts = {name: sum(entry[name] for entry in entries) for name in ('documents', 'tokens')}
    kept = sum(kept for _, kept in done)
    return {'folder': str(out), **counts, 'vocabulary_size': len(vocabulary), 'shards': shards, 'kept': kept}


def _known(out: Path, shards: int) -> list[dict[str, Any] | None]:
    """Return the entries of the shards that an earlier run finished."""
    if (out / MANIFEST).exists():
        return read_json(out / MANIFEST, 'delete it and run the same again')['shards']
    paths = (_entry_path(out, number) for number in range(shards))
    return [read_json(path, 'delete it and run the same again') if path.exists() else None for path in paths]


def _make(
    job: _Job, known: list[dict[str, Any] | None], workers: int, quiet: bool
) -> list[tuple[dict[str, Any], bool]]:
    """Make or check every shard in worker processes; return their entries in order, and which were kept."""
    spawn = multiprocessing.get_context('spawn')
    counts, stop = spawn.Array('q', 3), spawn.Event()  # amount, documents, tokens, of all workers
    amounts = job.source.amounts(job.shards)
    there = sum(amount for amount, entry in zip(amounts, known) if entry)
    workers = min(workers, job.shards)
    bar = tqdm(
        total=sum(amounts) or None, initial=there, unit=job.source.unit, unit_scale=True, desc='tokenize', disable=quiet
    )
    with bar, futures.ProcessPoolExecutor(workers, spawn, _start_worker, (counts, stop)) as pool:
        with _interrupts_held():  # workers inherit it: Ctrl-C reaches this process alone, which then stops them
            works = [pool.submit(_work, job, number, amounts[number], known[number]) for number in range(job.shards)]
        try:
            started, pending = time.perf_counter(), set(works)
            while pending:
                done, pending = futures.wait(pending, POLL_SECONDS, futures.FIRST_EXCEPTION)
                for work in done:
                    work.result()
                amount, documents, tokens = counts.get_obj()
                speed = tokens / (time.perf_counter() - started)
                bar.set_postfix_str(f'{documents:,} docs, {tokens:,} tokens, {speed:,.0f} tokens/s', refresh=False)
                bar.update(there + amount - bar.n)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                'a worker was killed, perhaps for want of memory; the same command goes on, with fewer --workers'
            ) from error
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [work.result() for work in works]


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C waiting while the block runs; processes started in it never hear it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(counts: Any, stop: Any) -> None:
    """Prepare a worker: one thread, and no life of its own once the main process is gone."""
    global _counts, _stop
    _counts, _stop = counts, stop
    os.environ['TOKENIZERS_PARALLELISM'] = 'false'
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # killed with -9: its successor makes the shard that this one is at


_vocabulary = functools.lru_cache(maxsize=1)(FileVocabulary)


def _work(job: _Job, number: int, amount: int, known: dict[str, Any] | None) -> tuple[dict[str, Any], bool]:
    """Check a finished shard or make it; return its entry, and whether it was kept."""
    if known is not None:
        with contextlib.suppress(ValueError, FileNotFoundError):
            open_shard(job.out, known, '', verify=True)
            return known, True
    seen = told = 0

    def texts() -> Iterator[str]:
        nonlocal seen
        for text, seen in job.source.documents(number, job.shards):  # noqa: B007 (seen is read below)
            yield text

    def advance(documents: int, tokens: int) -> None:
        nonlocal told
        if _stop.is_set():
            raise _Stopped
        with _counts.get_lock():
            for i, more in enumerate((seen - told, documents, tokens)):
                _counts[i] += more
        told = seen

    vocabulary = _vocabulary(job.tokenizer, job.pad_to, job.end_token)
    if vocabulary.fingerprint != job.fingerprint:
        raise ValueError(f'{job.tokenizer} was changed meanwhile; put back what it was and run the same again')
    entry = write_shard(job.out / shard_name(number), texts(), vocabulary, advance=advance)
    seen = max(amount, told)  # a shard that shares its files with others has read them to the end
    advance(0, 0)
    write_json(_entry_path(job.out, number), entry)
    return entry, False


def _entry_path(out: Path, number: int) -> Path:
    return (out / shard_name(number)).with_suffix('.json')
