"""Batches of whole rows, one example each, as a pure function of (seed, step).

Every row is read once an epoch, in an order of its own each epoch. Batches run on over the end of an epoch, and the
last one is filled up with rows that do not count, so that each row is read exactly `epochs` times.

What does not count towards the loss, a target in a prompt or behind the end of a row, is stored as ~id = -1 - id: one
array holds a batch, as of text, and no mask can come apart from its tokens.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

LEAST_WIDTH = 32  # what a narrower program saves is less than it takes to compile


def mark(tokens_RT: np.ndarray, counts_RT: np.ndarray) -> np.ndarray:
    """Return ids [R, T], int32, with each target that does not count as ~id."""
    return np.where(counts_RT, tokens_RT, ~tokens_RT.astype(np.int32)).astype(np.int32)


def in_batches(marked_RT: np.ndarray, batch: int) -> np.ndarray:
    """Cut rows into batches [C, B, T], the last filled up with rows that do not count."""
    filler = np.full((-len(marked_RT) % batch, marked_RT.shape[1]), ~0, np.int32)
    return np.concatenate([marked_RT, filler]).reshape(-1, batch, marked_RT.shape[1])


def used_width(tokens_SBT: np.ndarray) -> int:
    """Return the width up to which a block of batches has to be computed: what follows counts nowhere.

    One of a few widths, two to an octave, so that few shapes are compiled; all of it where it is text.
    """
    whole = tokens_SBT.shape[2]
    if np.issubdtype(tokens_SBT.dtype, np.unsignedinteger):
        return whole
    last = np.flatnonzero((tokens_SBT >= 0).any(axis=(0, 1)))[-1]
    octave = max(LEAST_WIDTH, 1 << (int(last) - 1).bit_length())
    steps = octave * 3 // 4, octave
    return min(whole, 1 + next(step for step in steps if step >= max(last, LEAST_WIDTH)))


class RowFeed:
    """Random access to batches of rows: what `feed.Feed` is for text."""

    def __init__(
        self, marked_RT: np.ndarray, batch_sequences: int, seed: int, epochs: int, vocabulary: Mapping[str, Any]
    ) -> None:
        """Take rows as `mark` returns them; raises ValueError where there are none, or one has nothing that counts."""
        if not len(marked_RT):
            raise ValueError('there are no rows to train on; give at least one')
        empty = np.flatnonzero((marked_RT[:, 1:] < 0).all(axis=1))
        if len(empty):
            raise ValueError(f'row {empty[0]} has no token that counts; leave it out')
        if epochs < 1 or batch_sequences < 1:
            raise ValueError(f'epochs is {epochs} and the batch {batch_sequences}; each is at least 1')
        self.batch_sequences, self.sequence_length, self.epochs = batch_sequences, marked_RT.shape[1] - 1, epochs
        self.vocabulary = dict(vocabulary)
        self.steps = -(-epochs * len(marked_RT) // batch_sequences)
        self._batches = in_batches(marked_RT[self._order(seed, len(marked_RT))], batch_sequences)

    def _order(self, seed: int, rows: int) -> np.ndarray:
        return np.concatenate([np.random.default_rng((seed, 4, e)).permutation(rows) for e in range(self.epochs)])

    def batches(self, start: int, count: int, rows: np.ndarray | slice | None = None) -> np.ndarray:
        """Return steps start .. start + count as marked ids [count, rows, T], of these rows of each batch.

        Raises ValueError past the end of the last epoch.
        """
        if not 0 <= start <= start + count <= self.steps:
            raise ValueError(f'step {start + count} is beyond the {self.steps} steps of {self.epochs} epochs')
        return self._batches[start : start + count, slice(None) if rows is None else rows]

    def read(self, step: int, rows: np.ndarray | slice) -> np.ndarray:
        """Return these rows of one step's batch."""
        return self.batches(step, 1, rows)[0]
