"""Many runs that save in one process at the same moments: none waits for another."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import os, sys, threading, time
sys.setswitchinterval(1e-6)  # threads take turns everywhere
import jax.numpy as jnp
from t2jax.training.checkpoint import CheckpointFolder, Checkpoints, saved_steps
state = {'a': jnp.ones((8, 8)), 'b': jnp.ones(5)}

def work(folder):
    with CheckpointFolder(folder, Checkpoints()) as saved:
        for step in range(1, 4):
            saved.save(step, state, {'step': step})

threads = [threading.Thread(target=work, args=(f'{sys.argv[1]}/{i}',), daemon=True) for i in range(16)]
[thread.start() for thread in threads]
deadline = time.time() + 100
[thread.join(max(0, deadline - time.time())) for thread in threads]
print([saved_steps(f'{sys.argv[1]}/{i}') for i in range(16)], flush=True)
os._exit(any(thread.is_alive() for thread in threads))
"""


def test_runs_that_save_at_once_do_not_wait_for_one_another(tmp_path):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    env = {**os.environ, 'PYTHONPATH': path, 'JAX_PLATFORMS': 'cpu'}
    command = [sys.executable, '-c', SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=200)
    assert done.returncode == 0 and done.stdout.count('[3]') == 16, done.stdout + done.stderr[-500:]
