"""Token shards: text tokenized once, kept as flat arrays of ids beside a manifest that vouches for them.

FOLDER/manifest.json     vocabulary fingerprint, source, and per shard: file, tokens, documents, sha256
FOLDER/tokens-00000.npy  uint16 or uint32 ids; documents are joined by the end token, which also starts the stream
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from t2jax.config import read_json, write_json

MANIFEST = 'manifest.json'


class Vocabulary(Protocol):
    """What tokenizing needs to know; `vocabulary.WordVocabulary` is one."""

    end_id: int

    def __len__(self) -> int:
        """Count its ids."""

    @property
    def fingerprint(self) -> str:
        """Identify the tokenizer: equal fingerprints encode equally."""

    def encode(self, text: str) -> np.ndarray:
        """Turn text into ids."""


@dataclass(frozen=True)
class Shards:
    """Opened shards: one read-only array per file (memory-mapped), and the manifest."""

    arrays: tuple[np.ndarray, ...]
    manifest: dict[str, Any]

    @property
    def tokens(self) -> int:
        """Total number of tokens."""
        return sum(len(array) for array in self.arrays)


def write_shards(
    folder: Path,
    documents: Callable[[int], Iterator[str]],
    vocabulary: Vocabulary,
    shards: int,
    tokens_per_shard: int,
    source: dict[str, Any],
    progress: Callable[[int], None] = lambda tokens: None,
) -> None:
    """Tokenize `shards` streams of documents, each up to tokens_per_shard; a stream that ends sooner is kept whole.

    documents(i) yields the text of shard i. `source` says in the manifest where the text came from. The manifest is
    written last, so a folder without one is unfinished and is written again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(shards):
        name = f'tokens-{number:05d}.npy'
        ids, count = _encode(documents(number), vocabulary, tokens_per_shard)
        with open(folder / name, 'wb') as file:
            np.save(file, ids)
        entries.append({'file': name, 'tokens': len(ids), 'documents': count, 'sha256': _digest(ids)})
        progress(len(ids))
    write_json(folder / MANIFEST, {'vocabulary': vocabulary.fingerprint, 'source': source, 'shards': entries})


def open_shards(folder: Path, vocabulary: Vocabulary, verify: bool = False) -> Shards:
    """Open the shards of a folder, memory-mapped.

    Raises FileNotFoundError for a missing manifest or shard, ValueError for another tokenizer, a wrong length, or,
    with verify, a wrong checksum; each names the file.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise FileNotFoundError(f'no {path}; `t2jax train` writes it')
    manifest = read_json(path, f'delete {folder} and run `t2jax train`')
    if manifest['vocabulary'] != vocabulary.fingerprint:
        raise ValueError(
            f'{folder} was tokenized with vocabulary {manifest["vocabulary"][:12]}, not with '
            f'{vocabulary.fingerprint[:12]}; use the vocabulary it was made with, or tokenize again'
        )
    arrays = []
    for entry in manifest['shards']:
        file = folder / entry['file']
        if not file.exists():
            raise FileNotFoundError(f'shard {file} is missing; delete {folder} and run `t2jax train`')
        try:
            array = np.load(file, mmap_mode='r')
        except (ValueError, EOFError) as error:
            raise ValueError(f'shard {file} is damaged ({error}); delete {folder} and run `t2jax train`') from error
        if len(array) != entry['tokens'] or (verify and _digest(array) != entry['sha256']):
            raise ValueError(f'shard {file} is not what its manifest says; delete {folder} and run `t2jax train`')
        arrays.append(array)
    return Shards(tuple(arrays), manifest)


def _encode(documents: Iterator[str], vocabulary: Vocabulary, limit: int) -> tuple[np.ndarray, int]:
    end = np.array([vocabulary.end_id])
    parts, total, count = [end], 1, 0
    for document in documents:
        ids = vocabulary.encode(document)
        parts += [ids, end]
        total, count = total + len(ids) + 1, count + 1
        if total >= limit:
            break
    ids = np.concatenate(parts)[:limit]
    return ids.astype(np.uint16 if len(vocabulary) <= 2**16 else np.uint32), count


def _digest(ids: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(ids)).hexdigest()
