"""The loop: what it records and keeps, and what it does about stops, damage, leaping losses and full disks."""

import dataclasses
import json
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

import fsspec
import jax
import numpy as np
import pytest
from etils import epath
from fsspec.implementations.memory import MemoryFileSystem

from t2jax import costs
from t2jax.chips import TPUS
from t2jax.config import claim
from t2jax.data.feed import Feed
from t2jax.data.shards import Shards
from t2jax.mesh import Layout, make_mesh
from t2jax.training import board, checkpoint, jobs, loop
from t2jax.training.checkpoint import Checkpoints, latest_step
from t2jax.training.metrics import Dispatch, Facts, Metrics, Watch
from t2jax.training.recipe import make_schedule, multiplier

QUIET = Watch(tensorboard=False)


@pytest.fixture(scope='module')
def mesh():
    return make_mesh(jax.devices()[:1])


@pytest.fixture(scope='module')
def kept(run, feed, mesh, tmp_path_factory):
    """A finished run with several checkpoints."""
    often = dataclasses.replace(run, checkpoints=Checkpoints(every=8, keep_last=2, keep_every=16))
    folder = tmp_path_factory.mktemp('kept')
    return often, loop.train(often, feed, folder, mesh, watch=QUIET), folder


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((np.asarray(x) == np.asarray(y)).all()), a, b)))


def lines(folder):
    return [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]


def steps_in(folder):
    return sorted(path.name for path in (folder / 'checkpoints').iterdir())


def test_checkpoints_are_kept_as_asked_and_say_where_they_are(kept):
    run, _, folder = kept
    assert steps_in(folder) == ['16', '32', '40']
    position = json.loads((folder / 'checkpoints' / '32' / 'position' / 'metadata').read_text())
    assert (position['step'], position['tokens'], position['epoch']) == (32, 32 * 64, 0)
    assert position['layout'] == dataclasses.asdict(run.layout) and position['devices'] == '1 x cpu'
    with pytest.raises(ValueError, match='keep_every 12 is no multiple of checkpoints.every 8'):
        Checkpoints(every=8, keep_every=12)


def test_a_run_records_what_it_did(kept, mesh, feed, tmp_path, monkeypatch):
    run, _, folder = kept
    result, rows = json.loads((folder / 'result.json').read_text()), lines(folder)
    assert result['tokens'] == 64 * 40 and result['train_flops'] == 6 * costs.count_params(run.model) * 64 * 40
    assert result['executed_flops'] == 40 * costs.train_step_flops(run.model, 8, 8)
    assert result['loss'] == rows[-1]['loss'] and result['seconds'] == pytest.approx(
        sum(r['seconds'] for r in rows), abs=1e-3
    )
    schedule = make_schedule(run.recipe, run.model, run.tokens)
    expected = [float(schedule.peak_rate * multiplier(schedule, jax.numpy.int32(r['step'] - 1))) for r in rows]
    np.testing.assert_allclose([r['learning_rate'] for r in rows], expected, rtol=1e-5)
    assert 'mfu' not in rows[0]  # of a CPU nobody knows the peak
    monkeypatch.setattr(loop, 'chip_of', lambda kind: TPUS['v4'])
    loop.train(run, feed, tmp_path, mesh, watch=QUIET)
    row = lines(tmp_path)[-1]
    by_hand = 8 * run.step_flops / row['seconds'] / TPUS['v4'].flops
    assert row['mfu'] == pytest.approx(by_hand, rel=0.01)


def test_losses_are_read_one_dispatch_late(run, feed, mesh, tmp_path, monkeypatch):
    """The next dispatch is queued before the losses of one are fetched; before a checkpoint all of them are."""
    events, real = [], jobs._compiled(run.model, run.recipe, mesh, run.layout)

    class Lazy:
        def __init__(self, name, array):
            self.name, self.array = name, array

        def __array__(self, *args, **kwargs):
            events.append(f'read {self.name}')
            return np.asarray(self.array)

    def watched(state, *args):
        name = sum(event.startswith('queue') for event in events)
        events.append(f'queue {name}')
        state, losses, norms = real(state, *args)
        return state, Lazy(name, losses), norms

    monkeypatch.setattr(jobs, '_compiled', lambda *args: watched)
    monkeypatch.setattr(loop.CheckpointFolder, 'save', lambda self, step, *args: events.append(f'save {step}'))
    loop.train(dataclasses.replace(run, checkpoints=Checkpoints(every=24)), feed, tmp_path, mesh, watch=QUIET)
    assert ' '.join(events) == (
        'queue 0 queue 1 read 0 queue 2 read 1 read 2 save 24 queue 3 queue 4 read 3 read 4 save 40'
    )


