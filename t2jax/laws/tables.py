"""Tables on disk, CSV (also .csv.gz) or Parquet (.parquet), read with every fault said, and written.

Aggregated: a row for each (run, task, k); `t2jax.laws.questions` has the schema of a row for each question.

    params, tokens      N (blocks and head, not the input embedding) and D, above 0
    k                   samples per question, at least 1
    nll, pass_at_k      one or both, see `observations`; nll may be empty where pass_at_k is 0
    run, task           names; one (N, D) is one run and all is one task unless named
    weight              of a row in a fit, at least 0; or
    se                  the standard error of the row's nll or pass_at_k, above 0, where only one of them is given
    train_flops         6 N D unless given
    measure             what nll is, a key of `observations.MEASURES`
    n_samples, pass_at_k_sampled, pass_at_k_sampled_low, pass_at_k_sampled_high    from real samples; may have gaps

Other columns are left alone, unless they look like a misspelt one of these.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from t2jax.config import write_text
from t2jax.laws.observations import COLUMNS, MEASURES, TEXT, Observations


@dataclass(frozen=True)
class Table:
    """The cells of a file, as text, column by column; `numbers` are those of its rows, in `unit` ('line' or 'row').

    `excess` is the first row with more cells than the header.
    """

    path: Path
    unit: str
    header: list[str]
    columns: list[list[str]]
    numbers: list[int]
    excess: int | None = None

    def at(self, row: int) -> str:
        """Say where a row is."""
        return f'{self.path}, {self.unit} {self.numbers[row]}'

    def cells(self, name: str) -> list[str]:
        """Return a column's cells, '' where they are empty; ValueError where there is no such column."""
        if name not in self.header:
            raise ValueError(f'{self.path}: column {name} is missing; {self.shown_header()}')
        return self.columns[self.header.index(name)]

    def shown_header(self) -> str:
        """Say what the columns are, in at most a line or two."""
        names = ' '.join(', '.join(self.header).split())
        return f'the columns are {names if len(names) <= 200 else names[:196] + " ..."}'


@dataclass(frozen=True)
class Schema:
    """The columns that a kind of table may have, and those that one with some columns `lacks`."""

    columns: tuple[str, ...]
    text: tuple[str, ...]
    may_have_gaps: tuple[str, ...]
    lacks: Callable[[Container[str]], list[str]]


def _lacks(names: Container[str]) -> list[str]:
    lacking = [name for name in ('params', 'tokens', 'k') if name not in names]
    return lacking + ([] if 'nll' in names or 'pass_at_k' in names else ['nll or pass_at_k'])


_SAMPLED = tuple(name for name in COLUMNS if 'sample' in name)  # sampling stops at k = n_samples
_AGGREGATED = Schema(COLUMNS, TEXT, ('nll', *_SAMPLED), _lacks)

_POSITIVE = (lambda x: x > 0, 'it has to be above 0')
_COUNT = (lambda x: (x >= 1) & (x == np.floor(x)), 'it has to be a whole number of at least 1')
_FRACTION = (lambda x: (x >= 0) & (x <= 1), 'a chance of success has to be between 0 and 1')
_LIMITS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    **dict.fromkeys(('params', 'tokens', 'train_flops', 'se'), _POSITIVE),
    **{name: _FRACTION for name in COLUMNS if name.startswith('pass_at_k')},
    'k': (lambda x: x >= 1, 'a number of samples has to be at least 1'),
    'nll': (lambda x: x >= 0, 'a negative log-likelihood has to be at least 0'),
    'weight': (lambda x: x >= 0, 'it has to be at least 0'),
    'n_samples': _COUNT,
    'n_correct': (lambda x: (x >= 0) & (x == np.floor(x)), 'it has to be a whole number of at least 0'),
}


def read_observations(path: str | Path) -> Observations:
    """Read and check an aggregated table (schema above).

    Raises ValueError, one sentence that names the column and the line (of a Parquet file: the row, from 1), for
    anything that cannot be an observation.
    """
    return observations_of(read_table(path))


