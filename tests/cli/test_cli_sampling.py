"""`t2jax sample` and `t2jax passk`: what they write and print; a bad input is one sentence and nothing else."""

import csv
import json
import shutil

import numpy as np
import pytest
from made_run import QUESTIONS, RUN, make_run

from t2jax.cli import main
from t2jax.laws.passk import unbiased_pass_at_k
from t2jax.laws.questions import read_questions
from t2jax.laws.sequential import Plan
from t2jax.laws.sequential import unbiased_pass_at_k as unbiased_by_plan
from t2jax.tasks.questions import Question, write_questions


@pytest.fixture(scope='module', autouse=True)
def no_compile_cache():
    """Leave the cache of whoever runs the tests, and the settings of this process, alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('t2jax.cli.studies.use_compile_cache', lambda: None)
        yield


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp('study'))


def sample(run, out, *flags, task='count', samples=200):
    return main(['sample', str(run), '--task', str(task), '--samples', str(samples), '--out', str(out), *flags])


@pytest.fixture(scope='module')
def folder(run, tmp_path_factory):
    out = tmp_path_factory.mktemp('samples') / 'out'
    assert sample(run, out) == 0
    return out


def passk(capsys, *arguments):
    capsys.readouterr()
    assert main(['passk', *map(str, arguments), '--json']) == 0
    return json.loads(capsys.readouterr().out)


def test_counts_are_a_table_that_laws_read(folder):
    table = read_questions(folder / 'counts.csv')
    assert table.question.tolist() == [q.id for q in QUESTIONS]
    assert (table.n_samples == 200).all() and 0 < table.n_correct.sum() < 1000
    assert (table.nll > 0).all() and set(table.tokens) == {RUN.tokens} and set(table.run) == {'small'}
    result = json.loads((folder / 'result.json').read_text())
    assert result == {'run': 'small', 'task': 'count', 'samples': 1000, 'correct': int(table.n_correct.sum())}
    (job,) = [json.loads((folder / 'job.json').read_text())]
    assert job['sampling']['max_tokens'] == 3 and job['grader'] == 'exact'  # `8 9 .`; a study's answers end in `.`


def test_passk_prints_curves_and_that_likelihoods_agree(folder, capsys):
    found = passk(capsys, folder, '--predict', '1000,10000')
    likelihood, samples, predicted = found['curves'][0]
    assert [curve['kind'] for curve in found['curves'][0]] == ['likelihood', 'samples', 'beta-binomial']
    table = read_questions(folder / 'counts.csv')
    assert samples['k'] == [1, 2, 4, 8, 16, 32, 64, 128]
    by_hand = [unbiased_pass_at_k(200, table.n_correct, int(k)).mean() for k in samples['k']]
    assert samples['value'] == pytest.approx(by_hand)
    assert likelihood['k'] == predicted['k'] == [*samples['k'], 1000, 10000]
    assert found['agreement']['agrees'] and len(found['agreement']['pass_at_k']) == 8
    assert main(['passk', str(folder), '--k', '1,10']) == 0
    said = capsys.readouterr().out
    assert 'small, count: 5 questions, 200 samples each, temperature 1, graded exact' in said
    assert 'Likelihoods and samples agree' in said and '95 % band' in said


def test_a_wrong_likelihood_is_shown_by_question(folder, tmp_path, capsys):
    """The same samples beside a likelihood that somebody got wrong for one question."""
    shutil.copytree(folder, tmp_path / 'wrong')
    path = tmp_path / 'wrong' / 'counts.csv'
    rows = list(csv.DictReader(path.open()))
    rows[1]['nll'] = repr(float(rows[1]['nll']) + 2)
    with path.open('w') as file:
        writer = csv.DictWriter(file, rows[0], lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    found = passk(capsys, tmp_path / 'wrong')['agreement']
    assert not found['agrees'] and [each['question'] for each in found['disagreements']] == ['q1']
    assert main(['passk', str(tmp_path / 'wrong')]) == 0
    assert 'DISAGREE' in capsys.readouterr().out


def test_a_finished_job_draws_nothing_again(run, folder, capsys):
    before = {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}
    assert sample(run, folder, '--json') == 0
    assert json.loads(capsys.readouterr().out)['wasted_share'] == 0
    assert {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()} == before


def test_several_tasks_agree_over_all(run, folder, tmp_path, capsys):
    write_questions(tmp_path / 'two.jsonl', [Question('a', '3', ' 4 .'), Question('b', '4', ' 5 .')])
    assert sample(run, tmp_path / 'two', '--stop-token', '.', task=tmp_path / 'two.jsonl') == 0
    totals = passk(capsys, folder, tmp_path / 'two')['agreement']['totals']
    assert [(total['task'], total['questions']) for total in totals] == [('count', 5), ('two', 2), ('all tasks', 7)]


def test_other_graders_stop_strings_and_selection(run, tmp_path, capsys):
    """A cooler draw, graded by the last number; a comma ends it; one of k is handed on by vote, score or verifier."""
    out, task = tmp_path / 'out', tmp_path / 'last.jsonl'
    write_questions(task, [Question('a', '5 6', '9'), Question('b', '1 2', '9')])
    flags = ('--grader', 'numeric', '--max-tokens', '6', '--temperature', '0.7', '--stop-token', '.')
    assert sample(run, out, *flags, '--stop-string', ' ,', task=task, samples=64) == 0
    counts = list(csv.DictReader((out / 'counts.csv').open()))
    assert 'nll' not in counts[0] and int(counts[0]['n_correct']) > 5
    vote = passk(capsys, out, '--select', 'majority', '--k', '1,33')
    assert vote['agreement'] is None
    (one, many) = vote['selected'][0]
    mean = np.mean([int(row['n_correct']) / 64 for row in counts])
    assert one['value'] == pytest.approx(mean) and 0 <= many['value'] <= 1
    best = passk(capsys, out, '--select', 'model_log_prob', '--k', '1,64')['selected'][0]
    assert best[0]['value'] == pytest.approx(mean) and best[1]['value'] in (0, 0.5, 1)
    assert main(['passk', str(out), '--select', 'majority', '--k', '5']) == 0
    said = capsys.readouterr().out
    assert 'temperature 0.7' in said and 'majority' in said and 'No agreement report' in said
    scores = tmp_path / 'scores.csv'
    scores.write_text('question,sample,score\n' + ''.join(f'{q},{i},{i % 7}\n' for q in 'ab' for i in range(64)))
    given = passk(capsys, out, '--select', 'score', '--scores', scores, '--k', '64')['selected'][0]
    assert 0 <= given[0]['value'] <= 1
    scores.write_text('question,sample,score\na,0,1\n')
    assert main(['passk', str(out), '--select', 'score', '--scores', str(scores)]) == 2
    assert 'of question' in capsys.readouterr().err


def test_adaptive_samples_are_estimated_without_bias(run, tmp_path, capsys):
    out = tmp_path / 'out'
    flags = ('--band', '0.3', '--target-k', '16', '--most-samples', '256')
    assert sample(run, out, *flags, samples=32) == 0
    table = read_questions(out / 'counts.csv')
    assert table.n_samples.min() == 32 < table.n_samples.max()
    found = passk(capsys, out)
    plan, ks = Plan(32, 256, 16, 0.3), found['curves'][0][1]['k']
    by_hand = [unbiased_by_plan(plan, table.n_samples, table.n_correct, int(k)).mean() for k in ks]
    assert found['curves'][0][1]['value'] == pytest.approx(by_hand)
    assert found['curves'][0][1]['k'] == [1, 2, 4, 8, 16, 32] and found['agreement']['totals'][0]['samples'] == 5 * 32


def test_the_curve_is_drawn(folder, tmp_path):
    assert main(['passk', str(folder), '--predict', '1000', '--impossible', '--plot', str(tmp_path / 'a.png')]) == 0
    assert (tmp_path / 'a.png').stat().st_size > 10_000


def refused(capsys, arguments, *sentence):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and all(part in said[0] for part in sentence), said


FLAGS = [
    (('--temperature', '-1'), 'temperature is -1; use 0'),
    (('--top-p', '0'), 'top-p is 0; use a share above 0 and at most 1'),
    (('--top-p', '1.5'), 'top-p is 1.5; use a share above 0 and at most 1'),
    (('--top-k', '-2'), 'top-k is -2'),
    (('--max-tokens', '0'), 'max-tokens is 0; a sample needs at least 1'),
    (('--max-tokens', '2'), "question 'q1' has an answer of 3 tokens, and samples have at most 2; raise --max-tokens"),
    (('--max-tokens', '12'), "question 'q3' has a prompt of 8 tokens", 'context of 16'),
    (('--stop-token', 'end'), "stop token 'end' is not in words; name one of its tokens"),
    (('--stop-token', '5'), "question 'q1' has an answer with a stop token in it"),
    (('--stop-string', ' 9'), "question 'q3' has an answer with a stop string in it"),
    (('--grader', 'fuzzy'), "there is no grader 'fuzzy'; use exact, normalised, numeric, code"),
    (('--grader', 'numeric'), 'samples need --max-tokens'),
    (('--memory', '0.00001'), 'one sample at a time takes'),
    (('--step', '7'), 'has no checkpoint of step 7; it has [60]'),
    (('--target-k', '9'), '--target-k is for adaptive sampling; say with --band'),
    (('--band', '2'), 'band 2'),
    (('--cache-dtype', 'int4'), "cache-dtype is 'int4'"),
    (('--tokenizer', 'no.json'), 'no tokenizer file no.json'),
    (('--coordinator', 'here'), 'give all three or none'),
]


@pytest.mark.parametrize('given', FLAGS, ids=lambda given: ' '.join(given[0]))
def test_a_bad_flag_is_one_sentence_and_writes_nothing(run, tmp_path, capsys, given):
    flags, *sentence = given
    refused(capsys, ['sample', run, '--task', 'count', '--out', tmp_path / 'o', *flags], *sentence)
    assert not (tmp_path / 'o').exists()


BAD_QUESTIONS = [
    ('{"id": "a", "prompt": "", "answer": "4 ."}', "question 'a' has an empty prompt"),
    ('{"id": "a", "prompt": "1", "answer": ""}', "question 'a' has an empty answer"),
    ('{"id": "a", "prompt": "1"}', 'line 1 is not a JSON object with id, prompt and answer'),
    ('{"id": "a", "prompt": "1 one", "answer": " 4"}', "question 'a': word 'one' is not in the vocabulary of 12 words"),
    (json.dumps({'id': 'a', 'prompt': '1 ' * 20, 'answer': '4'}), "question 'a' has a prompt of 21 tokens"),
    ('', 'holds no questions'),
]


@pytest.mark.parametrize(('line', 'sentence'), BAD_QUESTIONS, ids=range(len(BAD_QUESTIONS)))
def test_a_bad_question_is_named(run, tmp_path, capsys, line, sentence):
    (tmp_path / 'bad.jsonl').write_text(line + '\n' if line else '')
    refused(capsys, ['sample', run, '--task', tmp_path / 'bad.jsonl', '--out', tmp_path / 'o'], 'bad.jsonl', sentence)
    assert not (tmp_path / 'o').exists()


def test_a_folder_of_another_job_is_left_alone(run, folder, capsys):
    before = {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}
    refused(capsys, ['sample', run, '--task', 'count', '--samples', 9, '--out', folder], 'holds another config', 'plan')
    assert {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()} == before


def test_what_is_no_run_task_or_folder_is_named(run, folder, tmp_path, capsys):
    out = ('--out', tmp_path / 'o')
    refused(capsys, ['sample', tmp_path, '--task', 'count', *out], 'is no run: it has no config.json')
    refused(capsys, ['sample', run, '--task', 'sums', *out], "there is no task 'sums'", 'name count, lambada')
    refused(capsys, ['sample', run, '--task', 'sums.jsonl', *out], 'no question file sums.jsonl')
    refused(capsys, ['sample', run, '--task', 'count', '--samples', 0, *out], 'samples is 0; draw at least 1')
    refused(capsys, ['passk', tmp_path], 'holds no samples; give the folder of a `t2jax sample`')
    refused(capsys, ['passk', folder, '--k', '1,201'], 'k = 201 cannot be estimated from 200 samples without bias')
    refused(capsys, ['passk', folder, '--k', 'many'], "--k is 'many'; list numbers of tries")
    refused(capsys, ['passk', folder, '--k', '1.5'], 'from samples without bias k has to be whole')
    refused(capsys, ['passk', folder, '--select', 'luck'], '--select is luck; use majority')
    refused(capsys, ['passk', folder, folder, '--plot', 'a.png'], '--plot draws one folder, and there are 2')
    (tmp_path / 'half').mkdir()
    shutil.copy(folder / 'job.json', tmp_path / 'half')
    refused(
        capsys, ['passk', tmp_path / 'half'], 'is not finished: it has no counts.csv; the same `t2jax sample` goes on'
    )
