"""Questions: a prompt and its one right answer, kept as JSON lines, turned into padded token arrays.

A prompt is encoded after the end-of-document token, as a document begins in training. The answer includes whatever
ends it, so its likelihood is the probability of a sample that is exactly right and stops.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from t2jax.config import write_text


@dataclass(frozen=True)
class Question:
    """One question; `id` is unique in its task."""

    id: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class EncodedQuestions:
    """Q questions as right-padded ids: prompts [Q, P] with lengths [Q], answers [Q, S] with lengths [Q]."""

    prompts: np.ndarray
    prompt_lengths: np.ndarray
    answers: np.ndarray
    answer_lengths: np.ndarray


def write_questions(path: Path, questions: Sequence[Question]) -> None:
    """Write one JSON object a line: id, prompt, answer."""
    write_text(path, ''.join(json.dumps(vars(question)) + '\n' for question in questions))


def read_questions(path: Path) -> list[Question]:
    """Read questions; raises ValueError naming file and line for a missing field or a repeated id."""
    if not path.exists():
        raise FileNotFoundError(f'no question file {path}; `t2jax train` makes it')
    questions, seen = [], set()
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        try:
            question = Question(**json.loads(line))
        except (ValueError, TypeError):
            raise ValueError(f'{path} line {number} is not a JSON object with id, prompt and answer') from None
        if question.id in seen:
            raise ValueError(f'{path} line {number} repeats the id {question.id!r}; ids have to be unique')
        seen.add(question.id)
        questions.append(question)
    if not questions:
        raise ValueError(f'{path} holds no questions; it needs at least one')
    return questions


def encode_questions(
    questions: Sequence[Question],
    encode: Callable[[str], np.ndarray],
    end_id: int,
    prompt: int | None = None,
    answer: int | None = None,
) -> EncodedQuestions:
    """Encode questions into arrays of `prompt` and `answer` columns (default: as many as the longest takes).

    Raises ValueError naming the question that cannot be encoded, whose prompt or answer is longer than that, or whose
    answer has no tokens.
    """
    prompts, answers = [], []
    for question in questions:
        try:
            prompts.append(np.concatenate([[end_id], encode(question.prompt)]))
            answers.append(encode(question.answer))
        except ValueError as error:
            raise ValueError(f'question {question.id!r}: {error}') from None
    for limit, rows in ((prompt, prompts), (answer, answers)):
        limit = max(map(len, rows)) if limit is None else limit
        for question, ids in zip(questions, rows):
            if not 0 < len(ids) <= limit:
                raise ValueError(f'question {question.id!r} takes {len(ids)} tokens where 1 to {max(limit, 1)} fit')
    return EncodedQuestions(
        _pad(prompts, prompt, end_id), _lengths(prompts), _pad(answers, answer, end_id), _lengths(answers)
    )


def _lengths(rows: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([len(row) for row in rows], np.int32)


def _pad(rows: Sequence[np.ndarray], width: int | None, value: int) -> np.ndarray:
    out = np.full((len(rows), width or max(map(len, rows))), value, np.int32)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
