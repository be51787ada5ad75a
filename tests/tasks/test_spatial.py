"""Spatial reasoning: every answer again, from coordinates and enumeration that share no code with the generator."""

import hashlib
import itertools
import re
from collections import Counter

import pytest

from t2jax.tasks import spatial
from t2jax.tasks.questions import make_id
from t2jax.tasks.spatial import KINDS, TASK, items

ORDINALS = ['first', 'second', 'third', 'fourth', 'fifth']
HEADINGS = {'north': 1j, 'south': -1j, 'east': 1 + 0j, 'west': -1 + 0j}
TURNS = {'left': 1j, 'right': -1j, 'around': -1}


@pytest.fixture(scope='module')
def questions():
    return TASK.generate()


def only(found):
    """Return the one element: a scene with two readings fails here."""
    (one,) = set(found)
    return one


def orders(pairs):
    """Yield all orders in which each first thing stands right before its second."""
    things = sorted({thing for pair in pairs for thing in pair})
    for order in itertools.permutations(things):
        if all(order.index(b) - order.index(a) == 1 for a, b in pairs):
            yield order


def solve_row(prompt):
    if 'shelf' in prompt:
        told, ends = r'The (\w+) is just to the (left|right) of the (\w+)\.', ('left', 'right')
    elif 'pile' in prompt:
        told, ends = r'The (\w+) book lies right (on top of|under) the (\w+) one\.', ('top', 'bottom')
    else:
        told, ends = r'(\w+) stands right (in front of|behind) (\w+)\.', ('front', 'back')
    pairs = [
        (a, b) if how in ('left', 'on top of', 'in front of') else (b, a) for a, how, b in re.findall(told, prompt)
    ]
    end = re.search(r'(?:From|from) the (\w+)', prompt)[1]
    place = ORDINALS.index(re.search(r'the (\w+) (?:thing|book|person) is', prompt)[1])
    return only((order if end == ends[0] else order[::-1])[place] for order in orders(pairs)), len(pairs)


def solve_glance(prompt):
    told = re.findall(r'The (\w+) is (to the left of|to the right of|above|below) the (\w+)\.', prompt)
    start, end = re.search(r'look from the (\w+) to the (\w+),', prompt).groups()
    smaller = {(a, b) if how in ('to the left of', 'below') else (b, a) for a, how, b in told}
    for middle in {thing for pair in smaller for thing in pair}:  # what follows from two relations
        smaller |= {(a, d) for a, b in smaller for c, d in smaller if b == middle == c}
    assert len({how in ('above', 'below') for _, how, _ in told}) == 1
    way = ('left', 'right') if 'to the left' in prompt or 'to the right' in prompt else ('down', 'up')
    assert ((start, end) in smaller) != ((end, start) in smaller)
    assert prompt.endswith(' to the') == (way[0] == 'left')
    return way[(start, end) in smaller], len(told)


def heading_of(prompt):
    heading = HEADINGS[re.search(r'is facing (\w+)\.', prompt)[1]]
    turns = re.findall(r'turns (\w+)\.', prompt)
    for turn in turns:
        heading *= TURNS[turn]
    return heading, len(turns)


def solve_turning(prompt):
    heading, turns = heading_of(prompt)
    return only(name for name, vector in HEADINGS.items() if vector == heading), turns


def solve_hands(prompt):
    heading, turns = heading_of(prompt)
    asked = HEADINGS[re.search(r'(\w+) is now on the$', prompt)[1]]
    return only(side for side in ('left', 'right') if heading * TURNS[side] == asked), turns + 1


def solve_nested(prompt):
    inside = dict(re.findall(r'The (\w+) is in the (\w+)\.', prompt))
    thing = re.search(r'holds the (\w+) is the$', prompt)[1]
    links = 0
    while thing in inside:
        thing, links = inside[thing], links + 1
    assert len(inside) == links + 1
    return thing, links


def solve_carrying(prompt):
    where = dict(re.findall(r'[Tt]he (\w+) is in the (\w+)', prompt.split('. ')[0]))
    moves = re.findall(r'carries the (\w+) to the (\w+)\.', prompt)
    for thing, room in moves:
        assert where[thing] != room
        where[thing] = room
    return where[re.search(r'Now the (\w+) is in the$', prompt)[1]], len(moves)


def walk(prompt):
    legs = re.findall(r'(\d+) blocks? (\w+)', prompt)
    return sum(int(blocks) * HEADINGS[way] for blocks, way in legs), len(legs)


