"""Graders: whether the text of a sample answers its question, and what it answered, for votes.

exact        the text starts with the reference
normalised   the first line is the reference but for case, punctuation, articles and spaces (SQuAD's exact match)
numeric      the last number is the reference's, as is usual for GSM8K
code         prompt, text and the reference, which holds the tests, run to their end in the sandbox, as for HumanEval

T2's likelihood p_i = exp(-NLL) of an answer is the chance that a sample's first tokens are the answer's: `begins_with`.
`exact` looks at the text, which other tokens may spell as well, so its chance is p_i or a little more.
"""

import ast
import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np

from t2jax.tasks import sandbox
from t2jax.tasks.questions import Question


class Grade(NamedTuple):
    """Whether a sample is right, and its answer in canonical form: '' where it gave none, equal for equal answers."""

    right: bool
    answer: str


class Grader(Protocol):
    """A way to grade samples."""

    name: str

    def check(self, question: Question) -> None:
        """Raise ValueError naming the question if samples cannot be graded by its answer."""

    def grade(self, question: Question, texts: Sequence[str]) -> list[Grade]:
        """Grade the texts of samples, prompt not included."""


@dataclass(frozen=True)
class Exact:
    """Right if the text starts with exactly the reference; what follows it does not matter."""

    name: str = 'exact'

    def check(self, question: Question) -> None:
        """Raise ValueError naming a question without an answer."""
        if not question.answer:
            raise ValueError(f'question {question.id!r} has an empty answer, which every sample starts with')

    def grade(self, question: Question, texts: Sequence[str]) -> list[Grade]:
        """Grade texts; the answer of a sample is as much of it as the reference is long."""
        starts = [text[: len(question.answer)] for text in texts]
        return [Grade(start == question.answer, start) for start in starts]


@dataclass(frozen=True)
class Canonical:
    """Right if the answer read from the text is the one read from the reference; a reading of '' is no answer."""

    name: str
    read: Callable[[str], str]
    read_reference: Callable[[str], str]
    needs: str

    def check(self, question: Question) -> None:
        """Raise ValueError naming a question in whose answer nothing can be read."""
        if not self.read_reference(question.answer):
            raise ValueError(
                f'question {question.id!r} has the answer {question.answer!r}; to be graded {self.name} it {self.needs}'
            )

    def grade(self, question: Question, texts: Sequence[str]) -> list[Grade]:
        """Grade texts by what is read from each."""
        reference = self.read_reference(question.answer)
        answers = [self.read(text) for text in texts]
        return [Grade(answer == reference != '', answer) for answer in answers]


@dataclass(frozen=True)
class Code:
    """Right if prompt + text + newline + reference, a program, runs to its end in the sandbox within the limits.

    The reference holds tests in Python that raise where the text is wrong: for HumanEval, its `test` and the line
    `check(ENTRY_POINT)`. The text has to be cut at stop strings before.
    """

    seconds: float = 5.0
    memory_mb: int = 512
    name: str = 'code'

    def check(self, question: Question) -> None:
        """Raise ValueError naming a question whose answer is not Python or does nothing but define."""
        try:
            statements = ast.parse(question.answer).body
        except (SyntaxError, ValueError) as error:
            raise ValueError(
                f'question {question.id!r} needs tests in Python as its answer; these do not parse: {error}'
            ) from None
        if all(_only_defines(statement) for statement in statements):
            raise ValueError(
                f'question {question.id!r} has an answer that runs no test, so that any sample would pass; '
                'it needs an assert or a call such as check(f)'
            )

    def grade(self, question: Question, texts: Sequence[str]) -> list[Grade]:
        """Grade texts, several at once, equal ones once; the answer is the text. Errors as in `sandbox.run`."""
        programs = {text: f'{question.prompt}{text}\n{question.answer}' for text in texts}
        outcomes = dict(zip(programs, sandbox.run_all(list(programs.values()), self.seconds, self.memory_mb)))
        return [Grade(outcomes[text].passed, text if text.strip() else '') for text in texts]


def _only_defines(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)  # a docstring
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign)
    return isinstance(statement, (*definitions, ast.AnnAssign, ast.Pass))


def begins_with(tokens: np.ndarray, lengths: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Say which samples, tokens [N, S] of lengths [N], begin with the answer's tokens [A]; bool [N]."""
    if len(answer) == 0:
        raise ValueError('an answer without tokens, which every sample begins with; it needs at least one')
    width = min(len(answer), tokens.shape[1])
    return (lengths >= len(answer)) & (tokens[:, :width] == answer[:width]).all(axis=1)


def normalise(text: str) -> str:
    """Reduce the first line that is not blank to its words: no case, punctuation, articles (unless all is articles)."""
    line = (unicodedata.normalize('NFKC', text).strip().splitlines() or [''])[0].casefold()
    line = ''.join(c for c in line if c not in string.punctuation and unicodedata.category(c)[0] != 'P')
    words = line.split()
    return ' '.join([word for word in words if word not in ('a', 'an', 'the')] or words)


_DIGITS = r'(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3}(?![0-9A-Za-z]))?'
_NUMBER = re.compile(
    rf"""
    (?P<minus>(?<![\w.)%-])-[$€£¥]?)?                              # not the minus of 5-3, nor a dash
    (?P<whole>(?<![A-Za-z0-9_^.,])[0-9]+[ ](?=[0-9]+/[0-9]))?  # the 2 of 2 1/2
    (?P<top>(?<![A-Za-z0-9_^]){_DIGITS}                             # not the 2 of m2, x_2 or 10^2
          | (?<![\w.^])\.[0-9]+)
    (?:/(?P<bottom>{_DIGITS}))?
    """,
    re.VERBOSE,
)
_SPELLINGS = [
    (re.compile('[−‐‑–]'), '-'),
    (re.compile(r'\\[dt]?frac\{(-?[0-9]+)\}\{([0-9]+)\}'), r'\1/\2'),
    (re.compile(r'\{,\}|\\[!,]'), ''),  # LaTeX within a large number
]
_PARTS = (('whole', '0'), ('top', '0'), ('bottom', '1'))
_LONGEST = 100  # characters of a number: more are a sample that repeats itself


def last_number(text: str) -> str:
    """Read the last number of a text exactly, as '18', '-5/2', or '' if there is none.

    1,000 and 1e3 are 1000; 2 1/2 and 5/2 are 2.5; signs of currency and percent do not count, so that 50% is 50.
    """
    for pattern, plain in _SPELLINGS:
        text = pattern.sub(plain, text)
    *_, last = [None, *_NUMBER.finditer(text)]
    if last is None or len(last[0]) > _LONGEST:
        return ''
    whole, top, bottom = (Fraction((last[part] or other).replace(',', '')) for part, other in _PARTS)
    if bottom == 0:
        return ''
    value = whole + top / bottom
    return str(-value if last['minus'] else value)


def _reference_number(answer: str) -> str:
    return last_number(answer.rpartition('####')[2])  # GSM8K: a derivation, then #### and the result


GRADERS: dict[str, Grader] = {
    grader.name: grader
    for grader in (
        Exact(),
        Canonical('normalised', normalise, normalise, 'needs a letter or digit in its first line'),
        Canonical('numeric', last_number, _reference_number, 'needs a number, after #### if it has that'),
        Code(),
    )
}
