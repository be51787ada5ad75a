"""A study: the stages in order, each from files to files, each resumable.

Of a StudyConfig, which trains its runs; a Ladder or a Grid, whose runs come from elsewhere, has some of them:

data      world -> WORKDIR/data: token shards, vocabulary, questions, a page of text to read, contamination.json
train     -> WORKDIR/runs/<run>: config, metrics, checkpoint; small runs side by side, one a device
evaluate  -> WORKDIR/runs/<run>/evaluation/<task>.csv, then WORKDIR/questions.csv, observations.csv and losses.csv
posttrain -> WORKDIR/posttraining: every run fine-tuned and measured again, where the study asks for it
fit       observations -> WORKDIR/fits/<law>.json, WORKDIR/allocation.json, WORKDIR/posttraining/stages.json
report    -> WORKDIR/report/index.html
"""

import dataclasses
import itertools
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from t2jax import pool, provenance
from t2jax.config import claim, write_json, write_text
from t2jax.data.families import make_families
from t2jax.data.feed import Feed
from t2jax.data.shards import MANIFEST, open_shards, write_shards
from t2jax.evaluation import contamination, runner
from t2jax.evaluation.questions import Found
from t2jax.fitting import fit_laws
from t2jax.ladder import Ladder, read, score_files, tabulate, tabulate_scores
from t2jax.laws.tables import read_observations, write_observations
from t2jax.laws.workdir import shorten
from t2jax.mesh import make_mesh
from t2jax.models.config import ModelConfig
from t2jax.posttraining import stage
from t2jax.pretraining import Grid
from t2jax.study_config import StudyConfig
from t2jax.tasks.boundaries import encode_questions
from t2jax.tasks.questions import Question, read_questions, write_questions
from t2jax.training import loop
from t2jax.training.metrics import Watch
from t2jax.training.runs import RunConfig, is_finished, load_params

STAGES = ('data', 'train', 'evaluate', 'posttrain', 'fit', 'report')
Stage = Callable[[Any, Path, bool], None]
WATCH = Watch(tensorboard=False)  # whose writer would take longer than a small run
SHARD_TOKENS = 2**22
HELD_OUT_TOKENS = 2**16  # of text that no run is trained on, for the loss
NGRAM = 13  # tokens in a row that count as a part of a question; the world's questions are about as long


def run_stages(
    study: StudyConfig | Ladder | Grid, workdir: Path, stages: Sequence[str] = STAGES, quiet: bool = False
) -> None:
    """Run those of the stages that a study has, in order; what is already there is kept.

    Raises ValueError or OSError, one sentence each, for a workdir of another study, a stage that the study does not
    have (unless all are asked for), or one whose input is missing.
    """
    work = stages_of(study)
    odd = [name for name in stages if name not in work]
    if odd and tuple(stages) != STAGES:
        kind = type(study).__name__
        raise ValueError(f'a {kind} has no stage {odd[0]!r}; it has {", ".join(work)}')
    if isinstance(study, StudyConfig):
        stage.check_settings(study, workdir)
    _check_inputs(study, workdir, stages)
    # the free fields change nothing in what was trained and measured; the fits know which they were made with
    claim(workdir / 'study.json', study, free=_FREE[type(study)])
    for name in work:
        if name in stages:
            started = time.perf_counter()
            work[name](study, workdir, quiet)
            if name != 'report':  # which shows the record, and so has to come after it
                provenance.record(workdir, name, time.perf_counter() - started)


def _check_inputs(study: StudyConfig | Ladder | Grid, workdir: Path, stages: Sequence[str]) -> None:
    """Raise, before a folder is claimed, where the tables of somebody else's runs are not there."""
    if isinstance(study, Ladder) and 'data' in stages:
        read(study)
    elif isinstance(study, Grid) and 'evaluate' in stages:
        score_files(workdir)
    elif not (isinstance(study, StudyConfig) or (workdir / 'study.json').exists()):
        raise FileNotFoundError(f'{workdir} is not the workdir of this study yet; run its first stage, or all, first')


_FREE: dict[type, tuple[str, ...]] = {
    StudyConfig: ('workdir', 'runs_at_once', 'laws', 'inference_flops', 'posttraining'),
    Ladder: ('workdir', 'laws', 'inference_flops', 'k', 'estimator', 'seed'),
    Grid: ('workdir', 'tokens', 'slice', 'checkpoints', 'laws', 'inference_flops'),
}


