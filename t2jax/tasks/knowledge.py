"""Simple knowledge: 1,000 sentences about the facts of `facts.py`, each cut before its last word or name.

No fact is asked twice: 1,000 of the table are drawn, and for each of them one of its relation's sentences.
"""

from typing import NamedTuple

import numpy as np

from t2jax.tasks.facts import RELATIONS, Relation
from t2jax.tasks.questions import Question, make_id
from t2jax.tasks.task import Task

COUNT = 1000


class Item(NamedTuple):
    """A question and its level: 1 everyday, 2 school, 3 rarer."""

    level: int
    prompt: str
    answer: str


def pairs_of(relation: Relation) -> list[tuple[str, str]]:
    """Split the table of a relation into its pairs."""
    facts = [fact.rpartition(': ') for fact in ' '.join(relation.pairs.split()).split('; ')]
    return [(first, second) for first, _, second in facts]


def blank(relation: Relation, sentence: str, pair: tuple[str, str]) -> Item:
    """Fill a sentence and cut it before its last slot: 'The city of {1} lies in {0}' asks for the country."""
    start, _, slot = sentence.rpartition(' {')
    return Item(relation.level, start.format(*pair), ' ' + pair[int(slot.rstrip('}'))])


def items() -> list[Item]:
    """Draw 1,000 facts, in the table's order, and a sentence for each."""
    facts = [(relation, pair) for relation in RELATIONS for pair in pairs_of(relation)]
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(facts))[:COUNT]).tolist()
    sentences = rng.random(COUNT).tolist()
    return [
        blank(relation, relation.sentences[int(which * len(relation.sentences))], pair)
        for which, (relation, pair) in zip(sentences, (facts[i] for i in chosen))
    ]


def questions() -> list[Question]:
    """Make the 1,000 questions."""
    return [Question(make_id(prompt, answer), prompt, answer) for _, prompt, answer in items()]


TASK = Task(
    name='simple_knowledge',
    about='facts about words, animals, countries, elements, books and dates, asked as a sentence to complete',
    generate=questions,
)
