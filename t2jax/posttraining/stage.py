"""The post-training stage of a study: does the allocation survive fine-tuning? (T2, "Post-training" and figure 5)

Every run is fine-tuned on every task named, in both stages, at every learning rate; the one chosen is measured on the
task's test questions as the run itself was, and on text. Laws are then fitted to each stage.

WORKDIR/posttraining/posttraining.json    the settings
WORKDIR/posttraining/data/                vocabulary, questions/<task>.jsonl (the test), train/ and validation/ the same
WORKDIR/posttraining/runs/<name>/         the fine-tunings; with evaluation/, those chosen
WORKDIR/posttraining/jobs.csv, curves.csv, before/         see jobs.py and outcomes.py
WORKDIR/posttraining/observations-<stage>.csv              of base, ft and sft
WORKDIR/posttraining/stages.json          optimal sizes by stage, and their shift: see laws/stages.py
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from t2jax import pool
from t2jax.config import claim, read_json, write_json
from t2jax.data.families import Pair
from t2jax.evaluation import runner
from t2jax.laws.observations import concatenate
from t2jax.laws.record import VERSION
from t2jax.laws.stages import compare_stages
from t2jax.laws.tables import read_observations, write_observations
from t2jax.mesh import make_mesh
from t2jax.posttraining import jobs, lessons, outcomes
from t2jax.posttraining.lessons import Encoded, Lesson
from t2jax.posttraining.outcomes import Outcome
from t2jax.study_config import PostTraining, StudyConfig
from t2jax.tasks.questions import Question, write_questions
from t2jax.training import checkpoint
from t2jax.training.runs import RunConfig, load_params
from t2jax.training.trained import open_trained

BASE = 'base'


def tables_of(study: StudyConfig) -> dict[str, str]:
    """Name the file of each stage's observations."""
    return {stage: f'observations-{stage}.csv' for stage in (BASE, *study.posttraining.tuning.stages)}


def _decisive(settings: PostTraining) -> PostTraining:
    """Return settings as they are but for those that change nothing in what is trained and measured."""
    tuning = dataclasses.replace(settings.tuning, steps_per_dispatch=1, checkpoint_steps=0)
    return dataclasses.replace(settings, tuning=tuning, refits=1)


def check_settings(study: StudyConfig, workdir: Path) -> None:
    """Raise ValueError where a study was post-trained with other settings."""
    path = workdir / 'posttraining' / 'posttraining.json'
    if study.posttraining.tasks and path.exists():
        claim(path, _decisive(study.posttraining))


def post_train(
    study: StudyConfig,
    workdir: Path,
    groups: Sequence[Sequence[RunConfig]],
    tests: Sequence[runner.EncodedTask],
    text_BT: np.ndarray,
    quiet: bool,
) -> None:
    """Fine-tune and measure every run; groups are of one size each. What is there is kept.

    Raises ValueError, one sentence, for questions that cannot be trained on and for a folder of other settings.
    """
    settings, folder = study.posttraining, workdir / 'posttraining'
    for run in study.runs:
        if not runner.is_evaluated(workdir / 'runs' / run.name / 'evaluation', tests):
            raise FileNotFoundError(f'run {run.name} in {workdir} is not measured; `t2jax evaluate` does it')
    made = _make_lessons(study, folder / 'data', tests)
    vocabulary, context = study.world.vocabulary(), study.recipe.sequence_length
    taught = {each.task: lessons.encode_lesson(each, vocabulary, vocabulary.end_id, context) for each in made}
    claim(folder / 'posttraining.json', _decisive(settings))
    names = ('jobs.csv', 'curves.csv', *tables_of(study).values())
    if all((folder / name).exists() for name in names):
        return
    for name in names:  # a table stands for finished fine-tunings
        (folder / name).unlink(missing_ok=True)
    _write_questions(study, folder / 'data', made, tests)
    widths = lessons.widths_of(list(taught.values()))
    by_name, found = {test.name: test for test in tests}, {}
    fine_tunings = len(study.runs) * len(taught) * len(settings.tuning.stages) * len(settings.tuning.learning_rates)
    with tqdm(total=fine_tunings, unit='fine-tuning', desc='posttrain', disable=quiet, mininterval=1) as bar:

        def work(job: tuple[Sequence[RunConfig], str], device: jax.Device, should_stop: Callable[[], bool]) -> None:
            (runs, task), mesh = job, make_mesh([device])
            mine = _one_size(study, workdir, runs, taught[task], widths, mesh, bar.update, should_stop)
            for outcome in mine:
                if outcome.chosen:
                    _measure(study, folder, outcome, by_name[task], text_BT, mesh)
            found[runs[0].model, task] = mine

        pool.run([[(runs, task) for task in taught] for runs in groups], work, study.runs_at_once)
    names, tasks = [run.name for run in study.runs], list(taught)
    place = lambda outcome: (names.index(outcome.job.run.start.run), tasks.index(outcome.task))
    _tabulate(study, workdir, sorted(sum(found.values(), []), key=place), tasks)