def observations_of(table: Table) -> Observations:
    """Check an aggregated table, as `read_observations` does."""
    columns = read_columns(table, _AGGREGATED)
    if 'se' in columns and 'weight' in columns:
        raise ValueError(f'{table.path} has both weight and se; keep one of them (weight = 1 / se^2)')
    if 'se' in columns and 'nll' in columns and 'pass_at_k' in columns:
        raise ValueError(f'{table.path}: column se is of nll or of pass_at_k, one cannot tell; keep one of the two')
    if 'weight' in columns and not columns['weight'].any():
        raise ValueError(f'{table.path}: column weight is 0 in every row; give some row a weight above 0')
    observations = Observations(**columns)
    odd = _first(~np.isin(observations.measure, list(MEASURES)))
    if odd is not None:
        said = f'measure is {str(observations.measure[odd])!r}; it has to be one of {", ".join(MEASURES)}'
        raise ValueError(f'{table.at(odd)}: {said}')
    gap = _first(np.isnan(observations.nll) & (observations.pass_at_k != 0)) if 'nll' in columns else None
    if gap is not None:
        raise ValueError(f'{table.at(gap)}: nll is empty; fill in every row or drop the column')
    check_rows(table, observations, 'k')
    return observations


def read_table(path: str | Path) -> Table:
    """Read the cells of a CSV or Parquet file; raises ValueError, one sentence, for a file that is neither."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror}); give a CSV or Parquet file') from None
    if path.suffix == '.parquet':
        table = _parse_parquet(path, data)
    else:
        table = _parse_csv(path, data)
    if not table.numbers:
        raise ValueError(f'{path} holds no observations; it needs a header and at least one row')
    return table


def _parse_csv(path: Path, data: bytes) -> Table:
    try:
        text = (gzip.decompress(data) if path.suffix == '.gz' else data).decode('utf-8-sig')
        reader = csv.reader(io.StringIO(text, newline=''))
        if '\0' in text:
            raise csv.Error('it has null bytes')
        rows, lines = [], []
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except (UnicodeDecodeError, csv.Error, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f'{path} is not a CSV text file ({error}); export the table as one') from None
    header = [name.strip() for name in rows[0]] if rows else []
    excess = next((i for i, row in enumerate(rows[1:]) if len(row) > len(header)), None)
    columns = [[cell.strip() for cell in column[1:]] for column in zip_longest(*rows, fillvalue='')]
    return Table(path, 'line', header, columns, lines[1:], excess)


def _parse_parquet(path: Path, data: bytes) -> Table:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        columns = ParquetFile(io.BytesIO(data)).read()
        cells = [['' if cell is None else str(cell).strip() for cell in column.to_pylist()] for column in columns]
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        said = str(error).split('\n')[0].rstrip('.')
        raise ValueError(f'{path} is not a Parquet file ({said}); export the table as one') from None
    return Table(path, 'row', columns.column_names, cells, list(range(1, columns.num_rows + 1)))


def read_columns(table: Table, schema: Schema) -> dict[str, np.ndarray]:
    """Turn the cells into checked values, by the names of the columns that are filled."""
    _check_header(table, schema)
    if table.excess is not None:
        raise ValueError(f'{table.at(table.excess)} has more cells than the header has columns; drop the excess')
    filled = [name for name in schema.columns if name in table.header and any(table.cells(name))]
    columns = {name: _column(table, name, schema) for name in filled}
    for name in schema.lacks(columns)[:1]:
        raise ValueError(f'{table.path}: column {name} is empty; fill in every row')
    return columns


def _check_header(table: Table, schema: Schema) -> None:
    """Refuse a header that repeats, lacks or seems to misspell a column."""
    path, header = table.path, table.header
    for name in header:
        if name and header.count(name) > 1:
            raise ValueError(f'{path}: column {name!r} appears twice; keep one')
    unknown = [name for name in header if name not in schema.columns]
    for name in schema.lacks(header)[:1]:
        close = [match for word in name.split(' or ') for match in get_close_matches(word, unknown, n=1)]
        hint = f'did you mean {close[0]!r} to be it?' if close else table.shown_header()
        raise ValueError(f'{path}: column {name} is missing; {hint}')
    for name in unknown:
        close = get_close_matches(name, [column for column in schema.columns if column not in header], n=1, cutoff=0.8)
        if close:
            raise ValueError(f'{path}: column {name!r} is not known; rename it to {close[0]!r} or drop it')


def _column(table: Table, name: str, schema: Schema) -> np.ndarray:
    """Check one column: text, or numbers with nan in its gaps."""
    cells = table.cells(name)
    if '' in cells and name not in schema.may_have_gaps:
        raise ValueError(f'{table.at(cells.index(""))}: {name} is empty; fill in every row or drop the column')
    return np.array(cells) if name in schema.text else read_numbers(table, name)


def read_numbers(table: Table, name: str) -> np.ndarray:
    """Return a column's numbers, nan where a cell is empty; ValueError where one is not a number or out of range."""
    cells, values = table.cells(name), []
    for row, cell in enumerate(cells):
        try:
            values.append(float(cell or 'nan'))
        except ValueError:
            raise ValueError(f'{table.at(row)}: {name} is {cell!r}; it has to be a number') from None
    values = np.array(values)
    filled = np.array([bool(cell) for cell in cells])
    for is_right, rule in ((np.isfinite, 'it has to be a finite number'), _LIMITS.get(name, (np.isfinite, ''))):
        row = _first(filled & ~is_right(values))
        if row is not None:
            raise ValueError(f'{table.at(row)}: {name} is {cells[row]}; {rule}')
    return values


