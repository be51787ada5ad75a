"""Token shards: text tokenized once, kept as flat arrays of ids beside a manifest that vouches for them.

FOLDER/manifest.json     vocabulary: fingerprint, name, size, end id; source; per shard: file, tokens, documents, sha256
FOLDER/tokens-00000.npy  uint16 or uint32 ids: the end token before every document, so that shards read one after
                         another are all documents joined by one end token each
"""

import contextlib
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from t2jax.config import read_json, write_json

MANIFEST = 'manifest.json'
ABOUT_VOCABULARY = ('vocabulary', 'vocabulary_name', 'vocabulary_size', 'end_id')  # of a manifest's fields
BATCH_DOCUMENTS, BATCH_CHARACTERS = 256, 2**18  # encoded at once: what bounds memory beside the longest document


class Vocabulary(Protocol):
    """What tokenizing needs to know; `vocabulary.WordVocabulary` and `tokenizers.FileVocabulary` are two."""

    name: str
    end_id: int

    def __len__(self) -> int:
        """Count its ids, padding included."""

    @property
    def fingerprint(self) -> str:
        """Identify the tokenizer: equal fingerprints encode equally."""

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Turn texts into ids."""


@dataclass(frozen=True)
class Shards:
    """Opened shards: one read-only array per file (memory-mapped), and the manifest."""

    arrays: tuple[np.ndarray, ...]
    manifest: dict[str, Any]

    @property
    def tokens(self) -> int:
        """Total number of tokens."""
        return sum(len(array) for array in self.arrays)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, padding included: what a model's `vocab` has to be; every id is below it."""
        return self.manifest['vocabulary_size']

    @property
    def end_id(self) -> int:
        """Id of the end-of-document token."""
        return self.manifest['end_id']


