"""Fine-tune trained models, runs and imports alike, on a task's questions: `t2jax finetune`.

FOLDER/<task>/runs, before, jobs.csv, curves.csv     see jobs.py and outcomes.py
FOLDER/<task>/scores/<stage>/<model>/<task>.csv      of the test, where there is one: the models themselves in `base`,
                                                     the fine-tuned ones chosen in `ft` and `sft`; each stage is what
                                                     `t2jax collect` makes a table of
"""

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
from etils import epath
from jax.sharding import Mesh

from t2jax.config import claim, write_text
from t2jax.data.vocabulary import WordVocabulary
from t2jax.evaluation.questions import Found, find_questions
from t2jax.evaluation.scoring import encode_fitting, score
from t2jax.evaluation.vocabularies import Vocabulary, bos_of
from t2jax.mesh import Layout, make_mesh
from t2jax.posttraining.jobs import QUIET, bundles, make_jobs, measure_before
from t2jax.posttraining.lessons import Encoded, Lesson, check_lesson, encode_lesson, takes, widths_of
from t2jax.posttraining.outcomes import Outcome, read_outcomes, write_tables
from t2jax.posttraining.settings import FineTuning
from t2jax.tasks.catalogue import TASKS
from t2jax.tasks.splits import leave_out
from t2jax.training import checkpoint
from t2jax.training.jobs import Job
from t2jax.training.loop import train_jobs
from t2jax.training.runs import is_finished
from t2jax.training.trained import Trained, open_trained


@dataclass(frozen=True)
class Model:
    """A model to fine-tune, its tokenizer, and the file of that; None where it is its study's list of words."""

    trained: Trained
    vocabulary: Vocabulary
    tokenizer: epath.Path | None


def find_lesson(task: str, validation: str, test: str | None) -> tuple[Lesson, Found | None]:
    """Read the files of a task: NAME:FILE or FILE.jsonl to train on, and FILEs of the same kind."""
    name, colon, _ = task.partition(':')
    like = f'{name}:' if colon and name in TASKS else ''
    train, held_out = find_questions(task), find_questions(like + validation)
    found = find_questions(like + test) if test else None
    lesson = Lesson(train.task, train.questions, held_out.questions, train.where, held_out.where)
    return lesson, found and replace(found, task=train.task)


def without_misfits(
    lesson: Lesson, test: Found | None, models: Sequence[Model]
) -> tuple[Lesson, Found | None, dict[str, int]]:
    """Leave out training questions that are held out too, and all that are too long for some model.

    Returns what is left, and how many questions were left out of each part.
    """
    tested = test.questions if test else ()
    train = leave_out(lesson.train, [*lesson.validation, *tested])
    fits = lambda questions: [
        question
        for question, lengths in zip(questions, zip(*(takes(questions, m.vocabulary, _bos(m)) for m in models)))
        if all(length - 1 <= m.trained.context for length, m in zip(lengths, models))
    ]
    kept = replace(lesson, train=fits(train), validation=fits(leave_out(lesson.validation, tested)))
    parts = {'training': (lesson.train, kept.train), 'validation': (lesson.validation, kept.validation)}
    if test:
        test, whole = replace(test, questions=fits(test.questions)), test.questions
        parts['test'] = whole, test.questions
    return kept, test, {name: len(before) - len(after) for name, (before, after) in parts.items()}


def _bos(model: Model) -> int | None:
    return bos_of(model.trained, model.vocabulary)[0]


