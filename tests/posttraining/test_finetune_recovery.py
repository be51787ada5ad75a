"""A fine-tuning command that is killed or interrupted, in real processes, ends as one that never was."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def start(run_folder, files, out, *more):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    paths = ['--task', files['down'], '--validation', files['validation'], '--test', files['test'], '--out', out]
    flags = ['--learning-rates', '1e-3,3e-3', '--epochs', 120, '--checkpoint-steps', 25, *more]
    command = [sys.executable, '-m', 't2jax', 'finetune', *map(str, [run_folder, *paths, *flags])]
    env = {**os.environ, 'PYTHONPATH': path, 'JAX_PLATFORMS': 'cpu'}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def results(out):
    folder = out / 'down'
    paths = [folder / 'jobs.csv', folder / 'curves.csv', *sorted(folder.glob('scores/*/*/down.csv'))]
    return {path.relative_to(folder): path.read_bytes() for path in paths}


@pytest.mark.parametrize('together', [1, 4])
def test_killed_and_interrupted_it_ends_the_same(run_folder, files, tmp_path, together):
    out, other = tmp_path / 'disturbed', tmp_path / 'undisturbed'
    assert start(run_folder, files, other, '--together', together).wait(timeout=300) == 0
    draw, ends = random.Random(together), []
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        process = start(run_folder, files, out, '--together', together)
        steps = lambda: sum(path.stat().st_size for path in out.glob('down/runs/*/metrics.jsonl'))
        before, deadline = steps(), time.monotonic() + 120
        while steps() == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.3))
        process.send_signal(how)
        _, said = process.communicate(timeout=120)
        ends.append(process.returncode)
        if process.returncode == 130:
            assert 'the same command goes on from here' in said and 'Traceback' not in said
    assert {-signal.SIGKILL, 130} <= set(ends) <= {-signal.SIGKILL, 130, 0}, ends
    assert start(run_folder, files, out, '--together', together).wait(timeout=300) == 0
    assert results(out) == results(other) and len(results(out)) == 5
