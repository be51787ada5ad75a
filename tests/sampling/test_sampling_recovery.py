"""Real processes: killed at random moments, stopped by Ctrl-C, two that sample as one; all give the undisturbed job."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_run import make_run

from t2jax.sampling import store
from t2jax.tasks.questions import Question, write_questions

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
KILLS = 20


@pytest.fixture(scope='module')
def task(tmp_path_factory):
    """A run, and 50 questions of which 40 samples each are drawn."""
    folder = tmp_path_factory.mktemp('study')
    rng = np.random.default_rng(0)
    prompts = [' '.join(map(str, rng.integers(1, 10, rng.integers(1, 9)))) for _ in range(50)]
    questions = [Question(f'q{i}', prompt, f' {rng.integers(1, 10)} .') for i, prompt in enumerate(prompts)]
    run = make_run(folder)
    write_questions(folder / 'data' / 'questions' / 'fifty.jsonl', questions)
    return run


@pytest.fixture(scope='module')
def start(task, tmp_path_factory):
    """Start a_job.py; what one process has compiled is kept for the others."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    env = {
        **os.environ,
        'PYTHONPATH': path,
        'JAX_PLATFORMS': 'cpu',
        'XDG_CACHE_HOME': str(tmp_path_factory.mktemp('c')),
    }

    def start(out, *flags, pause=0.0):
        arguments = ['sample', task, '--task', 'fifty', '--samples', 40, '--out', out, *flags]
        command = [sys.executable, Path(__file__).with_name('a_job.py'), pause, *arguments]
        return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=env)

    return start


def finish(process):
    said = process.communicate(timeout=300)[1]
    assert 'Traceback' not in said, said[-2000:]
    return process.returncode, said


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.fixture(scope='module')
def undisturbed(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp('undisturbed')
    code, _ = finish(start(folder))
    assert code == 0 and len(contents(folder)) == 50 + 3
    return folder


def written(out):
    return len(list(out.glob('samples/[!.]*')))


def wait_for(process, out, files):
    deadline = time.monotonic() + 120
    while process.poll() is None and written(out) < files and time.monotonic() < deadline:
        time.sleep(0.002)


def test_a_job_killed_twenty_times_is_the_job_that_never_was(start, undisturbed, tmp_path):
    """2,000 samples; -9 comes at a random moment of a file; at most the files of one call, two, are drawn again."""
    out, draw, kills = tmp_path / 'out', random.Random(0), 0
    for kill in range(KILLS):
        process = start(out, pause=0.05)
        wait_for(process, out, 2 * kill + draw.choice((1, 2)))
        time.sleep(draw.uniform(0, 0.05))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    before = written(out)
    code, _ = finish(start(out))
    assert code == 0 and contents(out) == contents(undisturbed)
    print(f"{kills} kills, {before} of 50 files written before the last start; every byte is the undisturbed job's")
    assert kills == KILLS


def test_ctrl_c_says_how_to_go_on(start, undisturbed, tmp_path):
    out = tmp_path / 'out'
    process = start(out, pause=0.1)
    wait_for(process, out, 5)
    process.send_signal(signal.SIGINT)
    code, said = finish(process)
    assert code == 130 and said.strip().endswith('stopped; the same command goes on from here')
    assert finish(start(out))[0] == 0 and contents(out) == contents(undisturbed)


def test_two_processes_sample_like_one(start, undisturbed, tmp_path):
    """Each of two hosts has four devices and draws every second file; a killed pair goes on."""
    out = tmp_path / 'out'

    def both(pause=0.0):
        with socket.create_server(('localhost', 0)) as server:
            port = server.getsockname()[1]
        flags = ('--devices', 4, '--coordinator', f'localhost:{port}', '--processes', 2, '--process')
        return [start(out, *flags, index, pause=pause) for index in range(2)]

    first = both(pause=0.2)
    wait_for(first[0], out, 8)
    for process in first:
        process.kill()
        process.wait()
    assert 8 <= written(out) < 50
    assert [finish(process)[0] for process in both()] == [0, 0]
    found, expected = contents(out), contents(undisturbed)
    assert found.keys() == expected.keys()
    assert found['counts.csv'].count(b'\n') == 51
    counts = lambda table: [line.rsplit(b',', 1)[0] for line in table['counts.csv'].splitlines()]  # nll: rounding
    assert counts(found) == counts(expected)
    columns = ['question', 'sample', 'tokens', 'right']
    pairs = zip(*(store.read_samples(folder, columns) for folder in (out, undisturbed)), strict=True)
    assert all(a.equals(b) for a, b in pairs)
