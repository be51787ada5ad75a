"""A task's questions to be trained on and validated by: checked, encoded, and laid out as rows of a batch.

The stage decides which targets count: `ft`, those of prompt and answer; `sft`, those of the answer. Rows are padded,
not packed: attention looks back alone, so what stands behind a question changes nothing in it.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from t2jax.data.rows import mark
from t2jax.evaluation.likelihood import join
from t2jax.evaluation.scoring import encode_fitting
from t2jax.evaluation.vocabularies import Vocabulary
from t2jax.tasks.boundaries import EncodedQuestions
from t2jax.tasks.questions import Question
from t2jax.tasks.splits import check_apart, check_not_empty


@dataclasses.dataclass(frozen=True)
class Lesson:
    """A task's questions, to train on and to validate by, and where they came from."""

    task: str
    train: Sequence[Question]
    validation: Sequence[Question]
    where: str
    validation_where: str


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A lesson as a model meets it."""

    task: str
    train: EncodedQuestions
    validation: EncodedQuestions


def check_lesson(lesson: Lesson, test: Sequence[Question] = (), test_where: str = 'the test') -> None:
    """Raise ValueError if there is nothing to train on, or a training question measures too."""
    check_not_empty(lesson.train, lesson.where)
    check_apart(lesson.train, lesson.where, lesson.validation, lesson.validation_where)
    check_apart(lesson.train, lesson.where, test, test_where)
    check_not_empty(lesson.validation, lesson.validation_where)
    check_apart(lesson.validation, lesson.validation_where, test, test_where)


def encode_lesson(lesson: Lesson, vocabulary: Vocabulary, bos: int | None, context: int) -> Encoded:
    """Encode a lesson; raises ValueError for a question that takes more tokens than the model's context."""
    parts = (lesson.train, lesson.where), (lesson.validation, lesson.validation_where)
    return Encoded(lesson.task, *(encode_fitting(*part, vocabulary, bos, context) for part in parts))


def takes(questions: Sequence[Question], vocabulary: Vocabulary, bos: int | None) -> list[int]:
    """Count the tokens of each question with its answer."""
    first = 0 if bos is None else 1
    texts = [question.prompt + question.answer for question in questions]
    return [first + len(ids) for ids, _ in vocabulary.encode_with_ends(texts)]


def mark_questions(encoded: EncodedQuestions, stage: str, width: int) -> np.ndarray:
    """Lay questions out as rows of `width` ids, and mark the targets that count in a stage: [Q, width]."""
    tokens, is_answer = join(encoded)
    column = np.arange(tokens.shape[1])
    lengths = (encoded.prompt_lengths + encoded.answer_lengths)[:, None]
    counts = is_answer if stage == 'sft' else (column > 0) & (column < lengths)
    marked = mark(np.where(column < lengths, tokens, 0), counts)
    spare = max(0, width - marked.shape[1])
    return np.pad(marked, [(0, 0), (0, spare)], constant_values=~0)[:, :width]


def widths_of(lessons: Sequence[Encoded]) -> tuple[int, int]:
    """Return the tokens of the longest question to train on and to validate by: rows of one width share a program."""
    parts = [lesson.train for lesson in lessons], [lesson.validation for lesson in lessons]
    train, validation = (max(int((one.prompt_lengths + one.answer_lengths).max()) for one in part) for part in parts)
    return train, validation
