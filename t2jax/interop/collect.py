"""Results from anywhere, of one run or of a ladder, as the table by question that laws are fitted to.

Every fault is told by where it stands in the source, before anything is written; what is written has been read back.
"""

import csv
import io
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from t2jax.config import write_text
from t2jax.interop.results import SUFFIXES, Result, read_results
from t2jax.laws.observations import run_names
from t2jax.laws.questions import COLUMNS, Questions, read_questions
from t2jax.laws.tables import read_numbers, read_table

_ORDER = ('run', 'params', 'tokens', 'task', 'question', 'nll', 'n_samples', 'n_correct')
_OF_RUNS = ('path', 'params', 'tokens', 'run', 'task')


@dataclass(frozen=True)
class Source:
    """A file or folder of results, and what is known of the run, in place of what is not said there."""

    path: Path
    params: float | None = None
    tokens: float | None = None
    run: str | None = None
    task: str | None = None


def read_sources(path: Path) -> list[Source]:
    """Read a table of sources: path (from the table's folder on) and, where wanted, params, tokens, run, task.

    Raises ValueError, one sentence, for another column or a faulty cell.
    """
    table = read_table(path)
    odd = [name for name in table.header if name not in _OF_RUNS or table.header.count(name) > 1]
    if odd:
        raise ValueError(f'{path}: column {odd[0]!r} is odd; the columns are {", ".join(_OF_RUNS)}, each once')
    paths, columns = table.cells('path'), {}
    if '' in paths:
        raise ValueError(f'{table.at(paths.index(""))}: path is empty; name a file or folder of results')
    for name in table.header:
        numeric = name in ('params', 'tokens')
        cells = read_numbers(table, name).tolist() if numeric else table.cells(name)
        columns[name] = [None if cell == '' or cell != cell else cell for cell in cells]
    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
    return [Source(**row | {'path': Path(path).parent / row['path']}) for row in rows]


