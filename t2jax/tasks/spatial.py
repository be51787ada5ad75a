"""Spatial reasoning: ten kinds of scene, told in one to four relations, moves or turns, and a question about each.

A kind is a function of (rng, level) to a prompt, its answer, and about how many answers such questions have: no answer
gets more than its share. Left and right are as you look at a picture, or a named person's own.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from t2jax.tasks.questions import Question, make_id
from t2jax.tasks.task import Task

NAMES = 'Anna Ben Carla David Emma Frank Grace Henry Julia Kevin Laura Mark Nina Oscar Paula Robert Sarah Tom'.split()
THINGS = 'lamp clock plant bottle hat shoe phone camera candle vase radio mirror'.split()
SMALL = 'coin key ring pearl button stamp'.split()
NESTS = ('envelope box bag suitcase car garage'.split(), 'envelope folder drawer desk office school'.split())
PLACES = 'school bank church park museum library market station hotel farm'.split()
ROOMS = 'kitchen bedroom bathroom garage garden office'.split()
COLORS = 'red blue green yellow black white brown pink'.split()
COMPASS = ('north', 'east', 'south', 'west')
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # east and north that a step in each of these directions adds
TURNS = ('right', 'around', 'left')
ORDINALS = ('first', 'second', 'third', 'fourth', 'fifth')
EACH = 25  # questions of each kind and level

Scene = tuple[str, str, int]


class Item(NamedTuple):
    """A question and its level, the number of relations."""

    level: int
    prompt: str
    answer: str


def pick(rng: np.random.Generator, things: Sequence[str], count: int) -> list[str]:
    """Draw different things."""
    return [things[i] for i in rng.permutation(len(things))[:count].tolist()]


def number(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw a number from low to high, both included."""
    return int(rng.integers(low, high + 1))


def grow(rng: np.random.Generator, things: list[str], before: str, after: str) -> tuple[str, list[str]]:
    """Tell a row that grows at its ends, with sentences such as 'The {} is just left of the {}.', and its order."""
    order, told = things[:1], []
    for thing in things[1:]:
        if number(rng, 0, 1):
            told, order = [*told, after.format(thing, order[-1])], [*order, thing]
        else:
            told, order = [*told, before.format(thing, order[0])], [thing, *order]
    return ' '.join(told), order


def row(rng: np.random.Generator, level: int) -> Scene:
    """Find a place in a row of things, counted from the left or right."""
    told, order = grow(
        rng,
        pick(rng, THINGS, level + 1),
        'The {} is just to the left of the {}.',
        'The {} is just to the right of the {}.',
    )
    end, place = ('left', 'right')[number(rng, 0, 1)], number(rng, 0, level)
    answer = order[place] if end == 'left' else order[::-1][place]
    return (
        f'On a shelf in front of you, things stand in a row. {told} From the {end}, the {ORDINALS[place]} thing is the',
        answer,
        12,
    )


def pile(rng: np.random.Generator, level: int) -> Scene:
    """Find a place in a pile of books, or in a line of people."""
    place = number(rng, 0, level)
    if number(rng, 0, 1):
        books = pick(rng, COLORS, level + 1)
        told, order = grow(
            rng, books, 'The {} book lies right on top of the {} one.', 'The {} book lies right under the {} one.'
        )
        end = ('top', 'bottom')[number(rng, 0, 1)]
        ask = f'Books lie in a pile. {told} Counted from the {end}, the color of the {ORDINALS[place]} book is'
    else:
        people = pick(rng, NAMES, level + 1)
        told, order = grow(rng, people, '{} stands right in front of {}.', '{} stands right behind {}.')
        end = ('front', 'back')[number(rng, 0, 1)]
        ask = f'People wait in a line. {told} Counted from the {end} of the line, the {ORDINALS[place]} person is'
    return ask, (order if end in ('top', 'front') else order[::-1])[place], 10


def glance(rng: np.random.Generator, level: int) -> Scene:
    """Look from one end of a chain of things in a picture to the other."""
    things, (first, second) = pick(rng, THINGS, level + 1), (('left', 'right'), ('up', 'down'))[number(rng, 0, 1)]
    phrase = {'left': 'to the left of', 'right': 'to the right of', 'up': 'above', 'down': 'below'}
    told = []
    for a, b in zip(things, things[1:]):  # the first thing is the leftmost, or the topmost
        told.append(
            f'The {a} is {phrase[first]} the {b}.' if number(rng, 0, 1) else f'The {b} is {phrase[second]} the {a}.'
        )
    (start, end), answer = (
        (things[:: len(things) - 1], second) if number(rng, 0, 1) else (things[:: 1 - len(things)], first)
    )
    text = f'In a picture there are {level + 1} things. {" ".join(pick(rng, told, level))} '
    text += f'To look from the {start} to the {end}, you move your eyes'
    return text + ' to the' * (first == 'left'), answer, 4


def turning(rng: np.random.Generator, level: int) -> Scene:
    """Turn a person who faces north, east, south or west."""
    who, facing = pick(rng, NAMES, 1)[0], number(rng, 0, 3)
    text = f'{who} is facing {COMPASS[facing]}.'
    for _ in range(level):
        turn = number(rng, 1, 3)
        text, facing = f'{text} Then {who} turns {TURNS[turn - 1]}.', facing + turn
    return f'{text} Now {who} is facing', COMPASS[facing % 4], 4


