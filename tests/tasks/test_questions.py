"""Question files and their encoding."""

import numpy as np
import pytest

from t2jax.tasks.questions import Question, encode_questions, read_questions, write_questions

QUESTIONS = [Question('q-0', 'a b c', 'd .'), Question('q-1', 'c', 'a b .')]


def encode(text):
    return np.array([['<end>', 'a', 'b', 'c', 'd', '.'].index(word) for word in text.split()], int)


def test_questions_come_back(tmp_path):
    write_questions(tmp_path / 'task.jsonl', QUESTIONS)
    assert read_questions(tmp_path / 'task.jsonl') == QUESTIONS


def test_prompts_start_a_document_and_are_padded_right():
    encoded = encode_questions(QUESTIONS, encode, 0, prompt=5, answer=3)
    assert encoded.prompts.tolist() == [[0, 1, 2, 3, 0], [0, 3, 0, 0, 0]]
    assert encoded.prompt_lengths.tolist() == [4, 2]
    assert encoded.answers.tolist() == [[4, 5, 0], [1, 2, 5]]
    assert encoded.answer_lengths.tolist() == [2, 3]


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('{"id": "x", "prompt": "a"}', 'line 1 is not a JSON object with id, prompt and answer'),
        ('not json', 'line 1 is not a JSON object'),
        ('{"id": "x", "prompt": "a", "answer": "b"}\n' * 2, "line 2 repeats the id 'x'"),
        ('', 'holds no questions'),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, text, sentence):
    (tmp_path / 'task.jsonl').write_text(text)
    with pytest.raises(ValueError, match=f'task.jsonl.*{sentence}'):
        read_questions(tmp_path / 'task.jsonl')


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='task.jsonl; `t2jax train` makes it'):
        read_questions(tmp_path / 'task.jsonl')


def test_questions_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="question 'q-0' takes 4 tokens where 1 to 3 fit"):
        encode_questions(QUESTIONS, encode, 0, prompt=3, answer=3)
    with pytest.raises(ValueError, match="question 'q-2' takes 0 tokens where 1 to 3 fit"):
        encode_questions([Question('q-2', 'a', '')], encode, 0, prompt=3, answer=3)
