"""Commonsense causal reasoning: 1,000 sentences about the situations of `situations.py`, cut before their last word.

Each situation asks for an effect (level 1), for a cause and for what would have been otherwise (2), and for the end of
a chain of two (3), each in two wordings with other names.
"""

from typing import NamedTuple

import numpy as np

from t2jax.tasks.questions import Question, make_id
from t2jax.tasks.situations import SITUATIONS
from t2jax.tasks.task import Task

COUNT = 1000
MEN = 'Ben David Frank Henry Jack Kevin Mark Oscar Paul Robert Tom William'.split()
WOMEN = 'Anna Carla Emma Grace Helen Julia Laura Mary Nina Paula Sarah'.split()
OPENINGS = ('Everybody knew that', 'It is clear that', 'Of course,')


class Item(NamedTuple):
    """A question and its level: effects 1, causes and alternatives 2, chains 3."""

    level: int
    prompt: str
    answer: str


def wordings(block: str, opening: str) -> list[Item]:
    """Ask about one situation in all ways; names are still slots."""
    cause, *lines = block.split('\n')
    (effect, follows), (otherwise, contrary), (why, reason), (then, end) = (line.split(' > ') for line in lines)
    return [
        Item(1, f'Because {cause}, {effect}', follows),
        Item(1, f'{cause}, so {effect}', follows),
        Item(2, otherwise, contrary),
        Item(2, f'{opening} {otherwise}', contrary),
        Item(2, why, reason),
        Item(2, f'{opening} {why}', reason),
        Item(3, f'{cause}, so {effect} {follows}. That is why {then}', end),
        Item(3, f'Because {cause}, {effect} {follows}, and {then}', end),
    ]


def items() -> list[Item]:
    """Draw 1,000 of all questions, in the order of the table, and put in names, each in turn."""
    blocks = SITUATIONS.strip().split('\n\n')
    every = [item for i, block in enumerate(blocks) for item in wordings(block, OPENINGS[i % len(OPENINGS)])]
    chosen = np.sort(np.random.default_rng(0).permutation(len(every))[:COUNT]).tolist()
    named = []
    for i in chosen:
        prompt = every[i].prompt.format(M=MEN[i % len(MEN)], F=WOMEN[i % len(WOMEN)])
        named.append(Item(every[i].level, prompt[0].upper() + prompt[1:], f' {every[i].answer}'))
    return named


def questions() -> list[Question]:
    """Make the 1,000 questions."""
    return [Question(make_id(prompt, answer), prompt, answer) for _, prompt, answer in items()]


TASK = Task(
    name='commonsense_causal',
    about='everyday causes and effects: what follows, why, what would have been otherwise, and chains of two',
    generate=questions,
)
