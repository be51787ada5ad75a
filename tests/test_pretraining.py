"""Training a run of a grid, inspecting grids, and every way to ask for what is not there."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from t2jax import costs, roofline
from t2jax.chips import TPUS
from t2jax.cli import main
from t2jax.config import load_experiment
from t2jax.data.shards import write_shards
from t2jax.mesh import Layout
from t2jax.models.config import ModelConfig
from t2jax.pretraining import Cell, Grid, adapt
from t2jax.training.checkpoint import Checkpoints, latest_step
from t2jax.training.recipe import Recipe

ROOT = Path(__file__).resolve().parents[1]
PAPER = ROOT / 'experiments' / 'paper.py'

EXPERIMENT = """
from t2jax.mesh import Layout
from t2jax.models.config import ModelConfig
from t2jax.pretraining import Cell, Grid
from t2jax.training.checkpoint import Checkpoints
from t2jax.training.recipe import Recipe

SMALL = ModelConfig(vocab=12, d_model=16, n_layers=1, n_heads=2, hidden_multiple=8)
GRID = Grid(
    workdir={workdir!r},
    tokens={tokens!r},
    seed=0,
    recipe=Recipe(batch_sequences=8, sequence_length=8, learning_rate=1e-2),
    runs=(Cell('1k@a', SMALL, 640, layout=Layout(fsdp=2, microbatches=4)), Cell('1k@b', SMALL, 6400, overtrained=True)),
    slice='v5e:2x2',
    checkpoints=Checkpoints(every=5),
)
"""


class Twelve:
    """A vocabulary of twelve ids; a document is digits."""

    name, end_id, fingerprint = 'twelve', 11, 'twelve'

    def __len__(self):
        return 12

    def encode_batch(self, texts):
        return [np.array([int(digit) for digit in text], np.int32) for text in texts]


@pytest.fixture
def experiment(tmp_path):
    """Write 1,200 tokens and a grid of two runs over them; returns the experiment's path."""
    numbers = np.random.default_rng(0).integers(0, 10, 5000).astype(str)
    documents = lambda shard: iter([''.join(numbers)])
    write_shards(tmp_path / 'tokens', documents, Twelve(), 1, 1200, {'text': 'random'})
    path = tmp_path / 'grid.py'
    path.write_text(EXPERIMENT.format(workdir=str(tmp_path / 'work'), tokens=str(tmp_path / 'tokens')))
    return path


def refusal(capsys, *arguments):
    """Run a command that has to fail; returns its one sentence."""
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr()
    assert said.err.count('\n') == 1 and not said.out
    return said.err


def test_a_run_trains_over_all_devices_and_is_not_trained_twice(experiment, capsys):
    assert main(['train', str(experiment), '--run', '1k@a', '--json', '--recipe.learning-rate', '0.02']) == 0
    assert json.loads(capsys.readouterr().out)['run'] == '1k@a'
    folder = experiment.parent / 'work' / 'runs' / '1k@a'
    config = json.loads((folder / 'config.json').read_text())
    assert config['recipe']['learning_rate'] == 0.02
    # eight devices leave one sequence each, so the four microbatches of the layout become one
    assert config['layout']['fsdp'] == 2 and config['layout']['microbatches'] == 1
    assert latest_step(folder / 'checkpoints') == 10
    record = (folder / 'metrics.jsonl').read_text()
    assert main(['train', str(experiment), '--run', '1k@a', '--recipe.learning-rate', '0.02']) == 0
    assert (folder / 'metrics.jsonl').read_text() == record and '100%' in capsys.readouterr().err
    assert 'learning_rate' in refusal(capsys, 'train', experiment, '--run', '1k@a', '--json')


@pytest.mark.parametrize(
    ('flags', 'sentence'),
    [
        (('--run', '1k@c'), '1k@a'),
        ((), 'name it with --run'),
        (('--run', '1k@b'), 'tokenize more'),
        (('--run', '1k@a', '--model.vocab', '10'), 'ids in'),
        (('--run', '1k@a', '--layout.fsdp', '3'), 'does not divide'),
        (('--run', '1k@a', '--layout.tensor', '4'), 'heads'),
        (('--run', '1k@a', '--recipe.colour', '3'), 'colour'),
        (('--run', '1k@a', '--profile', '7'), 'FIRST:STEPS'),
        (('--run', '1k@a', '--coordinator', 'nowhere'), 'coordinator'),
    ],
)
def test_a_bad_request_is_one_sentence(experiment, capsys, flags, sentence):
    assert sentence in refusal(capsys, 'train', experiment, '--json', *flags)
    assert not (experiment.parent / 'work').exists()


