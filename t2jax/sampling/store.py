"""The samples of a job on disk: FOLDER/samples/ROUND-NUMBER.parquet, a row a sample, in the order of their ids.

question   the question's id                    stopped          token, string or length: what ended it
sample     its number among the question's      log_prob         of its tokens, as they were drawn (nats)
tokens     up to and with what ended it         model_log_prob   and under the model at temperature 1
text       without a stop token or string       answer, right    as the grader reads it

What a file's rows are, and how many samples of each were right, stands in its footer: successes are counted without
reading a sample. A file is written whole or not at all, so those that are there are finished.
"""

import io
import json
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from t2jax.config import write_text
from t2jax.sampling.work import File

_KEY = b't2jax'
_SCHEMA = pa.schema(
    [
        ('question', pa.string()),
        ('sample', pa.int32()),
        ('tokens', pa.list_(pa.int32())),
        ('text', pa.string()),
        ('stopped', pa.string()),
        ('log_prob', pa.float32()),
        ('model_log_prob', pa.float32()),
        ('answer', pa.string()),
        ('right', pa.bool_()),
    ]
)
COLUMNS = tuple(_SCHEMA.names)


def write_file(folder: epath.PathLike, file: File, columns: dict[str, Sequence], right: Sequence[int]) -> None:
    """Write a file of samples: columns of the schema, and of each row how many samples are right."""
    rows = [[*row, int(count)] for row, count in zip(file.rows, right, strict=True)]
    table = pa.table(columns, schema=_SCHEMA).replace_schema_metadata({_KEY: json.dumps(rows).encode()})
    out = io.BytesIO()
    pq.write_table(table, out, compression='zstd')
    write_text(epath.Path(folder) / 'samples' / file.name, out.getvalue())


def missing(folder: epath.PathLike, files: Sequence[File]) -> list[File]:
    """Return the files that are not there; what a killed writer of theirs left half-written is removed."""
    there = {path.name: path for path in _files(folder)}
    absent = {file.name: file for file in files if file.name not in there}
    for name, path in there.items():
        if name.startswith('.') and name[1:].partition('.parquet')[0] + '.parquet' in absent:
            path.unlink()
    return list(absent.values())


def count_right(folder: epath.PathLike, files: Sequence[File], drawn_Q: np.ndarray, right_Q: np.ndarray) -> None:
    """Add the samples of these files, and the right ones, to the counts of each question.

    Raises ValueError for a file that is damaged or holds other rows, FileNotFoundError for one that is missing.
    """
    for file in files:
        path = epath.Path(folder) / 'samples' / file.name
        rows = _read_footer(path)
        if [tuple(row[:3]) for row in rows] != list(file.rows):
            raise ValueError(f'{path} holds other samples than this job draws; delete it, or choose another folder')
        _add(rows, drawn_Q, right_Q)


def first_round(folder: epath.PathLike, questions: int) -> tuple[np.ndarray, np.ndarray]:
    """Count, of each question, the samples that it got whatever was seen, and the right ones of these, [Q]."""
    drawn_Q, right_Q = np.zeros((2, questions), int)
    for path in _files(folder):
        if path.name.startswith('00-'):
            _add(_read_footer(path), drawn_Q, right_Q)
    return drawn_Q, right_Q


def read_samples(folder: epath.PathLike, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the samples of a job, a file at a time."""
    for path in sorted(_files(folder)):
        if not path.name.startswith('.'):
            with path.open('rb') as stream:
                yield pq.read_table(stream, columns=list(columns))


def _add(rows: Sequence[Sequence[int]], drawn_Q: np.ndarray, right_Q: np.ndarray) -> None:
    for question, _, count, right in rows:
        drawn_Q[question] += count
        right_Q[question] += right


def _read_footer(path: epath.Path) -> list[list[int]]:
    """Read, of each row of a file, question, first sample, samples, right ones."""
    try:
        with path.open('rb') as stream:
            return json.loads(pq.read_schema(stream).metadata[_KEY])
    except FileNotFoundError:
        raise
    except Exception as error:  # pyarrow's errors for a damaged file are of many kinds
        raise ValueError(f'{path} is damaged ({error}); delete it, and the same command draws it again') from None


def _files(folder: epath.PathLike) -> list[epath.Path]:
    samples = epath.Path(folder) / 'samples'
    return list(samples.iterdir()) if samples.exists() else []
