"""Measure a trained run: its loss on held-out text, each answer's likelihood, real samples; then tabulate all runs.

RUN/evaluation/settings.json, RUN/evaluation/<task>.csv (question, nll of its answer, tokens and bytes of that, samples
drawn and right) and, last, RUN/evaluation/text.json (loss in nats per token). What is there is not measured again.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from t2jax.config import claim, write_json, write_text
from t2jax.evaluation.likelihood import answer_nll, text_loss
from t2jax.evaluation.passk import sampled_intervals
from t2jax.laws.observations import Observations
from t2jax.laws.passk import pass_at_k, repeated_nll, unbiased_pass_at_k
from t2jax.models.config import ModelConfig
from t2jax.models.transformer import Params
from t2jax.sampling.choice import Rule
from t2jax.sampling.sampler import Rows, compiled_sample_rows
from t2jax.sampling.stops import Stops
from t2jax.tasks.boundaries import EncodedQuestions
from t2jax.tasks.graders import begins_with
from t2jax.tasks.questions import Question

TEXT_FILE = 'text.json'
COLUMNS = ('question', 'nll', 'n_tokens', 'n_bytes', 'n_samples', 'n_correct')


@dataclass(frozen=True)
class Evaluation:
    """How runs are measured: samples per question, and the numbers of tries k that observations list."""

    samples: int = 64
    temperature: float = 1.0
    seed: int = 0
    k: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)

    def __post_init__(self) -> None:
        if self.samples < 0 or self.temperature < 0:
            raise ValueError(
                f'evaluation.samples is {self.samples} and temperature {self.temperature}; '
                'use 0 or more of both, 0 samples to draw none'
            )
        if 1 not in self.k or min(self.k) < 1:
            raise ValueError(f'evaluation.k is {self.k}; list whole numbers from 1 on, 1 among them')


@dataclass(frozen=True)
class EncodedTask:
    """A task ready for a model: its questions, encoded, and the token that ends an answer."""

    name: str
    questions: Sequence[Question]
    encoded: EncodedQuestions
    stop_id: int


def evaluate(
    model: ModelConfig,
    params: Params,
    tasks: Sequence[EncodedTask],
    text_BT: np.ndarray,
    settings: Evaluation,
    folder: Path,
    mesh: Mesh,
) -> None:
    """Measure one model on all tasks, a file each, and on held-out windows of text [B, T + 1].

    mesh: of the one device that has the params. Raises ValueError if the folder holds other settings.
    """
    claim(folder / 'settings.json', settings)
    for number, task in enumerate(tasks):
        path = folder / f'{task.name}.csv'
        if path.exists():
            continue
        nll_Q = answer_nll(model, params, task.encoded)
        root = jax.random.fold_in(jax.random.key(settings.seed), number)
        correct_Q = np.zeros(len(nll_Q), int)
        if settings.samples:
            correct_Q = count_correct(model, params, task, settings, root, mesh)
        sizes = zip(task.encoded.answer_lengths.tolist(), (len(q.answer.encode()) for q in task.questions))
        out = io.StringIO()
        write = csv.writer(out, lineterminator='\n')
        write.writerow(COLUMNS)
        for question, nll, size, right in zip(task.questions, nll_Q.tolist(), sizes, correct_Q.tolist()):
            write.writerow([question.id, repr(nll), *size, settings.samples, right])
        write_text(path, out.getvalue())
    loss = text_loss(model, params, text_BT)
    write_json(folder / TEXT_FILE, {'loss': loss, 'tokens': text_BT.shape[0] * (text_BT.shape[1] - 1)})


def is_evaluated(folder: Path, tasks: Sequence[EncodedTask]) -> bool:
    """Tell whether every file of a run's evaluation is there."""
    return all((folder / name).exists() for name in (*(f'{task.name}.csv' for task in tasks), TEXT_FILE))


