"""The generated world as a text source: documents of sentences for training, questions for tests.

Streamed and reproducible: shard i of a world is a pure function of (seed, i), so shards can be made side by side and
more text never changes earlier text.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from t2jax.data.families import WORDS, Family, Pair, make_families
from t2jax.data.vocabulary import WordVocabulary


@dataclass(frozen=True)
class World:
    """A world and how its text is cut into documents."""

    seed: int = 0
    edition: int = 2  # of what is generated from a seed: a workdir of another edition is another study's
    sentences_per_document: int = 6
    questions_per_task: int = 256

    def vocabulary(self) -> WordVocabulary:
        """Return the vocabulary of every world: 85 words."""
        return WordVocabulary(WORDS)

    def documents(self, shard: int) -> Iterator[str]:
        """Yield the documents of one shard, without end."""
        families = make_families(self.seed)
        shares = np.array([family.share for family in families])
        rng = np.random.default_rng((self.seed, 1, shard))
        while True:
            counts = rng.multinomial(8192, shares / shares.sum())
            sentences = [s for family, n in zip(families, counts) for s in _sentences(family, rng, int(n))]
            order = rng.permutation(len(sentences)).tolist()
            size = self.sentences_per_document
            for start in range(0, len(order) - size + 1, size):
                yield ' '.join(sentences[i] for i in order[start : start + size])

    def questions(self) -> dict[str, list[Pair]]:
        """Draw the test questions of each task: distinct (prompt, answer) pairs, answers of two or three words."""
        families = enumerate(make_families(self.seed))
        return {family.name: self._test_questions(number, family) for number, family in families}

    def post_training_questions(self, task: str, train: int, validation: int) -> tuple[list[Pair], list[Pair]]:
        """Draw questions of a task for fine-tuning: those to train on, and others to choose a learning rate by.

        They are as test questions are, and no prompt comes twice, in the test or here. Computed problems: one eighth
        of all is the test's, one is validation's, and training has the rest, so that no problem is in two of them.
        The text may hold them, unlike the test's. Facts: those that the test does not ask, shared out at random. Asking
        for more never changes the first computed ones.

        Raises ValueError for a task that the world lacks, a number below 1, and more questions than there are.
        """
        families = {family.name: (number, family) for number, family in enumerate(make_families(self.seed))}
        if task not in families:
            raise ValueError(f'the world has no task {task!r}; post-training can have {", ".join(families)}')
        if min(train, validation) < 1:
            raise ValueError(
                f'post-training asks for {train} training and {validation} validation questions of {task}; '
                'ask for at least one of each'
            )
        number, family = families[task]
        rng = np.random.default_rng((self.seed, 3, number))
        if family.problem is None:
            asked = dict(self._test_questions(number, family))
            left = _draw(family, rng, train + validation, lambda pair: pair[0] not in asked)
            # in random order: common facts are drawn first, and training should not have them all
            left = [left[i] for i in rng.permutation(len(left)).tolist()]
            parts = left[:train], left[train:]
            there_are = f'the test leaves {len(left)} of its facts'
        else:
            parts = (
                _draw(family, rng, train, lambda pair: family.fold(pair) > 1),
                _draw(family, np.random.default_rng((self.seed, 4, number)), validation, lambda p: family.fold(p) == 1),
            )
            there_are = f'two million draws gave {len(parts[0])} and {len(parts[1])}'
        if (len(parts[0]), len(parts[1])) != (train, validation):
            raise ValueError(
                f'post-training asks for {train} training and {validation} validation questions of {task}, and '
                f'{there_are}; ask for fewer, or leave {task} out'
            )
        return parts

    def _test_questions(self, number: int, family: Family) -> list[Pair]:
        rng = np.random.default_rng((self.seed, 2, number))
        allowed = family.is_held_out if family.problem else lambda pair: True
        chosen = _draw(family, rng, self.questions_per_task, allowed)
        if len(chosen) < self.questions_per_task:
            raise ValueError(
                f'world.questions_per_task is {self.questions_per_task} and two million draws of {family.name} '
                f'gave {len(chosen)} questions; ask for no more than that'
            )
        return chosen


def _sentences(family: Family, rng: np.random.Generator, n: int) -> list[str]:
    pairs = family.draw(rng, n, family.train_skew)
    return [f'{p} {a}' for p, a in pairs if not family.is_held_out((p, a))]


def _draw(family: Family, rng: np.random.Generator, n: int, allowed: Callable[[Pair], bool]) -> list[Pair]:
    """Draw up to n questions with distinct prompts: fewer where two million draws have no more."""
    chosen: dict[str, str] = {}
    for _ in range(2000):
        for prompt, answer in family.draw(rng, 1024, family.test_skew):
            if len(chosen) < n and answer.count(' ') >= family.test_words and allowed((prompt, answer)):
                chosen.setdefault(prompt, answer)
        if len(chosen) == n:
            break
    return list(chosen.items())
