"""What a task is: where its questions come from, and how samples of them are graded.

A task is one file in this folder, which ends in `TASK = Task(...)`, and a line in `catalogue.TASKS`. Its questions are
either generated, the same on every machine, or read from rows of published data: lines of a .jsonl file, or examples
of a TFDS dataset, each a mapping of plain Python values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from t2jax.tasks.questions import Question

Row = Mapping[str, Any]
Pair = tuple[str, str]  # prompt and answer; together they are the text that a model reads


def text(row: Row, name: str) -> str:
    """Return a field of a row that has to be a text; raises KeyError or ValueError where it is absent or none."""
    found = row[name]
    if not isinstance(found, str) or not found.strip():
        raise ValueError(f'{name} is {found!r:.60}, and has to be a text')
    return found


@dataclass(frozen=True)
class Task:
    """A kind of question. One of `generate` and `read` is given.

    read: prompt and answer of a row; raises KeyError, TypeError, IndexError or ValueError for a row it cannot read.
    tfds: name of the TFDS dataset, and `split` of it, that has such rows.
    """

    name: str
    about: str  # a few words on what is asked, and how
    generate: Callable[[], Sequence[Question]] | None = None
    read: Callable[[Row], Pair] | None = None
    tfds: str | None = None
    split: str = 'test'
    grader: str = 'exact'
