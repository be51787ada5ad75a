"""What the questions of a task look like: how long they are, what is answered most, and ten of them to read."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from t2jax.tasks.boundaries import EncodedQuestions
from t2jax.tasks.questions import Question

SAMPLE = 10


@dataclass(frozen=True)
class Summary:
    """lengths: of prompts and of answers, in a unit: least, median, 95 % quantile, most."""

    questions: int
    lengths: Mapping[str, tuple[float, float, float, float]]
    distinct_answers: int
    commonest_answer: str
    commonest_share: float
    sample: Sequence[Question]


def summarize(questions: Sequence[Question], encoded: EncodedQuestions | None = None) -> Summary:
    """Summarize questions; lengths are in characters, and in tokens where they are encoded."""
    lengths = {}
    for part in ('prompt', 'answer'):
        texts = [getattr(question, part) for question in questions]
        lengths[f'{part}, characters'] = _spread([len(text) for text in texts])
        if encoded:
            lengths[f'{part}, tokens'] = _spread(getattr(encoded, f'{part}_lengths'))
    (commonest, times), *_ = Counter(question.answer for question in questions).most_common(1)
    return Summary(
        len(questions),
        lengths,
        len({question.answer for question in questions}),
        commonest,
        times / len(questions),
        random.Random(0).sample(list(questions), min(SAMPLE, len(questions))),
    )


def _spread(values: Sequence[int]) -> tuple[float, float, float, float]:
    return tuple(float(q) for q in np.quantile(values, (0, 0.5, 0.95, 1)))