def _make_lessons(study: StudyConfig, data: Path, tests: Sequence[runner.EncodedTask]) -> list[Lesson]:
    """Draw the questions of every task, and check them."""
    settings, by_name, made = study.posttraining, {test.name: test for test in tests}, []
    for task in settings.tasks:
        if task not in by_name:
            raise ValueError(f'posttraining.tasks has {task!r}, which is none of the study: {", ".join(by_name)}')
        parts = study.world.post_training_questions(task, settings.train_questions, settings.validation_questions)
        named = [_name(task, part, pairs) for part, pairs in zip(('train', 'validation'), parts)]
        paths = [str(data / part / f'{task}.jsonl') for part in ('train', 'validation')]
        made.append(Lesson(task, *named, *paths))
        lessons.check_lesson(made[-1], by_name[task].questions, f'the test questions of {task}')
    return made


def _write_questions(
    study: StudyConfig, data: Path, made: Sequence[Lesson], tests: Sequence[runner.EncodedTask]
) -> None:
    """Write questions and words, as a study has them: what fine-tuned runs are then scored and sampled with."""
    by_name = {test.name: test for test in tests}
    study.world.vocabulary().save(data / 'vocabulary.json')
    for lesson in made:
        write_questions(Path(lesson.where), lesson.train)
        write_questions(Path(lesson.validation_where), lesson.validation)
        write_questions(data / 'questions' / f'{lesson.task}.jsonl', by_name[lesson.task].questions)


def _name(task: str, part: str, pairs: Sequence[Pair]) -> list[Question]:
    return [Question(f'{task}-{part}-{i:04d}', prompt, f' {answer}') for i, (prompt, answer) in enumerate(pairs)]


def _one_size(
    study: StudyConfig,
    workdir: Path,
    runs: Sequence[RunConfig],
    lesson: Encoded,
    widths: tuple[int, int],
    mesh: jax.sharding.Mesh,
    progress: Callable[[int], Any],
    should_stop: Callable[[], bool],
) -> list[Outcome]:
    """Fine-tune the runs of one size on one task."""
    settings, folder, by_run = study.posttraining.tuning, workdir / 'posttraining', []
    for run in runs:
        trained = open_trained(workdir / 'runs' / run.name)
        params = trained.load(mesh)
        load, weights = partial(lambda found: found, params), checkpoint.sum_bits(params)
        vocabulary = study.world.vocabulary()
        by_run.append(jobs.make_jobs(trained, weights, load, lesson, vocabulary, settings, folder, widths))
        jobs.measure_before(trained, params, lesson, folder)
    for bundle in jobs.bundles(sum(by_run, []), settings.together):
        jobs.fine_tune(bundle, mesh, should_stop=should_stop)
        progress(len(bundle))
    return [outcome for mine in by_run for outcome in outcomes.read_outcomes(mine, lesson.task, folder)]


def _measure(
    study: StudyConfig,
    folder: Path,
    outcome: Outcome,
    test: runner.EncodedTask,
    text_BT: np.ndarray,
    mesh: jax.sharding.Mesh,
) -> None:
    run, where = outcome.job.run, folder / 'runs' / outcome.job.run.name
    if not runner.is_evaluated(where / 'evaluation', [test]):
        settings = dataclasses.replace(study.evaluation, samples=0)  # that samples agree was seen of the runs
        params = load_params(run, where, mesh)
        runner.evaluate(run.model, params, [test], text_BT, settings, where / 'evaluation', mesh)


def _tabulate(study: StudyConfig, workdir: Path, found: Sequence[Outcome], tasks: Sequence[str]) -> None:
    folder, sizes = workdir / 'posttraining', study.sizes()
    of_run = {run: workdir / 'runs' / run / 'evaluation' for run in sizes}
    chosen = {(o.stage, o.task, o.job.run.start.run): o.job.run.name for o in found if o.chosen}
    for stage, name in tables_of(study).items():
        parts = []
        for task in tasks:
            folders = of_run
            if stage != BASE:
                folders = {run: folder / 'runs' / chosen[stage, task, run] / 'evaluation' for run in sizes}
            parts.append(runner.observe(folders, sizes, [task], study.evaluation.k))
        write_observations(folder / name, concatenate(parts))

    def text_losses(outcome: Outcome) -> tuple[Any, Any]:
        own = folder / 'runs' / outcome.job.run.name / 'evaluation'
        loss = lambda path: read_json(path / runner.TEXT_FILE, 'delete it and evaluate again')['loss']
        return loss(of_run[outcome.job.run.start.run]), loss(own) if outcome.chosen else ''

    outcomes.write_tables(found, folder, text_losses)


def fit_stages(study: StudyConfig, workdir: Path, quiet: bool) -> None:
    """Fit the laws to every stage, and compare their optima; kept where the tables and settings are the same."""
    folder, settings = workdir / 'posttraining', study.laws
    path = folder / 'stages.json'
    made_from = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in tables_of(study).values()}
    made_from |= {'laws': dataclasses.asdict(settings), 'inference_flops': study.inference_flops}
    made_from |= {'refits': study.posttraining.refits, 'version': VERSION}
    if path.exists() and read_json(path, 'delete it and fit again').get('made_from') == made_from:
        return
    tables = {stage: read_observations(folder / name) for stage, name in tables_of(study).items()}
    found = compare_stages(
        tables,
        study.inference_flops,
        objective=settings.objective,
        starts=settings.starts,
        seed=study.seed,
        refits=study.posttraining.refits,
        overtrained_from=settings.overtrained_from,
        quiet=quiet,
    )
    write_json(path, {**json.loads(json.dumps(found)), 'made_from': made_from})
