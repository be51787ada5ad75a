"""How much of a task's questions the training text holds, by n-grams of tokens (`data.overlap`).

A question is its prompt and answer in tokens, as it is scored; fewer than n tokens are looked for as a whole. Facts
that a model is meant to know stand in its text; a problem that it is meant to solve should not, least of all with its
answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from t2jax.data.overlap import Overlap, find_overlap
from t2jax.data.shards import Shards, open_shards
from t2jax.data.tokenizers import FileVocabulary
from t2jax.data.vocabulary import load_vocabulary
from t2jax.evaluation.questions import Found
from t2jax.evaluation.vocabularies import Vocabulary
from t2jax.tasks.boundaries import encode_questions

NEARLY_ALL = 0.8  # of a question's n-grams; its first and last tokens may be others in a text


@dataclass(frozen=True)
class Contamination:
    """The overlap of a task's questions with a text of so many tokens, n-grams of up to n."""

    task: str
    ids: Sequence[str]
    overlap: Overlap
    n: int
    tokens: int

    @property
    def rows(self) -> list[tuple[str, int, int, int]]:
        """Return each question's id, its n-grams, those seen, and those seen that reach into the answer."""
        o = self.overlap
        return list(zip(self.ids, o.ngrams.tolist(), o.found.tolist(), o.found_with_answer.tolist()))

    def summary(self) -> dict[str, Any]:
        """Count questions of which any, nearly all, or an n-gram with a part of the answer was seen."""
        o = self.overlap
        return {
            'task': self.task,
            'questions': len(self.ids),
            'n': self.n,
            'tokens': self.tokens,
            'any': int((o.found > 0).sum()),
            'nearly_all': int((o.found >= NEARLY_ALL * o.ngrams).sum()),
            'with_answer': int((o.found_with_answer > 0).sum()),
        }

    def sentence(self) -> str:
        """Say the summary."""
        s = self.summary()
        share = lambda name: f'{s[name]:,} ({s[name] / s["questions"]:.1%})'
        return (
            f'{self.task}: of {s["questions"]:,} questions {share("any")} share {self.n} tokens in a row (shorter '
            f'ones: all) with the {self.tokens:,} of text, {share("with_answer")} a part of the answer among them, and '
            f'{share("nearly_all")} nearly all of theirs'
        )


def open_text(folder: Path | str, tokenizer: Path | None) -> tuple[Shards, Vocabulary]:
    """Open token shards, and the tokenizer they were made with: the one given, or the words of the study around them.

    Raises ValueError or OSError where one is missing or they do not belong together.
    """
    shards = open_shards(folder, None)
    words = Path(folder).parent / 'vocabulary.json'
    if tokenizer is not None:
        vocabulary = FileVocabulary(tokenizer, pad_to=shards.vocabulary_size, end_token=shards.end_id)
    elif words.exists():
        vocabulary = load_vocabulary(words)
    else:
        raise ValueError(f'{folder} has no vocabulary beside it; give the tokenizer of the shards with --tokenizer')
    return open_shards(folder, vocabulary), vocabulary


def find(
    found: Found,
    shards: Shards,
    vocabulary: Vocabulary,
    n: int,
    progress: Callable[[int, int, bool], None] = lambda tokens, total, resumed: None,
) -> Contamination:
    """Look for a task's questions in token shards, n tokens in a row; `progress` is told of tokens read, of how many.

    Raises ValueError naming a question that cannot be encoded.
    """
    try:
        encoded = encode_questions(found.questions, vocabulary, None)
    except ValueError as error:
        raise ValueError(f'{found.where}: {error}') from None
    starts = encoded.prompt_lengths.tolist()
    parts = zip(encoded.prompts, starts, encoded.answers, encoded.answer_lengths)
    rows = [np.concatenate([prompt[:p], answer[:a]]) for prompt, p, answer, a in parts]
    total = sum(map(len, shards.arrays))
    overlap = find_overlap(shards, rows, starts, n, lambda tokens: progress(tokens, total, False))
    return Contamination(found.task, [question.id for question in found.questions], overlap, n, total)
