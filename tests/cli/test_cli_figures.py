"""The experiments that draw a figure or table: run for real, and refused in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from t2jax.cli.figures import main
from t2jax.laws.observations import Observations
from t2jax.laws.tables import write_observations
from t2jax.plotting import public_models

EXPERIMENTS = Path(__file__).resolve().parents[2] / 'experiments'
FLAGS = [('public-models', {'models': public_models.PUBLIC_MODELS}, 'lay them over it')]


@pytest.fixture
def workdir(tmp_path):
    """A study of losses that nobody fitted yet."""
    sizes = [1e7, 2e7, 4e7] * 2
    tokens = [c / (6 * n) for c, n in zip([1e17] * 3 + [4e17] * 3, sizes)]
    losses = Observations(params=sizes, tokens=tokens, k=[1] * 6, nll=[4.1, 4.0, 4.2, 3.7, 3.5, 3.6], task=['text'] * 6)
    write_observations(tmp_path / 'losses.csv', losses)
    (tmp_path / 'study.json').write_text('{"inference_flops": 1e9}')
    return tmp_path


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_experiment_writes_its_three_files_and_says_where(workdir):
    script = EXPERIMENTS / 'figure_8_checkpoint_grid.py'
    done = subprocess.run([sys.executable, script, workdir], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = [f'figure_8_checkpoint_grid.{kind}' for kind in ('png', 'pdf', 'csv')]
    assert [Path(line).name for line in done.stdout.split()] == names
    assert files(workdir / 'report') == sorted(names)


def test_a_study_of_losses_has_another_figure_in_its_stead(workdir, tmp_path):
    out = tmp_path / 'elsewhere'
    assert main('figure_3_isoflop', 'A figure.', [str(workdir), '--out', str(out)], of_losses='isoflop_loss') == 0
    assert files(out) == ['isoflop_loss.csv', 'isoflop_loss.pdf', 'isoflop_loss.png']


def test_switches_reach_the_drawing(workdir, capsys, monkeypatch):
    from t2jax.plotting import figures

    seen = []
    draw = lambda results, models=(): seen.append(models) or figures.DRAWINGS['figure_8_checkpoint_grid'].draw(results)
    drawing = figures.Drawing('figure_2_allocation', 'A title', 'A caption', draw)
    monkeypatch.setitem(figures.DRAWINGS, 'figure_2_allocation', drawing)
    assert main('figure_2_allocation', 'A figure.', [str(workdir)], flags=FLAGS) == 0
    assert main('figure_2_allocation', 'A figure.', [str(workdir), '--public-models'], flags=FLAGS) == 0
    assert seen == [(), public_models.PUBLIC_MODELS]


@pytest.mark.parametrize(
    ('name', 'folder', 'words'),
    [
        ('figure_2_allocation', '', 'not fitted'),
        ('table_1_checkpoints', '', 'Table 1 needs answers measured at several k'),
        ('figure_5_post_training', '', 'fine-tuned its runs'),
        ('figure_8_checkpoint_grid', 'nowhere', 'study.json, which is not there'),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(workdir, capsys, name, folder, words):
    assert main(name, 'A figure.', [str(workdir / folder)]) == 2
    said = capsys.readouterr().err
    assert words in said and said.startswith(f'{name}: ') and said.count('\n') == 1
    assert not (workdir / 'report').exists()
