"""Train a small run in a process of its own: python a_run.py FOLDER LOG [--devices 2] [--hosts PORT 2 INDEX] ...

LOG gets `step crc32` of every batch in the moment it is trained on. The exit code is the loop's.
"""

import argparse
import resource
import sys
import time
import zlib
from pathlib import Path

import jax
import numpy as np

from t2jax import distributed
from t2jax.data.feed import Feed
from t2jax.data.shards import Shards
from t2jax.mesh import Layout, make_mesh
from t2jax.models.config import ModelConfig
from t2jax.training import jobs, loop
from t2jax.training.checkpoint import Checkpoints
from t2jax.training.recipe import Recipe
from t2jax.training.runs import RunConfig

STEPS = 300
RUN = RunConfig(
    'small',
    ModelConfig(vocab=12, d_model=16, n_layers=2, n_heads=2, hidden_multiple=8),
    64 * STEPS,
    Recipe(batch_sequences=8, sequence_length=8, learning_rate=1e-2, warmup_tokens_per_param=0.1),
    seed=1,
    layout=Layout(steps_per_dispatch=5),
    checkpoints=Checkpoints(every=10, keep_last=2),
)


def feed():
    """A text with a pattern in it, of which one epoch is two thirds of the run."""
    ids = np.cumsum(np.random.default_rng(0).integers(1, 3, 64 * STEPS * 2 // 3 + 1)) % 11
    return Feed(Shards((ids.astype(np.uint16),), {}), 8, 8, seed=0, epochs=2)


def main():
    """Run, or go on; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument('folder', type=Path)
    parser.add_argument('log', type=Path)
    parser.add_argument('--devices', type=int, default=1)
    parser.add_argument('--hosts', nargs=3)
    parser.add_argument('--file-bytes', type=int, help='no file may grow larger, as on a full disk')
    parser.add_argument('--pause', type=float, default=0, help='seconds before every dispatch')
    options = parser.parse_args()
    jax.config.update('jax_num_cpu_devices', options.devices)
    if options.hosts:
        port, hosts, index = options.hosts
        distributed.start(f'localhost:{port}', int(hosts), int(index), timeout=120)
    stream = jobs.stream

    def logged(given, start, stop, per, rows):
        for block in stream(given, start, stop, per, rows):
            crcs = [zlib.crc32(batch.astype(np.uint32).tobytes()) for batch in block]
            with options.log.open('a') as log:
                log.write(''.join(f'{start + i} {crc}\n' for i, crc in enumerate(crcs)))
            time.sleep(options.pause)
            yield block
            start += len(block)

    jobs.stream = logged
    if options.file_bytes:
        jax.devices()
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_bytes, options.file_bytes))
    try:
        loop.train(RUN, feed(), options.folder, make_mesh(jax.devices()))
    except loop.Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.code
    except (ValueError, OSError, FloatingPointError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    code = main()
    if code and jax.process_count() > 1:
        distributed.leave(code)
    sys.exit(code)