def count_correct(
    model: ModelConfig, params: Params, task: EncodedTask, settings: Evaluation, root: jax.Array, mesh: Mesh
) -> np.ndarray:
    """Sample every question and count the samples that begin with the answer's tokens, its end among them, [Q]."""
    encoded, n = task.encoded, settings.samples
    questions = np.arange(len(encoded.prompts), dtype=np.int32)
    drawn = compiled_sample_rows(
        params,
        encoded.prompts,
        encoded.prompt_lengths,
        Rows(questions, np.zeros_like(questions), np.full_like(questions, n)),
        root,
        Rule(np.float32(settings.temperature), np.float32(1), np.int32(0)),
        Stops((task.stop_id,)).table(model.vocab),
        model=model,
        mesh=mesh,
        samples=n,
        slots=min(n, 64),  # answers are short, so that few slots are ever empty
        max_tokens=encoded.answers.shape[1],
    )
    rows = zip(*jax.device_get((drawn.tokens, drawn.lengths)), encoded.answers, encoded.answer_lengths)
    return np.array([begins_with(tokens, lengths, answer[:n]).sum() for tokens, lengths, answer, n in rows])


def read_evaluation(path: Path) -> tuple[np.ndarray, int, np.ndarray]:
    """Read one evaluation file: NLL of each answer, samples per question, correct ones."""
    if not path.exists():
        raise FileNotFoundError(f'no evaluation file {path}; run the evaluate stage first')
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding='utf-8'))))
    try:
        nll = np.array([float(row['nll']) for row in rows])
        return nll, int(rows[0]['n_samples']), np.array([int(row['n_correct']) for row in rows])
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f'{path} is damaged ({error}); delete it and evaluate again') from error


def observe(
    folders: Mapping[str, Path],
    sizes: Mapping[str, tuple[float, float]],
    tasks: Sequence[str],
    ks: Sequence[int],
) -> Observations:
    """Tabulate evaluation folders of many runs: one row per run, task and k.

    sizes: (params N, tokens D) of each run. Sampled columns are nan where k is more than the samples drawn.
    """
    rows = []
    for run, folder in folders.items():
        params, tokens = sizes[run]
        for task in tasks:
            nll_Q, n, correct_Q = read_evaluation(folder / f'{task}.csv')
            intervals = sampled_intervals(n, correct_Q, [k for k in ks if k <= n]) if n else []
            for k in ks:
                sampled = (np.nan,) * 3
                if k <= n:
                    sampled = (unbiased_pass_at_k(n, correct_Q, k).mean(), *intervals.pop(0))
                nll, passed = repeated_nll(nll_Q, k).mean(), pass_at_k(nll_Q, k).mean()
                rows.append((run, task, params, tokens, k, nll, passed, n or np.nan, *sampled))
    return _table(rows)


def tabulate_questions(
    folders: Mapping[str, Path], sizes: Mapping[str, tuple[float, float]], tasks: Sequence[str]
) -> str:
    """Put the evaluation files of many runs into one table by question (schema: laws/questions.py), as CSV."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator='\n')
    write.writerow(['run', 'params', 'tokens', 'task', *COLUMNS])
    for run, folder in folders.items():
        params, tokens = sizes[run]
        for task in tasks:
            path = folder / f'{task}.csv'
            for row in csv.DictReader(io.StringIO(path.read_text(encoding='utf-8'))):
                if list(row) != list(COLUMNS):
                    raise ValueError(
                        f'{path} has other columns than {", ".join(COLUMNS)}; delete it and evaluate again'
                    )
                write.writerow([run, f'{params:.0f}', f'{tokens:.0f}', task, *row.values()])
    return out.getvalue()


def observe_losses(folders: Mapping[str, Path], sizes: Mapping[str, tuple[float, float]]) -> Observations:
    """Tabulate the loss of many runs on held-out text: task 'text', k = 1, nll in nats per token."""
    rows = []
    for run, folder in folders.items():
        params, tokens = sizes[run]
        loss = json.loads((folder / TEXT_FILE).read_text(encoding='utf-8'))['loss']
        rows.append((run, 'text', params, tokens, 1, loss))
    return _table(rows)


def _table(rows: Sequence[tuple]) -> Observations:
    sampled = [f'pass_at_k_sampled{end}' for end in ('', '_low', '_high')]
    names = ('run', 'task', 'params', 'tokens', 'k', 'nll', 'pass_at_k', 'n_samples', *sampled)
    columns = {name: np.array(values) for name, values in zip(names, zip(*rows))}
    return Observations(**columns, measure=np.full(len(rows), 'likelihood'))
