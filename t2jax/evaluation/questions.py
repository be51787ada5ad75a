"""Find the questions that a user asks for by name.

NAME            a task of the study, or one of `tasks.catalogue`: generated, or read from TFDS
NAME:FILE       rows of that task's published data, JSON lines
FILE.jsonl      questions: id, prompt, answer on each line
"""

from collections.abc import Sequence
from dataclasses import dataclass

from etils import epath

from t2jax.data.examples import read_examples
from t2jax.tasks.catalogue import TASKS, questions_of
from t2jax.tasks.questions import Question, read_questions, read_rows


@dataclass(frozen=True)
class Found:
    """A task's questions, where they came from, how samples of them are graded, and the tokens that end one.

    ends: empty where the end of a document does.
    """

    task: str
    questions: Sequence[Question]
    where: str
    grader: str = 'exact'
    ends: Sequence[str] = ()


def find_questions(name: str, workdir: epath.PathLike | None = None) -> Found:
    """Return the questions of a name as above, `workdir` being that of a study, perhaps.

    Raises ValueError or OSError, one sentence, for a name that nothing has and for files that hold no questions.
    """
    of_study = None if workdir is None else epath.Path(workdir) / 'data' / 'questions'
    if of_study is not None and (of_study / f'{name}.jsonl').exists():
        path = of_study / f'{name}.jsonl'
        return Found(name, read_questions(path), str(path), ends=('.',))  # its answers end so
    task, colon, file = name.partition(':')
    if task in TASKS:
        if colon and not file:
            raise ValueError(f'{name} names no file after its colon; give one, or leave the colon out')
        return _of_catalogue(task, file)
    if name.endswith('.jsonl'):
        path = epath.Path(name)
        return Found(path.stem, read_questions(path), name)
    own = sorted(path.stem for path in of_study.glob('*.jsonl')) if of_study is not None else []
    raise ValueError(
        f'there is no task {name!r}; name {", ".join([*own, *TASKS])}, with :FILE for rows of your own where it is '
        'read, or a .jsonl file of questions'
    )


def _of_catalogue(name: str, file: str) -> Found:
    task = TASKS[name]
    if task.generate is not None:
        if file:
            raise ValueError(f'{name} is generated and reads no file; leave {file} out')
        return Found(name, task.generate(), name, task.grader)
    if file:
        rows, where = read_rows(epath.Path(file)), file
    else:
        rows, where = enumerate(read_examples(task.tfds, task.split), 1), f'TFDS {task.tfds}'
    return Found(name, questions_of(task, rows, where), where, task.grader)
