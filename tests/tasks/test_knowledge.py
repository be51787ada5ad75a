"""Simple knowledge: facts that code can check are checked, and no sentence of the table has two answers."""

import calendar
import hashlib
import re
import string
from collections import Counter, defaultdict

import pytest

from t2jax.tasks.facts import RELATIONS
from t2jax.tasks.knowledge import TASK, blank, items, pairs_of
from t2jax.tasks.questions import make_id

SYMBOLS = """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y
Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re
Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu""".split()


@pytest.fixture(scope='module')
def questions():
    return TASK.generate()


def facts(start):
    """Return the pairs of all relations whose first sentence starts so."""
    found = [pair for r in RELATIONS if r.sentences[0].startswith(start) for pair in pairs_of(r)]
    assert found
    return found


def test_there_are_a_thousand_well_formed_questions(questions):
    assert len(questions) == len({q.prompt for q in questions}) == len({q.id for q in questions}) == 1000
    for q in questions:
        assert q.id == make_id(q.prompt, q.answer)
        assert q.prompt[0].isupper() and not q.prompt.endswith(' ') and '  ' not in q.prompt
        assert re.fullmatch(r"( [\w.'-]+){1,4}", q.answer), q.answer
        assert f' {q.answer.strip()} ' not in f' {q.prompt} '


def test_the_questions_are_the_same_everywhere(questions):
    text = '\n'.join(q.prompt + q.answer for q in questions)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == '22fd0ee3f49e'


def test_no_sentence_of_the_table_has_two_answers():
    answers = defaultdict(list)
    for relation in RELATIONS:
        for sentence in relation.sentences:
            for pair in pairs_of(relation):
                item = blank(relation, sentence, pair)
                answers[item.prompt].append(item.answer)
    assert {prompt: found for prompt, found in answers.items() if len(found) > 1} == {}
    assert len(answers) > 1500


def test_a_sentence_is_cut_before_its_last_slot():
    relation = RELATIONS[0]
    assert blank(relation, relation.sentences[0], ('France', 'Paris'))[1:] == (
        'The capital of France is the city of',
        ' Paris',
    )
    assert blank(relation, relation.sentences[1], ('France', 'Paris'))[1:] == (
        'The city of Paris is the capital of',
        ' France',
    )


def test_no_fact_is_asked_twice():
    first = defaultdict(set)
    for r, relation in enumerate(RELATIONS):
        for p, pair in enumerate(pairs_of(relation)):
            for sentence in relation.sentences:
                first[blank(relation, sentence, pair).prompt].add((r, p))
    asked = Counter(fact for item in items() for fact in first[item.prompt])
    assert set(asked.values()) == {1} and len(asked) == 1000


def test_all_levels_and_many_answers_are_asked_for(questions):
    levels = Counter(item.level for item in items())
    assert set(levels) == {1, 2, 3} and min(levels.values()) >= 200
    assert len(RELATIONS) >= 40 and all(len(relation.sentences) <= 2 for relation in RELATIONS)
    answers = Counter(q.answer for q in questions)
    assert len(answers) > 700 and answers.most_common(1)[0][1] <= 20


def test_elements_have_their_symbols_and_numbers():
    symbols, numbers = dict(facts('The chemical symbol for')), dict(facts('The atomic number of'))
    assert set(symbols.values()) <= set(SYMBOLS)
    shared = set(symbols) & set(numbers)
    assert len(shared) > 20
    for element in shared:
        assert SYMBOLS.index(symbols[element]) + 1 == int(numbers[element]), element


def test_months_days_and_letters_follow_each_other():
    for start, names in (
        ('The month that', list(calendar.month_name)[1:]),
        ('The day that', list(calendar.day_name)),
        ('In the English alphabet', list(string.ascii_uppercase)),
    ):
        for first, second in facts(start):
            assert second == names[(names.index(first) + 1) % len(names)]


def test_counts_are_numbers_and_months_have_their_days():
    counts = facts('Number of')
    assert all(number.isdigit() for _, number in counts)
    for month, name in enumerate(calendar.month_name):
        for _, days in (pair for pair in counts if month and pair[0] == f'days in {name}'):
            assert int(days) == calendar.monthrange(2023, month)[1]


def test_roman_numerals_have_their_values():
    values = {'I': 1, 'V': 5, 'X': 10, 'L': 50, 'C': 100, 'D': 500, 'M': 1000}
    for numeral, number in facts('The Roman numeral'):
        digits = [values[letter] for letter in numeral]
        assert int(number) == sum(-a if a < b else a for a, b in zip(digits, [*digits[1:], 0]))


def test_years_are_years():
    for event, year in facts('{0} in the year'):
        assert year.isdigit() and 0 < int(year) < 2020, event
