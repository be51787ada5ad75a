"""GSM8K (arXiv 2110.14168): word problems whose number a sample has to reach; sampled and graded, not scored.

The answer keeps the worked solution, then #### and the number, which is what the grader `numeric` looks at.
"""

from t2jax.tasks.task import Pair, Row, Task, text


def read(row: Row) -> Pair:
    """Return prompt and solution of a row; `answer` holds both as published, or the number beside `solution`."""
    solution = text(row, 'solution' if 'solution' in row else 'answer')
    if '####' not in solution:
        raise ValueError('its solution has no ####, behind which the number stands')
    return f'Question: {text(row, "question")}\nAnswer:', f' {solution}'


TASK = Task('gsm8k', 'word problems; a number behind its derivation', read=read, tfds='gsm8k', grader='numeric')
