"""Files of likelihoods: what they hold, resumed to the byte, refused where they belong to something else."""

import csv
import dataclasses
import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from t2jax.cli import main
from t2jax.evaluation import likelihood, scoring
from t2jax.evaluation.likelihood import answer_nll
from t2jax.evaluation.questions import Found, find_questions
from t2jax.laws.questions import read_questions as read_table
from t2jax.mesh import make_mesh
from t2jax.models import transformer
from t2jax.tasks.boundaries import encode_questions
from t2jax.tasks.questions import Question, write_questions
from t2jax.training.trained import Imported, open_trained, save_imported
from tests.made_run import QUESTIONS, RUN, WORDS, make_run

MANY = [Question(f'm{i}', ' '.join(map(str, range(a, b))), f' {b} .') for i, (a, b) in enumerate(
    (a, b) for _ in range(4) for a in range(1, 9) for b in range(a + 1, 10))]  # fmt: skip


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp('study'))


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of 64 slots, saved after each."""
    compiled = likelihood._score
    compiled.clear_cache()
    monkeypatch.setattr(likelihood, 'BLOCK_BYTES', 2**10)
    monkeypatch.setattr(scoring, 'SAVE_SECONDS', -1)
    yield
    compiled.clear_cache()


def score(run, out, questions=MANY, progress=lambda *_: None):
    return scoring.score(open_trained(run), Found('many', questions, 'made up'), WORDS, out, progress)


def test_a_row_a_question_with_its_likelihood_tokens_and_bytes(run, tmp_path, capsys):
    assert main(['score', str(run), '--task', 'count', '--out', str(tmp_path), '--json']) == 0
    (result,) = json.loads(capsys.readouterr().out)
    path = tmp_path / 'small' / 'count.csv'
    assert result['file'] == str(path) and sorted(os.listdir(path.parent)) == ['about', 'count.csv']
    rows = list(csv.DictReader(path.open()))
    trained = open_trained(run)
    params = trained.load(make_mesh(jax.devices()[:1]))
    expected = answer_nll(trained.model, params, encode_questions(QUESTIONS, WORDS, WORDS.end_id))
    assert [float(row['nll']) for row in rows] == pytest.approx(expected, rel=1e-6)
    assert [row['question'] for row in rows] == [q.id for q in QUESTIONS]
    assert [int(row['n_tokens']) for row in rows] == [len(q.answer.split()) for q in QUESTIONS]
    assert [int(row['n_bytes']) for row in rows] == [len(q.answer) for q in QUESTIONS]
    assert result['nll'] == pytest.approx(expected.mean()) and result['pass_at_1'] == pytest.approx(
        np.exp(-expected).mean()
    )
    assert result['bits_per_byte'] == pytest.approx(expected.sum() / np.log(2) / sum(len(q.answer) for q in QUESTIONS))
    table = read_table(path)  # laws read it as it is
    assert set(table.run) == {'small'} and set(table.tokens) == {RUN.tokens} and (table.nll > 0).all()
    about = json.loads((path.parent / 'about' / 'count.json').read_text())
    assert about['bos'] == '<end>' and about['straddling'] == 0 and 'together' in about['boundary']


def test_greedy_says_whether_the_answer_is_what_the_model_would_write(run, tmp_path):
    score(run, tmp_path)
    trained = open_trained(run)
    params = trained.load(make_mesh(jax.devices()[:1]))
    rows = list(csv.DictReader((tmp_path / 'small' / 'many.csv').open()))
    forward = jax.jit(transformer.forward, static_argnums=0)
    expected = []
    for question in MANY:
        prompt, answer = WORDS.encode(question.prompt), WORDS.encode(question.answer)
        row = np.zeros((1, 16), np.int32)
        row[0, 1 : 1 + len(prompt) + len(answer)] = [*prompt, *answer]
        likeliest = np.asarray(forward(trained.model, params, row)[0]).argmax(-1)
        expected.append((likeliest[len(prompt) :][: len(answer)] == answer).all())
    assert [row['greedy'] == '1' for row in rows] == expected and 0 < sum(expected) < len(MANY)


class Killed(Exception):
    pass


def test_an_interrupted_job_goes_on_and_ends_in_the_same_bytes(run, tmp_path, small_batches, monkeypatch):
    batches, score_batch = [], likelihood._score
    monkeypatch.setattr(likelihood, '_score', lambda *a, **k: batches.append(1) or score_batch(*a, **k))
    score(run, tmp_path / 'whole')
    once = len(batches)
    stops, news = 0, []

    def progress(done, total, resumed):
        news.append((done, resumed))
        if not resumed and stops < 4 and len(news) > 2:
            raise Killed

    while True:
        news.clear()
        batches.clear()
        try:
            score(run, tmp_path / 'cut', progress=progress)
            break
        except Killed:
            stops += 1
            part = tmp_path / 'cut' / 'small' / 'about' / 'many.part'
            assert part.exists() and not (part.parents[1] / 'many.csv').exists()
    assert stops == 4 and news[0][0] > 0 and news[0][1]
    assert 0 < len(batches) < once  # what was scored is not scored again
    assert sum(done for done, _ in news) == len(MANY) and sum(done for done, resumed in news if not resumed) < len(MANY)
    contents = [(tmp_path / name / 'small' / 'many.csv').read_bytes() for name in ('whole', 'cut')]
    assert contents[0] == contents[1]
    assert os.listdir(tmp_path / 'cut' / 'small' / 'about') == ['many.json']


def test_a_finished_file_is_not_scored_again_and_other_questions_are_refused(run, tmp_path):
    first = score(run, tmp_path)
    before = (tmp_path / 'small' / 'many.csv').stat().st_mtime_ns
    assert score(run, tmp_path) == first
    assert (tmp_path / 'small' / 'many.csv').stat().st_mtime_ns == before
    with pytest.raises(ValueError, match='holds another config \\(questions: '):
        score(run, tmp_path, MANY[1:])


def test_a_damaged_part_is_named(run, tmp_path):
    (tmp_path / 'small' / 'about').mkdir(parents=True)
    (tmp_path / 'small' / 'about' / 'many.part').write_text('0,1.5,1\n1,oops,0\n')
    with pytest.raises(ValueError, match='many.part is damaged .*; delete it and score again'):
        score(run, tmp_path)


def test_scores_are_collected_into_one_table(run, tmp_path, capsys):
    flags = ('--task', 'count', '--out', str(tmp_path / 'scores'))
    assert main(['score', str(run), *flags]) == 0
    assert main(['collect', str(tmp_path / 'scores'), '--out', str(tmp_path / 'table.csv')]) == 0
    table = read_table(tmp_path / 'table.csv')
    assert table.question.tolist() == [q.id for q in QUESTIONS] and set(table.task) == {'count'}
    assert (table.nll == read_table(tmp_path / 'scores' / 'small' / 'count.csv').nll).all()


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    (said,) = capsys.readouterr().err.strip().splitlines()
    return said


BAD = [
    ('{"id": "a", "prompt": "1", "answer": " "}', "question 'a' has an answer that tokenizes to nothing"),
    ('{"id": "a", "prompt": "1"}', 'bad.jsonl line 1 is not a JSON object with id, prompt and answer'),
    ('{"id": "a", "prompt": "1", "answer": " 2"}\n' * 2, "bad.jsonl line 2 repeats the id 'a'"),
    ('{"id": "a", "prompt": "1 x", "answer": " 2"}', "question 'a': word 'x' is not in the vocabulary"),
    (json.dumps({'id': 'a', 'prompt': '1 ' * 20, 'answer': ' 2'}), "question 'a' takes 22 tokens, 1 of"),
]


@pytest.mark.parametrize(('text', 'sentence'), BAD, ids=range(len(BAD)))
def test_a_bad_question_is_one_sentence_and_nothing_is_written(run, tmp_path, capsys, text, sentence):
    (tmp_path / 'bad.jsonl').write_text(text)
    said = refused(capsys, 'score', run, '--task', tmp_path / 'bad.jsonl', '--out', tmp_path / 'o')
    assert sentence in said and 'bad.jsonl' in said
    assert not (tmp_path / 'o').exists()


def test_models_that_cannot_be_scored_are_refused(run, tmp_path, capsys):
    trained = open_trained(run)
    params = trained.load(make_mesh(jax.devices()[:1]))
    about = {'name': 'x', 'model': trained.model, 'context': 16, 'source': 'made up', 'bos': None, 'end': None}
    save_imported(tmp_path / 'a', Imported(tokens=None, **about), params)
    task = ('--task', tmp_path / 'task.jsonl', '--out', tmp_path / 'o')
    write_questions(tmp_path / 'task.jsonl', QUESTIONS)
    assert 'has no vocabulary beside it; give its tokenizer' in refused(capsys, 'score', tmp_path / 'a', *task)
    from t2jax.data.tokenizers import train_vocabulary

    train_vocabulary(['1 2 3 .'], 300, tmp_path / 'large.json', quiet=True)
    said = refused(capsys, 'score', tmp_path / 'a', *task, '--tokenizer', tmp_path / 'large.json')
    assert 'large.json has 26' in said and '12; give the tokenizer that it was trained with' in said
    said = refused(capsys, 'score', run, *task, '--tokenizer', tmp_path / 'large.json')
    assert 'large.json has 26' in said and 'cannot be padded to 12' in said
    save_imported(
        tmp_path / 'b',
        Imported(tokens=1e6, **about | {'model': dataclasses.replace(trained.model, vocab=400)}),
        transformer.init_params(dataclasses.replace(trained.model, vocab=400), jax.random.key(0)),
    )
    said = refused(capsys, 'score', tmp_path / 'b', *task, '--tokenizer', tmp_path / 'large.json')
    assert 'large.json has 26' in said and '400; give the tokenizer that it was trained with' in said
    assert 'two checkpoints are called' in refused(capsys, 'score', run, run, *task)
    with pytest.raises(ValueError, match='does not say how many tokens it was trained on; convert it with --tokens'):
        scoring.score(open_trained(tmp_path / 'a'), Found('t', MANY, 'made up'), WORDS, tmp_path / 'o')
    assert not (tmp_path / 'o').exists()


def test_a_model_trained_without_a_first_token_is_scored_without(run, tmp_path):
    trained = open_trained(run)
    params = trained.load(make_mesh(jax.devices()[:1]))
    about = {'name': 'x', 'model': trained.model, 'context': 16, 'tokens': 1e6, 'source': 'made up', 'end': None}
    for bos in (None, '9'):
        save_imported(tmp_path / str(bos), Imported(bos=bos, **about), params)
        scoring.score(open_trained(tmp_path / str(bos)), Found('t', MANY, 'made up'), WORDS, tmp_path / f'o{bos}')
        rows = list(csv.DictReader((tmp_path / f'o{bos}' / 'x' / 't.csv').open()))
        encoded = encode_questions(MANY, WORDS, None if bos is None else WORDS.id_of(bos))
        expected = answer_nll(trained.model, params, encoded)
        assert [float(row['nll']) for row in rows] == pytest.approx(expected, rel=1e-6)
        assert json.loads((tmp_path / f'o{bos}' / 'x' / 'about' / 't.json').read_text())['bos'] == bos
    save_imported(tmp_path / 'odd', Imported(bos='<s>', **about), params)
    with pytest.raises(ValueError, match="begin with '<s>', a token that words lacks"):
        scoring.score(open_trained(tmp_path / 'odd'), Found('t', MANY, 'made up'), WORDS, tmp_path / 'o')


def test_names_of_tasks(run, tmp_path):
    assert find_questions('count', run.parent.parent).ends == ('.',)
    with pytest.raises(ValueError, match="there is no task 'nope'; name count, lambada, arc_easy"):
        find_questions('nope', run.parent.parent)
    with pytest.raises(ValueError, match='spatial_reasoning is generated and reads no file'):
        find_questions('spatial_reasoning:x.jsonl')
    with pytest.raises(FileNotFoundError, match='no question file x.jsonl'):
        find_questions('sciq:x.jsonl')


def test_a_run_knows_the_tokenizer_of_its_text(tmp_path, capsys):
    """Another one of the same size is refused, and an end token that nobody expects is no secret."""
    from t2jax.data.feed import Feed
    from t2jax.data.shards import open_shards, write_shards
    from t2jax.data.tokenizers import FileVocabulary, train_vocabulary
    from t2jax.training import loop

    texts = [['one two three one two! '] * 60, ['red blue green blue red! '] * 60]
    for name, text in zip('ab', texts):
        train_vocabulary(text, 264, tmp_path / f'{name}.json', quiet=True)
    vocabulary = FileVocabulary(tmp_path / 'a.json', pad_to=272, end_token='!')
    write_shards(tmp_path / 'tokens', lambda i: iter(texts[0]), vocabulary, 1, 10**6, {'made': 'up'})
    model = dataclasses.replace(RUN.model, vocab=272)
    config = dataclasses.replace(RUN, name='text', model=model, tokens=8 * 16 * 4)
    feed = Feed(open_shards(tmp_path / 'tokens', None), 8, 16, seed=0, epochs=9)
    loop.train(config, feed, tmp_path / 'run', make_mesh(jax.devices()[:1]))
    write_questions(tmp_path / 'q.jsonl', [Question('q', 'one two', ' three')])
    flags = ('score', tmp_path / 'run', '--task', tmp_path / 'q.jsonl', '--out', tmp_path / 'o', '--tokenizer')
    said = refused(capsys, *flags, tmp_path / 'b.json')
    assert 'b.json is not the tokenizer a.json that made the tokens of' in said and not (tmp_path / 'o').exists()
    assert main([str(flag) for flag in (*flags, tmp_path / 'a.json')]) == 0
    assert json.loads((tmp_path / 'o' / 'text' / 'about' / 'q.json').read_text())['bos'] == '!'


def test_weights_that_give_no_likelihood_are_named(run, tmp_path):
    trained = open_trained(run)
    params = trained.load(make_mesh(jax.devices()[:1]))
    params['norm']['gain'] = params['norm']['gain'].at[0].set(np.nan)
    save_imported(tmp_path / 'm', Imported('x', trained.model, 16, 1e6, 'made up', None, None), params)
    with pytest.raises(ValueError, match="gives 'm0' of t no finite likelihood; its weights are broken"):
        scoring.score(open_trained(tmp_path / 'm'), Found('t', MANY, 'made up'), WORDS, tmp_path / 'o')
    assert not list((tmp_path / 'o').rglob('t.csv'))


def test_a_token_that_spells_nothing_is_recorded_as_it_is_written(run, tmp_path):
    from t2jax.data.tokenizers import train_vocabulary

    trained = open_trained(run)
    vocabulary = train_vocabulary(['1 2 3 4 5'] * 20, 264, tmp_path / 'tok.model', quiet=True)
    model = dataclasses.replace(trained.model, vocab=264)
    params = transformer.init_params(model, jax.random.key(0))
    about = Imported('x', model, 16, 1e6, 'made up', '</s>', None)
    save_imported(tmp_path / 'm', about, params, tmp_path / 'tok.model')
    scoring.score(
        open_trained(tmp_path / 'm'), Found('t', [Question('a, b', '1', ' 2')], 'made up'), vocabulary, tmp_path
    )
    assert json.loads((tmp_path / 'x' / 'about' / 't.json').read_text())['bos'] == '</s>'
    assert read_table(tmp_path / 'x' / 't.csv').question.tolist() == ['a, b']


@pytest.mark.slow
def test_two_hosts_score_as_one_and_one_of_them_writes(run, tmp_path):
    """Two real processes of a slice, as `t2jax score --distributed` starts them."""
    with socket.create_server(('localhost', 0)) as server:
        port = server.getsockname()[1]
    command = [sys.executable, '-m', 't2jax', 'score', str(run), '--task', 'count', '--json']
    env = {**os.environ, 'JAX_PLATFORMS': 'cpu'}
    several = ['--coordinator', f'localhost:{port}', '--processes', '2', '--out', str(tmp_path / 'two')]
    both = [
        subprocess.Popen([*command, *several, '--process', str(i)], env=env, text=True, stdout=subprocess.PIPE)
        for i in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [text.count('"task": "count"') for text in said] == [1, 0]  # gloo says something of its own there
    subprocess.run([*command, '--out', str(tmp_path / 'one')], env=env, check=True, stdout=subprocess.DEVNULL)
    files = ['small/count.csv', 'small/about/count.json']
    assert [(tmp_path / 'two' / f).read_bytes() for f in files] == [(tmp_path / 'one' / f).read_bytes() for f in files]
