"""Fine-tunings of a model: jobs of the training loop that start from its params, every stage at every learning rate.

FOLDER/runs/<name>/                a fine-tuning, a run like any other: to be scored, sampled, exported;
                                   its name is RUN.TASK.STAGE-RATE
FOLDER/before/<run>/<task>.json    the model's NLL of the validation questions before
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from etils import epath
from jax.sharding import Mesh

from t2jax.config import claim, write_json
from t2jax.data.rows import RowFeed, in_batches
from t2jax.data.shards import ABOUT_VOCABULARY
from t2jax.evaluation.likelihood import answer_nll
from t2jax.evaluation.vocabularies import Vocabulary, bos_of
from t2jax.mesh import Layout
from t2jax.models.transformer import Params
from t2jax.posttraining.lessons import Encoded, mark_questions
from t2jax.posttraining.settings import FineTuning, spell
from t2jax.training.checkpoint import Checkpoints
from t2jax.training.jobs import Job, Validation
from t2jax.training.loop import MAY_CHANGE, train_jobs
from t2jax.training.metrics import Watch
from t2jax.training.recipe import Recipe
from t2jax.training.runs import CONFIG, RunConfig, Start, is_finished
from t2jax.training.trained import Trained

QUIET = Watch(tensorboard=False)  # whose writer would take longer than a small model


def make_jobs(
    trained: Trained,
    weights: int,
    load: Callable[[], Params],
    lesson: Encoded,
    vocabulary: Vocabulary,
    settings: FineTuning,
    folder: epath.PathLike,
    widths: tuple[int, int],
    layout: Layout | None = None,
) -> list[Job]:
    """List a model's fine-tunings on one lesson, every stage at every rate; widths are those of `widths_of`.

    weights: the sum of the bits of its params, which `load` gives. Raises ValueError for a folder of another one.
    """
    about = dict(zip(ABOUT_VOCABULARY, (vocabulary.fingerprint, vocabulary.name, len(vocabulary), vocabulary.end_id)))
    start = Start(
        trained.name,
        trained.step,
        weights,
        trained.tokens,
        trained.context,
        bos_of(trained, vocabulary)[1],
    )
    questions = len(lesson.train.prompts)
    ends = tuple(-(-epoch * questions // settings.batch) for epoch in range(1, settings.epochs + 1))
    validation = Validation(
        in_batches(mark_questions(lesson.validation, 'sft', widths[1]), settings.batch),
        len(lesson.validation.prompts),
        ends,
    )
    layout = dataclasses.replace(layout or Layout(), steps_per_dispatch=settings.steps_per_dispatch)
    jobs = []
    for stage in settings.stages:
        rows = mark_questions(lesson.train, stage, widths[0])
        feed = RowFeed(rows, settings.batch, settings.seed, settings.epochs, about)
        for rate in settings.learning_rates:
            run = RunConfig(
                f'{trained.name}.{lesson.task}.{stage}-{spell(rate)}',
                trained.model,
                feed.steps * settings.batch * feed.sequence_length,
                _recipe(settings, rate, feed.sequence_length),
                settings.seed,
                layout,
                Checkpoints(every=settings.checkpoint_steps),
                spike_nats=0.0,  # small batches of unlike questions
                start=start,
            )
            jobs.append(Job(run, feed, epath.Path(folder) / 'runs' / run.name, load, validation))
    for job in jobs:
        if (job.folder / CONFIG).exists():  # refuses, before anything is written, what is finished but another's
            claim(job.folder / CONFIG, job.run, free=MAY_CHANGE)
    return jobs


def _recipe(settings: FineTuning, rate: float, length: int) -> Recipe:
    """Return T2's recipe: a constant rate. Decay, which here does not scale with it, would outweigh so small a one."""
    return Recipe(
        batch_sequences=settings.batch,
        sequence_length=length,
        learning_rate=rate,
        weight_decay=0.0,
        warmup_tokens_per_param=0.0,
        decay='constant',
        epochs=settings.epochs,
    )


def bundles(jobs: Sequence[Job], together: int) -> Iterator[Sequence[Job]]:
    """Cut jobs of one model shape into those trained together: the same ones however often they are resumed."""
    return (jobs[start : start + together] for start in range(0, len(jobs), together))


def fine_tune(
    jobs: Sequence[Job],
    mesh: Mesh,
    progress: Callable[[float], None] = lambda flops: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train jobs that belong together, unless all are finished; raises what `loop.train_jobs` does."""
    if not all(is_finished(job.run, job.folder) for job in jobs):
        train_jobs(jobs, mesh, progress, should_stop, QUIET)


def measure_before(trained: Trained, params: Any, lesson: Encoded, folder: epath.PathLike) -> None:
    """Write the model's mean NLL of the validation questions, where it is not written."""
    path = before(folder, trained.name, lesson.task)
    if not path.exists():
        nll = float(answer_nll(trained.model, params, lesson.validation).mean())
        write_json(path, {'validation_nll': nll})


def before(folder: epath.PathLike, run: str, task: str) -> epath.Path:
    """Return where a model's NLL of the validation questions is kept."""
    return epath.Path(folder) / 'before' / run / f'{task}.json'
