"""Arithmetic: every answer again, by a reader of the text that shares no code with the generator."""

import ast
import hashlib
import operator
import re
from collections import Counter

import pytest

from t2jax.tasks import arithmetic
from t2jax.tasks.arithmetic import KINDS, TASK, items
from t2jax.tasks.questions import make_id

DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']
SIGNS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


@pytest.fixture(scope='module')
def questions():
    return TASK.generate()


def natural(value):
    assert value >= 0 and value == int(value), value
    return int(value)


def calculate(node):
    if isinstance(node, ast.Constant):
        return node.value, 0
    (left, a), (right, b) = calculate(node.left), calculate(node.right)
    return natural(SIGNS[type(node.op)](left, right)), a + b + 1


def solve_symbols(prompt):
    return calculate(ast.parse(prompt.removesuffix(' ='), mode='eval').body)


def solve_spoken(prompt):
    start, *parts = prompt.removesuffix(', and the number you get is').split(', ')
    value = int(start.removeprefix('Start with '))
    for part in parts:
        n = int((re.findall(r'\d+', part) or ['2'])[0])
        value = {'add': value + n, 'sub': value - n, 'dou': value * 2, 'div': value / n, 'mul': value * n}[part[:3]]
        value = natural(value)
    return value, len(parts)


def solve_belongings(prompt):
    first, *rest = prompt.split('. ')[:-1]
    who, value = first.split()[0], int(first.split()[2])
    assert f'that {who} has now is' in prompt
    for sentence in rest:
        assert sentence.startswith(f'Then {who} ')
        if 'twice as many' in sentence:
            value *= 2
        else:
            n = int(re.search(r'\d+', sentence)[0])
            value = natural(value - n if re.search('gives|loses', sentence) else value + n)
    return value, len(rest)


def solve_purchase(prompt):
    prices = {good: int(n) for good, n in re.findall(r'[Aa] (\w+) costs (\d+) dollars?', prompt)}
    bought = re.findall(r'(\d+) (\w+)', re.search(r'buys ([^.]+)\.', prompt)[1])
    prices |= {good + end: price for good, price in prices.items() for end in ('s', 'es')}
    total = sum(int(n) * prices[good] for n, good in bought)
    paid = re.search(r'pays with (\d+) dollars', prompt)
    return natural(int(paid[1]) - total) if paid else total, 2 * len(bought) - 1 - ('and 1 ' in prompt) + bool(paid)


def solve_sharing(prompt):
    value, steps = int(re.search(r'has (\d+)', prompt)[1]), 1
    if kept := re.search(r'keeps (\d+) of them', prompt):
        value, steps = natural(value - int(kept[1])), 2
    value = natural(value / int(re.search(r'among (\d+) children', prompt)[1]))
    for verb, n in re.findall(r'each child (finds|loses) (\d+)', prompt):
        value, steps = natural(value + int(n) * (1 if verb == 'finds' else -1)), steps + 1
    return value, steps


def solve_sequence(prompt):
    terms = [int(n) for n in re.findall(r'\d+', prompt)]
    steps = [b - a for a, b in zip(terms, terms[1:])]
    if len(set(steps)) == 1:
        return terms[-1] + steps[0], 1
    if all(b * terms[0] == a * terms[1] for a, b in zip(terms, terms[1:])):
        return terms[-1] * terms[1] // terms[0], 2
    if {b - a for a, b in zip(steps, steps[1:])} == {1}:
        return terms[-1] + steps[-1] + 1, 3
    assert all(c == a + b for a, b, c in zip(terms, terms[1:], terms[2:]))
    return terms[-1] + terms[-2], 4


def solve_ages(prompt):
    name, age = re.match(r'(\w+) is (\d+) years? old', prompt).groups()
    ages = {name: int(age)}
    compared = re.findall(r'(\w+) is (?:(\d+) years? (younger|older) than|twice as old as) (\w+)\.', prompt)
    for name, n, which, other in compared:
        ages[name] = natural(ages[other] * 2 if not n else ages[other] + int(n) * (1 if which == 'older' else -1))
    later = re.search(r'In (\d+) years', prompt)
    asked = re.search(r'age of (\w+) in years', prompt)[1]
    return ages[asked] + (int(later[1]) if later else 0), len(compared) + bool(later)


