"""OpenBookQA (arXiv 1809.02789): sentences about elementary science to be continued, in T2's format."""

from t2jax.tasks.choices import right_choice, stem
from t2jax.tasks.task import Pair, Row, Task


def read(row: Row) -> Pair:
    """Return prompt and answer of a row."""
    return stem(row), f' {right_choice(row)}'


TASK = Task('openbookqa', "elementary science, no book; the right choice's text", read=read, tfds='openbookqa')
