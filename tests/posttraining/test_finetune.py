"""t2jax finetune on a real, small run: what it leaves, that it teaches, goes on, and refuses."""

import csv
import json
import math
import shutil

import jax
import pytest

from t2jax import cli
from t2jax.posttraining.settings import FineTuning
from t2jax.tasks.questions import read_questions, write_questions
from t2jax.training.checkpoint import CheckpointFolder, Checkpoints
from t2jax.training.runs import read_run
from t2jax.training.step import init_state
from t2jax.training.trained import open_trained

RATES = ('1e-05', '0.003')


def command(run_folder, files, out, *more, **changed):
    paths = {**files, **changed}
    parts = ['finetune', run_folder, '--task', paths['down'], '--validation', paths['validation'], '--out', out]
    return [str(part) for part in [*parts, '--learning-rates', '1e-5,3e-3', *more]]


@pytest.fixture(scope='module')
def done(run_folder, files, tmp_path_factory):
    out = tmp_path_factory.mktemp('out') / 'f'
    plot = out.parent / 'curves.png'
    assert cli.main(command(run_folder, files, out, '--test', files['test'], '--plot', plot)) == 0
    assert plot.stat().st_size > 10_000
    return out / 'down'


def table(path):
    return list(csv.DictReader(path.open()))


def test_it_teaches(done):
    """The run has seen numbers count upwards alone; at a fair rate it learns that they may count down."""
    jobs = {(row['stage'], row['learning_rate']): row for row in table(done / 'jobs.csv')}
    assert set(jobs) == {(stage, rate) for stage in ('ft', 'sft') for rate in RATES}
    for stage in ('ft', 'sft'):
        slow, fast = (jobs[stage, rate] for rate in RATES)
        assert (slow['chosen'], fast['chosen']) == ('0', '1')
        before, after = float(fast['validation_nll_before']), float(fast['validation_nll'])
        assert after < 0.5 * before and after < float(slow['validation_nll']) <= 1.01 * before
        assert fast['run'] == 'small'


def test_curves_begin_with_the_model_itself(done):
    rows = [row for row in table(done / 'curves.csv') if (row['stage'], row['learning_rate']) == ('sft', RATES[1])]
    jobs = table(done / 'jobs.csv')
    assert [row['epoch'] for row in rows] == list('0123456')
    assert rows[0]['training_loss'] == '' and rows[0]['validation_nll'] == jobs[0]['validation_nll_before']
    assert rows[6]['validation_nll'] == jobs[3]['validation_nll']
    losses = [float(row['training_loss']) for row in rows[1:]]
    assert losses[-1] < losses[0] and all(math.isfinite(loss) for loss in losses)


def test_a_fine_tuned_model_is_a_run_that_remembers_what_it_began_with(done, run_folder):
    base, folder = open_trained(run_folder), done / 'runs' / 'small.down.sft-0.003'
    trained = open_trained(folder)
    assert trained.tokens == base.tokens and trained.context == base.context and trained.start.run == 'small'
    run = read_run(folder)
    assert (run.recipe.batch_sequences, run.recipe.epochs, run.recipe.decay) == (8, 6, 'constant')
    assert run.recipe.weight_decay == 0 and run.recipe.learning_rate == 0.003


def test_the_test_is_scored_before_and_after(done, run_folder, files, tmp_path, capsys):
    scores = {}
    for stage, name in (('base', 'small'), ('ft', 'small.down.ft-0.003'), ('sft', 'small.down.sft-0.003')):
        rows = table(done / 'scores' / stage / name / 'down.csv')
        assert [row['question'] for row in rows] == [q.id for q in read_questions(files['test'])]
        scores[stage] = sum(float(row['nll']) for row in rows) / len(rows)
    assert max(scores['sft'], scores['ft']) < 0.75 * scores['base']
    folder = done / 'runs' / 'small.down.sft-0.003'
    task = shutil.copy(files['test'], tmp_path / 'down.jsonl')
    assert cli.main(['score', str(folder), '--task', str(task), '--out', str(tmp_path / 's')]) == 0
    mine = (tmp_path / 's' / folder.name / 'down.csv').read_bytes()
    assert mine == (done / 'scores' / 'sft' / folder.name / 'down.csv').read_bytes()
    capsys.readouterr()
    assert cli.main(['collect', str(done / 'scores' / 'sft'), '--out', str(tmp_path / 't.csv')]) == 0
    assert (tmp_path / 't.csv').read_text().count('\n') == 1 + len(rows)


def test_a_second_call_trains_nothing(done, run_folder, files, capsys):
    paths = [path for path in done.rglob('*') if path.is_file() and path.name not in ('jobs.csv', 'curves.csv')]
    before = {path: path.stat().st_mtime_ns for path in paths if 'tokenizer' not in path.name}
    kept = [path for path in before if path.parent.name == 'checkpoints' or path.name == 'metrics.jsonl']
    assert cli.main(command(run_folder, files, done.parent, '--test', files['test'], '--json')) == 0
    assert all(path.stat().st_mtime_ns == before[path] for path in kept) and kept
    rows = json.loads(capsys.readouterr().out)
    assert [row['chosen'] for row in rows] == [False, True, False, True]
    assert rows[1]['test_nll'] < rows[1]['test_nll_before']


