"""Results by question from anywhere, a file at a time: CSV, Parquet, JSON lines or a JSON list, known by their fields.

    lm-eval samples    doc_id, resps, ...: see lm_eval_samples.py
    likelihoods        a question and nll, as `t2jax score` writes them; one row a question
    counts             a question and n_samples, n_correct (num_samples, num_correct; total, correct; n, c), as
                       `t2jax sample` writes them; one row a question
    lists              a question and is_corrects, corrects, correct or passed: a list of true and false, as in Large
                       Language Monkeys (arXiv 2407.21787); one record a question
    samples            the same with one value: one record a sample, as HumanEval's task_id and passed; added up

A question is named by the first of IDS, and samples of one question may not differ in another of them. Further fields
are dropped, but for run, task, and params with tokens.
"""

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from t2jax.interop import lm_eval_samples
from t2jax.laws.tables import read_table

# task_id may name a whole task, and id a sample: they come last
IDS = ('question_id', 'problem_id', 'doc_id', 'problem_idx', 'orig_dset_idx', 'question', 'task_id', 'id')
COUNTS = (('n_samples', 'n_correct'), ('num_samples', 'num_correct'), ('total', 'correct'), ('n', 'c'))
RIGHT = ('is_corrects', 'corrects', 'is_correct', 'correct', 'passed')
SUFFIXES = ('.csv', '.csv.gz', '.parquet', '.jsonl', '.json')
_KNOWN = (
    "known are lm-eval's samples, and a question (or id, task_id, ...) with nll, with n_samples and n_correct, or with "
    'is_correct, correct or passed: of each sample, or a list'
)


@dataclass(frozen=True)
class Result:
    """What one question showed of one run; `where` it stands, and what the file does not say is None."""

    question: str
    task: str
    where: str
    run: str | None = None
    params: float | None = None
    tokens: float | None = None
    nll: float | None = None
    n_samples: int | None = None
    n_correct: int | None = None


def read_results(path: Path, metric: str | None = None, filter_name: str | None = None) -> list[Result]:
    """Read a file of results, in its order.

    `metric` is the field that says whether samples are right; `filter_name` is the one of lm-eval's filters to read, by
    default the first. Raises ValueError, one sentence with file and line, for what is not a result, and for a file of
    no known format.
    """
    records = _records(path)
    first = next(records, None)
    if first is None:
        raise ValueError(f'{path} is empty; it has to hold a record for each question or sample')
    records = itertools.chain([first], records)
    if set(first[1]) >= lm_eval_samples.FIELDS:
        return _read_lm_eval(path, records, metric, filter_name)
    if filter_name:
        raise ValueError(f"{path} is not lm-eval's samples, and only those have filters; drop --filter")
    form = _recognise(path, first[1], metric)
    results: dict[tuple[str | None, str, str], Result] = {}
    named: dict[tuple[str | None, str, str], dict[str, Any]] = {}
    for where, record in records:
        result = form.read(record, where, _stem(path))
        key = (result.run, result.task, result.question)
        old = results.get(key)
        if old and not form.by_sample:
            raise ValueError(f'{where}: question {result.question!r} is already in {old.where}; keep one')
        ids = {name: record[name] for name in IDS if name in record}
        if old:
            _check_same(ids, named[key], form.question, where, old.where)
            right = old.n_correct + result.n_correct
            result = replace(old, n_samples=old.n_samples + 1, n_correct=right)
        named.setdefault(key, ids)
        results[key] = result
    return list(results.values())


def _check_same(ids: dict[str, Any], first: dict[str, Any], question: str, where: str, before: str) -> None:
    """Raise ValueError where two samples of one question differ in what else may name a question."""
    for name in ids.keys() & first.keys():
        if ids[name] != first[name]:
            shown = (repr(str(value)[:40]) for value in (ids[question], ids[name], first[name]))
            raise ValueError(
                '{}: {} is {} as in {}, but {} is {} and not {}; keep that field which names the question'.format(
                    where, question, next(shown), before, name, *shown
                )
            )