def find_files(path: Path) -> list[Path]:
    """List the files of results of a folder, or the file itself.

    Those are the counts of finished `t2jax sample` folders and lm-eval's samples, at any depth; without any, all tables
    and JSON files right there; without any, those of its folders, as `t2jax score` has one for each model. Raises
    ValueError where there is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f'there is no {path}; give a file of results, or a folder of some')
    unfinished = [job.parent for job in path.rglob('job.json') if not (job.parent / 'counts.csv').exists()]
    if unfinished:
        raise ValueError(f'{unfinished[0]} is not finished: it has no counts.csv; the same `t2jax sample` goes on')
    files = [*path.rglob('counts.csv'), *path.rglob('samples_*.jsonl')]
    for depth in ('*', '*/*'):
        files = files or [file for file in path.glob(depth) if file.name.endswith(SUFFIXES)]
    if not files:
        raise ValueError(f'{path} holds no results; they are files named {", ".join(SUFFIXES)}')
    return sorted(files)


def collect(sources: Sequence[Source], metric: str | None = None, filter_name: str | None = None) -> Questions:
    """Read all sources into one table, in their order; `metric` and `filter_name` as in `results.read_results`.

    Of likelihoods and counts it keeps what all rows have. Raises ValueError, one sentence with file and line, for a
    faulty source, sizes that are not known or contradict each other, a question met twice in one (run, task), and
    where some rows have only likelihoods and others only counts.
    """
    rows: list[Result] = []
    columns: dict[str, list[Any]] = {'run': [], 'task': [], 'params': [], 'tokens': []}
    for source in sources:
        for file in find_files(source.path):
            for result in read_results(file, metric, filter_name):
                params, tokens = (_size(source, result, name) for name in ('params', 'tokens'))
                run = source.run or result.run or str(run_names(np.array([params]), np.array([tokens]))[0])
                for name, value in zip(columns, (run, source.task or result.task, params, tokens)):
                    columns[name].append(value)
                rows.append(result)
    _check(rows, columns)
    for names in (('nll',), ('n_samples', 'n_correct')):
        if all(getattr(row, names[0]) is not None for row in rows):
            columns |= {name: [getattr(row, name) for row in rows] for name in names}
    if not {'nll', 'n_samples'} & set(columns):
        scored, drawn = (next(r for r in rows if getattr(r, name) is None) for name in ('n_samples', 'nll'))
        raise ValueError(
            f'{scored.where} has a likelihood and {drawn.where} counts of right samples; laws are fitted to one kind, '
            'so collect them into two tables'
        )
    return Questions(question=[row.question for row in rows], **columns)


def _size(source: Source, result: Result, name: str) -> float:
    given, own = getattr(source, name), getattr(result, name)
    if given is None and own is None:
        raise ValueError(f'{result.where} does not say {name}; give it by --{name}, or in a column {name} of --runs')
    if given is not None and own is not None and not math.isclose(given, own, rel_tol=1e-6):
        raise ValueError(f'{result.where}: {name} is {own:g}, and {given:g} is given for it; drop the wrong one')
    return given if own is None else own


def _check(rows: Sequence[Result], columns: dict[str, list[Any]]) -> None:
    """Refuse a question met twice in one (run, task), and a run of two sizes."""
    seen: dict[tuple[str, str, str], str] = {}
    trained: dict[str, tuple[tuple[float, float], str]] = {}
    for row, run, task, *sizes in zip(rows, *columns.values()):
        key = (run, task, row.question)
        if key in seen:
            said = f'run {run!r}, task {task!r}, question {row.question!r}'
            raise ValueError(
                f'{row.where}: {said} is already in {seen[key]}; keep one, or name two runs or tasks apart'
            )
        seen[key] = row.where
        before, where = trained.setdefault(run, (sizes, row.where))
        if before != sizes:
            raise ValueError(f'{row.where}: run {run!r} has other params or tokens than in {where}; name it apart')


def write_questions(path: Path, questions: Questions) -> None:
    """Write a table that `t2jax.laws.questions` reads, Parquet by its suffix, else CSV; without columns all nan.

    Whole or not at all, and only what was read back as it is.
    """
    columns = {name: getattr(questions, name).tolist() for name in _ORDER}
    columns = {name: values for name, values in columns.items() if any(value == value for value in values)}
    content = _parquet(columns) if path.suffix == '.parquet' else _csv(columns)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / f'table{".parquet" if path.suffix == ".parquet" else ".csv"}'
        trial.write_bytes(content)
        try:
            back = read_questions(trial)
        except ValueError as error:
            raise ValueError(str(error).replace(str(trial), f'what would be {path}')) from None
    if any(not _same(getattr(back, name), getattr(questions, name)) for name in COLUMNS):
        raise ValueError(f'{path} would not be read back as it is; give names without spaces at their ends')
    write_text(path, content)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == 'f')


def _parquet(columns: dict[str, list[Any]]) -> bytes:
    import pyarrow
    from pyarrow.parquet import write_table

    sink = pyarrow.BufferOutputStream()
    write_table(pyarrow.table(columns), sink)
    return sink.getvalue().to_pybytes()


def _csv(columns: dict[str, list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in zip(*columns.values()))
    return text.getvalue().encode('utf-8')


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def summarize(questions: Questions) -> list[dict[str, Any]]:
    """Say of each (run, task), in order: params, tokens, questions, and mean nll or pass@1, or both."""
    index: dict[tuple[str, str], list[int]] = {}
    for row, pair in enumerate(zip(questions.run.tolist(), questions.task.tolist())):
        index.setdefault(pair, []).append(row)
    groups = []
    for (run, task), rows in index.items():
        about = {'run': run, 'task': task, 'questions': len(rows)}
        about |= {name: float(getattr(questions, name)[rows[0]]) for name in ('params', 'tokens')}
        means = {'nll': questions.nll, 'pass_at_1': questions.n_correct / questions.n_samples}
        groups.append(about | {name: float(v[rows].mean()) for name, v in means.items() if not np.isnan(v).all()})
    return groups