def test_more_bad_requests(experiment, capsys, tmp_path):
    assert '9M@6.4e18' in refusal(capsys, 'compile', PAPER, '--run', '9M@6.4e17')
    assert 'v5e:4x4' in refusal(capsys, 'compile', PAPER, '--run', '901M@2.56e19', '--topology', 'v5e-16')
    assert 'GRID' in refusal(capsys, 'compile', ROOT / 'experiments' / 'mini.py', '--run', 'x')
    assert 'STUDY' in refusal(capsys, 'train', ROOT / 'experiments' / 'mini.py', '--run', 'x')
    assert 'no TPU slice' in refusal(capsys, 'inspect', PAPER, '--slice', 'v5p:4x4')
    assert 'mfu' in refusal(capsys, 'inspect', PAPER, '--mfu', '40')
    assert 'no experiment file' in refusal(capsys, 'inspect', tmp_path / 'none.py')
    (tmp_path / 'tokens' / 'manifest.json').unlink()
    assert 'tokenize' in refusal(capsys, 'train', experiment, '--run', '1k@a', '--json')


def test_inspect_touches_no_device():
    """With a platform that does not exist, whatever asked jax for a device would fail."""
    command = [sys.executable, '-m', 't2jax', 'inspect', str(PAPER), '--json', '--slice', 'v6e:8x8', '--mfu', '0.5']
    environment = os.environ | {'JAX_PLATFORMS': 'nonexistent'}
    found = json.loads(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout)
    rows = {row['run']: row for row in found['runs']}
    assert len(rows) == 106 and sum(row['overtrained'] for row in rows.values()) == 21
    row, run = rows['901M@2.56e19'], load_experiment(PAPER, 'GRID').cell('901M@2.56e19')
    assert (row['params'], row['steps']) == (901_726_208, 9025)
    assert row['warmup_steps'] == pytest.approx(1719.9, abs=0.1)
    assert row['train_flops'] == pytest.approx(2.56e19, rel=1e-4)
    assert row['exact_flops'] == 9025 * costs.train_step_flops(run.model, 256, 2048)
    assert row['hours'] == pytest.approx(row['exact_flops'] / 0.5 / 64 / TPUS['v6e'].flops / 3600)
    assert row['dollars'] == pytest.approx(row['hours'] * 64 * TPUS['v6e'].dollars_per_hour)
    assert found['totals']['train_flops'] == pytest.approx(sum(row['train_flops'] for row in rows.values()))
    assert found['totals']['dollars'] == pytest.approx(sum(row['dollars'] for row in rows.values()))


def test_inspect_prints_a_grid_and_a_study(experiment, capsys):
    assert main(['inspect', str(experiment)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith('1k@a ') and lines[2].startswith('1k@b *') and lines[3].startswith('2 runs')
    assert main(['inspect', str(ROOT / 'experiments' / 'mini.py'), '--slice', 'v5e:1x1']) == 0
    assert '22 runs' in capsys.readouterr().out


def test_layouts_adapt_to_the_devices():
    recipe = Recipe(batch_sequences=256)
    layout = Layout(fsdp=4, tensor=2, microbatches=8)
    assert adapt(layout, recipe, 32, 1).microbatches == 8  # 16 sequences for each two devices
    assert adapt(layout, recipe, 128, 1).microbatches == 4
    assert adapt(layout, recipe, 512, 2) == dataclasses.replace(layout, microbatches=1, slices=2)


def test_a_grid_refuses_runs_of_one_name():
    model = ModelConfig(vocab=12, d_model=16, n_layers=1, n_heads=2)
    cells = (Cell('a', model, 1.0), Cell('a', model, 2.0))
    with pytest.raises(ValueError, match='repeat'):
        Grid('work', 'tokens', 0, Recipe(), cells, checkpoints=Checkpoints())


def test_estimates_move_as_layouts_do():
    """What a layout is chosen for has to show: parts divide the state, microbatches and remat what is kept."""
    model = ModelConfig(vocab=50_432, d_model=704, n_layers=18, compute_dtype='bfloat16')
    recipe, chip = Recipe(), TPUS['v5e']
    plain, split = (roofline.train_memory(model, recipe, Layout(fsdp=fsdp), 16) for fsdp in (1, 16))
    assert plain['state'] == 16 * split['state'] == 12 * costs.count_stored_params(model)
    parts = roofline.train_memory(model, recipe, Layout(microbatches=8), 16)
    assert parts['logits'] * 8 == plain['logits'] and parts['activations'] * 8 == plain['activations']
    kept = [roofline.train_memory(model, recipe, Layout(remat=r), 16)['activations'] for r in ('layer', 'dots', 'none')]
    assert kept == sorted(kept)
    step = roofline.train_roofline(model, recipe, Layout(), 16, chip, link_bytes=2e9)
    assert step.compute == costs.train_step_flops(model, 256, 2048) / 16 / chip.flops
    assert step.links == 2e9 / chip.link
    assert roofline.train_mfu(model, recipe, 16, chip, step.compute) == pytest.approx(1)
    again = roofline.train_roofline(model, recipe, Layout(remat='layer'), 16, chip)
    assert 4 / 3 > again.compute / step.compute > 1.2
