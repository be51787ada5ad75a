"""Commands about tasks: tasks, score, contamination."""

import argparse
import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2jax.cli import hosts, studies
from t2jax.cli.progress import LateBar

if TYPE_CHECKING:
    from t2jax.tasks.summary import Summary

TASK_HELP = "a task of the run's study, NAME of `t2jax tasks`, NAME:FILE for rows of your own, or a .jsonl of questions"


def describe(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands."""
    sub = add('tasks', run_tasks, 'list the tasks; of one: lengths, answers, ten questions; or write its questions')
    sub.add_argument('task', nargs='?', help='NAME, NAME:FILE for rows of its published data, or a .jsonl of questions')
    sub.add_argument('--tokenizer', type=Path, metavar='FILE', help='count tokens too')
    sub.add_argument('--out', type=Path, metavar='FILE.jsonl', help='write id, prompt and answer of each question')

    sub = add('score', run_score, "the likelihood of every question's answer, a file for each model and task")
    sub.add_argument('checkpoints', nargs='+', help='folders of runs, WORKDIR/runs/NAME, or of imported models')
    sub.add_argument('--task', action='append', required=True, help=f'{TASK_HELP}; may be repeated')
    sub.add_argument('--out', required=True, metavar='FOLDER', help='where files go; may be in a bucket')
    sub.add_argument('--tokenizer', metavar='FILE', help="tokenizer.json or .model (default: the model's)")
    sub.add_argument('--step', type=int, help='checkpoint of this step (default: the last)')
    hosts.describe(sub.add_argument_group('several hosts, all of which score; the first one writes'))

    sub = add('contamination', run_contamination, 'how much of the questions of tasks stands in token shards')
    sub.add_argument('shards', help='folder that `t2jax tokenize` wrote, or WORKDIR/data/tokens')
    sub.add_argument('--task', action='append', required=True, help=f'{TASK_HELP}; may be repeated')
    sub.add_argument('--tokenizer', type=Path, metavar='FILE', help='that the shards were made with')
    sub.add_argument('--n', type=int, default=13, help='tokens that have to be the same in a row (default: 13)')
    sub.add_argument('--out', type=Path, metavar='FILE.csv', help='write the counts of each question')


def run_tasks(options: argparse.Namespace) -> None:
    """List tasks, or show one."""
    from t2jax.tasks.catalogue import TASKS

    if options.task is None:
        if options.out or options.tokenizer:
            raise ValueError('no task is named; --out and --tokenizer are about one: name it')
        rows = [
            {'task': task.name, 'about': task.about, 'grader': task.grader, 'source': task.tfds or 'generated'}
            for task in TASKS.values()
        ]
        print(
            json.dumps(rows) if options.json else '\n'.join('  '.join(row.values()).rstrip() for row in _aligned(rows))
        )
        return
    from t2jax.evaluation.questions import find_questions
    from t2jax.tasks.questions import write_questions
    from t2jax.tasks.summary import summarize

    found, encoded = find_questions(options.task), None
    if options.tokenizer:
        from t2jax.data.tokenizers import FileVocabulary
        from t2jax.tasks.boundaries import encode_questions

        vocabulary = FileVocabulary(options.tokenizer, end_token=0)  # to pad with
        encoded = encode_questions(found.questions, vocabulary, None)
    summary = summarize(found.questions, encoded)
    if options.out:
        write_questions(options.out, found.questions)
    if options.json:
        print(json.dumps({'task': found.task, 'grader': found.grader, **asdict(summary)}))
        return
    print(f'{found.task}: {summary.questions:,} questions, from {found.where}, graded {found.grader}')
    print(f'{summary.distinct_answers:,} answers{_commonest(summary)}')
    for what, spread in summary.lengths.items():
        least, median, high, most = (f'{value:,.0f}' for value in spread)
        print(f'{what}: {least} to {most}, median {median}, 95 % up to {high}')
    for question in summary.sample:
        print(f'\n[{question.id}] {question.prompt}▸{question.answer}')


def _commonest(summary: 'Summary') -> str:
    times = round(summary.commonest_share * summary.questions)
    return f', {summary.commonest_answer!r} in {times:,} questions' if times > 1 else ', each in one question'


def _aligned(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    widths = {name: max(len(row[name]) for row in rows) for name in rows[0]}
    return [{name: text.ljust(widths[name]) for name, text in row.items()} for row in rows]


def run_score(options: argparse.Namespace) -> None:
    """Score checkpoints on tasks."""
    with hosts.joined(options):
        _score_all(options)


def _score_all(options: argparse.Namespace) -> None:
    from t2jax import distributed
    from t2jax.evaluation.questions import find_questions
    from t2jax.evaluation.scoring import score
    from t2jax.evaluation.vocabularies import open_vocabulary
    from t2jax.training.trained import open_trained

    studies.use_compile_cache()
    first = distributed.is_first()
    opened = [open_trained(checkpoint, options.step) for checkpoint in options.checkpoints]
    names = [trained.name for trained in opened]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f'two checkpoints are called {twice[0]!r}, and would share a file; score them into two folders'
        )
    find, work = cache(find_questions), []
    for trained in opened:
        vocabulary = open_vocabulary(trained, options.tokenizer)
        tasks = [find(task, trained.workdir) for task in options.task]
        names = [found.task for found in tasks]
        if len(set(names)) < len(names):
            raise ValueError(f'of the tasks {", ".join(names)} two would share a file; rename one, or score them apart')
        work += [(trained, found, vocabulary) for found in tasks]
    results = []
    for trained, found, vocabulary in work:
        with LateBar('question', f'{trained.name}, {found.task}', shown=first and not options.json) as bar:
            results.append(score(trained, found, vocabulary, options.out, bar.progress))
        if first and not options.json:
            print(_said(results[-1]))
    if first and options.json:
        print(json.dumps(results))


def _said(result: dict[str, Any]) -> str:
    straddling = f'; {result["straddling"]} answers begin within a token' if result['straddling'] else ''
    return (
        f'{result["run"]}, {result["task"]}: {result["questions"]:,} questions, NLL {result["nll"]:.4g} nats, '
        f'pass@1 {result["pass_at_1"]:.4g}, {result["nats_per_token"]:.4g} nats a token, '
        f'{result["bits_per_byte"]:.4g} bits a byte, greedy {result["greedy"]:.2%}{straddling}; {result["file"]}'
    )


def run_contamination(options: argparse.Namespace) -> None:
    """Look for the questions of tasks in token shards."""
    from t2jax.evaluation.contamination import find, open_text
    from t2jax.evaluation.questions import find_questions

    shards, vocabulary = open_text(options.shards, options.tokenizer)
    out = io.StringIO()
    write = csv.writer(out, lineterminator='\n')
    write.writerow(['task', 'question', 'ngrams', 'seen', 'seen_with_answer'])
    results = []
    workdir = Path(options.shards).absolute().parents[1]  # of a study, its tokens are in WORKDIR/data/tokens
    for found in [find_questions(task, workdir) for task in options.task]:
        with LateBar('tok', found.task, shown=not options.json) as bar:
            result = find(found, shards, vocabulary, options.n, bar.progress)
        write.writerows([result.task, *row] for row in result.rows)
        results.append(result.summary())
        if not options.json:
            print(result.sentence())
    if options.out:
        from t2jax.config import write_text

        write_text(options.out, out.getvalue())
    if options.json:
        print(json.dumps(results))
