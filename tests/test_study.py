"""A whole study through the real command line, in real processes: finished, repeated, stopped, killed, misused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENT = '''
"""A study of nine runs that takes seconds."""

from configs import grid, recipe
from dataclasses import replace
from t2jax.data.world import World
from t2jax.evaluation.runner import Evaluation
from t2jax.models.config import ModelConfig
from t2jax.laws.settings import LawSettings
from t2jax.study_config import StudyConfig

WORLD = World(questions_per_task=16)
MODELS = [ModelConfig(len(WORLD.vocabulary()), d, 1, 2, 8, unroll_layers=True) for d in (8, 12, 16)]
STUDY = StudyConfig(
    workdir='out/tiny',
    seed=0,
    world=WORLD,
    recipe=recipe.MINI,
    runs=grid.isoflop(MODELS, (2e9, 4e9, 8e9)),
    inference_flops=4e4,
    evaluation=Evaluation(samples=8, k=(1, 2, 4, 8, 16)),
    laws=LawSettings(starts=16, overtrained_from=120.0, refits=4),
)
'''


POSTTRAINING = """
from t2jax.posttraining.settings import FineTuning
from t2jax.study_config import PostTraining

TUNING = FineTuning(learning_rates=(1e-3, 4e-3), epochs=2, together=4, steps_per_dispatch=4)
STUDY = replace(STUDY, posttraining=PostTraining(('arithmetic', 'spatial'), 16, 8, TUNING, refits=4))
"""


@pytest.fixture(scope='module')
def experiment(tmp_path_factory):
    """An experiment file in a folder beside a link to configs/, as a fork would have it."""
    root = tmp_path_factory.mktemp('fork')
    (root / 'experiments').mkdir()
    (root / 'configs').symlink_to(ROOT / 'configs')
    (root / 'experiments' / 'tiny.py').write_text(EXPERIMENT)
    return root / 'experiments' / 'tiny.py'


@pytest.fixture(scope='module')
def taught(experiment):
    """The same study, whose runs are fine-tuned too."""
    path = experiment.with_name('taught.py')
    path.write_text(EXPERIMENT + POSTTRAINING)
    return path


def environment():
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    return {**os.environ, 'PYTHONPATH': path, 'JAX_PLATFORMS': 'cpu'}


def t2jax(*arguments, check=0):
    command = [sys.executable, '-m', 't2jax', *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300)
    assert done.returncode == check, done.stderr[-2000:]
    return done


def start(*arguments):
    command = [sys.executable, '-m', 't2jax', *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


@pytest.fixture(scope='module')
def finished(experiment, tmp_path_factory):
    workdir = tmp_path_factory.mktemp('study') / 'tiny'
    return t2jax('study', experiment, '--workdir', workdir), workdir


def test_a_study_leaves_what_the_readme_says(finished):
    done, workdir = finished
    assert 'Approach 1' in done.stdout and 'Chinchilla' in done.stdout
    assert (workdir / 'report' / 'index.html').stat().st_size > 50_000
    header = (workdir / 'observations.csv').read_text().splitlines()[0]
    assert header.startswith('run,task,params,tokens,train_flops,k,nll,pass_at_k,n_samples,pass_at_k_sampled')
    assert len((workdir / 'observations.csv').read_text().splitlines()) == 1 + 9 * 4 * 5
    assert len((workdir / 'losses.csv').read_text().splitlines()) == 1 + 9
    assert len((workdir / 'questions.csv').read_text().splitlines()) == 1 + 9 * 4 * 16
    overlap = {row['task']: row['any'] for row in json.loads((workdir / 'data' / 'contamination.json').read_text())}
    assert overlap['knowledge'] == 16 and overlap['arithmetic'] == 0
    runs = sorted(path.name for path in (workdir / 'runs').iterdir())
    assert len(runs) == 9 and runs[0] == 'd12-2.0e09'
    run = workdir / 'runs' / runs[0]
    left = {'config.json', 'tokens.json', 'metrics.jsonl', 'checkpoints', 'result.json', 'evaluation'}
    assert {p.name for p in run.iterdir()} == left
    tasks = {'knowledge.csv', 'arithmetic.csv', 'causal.csv', 'spatial.csv'}
    assert {p.name for p in (run / 'evaluation').iterdir()} == tasks | {'settings.json', 'text.json'}
    for law in ('chinchilla', 't2-nll', 't2-accuracy'):
        fit = json.loads((workdir / 'fits' / f'{law}.json').read_text())
        assert fit['law'] == law and set(fit['parameters']) >= {'E', 'A', 'B', 'alpha', 'beta'}
    assert 'unknown' not in json.loads((workdir / 'provenance.json').read_text())['jax']


def test_a_second_run_only_redraws(finished, experiment):
    _, workdir = finished
    files = [p for p in workdir.rglob('*') if p.is_file() and 'report' not in p.parts and p.name != 'provenance.json']
    before = {path: path.stat().st_mtime_ns for path in files}
    report = (workdir / 'report' / 'index.html').read_bytes()
    done = t2jax('study', experiment, '--workdir', workdir, '--json')
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert (workdir / 'report' / 'index.html').read_bytes() == report
    rows = json.loads(done.stdout)
    assert [row['train_flops'] for row in rows] == pytest.approx([2e9, 4e9, 8e9], rel=0.02)
    assert {'params', 'tokens', 'tokens_per_param', 'samples'} <= set(rows[0]['t2-nll'])


def test_the_same_seed_gives_the_same_study_however_many_runs_at_once(finished, experiment, tmp_path):
    t2jax('study', experiment, '--workdir', tmp_path, '--runs-at-once', 1)
    for name in ('observations.csv', 'losses.csv', 'allocation.json', 'fits/t2-accuracy.json'):
        assert (tmp_path / name).read_bytes() == (finished[1] / name).read_bytes(), name


def test_another_seed_gives_another_study_and_its_own_folder(finished, experiment, tmp_path):
    done = t2jax('train', experiment, '--workdir', finished[1], '--seed', 1, check=2)
    assert 'holds another config (seed: 0 -> 1); choose another folder' in done.stderr


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_study_goes_on_where_it_was(finished, experiment, tmp_path, how):
    """Killed when a run is finished, or interrupted in one: what is finished is kept, and the result is the same."""
    process = start('study', experiment, '--workdir', tmp_path)
    deadline = time.time() + 200
    done = lambda: list(tmp_path.glob('runs/*/result.json'))
    begun = done if how == signal.SIGKILL else lambda: list(tmp_path.glob('runs/*/metrics.jsonl'))
    while not begun() and time.time() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    kept = {path: path.stat().st_mtime_ns for path in done()}
    assert (how == signal.SIGINT or kept) and len(kept) < 9
    if how == signal.SIGINT:
        assert process.returncode == 130 and 'the same command goes on from here' in said
    t2jax('study', experiment, '--workdir', tmp_path)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (tmp_path / 'observations.csv').read_bytes() == (finished[1] / 'observations.csv').read_bytes()


def test_whatever_is_missing_is_made_again(finished, experiment):
    """A file lost to a kill, or to its owner, comes back the same."""
    _, workdir = finished
    for name in ('allocation.json', 'fits/t2-accuracy.json', 'losses.csv', 'data/questions/causal.jsonl'):
        before = (workdir / name).read_bytes()
        (workdir / name).unlink()
        t2jax('study', experiment, '--workdir', workdir)
        assert (workdir / name).read_bytes() == before


def test_a_study_without_overtrained_runs_says_so(experiment, finished, tmp_path):
    _, workdir = finished
    shutil.copytree(workdir, tmp_path / 'copy')
    done = t2jax('study', experiment, '--workdir', tmp_path / 'copy', '--laws.overtrained-from', '1e9')
    assert 'Approach 1' in done.stdout
    assert 'No run was held out' in (tmp_path / 'copy' / 'report' / 'index.html').read_text()


@pytest.fixture(scope='module')
def fine_tuned(finished, taught, tmp_path_factory):
    workdir = tmp_path_factory.mktemp('taught') / 'tiny'
    shutil.copytree(finished[1], workdir)
    t2jax('study', taught, '--workdir', workdir)
    return workdir


def test_a_study_gains_post_training(fine_tuned, tmp_path):
    folder, report = fine_tuned / 'posttraining', fine_tuned / 'report'
    jobs = (folder / 'jobs.csv').read_text().splitlines()
    assert len(jobs) == 1 + 9 * 2 * 2 * 2 and sum(line.endswith(',1') for line in jobs) == 9 * 2 * 2
    assert len((folder / 'observations-ft.csv').read_text().splitlines()) == 1 + 9 * 2 * 5
    stages = json.loads((folder / 'stages.json').read_text())
    assert {(row['stage'], row['task']) for row in stages['rows']} == {
        (stage, task) for stage in ('base', 'ft', 'sft') for task in ('arithmetic', 'spatial', 'macro')
    }
    assert (
        'After fine-tuning' in (report / 'index.html').read_text() and (report / 'figure_5_post_training.png').exists()
    )
    one = next(folder.glob('runs/*.spatial.*/evaluation/spatial.csv'))
    run = one.parents[1]
    t2jax('score', run, '--task', 'spatial', '--out', tmp_path)  # a run like any other, with the study's words
    scored = (tmp_path / run.name / 'spatial.csv').read_text().splitlines()[1:]
    nll = [float(line.split(',')[5]) for line in scored]
    assert nll == pytest.approx([float(line.split(',')[1]) for line in one.read_text().splitlines()[1:]], rel=1e-5)


def test_other_post_training_is_refused_before_anything_is_written(fine_tuned, finished, taught, tmp_path):
    study = (fine_tuned / 'study.json').read_bytes()
    done = t2jax('posttrain', taught, '--workdir', fine_tuned, '--posttraining.tuning.seed', 1, check=2)
    assert 'posttraining holds another config (tuning.seed: 0 -> 1)' in done.stderr
    assert (fine_tuned / 'study.json').read_bytes() == study
    t2jax(
        'posttrain', taught, '--workdir', fine_tuned, '--posttraining.tuning.steps-per-dispatch', 8
    )  # changes nothing
    shutil.copytree(finished[1], tmp_path / 'tiny')
    (tmp_path / 'tiny' / 'runs' / 'd8-2.0e09' / 'evaluation' / 'spatial.csv').unlink()
    done = t2jax('posttrain', taught, '--workdir', tmp_path / 'tiny', check=2)
    assert 'run d8-2.0e09 in' in done.stderr and '`t2jax evaluate` does it' in done.stderr
    assert not (tmp_path / 'tiny' / 'posttraining').exists()


@pytest.mark.slow
def test_fine_tuning_goes_on_after_a_kill(finished, taught, fine_tuned, tmp_path):
    shutil.copytree(finished[1], tmp_path / 'tiny')
    process, deadline = start('posttrain', taught, '--workdir', tmp_path / 'tiny'), time.time() + 200
    folder = tmp_path / 'tiny' / 'posttraining'
    while len(list(folder.glob('runs/*/result.json'))) < 9 and time.time() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert 9 <= len(list(folder.glob('runs/*/result.json'))) < 72 and not (folder / 'jobs.csv').exists()
    t2jax('posttrain', taught, '--workdir', tmp_path / 'tiny')
    for name in ('jobs.csv', 'curves.csv', *(f'observations-{stage}.csv' for stage in ('base', 'ft', 'sft'))):
        assert (folder / name).read_bytes() == (fine_tuned / 'posttraining' / name).read_bytes(), name


def test_plan_and_report_work_from_the_files(finished):
    _, workdir = finished
    plan = json.loads(t2jax('plan', workdir, '--train-flops', 4e9, '--inference-flops', 4e4, '--json').stdout)
    assert set(plan['choices']) == {'chinchilla', 't2-nll', 't2-accuracy'}
    choice = plan['choices']['t2-nll']
    assert 6 * choice['params'] * choice['tokens'] == pytest.approx(4e9)
    assert choice['samples'] == pytest.approx(4e4 / 2 / choice['params'])
    assert choice['whole']['samples'] in (int(choice['samples']), int(choice['samples']) + 1)
    text = t2jax('plan', workdir / 'fits' / 't2-nll.json', '--train-flops', 4e9, '--inference-flops', 4e4).stdout
    assert 'Approach 1 (NLL)' in text
    assert 'index.html' in t2jax('report', workdir).stdout


def test_fit_works_on_a_table_that_t2jax_did_not_write(finished, tmp_path):
    rows = (finished[1] / 'observations.csv').read_text().splitlines()
    keep = [line.split(',') for line in rows]
    columns = [keep[0].index(name) for name in ('params', 'tokens', 'k', 'nll', 'task')]
    (tmp_path / 'mine.csv').write_text('\n'.join(','.join(row[i] for i in columns) for row in keep))
    done = t2jax(
        'fit', tmp_path / 'mine.csv', '--law', 't2-nll', '--task', 'causal', '--out', tmp_path / 'fit.json', '--json'
    )
    fit = json.loads(done.stdout)
    assert fit['task'] == 'causal' and set(fit['parameters']) == {'E', 'A', 'B', 'alpha', 'beta', 'G', 'gamma'}
    assert json.loads((tmp_path / 'fit.json').read_text())['parameters'] == fit['parameters']


def test_bad_input_is_one_sentence_and_code_two(finished, experiment, tmp_path):
    _, workdir = finished
    cases = [
        (('study', 'no/such.py'), 'no experiment file no/such.py'),
        (('study', experiment, '--workdir', '/proc/t2jax'), '/proc/t2jax'),
        (('evaluate', experiment, '--workdir', tmp_path / 'new'), '`t2jax train` makes them'),
        (('fit', tmp_path), 'is not the workdir of a study'),
        (('fit', workdir, '--law', 't2-nll'), '--law is for a table; a study fits all laws'),
        (('fit', workdir / 'observations.csv', '--law', 'moore'), "no law 'moore'; there are chinchilla"),
        (('plan', tmp_path, '--train-flops', '1e9', '--inference-flops', '1e4'), 'no fits in'),
        (('plan', workdir, '--train-flops', '1e9', '--inference-flops', '1'), 'inference_flops 1 pays no sample'),
        (('report', tmp_path), 'which is not there'),
        (('study', experiment, '--recipe.speed', '3'), 'Unrecognized options: --recipe.speed, 3'),
        (
            ('posttrain', experiment, '--posttraining.tasks', 'chess', '--workdir', workdir),
            "tasks has 'chess', which is",
        ),
        (('posttrain', experiment, '--posttraining.tasks', 'causal', '--workdir', workdir), 'questions of causal, and'),
        (('study', experiment, '--runs-at-once', '0'), 'runs_at_once is 0; it has to be at least 1'),
        (('study', experiment, '--runs.0.model.d-model', '13'), 'd_model 13 does not split into 2 heads'),
    ]
    for arguments, sentence in cases:
        done = t2jax(*arguments, check=2)
        assert sentence in done.stderr, (arguments, done.stderr)
        assert 'Traceback' not in done.stderr and done.stderr.count('\n') == 1, done.stderr