def test_layout_and_checkpoints_may_change_on_resume_and_nothing_else(run, feed, finished, mesh, tmp_path):
    calls = iter(range(100))
    with pytest.raises(loop.Stopped, match='stopped at step 24 of 40 and saved it'):
        loop.train(run, feed, tmp_path, mesh, should_stop=lambda: next(calls) >= 3, watch=QUIET)
    other = dataclasses.replace(run, layout=Layout(fsdp=2, steps_per_dispatch=5), checkpoints=Checkpoints(every=7))
    with pytest.raises(ValueError, match=r'another config \(recipe.z_loss: 0.0001 -> 0.0\)'):
        z_less = dataclasses.replace(other.recipe, z_loss=0.0)
        loop.train(dataclasses.replace(other, recipe=z_less), feed, tmp_path, mesh, watch=QUIET)
    state = loop.train(other, feed, tmp_path, make_mesh(jax.devices()[:2], other.layout), watch=QUIET)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-3)
    jax.tree.map(close, state.params, finished[0].params)
    assert [row['step'] for row in lines(tmp_path)] == [8, 16, 24, 28, 33, 35, 40]


def spoil(checkpoint, how):
    data = max((p for p in (checkpoint / 'state').rglob('*') if p.is_file()), key=lambda p: p.stat().st_size)
    if how == 'cut':
        data.write_bytes(data.read_bytes()[:100])
    elif how == 'lost':
        shutil.rmtree(checkpoint / 'position')
    else:  # what was saved is another state than what the position was written for
        path = checkpoint / 'position' / 'metadata'
        path.write_text(json.dumps(json.loads(path.read_text()) | {'sum': 1}))


@pytest.mark.parametrize('how', ['cut', 'lost', 'other'])
def test_a_damaged_checkpoint_is_moved_aside_for_the_one_before(kept, feed, mesh, tmp_path, capsys, how):
    run, finished, folder = kept
    shutil.copytree(folder, tmp_path / 'copy')
    folder = tmp_path / 'copy'
    spoil(folder / 'checkpoints' / '40', how)
    state = loop.train(run, feed, folder, mesh, watch=QUIET)
    said = capsys.readouterr().err
    assert 'checkpoints/40 is damaged: moved to 40.damaged, going on from 32' in said and said.count('\n') == 1
    assert same(state, finished)
    assert steps_in(folder) == ['16', '32', '40', '40.damaged']
    assert [row['step'] for row in lines(folder)] == [8, 16, 24, 32, 40]  # none twice


def test_a_run_with_no_readable_checkpoint_is_refused_and_left_alone(kept, feed, mesh, tmp_path):
    run, _, folder = kept
    shutil.copytree(folder, tmp_path / 'copy')
    for step in ('16', '32', '40'):
        spoil(tmp_path / 'copy' / 'checkpoints' / step, 'cut')
    with pytest.raises(ValueError, match=r'checkpoint .*/40 cannot be read .*; delete that folder'):
        loop.train(run, feed, tmp_path / 'copy', mesh, watch=QUIET)
    assert steps_in(tmp_path / 'copy') == ['16', '32', '40']


def test_other_text_is_refused(kept, mesh, feed, tmp_path):
    run, _, folder = kept
    shutil.copytree(folder, tmp_path / 'copy')
    ids = np.random.default_rng(1).integers(0, 11, 40_000).astype(np.uint16)
    other = Feed(Shards((ids,), {}), 8, 8, seed=0)
    with pytest.raises(ValueError, match='run d16 was trained on other text than it is given now'):
        loop.train(run, other, tmp_path / 'copy', mesh, watch=QUIET)
    short = Feed(Shards((ids[: 64 * 20 + 1],), {}), 8, 8, seed=0)
    with pytest.raises(ValueError, match='step 40 needs more text than the 20 steps there are in 1 epoch'):
        loop.train(run, short, tmp_path / 'short', mesh, watch=QUIET)
    assert not (tmp_path / 'short').exists()


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_stops_and_the_run_goes_on(run, feed, finished, mesh, tmp_path, number, code):
    before, presses = signal.getsignal(number), iter([number])

    def press(flops):
        for number in presses if flops else ():
            os.kill(os.getpid(), number)

    with pytest.raises(loop.Stopped) as stopped:
        loop.train(run, feed, tmp_path, mesh, press, watch=QUIET)
    assert stopped.value.code == code and signal.getsignal(number) is before
    assert latest_step(tmp_path / 'checkpoints') == 16  # asked when the first dispatch was read, the second queued
    assert same(loop.train(run, feed, tmp_path, mesh, watch=QUIET), finished[0])