def fine_tune_models(
    models: Sequence[Model],
    lesson: Lesson,
    test: Found | None,
    settings: FineTuning,
    folder: epath.PathLike,
    progress: Callable[[float, float, bool], Any] = lambda flops, total, resumed: None,
) -> tuple[list[Outcome], dict[str, dict[str, Any]]]:
    """Fine-tune models on a lesson, one after another, and score those chosen on the test; what is there is kept.

    progress is told FLOPs done, of how many, and whether an earlier call did them. Returns the outcomes, and the
    summary of the test's scores by model name. Raises ValueError or OSError, one sentence, for what cannot be trained
    on, before anything is written.
    """
    check_lesson(lesson, *((test.questions, test.where) if test else ()))
    encoded = [encode_lesson(lesson, m.vocabulary, _bos(m), m.trained.context) for m in models]
    for m in models if test else ():
        encode_fitting(test.questions, test.where, m.vocabulary, _bos(m), m.trained.context)
        if m.trained.tokens is None:
            raise ValueError(f'{m.trained.folder} does not say on how many tokens it was trained; leave --test out')
    folder = epath.Path(folder) / lesson.task
    if (folder / 'lesson.json').exists():
        claim(folder / 'lesson.json', _record(lesson, settings))
    listed = [_list_jobs(model, mine, settings, folder) for model, mine in zip(models, encoded)]
    claim(folder / 'lesson.json', _record(lesson, settings))
    total = sum(job.run.train_flops for _, jobs in listed for job in jobs)
    outcomes = []
    for model, mine, (mesh, jobs) in zip(models, encoded, listed):
        measure_before(model.trained, model.trained.load(mesh), mine, folder)
        for job in jobs:
            _keep_tokenizer(model, folder, job)
        for bundle in bundles(jobs, settings.together):
            _train(bundle, mesh, total, progress)
        outcomes += read_outcomes(jobs, lesson.task, folder)
    write_tables(outcomes, folder)
    return outcomes, _score(models, outcomes, test, folder / 'scores') if test else {}


def _score(
    models: Sequence[Model], outcomes: Sequence[Outcome], test: Found, folder: epath.Path
) -> dict[str, dict[str, Any]]:
    """Score the models and what was chosen, and drop the scores of what was chosen of other learning rates before."""
    scored = {m.trained.name: score(m.trained, test, m.vocabulary, folder / 'base') for m in models}
    by_name = {m.trained.name: m.vocabulary for m in models}
    for outcome in outcomes:
        run, where = outcome.job.run, folder / outcome.stage
        if outcome.chosen:
            scored[run.name] = score(open_trained(outcome.job.folder), test, by_name[run.start.run], where)
        elif (where / run.name).exists():
            (where / run.name).rmtree()
    return scored


def _list_jobs(model: Model, lesson: Encoded, settings: FineTuning, folder: epath.Path) -> tuple[Mesh, list[Job]]:
    """List the fine-tunings of one model, over as many devices as share a batch; its params are loaded when needed."""
    count = 1 if settings.together > 1 else math.gcd(len(jax.local_devices()), settings.batch)
    layout = Layout(fsdp=count)
    mesh = make_mesh(jax.local_devices()[:count], layout)
    load = partial(model.trained.load, mesh)
    weights, widths = checkpoint.sum_bits(load()), widths_of([lesson])
    return mesh, make_jobs(model.trained, weights, load, lesson, model.vocabulary, settings, folder, widths, layout)


def _train(bundle: Sequence[Job], mesh: Mesh, total: float, progress: Callable[[float, float, bool], Any]) -> None:
    calls = itertools.count()  # the first tells what is already done, which took no time now
    if all(is_finished(job.run, job.folder) for job in bundle):
        progress(sum(job.run.train_flops for job in bundle), total, True)
    else:
        train_jobs(bundle, mesh, lambda flops: progress(flops, total, next(calls) == 0), watch=QUIET)


def _keep_tokenizer(model: Model, folder: epath.Path, job: Job) -> None:
    """Put the tokenizer where commands look for that of a run."""
    if model.tokenizer is not None:
        write_text(epath.Path(job.folder) / f'tokenizer{model.tokenizer.suffix}', model.tokenizer.read_bytes())
    elif isinstance(model.vocabulary, WordVocabulary):
        model.vocabulary.save(folder / 'data' / 'vocabulary.json')


@dataclass(frozen=True)
class _Record:
    """What a folder of fine-tunings belongs to."""

    task: str
    train: str
    validation: str
    epochs: int
    batch: int
    seed: int


def _record(lesson: Lesson, settings: FineTuning) -> _Record:
    digest = lambda questions: hashlib.sha256(json.dumps([list(vars(q).values()) for q in questions]).encode())
    parts = (digest(questions).hexdigest() for questions in (lesson.train, lesson.validation))
    return _Record(lesson.task, *parts, settings.epochs, settings.batch, settings.seed)
