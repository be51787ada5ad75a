"""Question files, and ids by content."""

import pytest

from t2jax.tasks.questions import Question, make_id, name_questions, read_questions, write_questions

QUESTIONS = [Question('q-0', 'a b c', ' d .'), Question('q-1', 'c\u2028\x85', '\n a b .')]


def test_questions_come_back(tmp_path):
    write_questions(tmp_path / 'task.jsonl', QUESTIONS)
    assert read_questions(tmp_path / 'task.jsonl') == QUESTIONS


def test_odd_separators_within_a_text_end_no_line(tmp_path):
    (tmp_path / 'task.jsonl').write_text('{"id": "x", "prompt": "a\u2028b\x85c", "answer": " d"}\n', encoding='utf-8')
    assert read_questions(tmp_path / 'task.jsonl') == [Question('x', 'a\u2028b\x85c', ' d')]


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('{"id": "x", "prompt": "a"}', 'line 1 is not a JSON object with id, prompt and answer'),
        ('{"id": "x", "prompt": "a", "answer": 3}', 'line 1 is not a JSON object with id, prompt and answer'),
        ('{"id": "x", "prompt": "a", "answer": "b", "c": 1}', 'line 1 is not a JSON object with id, prompt and answer'),
        ('{"id": "x", "prompt": "a", "answer": "b"}\n["x"]', 'line 2 is not a JSON object'),
        ('not json', 'line 1 is not a JSON object'),
        ('{"id": "x", "prompt": "a\\ud83d", "answer": "b"}', 'line 1 is not a JSON object of Unicode text'),
        ('[' * 100_000, 'line 1 is not a JSON object'),
        ('{"id": "x", "prompt": "a", "answer": "b"}\n' * 2, "line 2 repeats the id 'x'"),
        ('', 'holds no questions'),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, text, sentence):
    (tmp_path / 'task.jsonl').write_text(text)
    with pytest.raises(ValueError, match=f'task.jsonl.*{sentence}'):
        read_questions(tmp_path / 'task.jsonl')


def test_a_missing_file_and_one_that_is_no_text_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='task.jsonl; give one that is there'):
        read_questions(tmp_path / 'task.jsonl')
    (tmp_path / 'task.jsonl').write_bytes(b'\xff\xfe{}')
    with pytest.raises(ValueError, match='task.jsonl is not UTF-8 text'):
        read_questions(tmp_path / 'task.jsonl')


def test_ids_are_of_the_content_and_never_repeat():
    pairs = [('a', ' b'), ('a ', 'b'), ('a', ' b')]
    names = [question.id for question in name_questions(pairs)]
    assert len(set(names)) == 3 and names[2] == f'{names[0]}-2'
    assert names[:2] == [make_id('a', ' b'), make_id('a ', 'b')]
    assert make_id('a', ' b') == 'e639da94ca60'  # for good: results are compared by it
    assert [question.id for question in name_questions(pairs[1:])] == [names[1], names[0]]
