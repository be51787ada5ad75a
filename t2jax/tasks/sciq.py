"""SciQ (arXiv 1707.06209): science questions behind a passage that supports the answer, in T2's format.

A question without a passage is asked without one: no empty line is left where it would stand.
"""

from t2jax.tasks.choices import right_choice
from t2jax.tasks.task import Pair, Row, Task, text


def read(row: Row) -> Pair:
    """Return prompt and answer of a row; files of questions and answers alone have the answer's text in `answer`."""
    answer = row['answer'] if isinstance(row.get('answer'), str) else right_choice(row)
    before = f'{text(row, "support")}\n' if row.get('support') else ''
    return f'{before}Question: {text(row, "question")}\nAnswer:', f' {answer}'


TASK = Task('sciq', 'science questions behind a passage; the answer in a few words', read=read, tfds='huggingface:sciq')
