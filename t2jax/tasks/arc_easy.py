"""ARC-Easy (arXiv 1803.05457): science questions of primary school, in T2's format."""

from t2jax.tasks.choices import right_choice, stem
from t2jax.tasks.task import Pair, Row, Task


def read(row: Row) -> Pair:
    """Return prompt and answer of a row."""
    return f'Question: {stem(row)}\nAnswer:', f' {right_choice(row)}'


TASK = Task(
    'arc_easy', "science questions of primary school; the right choice's text", read=read, tfds='ai2_arc/ARC-Easy'
)
