"""What tests of the sweep share: a repository with a grid of tiny runs, their text, launch/sweep.py on a fake cloud."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from t2jax.data.shards import write_shards
from tests.made_run import WORDS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = 'gs://bucket/tiny'
PLACES = ('--place', 'us-central1-a,v5e:1x1,1.0', '--place', 'us-east5-b,v5e:1x1,2.0')

EXPERIMENT = """
from t2jax.models.config import ModelConfig
from t2jax.pretraining import Cell, Grid
from t2jax.training.checkpoint import Checkpoints
from t2jax.training.recipe import Recipe

def model(width):
    return ModelConfig(vocab=12, d_model=width, n_layers=2, n_heads=2, hidden_multiple=8)

GRID = Grid(
    workdir='out/tiny',
    tokens='out/tokens',
    seed=0,
    recipe=Recipe(batch_sequences=8, sequence_length=32, learning_rate=1e-2, warmup_tokens_per_param=0.1, epochs=100),
    runs=tuple(
        Cell(f'w{width}@{steps}', model(width), 256 * steps) for width in WIDTHS for steps in STEPS
    ),
    slice='v5e:1x1',
    checkpoints=Checkpoints(every=100, keep_last=2),
)
"""


def make_repository(folder, widths=(16, 24), steps=(400, 500, 600, 700, 800, 900)):
    """Make a repository of the code as it stands, with one more experiment, committed."""
    for name in ('t2jax', 'configs', 'launch'):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE', '.gitignore'):
        shutil.copy(ROOT / name, folder)
    (folder / 'experiments').mkdir()
    text = EXPERIMENT.replace('WIDTHS', repr(tuple(widths))).replace('STEPS', repr(tuple(steps)))
    (folder / 'experiments' / 'tiny.py').write_text(text)
    identity = ['-c', 'user.name=nobody', '-c', 'user.email=nobody@example.com']
    for command in (['init', '-q'], ['add', '.'], [*identity, 'commit', '-qm', 'all of it']):
        subprocess.run(['git', *command], cwd=folder, check=True)
    return folder


def make_tokens(folder):
    """Write 20,000 tokens of numbers that count upwards."""
    draw = np.random.default_rng(0)
    text = (' '.join(str(n) for n in range(a, 10)) + ' .' for a in draw.integers(1, 10, 4000).tolist())
    write_shards(folder, lambda shard: iter(text), WORDS, 1, 20000, {'text': 'counting'})
    return folder


class Sweep:
    """launch/sweep.py of a repository, as processes that see a fake cloud."""

    def __init__(self, cloud, repository, tokens):
        self.cloud, self.repository = cloud, repository
        self.workdir = cloud.bucket() / 'tiny'  # the bucket as hosts have it mounted
        self.flags = ['--mounted', str(self.workdir), '--', '--shards', str(tokens)]

    def command(self, *flags, workdir=FOLDER):
        where = [sys.executable, str(self.repository / 'launch' / 'sweep.py'), 'experiments/tiny.py']
        return [*where, '--workdir', workdir, *flags, *self.flags]

    def run(self, *flags, timeout=120, **more):
        """Run it to its end; returns what it printed and its exit code."""
        env, cwd = self.cloud.environment(), self.repository
        return subprocess.run(
            self.command(*flags, **more), cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout
        )

    def start(self, *flags, log):
        """Start it as a process."""
        with log.open('a') as out:
            return subprocess.Popen(
                self.command(*flags), cwd=self.repository, env=self.cloud.environment(), stdout=out, stderr=out
            )

    def record(self, name):
        """Read a record of its state."""
        return json.loads((self.workdir / 'sweep' / name).read_text())

    def attempts(self):
        """Return the attempts at each run."""
        return {p.stem: json.loads(p.read_text())['attempts'] for p in (self.workdir / 'sweep' / 'runs').glob('*.json')}

    def losses(self, run, workdir=None):
        """Return the loss of every step of a run."""
        path = (workdir or self.workdir) / 'runs' / run / 'metrics.jsonl'
        return [json.loads(line)['loss'] for line in path.read_text().splitlines()]

    def result(self, run):
        """Return what a finished run says of itself."""
        return json.loads((self.workdir / 'runs' / run / 'result.json').read_text())


def train_undisturbed(repository, tokens, workdir, runs):
    """Train runs one after another in one process, as `t2jax train` does."""
    code = (
        'import sys; from t2jax.cli import main\n'
        'for run in sys.argv[4:]:\n'
        '    flags = ["--run", run, "--workdir", sys.argv[2], "--shards", sys.argv[3], "--json"]\n'
        '    assert main(["train", sys.argv[1], *flags]) == 0'
    )
    command = [sys.executable, '-c', code, 'experiments/tiny.py', str(workdir), str(tokens), *runs]
    env = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(repository)}
    subprocess.run(command, cwd=repository, env=env, check=True, timeout=600, stdout=subprocess.DEVNULL)


def interrupt(process):
    """Press Ctrl-C."""
    process.send_signal(signal.SIGINT)
