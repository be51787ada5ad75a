"""`t2jax tasks` and `t2jax contamination`, and what they refuse."""

import csv
import json

import pytest

from t2jax.cli import main
from t2jax.data.shards import write_shards
from t2jax.data.tokenizers import FileVocabulary, train_vocabulary
from t2jax.tasks.catalogue import TASKS
from t2jax.tasks.questions import Question, read_questions, write_questions
from tests.made_run import QUESTIONS, WORDS

TEXT = ['one two three four five six seven', 'the cat sat on the mat and looked at the dog', 'eight nine ten']


def said(capsys, *arguments, code=0):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err.strip()


def test_all_tasks_are_listed(capsys):
    listed = json.loads(said(capsys, 'tasks', '--json'))
    assert [row['task'] for row in listed] == list(TASKS)
    text = said(capsys, 'tasks')
    assert len(text.splitlines()) == len(TASKS) and 'gsm8k' in text and 'numeric' in text


def test_a_task_is_described_and_written(tmp_path, capsys):
    out = tmp_path / 'q.jsonl'
    text = said(capsys, 'tasks', 'multi_step_arithmetic', '--out', out)
    assert 'multi_step_arithmetic: 1,000 questions' in text and text.count('▸') == 10
    assert read_questions(out) == TASKS['multi_step_arithmetic'].generate()
    found = json.loads(said(capsys, 'tasks', out, '--json'))
    assert found['questions'] == 1000 and len(found['sample']) == 10
    train_vocabulary(TEXT, 300, tmp_path / 'tok.json', quiet=True)
    assert 'prompt, tokens' in said(capsys, 'tasks', 'spatial_reasoning', '--tokenizer', tmp_path / 'tok.json')


def test_rows_of_ones_own(tmp_path, capsys):
    (tmp_path / 'rows.jsonl').write_text('{"text": "a b c"}\n{"text": "d"}\n')
    error = said(capsys, 'tasks', f'lambada:{tmp_path / "rows.jsonl"}', code=2)
    assert error.endswith("rows.jsonl line 2 is no row of lambada: text is 'd', which has no last word to ask for")
    assert 'there is no task' in said(capsys, 'tasks', 'lambda', code=2)
    assert 'names no file after its colon' in said(capsys, 'tasks', 'lambada:', code=2)
    assert 'no task is named' in said(capsys, 'tasks', '--out', tmp_path / 'o.jsonl', code=2)


@pytest.fixture
def shards(tmp_path):
    vocabulary = train_vocabulary(TEXT, 300, tmp_path / 'tok.json', quiet=True)
    write_shards(tmp_path / 'tokens', lambda i: iter(TEXT), vocabulary, 1, 10**6, {'made': 'up'})
    return tmp_path / 'tokens'


def test_questions_are_found_in_the_text(shards, tmp_path, capsys):
    questions = [
        Question('whole, quoted', 'the cat sat on the mat and looked at the', ' dog'),
        Question('prompt', 'the cat sat on the mat and looked at the', ' sun'),
        Question('across', 'five six seven', ' the cat'),  # the end of one document and the beginning of another
        Question('new', 'ten nine eight seven six', ' five'),
    ]
    write_questions(tmp_path / 'pets.jsonl', questions)
    flags = ('--task', tmp_path / 'pets.jsonl', '--tokenizer', tmp_path / 'tok.json', '--n', 5)
    (row,) = json.loads(said(capsys, 'contamination', shards, *flags, '--out', tmp_path / 'o.csv', '--json'))
    assert (row['task'], row['questions'], row['any'], row['with_answer']) == ('pets', 4, 3, 1)
    counts = ('ngrams', 'seen', 'seen_with_answer')
    found = {
        each['question']: [int(each[name]) for name in counts] for each in csv.DictReader((tmp_path / 'o.csv').open())
    }
    assert found['whole, quoted'][0] == found['whole, quoted'][1] > found['whole, quoted'][2] > 0
    assert found['prompt'][0] > found['prompt'][1] > 0 == found['prompt'][2]
    assert found['across'][1] > 0 == found['across'][2] and found['new'][1] == 0
    assert 'of 4 questions 3 (75.0%) share 5 tokens in a row (shorter ones: all)' in said(
        capsys, 'contamination', shards, *flags
    )


def test_the_words_of_a_study_are_found_beside_it(tmp_path, capsys):
    data = tmp_path / 'data'
    write_shards(data / 'tokens', lambda i: iter(['1 2 3 4 .', '7 8 .']), WORDS, 1, 10**6, {'made': 'up'})
    WORDS.save(data / 'vocabulary.json')
    write_questions(data / 'questions' / 'count.jsonl', QUESTIONS)
    (row,) = json.loads(said(capsys, 'contamination', data / 'tokens', '--task', 'count', '--json'))
    assert (row['any'], row['nearly_all']) == (2, 2)  # `1 2 3` -> ` 4 .` and `7` -> ` 8 .`


def test_bad_input_is_one_sentence(shards, tmp_path, capsys):
    write_questions(tmp_path / 'pets.jsonl', [Question('a', 'the', ' cat')])
    task = ('--task', tmp_path / 'pets.jsonl')
    assert 'has no vocabulary beside it; give the tokenizer' in said(capsys, 'contamination', shards, *task, code=2)
    train_vocabulary(TEXT[:1], 280, tmp_path / 'other.json', quiet=True)
    flags = (*task, '--tokenizer', tmp_path / 'other.json', '--out', tmp_path / 'o.csv')
    assert 'was tokenized with vocabulary' in said(capsys, 'contamination', shards, *flags, code=2)
    flags = (*task, '--tokenizer', tmp_path / 'tok.json', '--out', tmp_path / 'o.csv')
    assert 'n is 0; an n-gram has at least 1 token' in said(capsys, 'contamination', shards, *flags, '--n', 0, code=2)
    assert 'none/manifest.json; `t2jax tokenize` writes it' in said(
        capsys, 'contamination', tmp_path / 'none', *task, code=2
    )
    assert not (tmp_path / 'o.csv').exists()


def test_shards_that_end_their_documents_otherwise_are_known_by_their_manifest(tmp_path, capsys):
    train_vocabulary(TEXT, 300, tmp_path / 'tok.json', quiet=True)
    vocabulary = FileVocabulary(tmp_path / 'tok.json', end_token='!')
    write_shards(tmp_path / 'tokens', lambda i: iter(TEXT), vocabulary, 1, 10**6, {'made': 'up'})
    write_questions(tmp_path / 'pets.jsonl', [Question('a', 'the cat sat on the', ' mat')])
    flags = ('--task', tmp_path / 'pets.jsonl', '--tokenizer', tmp_path / 'tok.json')
    (row,) = json.loads(said(capsys, 'contamination', tmp_path / 'tokens', *flags, '--n', 4, '--json'))
    assert row['with_answer'] == 1
