"""Observations, the table that laws are fitted to: what was trained and how it scored, by (run, task, k).

A row needs params (N), tokens (D), k, and nll or pass_at_k; a table that t2jax did not write may leave out
the rest. Over the questions i of a task, nll = mean of -log(1 - (1 - p_i)^k) and
pass_at_k = mean of 1 - (1 - p_i)^k (T2, "Metrics").
"""

import csv
import io
from collections.abc import Container, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from t2jax.config import write_text


@dataclass(frozen=True)
class Observations:
    """Columns of equal length: `run` and `task` are strings, the rest float64, nan where not measured.

    `train_flops` is 6 N D where nobody said otherwise; `pass_at_k_sampled` comes from `n_samples` real
    samples for each question, with the interval `_low` to `_high`.
    """

    run: np.ndarray
    task: np.ndarray
    params: np.ndarray
    tokens: np.ndarray
    train_flops: np.ndarray
    k: np.ndarray
    nll: np.ndarray
    pass_at_k: np.ndarray
    n_samples: np.ndarray
    pass_at_k_sampled: np.ndarray
    pass_at_k_sampled_low: np.ndarray
    pass_at_k_sampled_high: np.ndarray

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in COLUMNS}
        if len(set(lengths.values())) > 1:
            raise ValueError(f'observations have columns of unequal length: {lengths}; give one value per row')

    def __len__(self) -> int:
        return len(self.run)


COLUMNS = tuple(f.name for f in fields(Observations))
_TEXT = ('run', 'task')
_REQUIRED = ('params', 'tokens', 'k')
_POSITIVE = ('params', 'tokens', 'train_flops', 'k', 'n_samples')
_MAY_HAVE_GAPS = tuple(name for name in COLUMNS if 'sample' in name)  # sampling stops at k = n_samples
_FRACTIONS = tuple(name for name in COLUMNS if name.startswith('pass_at_k'))


