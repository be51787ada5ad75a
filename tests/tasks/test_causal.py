"""Causal reasoning: situations are complete, sentences agree with their names, no answer or situation dominates."""

import hashlib
import re
from collections import Counter

import pytest

from t2jax.tasks.causal import MEN, OPENINGS, TASK, WOMEN, items, wordings
from t2jax.tasks.questions import make_id
from t2jax.tasks.situations import SITUATIONS

BLOCKS = SITUATIONS.strip().split('\n\n')
HE = {'he', 'him', 'his'}
SHE = {'she', 'her'}
A_MAN = r'\{M\}|\bman\b|thief|brother|fisherman|farmer|baker'
A_WOMAN = r'\{F\}|mother|sister'


@pytest.fixture(scope='module')
def questions():
    return TASK.generate()


def test_there_are_a_thousand_well_formed_questions(questions):
    assert len(questions) == len({q.prompt for q in questions}) == len({q.id for q in questions}) == 1000
    for q in questions:
        assert q.id == make_id(q.prompt, q.answer)
        assert re.fullmatch(r"[A-Z][A-Za-z',. ]+[a-z]", q.prompt), q.prompt
        assert '  ' not in q.prompt and ' .' not in q.prompt and ' ,' not in q.prompt
        assert re.fullmatch(' [A-Za-z]+', q.answer), q.answer


def test_the_questions_are_the_same_everywhere(questions):
    text = '\n'.join(q.prompt + q.answer for q in questions)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == '5bcc9c09f98e'


@pytest.mark.parametrize('block', BLOCKS, ids=lambda block: block.split('\n')[0])
def test_a_situation_has_a_cause_and_four_lines_with_an_answer(block):
    cause, *lines = block.split('\n')
    assert len(lines) == 4 and '>' not in cause
    assert all(line.count(' > ') == 1 for line in lines)
    assert lines[1].startswith('if ') and ' would ' in lines[1] or ' could ' in lines[1]
    assert ' because ' in lines[2]
    assert lines[0].split(' > ')[1] != lines[3].split(' > ')[1]


@pytest.mark.parametrize('block', BLOCKS, ids=lambda block: block.split('\n')[0])
def test_he_and_she_stand_for_somebody_in_the_same_question(block):
    for _, prompt, answer in wordings(block, 'Of course,'):
        words = set(re.findall(r'\b[a-z]+', prompt)) | {answer}
        assert not words & HE or re.search(A_MAN, prompt), prompt
        assert not words & SHE or re.search(A_WOMAN, prompt), prompt


def test_he_and_she_have_names_of_their_own(questions):
    assert not set(MEN) & set(WOMEN)
    for q in questions:
        words = set(re.findall(r'\b[a-z]+', q.prompt))
        for pronouns, names, nouns in ((HE, MEN, A_MAN), (SHE, WOMEN, A_WOMAN)):
            assert not words & pronouns or re.search(nouns, q.prompt) or any(name in q.prompt for name in names), (
                q.prompt
            )


def test_one_situation_is_asked_in_eight_wordings():
    lines = ('it rained', 'the street was > wet', 'if it had not rained, the street would be > dry')
    block = '\n'.join([*lines, 'it was wet because of > rain', 'we wore > boots'])
    assert [(level, prompt, answer) for level, prompt, answer in wordings(block, 'Of course,')] == [
        (1, 'Because it rained, the street was', 'wet'),
        (1, 'it rained, so the street was', 'wet'),
        (2, 'if it had not rained, the street would be', 'dry'),
        (2, 'Of course, if it had not rained, the street would be', 'dry'),
        (2, 'it was wet because of', 'rain'),
        (2, 'Of course, it was wet because of', 'rain'),
        (3, 'it rained, so the street was wet. That is why we wore', 'boots'),
        (3, 'Because it rained, the street was wet, and we wore', 'boots'),
    ]


def test_situations_are_many_and_none_is_asked_more_than_eight_times():
    assert len(BLOCKS) == len(set(BLOCKS)) >= 100
    people = '|'.join([*MEN, *WOMEN])
    plain = lambda text: re.sub(rf'\b({people})\b|\{{[MF]\}}', '_', text).lower()
    wording_of = {}
    for number, block in enumerate(BLOCKS):
        for opening in OPENINGS:
            wording_of |= {plain(item.prompt): number for item in wordings(block, opening)}
    asked = Counter(wording_of[plain(item.prompt)] for item in items())
    assert len(asked) == len(BLOCKS) and max(asked.values()) <= 8
    assert max(Counter(plain(item.prompt) for item in items()).values()) == 1  # no two differ in names alone


def test_levels_and_answers_are_spread(questions):
    levels = Counter(item.level for item in items())
    assert set(levels) == {1, 2, 3} and min(levels.values()) >= 200
    answers = Counter(q.answer for q in questions)
    assert len(answers) > 250 and answers.most_common(1)[0][1] <= 50
