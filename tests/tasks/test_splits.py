"""Training questions apart from those that measure: what counts as the same, and what published splits share."""

from pathlib import Path

import pytest

from t2jax.tasks.catalogue import TASKS, questions_of
from t2jax.tasks.questions import Question, read_rows
from t2jax.tasks.splits import check_apart, check_not_empty, leave_out

DATA = Path(__file__).resolve().parents[2].parent / 'shared' / 'data' / 'tasks'
HELD_OUT = [Question('t1', 'What melts?', ' ice'), Question('t2', 'What burns?', ' wood')]


@pytest.mark.parametrize(
    ('prompt', 'answer', 'same'),
    [
        ('What melts?', ' ice', True),
        ('what  MELTS?\n', 'Ice ', True),
        ('What melts? ', 'ice', True),  # the space between them is in either
        ('What melts?', 'ice', False),
        ('What melts?', ' wax', False),  # the same prompt with another answer is another question
        ('What freezes?', ' ice', False),
        ('What melts', ' ice', False),
    ],
)
def test_questions_are_the_same_up_to_case_and_white_space(prompt, answer, same):
    train = [Question('a', 'Who?', ' me'), Question('t2', prompt, answer), Question('c', 'Why?', ' so')]
    assert leave_out(train, HELD_OUT) == ([train[0], train[2]] if same else train)
    if same:
        with pytest.raises(ValueError, match='a.jsonl shares 1 of its 3 questions'):
            check_apart(train, 'a.jsonl', HELD_OUT, 'b.jsonl')
    else:
        check_apart(train, 'a.jsonl', HELD_OUT, 'b.jsonl')


def test_the_first_shared_question_is_named_in_both_files():
    train = [Question('a', 'Who?', ' me'), Question('b', 'What\nburns?', ' wood'), Question('c', 'What melts?', ' ice')]
    with pytest.raises(ValueError) as error:
        check_apart(train, 'train.jsonl', [*HELD_OUT, Question('t3', 'what burns?', ' wood')], 'test.jsonl')
    assert str(error.value) == (
        "train.jsonl shares 2 of its 3 questions with test.jsonl, the first of them 'b', there 't2': 'What burns?'; "
        'leave them out, or let --leave-out do it'
    )


def test_a_long_prompt_is_shortened():
    question = Question('a', 'word-' * 100, 'end')
    with pytest.raises(ValueError) as error:
        check_apart([question], 'a', [question], 'b')
    assert len(str(error.value)) < 200 and "word-word-...'; leave" in str(error.value)


def test_a_question_that_comes_twice_is_left_out_twice():
    train = [Question('a', 'What melts?', ' ice'), Question('b', 'what melts?', ' ice'), Question('c', 'Who?', ' me')]
    with pytest.raises(ValueError, match='shares 2 of its 3'):
        check_apart(train, 'a', HELD_OUT, 'b')
    assert leave_out(train, HELD_OUT) == train[2:]
    check_apart(leave_out(train, HELD_OUT), 'a', HELD_OUT, 'b')


def test_a_question_that_only_training_repeats_stays():
    train = [Question('a', 'Who?', ' me'), Question('b', 'Who?', ' me')]
    assert leave_out(train, HELD_OUT) == train
    assert leave_out(train, []) == train


def test_a_training_set_of_which_nothing_is_left_is_refused():
    with pytest.raises(ValueError, match='^a.jsonl leaves no question to train on; it needs at least one'):
        check_not_empty(leave_out(HELD_OUT, HELD_OUT), 'a.jsonl')
    check_not_empty(HELD_OUT, 'a.jsonl')


@pytest.mark.parametrize(
    ('task', 'held_out', 'rows', 'distinct'),
    [
        ('arc_easy', 'test', 4, 4),
        ('arc_easy', 'validation', 1, 1),
        ('openbookqa', 'test', 15, 15),
        ('openbookqa', 'validation', 11, 8),  # training has some of the eight more than once
    ],
)
def test_published_splits_share_some_questions(task, held_out, rows, distinct):
    read = {}
    for split in ('train', held_out):
        path = DATA / f'{task}_{split}.jsonl'
        if not path.exists():
            pytest.skip(f'needs {path.name}, in ../shared/data/tasks beside the repository')
        read[split] = questions_of(TASKS[task], read_rows(path), path.name)
    train, measured = read['train'], read[held_out]
    with pytest.raises(ValueError, match=f'{task}_train.jsonl shares {rows} of its {len(train)} questions'):
        check_apart(train, f'{task}_train.jsonl', measured, f'{task}_{held_out}.jsonl')
    left = leave_out(train, measured)
    assert len(train) - len(left) == rows
    assert len(measured) - len(leave_out(measured, train)) == distinct
    check_apart(left, 'train', measured, held_out)


@pytest.mark.parametrize('task', ['arc_easy', 'openbookqa'])
def test_published_validation_and_test_share_none(task):
    paths = [DATA / f'{task}_{split}.jsonl' for split in ('validation', 'test')]
    for path in paths:
        if not path.exists():
            pytest.skip(f'needs {path.name}, in ../shared/data/tasks beside the repository')
    validation, test = (questions_of(TASKS[task], read_rows(path), path.name) for path in paths)
    check_apart(validation, 'validation', test, 'test')
