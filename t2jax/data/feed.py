"""Batches as a pure function of (seed, step): a seeded permutation of fixed windows over the token shards.

Window w holds tokens w T .. (w + 1) T inclusive, so every token is a target once an epoch. The order depends on the
seed and the text alone: not on hosts, devices, batch boundaries or where a run was resumed. Each epoch is permuted
anew and ends with its last whole batch: the windows left over, fewer than one batch, go unread in that epoch, and are
others in the next.

A step is the only position there is. Hosts differ in nothing but the rows of the global batch that they read
(`host_rows`); `to_global` makes one array of all hosts' rows.
"""

import threading
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import NamedSharding

from t2jax.data.rows import RowFeed
from t2jax.data.shards import ABOUT_VOCABULARY, Shards

PREFETCH = 4  # blocks read ahead, each by a thread of its own


class Feed:
    """Random access to training batches; safe to read from several threads."""

    def __init__(self, shards: Shards, batch_sequences: int, sequence_length: int, seed: int, epochs: int = 1) -> None:
        """Lay out windows of sequence_length + 1 tokens; raises ValueError if there is not one batch of them."""
        if epochs < 1:
            raise ValueError(f'epochs is {epochs}; the text has to be read at least once')
        self.batch_sequences, self.sequence_length, self.epochs = batch_sequences, sequence_length, epochs
        self.vocabulary = {name: shards.manifest[name] for name in ABOUT_VOCABULARY if name in shards.manifest}
        self._arrays = [array.view(np.ndarray) for array in shards.arrays]  # slices of a memmap are slow to make
        self._starts = np.cumsum([0] + [len(array) for array in shards.arrays])
        self._windows = (shards.tokens - 1) // sequence_length
        self._epoch_steps = self._windows // batch_sequences
        if self._epoch_steps < 1:
            raise ValueError(
                f'{shards.tokens} tokens do not fill one batch of {batch_sequences} x {sequence_length}; '
                'use more text or a smaller batch'
            )
        self.steps = epochs * self._epoch_steps
        self._seed, self._orders, self._lock = seed, {}, threading.Lock()

    def batches(self, start: int, count: int, rows: np.ndarray | slice | None = None) -> np.ndarray:
        """Return steps start .. start + count as ids [count, rows, sequence + 1] (uint16 or uint32).

        rows are those of the global batch to read, all where None. Raises ValueError past the end of the last epoch:
        no run sees a token twice unless it asks to.
        """
        if not 0 <= start <= start + count <= self.steps:
            epochs = '1 epoch' if self.epochs == 1 else f'{self.epochs} epochs'
            raise ValueError(
                f'step {start + count} needs more text than the {self.steps} steps there are in {epochs}; '
                'tokenize more, or raise recipe.epochs to repeat the text'
            )
        rows = np.arange(self.batch_sequences)[slice(None) if rows is None else rows]
        windows = [self._windows_of(step)[rows] for step in range(start, start + count)]
        out = np.empty((count * len(rows), self.sequence_length + 1), self._arrays[0].dtype)
        if len(out):
            self._read(np.concatenate(windows).astype(np.int64) * self.sequence_length, out)
        return out.reshape(count, len(rows), self.sequence_length + 1)

    def read(self, step: int, rows: np.ndarray | slice) -> np.ndarray:
        """Return these rows of the global batch of one step as ids [rows, sequence + 1]."""
        return self.batches(step, 1, rows)[0]

    def _windows_of(self, step: int) -> np.ndarray:
        epoch, step = divmod(step, self._epoch_steps)
        return self._order(epoch)[step * self.batch_sequences : (step + 1) * self.batch_sequences]

    def _order(self, epoch: int) -> np.ndarray:
        """Permute the windows: 5 s and 0.22 GB for the 56 million of the longest run of the paper's grid."""
        with self._lock:
            if epoch not in self._orders:
                order = np.arange(self._windows, dtype=np.min_scalar_type(self._windows))
                np.random.default_rng((self._seed, 3, epoch)).shuffle(order)
                self._orders = {e: o for e, o in self._orders.items() if abs(e - epoch) == 1} | {epoch: order}
            return self._orders[epoch]

    def _read(self, starts: np.ndarray, out: np.ndarray) -> None:
        """Fill each row of out with the tokens from its start on, over shard borders where it has to."""
        shards = np.searchsorted(self._starts, starts, side='right') - 1
        offsets = starts - self._starts[shards]
        for row, shard, offset in zip(out, shards.tolist(), offsets.tolist()):
            filled = 0
            while filled < len(row):
                part = self._arrays[shard][offset : offset + len(row) - filled]
                row[filled : filled + len(part)] = part
                filled, offset, shard = filled + len(part), 0, shard + 1


def stream(
    feed: Feed | RowFeed, start: int, stop: int, per: int, rows: np.ndarray | slice | None = None
) -> Iterator[np.ndarray]:
    """Yield steps start .. stop in blocks of `per` steps [per, rows, sequence + 1], the last as short as it comes.

    Where Grain is installed, its threads read ahead while the caller trains; elsewhere each block is read when it is
    asked for. The values are the same. The threads end with the iterator.
    """
    blocks = _Blocks(feed, start, stop, per, rows)
    if isinstance(feed, RowFeed):  # which is in memory
        yield from (blocks[i] for i in range(len(blocks)))
        return
    try:
        import grain  # here: it takes a second to import, and images made for GPUs come without
    except ImportError:
        yield from (blocks[i] for i in range(len(blocks)))
        return
    options = grain.ReadOptions(num_threads=PREFETCH, prefetch_buffer_size=PREFETCH)
    yield from iter(grain.MapDataset.source(blocks).to_iter_dataset(options))  # which is closed with this generator


class _Blocks:
    """What stream reads, as the random-access source that Grain asks for."""

    def __init__(self, feed: Feed | RowFeed, start: int, stop: int, per: int, rows: np.ndarray | slice | None) -> None:
        self._feed, self._starts, self._stop, self._per, self._rows = feed, range(start, stop, per), stop, per, rows

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, block: int) -> np.ndarray:
        start = self._starts[block]
        return self._feed.batches(start, min(self._per, self._stop - start), self._rows)


def host_rows(sharding: NamedSharding, batch: int) -> np.ndarray:
    """Return the rows of a global batch that this host's devices hold, sorted: all of them where there is one host.

    sharding is that of ids [steps, batch, length], split along batch alone; hosts among which nothing but the model is
    split hold the same rows.
    """
    parts = sharding.addressable_devices_indices_map((1, batch, 1)).values()
    return np.unique(np.concatenate([np.arange(batch)[index[1]] for index in parts]))


def to_global(block: np.ndarray, rows: np.ndarray, sharding: NamedSharding, batch: int) -> jax.Array:
    """Place this host's rows [steps, rows, length] of a global batch, giving the array [steps, batch, length] of all.

    rows are those of host_rows, and sharding and batch what they were asked of.
    """
    if block.shape[1] != len(rows):
        raise ValueError(f'a block of {block.shape[1]} rows is not that of {len(rows)}; read it with these rows')

    def part(index: tuple[slice, ...]) -> np.ndarray:
        first, stop, _ = index[1].indices(batch)
        at = int(np.searchsorted(rows, first))  # a device's rows follow one another here, too
        return block[index[0], at : at + stop - first, index[2]]

    return jax.make_array_from_callback((len(block), batch, block.shape[2]), sharding, part)