def read_observations(path: str | Path) -> Observations:
    """Read and check a CSV of observations; columns it does not know are ignored, unless they look misspelt.

    Raises ValueError, one sentence that names the column and line, for anything that cannot be an
    observation.
    """
    rows = {}
    try:
        with open(path, newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            for row in reader:
                rows[reader.line_num] = row
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{path} is not a CSV text file ({error}); export the table as one') from None
    if not rows:
        raise ValueError(f'{path} holds no observations; it needs a header and at least one row')
    _check_header(path, header)
    for line, row in rows.items():
        if None in row:
            raise ValueError(f'{path}, line {line} has more cells than the header has columns; drop the excess')
    cells = {name: {line: (row[name] or '').strip() for line, row in rows.items()} for name in header}
    columns = {name: _column(path, name, cells[name]) for name in COLUMNS if any(cells.get(name, {}).values())}
    empty = _lacking(columns)
    if empty:
        raise ValueError(f'{path}: column {empty[0]} is empty; fill in every row')
    n, params, tokens = len(rows), columns['params'], columns['tokens']
    columns.setdefault('train_flops', 6 * params * tokens)
    columns.setdefault('task', np.full(n, 'all'))
    columns.setdefault('run', np.array([f'N{size:.12g}-D{data:.12g}' for size, data in zip(params, tokens)]))
    observations = Observations(**{name: columns.get(name, np.full(n, np.nan)) for name in COLUMNS})
    _check_rows(path, list(rows), observations)
    return observations


def _lacking(names: Container[str]) -> list[str]:
    lacking = [name for name in _REQUIRED if name not in names]
    return lacking + ([] if 'nll' in names or 'pass_at_k' in names else ['nll or pass_at_k'])


def _check_header(path: str | Path, header: list[str]) -> None:
    """Refuse a header that repeats, lacks or seems to misspell a column."""
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise ValueError(f'{path}: column {twice!r} appears twice; keep one')
    unknown = [name for name in header if name not in COLUMNS]
    for name in _lacking(header)[:1]:
        close = [match for word in name.split(' or ') for match in get_close_matches(word, unknown, n=1)]
        hint = f'did you mean {close[0]!r} to be it?' if close else f'the columns are {", ".join(header)}'
        raise ValueError(f'{path}: column {name} is missing; {hint}')
    for name in unknown:
        close = get_close_matches(name, [column for column in COLUMNS if column not in header], n=1, cutoff=0.8)
        if close:
            raise ValueError(f'{path}: column {name!r} is not known; rename it to {close[0]!r} or drop it')


def _column(path: str | Path, name: str, cells: Mapping[int, str]) -> np.ndarray:
    """Turn a column's cells, by the line of the file they are on, into values."""
    values = []
    for line, cell in cells.items():
        at = f'{path}, line {line}: {name}'
        if not cell and name not in _MAY_HAVE_GAPS:
            raise ValueError(f'{at} is empty; fill in every row or drop the column')
        if name in _TEXT:
            values.append(cell)
            continue
        try:
            value = float(cell) if cell else np.nan
        except ValueError:
            raise ValueError(f'{at} is {cell!r}; it has to be a number') from None
        if cell and not np.isfinite(value):
            raise ValueError(f'{at} is {cell}; it has to be a finite number')
        if name in _POSITIVE and value <= 0:
            raise ValueError(f'{at} is {cell}; it has to be above 0')
        if name == 'nll' and value < 0:
            raise ValueError(f'{at} is {cell}; a negative log-likelihood has to be at least 0')
        if name in _FRACTIONS and not (np.isnan(value) or 0 <= value <= 1):
            raise ValueError(f'{at} is {cell}; a chance of success has to be between 0 and 1')
        values.append(value)
    return np.array(values)


def _check_rows(path: str | Path, lines: list[int], observations: Observations) -> None:
    """Refuse a (run, task, k) measured twice, and a run of two sizes or two lengths."""
    seen: dict[tuple[str, str, float], int] = {}
    trained: dict[str, tuple[float, float]] = {}
    columns = [getattr(observations, name).tolist() for name in ('run', 'task', 'k', 'params', 'tokens')]
    for line, run, task, k, params, tokens in zip(lines, *columns):
        first = seen.setdefault((run, task, k), line)
        if first != line:
            raise ValueError(
                f'{path}, line {line}: run {run!r}, task {task!r}, k = {k:g} is already on line {first}; '
                'keep one of the two'
            )
        if trained.setdefault(run, (params, tokens)) != (params, tokens):
            raise ValueError(
                f'{path}, line {line}: run {run!r} has other params or tokens than on a line above; '
                'a run is one model: name this one apart'
            )


def write_observations(path: str | Path, observations: Observations) -> None:
    """Write a CSV that `read_observations` reads back to the same bits; nan becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for row in zip(*(getattr(observations, name) for name in COLUMNS)):
        writer.writerow([_cell(value) for value in row])
    write_text(Path(path), text.getvalue())


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if np.isnan(value):
        return ''
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def where(observations: Observations, mask: np.ndarray) -> Observations:
    """Keep the rows where the boolean `mask` holds."""
    return replace(observations, **{name: getattr(observations, name)[mask] for name in COLUMNS})


def macro_average(observations: Observations) -> Observations:
    """Average over tasks with equal weight: one row for each (run, k), of the task 'macro' (T2, "Metrics").

    The sampled columns are nan unless every task was sampled; tasks are sampled apart, so the half-widths
    of their intervals add in quadrature; `n_samples` is the smallest. Raises ValueError where a task lacks
    a (run, k).
    """
    if not len(observations):
        raise ValueError('there are no observations to average; give at least one row')
    tasks = list(dict.fromkeys(observations.task.tolist()))
    row_of = {
        key: i for i, key in enumerate(zip(observations.run.tolist(), observations.k, observations.task.tolist()))
    }
    pairs = list(dict.fromkeys((run, k) for run, k, _ in row_of))
    gap = next(((run, k, task) for run, k in pairs for task in tasks if (run, k, task) not in row_of), None)
    if gap:
        run, k, task = gap
        raise ValueError(
            f'task {task!r} lacks run {run!r} at k = {k:g}; a macro average needs each task at each (run, k)'
        )
    rows = np.array([[row_of[run, k, task] for task in tasks] for run, k in pairs])
    columns = {name: getattr(observations, name)[rows] for name in COLUMNS}
    mean = columns['pass_at_k_sampled'].mean(1)
    averaged = {name: columns[name][:, 0] for name in ('run', 'params', 'tokens', 'train_flops', 'k')}
    averaged |= {name: columns[name].mean(1) for name in ('nll', 'pass_at_k', 'pass_at_k_sampled')}
    averaged |= {'task': np.full(len(pairs), 'macro'), 'n_samples': columns['n_samples'].min(1)}
    for name, sign in (('pass_at_k_sampled_low', -1), ('pass_at_k_sampled_high', 1)):
        half_widths = columns[name] - columns['pass_at_k_sampled']
        averaged[name] = mean + sign * np.sqrt((half_widths**2).sum(1)) / len(tasks)
    return Observations(**averaged)


def value_at_k(observations: Observations, run: str, k: float, column: str) -> float:
    """Read `column` ('nll' or 'pass_at_k') of `run` at any k.

    Interpolates linearly in (log k, log value); nan outside the k measured. The run has to be of one task.
    """
    rows = np.flatnonzero(observations.run == run)
    if not len(rows):
        raise ValueError(f'there is no run {run!r} in the observations; choose one that their column run has')
    if len(set(observations.task[rows].tolist())) > 1:
        raise ValueError(f'run {run!r} has several tasks; choose one or average them before reading a value at k')
    rows = rows[np.argsort(observations.k[rows])]
    ks, values = observations.k[rows], getattr(observations, column)[rows]
    if not ks[0] <= k <= ks[-1]:
        return float('nan')
    right = int(np.searchsorted(ks, k))
    if ks[right] == k:
        return float(values[right])
    share = np.log(k / ks[right - 1]) / np.log(ks[right] / ks[right - 1])
    # a geometric mean rather than the exp of a mean of logs: a value of 0 needs no case of its own
    return float(values[right - 1] ** (1 - share) * values[right] ** share)


def training_budgets(train_flops: np.ndarray) -> np.ndarray:
    """Give each row the budget of its run: the median of the training FLOPs within 2 % of each other.

    Whole batches leave the runs of one budget apart by a fraction of a percent.
    """
    budgets = np.empty(len(train_flops))
    order = np.argsort(train_flops)
    ordered = np.asarray(train_flops)[order]
    start = 0
    while start < len(ordered):
        stop = int(np.searchsorted(ordered, 1.02 * ordered[start], side='right'))
        budgets[order[start:stop]] = np.median(ordered[start:stop])
        start = stop
    return budgets
