"""Batches as a pure function of (seed, step): a seeded permutation of fixed windows over the token shards.

Window w holds tokens w T .. (w + 1) T inclusive, so every token is a target once an epoch. The order depends on the
seed and the text alone: not on hosts, devices, batch boundaries or where a run was resumed.
"""

import numpy as np

from t2jax.data.shards import Shards


class Feed:
    """Random access to training batches."""

    def __init__(self, shards: Shards, batch_sequences: int, sequence_length: int, seed: int) -> None:
        """Lay out windows of sequence_length + 1 tokens; raises ValueError if there is not one batch of them."""
        self.batch_sequences, self.sequence_length = batch_sequences, sequence_length
        self._arrays = shards.arrays
        self._starts = np.cumsum([0] + [len(array) for array in shards.arrays])
        windows = (shards.tokens - 1) // sequence_length
        self.steps = windows // batch_sequences  # in one epoch
        if self.steps < 1:
            raise ValueError(
                f'{shards.tokens} tokens do not fill one batch of {batch_sequences} x {sequence_length}; '
                'use more text or a smaller batch'
            )
        self._order = np.random.default_rng((seed, 3)).permutation(windows)

    def batches(self, start: int, count: int) -> np.ndarray:
        """Return steps start .. start + count as ids [count, batch, sequence + 1] (uint16 or uint32).

        Raises ValueError past the end of the epoch: no run sees a token twice unless it asks to.
        """
        if start + count > self.steps:
            raise ValueError(
                f'step {start + count} needs more text than the {self.steps} steps there are; tokenize more'
            )
        size = self.batch_sequences
        windows = self._order[start * size : (start + count) * size]
        out = np.empty((len(windows), self.sequence_length + 1), self._arrays[0].dtype)
        for row, window in zip(out, windows.tolist()):
            self._read(window * self.sequence_length, row)
        return out.reshape(count, size, -1)

    def _read(self, start: int, row: np.ndarray) -> None:
        shard = int(np.searchsorted(self._starts, start, side='right')) - 1
        filled, offset = 0, start - int(self._starts[shard])
        while filled < len(row):
            part = self._arrays[shard][offset : offset + len(row) - filled]
            row[filled : filled + len(part)] = part
            filled, offset, shard = filled + len(part), 0, shard + 1