def _stem(path: Path) -> str:
    return next(path.name.removesuffix(end) for end in (*SUFFIXES, '') if path.name.endswith(end))


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each record with the place where it stands."""
    with path.open('rb') as file:
        start = file.read(256).lstrip(b'\xef\xbb\xbf \t\r\n')[:1]
    if start not in (b'{', b'['):
        yield from _rows(path)
    elif start == b'[':
        yield from _items(path)
    else:
        with path.open('rb') as lines:  # bytes, since text also ends lines where JSON does not
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f'{path}, line {number}', _record(line, f'{path}, line {number}')


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    table = read_table(path)
    if len(set(table.header)) < len(table.header):
        raise ValueError(f'{path} has two columns of one name; {table.shown_header()}')
    if table.excess is not None:
        raise ValueError(f'{table.at(table.excess)} has more cells than the header has columns; drop the excess')
    filled = {name: cells for name, cells in zip(table.header, table.columns) if any(cells)}
    for row in range(len(table.numbers)):
        yield table.at(row), {name: cells[row] for name, cells in filled.items()}


def _items(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        items = json.loads(path.read_text(encoding='utf-8-sig'))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is not a JSON list ({error}); write a list of records, or a record a line') from None
    for number, item in enumerate(items, 1):
        where = f'{path}, record {number}'
        if not isinstance(item, dict):
            raise ValueError(f'{where} is {str(item)[:40]}; it has to be a record of named fields')
        yield where, item


def _record(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{where} is not JSON ({error}); each line has to be a whole record') from None
    if not isinstance(record, dict):
        raise ValueError(f'{where} is {str(record)[:40]}; it has to be a record of named fields')
    return record


def _read_lm_eval(
    path: Path, records: Iterator[tuple[str, dict[str, Any]]], metric: str | None, filter_name: str | None
) -> list[Result]:
    task = lm_eval_samples.task_of(path.name) or _stem(path)
    results: dict[str, Result] = {}
    filters = set()
    for where, line in records:
        for name in sorted(lm_eval_samples.FIELDS):
            _get(line, name, where)
        if not isinstance(line['filter'], str):
            raise ValueError(f'{where}: filter is {str(line["filter"])[:40]}; it has to be a name')
        filters.add(line['filter'])
        filter_name = filter_name or line['filter']
        if line['filter'] != filter_name:
            continue
        question = str(line['doc_id'])
        if question in results:
            raise ValueError(f'{where}: doc_id {question} is already in {results[question].where}; keep one')
        try:
            evidence = lm_eval_samples.evidence_of(line, metric)
        except ValueError as error:
            raise ValueError(f'{where}: {error}') from None
        results[question] = Result(question, task, where, **evidence)
    if not results:
        raise ValueError(f'{path} has no filter {filter_name!r}; it has {", ".join(sorted(filters))}')
    return list(results.values())


@dataclass(frozen=True)
class _Format:
    """Which fields of a file's records say what; by_sample: a record is one sample of a question."""

    question: str
    has_nll: bool
    counts: tuple[str, str] | None
    right: str | None
    by_sample: bool
    has_sizes: bool

    def read(self, record: dict[str, Any], where: str, task: str) -> Result:
        """Read one record; `task` is the name of a task that it does not name."""
        question = str(_get(record, self.question, where)).strip()
        said = {'task': task} | {name: str(_get(record, name, where)) for name in ('task', 'run') if name in record}
        numbers = [*(('params', 'tokens') if self.has_sizes else ()), *(('nll',) if self.has_nll else ())]
        values = {name: _number(record, name, where) for name in numbers}
        for name, value in values.items():
            if not (value >= 0 if name == 'nll' else value > 0):
                raise ValueError(
                    f'{where}: {name} is {value:g}; it has to be {"at least" if name == "nll" else "above"} 0'
                )
        if self.counts:
            n, right = (_number(record, name, where) for name in self.counts)
            if not (n >= 1 and 0 <= right <= n and n == int(n) and right == int(right)):
                said = f'{" and ".join(self.counts)} are {n:g} and {right:g}'
                raise ValueError(f'{where}: {said}; they have to be whole numbers, the second at most the first')
            values |= {'n_samples': int(n), 'n_correct': int(right)}
        elif self.right:
            values |= self._graded(record, where)
        return Result(question=question, where=where, **said, **values)

    def _graded(self, record: dict[str, Any], where: str) -> dict[str, int]:
        value = _unquoted(_get(record, self.right, where))
        grades = [value] if self.by_sample else value
        if not isinstance(grades, list) or not grades:
            raise ValueError(f'{where}: {self.right} is {str(value)[:40]}; it has to be a list, as in the first record')
        for grade in grades:
            if isinstance(grade, list) or grade not in (0, 1):
                raise ValueError(f'{where}: {self.right} has {str(grade)[:40]!r}; a sample is true or false, 1 or 0')
        return {'n_samples': len(grades), 'n_correct': int(sum(grades))}


def _recognise(path: Path, record: dict[str, Any], metric: str | None) -> _Format:
    """Say by its first record what a file is; ValueError, with what is known, for something else."""
    shown = ', '.join(record)
    if metric and metric not in record:
        raise ValueError(f'{path} has no field {metric}; --metric names one of {shown[:200]}')
    question = next((name for name in IDS if name in record), None)
    counts = None if metric else next((pair for pair in COUNTS if set(pair) <= set(record)), None)
    right = metric or next((name for name in RIGHT if name in record), None)
    has_nll = 'nll' in record and not metric
    if question is None or not (has_nll or counts or right):
        raise ValueError(f'{path} is of no known format, its fields are {shown[:200]}; {_KNOWN}')
    by_sample = not (has_nll or counts) and not isinstance(_unquoted(record[right]), list)
    sizes = {'params', 'tokens'} <= set(record)  # tokens alone may be a sample's own
    return _Format(question, has_nll, counts, None if has_nll else right, by_sample, sizes)


def _get(record: dict[str, Any], name: str, where: str) -> Any:
    value = record.get(name)
    if value is None or value == '':
        raise ValueError(f'{where}: {name} is missing; every record needs it')
    return value


def _number(record: dict[str, Any], name: str, where: str) -> float:
    value = _get(record, name, where)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f'{where}: {name} is {str(value)[:40]}; it has to be a finite number')
    return number


def _unquoted(value: Any) -> Any:
    """Return what a cell of a table says as JSON would, such as True or [True, False]."""
    try:
        return json.loads(value.lower()) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