def test_a_second_ctrl_c_stops_at_once(run, feed, mesh, tmp_path):
    def press(flops):
        for _ in range(2 if flops else 0):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)  # two that come together are one

    with pytest.raises(KeyboardInterrupt) as stopped:
        loop.train(run, feed, tmp_path, mesh, press, watch=QUIET)
    assert not isinstance(stopped.value, loop.Stopped)
    assert latest_step(tmp_path / 'checkpoints') is None


def test_a_leap_of_the_loss_stops_the_run_before_it_is_saved(run, feed, mesh, tmp_path, monkeypatch):
    real, calls = jobs._compiled(run.model, run.recipe, mesh, run.layout), iter(range(100))

    def leaps(*args):
        state, losses, norms = real(*args)
        return state, losses + 4 * (next(calls) == 2), norms

    monkeypatch.setattr(jobs, '_compiled', lambda *args: leaps)
    often = dataclasses.replace(run, checkpoints=Checkpoints(every=8))
    with pytest.raises(FloatingPointError, match='loss of run d16 leapt between steps 16 and 24 from .* spike_nats 3;'):
        loop.train(often, feed, tmp_path, mesh, watch=QUIET)
    assert latest_step(tmp_path / 'checkpoints') == 16 and lines(tmp_path)[-1]['step'] == 16
    calls = iter(range(2, 100))  # leaps again, after the resume; the usual loss is read from the record
    with pytest.raises(FloatingPointError, match='between steps 16 and 24'):
        loop.train(often, feed, tmp_path, mesh, watch=QUIET)
    calls = iter(range(2, 100))
    loop.train(dataclasses.replace(often, spike_nats=0.0), feed, tmp_path, mesh, watch=QUIET)


def test_a_full_disk_keeps_the_checkpoint_before(run, feed, finished, mesh, tmp_path):
    calls = iter(range(100))
    with pytest.raises(loop.Stopped):
        loop.train(run, feed, tmp_path, mesh, should_stop=lambda: next(calls) >= 1, watch=QUIET)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))  # less than the state
    try:
        with pytest.raises(
            OSError, match=r'no checkpoint can be written .*/checkpoints \(File too large\);.* from step 8'
        ):
            loop.train(run, feed, tmp_path, mesh, watch=QUIET)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert same(loop.train(run, feed, tmp_path, mesh, watch=QUIET), finished[0])


def test_tensorboard_and_a_profile_on_request(run, feed, mesh, tmp_path):
    pytest.importorskip('tensorboardX')
    short = dataclasses.replace(run, tokens=64 * 24)
    loop.train(short, feed, tmp_path, mesh, watch=Watch(profile=(8, 8)))
    (events,) = (tmp_path / 'tensorboard').iterdir()
    assert all(name in events.read_bytes() for name in (b'loss', b'gradient_norm', b'learning_rate', b'step_seconds'))
    assert list((tmp_path / 'profile').rglob('*.xplane.pb'))


def test_without_tensorboard_a_run_says_so_once(run, feed, mesh, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'tensorboardX.event_file_writer', None)
    board._say_once.cache_clear()
    short = dataclasses.replace(run, tokens=64 * 8)
    for name in ('a', 'b'):
        loop.train(short, feed, tmp_path / name, mesh)
    board._say_once.cache_clear()
    assert capsys.readouterr().err.count('no TensorBoard') == 1


def test_config_and_metrics_can_be_in_a_bucket(run, monkeypatch):
    """A bucket of fsspec's in-memory files; what it cannot append to is written whole when asked."""
    from etils.epath import gpath

    files = MemoryFileSystem()
    monkeypatch.setattr(gpath, '_is_tf_installed', lambda: False)
    monkeypatch.setattr(fsspec, 'filesystem', lambda *args, **kwargs: files)
    folder = epath.Path('gs://bucket/run')
    for _ in range(2):
        claim(folder / 'config.json', run)
    facts = Facts('d16', 64, 1.0, None, lambda step: 0.5, 3.0)
    dispatch = lambda start: Dispatch(start, start + 8, np.ones(8), np.ones(8))
    record = Metrics(folder, 0, facts, QUIET)
    record.add(dispatch(0))
    record.settle()
    assert (folder / 'metrics.jsonl').read_text() == ''
    record.flush()
    with Metrics(folder, 8, facts, QUIET) as record:
        record.add(dispatch(8))
        record.settle()
    assert [row['step'] for row in lines(folder)] == [8, 16]
    assert str(checkpoint._absolute('gs://bucket/run/checkpoints')) == 'gs://bucket/run/checkpoints'
    assert checkpoint._absolute(Path('run')).is_absolute()
