"""The generated world as a text source: documents of sentences for training, questions for tests.

Streamed and reproducible: shard i of a world is a pure function of (seed, i), so shards can be made side by side and
more text never changes earlier text.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from t2jax.data.families import WORDS, Family, make_families
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

    def questions(self) -> dict[str, list[tuple[str, str]]]:
        """Draw the test questions of each task: distinct (prompt, answer) pairs, answers of two or three words."""
        tasks = {}
        for number, family in enumerate(make_families(self.seed)):
            rng = np.random.default_rng((self.seed, 2, number))
            chosen: dict[str, str] = {}
            for _ in range(2000):
                for prompt, answer in family.draw(rng, 1024, family.test_skew):
                    allowed = family.is_held_out((prompt, answer)) if family.problem else True
                    if allowed and answer.count(' ') >= family.test_words and len(chosen) < self.questions_per_task:
                        chosen.setdefault(prompt, answer)
                if len(chosen) == self.questions_per_task:
                    break
            else:
                raise ValueError(
                    f'world.questions_per_task is {self.questions_per_task} and two million draws of {family.name} '
                    f'gave {len(chosen)} questions; ask for no more than that'
                )
            tasks[family.name] = list(chosen.items())
        return tasks


def _sentences(family: Family, rng: np.random.Generator, n: int) -> list[str]:
    pairs = family.draw(rng, n, family.train_skew)
    return [f'{p} {a}' for p, a in pairs if not family.is_held_out((p, a))]
