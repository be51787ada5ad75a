"""Rows of published data become questions in the paper's formats, in every spelling that files have."""

import json
from pathlib import Path

import pytest

from t2jax.tasks.catalogue import TASKS, questions_of
from t2jax.tasks.graders import GRADERS
from t2jax.tasks.questions import read_rows

DATA = Path(__file__).resolve().parents[2].parent / 'shared' / 'data' / 'tasks'
CHOICES = {'text': ['mud', 'ice', 'tin'], 'label': ['A', 'B', 'C']}
ARC = 'Question: What melts?\nAnswer:', ' ice'
ROWS = {
    'arc_easy': [
        ({'question': 'What melts?', 'choices': ['mud', 'ice', 'tin'], 'answer': 1}, ARC),
        ({'question': 'What melts?', 'choices': CHOICES, 'answerKey': 'B'}, ARC),
        ({'question': 'What melts?', 'choices': CHOICES | {'label': ['1', '2', '3']}, 'answerKey': '2'}, ARC),
        ({'question': 'What melts?', 'choices': CHOICES | {'label': [0, 1, 2]}, 'answerKey': 1}, ARC),  # TFDS
        (
            {
                'question': {
                    'stem': 'What melts?',
                    'choices': [{'text': 'mud', 'label': 'A'}, {'text': 'ice', 'label': 'B'}],
                },
                'answerKey': 'B',
            },
            ARC,
        ),
    ],
    'openbookqa': [
        ({'question_stem': 'Frost is', 'choices': CHOICES, 'answerKey': 'B'}, ('Frost is', ' ice')),
        (
            {'question': {'stem': 'Frost is', 'choice_A': 'mud', 'choice_B': 'ice'}, 'answerKey': 1},
            ('Frost is', ' ice'),
        ),
        ({'question': 'Frost is', 'choices': ['mud', 'ice'], 'answer': 1}, ('Frost is', ' ice')),
    ],
    'sciq': [
        (
            {'question': 'What melts?', 'correct_answer': 'ice', 'distractor1': 'mud', 'support': 'Ice melts.'},
            ('Ice melts.\nQuestion: What melts?\nAnswer:', ' ice'),
        ),
        ({'question': 'What melts?', 'choices': ['mud', 'ice'], 'answer': 1, 'support': ''}, ARC),
        ({'question': 'What melts?', 'answer': 'ice'}, ARC),
    ],
    'lambada': [
        ({'text': 'He said\n"the  end'}, ('He said\n"the ', ' end')),
        ({'text': 'a "b c"\n'}, ('a "b', ' c"')),
        ({'context': 'He said', 'target': 'so'}, ('He said', ' so')),
    ],
    'gsm8k': [
        ({'question': '1 + 1?', 'answer': '1 + 1 = 2\n#### 2'}, ('Question: 1 + 1?\nAnswer:', ' 1 + 1 = 2\n#### 2')),
        (
            {'question': '1 + 1?', 'solution': '1 + 1 = 2\n#### 2', 'answer': '2'},
            ('Question: 1 + 1?\nAnswer:', ' 1 + 1 = 2\n#### 2'),
        ),
    ],
}


@pytest.mark.parametrize(('name', 'row', 'pair'), [(name, *case) for name, cases in ROWS.items() for case in cases])
def test_a_row_is_read(name, row, pair):
    (question,) = questions_of(TASKS[name], [(1, row)], 'here')
    assert (question.prompt, question.answer) == pair


REAL = {  # questions and first id, or first words
    'lambada:lambada_openai_test': (5153, 'In my palm'),
    'arc_easy:arc_easy_test': (2376, 'Mercury_417466'),
    'arc_easy:arc_easy_train': (2251, 'Mercury_7220990'),
    'openbookqa:openbookqa_test': (500, '8-343'),
    'sciq:sciq_test': (1000, 'Question: Compounds'),
    'sciq:sciq_validation': (1000, 'Question: Who proposed'),
    'sciq:sciq_train_qa': (11679, 'Question: What type'),
    'gsm8k:gsm8k_test': (1319, 'Question: Janet'),
}


@pytest.mark.parametrize('which', REAL)
def test_real_files_are_read_whole(which):
    name, _, file = which.partition(':')
    path, (count, first) = DATA / f'{file}.jsonl', REAL[which]
    if not path.exists():
        pytest.skip(f'no {path.name} beside this checkout; the test needs real questions')
    questions = questions_of(TASKS[name], read_rows(path), str(path))
    assert len(questions) == count == len({question.id for question in questions})
    assert first in (questions[0].id, questions[0].prompt[: len(first)])
    assert all(q.answer.startswith(' ') and q.prompt == q.prompt.rstrip() for q in questions)
    for question in questions[:50]:
        GRADERS[TASKS[name].grader].check(question)
    again = questions_of(TASKS[name], reversed(list(read_rows(path))), str(path))
    assert {(q.id, q.prompt) for q in again if q.id[-2:] != '-2'} >= {
        (q.id, q.prompt) for q in questions if q.id[-2:] != '-2'
    }


