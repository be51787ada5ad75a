"""A small trained run and questions that it can be fine-tuned on: numbers that count downwards, which it never saw."""

import pytest
from made_run import make_run

from t2jax.tasks.questions import Question, write_questions


def down(first, length, name):
    """Ask for the next two numbers of a count downwards."""
    told = ' '.join(str(first - i) for i in range(length))
    return Question(name, told, f' {first - length} {first - length - 1} .')


ALL = [down(first, length, f'd{first}{length}') for first in range(4, 10) for length in range(1, first - 2)]
TRAIN, VALIDATION, TEST = ALL[::2], ALL[1::4], ALL[3::4]


@pytest.fixture(scope='session')
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp('study')
    make_run(folder)
    return folder


@pytest.fixture(scope='session')
def run_folder(workdir):
    return workdir / 'runs' / 'small'


@pytest.fixture(scope='session')
def files(tmp_path_factory):
    """Question files by name."""
    folder = tmp_path_factory.mktemp('questions')
    parts = {'down': TRAIN, 'validation': VALIDATION, 'test': TEST}
    for name, questions in parts.items():
        write_questions(folder / f'{name}.jsonl', questions)
    return {name: folder / f'{name}.jsonl' for name in parts}
