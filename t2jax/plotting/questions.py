"""The questions of a study as HTML: how long they are, ten of each task to read, how hard they are for each size.

Read from WORKDIR/data/questions/*.jsonl, questions.csv and data/contamination.json; an older study may lack any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from t2jax.config import read_json
from t2jax.laws.questions import Questions, read_questions
from t2jax.plotting.labels import human_count, human_percent
from t2jax.plotting.markup import bullets, row, table
from t2jax.tasks import questions as files
from t2jax.tasks.catalogue import TASKS
from t2jax.tasks.summary import Summary, summarize

SOLVED = 0.5  # a question that one sample answers more often than not


@dataclass(frozen=True)
class Asked:
    """What a study asked, by task; measured is None, overlap empty, where the study does not have them."""

    summaries: dict[str, Summary]
    measured: Questions | None
    overlap: Sequence[dict[str, Any]]


def read_asked(workdir: Path) -> Asked:
    """Read a study's questions; raises ValueError, one sentence, for a damaged file."""
    folder = workdir / 'data'
    paths = sorted((folder / 'questions').glob('*.jsonl'))
    table, overlap = workdir / 'questions.csv', folder / 'contamination.json'
    return Asked(
        {path.stem: summarize(files.read_questions(path)) for path in paths},
        read_questions(table) if table.exists() else None,
        _read_overlap(overlap) if overlap.exists() else (),
    )


def _read_overlap(path: Path) -> list[dict[str, Any]]:
    remedy = 'delete it and run the data stage again'
    rows = read_json(path, remedy)
    needed = {'task', 'questions', 'n', 'tokens', *_OVERLAP}
    if not isinstance(rows, list) or not all(isinstance(row, dict) and needed <= set(row) for row in rows):
        raise ValueError(f'{path} is not a list of counts by task; {remedy}')
    return rows


def questions_html(asked: Asked) -> str:
    """Write the section: lengths, difficulty, overlap with the training text, samples to read."""
    if not asked.summaries:
        return '<p>The questions of this study are not beside it.</p>'
    parts = [_lengths(asked.summaries)]
    if asked.measured is not None:
        parts.append(_difficulty(asked.measured))
    if asked.overlap:
        parts.append(_overlap(asked.overlap))
    parts += [_sample(task, summary) for task, summary in asked.summaries.items()]
    return ''.join(parts)


def english_html() -> str:
    """Write the section about the generated tasks of the catalogue, which models of English text are asked."""
    summaries = {name: summarize(task.generate()) for name, task in TASKS.items() if task.generate}
    words = '<p>Not asked in this study: four kinds of question for models of English text, by `t2jax score`.</p>'
    return words + _lengths(summaries) + ''.join(_sample(task, summary) for task, summary in summaries.items())


def _sample(task: str, summary: Summary) -> str:
    lines = ''.join(row((question.prompt, question.answer), texts=2) for question in summary.sample)
    return (
        f'<details><summary>{len(summary.sample)} questions of {task}</summary>'
        f'{table(("question", "answer"), [lines], texts=2)}</details>'
    )


def _lengths(summaries: dict[str, Summary]) -> str:
    lines = []
    for task, summary in summaries.items():
        spreads = [summary.lengths[f'{part}, characters'] for part in ('prompt', 'answer')]
        lengths = [f'{least:.0f} to {most:.0f}, median {median:.0f}' for least, median, _, most in spreads]
        commonest = f'{summary.commonest_answer.strip()} ({human_percent(summary.commonest_share)})'
        counts = f'{summary.questions:,}', *lengths, f'{summary.distinct_answers:,}', commonest
        lines.append(row((task, *counts)))
    head = ('task', 'questions', 'prompt, characters', 'answer, characters', 'answers', 'the commonest')
    return table(head, [''.join(lines)])


def _difficulty(measured: Questions) -> str:
    """Tabulate pass@1 by size, each at its most tokens, and how many questions all runs or none solve."""
    sizes = sorted(set(measured.params.tolist()))
    lines, sentences = [], []
    for task in dict.fromkeys(measured.task.tolist()):
        mine = measured.task == task
        longest = [_longest(measured, mine & (measured.params == size)) for size in sizes]
        means = [float(np.exp(-measured.nll[rows]).mean()) for rows in longest]
        solved = _solved(measured, mine)
        share = lambda which: human_percent(float(which.mean()))
        every, none = solved.all(axis=0), ~solved.any(axis=0)
        lines.append(row((task, *map(human_percent, means), share(every), share(none))))
        least, most = (pick(range(len(sizes)), key=means.__getitem__) for pick in (min, max))
        sentences.append(
            f'{task}: from {human_percent(means[least])} for N = {human_count(sizes[least])} to '
            f'{human_percent(means[most])} for N = {human_count(sizes[most])}; '
            f'{share(~every & ~none)} of the questions are solved by some runs and not by others.'
        )
    head = ('task', *map(human_count, sizes), 'solved by all', 'by none')
    note = (
        'Chance that one sample is right, from likelihoods, of each size at its longest training. A question is '
        'solved by a run that answers it more often than not. Questions that all runs solve, or none, do not tell '
        'the models apart at one sample; those that none solves still do at many.'
    )
    return '<h3>How hard they are along the ladder</h3>' + bullets(sentences) + table(head, [''.join(lines)], note)


def _longest(measured: Questions, rows: np.ndarray) -> np.ndarray:
    return rows & (measured.tokens == measured.tokens[rows].max())


def _solved(measured: Questions, rows: np.ndarray) -> np.ndarray:
    """Tell which run solves which question, [runs, questions]."""
    _, run = np.unique(measured.run[rows], return_inverse=True)
    _, question = np.unique(measured.question[rows], return_inverse=True)
    solved = np.zeros((run.max() + 1, question.max() + 1), bool)
    solved[run, question] = np.exp(-measured.nll[rows]) >= SOLVED
    return solved


def _overlap(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    for each in rows:
        counts = (f'{each[name]:,} ({human_percent(each[name] / each["questions"])})' for name in _OVERLAP)
        lines.append(row((each['task'], *counts)))
    note = (
        f'Questions of which {rows[0]["n"]} tokens in a row (shorter ones: all) stand in the {rows[0]["tokens"]:,} '
        'tokens of training text, with some of the answer among them, and nearly whole. Facts to be remembered '
        'should stand there; problems to be worked out should not.'
    )
    head = ('task', *_OVERLAP.values())
    return '<h3>What of them stands in the training text</h3>' + table(head, [''.join(lines)], note)


_OVERLAP = {'any': 'any part', 'with_answer': 'with the answer', 'nearly_all': 'nearly whole'}