def stages_of(study: StudyConfig | Ladder | Grid) -> dict[str, Stage]:
    """Return the stages that a study has, in order."""
    ends: dict[str, Stage] = {'fit': fit_laws, 'report': draw_report}
    if isinstance(study, Ladder):
        return {'data': lambda study, workdir, quiet: tabulate(study, workdir)} | ends
    if isinstance(study, Grid):
        return {'evaluate': lambda study, workdir, quiet: tabulate_scores(workdir)} | ends
    own: dict[str, Stage] = {
        'data': make_data,
        'train': train_runs,
        'evaluate': evaluate_runs,
        'posttrain': post_train,
    }
    return own | ends | {'fit': fit_all}


def make_data(study: StudyConfig, workdir: Path, quiet: bool) -> None:
    """Write the world's vocabulary, questions and as many tokens as the longest run needs."""
    folder, vocabulary = workdir / 'data', study.world.vocabulary()
    questions = (f'questions/{family.name}.jsonl' for family in make_families(study.world.seed))
    parts = ('vocabulary.json', *questions, f'held_out/{MANIFEST}', f'tokens/{MANIFEST}', 'contamination.json')
    if all((folder / part).exists() for part in parts):
        return
    vocabulary.save(folder / 'vocabulary.json')
    for task, pairs in study.world.questions().items():
        rows = [Question(f'{task}-{i:04d}', prompt, f' {answer}') for i, (prompt, answer) in enumerate(pairs)]
        write_questions(folder / 'questions' / f'{task}.jsonl', rows)
    sample = itertools.islice(study.world.documents(0), 40)
    write_text(folder / 'sample.txt', '\n\n'.join(document.replace(' . ', ' .\n') for document in sample) + '\n')
    longest = max(tokens for _, tokens in study.sizes().values()) + study.recipe.batch_tokens
    shards = -(-longest // SHARD_TOKENS)
    with tqdm(total=shards * SHARD_TOKENS, unit='tok', unit_scale=True, desc='data', disable=quiet) as bar:
        source = {'world': dataclasses.asdict(study.world)}
        size = min(SHARD_TOKENS, longest)
        unseen = lambda shard: study.world.documents(shards + shard)
        write_shards(folder / 'held_out', unseen, vocabulary, 1, HELD_OUT_TOKENS, source)
        write_shards(folder / 'tokens', study.world.documents, vocabulary, shards, size, source, bar.update)
    _find_questions_in_text(study, folder, quiet)


def _find_questions_in_text(study: StudyConfig, folder: Path, quiet: bool) -> None:
    """Write how much of each task's questions the training text holds."""
    vocabulary, shards = study.world.vocabulary(), open_shards(folder / 'tokens', study.world.vocabulary())
    rows = []
    paths = sorted((folder / 'questions').glob('*.jsonl'))
    for path in tqdm(paths, unit='task', desc='contamination', disable=quiet):
        found = Found(path.stem, read_questions(path), str(path))
        rows.append(contamination.find(found, shards, vocabulary, NGRAM).summary())
    write_json(folder / 'contamination.json', rows)


def train_runs(study: StudyConfig, workdir: Path, quiet: bool) -> None:
    """Train every run that is not finished, runs of one size after one another on one device."""
    shards = open_shards(workdir / 'data' / 'tokens', study.world.vocabulary(), verify=True)
    feed = Feed(shards, study.recipe.batch_sequences, study.recipe.sequence_length, study.seed, study.recipe.epochs)
    runs = [run for run in study.run_configs() if not is_finished(run, workdir / 'runs' / run.name)]
    total = sum(run.train_flops for run in runs)
    with tqdm(total=total, unit='FLOP', unit_scale=True, desc='train', disable=quiet, mininterval=1) as bar:
        add = _locked(bar.update)

        def work(run: RunConfig, device: jax.Device, should_stop: Callable[[], bool]) -> None:
            folder = workdir / 'runs' / run.name
            loop.train(run, feed, folder, make_mesh([device]), add, should_stop, WATCH)

        pool.run(by_size(runs), work, study.runs_at_once)


def evaluate_runs(study: StudyConfig, workdir: Path, quiet: bool) -> None:
    """Measure every trained run on every task, and tabulate all of them; runs not trained yet are named."""
    tasks, settings, text_BT = load_tasks(study, workdir), study.evaluation, _held_out_text(study, workdir)
    every = study.run_configs()
    runs = [run for run in every if is_finished(run, workdir / 'runs' / run.name)]
    if not runs:
        raise FileNotFoundError(f'no run of {workdir} is trained yet; `t2jax train` trains them')
    if len(runs) < len(every):
        names = [run.name for run in every if run not in runs]
        print(f'{len(names)} of {len(every)} runs are not trained yet: {shorten(names)}', file=sys.stderr)
    folders = {run.name: workdir / 'runs' / run.name / 'evaluation' for run in runs}
    missing = [run for run in runs if not runner.is_evaluated(folders[run.name], tasks)]
    tables = workdir / 'observations.csv', workdir / 'losses.csv', workdir / 'questions.csv'
    tabulated = all(path.exists() for path in tables) and set(read_observations(tables[1]).run.tolist()) == set(folders)
    if tabulated and not missing:
        return
    for path in tables:  # a table stands for finished evaluations: a kill from here on leaves none, not an old one
        path.unlink(missing_ok=True)
    with tqdm(total=len(missing), unit='run', desc='evaluate', disable=quiet) as bar:
        add = _locked(bar.update)

        def work(run: RunConfig, device: jax.Device, should_stop: Callable[[], bool]) -> None:
            mesh = make_mesh([device])
            params = load_params(run, workdir / 'runs' / run.name, mesh)
            runner.evaluate(run.model, params, tasks, text_BT, settings, folders[run.name], mesh)
            add(1)

        pool.run(by_size(missing), work, study.runs_at_once)
    write_text(tables[2], runner.tabulate_questions(folders, study.sizes(), [task.name for task in tasks]))
    table = runner.observe(folders, study.sizes(), [task.name for task in tasks], settings.k)
    write_observations(tables[0], table)
    write_observations(tables[1], runner.observe_losses(folders, study.sizes()))


def _held_out_text(study: StudyConfig, workdir: Path) -> np.ndarray:
    """Read the windows of text that no run is trained on, ids [B, T + 1]."""
    shards = open_shards(workdir / 'data' / 'held_out', study.world.vocabulary())
    text = Feed(shards, 1, study.recipe.sequence_length, seed=0)
    return text.batches(0, text.steps)[:, 0]


def post_train(study: StudyConfig, workdir: Path, quiet: bool) -> None:
    """Fine-tune every run, where the study has tasks for that."""
    if study.posttraining.tasks:
        tests, text_BT = load_tasks(study, workdir), _held_out_text(study, workdir)
        stage.post_train(study, workdir, by_size(study.run_configs()), tests, text_BT, quiet)


def fit_all(study: StudyConfig, workdir: Path, quiet: bool) -> None:
    """Fit the laws to the runs, and to every stage of post-training where there was any."""
    fit_laws(study, workdir, quiet)
    tables = stage.tables_of(study).values()
    if study.posttraining.tasks and all((workdir / 'posttraining' / name).exists() for name in tables):
        stage.fit_stages(study, workdir, quiet)


def draw_report(study: StudyConfig, workdir: Path, quiet: bool) -> None:
    """Draw the report from what the other stages left."""
    from t2jax.plotting.report import write_report  # here: matplotlib takes a second to import

    path = write_report(workdir)
    if not quiet:
        print(f'report: {path}')


def load_tasks(study: StudyConfig, workdir: Path) -> list[runner.EncodedTask]:
    """Read and encode the study's questions; all tasks get the same array shapes, so one executable serves them."""
    vocabulary = study.world.vocabulary()
    files = sorted((workdir / 'data' / 'questions').glob('*.jsonl'))
    if not files:
        raise FileNotFoundError(f'no question files in {workdir / "data" / "questions"}; `t2jax train` makes them')
    tasks = {path.stem: read_questions(path) for path in files}
    everything = [question for questions in tasks.values() for question in questions]
    prompt = 1 + max(len(vocabulary.encode(question.prompt)) for question in everything)
    answer = max(len(vocabulary.encode(question.answer)) for question in everything)
    if prompt + answer > study.recipe.sequence_length + 1:
        raise ValueError(
            f'questions take up to {prompt + answer} tokens and the models are trained on '
            f'{study.recipe.sequence_length}; shorten the questions or raise recipe.sequence_length'
        )
    stop_id = int(vocabulary.encode('.')[0])
    return [
        runner.EncodedTask(
            name,
            questions,
            encode_questions(questions, vocabulary, vocabulary.end_id, prompt, answer),
            stop_id,
        )
        for name, questions in tasks.items()
    ]


def by_size(runs: list[RunConfig]) -> list[list[RunConfig]]:
    """Group runs that share an executable, the group of most tokens first."""
    groups: dict[ModelConfig, list[RunConfig]] = {}
    for run in runs:
        groups.setdefault(run.model, []).append(run)
    return sorted(groups.values(), key=lambda group: -sum(run.tokens for run in group))


def _locked(update: Callable[[float], Any]) -> Callable[[float], None]:
    """Let several threads move one progress bar."""
    lock = threading.Lock()

    def add(amount: float) -> None:
        with lock:
            update(amount)

    return add
