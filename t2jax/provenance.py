"""Where results came from: versions, commit, machine, time. WORKDIR/provenance.json, kept up to date by each stage."""

import datetime
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import jax

from t2jax.config import read_json, write_json

FILE = 'provenance.json'


def record(workdir: Path, stage: str, seconds: float) -> None:
    """Add a stage's wall time to the file, and what ran it; a stage that found its work done changes nothing."""
    path = workdir / FILE
    old = read_json(path, 'delete it') if path.exists() else {}
    times = old.get('seconds', {})
    if stage in times and seconds < max(1.0, 0.5 * times[stage]):
        return
    write_json(path, describe() | {'seconds': times | {stage: round(seconds, 1)}})


def describe() -> dict[str, str | float]:
    """Describe this process: versions, commit, devices, memory."""
    versions = {name: importlib.metadata.version(name) for name in ('jax', 'flax', 'optax', 'orbax-checkpoint')}
    # Linux counts peak memory in kilobytes, macOS in bytes
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == 'darwin' else 2**20)
    return {
        'date': datetime.datetime.now(datetime.UTC).strftime('%Y-%m-%d %H:%M UTC'),
        'commit': _commit(),
        'python': platform.python_version(),
        **versions,
        'devices': f'{jax.device_count()} x {jax.devices()[0].device_kind}',
        'cpu_cores': float(os.cpu_count() or 1),
        'peak_memory_gb': round(memory, 2),
        'command': ' '.join(['t2jax', *sys.argv[1:]]),
    }


def _commit() -> str:
    try:
        done = subprocess.run(['git', 'describe', '--always', '--dirty'], capture_output=True, text=True, timeout=5)
        return done.stdout.strip() or 'unknown'
    except (OSError, subprocess.TimeoutExpired):
        return 'unknown'
