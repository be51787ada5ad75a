"""Real processes: killed at random moments, preempted, and two that train as one; all give the undisturbed run."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from a_run import RUN, STEPS

from t2jax.mesh import make_mesh
from t2jax.training.runs import load_params

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def start(tmp_path_factory):
    """Start a_run.py; what one process has compiled is kept for the others."""
    cache = str(tmp_path_factory.mktemp('cache'))
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    env = {**os.environ, 'PYTHONPATH': path, 'JAX_PLATFORMS': 'cpu', 'JAX_COMPILATION_CACHE_DIR': cache}
    env |= {'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0', 'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '0'}

    def start(*arguments):
        command = [sys.executable, str(Path(__file__).with_name('a_run.py')), *map(str, arguments)]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)

    return start


@pytest.fixture(scope='module')
def undisturbed(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp('undisturbed')
    assert finish(start(folder, folder / 'log', '--devices', 2)) == 0
    return folder


def finish(process):
    _, said = process.communicate(timeout=300)
    assert 'Traceback' not in said, said[-2000:]
    return process.returncode


def last_read(log):
    """Return, of each step, the batch that it was last trained on."""
    return dict(line.split() for line in log.read_text().splitlines())


def losses(folder):
    return [json.loads(line)['loss'] for line in (folder / 'metrics.jsonl').read_text().splitlines()]


def params(folder):
    return jax.tree.map(np.asarray, load_params(RUN, folder, make_mesh(jax.devices()[:1])))


def kill(process, log, steps, pause):
    """Kill it when it has trained so many steps, and a moment longer; returns whether it was still running."""
    count = lambda: log.stat().st_size if log.exists() else 0
    until, deadline = count() + 12 * steps, time.monotonic() + 120  # a line has about 12 characters
    while process.poll() is None and count() < until and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(pause)
    process.kill()
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize('devices', [(2,), (1, 2, 4)], ids=['same', 'other'])
def test_a_run_killed_twenty_times_is_the_run_that_never_was(start, undisturbed, tmp_path, devices):
    draw, kills = random.Random(len(devices)), 0
    folder, log = tmp_path / 'run', tmp_path / 'log'
    while kills < 20:
        process = start(folder, log, '--devices', draw.choice(devices), '--pause', 0.02)
        # every fourth is killed early: while it restores, or before its first checkpoint
        steps = draw.randrange(0, 8) if kills % 4 == 3 else draw.randrange(10, 32)
        assert kill(process, log, steps, draw.uniform(0, 0.1)), f'it was finished after {kills} kills'
        kills += 1
    assert finish(start(folder, log, '--devices', 2)) == 0
    read = last_read(log)
    assert len(read) == STEPS and read == last_read(undisturbed / 'log')
    again = len(log.read_text().splitlines()) - STEPS
    off = np.abs(np.subtract(losses(folder), losses(undisturbed))).max()
    found, expected = jax.tree.leaves(params(folder)), jax.tree.leaves(params(undisturbed))
    apart = max(np.abs(a - b).max() for a, b in zip(found, expected))
    print(f'{kills} kills, devices {devices}: {again} steps trained again; losses off by {off:g}, params by {apart:g}')
    if len(devices) == 1:
        assert off == apart == 0
    else:
        assert off < 2e-3 and apart < 2e-2


def free_port():
    with socket.create_server(('localhost', 0)) as server:
        return server.getsockname()[1]


def start_two(start, folder, logs, *arguments):
    port = free_port()
    return [start(folder, log, *arguments, '--hosts', port, 2, index) for index, log in enumerate(logs)]


def test_two_processes_train_like_one_and_stop_together(start, undisturbed, tmp_path):
    """One of them gets a real SIGTERM: both save the same step and go on from there to the run of one process."""
    folder, logs = tmp_path / 'run', [tmp_path / 'log0', tmp_path / 'log1']
    both = start_two(start, folder, logs, '--pause', 0.2)
    deadline = time.monotonic() + 120
    while not (logs[1].exists() and len(logs[1].read_text().splitlines()) > 30) and time.monotonic() < deadline:
        time.sleep(0.05)
    both[1].send_signal(signal.SIGTERM)
    assert [finish(process) for process in both] == [143, 143]
    step = max(int(path.name) for path in (folder / 'checkpoints').iterdir())
    # what is read may be a dispatch ahead of what is trained, in the moment of the signal as at the stop
    assert 30 <= step < 300 and len(last_read(logs[0])) in (step, step + 5)
    assert [finish(process) for process in start_two(start, folder, logs)] == [0, 0]
    off = np.abs(np.subtract(losses(folder), losses(undisturbed))).max()
    print(f'two processes, stopped at step {step}: losses off those of one process by {off:g}')
    assert off < 2e-3
    halves = [last_read(log) for log in (*logs, undisturbed / 'log')]
    assert all(len({half[step] for half in halves}) == 3 for step in halves[0])  # each reads its own rows
