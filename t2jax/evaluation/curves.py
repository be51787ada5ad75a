"""pass@k of sampled folders (`t2jax passk`): curves with bands, what one chosen sample is worth, and agreement."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath

from t2jax.evaluation.agreement import Agreement, agreement
from t2jax.evaluation.passk import likelihood_curve, predicted_curve, sampled_curve
from t2jax.evaluation.sampled import COUNTS, read_job
from t2jax.evaluation.voting import best_of, majority
from t2jax.laws.passk import Curve
from t2jax.sampling import store
from t2jax.sampling.job import Job

SELECTIONS = ('majority', 'log_prob', 'model_log_prob', 'score')


@dataclass(frozen=True)
class Folder:
    """A finished folder of samples: its job and, by question, ids, samples, right ones and NLL (nan: not exact)."""

    path: epath.Path
    job: Job
    ids: list[str]
    n: np.ndarray
    c: np.ndarray
    nll: np.ndarray

    def summary(self) -> str:
        """Say in a line what was sampled."""
        least, most = self.n.min(), self.n.max()
        each = f'{least:,}' if least == most else f'{least:,} to {most:,}'
        sampling = self.job.sampling
        shape = [f'temperature {sampling.temperature:g}']
        shape += [f'top-p {sampling.top_p:g}'] if sampling.top_p < 1 else []
        shape += [f'top-k {sampling.top_k}'] if sampling.top_k else []
        return f'{len(self.ids):,} questions, {each} samples each, {", ".join(shape)}, graded {self.job.grader}'


@dataclass(frozen=True)
class Summary:
    """The curves of each folder, and the agreement of samples and likelihoods over all, or why there is none."""

    curves: list[list[Curve]]
    selected: list[list[dict[str, Any]]]
    agreement: Agreement | None
    no_agreement: str

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain values."""
        curves = [[{'kind': c.kind, 'level': c.level} | _columns(c) for c in each] for each in self.curves]
        found = None
        if self.agreement:
            found = asdict(self.agreement) | {'agrees': self.agreement.agrees}
            del found['p_value_Q']
        return {'curves': curves, 'selected': self.selected, 'agreement': found}


def read_folder(path: epath.PathLike) -> Folder:
    """Read a finished folder; raises FileNotFoundError for another one, ValueError where it is damaged."""
    path, job = epath.Path(path), read_job(path)
    rows = list(csv.DictReader(io.StringIO((path / COUNTS).read_text())))
    try:
        n, c = (np.array([int(row[name]) for row in rows]) for name in ('n_samples', 'n_correct'))
        nll = np.array([float(row.get('nll', 'nan')) for row in rows])
        return Folder(path, job, [row['question'] for row in rows], n, c, nll)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f'{path / COUNTS} is damaged ({error}); delete it, and `t2jax sample` writes it anew'
        ) from None


def summarize(
    folders: Sequence[Folder],
    ks: Sequence[float] | None = None,
    predicted: Sequence[float] | None = None,
    impossible: bool = False,
    select: str | None = None,
    scores: Path | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Summary:
    """Compute what `t2jax passk` prints.

    ks: tries (default: powers of 2 up to what every question certainly has); predicted: tries for a beta-binomial,
    `impossible` with a mass of impossible questions; select: one of SELECTIONS, `score` from a CSV file of question,
    sample, score. Raises ValueError for a k beyond the samples, and for a selection that its columns do not allow.
    """
    if (select == 'score') != (scores is not None) or (select is not None and select not in SELECTIONS):
        raise ValueError(f'--select is {select}; use {", ".join(SELECTIONS)}, the last with --scores and only that')
    curves, selected = [], []
    for folder in folders:
        tries = list(ks) if ks else powers_of_2(folder.job.plan.first)
        further = sorted({*tries, *(predicted or ())})
        plan = folder.job.plan if len(folder.job.plan.sizes()) > 1 else None
        mine = [sampled_curve(folder.n, folder.c, tries, level, seed=seed, plan=plan)]
        if _comparable(folder):
            mine.insert(0, likelihood_curve(folder.nll, further, level, seed=seed))
        if predicted:
            mine.append(predicted_curve(folder.n, folder.c, further, impossible, level, seed=seed))
        curves.append(mine)
        selected.append(_select(folder, select, scores, tries, seed) if select else [])
    return Summary(curves, selected, *_agreement(folders, ks, level))


def powers_of_2(most: int) -> list[float]:
    """List 1, 2, 4, ... up to `most`."""
    return [float(2**i) for i in range(most.bit_length())]


def _comparable(folder: Folder) -> bool:
    return folder.job.grader == 'exact' and folder.job.sampling.is_plain and not np.isnan(folder.nll).any()


def _agreement(folders: Sequence[Folder], ks: Sequence[float] | None, level: float) -> tuple[Agreement | None, str]:
    if not all(map(_comparable, folders)):
        return None, (
            'No agreement report: likelihoods are of exact matches at temperature 1, without top-p or top-k, '
            'and these samples are not all drawn and graded so.'
        )
    first = [store.first_round(folder.path, len(folder.ids)) for folder in folders]
    n, c = (np.concatenate([counts[i] for counts in first]) for i in range(2))
    tasks = [folder.job.task for folder in folders for _ in folder.ids]
    ids = [question for folder in folders for question in folder.ids]
    tries = [int(k) for k in ks or powers_of_2(int(n.min()))]
    return agreement(tasks, ids, np.concatenate([folder.nll for folder in folders]), n, c, tries, level), ''


def _select(
    folder: Folder, select: str, scores: Path | None, tries: Sequence[float], seed: int
) -> list[dict[str, Any]]:
    """Average over questions how often the selected one of k samples is right."""
    column = 'answer' if select == 'majority' else select
    wanted = ['question', 'sample', 'right', *([column] if column != 'score' else [])]
    by_question: dict[str, list[tuple]] = {}
    for table in store.read_samples(folder.path, wanted):
        for question, *row in zip(*(table.column(name).to_pylist() for name in wanted)):
            by_question.setdefault(question, []).append(tuple(row))
    given = _read_scores(scores) if scores else None
    found = []
    for k in map(int, tries):
        chances = []
        for question, rows in by_question.items():
            right = [row[1] for row in rows]
            if select == 'majority':
                chances.append(majority([_vote(row) for row in rows], right, k, seed=seed))
            elif given is None:
                chances.append(best_of([row[2] for row in rows], right, k))
            else:
                chances.append(best_of([_score(given, question, row[0]) for row in rows], right, k))
        found.append({'select': select, 'k': k, 'value': float(np.mean(chances))})
    return found


def _vote(row: tuple) -> str:
    """Tell an exact answer from its text spelt by other tokens, which is wrong."""
    _, right, answer = row
    return answer if right or not answer else f'{answer} (wrong)'


def _read_scores(path: Path) -> dict[tuple[str, int], float]:
    scores = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(path.read_text(encoding='utf-8'))), 2):
        try:
            scores[row['question'], int(row['sample'])] = float(row['score'])
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f'{path} line {number} has no question, sample and score; give CSV columns of them'
            ) from None
    return scores


def _score(scores: dict[tuple[str, int], float], question: str, sample: int) -> float:
    try:
        return scores[question, sample]
    except KeyError:
        raise ValueError(f'sample {sample} of question {question!r} has no score; score every sample') from None


def _columns(curve: Curve) -> dict[str, list[float]]:
    return {name: getattr(curve, name).tolist() for name in ('k', 'value', 'low', 'high')}