def test_together_they_are_what_they_are_apart(done, run_folder, files, tmp_path):
    assert cli.main(command(run_folder, files, tmp_path, '--together', 3)) == 0
    mine, theirs = (table(folder / 'curves.csv') for folder in (tmp_path / 'down', done))
    for one, two in zip(mine, theirs, strict=True):
        assert float(one['validation_nll']) == pytest.approx(float(two['validation_nll']), rel=2e-3)


def test_bad_input_is_one_sentence_and_nothing_is_written(run_folder, files, tmp_path, capsys):
    train = read_questions(files['down'])
    write_questions(tmp_path / 'leaks.jsonl', [*train, *read_questions(files['validation'])[:2]])
    long = train[0].__class__('long', '1 2 3', ' 4' * 20)
    write_questions(tmp_path / 'long.jsonl', [*train, long])
    write_questions(tmp_path / 'longest.jsonl', [long])
    (tmp_path / 'empty.jsonl').write_text('')
    out = tmp_path / 'out'
    for changed, more, sentence in (
        ({'down': tmp_path / 'leaks.jsonl'}, (), 'shares 2 of its'),
        ({'down': tmp_path / 'long.jsonl'}, (), "question 'long' takes 24 tokens, 20 of them its answer"),
        ({'down': tmp_path / 'empty.jsonl'}, (), 'empty.jsonl'),
        ({}, ('--test', str(tmp_path / 'long.jsonl')), 'shares'),
        ({}, ('--test', str(tmp_path / 'longest.jsonl')), "longest.jsonl: question 'long' takes 24 tokens"),
        ({'down': files['test']}, ('--test', str(files['test'])), 'shares'),
        ({}, ('--learning-rates', '1e-3,fast'), "--learning-rates is '1e-3,fast'"),
        ({}, ('--learning-rates', '-1'), 'learning_rates are (-1.0,); give at least one, each above 0'),
        ({}, ('--epochs', '0'), 'epochs is 0'),
    ):
        assert cli.main(command(run_folder, files, out, *more, **changed)) == 2
        said = capsys.readouterr()
        assert sentence in said.err and said.err.count('\n') == 1 and not out.exists(), sentence


def test_leave_out_trains_on_the_rest(run_folder, files, tmp_path, capsys):
    train = read_questions(files['down'])
    long = train[0].__class__('long', '1 2 3', ' 4' * 20)
    write_questions(tmp_path / 'down.jsonl', [*train, *read_questions(files['validation'])[:2], long])
    more = ('--leave-out', '--stage', 'sft', '--epochs', 1, '--learning-rates', '1e-3')
    assert cli.main(command(run_folder, files, tmp_path, *more, down=tmp_path / 'down.jsonl')) == 0
    assert 'left out: 3 training questions, 0 validation questions' in capsys.readouterr().out
    alone = tmp_path / 'alone'
    assert cli.main(command(run_folder, files, alone, *more[1:])) == 0  # of what is left, the same comes
    assert table(alone / 'down' / 'curves.csv') == table(tmp_path / 'down' / 'curves.csv')


def test_a_folder_belongs_to_one_lesson(done, run_folder, files, tmp_path, capsys):
    write_questions(tmp_path / 'down.jsonl', read_questions(files['down'])[1:])
    assert cli.main(command(run_folder, files, done.parent, down=tmp_path / 'down.jsonl')) == 2
    assert 'holds another config (train' in capsys.readouterr().err
    for flag, name in (('--epochs', 'epochs: 6 -> 2'), ('--seed', 'seed: 0 -> 2'), ('--batch', 'batch: 8 -> 2')):
        assert cli.main(command(run_folder, files, done.parent, flag, 2)) == 2
        assert 'holds another config' in (said := capsys.readouterr().err) and name in said


def test_another_model_of_the_same_name_is_not_taken_for_it(done, run_folder, files, tmp_path, capsys):
    """Its params differ, its name and folder do not."""
    other = shutil.copytree(run_folder.parents[1], tmp_path / 'w') / 'runs' / 'small'
    shutil.rmtree(other / 'checkpoints')
    run = read_run(other)
    config = json.loads((other / 'config.json').read_text()) | {'seed': 7}
    (other / 'config.json').write_text(json.dumps(config))
    state = init_state(run.model, run.recipe, jax.random.key(7))
    with CheckpointFolder(other / 'checkpoints', Checkpoints()) as saved:
        saved.save(run.steps, state, {})
    assert cli.main(command(other, files, done.parent)) == 2
    assert 'start.weights' in capsys.readouterr().err


def test_a_rate_that_diverges_is_noted_and_not_chosen(run_folder, files, tmp_path, capsys):
    """With the clipped gradient only a rate like this one gets there."""
    more = ('--learning-rates', '1e30,1e-3', '--stage', 'sft', '--epochs', 2, '--test', files['test'])
    assert cli.main(command(run_folder, files, tmp_path, *more)) == 0
    wild, tame = table(tmp_path / 'down' / 'jobs.csv')
    assert (wild['validation_nll'], wild['chosen'], tame['chosen']) == ('inf', '0', '1')
    capsys.readouterr()
    only = command(run_folder, files, tmp_path / 'only', *more)
    only[only.index('1e30,1e-3')] = '1e30'
    assert cli.main(only) == 2 and 'no learning rate of sft on down ends at a finite NLL' in capsys.readouterr().err


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match='stages are dpo; use ft or sft or both'):
        FineTuning(stages=('dpo',))
    with pytest.raises(ValueError, match='two are the same'):
        FineTuning(learning_rates=(1e-3, 0.001))