def solve_clock(prompt):
    hours, minutes = map(int, re.search(r'(\d+):(\d\d)', prompt).groups())
    legs = [int(n) for n in re.findall(r'takes (\d+) minutes', prompt)]
    hours, minutes = divmod(60 * hours + minutes + sum(legs), 60)
    assert 1 <= hours <= 12
    return f'{hours}:{minutes:02d}', len(legs)


def solve_weekday(prompt):
    days = {'today': 0}
    for event, n, way, other in re.findall(r'The (\w+) is (?:in )?(\d+) days?(?: (after|before) the (\w+))?', prompt):
        days[event] = natural(days[other or 'today'] + int(n) * (-1 if way == 'before' else 1))
    today = DAYS.index(re.match(r'Today is (\w+)\.', prompt)[1])
    return DAYS[(today + days[re.search(r'day of the (\w+) is a$', prompt)[1]]) % 7], len(days) - 1


def solve_holders(prompt):
    n, each = map(int, re.search(r'There are (\d+) \w+ with (\d+)', prompt).groups())
    total, steps = n * each, 1
    for pattern, factor in ((r'(\d+) of the \w+ (?:is|are) taken', -each), (r'(\d+) more', 1), (r'Later (\d+)', -1)):
        if found := re.search(pattern, prompt):
            total, steps = natural(total + factor * int(found[1])), steps + 1
    return total, steps


SOLVERS = [
    (r' =$', solve_symbols),
    (r'^Start with', solve_spoken),
    (r'^\w+ has \d+ \w+\. Then', solve_belongings),
    (r' costs ', solve_purchase),
    (r'equally', solve_sharing),
    (r'^(\D+: )?(\d+, )+\d+,$', solve_sequence),
    (r' in years ', solve_ages),
    (r'leaves home', solve_clock),
    (r'^Today is', solve_weekday),
    (r'^There are', solve_holders),
]


def test_every_answer_and_number_of_steps_is_right():
    kinds = Counter()
    for level, prompt, answer in items():
        (solver,) = [solver for pattern, solver in SOLVERS if re.search(pattern, prompt)]
        value, steps = solver(prompt)
        assert answer == f' {value}', prompt
        assert steps == level, prompt
        kinds[solver, level] += 1
    assert len(kinds) == 4 * len(KINDS) == 40 and set(kinds.values()) == {25}


def test_there_are_a_thousand_well_formed_questions(questions):
    assert len(questions) == len({q.prompt for q in questions}) == len({q.id for q in questions}) == 1000
    for q in questions:
        assert q.id == make_id(q.prompt, q.answer)
        assert not q.prompt.endswith(' ') and '  ' not in q.prompt
        assert re.fullmatch(r' (0|[1-9]\d{0,2}|\d+:\d\d|[A-Z]\w+day)', q.answer), q.answer


def test_counted_things_are_singular_or_plural(questions):
    for q in questions:
        text = re.sub(r'\d+ (more|of)\b', lambda found: found[0].split()[0], q.prompt)
        for n, word in re.findall(r'(?<![:\d])\b(\d+) ([a-z]+)', text):
            if word not in ('of', 'them', 'the', 'and', 'in'):
                assert word.endswith('s') == (n != '1') or word == 'children', q.prompt


def test_the_questions_are_the_same_everywhere(questions):
    text = '\n'.join(q.prompt + q.answer for q in questions)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == '2045398ff48b'


def test_a_kind_with_too_few_problems_is_named(monkeypatch):
    monkeypatch.setattr(arithmetic, 'KINDS', (lambda rng, level: ('1 + 1 =', 2),))
    with pytest.raises(ValueError, match='<lambda> gives fewer than 25 different questions of level 1'):
        items()


def test_no_answer_dominates(questions):
    answers = Counter(q.answer for q in questions)
    assert len(answers) > 150 and answers.most_common(1)[0][1] <= 30
