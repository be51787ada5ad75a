"""Contamination: which n-grams of tokens of a question stand in the training text.

The hash of n tokens is sum_j h[t_j] B^j mod 2^64, h a random number for each id and B odd, so with prefix sums
P[i] = sum_{j<i} h[t_j] B^j that of the window at i is (P[i + n] - P[i]) B^-i: one pass over the text for each distinct
n, whatever the number of questions. A false match of one pair has a chance of about 2^-64 (Karp and Rabin 1987).

n = 13 is the habit since GPT-3 (arXiv 2005.14165, appendix C; words there). Llama 2 (arXiv 2307.09288, appendix A.6)
asks instead what share of a question's tokens is covered; here n-grams of tokens are counted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from t2jax.data.shards import Shards

BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse mod 2^64
CHUNK = 2**16  # tokens hashed at once: what fits in a core's cache
SPARSE_BITS = 5  # of the first, rough look-up: at most 1 in 2^5 windows goes on to the exact one by chance


@dataclass(frozen=True)
class Overlap:
    """Of each question [rows], int64: its n-grams, those that the text has, and of these those with answer tokens."""

    ngrams: np.ndarray
    found: np.ndarray
    found_with_answer: np.ndarray


def find_overlap(
    shards: Shards,
    rows: Sequence[np.ndarray],
    answer_starts: Sequence[int],
    n: int = 13,
    progress: Callable[[int], Any] = lambda tokens: None,
    chunk: int = CHUNK,
) -> Overlap:
    """Count the n-grams of each question that stand in the shards, within one document of one shard.

    rows[i] holds the ids of prompt and answer, made with the tokenizer of the shards and without their end token; the
    answer begins at answer_starts[i]. A row shorter than n is one n-gram of its own length. `progress` is told of the
    tokens of every chunk of the text; chunks bound the memory and change nothing else.

    Raises ValueError for n below 1, an empty row, an id that the shards cannot have, and an answer that starts outside
    its row.
    """
    if n < 1:
        raise ValueError(f'n is {n}; an n-gram has at least 1 token')
    rows = [np.asarray(row) for row in rows]
    _check(shards, rows, answer_starts)
    longest = max((len(row) for row in rows), default=0)
    hashes = _Hashes(shards.vocabulary_size, max(chunk + n - 1, longest))
    lengths = [min(n, len(row)) for row in rows]
    grams = [next(hashes.windows(row, [length])) for row, length in zip(rows, lengths)]
    lookups = {
        length: _Lookup(np.concatenate([gram for gram, its in zip(grams, lengths) if its == length]))
        for length in sorted(set(lengths))
    }
    for array in shards.arrays if lookups else ():
        for start in range(0, len(array), chunk):
            ids = np.asarray(array[start : start + chunk + max(lookups) - 1])
            for lookup, window in zip(lookups.values(), hashes.windows(ids, list(lookups))):
                lookup.mark(window)
            progress(min(chunk, len(array) - start))
    hits = [lookups[length].marked(gram) for gram, length in zip(grams, lengths)]
    # the first gram that reaches into the answer ends on its first token
    reaching = [max(0, start - length + 1) for start, length in zip(answer_starts, lengths)]
    counts = (
        [len(gram) for gram in grams],
        [hit.sum() for hit in hits],
        [hit[i:].sum() for hit, i in zip(hits, reaching)],
    )
    return Overlap(*(np.array(count, np.int64) for count in counts))


def _check(shards: Shards, rows: list[np.ndarray], answer_starts: Sequence[int]) -> None:
    if len(answer_starts) != len(rows):
        raise ValueError(f'there are {len(rows)} rows and {len(answer_starts)} answer starts; give one for each row')
    for i, (row, start) in enumerate(zip(rows, answer_starts)):
        if not len(row):
            raise ValueError(f'row {i} is empty; a question has tokens')
        if not 0 <= start < len(row):
            raise ValueError(f'the answer of row {i} starts at {start}; it has to start within its {len(row)} tokens')
        odd = row[(row < 0) | (row >= shards.vocabulary_size) | (row == shards.end_id)]
        if len(odd):
            what = 'ends documents' if odd[0] == shards.end_id else f'is not below {shards.vocabulary_size}'
            raise ValueError(
                f'row {i} has id {odd[0]}, which {what} in the shards; encode it with their tokenizer, no end token'
            )


class _Hashes:
    """Hashes windows of ids; the numbers are fixed, so equal windows have equal hashes anywhere."""

    def __init__(self, vocabulary_size: int, longest: int) -> None:
        self._of_id = np.random.default_rng(0).integers(2**64, size=vocabulary_size, dtype=np.uint64)
        self._powers, self._inverses = (_powers(base, longest) for base in (BASE, pow(BASE, -1, 2**64)))

    def windows(self, ids: np.ndarray, lengths: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield for each length the hashes [max(0, len(ids) - length + 1)] of all windows, by start."""
        sums = np.zeros(len(ids) + 1, np.uint64)
        terms = self._of_id[ids]
        terms *= self._powers[: len(ids)]
        np.cumsum(terms, out=sums[1:])
        for length in lengths:
            count = max(0, len(sums) - length)
            window = sums[length:] - sums[:count]
            window *= self._inverses[:count]
            yield window


def _powers(base: int, count: int) -> np.ndarray:
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.multiply.accumulate(powers)


class _Lookup:
    """The hashes sought, of one length, and which of them were met."""

    def __init__(self, hashes: np.ndarray) -> None:
        self._sought = np.unique(hashes)
        self._met = np.zeros(len(self._sought), bool)
        bits = min(28, len(self._sought).bit_length() + SPARSE_BITS)
        self._shift = np.uint64(64 - bits)  # high bits: the low ones of such a sum mix less
        self._rough = np.zeros(2**bits, bool)
        self._rough[self._sought >> self._shift] = True

    def mark(self, windows: np.ndarray) -> None:
        """Note which sought hashes are among these."""
        likely = windows[self._rough[windows >> self._shift]]
        at = np.minimum(np.searchsorted(self._sought, likely), len(self._sought) - 1)
        self._met[at[self._sought[at] == likely]] = True

    def marked(self, hashes: np.ndarray) -> np.ndarray:
        """Say of each sought hash whether it was met."""
        return self._met[np.searchsorted(self._sought, hashes)]
