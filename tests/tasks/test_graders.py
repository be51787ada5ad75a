"""Graders: what counts as right, and as the same answer."""

import platform
import sys
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax.tasks.graders import GRADERS, Grade, begins_with, last_number, normalise
from t2jax.tasks.questions import Question
from t2jax.tasks.sandbox import MACHINES

needs_sandbox = pytest.mark.skipif(
    sys.platform != 'linux' or platform.machine() not in MACHINES, reason='needs Linux on x86_64 or aarch64'
)


def grade(name, answer, *texts, prompt=''):
    question = Question('q-0', prompt, answer)
    GRADERS[name].check(question)
    return GRADERS[name].grade(question, texts)


def test_exact_is_a_prefix():
    grades = grade('exact', 'd .', 'd .', 'd . e', 'd', ' d .', 'D .', '')
    assert [g.right for g in grades] == [True, True, False, False, False, False]
    assert [g.answer for g in grades] == ['d .', 'd .', 'd', ' d ', 'D .', '']


@pytest.mark.parametrize(
    ('text', 'right'),
    [
        ('The Eiffel Tower!\nIt is in Paris.', True),
        ('  eiffel   tower', True),
        ('\n“Eiffel” TOWER', True),
        ('Ｅｉｆｆｅｌ Tower', True),
        ('Eiffel', False),
        ('Paris\nEiffel Tower', False),
        ('', False),
    ],
)
def test_normalised(text, right):
    assert grade('normalised', 'the Eiffel tower', text) == [Grade(right, normalise(text))]


def test_normalised_keeps_an_answer_of_articles_alone():
    assert [g.right for g in grade('normalised', 'A', 'a.', 'the', 'B')] == [True, False, False]


@pytest.mark.parametrize(
    ('text', 'number'),
    [
        ('The answer is 1,234.50 dollars.', '2469/2'),
        ('18 apples and 3 pears', '3'),
        ('It is 3.', '3'),
        ('$18.', '18'),
        ('\\$18.00', '18'),
        ('#### 18', '18'),
        ('**18**', '18'),
        ('\\boxed{18}', '18'),
        ('1e3', '1000'),
        ('-5', '-5'),
        ('−5', '-5'),
        ('(-5)', '-5'),
        ('-$5', '-5'),
        ('$-5', '-5'),
        ('x=-.5', '-1/2'),
        ('5-3', '3'),
        ('$10-$20', '20'),
        ('10–20', '20'),
        ('50%', '50'),
        ('3/4', '3/4'),
        ('6/8.', '3/4'),
        ('-\\frac{3}{4}', '-3/4'),
        ('-2 1/2', '-5/2'),
        ('1,000,000', '1000000'),
        ('10{,}000', '10000'),
        ('10,\\!000', '10000'),
        ('3,4,5', '5'),
        ('1,2345', '2345'),
        ('3.14.', '157/50'),
        ('No.5', '5'),
        ('18 m2', '18'),
        ('18 cm^2', '18'),
        ('00018', '18'),
        ('1/0', ''),
        ('1/0,5', '5'),
        ('9' * 5000, ''),
        ('7 1e999999999', '1'),
        ('eighteen', ''),
        ('', ''),
    ],
)
def test_the_last_number(text, number):
    assert last_number(text) == number


@given(st.text(alphabet='0123456789.,-/$%eE {}\\fracx^_−½²٣\n'))
def test_any_text_has_a_last_number_or_none(text):
    number = last_number(text)
    assert number == '' or number == str(Fraction(number))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3))
def test_every_way_to_write_a_number_is_read(value):
    for text in (f'{value}', f'{value:,}', f'So 7 or {value:,}.', f'{value:e}', f'is ${value}'):
        assert last_number(text) == str(Fraction(value))


def test_numeric():
    grades = grade('numeric', 'He has 9 + 9 = 18.\n#### 1,000', 'so 1000.0', '1e3', 'it is 18', 'none')
    assert grades == [Grade(True, '1000'), Grade(True, '1000'), Grade(False, '18'), Grade(False, '')]


def test_long_degenerate_samples_are_read_in_time():
    start = time.monotonic()
    for piece in ('1', '1,', '111,', '1/', '-', '.', '1 ', '1e', '\\frac{1', '{', '1.', '-$'):
        last_number(piece * 50_000)
    assert time.monotonic() - start < 30  # a pattern that backtracks would take hours


