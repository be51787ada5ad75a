"""Where an answer's tokens begin, decided here for likelihoods and samples alike.

Prompt and answer are tokenized together, as the model would meet them in a text, and parted by characters: a token is
the prompt's if all its characters are, else the answer's. The answer's probability is then that of the tokens which
follow; tokenized apart, ' Paris' after a prompt may be other tokens than a text has there, and the score is wrong
without a sign. A token that holds the end of a prompt and the beginning of an answer is the answer's and is counted
(`EncodedQuestions.straddling`); where an answer begins with a space there is hardly ever one.

Before the prompt stands `bos`, the token that texts of the model begin with: the end-of-document token for runs trained
here, nothing for models that were trained without.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from t2jax.tasks.questions import Question


class Vocabulary(Protocol):
    """A tokenizer that knows where its tokens end in the text."""

    end_id: int

    def encode_with_ends(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Turn texts into ids, and for each token the number of characters of the text up to its end."""


@dataclass(frozen=True)
class EncodedQuestions:
    """Q questions as right-padded ids: prompts [Q, P] with lengths [Q], answers [Q, S] with lengths [Q].

    straddling [Q]: whether the answer's first token begins in the prompt.
    """

    prompts: np.ndarray
    prompt_lengths: np.ndarray
    answers: np.ndarray
    answer_lengths: np.ndarray
    straddling: np.ndarray


def encode_questions(
    questions: Sequence[Question],
    vocabulary: Vocabulary,
    bos: int | None,
    prompt: int | None = None,
    answer: int | None = None,
    scored: bool = True,
) -> EncodedQuestions:
    """Encode questions into arrays of `prompt` and `answer` columns (default: as many as the longest takes).

    scored: whether answers are what a model should write, not what a grader looks things up in: those get no tokens.

    Raises ValueError naming the question that cannot be encoded, whose prompt or answer is longer than that, or whose
    prompt or answer has no tokens.
    """
    prompts, answers, straddling = [], [], []
    first = [] if bos is None else [bos]
    if not scored:
        questions = [Question(question.id, question.prompt, '') for question in questions]
    for question, (ids, ends) in zip(questions, _encode(questions, vocabulary)):
        start = int(np.searchsorted(ends, len(question.prompt), side='right'))
        straddling.append(start < len(ids) and (ends[start - 1] if start else 0) < len(question.prompt))
        prompts.append(np.concatenate([np.array(first, np.int32), ids[:start]]))
        answers.append(ids[start:])
    for what, limit, rows in (('a prompt', prompt, prompts), ('an answer', answer, answers)):
        limit = max(map(len, rows)) if limit is None else limit
        for question, ids in zip(questions, rows):
            if not len(ids) and (scored or rows is prompts):
                raise ValueError(f'question {question.id!r} has {what} that tokenizes to nothing; it needs a token')
            if len(ids) > limit:
                raise ValueError(f'question {question.id!r} has {what} of {len(ids)} tokens where up to {limit} fit')
    pad_id = vocabulary.end_id
    return EncodedQuestions(
        _pad(prompts, prompt, pad_id),
        _lengths(prompts),
        _pad(answers, answer, pad_id),
        _lengths(answers),
        np.array(straddling, bool),
    )


def _encode(questions: Sequence[Question], vocabulary: Vocabulary) -> list[tuple[np.ndarray, np.ndarray]]:
    texts = [question.prompt + question.answer for question in questions]
    try:
        return vocabulary.encode_with_ends(texts)
    except ValueError:  # name the question
        for question, text in zip(questions, texts):
            try:
                vocabulary.encode_with_ends([text])
            except ValueError as error:
                raise ValueError(f'question {question.id!r}: {error}') from None
        raise


def _lengths(rows: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([len(row) for row in rows], np.int32)


def _pad(rows: Sequence[np.ndarray], width: int | None, value: int) -> np.ndarray:
    out = np.full((len(rows), width or max(map(len, rows))), value, np.int32)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