def check_rows(table: Table, columns: Any, key: str) -> None:
    """Refuse a (run, task, `key`) measured twice, and a run of two sizes or two lengths."""
    seen: dict[tuple, int] = {}
    trained: dict[str, tuple[float, float]] = {}
    rows = zip(*(getattr(columns, name).tolist() for name in ('run', 'task', key, 'params', 'tokens')))
    for row, (run, task, value, params, tokens) in enumerate(rows):
        first = seen.setdefault((run, task, value), row)
        if first != row:
            said = f'{key} {value!r}' if isinstance(value, str) else f'{key} = {value:g}'
            raise ValueError(
                f'{table.at(row)}: run {run!r}, task {task!r}, {said} is already on {table.unit} '
                f'{table.numbers[first]}; keep one, or name two runs apart in a column run'
            )
        if trained.setdefault(run, (params, tokens)) != (params, tokens):
            raise ValueError(
                f'{table.at(row)}: run {run!r} has other params or tokens than on a {table.unit} above; '
                'a run is one model: name this one apart'
            )


def keep_rows(table: Table, mask: np.ndarray) -> Table:
    """Keep the rows where the boolean `mask` holds."""
    kept = np.flatnonzero(mask)
    columns = [[cells[i] for i in kept] for cells in table.columns]
    return replace(table, columns=columns, numbers=[table.numbers[i] for i in kept])


def _first(mask: np.ndarray) -> int | None:
    return int(np.argmax(mask)) if mask.any() else None


def write_observations(path: str | Path, observations: Observations) -> None:
    """Write a table that `read_observations` reads back to the same bits; nan becomes an empty cell.

    The columns weight, se and measure are left out where they say nothing.
    """
    path = Path(path)
    silent = {'weight': observations.weight == 1, 'se': np.isnan(observations.se)}
    silent['measure'] = observations.measure == 'unknown'
    names = [name for name in COLUMNS if name not in silent or not silent[name].all()]
    columns = {name: getattr(observations, name) for name in names}
    if path.suffix == '.parquet':
        write_text(path, _parquet(columns))
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(names)
    writer.writerows(map(_cell, row) for row in zip(*columns.values()))
    content = text.getvalue().encode('utf-8')
    write_text(path, gzip.compress(content, mtime=0) if path.suffix == '.gz' else content)


def _parquet(columns: dict[str, np.ndarray]) -> bytes:
    import pyarrow
    from pyarrow.parquet import write_table

    sink = pyarrow.BufferOutputStream()
    arrays = {name: pyarrow.array(values.tolist(), from_pandas=True) for name, values in columns.items()}
    write_table(pyarrow.table(arrays), sink)
    return sink.getvalue().to_pybytes()


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if np.isnan(value):
        return ''
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
