"""All tasks that have a name. A new one is a file in this folder and a line here."""

from collections.abc import Iterable

from t2jax.tasks import arc_easy, arithmetic, causal, gsm8k, knowledge, lambada, openbookqa, sciq, spatial
from t2jax.tasks.questions import Question, name_questions
from t2jax.tasks.task import Row, Task

TASKS: dict[str, Task] = {
    module.TASK.name: module.TASK
    for module in (lambada, arc_easy, sciq, openbookqa, knowledge, arithmetic, causal, spatial, gsm8k)
}


def questions_of(task: Task, rows: Iterable[tuple[int, Row]], where: str) -> list[Question]:
    """Turn rows, with their line numbers, into a task's questions; ids are the rows' own where they have them.

    Raises ValueError naming the line of a row that lacks a field, has an empty prompt or answer, or repeats an id.
    """
    pairs, ids, seen = [], [], set()
    for number, row in rows:
        try:
            pair = task.read(row)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            what = f'lacks {error}' if isinstance(error, KeyError) else f'has fields of other types ({error})'
            raise ValueError(f'{where} line {number} is no row of {task.name}: it {what}') from None
        except ValueError as error:
            raise ValueError(f'{where} line {number} is no row of {task.name}: {error}') from None
        for name, text in zip(('prompt', 'answer'), pair):
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f'{where} line {number} has an empty {name}; a row of {task.name} needs both')
        name = row.get('id')
        if name is not None and str(name) in seen:
            raise ValueError(f'{where} line {number} repeats the id {name!r}; ids have to be unique')
        if name is not None:
            seen.add(str(name))
        ids.append(name)
        pairs.append(pair)
    if not pairs:
        raise ValueError(f'{where} holds no questions; it needs at least one')
    named = name_questions(pairs)
    return [q if name is None else Question(str(name), q.prompt, q.answer) for q, name in zip(named, ids)]
