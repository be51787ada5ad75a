"""Results by question, from which `Observations` are derived for any k.

A row for each (run, task, question), CSV or Parquet as in tables.py:

    params, tokens            N (blocks and head, not the input embedding) and D, above 0
    task, question            names; all is one task unless named
    nll                       -log of the chance that one sample is right, at least 0, in nats; and/or
    n_samples, n_correct      samples drawn (they may differ from row to row) and how many were right
    run                       a name; one (N, D) is one run unless named

Likelihoods and counts are different evidence. From likelihoods, nll is T2's mean of -log pass@k. From counts that
mean is infinite as soon as one question has no right sample, so nll is -log of the mean pass@k, and `measure` says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from t2jax.laws.forms import pass_at_k_of_beta
from t2jax.laws.observations import Observations, run_names
from t2jax.laws.passk import fit_beta_binomial, pass_at_k, repeated_nll, unbiased_pass_at_k
from t2jax.laws.tables import Schema, Table, check_rows, observations_of, read_columns, read_table


@dataclass(frozen=True)
class Questions:
    """Columns of equal length: `run`, `task`, `question` are strings, the rest float64, nan where not measured."""

    question: np.ndarray
    params: np.ndarray
    tokens: np.ndarray
    run: np.ndarray | None = None
    task: np.ndarray | None = None
    nll: np.ndarray | None = None
    n_samples: np.ndarray | None = None
    n_correct: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.question)
        defaults = {'run': lambda: run_names(self.params, self.tokens), 'task': lambda: np.full(n, 'all')}
        for name in COLUMNS:
            value = getattr(self, name)
            if value is None:
                value = defaults.get(name, lambda: np.full(n, np.nan))()
            if len(value) != n:
                raise ValueError(f'questions have {len(value)} values of {name} for {n} rows; give one per row')
            object.__setattr__(self, name, np.asarray(value, str if name in _TEXT else np.float64))

    def __len__(self) -> int:
        return len(self.question)


COLUMNS = tuple(f.name for f in fields(Questions))
_TEXT = ('run', 'task', 'question')


def _lacks(names: Any) -> list[str]:
    lacking = [name for name in ('question', 'params', 'tokens') if name not in names]
    counts = [name for name in ('n_samples', 'n_correct') if name not in names]
    if len(counts) == 2:
        return lacking + ([] if 'nll' in names else ['nll or n_correct'])
    return lacking + counts


_SCHEMA = Schema(COLUMNS, _TEXT, (), _lacks)


def read_any(path: str | Path) -> Observations | Questions:
    """Read a table of either schema; the one with a row for each question has a column question and no k.

    Raises ValueError, one sentence, for anything that is neither.
    """
    table = read_table(path)
    names = table.header
    close = [get_close_matches(name, names, n=1, cutoff=0.8) for name in ('question', 'n_correct')]
    by_question = 'question' in names or ('k' not in names and any(close))
    return _questions_of(table) if by_question else observations_of(table)


def read_questions(path: str | Path) -> Questions:
    """Read and check a table by question (schema above); raises ValueError, one sentence, for a faulty one."""
    return _questions_of(read_table(path))


def _questions_of(table: Table) -> Questions:
    if 'k' in table.header:
        raise ValueError(f'{table.path} has columns question and k; a row by question is about one sample: drop k')
    questions = Questions(**read_columns(table, _SCHEMA))
    excess = np.flatnonzero(questions.n_correct > questions.n_samples)
    if len(excess):
        row = excess[0]
        right, drawn = questions.n_correct[row], questions.n_samples[row]
        raise ValueError(f'{table.at(row)}: n_correct is {right:.0f}; it has to be at most n_samples, {drawn:.0f}')
    check_rows(table, questions, 'question')
    return questions


def select(questions: Questions, rows: np.ndarray) -> Questions:
    """Keep the rows of a mask or of an index."""
    return Questions(**{name: getattr(questions, name)[rows] for name in COLUMNS})


MEASURE_OF = {
    'likelihood': 'likelihood',
    'unbiased': 'counts',
    'beta-binomial': 'beta-binomial',
    'zero-inflated': 'beta-binomial',  # with a mass of impossible questions
}


def default_ks(questions: Questions) -> list[float]:
    """List the powers of 2 up to what every question has samples for, or to 1024."""
    counted = np.isfinite(questions.n_samples)
    most = min(1024.0, questions.n_samples[counted].min()) if counted.any() else 1024.0
    return [2.0**power for power in range(11) if 2.0**power <= most]


def derive(questions: Questions, ks: Sequence[float], estimator: str | None = None) -> Observations:
    """Tabulate nll and pass@k of each (run, task), in order of appearance, at each k of `ks`.

    `estimator` is a key of MEASURE_OF; unless given, 'likelihood' where there are likelihoods, else 'unbiased'. The
    latter needs k <= n_samples; the two beta-binomials take any k. Where no sample of a (run, task) is right (see
    `without_success`), 'unbiased' gives pass_at_k 0 and nll nan, and the beta-binomials leave it out.

    Raises ValueError, one sentence, for an estimator that lacks its columns and for a k that it cannot give.
    """
    estimator = _choose(questions, ks, estimator)
    ordered, starts = _by_group(questions)
    if MEASURE_OF[estimator] != 'beta-binomial':
        passed, nll = _means(_values(ordered, ks, estimator), starts, np.ones(len(ordered)))
        return _tabulate(ordered, starts, ks, passed, nll, estimator)
    ends = np.append(starts, len(ordered))[1:]
    spans = [(start, end) for start, end in zip(starts, ends) if ordered.n_correct[start:end].any()]
    if not spans:
        raise ValueError('no sample of any run is right; a beta-binomial needs at least one: use unbiased')
    passed = np.empty((len(spans), len(ks)))
    for row, (start, end) in enumerate(spans):
        counts = ordered.n_samples[start:end], ordered.n_correct[start:end]
        a, b, mass = fit_beta_binomial(*counts, with_mass=estimator == 'zero-inflated')
        passed[row] = (1 - mass) * pass_at_k_of_beta(a, b, np.asarray(ks, float), np)
    return _tabulate(ordered, np.array(spans)[:, 0], ks, passed, -np.log(passed), estimator)


def without_success(questions: Questions) -> list[tuple[str, str]]:
    """List the (run, task) of which not a single sample was right."""
    ordered, starts = _by_group(questions)
    none = starts[np.add.reduceat(ordered.n_correct, starts) == 0]
    return list(zip(ordered.run[none].tolist(), ordered.task[none].tolist()))


def resampled(
    questions: Questions, ks: Sequence[float], n: int, seed: int = 0, estimator: str | None = None
) -> Iterator[Observations]:
    """Give `n` bootstrap replicates of `derive`, row for row, each from questions drawn with replacement.

    The questions of a task are drawn once for all its runs, since runs share them. Values are nan where a (run, task)
    has none of the questions drawn, and nll also where no sample of those is right.

    Raises ValueError for the beta-binomials, of which every replicate would be a new fit.
    """
    estimator = _choose(questions, ks, estimator)
    if MEASURE_OF[estimator] == 'beta-binomial':
        raise ValueError(f'questions are not redrawn for {estimator}; use likelihood or unbiased, or redraw the runs')
    ordered, starts = _by_group(questions)
    values = _values(ordered, ks, estimator)
    identity = np.empty(len(ordered), int)  # of the question of each row, whatever the run
    sizes: list[int] = []
    for task in np.unique(ordered.task):
        mine = ordered.task == task
        names, which = np.unique(ordered.question[mine], return_inverse=True)
        identity[mine] = sum(sizes) + which
        sizes.append(len(names))

    def replicates() -> Iterator[Observations]:
        rng = np.random.default_rng([seed, 1])  # apart from the draws of runs, which may have the same seed
        rows = _tabulate(ordered, starts, ks, *_means(values, starts, np.ones(len(ordered))), estimator)
        for _ in range(n):
            drawn = np.concatenate([rng.multinomial(size, np.full(size, 1 / size)) for size in sizes])
            passed, nll = _means(values, starts, drawn[identity].astype(float))
            yield replace(rows, pass_at_k=passed.ravel(), nll=nll.ravel())

    return replicates()


def _choose(questions: Questions, ks: Sequence[float], estimator: str | None) -> str:
    """Check what is asked of the questions, and say by which estimator to answer."""
    if estimator is None:
        estimator = 'unbiased' if np.isnan(questions.nll).any() else 'likelihood'
    if estimator not in MEASURE_OF:
        raise ValueError(f'there is no estimator {estimator!r}; there are {", ".join(MEASURE_OF)}')
    if not len(ks) or not min(ks) >= 1 or len(set(ks)) < len(ks):
        raise ValueError(f'k is {", ".join(f"{k:g}" for k in ks) or "empty"}; list numbers from 1 on, each once')
    needed = ('nll',) if estimator == 'likelihood' else ('n_samples', 'n_correct')
    if any(np.isnan(getattr(questions, name)).any() for name in needed):
        raise ValueError(f'{estimator} needs {" and ".join(needed)} of every question; use another estimator')
    short = np.flatnonzero(questions.n_samples < max(ks)) if estimator == 'unbiased' else []
    if len(short):
        run, task, name = (getattr(questions, column)[short[0]] for column in _TEXT)
        raise ValueError(
            f'run {str(run)!r}, task {str(task)!r}, question {str(name)!r} has n_samples '
            f'{questions.n_samples[short[0]]:.0f}; without bias k = {max(ks):g} needs as many: '
            'use smaller k, or beta-binomial'
        )
    return estimator


def _by_group(questions: Questions) -> tuple[Questions, np.ndarray]:
    """Sort the rows by (run, task), in order of appearance, and say where each begins."""
    index: dict[tuple[str, str], int] = {}
    pairs = zip(questions.run.tolist(), questions.task.tolist())
    group = np.array([index.setdefault(pair, len(index)) for pair in pairs])
    order = np.argsort(group)
    return select(questions, order), np.searchsorted(group[order], np.arange(len(index)))


def _values(questions: Questions, ks: Sequence[float], estimator: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute pass@k and, from likelihoods, -log pass@k of each question, [rows, k]."""
    if estimator == 'unbiased':
        counts = questions.n_samples, questions.n_correct
        return np.stack([unbiased_pass_at_k(*counts, k) for k in ks], 1), None
    nll = questions.nll
    return np.stack([pass_at_k(nll, k) for k in ks], 1), np.stack([repeated_nll(nll, k) for k in ks], 1)


def _means(
    values: tuple[np.ndarray, np.ndarray | None], starts: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average pass@k and -log pass@k over the questions of each group, [groups, k]; or take -log of the mean."""
    with np.errstate(divide='ignore', invalid='ignore'):
        total = np.add.reduceat(weight, starts)[:, None]
        passed, nll = (None if x is None else np.add.reduceat(x * weight[:, None], starts) / total for x in values)
        return passed, np.where(passed > 0, -np.log(passed), np.nan) if nll is None else nll


def _tabulate(
    ordered: Questions, starts: np.ndarray, ks: Sequence[float], passed: np.ndarray, nll: np.ndarray, estimator: str
) -> Observations:
    at = np.repeat(starts, len(ks))
    columns = {name: getattr(ordered, name)[at] for name in ('run', 'task', 'params', 'tokens')}
    measure = np.full(len(at), MEASURE_OF[estimator])
    k = np.tile(np.asarray(ks, float), len(starts))
    return Observations(**columns, k=k, nll=nll.ravel(), pass_at_k=passed.ravel(), measure=measure)
