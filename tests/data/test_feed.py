"""The feed: no window lost or doubled, order a function of (seed, step) on any hosts, with Grain or without."""

import gc
import itertools
import signal
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest

from t2jax import mesh as meshes
from t2jax.data.feed import Feed, host_rows, stream, to_global
from t2jax.data.shards import Shards


def feed_of(tokens, batch, length, seed=0, epochs=1, borders=()):
    arrays = np.split(np.arange(tokens, dtype=np.uint16), borders)
    return Feed(Shards(tuple(arrays), {}), batch, length, seed, epochs)


def test_each_window_comes_once_an_epoch_across_shard_borders():
    feed = feed_of(1001, 4, 10, seed=5, borders=[13, 14, 500])
    assert feed.steps == 25
    rows = feed.batches(0, 25).reshape(-1, 11)
    assert (np.diff(rows.astype(int), axis=1) == 1).all()  # windows are contiguous
    assert sorted(rows[:, 1:].ravel()) == list(range(1, 1001))  # every token is a target once
    np.testing.assert_array_equal(rows[:, 0] // 10, np.random.default_rng((5, 3)).permutation(100))
    np.testing.assert_array_equal(feed.batches(7, 3), feed.batches(0, 25)[7:10])
    assert (feed_of(1001, 4, 10, seed=6).batches(0, 25) != feed.batches(0, 25)).any()


def test_each_epoch_has_an_order_of_its_own_and_whole_batches():
    feed = feed_of(1001, 3, 10, epochs=3)
    assert feed.steps == 3 * 33  # one window of the hundred stays unread in each epoch
    first = feed.batches(0, 99)[:, :, 0].reshape(3, 99)
    assert all(len(set(epoch)) == 99 for epoch in first)
    assert len({int(np.setdiff1d(np.arange(100), epoch // 10)[0]) for epoch in first}) > 1
    assert len({tuple(epoch) for epoch in first}) == 3
    np.testing.assert_array_equal(feed.batches(0, 33), feed_of(1001, 3, 10).batches(0, 33))
    backwards = [feed_of(1001, 3, 10, epochs=3).read(step, slice(None)) for step in reversed(range(99))]
    np.testing.assert_array_equal(feed.batches(0, 99), backwards[::-1])


@pytest.mark.parametrize('hosts', [2, 8])
def test_hosts_read_the_batches_that_one_host_reads(hosts):
    feed, alone = feed_of(1001, 8, 10, epochs=2), feed_of(1001, 8, 10, epochs=2).batches(10, 5)
    parts = np.split(np.arange(8), hosts)
    np.testing.assert_array_equal(np.concatenate([feed.batches(10, 5, rows) for rows in parts], 1), alone)
    striped = [feed.read(12, slice(host, None, hosts)) for host in range(hosts)]
    np.testing.assert_array_equal(np.stack(striped, 1).reshape(8, 11), alone[2])


def test_more_steps_than_text_are_refused():
    with pytest.raises(ValueError, match='step 6 needs more text than the 5 steps there are in 1 epoch; tokenize more'):
        feed_of(100, 2, 9).batches(4, 2)
    with pytest.raises(ValueError, match='step 11 needs more text than the 10 steps there are in 2 epochs; tokenize'):
        list(stream(feed_of(100, 2, 9, epochs=2), 4, 11, 3))
    with pytest.raises(ValueError, match='100 tokens do not fill one batch of 64 x 9'):
        feed_of(100, 64, 9)
    with pytest.raises(ValueError, match='epochs is 0; the text has to be read at least once'):
        feed_of(100, 2, 9, epochs=0)


@pytest.mark.parametrize('grain', [True, False], ids=['grain', 'plain'])
def test_a_stream_is_the_batches_from_any_step(grain, monkeypatch):
    if grain:
        pytest.importorskip('grain', reason='Grain is not installed here')
    else:
        monkeypatch.setitem(sys.modules, 'grain', None)
    feed, rows = feed_of(1001, 4, 10, epochs=2), np.array([1, 3])
    for start, stop in ((0, 50), (7, 31), (24, 26), (9, 9)):
        blocks = list(stream(feed, start, stop, 8, rows))
        assert [len(block) for block in blocks[:-1]] == [8] * (len(blocks) - 1)
        whole = np.concatenate([np.empty((0, 2, 11), np.uint16), *blocks])
        np.testing.assert_array_equal(whole, feed.batches(start, stop - start, rows))


def reading_threads():
    return [thread for thread in threading.enumerate() if 'grain' in thread.name]


def test_a_dropped_stream_leaves_no_thread():
    pytest.importorskip('grain', reason='Grain is not installed here')
    blocks = stream(feed_of(1001, 4, 10), 0, 25, 1)
    next(blocks)
    assert reading_threads()
    del blocks
    gc.collect()
    for _ in range(100):
        if not reading_threads():
            return
        time.sleep(0.05)
    raise AssertionError(reading_threads())


INTERRUPTED = """
import numpy as np
from t2jax.data.feed import Feed, stream
from t2jax.data.shards import Shards
feed = Feed(Shards((np.zeros(10**7, np.uint16),), {}), 64, 10, 0, epochs=10**6)
for number, block in enumerate(stream(feed, 0, feed.steps, 100)):
    if number == 3:
        print('reading', flush=True)
"""


@pytest.mark.slow
def test_ctrl_c_ends_a_process_that_reads(pytestconfig):
    reader = subprocess.Popen(
        [sys.executable, '-c', INTERRUPTED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=pytestconfig.rootpath
    )
    assert reader.stdout.readline() == b'reading\n'
    reader.send_signal(signal.SIGINT)
    assert b'KeyboardInterrupt' in reader.communicate(timeout=20)[1]
    assert reader.returncode == -signal.SIGINT


class Host:
    """One host's view of a sharding, its devices being a few of this process's."""

    def __init__(self, sharding, devices):
        self._sharding, self._devices = sharding, devices

    def addressable_devices_indices_map(self, shape):
        return {d: index for d, index in self._sharding.devices_indices_map(shape).items() if d in self._devices}


@pytest.mark.parametrize(('fsdp', 'tensor'), [(1, 1), (4, 1), (2, 2), (1, 4), (1, 8)])
def test_a_host_reads_the_rows_of_its_devices_alone(fsdp, tensor):
    devices = jax.devices()
    mesh = meshes.make_mesh(devices, meshes.Layout(fsdp=fsdp, tensor=tensor))
    where = meshes.sharding(mesh, ('step', 'batch', 'length'))
    for per_host in (1, 2, 4):
        hosts = [Host(where, devices[i : i + per_host]) for i in range(0, 8, per_host)]
        rows = [host_rows(host, 16) for host in hosts]
        assert {len(r) for r in rows} == {max(16 * per_host // 8, 16 * tensor // 8)}  # as few as the mesh allows
        assert set(itertools.chain(*rows)) == set(range(16))
    odd = Host(where, devices[1::2])  # rows need not follow one another
    assert list(host_rows(odd, 16)) == ([2, 3, 6, 7, 10, 11, 14, 15] if tensor == 1 else list(range(16)))


@pytest.mark.parametrize(('fsdp', 'tensor'), [(1, 1), (4, 1), (2, 2), (1, 8)])
def test_a_placed_batch_is_the_batch(fsdp, tensor):
    block = feed_of(4000, 16, 10).batches(2, 3)
    mesh = meshes.make_mesh(jax.devices(), meshes.Layout(fsdp=fsdp, tensor=tensor))
    where = meshes.sharding(mesh, ('step', 'batch', 'length'))
    placed = to_global(block, host_rows(where, 16), where, 16)
    assert placed.sharding == where
    np.testing.assert_array_equal(placed, block)
    with pytest.raises(ValueError, match='a block of 16 rows is not that of 4'):
        to_global(block, np.arange(4), where, 16)