class ShardWriter:
    """Write one shard piece by piece, in bounded memory, whole or not at all.

    A context manager: the file gets its name when the block ends well, and is removed when it does not. Raises OSError
    naming the shard where the disk is full.
    """

    def __init__(self, path: Path, vocabulary_size: int) -> None:
        """Choose uint16 or uint32 by the size of the vocabulary."""
        self.path, self.tokens = path, 0
        self.dtype = np.dtype(np.uint16 if vocabulary_size <= 2**16 else np.uint32)
        self._temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
        self._digest = hashlib.sha256()

    def __enter__(self) -> 'ShardWriter':
        self._file = open(self._temporary, 'wb')  # noqa: SIM115 (closed by __exit__)
        self._write_header()
        return self

    def write(self, ids: np.ndarray) -> None:
        """Append ids [n]."""
        data = np.ascontiguousarray(ids, self.dtype).data
        self._digest.update(data)
        self.tokens += len(ids)
        try:
            self._file.write(data)
        except OSError as error:
            raise self._refusal(error) from error

    @property
    def sha256(self) -> str:
        """Checksum of the ids written so far, in hex."""
        return self._digest.hexdigest()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._write_header()  # as long as the first one: numpy pads it for this very purpose
                self._file.flush()
                os.fsync(self._file.fileno())
                os.replace(self._temporary, self.path)
        except OSError as refused:
            raise self._refusal(refused) from refused
        finally:
            with contextlib.suppress(OSError):  # closing flushes once more, in vain on a full disk
                self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _write_header(self) -> None:
        header = {'descr': self.dtype.str, 'fortran_order': False, 'shape': (self.tokens,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _refusal(self, error: OSError) -> OSError:
        return OSError(f'shard {self.path} cannot be written ({error.strerror}); make room and run the same again')


def write_shard(
    path: Path,
    documents: Iterable[str],
    vocabulary: Vocabulary,
    limit: int | None = None,
    advance: Callable[[int, int], None] = lambda documents, tokens: None,
) -> dict[str, Any]:
    """Tokenize documents into one shard, up to `limit` tokens, and return its entry in the manifest.

    `advance` is told of every batch of documents and tokens that was written.
    """
    count = 0
    with ShardWriter(path, len(vocabulary)) as shard:
        for batch in batched(documents):
            encoded = vocabulary.encode_batch(batch)
            ids = np.concatenate([part for one in encoded for part in ([vocabulary.end_id], one)])
            room = len(ids) if limit is None else limit - shard.tokens
            starts = itertools.accumulate((len(one) + 1 for one in encoded), initial=0)
            begun = sum(start < room for start in itertools.islice(starts, len(batch)))
            shard.write(ids[:room])
            count += begun
            advance(begun, min(len(ids), room))
            if len(ids) >= room and limit is not None:
                break
    return {'file': path.name, 'tokens': shard.tokens, 'documents': count, 'sha256': shard.sha256}


def batched(documents: Iterable[str]) -> Iterator[list[str]]:
    """Gather documents into lists that are worth a call of the tokenizer and fit in memory."""
    batch, characters = [], 0
    for document in documents:
        batch.append(document)
        characters += len(document)
        if len(batch) == BATCH_DOCUMENTS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def write_shards(
    folder: Path,
    documents: Callable[[int], Iterator[str]],
    vocabulary: Vocabulary,
    shards: int,
    tokens_per_shard: int,
    source: dict[str, Any],
    progress: Callable[[int], Any] = lambda tokens: None,
) -> None:
    """Tokenize `shards` streams of documents, each up to tokens_per_shard; a stream that ends sooner is kept whole.

    documents(i) yields the text of shard i. `source` says in the manifest where the text came from. The manifest is
    written last, so a folder without one is unfinished and is written again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(shards):
        entries.append(write_shard(folder / shard_name(number), documents(number), vocabulary, tokens_per_shard))
        progress(entries[-1]['tokens'])
    write_manifest(folder, vocabulary, source, entries)


def shard_name(number: int) -> str:
    """Name the file of a shard."""
    return f'tokens-{number:05d}.npy'


def write_manifest(folder: Path, vocabulary: Vocabulary, source: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    """Vouch for the shards of a folder; written last, since it says that all of them are there."""
    about = {
        'vocabulary': vocabulary.fingerprint,
        'vocabulary_name': vocabulary.name,
        'vocabulary_size': len(vocabulary),
        'end_id': vocabulary.end_id,
        'tokens': sum(entry['tokens'] for entry in entries),
        'documents': sum(entry['documents'] for entry in entries),
    }
    write_json(folder / MANIFEST, {**about, 'source': source, 'shards': entries})


def open_shards(folder: Path | str, vocabulary: Vocabulary | str | None, verify: bool = False) -> Shards:
    """Open the shards of a folder, memory-mapped.

    `vocabulary` is what they have to be made with: a vocabulary, its fingerprint, or None for any; training needs no
    tokenizer, only `Shards.vocabulary_size`. A folder may be the address of a bucket, gs://BUCKET/FOLDER: its shards
    are first copied to this machine's disk (`buckets.local_copy`).

    Raises FileNotFoundError for a missing manifest or shard, ValueError for another tokenizer, a wrong length, or,
    with verify, a wrong checksum; each names the file.
    """
    if '://' in str(folder):
        from t2jax.data.buckets import local_copy  # here: a study has no bucket

        folder = local_copy(str(folder))
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.exists():
        raise FileNotFoundError(f'no {path}; `t2jax tokenize` writes it, or, for the text of a study, `t2jax train`')
    manifest = read_json(path, f'delete {folder} and run the command that wrote it')
    lacks = {'vocabulary', 'vocabulary_size', 'end_id', 'source', 'shards'} - set(manifest)
    if lacks:
        raise ValueError(f'{path} lacks {", ".join(sorted(lacks))}; delete {folder} and run the command that wrote it')
    expected = vocabulary if vocabulary is None or isinstance(vocabulary, str) else vocabulary.fingerprint
    if expected not in (None, manifest['vocabulary']):
        raise ValueError(
            f'{folder} was tokenized with vocabulary {manifest["vocabulary"][:12]}, not with {expected[:12]}; '
            'use the vocabulary it was made with, or tokenize again into another folder'
        )
    if 'world' in manifest['source']:
        remedy = f'delete {folder} and run `t2jax train`'
    else:
        remedy = 'run `t2jax tokenize` again as before, it makes such shards anew'
    arrays = [open_shard(folder, entry, remedy, verify) for entry in manifest['shards']]
    return Shards(tuple(arrays), manifest)


def open_shard(folder: Path, entry: dict[str, Any], remedy: str, verify: bool) -> np.ndarray:
    """Memory-map one shard; raises FileNotFoundError or ValueError where it is not what its entry says."""
    file = folder / entry['file']
    if not file.exists():
        raise FileNotFoundError(f'shard {file} is missing; {remedy}')
    try:
        array = np.load(file, mmap_mode='r')
    except (ValueError, EOFError) as error:
        raise ValueError(f'shard {file} is damaged ({error}); {remedy}') from error
    if len(array) != entry['tokens']:
        raise ValueError(f'shard {file} has {len(array)} tokens and its manifest says {entry["tokens"]}; {remedy}')
    if verify and hashlib.sha256(np.ascontiguousarray(array)).hexdigest() != entry['sha256']:
        raise ValueError(f'shard {file} does not have the checksum of its manifest; {remedy}')
    return array