def solve_way_back(prompt):
    place, legs = walk(prompt)
    return only(name for name, vector in HEADINGS.items() if vector * abs(place) == -place), legs


def solve_distance(prompt):
    place, legs = walk(prompt)
    assert 0 in (place.real, place.imag)
    return str(int(abs(place))), legs


def solve_town(prompt):
    told = re.findall(r'The (\w+) is (\w+) of the (\w+)\.', prompt)
    start, end = re.search(r'from the (\w+) to the (\w+) the direction', prompt).groups()
    found = {start: 0j}
    while end not in found:
        for a, way, b in told:
            if b in found and a not in found:
                found[a] = found[b] + HEADINGS[way]
            elif a in found and b not in found:
                found[b] = found[a] - HEADINGS[way]
    north, east = found[end].imag, found[end].real
    assert abs(north) + abs(east) == len(told), 'a step back would leave the direction open'
    name = {0: '', 1: 'north', -1: 'south'}[(north > 0) - (north < 0)]
    return name + {0: '', 1: 'east', -1: 'west'}[(east > 0) - (east < 0)], len(told)


SOLVERS = [
    ('in a row|in a pile|in a line', solve_row),
    ('^In a picture', solve_glance),
    ('is facing$', solve_turning),
    ('is now on the$', solve_hands),
    ('that holds', solve_nested),
    ('carries', solve_carrying),
    ('has to walk$', solve_way_back),
    ('^.* leaves home .* blocks from', solve_distance),
    ('the direction is$', solve_town),
]


def test_every_answer_and_number_of_relations_is_right():
    kinds = Counter()
    for level, prompt, answer in items():
        (solver,) = [solver for pattern, solver in SOLVERS if re.search(pattern, prompt)]
        value, relations = solver(prompt)
        assert answer == f' {value}', prompt
        assert relations == level, prompt
        kinds[solver, level] += 1
    assert len(KINDS) == 10 and len(kinds) == 36  # rows and piles have one solver
    assert set(kinds.values()) == {25, 50}


def test_there_are_a_thousand_well_formed_questions(questions):
    assert len(questions) == len({q.prompt for q in questions}) == len({q.id for q in questions}) == 1000
    for q in questions:
        assert q.id == make_id(q.prompt, q.answer)
        assert not q.prompt.endswith(' ') and '  ' not in q.prompt
        assert re.fullmatch(r' (\d+|[A-Za-z]+)', q.answer), q.answer
        assert ' 1 blocks' not in q.prompt and not re.search(r' ([02-9]|\d\d) block ', q.prompt)


def test_the_questions_are_the_same_everywhere(questions):
    text = '\n'.join(q.prompt + q.answer for q in questions)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == '374e21dc9f0f'


def test_nothing_is_in_a_smaller_thing(questions):
    sizes = (
        ('envelope', 'box', 'bag', 'suitcase', 'car', 'garage'),
        ('envelope', 'folder', 'drawer', 'desk', 'office', 'school'),
    )
    for q in questions:
        for a, b in re.findall(r'The (\w+) is in the (\w+)\.', q.prompt if 'that holds' in q.prompt else ''):
            assert any(b in row and (a not in row or row.index(a) < row.index(b)) for row in sizes), q.prompt


def test_a_kind_with_too_few_scenes_is_named(monkeypatch):
    monkeypatch.setattr(spatial, 'KINDS', (lambda rng, level: ('Up is', 'up', 1),))
    with pytest.raises(ValueError, match='<lambda> gives fewer than 25 balanced questions of level 1'):
        items()


def test_answers_are_balanced(questions):
    answers = Counter(q.answer for q in questions)
    for group in (('left', 'right'), ('up', 'down'), tuple(HEADINGS)):
        counts = [answers[f' {name}'] for name in group]
        assert min(counts) > 0.8 * max(counts), group
    assert len(answers) > 60 and answers.most_common(1)[0][1] <= 80


def test_the_last_or_first_thing_named_is_seldom_the_answer(questions):
    for kind in ('in a row', 'in a pile', 'in a line', 'that holds', 'carries'):
        asked = [q for q in questions if kind in q.prompt and not re.search('picture', q.prompt)]
        names = [re.findall(r'\w+', q.prompt) for q in asked]
        answers = {q.answer.strip() for q in asked}
        told = [[word for word in words if word in answers] for words in names]
        for place in (0, -1):
            right = sum(words[place] == q.answer.strip() for words, q in zip(told, asked))
            assert right < 0.62 * len(asked), (kind, place, right, len(asked))