@pytest.mark.parametrize(
    ('name', 'answer', 'sentence'),
    [
        ('exact', '', 'has an empty answer'),
        ('normalised', '', 'needs a letter or digit'),
        ('normalised', '?!', 'needs a letter or digit'),
        ('numeric', 'none', 'needs a number'),
        ('numeric', 'He has 9.\n#### none', 'needs a number, after ####'),
        ('code', 'assert f(1', 'do not parse'),
        ('code', '\0', 'do not parse'),
        ('code', '', 'runs no test'),
        ('code', '"""Tests."""\nimport math\ndef check(f):\n    assert f(1) == 2\n', 'call such as check'),
    ],
)
def test_a_question_that_cannot_be_graded_is_named(name, answer, sentence):
    with pytest.raises(ValueError, match=f"question 'q-7'.*{sentence}"):
        GRADERS[name].check(Question('q-7', 'a', answer))


@pytest.mark.parametrize('name', ['normalised', 'numeric'])
def test_no_answer_is_never_right(name):
    assert GRADERS[name].grade(Question('q-0', '', '?'), ['', '!']) == [Grade(False, '')] * 2


def test_graders_are_known_by_name():
    assert all(grader.name == name for name, grader in GRADERS.items())


PROMPT = 'from typing import List\n\ndef mean(x: List[float]) -> float:\n    """Return the mean."""\n'
TESTS = 'def check(candidate):\n    assert candidate([1, 2]) == 1.5\n    assert candidate([3]) == 3\n\ncheck(mean)'


@needs_sandbox
def test_code():
    texts = {
        '    return sum(x) / len(x)': True,
        '    return sum(x) / len(x)\n\n\nprint(mean([4]))': True,
        '    return sum(x) // len(x)': False,
        '    return sum(x) / len(x': False,
        '': False,
        '    import sys\n    sys.exit(0)': False,
        '    return 1.5\nimport os\nos._exit(0)': False,
    }
    grades = grade('code', TESTS, *texts, '    return sum(x) / len(x)', prompt=PROMPT)
    assert [g.right for g in grades] == [*texts.values(), True]
    assert [g.answer for g in grades] == [*texts, '    return sum(x) / len(x)']
    assert grade('code', TESTS, ' \n', prompt=PROMPT) == [Grade(False, '')]


@needs_sandbox
def test_code_has_limits():
    question = Question('q-0', PROMPT, TESTS)
    texts = ['    while True: pass', '    return sum(x) / len(x)']
    assert [g.right for g in replace(GRADERS['code'], seconds=0.5).grade(question, texts)] == [False, True]
    texts = ['    bytes(10 ** 8)\n    return sum(x) / len(x)']
    assert [g.right for g in replace(GRADERS['code'], memory_mb=80).grade(question, texts)] == [False]
    assert [g.right for g in GRADERS['code'].grade(question, texts)] == [True]


def test_begins_with_looks_at_tokens_within_the_length():
    tokens = np.array([[1, 2, 3], [1, 2, 0], [1, 3, 3], [1, 2, 3]])
    assert begins_with(tokens, np.array([3, 2, 3, 1]), np.array([1, 2])).tolist() == [True, True, False, False]
    assert begins_with(tokens, np.array([3, 3, 3, 3]), np.array([1, 2, 3, 4])).tolist() == [False] * 4
    with pytest.raises(ValueError, match='without tokens'):
        begins_with(tokens, np.array([3, 3, 3, 3]), np.array([], int))


def test_the_chance_to_begin_with_an_answer_is_its_likelihood():
    """T2's p_i: of samples drawn token by token, exp(-NLL) of the answer begin with it."""
    first, second = np.array([0.5, 0.3, 0.2]), np.array([[0.1, 0.9, 0], [0.5, 0.5, 0], [0, 0, 1]])
    random, n = np.random.default_rng(0), 20_000
    a = random.choice(3, n, p=first)
    b = (random.random(n)[:, None] > second[a].cumsum(1)).sum(1)
    share = begins_with(np.stack([a, b], 1), np.full(n, 2), np.array([0, 1])).mean()
    assert abs(share - 0.45) < 4 * (0.45 * 0.55 / n) ** 0.5