def hands(rng: np.random.Generator, level: int) -> Scene:
    """Say on which side of a turning person a direction of the compass is."""
    who, facing, side = pick(rng, NAMES, 1)[0], number(rng, 0, 3), number(rng, 0, 1)
    text = f'{who} is facing {COMPASS[facing]}.'
    for _ in range(level - 1):
        turn = number(rng, 1, 3)
        text, facing = f'{text} Then {who} turns {TURNS[turn - 1]}.', facing + turn
    asked = COMPASS[(facing + (1, -1)[side]) % 4]
    return f'{text} So for {who}, {asked} is now on the', ('right', 'left')[side], 2


def nested(rng: np.random.Generator, level: int) -> Scene:
    """Find the outermost of the things around a small thing, beside another small thing."""
    nest, (small, other) = NESTS[number(rng, 0, 1)], pick(rng, SMALL, 2)
    holders = pick(rng, nest, level + 1)
    away, chain = holders[0], sorted(holders[1:], key=nest.index)
    told = [f'The {a} is in the {b}.' for a, b in zip([small, *chain], chain)] + [f'The {other} is in the {away}.']
    what = 'thing' if level == 1 else 'outermost thing'
    return f'{" ".join(pick(rng, told, level + 1))} So the {what} that holds the {small} is the', chain[-1], 6


def carrying(rng: np.random.Generator, level: int) -> Scene:
    """Follow one of two things that are carried about a house."""
    things, rooms, people = pick(rng, THINGS, 2), pick(rng, ROOMS, 2), pick(rng, NAMES, 2)
    text = f'The {things[0]} is in the {rooms[0]} and the {things[1]} is in the {rooms[1]}.'
    for _ in range(level):
        which, who = number(rng, 0, 1), people[number(rng, 0, 1)]
        rooms[which] = pick(rng, [room for room in ROOMS if room not in rooms], 1)[0]
        text += f' Then {who} carries the {things[which]} to the {rooms[which]}.'
    which = number(rng, 0, 1)
    return f'{text} Now the {things[which]} is in the', rooms[which], 6


def stroll(rng: np.random.Generator, level: int) -> tuple[str, str, int, int]:
    """Walk about a town so as to end straight north, east, south or west of the start; east and north at the end."""
    while True:
        who, text, east, north, last = pick(rng, NAMES, 1)[0], [], 0, 0, -1
        for _ in range(level):
            way, blocks = number(rng, 0, 3), number(rng, 1, 6)
            if way == last:
                break
            text.append(f'{blocks} block{"s" * (blocks > 1)} {COMPASS[way]}')
            east, north, last = east + blocks * STEPS[way][0], north + blocks * STEPS[way][1], way
        if len(text) == level and (east == 0) != (north == 0):
            return who, f'{who} leaves home and walks {", then ".join(text)}.', east, north


def way_back(rng: np.random.Generator, level: int) -> Scene:
    """Say where home is after a walk."""
    who, text, east, north = stroll(rng, level)
    back = 'south' if north > 0 else 'north' if north < 0 else 'west' if east > 0 else 'east'
    return f'{text} To go straight back home, {who} has to walk', back, 4


def distance(rng: np.random.Generator, level: int) -> Scene:
    """Say how far home is after a walk."""
    who, text, east, north = stroll(rng, level)
    return f'{text} The number of blocks from {who} straight back home is', str(abs(east + north)), 6


def town(rng: np.random.Generator, level: int) -> Scene:
    """Find the direction from one end of a chain of places to the other; never north and south, or east and west."""
    places, signs = pick(rng, PLACES, level + 1), (number(rng, 0, 1), number(rng, 0, 1))
    told, used = [], set()
    for a, b in zip(places, places[1:]):  # every step goes north or south, or east or west, by the signs
        axis = number(rng, 0, 1)
        used.add(axis)
        ahead, behind = (('north', 'south'), ('east', 'west'))[axis][:: (1, -1)[signs[axis]]]
        told.append(f'The {b} is {ahead} of the {a}.' if number(rng, 0, 1) else f'The {a} is {behind} of the {b}.')
    answer = ''.join((('north', 'south'), ('east', 'west'))[axis][signs[axis]] for axis in sorted(used))
    text = f'{" ".join(pick(rng, told, level))} So from the {places[0]} to the {places[-1]} the direction is'
    return text, answer, 4 if level == 1 else 8


KINDS = (row, pile, glance, turning, hands, nested, carrying, way_back, distance, town)


def items() -> list[Item]:
    """Draw as many questions of every kind and level, no prompt twice, answers of a kind about equally common."""
    rng, chosen = np.random.default_rng(0), {}
    for level in (1, 2, 3, 4):
        for kind in KINDS:
            answers, wanted = Counter(), len(chosen) + EACH
            for _ in range(1000 * EACH):
                prompt, answer, n_answers = kind(rng, level)
                if prompt not in chosen and answers[answer] < EACH // n_answers + 1:
                    chosen[prompt] = Item(level, prompt, f' {answer}')
                    answers[answer] += 1
                if len(chosen) == wanted:
                    break
            else:
                raise ValueError(f'{kind.__name__} gives fewer than {EACH} balanced questions of level {level}')
    return list(chosen.values())


def questions() -> list[Question]:
    """Make the 1,000 questions."""
    return [Question(make_id(prompt, answer), prompt, answer) for _, prompt, answer in items()]


TASK = Task(
    name='spatial_reasoning',
    about='rows, piles, pictures, turns, containers, walks and maps, told in one to four relations',
    generate=questions,
)
