"""Questions: a prompt and its one right answer, kept as JSON lines.

Prompt and answer joined are a text as a model reads it: the space between them is written in one of the two, by custom
in the answer (' Paris'). The answer includes whatever ends it, if anything does.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2jax.config import write_text


@dataclass(frozen=True)
class Question:
    """One question; `id` is unique in its task."""

    id: str
    prompt: str
    answer: str


def make_id(prompt: str, answer: str) -> str:
    """Name a question that has no name of its own by its content: 12 hex digits, whatever file or order it is in."""
    return hashlib.sha256(f'{prompt}\0{answer}'.encode()).hexdigest()[:12]


def name_questions(pairs: Sequence[tuple[str, str]]) -> list[Question]:
    """Make questions of (prompt, answer) pairs, ids by content; those of a pair that comes again end in -2, -3, ..."""
    seen: Counter[str] = Counter()
    questions = []
    for prompt, answer in pairs:
        name = make_id(prompt, answer)
        seen[name] += 1
        questions.append(Question(name if seen[name] == 1 else f'{name}-{seen[name]}', prompt, answer))
    return questions


def write_questions(path: Path, questions: Sequence[Question]) -> None:
    """Write one JSON object a line: id, prompt, answer."""
    write_text(path, ''.join(json.dumps(vars(question)) + '\n' for question in questions))


def read_questions(path: Path) -> list[Question]:
    """Read questions; raises ValueError naming file and line for a missing field or a repeated id."""
    questions, seen = [], set()
    for number, row in read_rows(path):
        fields = [row.get(name) for name in ('id', 'prompt', 'answer')]
        if len(row) != 3 or not all(isinstance(field, str) for field in fields):
            raise ValueError(f'{path} line {number} is not a JSON object with id, prompt and answer, three texts')
        question = Question(*fields)
        if question.id in seen:
            raise ValueError(f'{path} line {number} repeats the id {question.id!r}; ids have to be unique')
        seen.add(question.id)
        questions.append(question)
    return questions


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the JSON objects of a file with the numbers of their lines; raises ValueError naming what is not one."""
    if not path.exists():
        raise FileNotFoundError(f'no question file {path}; give one that is there')
    number = 0
    for number, line in enumerate(_lines(path), 1):
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()  # JSON can spell half a surrogate pair, which is no text
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise ValueError(f'{path} line {number} is not a JSON object of Unicode text')
        yield number, row
    if not number:
        raise ValueError(f'{path} holds no questions; it needs at least one')


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding='utf-8')
        return text.removesuffix('\n').split('\n') if text else []  # splitlines() would cut within a JSON text
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not UTF-8 text ({error}); give a file of JSON lines') from None
