"""What came of fine-tunings: validation by epoch, the learning rate chosen for each stage, tables.

FOLDER/jobs.csv      a row a fine-tuning
FOLDER/curves.csv    a row a fine-tuning and epoch; epoch 0 is the model before
"""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from etils import epath

from t2jax import costs
from t2jax.config import read_json, write_text
from t2jax.posttraining.jobs import before
from t2jax.posttraining.settings import spell
from t2jax.training.jobs import Job

ABOUT = ('run', 'params', 'tokens', 'task', 'stage', 'learning_rate')
JOB_COLUMNS = (*ABOUT, 'validation_nll_before', 'validation_nll', 'text_loss_before', 'text_loss', 'chosen')
CURVE_COLUMNS = (*ABOUT, 'epoch', 'training_loss', 'validation_nll')


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A finished fine-tuning: which model, task, stage and rate; by epoch, from 0, training loss and validation NLL."""

    job: Job
    task: str
    stage: str
    training_loss: tuple[float, ...]
    validation_nll: tuple[float, ...]
    chosen: bool = False

    @property
    def about(self) -> tuple[Any, ...]:
        """Return the values of ABOUT."""
        run = self.job.run
        params, tokens = costs.count_params(run.model), run.start.tokens
        spelled = '' if tokens is None else f'{tokens:.0f}'
        return run.start.run, params, spelled, self.task, self.stage, spell(run.recipe.learning_rate)


def read_outcomes(jobs: Sequence[Job], task: str, folder: epath.PathLike) -> list[Outcome]:
    """Read what came of a model's fine-tunings on a task, and choose a learning rate for each stage."""
    outcomes = []
    for job in jobs:
        base = read_json(before(folder, job.run.start.run, task), 'delete it and fine-tune again')
        stage = job.run.name.rpartition('.' + task + '.')[2].partition('-')[0]
        losses, scores = _read_curve(job)
        outcomes.append(Outcome(job, task, stage, losses, (base['validation_nll'], *scores)))
    best = {}
    for outcome in outcomes:
        nll = outcome.validation_nll[-1]
        if outcome.stage not in best or nll < best[outcome.stage].validation_nll[-1]:
            best[outcome.stage] = outcome
    for stage, outcome in best.items():
        if not math.isfinite(outcome.validation_nll[-1]):
            raise ValueError(f'no learning rate of {stage} on {task} ends at a finite NLL; give lower learning rates')
    return [dataclasses.replace(outcome, chosen=outcome is best[outcome.stage]) for outcome in outcomes]


def _read_curve(job: Job) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Read the mean training loss of each epoch, and the validation NLL at its end."""
    found, steps, total, last = {}, 0, 0.0, 0
    path = epath.Path(job.folder) / 'metrics.jsonl'
    for line in path.read_text(encoding='utf-8').splitlines():
        row = json.loads(line)
        total, steps, last = total + row['loss'] * (row['step'] - last), steps + row['step'] - last, row['step']
        if 'validation_nll' in row:
            nll = row['validation_nll']
            found[last] = total / steps, math.inf if math.isnan(nll) else nll  # diverged
            total, steps = 0.0, 0
    losses, scores = zip(*(found[step] for step in job.validation.steps))
    return losses, scores


def write_tables(
    outcomes: Sequence[Outcome], folder: epath.PathLike, text_losses: Callable[[Outcome], tuple[Any, Any]] | None = None
) -> None:
    """Write jobs.csv and curves.csv; text_losses gives the loss on text before and after, where it is known."""
    jobs, curves = [], []
    for outcome in outcomes:
        first, *_, last = outcome.validation_nll
        text = text_losses(outcome) if text_losses else ('', '')
        jobs.append((*outcome.about, first, last, *text, int(outcome.chosen)))
        losses = ('', *outcome.training_loss)
        points = enumerate(zip(losses, outcome.validation_nll))
        curves += [(*outcome.about, epoch, loss, nll) for epoch, (loss, nll) in points]
    folder = epath.Path(folder)
    write_text(folder / 'curves.csv', _csv(CURVE_COLUMNS, curves))
    write_text(folder / 'jobs.csv', _csv(JOB_COLUMNS, jobs))


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    write = csv.writer(out, lineterminator='\n')
    write.writerow(columns)
    write.writerows(rows)
    return out.getvalue()
