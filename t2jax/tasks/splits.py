"""Whether training questions are apart from those that measure: published splits of a task share some.

Two questions are the same if prompt and answer, joined as a model reads them, are equal once lower-cased and with every
run of white space as one space. ids and wording beyond that say nothing: the same question under two ids is found, a
paraphrase is not. What of a question stands in pretraining text is another matter: data/overlap.py.
"""

from collections.abc import Sequence

from t2jax.tasks.questions import Question

SHOWN = 60  # characters of a prompt that a message quotes


def check_apart(train: Sequence[Question], train_where: str, held_out: Sequence[Question], held_out_where: str) -> None:
    """Raise ValueError if training questions are also among those held out for validation or test."""
    ids = {_content(question): question.id for question in reversed(held_out)}  # the first of equal ones stays
    shared = [question for question in train if _content(question) in ids]
    if shared:
        first = shared[0]
        prompt = ' '.join(first.prompt.split())
        prompt = prompt if len(prompt) <= SHOWN else f'{prompt[:SHOWN]}...'
        raise ValueError(
            f'{train_where} shares {len(shared)} of its {len(train)} questions with {held_out_where}, the first of '
            f'them {first.id!r}, there {ids[_content(first)]!r}: {prompt!r}; leave them out, or let --leave-out do it'
        )


def leave_out(train: Sequence[Question], held_out: Sequence[Question]) -> list[Question]:
    """Return the training questions that are not among those held out, in their order."""
    contents = set(map(_content, held_out))
    return [question for question in train if _content(question) not in contents]


def check_not_empty(train: Sequence[Question], where: str) -> None:
    """Raise ValueError if there is no question to train on: files hold some, but leaving out may take them all."""
    if not train:
        raise ValueError(f'{where} leaves no question to train on; it needs at least one that is not held out')


def _content(question: Question) -> str:
    return ' '.join((question.prompt + question.answer).lower().split())