def test_passages_support_most_of_sciq():
    path = DATA / 'sciq_validation.jsonl'
    if not path.exists():
        pytest.skip('no sciq_validation.jsonl beside this checkout; the test needs real questions')
    questions = questions_of(TASKS['sciq'], read_rows(path), str(path))
    rows = [row for _, row in read_rows(path)]
    for question, row in zip(questions, rows):
        assert question.prompt.endswith(f'Question: {row["question"]}\nAnswer:')
        assert question.prompt.startswith(row['support'] + '\n' if row['support'] else 'Question:')
    assert sum(bool(row['support']) for row in rows) == 887


BAD = [
    ('arc_easy', {'question': 'What?', 'choices': ['a']}, "line 7 is no row of arc_easy: it lacks 'answerKey'"),
    ('arc_easy', {'question': 'What?', 'choices': ['a'], 'answer': 3}, 'answer is 3, and choices are'),
    ('arc_easy', {'question': 'What?', 'choices': CHOICES, 'answerKey': 'F'}, 'no row of arc_easy'),
    ('arc_easy', {'question': 'What?', 'choices': ['a', ' '], 'answer': 1}, "choice is ' ', and has to be a text"),
    ('openbookqa', {'question': '', 'choices': ['a', 'b'], 'answer': 1}, "question is '', and has to be a text"),
    ('sciq', {'question': 'What?'}, 'it lacks'),
    ('lambada', {'text': 'word'}, 'has no last word to ask for'),
    ('lambada', {'context': 'a'}, "it lacks 'target'"),
    ('gsm8k', {'question': 'What?', 'answer': '4'}, 'its solution has no ####'),
    ('gsm8k', {'question': 'What?', 'answer': 4}, 'answer is 4, and has to be a text'),
    ('gsm8k', {'question': 'What?', 'answer': ['####']}, 'has to be a text'),
    ('arc_easy', {'question': None, 'choices': ['a', 'b'], 'answer': 1}, 'question is None, and has to be a text'),
    ('arc_easy', {'question': 'What?', 'choices': 'mud', 'answer': 1}, "choices are 'mud'"),
    ('arc_easy', {'question': 'What?', 'choices': [{'text': 'a'}], 'answerKey': 'A'}, "it lacks 'label'"),
    ('sciq', {'question': 'What?', 'correct_answer': None}, 'correct_answer is None'),
    ('lambada', {'context': 'a', 'target': None}, 'target is None'),
]


@pytest.mark.parametrize(('name', 'row', 'sentence'), BAD)
def test_a_bad_row_is_named_with_its_line(name, row, sentence):
    with pytest.raises(ValueError, match=f'^rows.jsonl line 7 .*{sentence.removeprefix("line 7 ")}'):
        questions_of(TASKS[name], [(7, row)], 'rows.jsonl')


def test_ids_of_a_file_are_kept_and_may_not_repeat():
    row = {'id': 'x', 'text': 'a b'}
    assert questions_of(TASKS['lambada'], [(1, row)], 'here')[0].id == 'x'
    with pytest.raises(ValueError, match="here line 2 repeats the id 'x'"):
        questions_of(TASKS['lambada'], [(1, row), (2, row)], 'here')
    with pytest.raises(ValueError, match='here holds no questions'):
        questions_of(TASKS['lambada'], [], 'here')


SYNTHETIC = ('simple_knowledge', 'multi_step_arithmetic', 'commonsense_causal', 'spatial_reasoning')


@pytest.mark.parametrize('name', [name for name, task in TASKS.items() if task.generate])
def test_generated_tasks_are_the_same_each_time_and_distinct(name):
    questions = TASKS[name].generate()
    assert len(questions) == len({q.id for q in questions}) == len({q.prompt for q in questions})
    assert len(questions) == 1000 or name not in SYNTHETIC
    assert all(q.prompt == q.prompt.strip() and q.answer == ' ' + q.answer.strip() for q in questions)
    assert questions == TASKS[name].generate()
    assert json.dumps([vars(q) for q in questions])


def test_every_task_is_read_or_generated():
    for name, task in TASKS.items():
        assert name == task.name and (task.generate is None) != (task.read is None)
        assert (task.tfds is None) == (task.read is None) and task.grader in GRADERS
        assert (task.read is None) or name in ROWS, f'give rows of {name} above'
