"""Text as streams of documents: files (.txt, .jsonl, .parquet), and seqio tasks, through them TFDS.

A source deals its documents to any number of shards, by itself and the same every time, so that shards can be made
side by side. With at least as many files as shards, every shards-th file goes to a shard; otherwise several shards
share a file, and document i of it goes to the (i mod their number)-th of them: no document is lost or doubled.

TensorFlow takes seconds to import and is imported inside the functions that need it, nowhere else.
"""

import contextlib
import functools
import glob
import gzip
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

SUFFIXES = '.txt, .jsonl (both also .gz) or .parquet'
PARQUET_ROWS = 1024  # read at once

# Text tasks of the paper's data; both have a field `text`. TFDS prepares them where TFDS_DATA_DIR says.
PAPER_TASKS = {
    'c4': ('c4/en:3.1.0', 'text'),
    'refinedweb': ('huggingface:tiiuae__falcon_refinedweb', 'content'),  # needs the package `datasets`
}


def deal(pieces: int, shard: int, shards: int) -> tuple[range, int, int]:
    """Say which pieces (files) a shard reads, and which part of how many of their documents."""
    if pieces >= shards:
        return range(shard, pieces, shards), 0, 1
    piece = shard % pieces
    return range(piece, piece + 1), shard // pieces, len(range(piece, shards, pieces))


@dataclass(frozen=True)
class TextFiles:
    """Files of documents: a `.txt` is one, a line of `.jsonl` or a row of `.parquet` has one in the field `field`."""

    paths: tuple[str, ...]
    bytes: tuple[int, ...]  # of each file: text that was changed since is another source
    field: str = 'text'
    unit = 'B'  # of progress: bytes on disk

    def amounts(self, shards: int) -> list[int]:
        """Return how many bytes each shard reads; files shared by several shards count for each."""
        return [sum(self.bytes[i] for i in deal(len(self.paths), shard, shards)[0]) for shard in range(shards)]

    def documents(self, shard: int = 0, shards: int = 1) -> Iterator[tuple[str, int]]:
        """Yield the documents of one shard, each with how many bytes of `amounts` are read by then.

        Raises ValueError naming file and line of what is not such a document.
        """
        pieces, part, parts = deal(len(self.paths), shard, shards)
        before = 0
        for i in pieces:
            path = Path(self.paths[i])
            for text, at in _read(path, self.field, part, parts):
                try:
                    text.encode()  # JSON can spell half a surrogate pair, which no tokenizer takes
                except UnicodeEncodeError as error:
                    raise ValueError(f'{path} has text that is not Unicode ({error}); mend it') from None
                yield text, before + at
            before += self.bytes[i]


def find_files(patterns: Sequence[str], field: str = 'text') -> TextFiles:
    """Look up files and globs, in the order given; raises ValueError or OSError for what is not a text file."""
    paths = [path for pattern in patterns for path in (sorted(glob.glob(pattern, recursive=True)) or [pattern])]
    for path in paths:
        if Path(path).is_dir():
            raise ValueError(f'{path} is a folder; give its files, e.g. "{path}/*.jsonl"')
        if not Path(path).exists():
            raise FileNotFoundError(f'no text file {path}; give {SUFFIXES} files')
        _format(Path(path))
    real = [Path(path).resolve() for path in paths]
    twice = [path for path, one in zip(paths, real) if real.count(one) > 1] if len(set(real)) < len(real) else []
    if twice:
        raise ValueError(f'{", ".join(sorted(twice)[:5])}: the same file is given twice; give every file once')
    return TextFiles(tuple(paths), tuple(Path(path).stat().st_size for path in paths), field)


@dataclass(frozen=True)
class SeqioTask:
    """A seqio task, with its preprocessors: `c4`, `refinedweb`, or one that the Python file `module` registers."""

    task: str
    split: str = 'train'
    field: str = 'text'
    module: str | None = None
    unit = 'doc'

    def amounts(self, shards: int) -> list[int]:
        """Return about how many documents each shard has, 0 where TFDS does not know."""
        known = self._registered().source.num_input_examples(self.split)
        return [0 if known in (None, float('inf')) else known // shards] * shards

    def prepare(self) -> None:
        """Download and prepare the TFDS data, once, before workers read it; raises ValueError where that fails."""
        source = self._registered().source
        try:
            if hasattr(source, 'tfds_dataset'):
                with contextlib.redirect_stdout(sys.stderr):  # TFDS prints, and stdout is for the result
                    source.tfds_dataset.builder.download_and_prepare()
            if self.split not in source.splits:
                splits = ', '.join(sorted(source.splits))
                raise ValueError(f'it has no split {self.split}, but {splits}')
        except Exception as error:  # TFDS raises its own kinds, of many libraries
            raise ValueError(f'seqio task {self.task} cannot be read ({_one_line(error)})') from error

    def documents(self, shard: int = 0, shards: int = 1) -> Iterator[tuple[str, int]]:
        """Yield the documents of one shard, unshuffled, each with its number from 1.

        Raises ValueError for an unknown task or a task without the field.
        """
        task = self._registered()
        import itertools

        import seqio
        import tensorflow as tf
        import tensorflow_datasets as tfds

        tf.config.set_visible_devices([], 'GPU')  # reading text needs none, and TensorFlow would take all of it
        pieces = len(task.source.list_shards(self.split))
        _, part, parts = deal(pieces, shard, shards)
        info = seqio.ShardInfo(shard % min(pieces, shards), min(pieces, shards))
        dataset = task.get_dataset(None, self.split, shuffle=False, shard_info=info, try_in_mem_cache=False)
        rows = itertools.islice(tfds.as_numpy(dataset), part, None, parts)
        for number, example in enumerate(self._safely(rows), 1):
            text = example if isinstance(example, bytes) else example.get(self.field)
            if not isinstance(text, bytes):
                has = f'fields {", ".join(sorted(example))}' if isinstance(example, dict) else 'no fields'
                raise ValueError(f'seqio task {self.task} has {has}, and no text in {self.field!r}; name it by --field')
            try:
                yield text.decode('utf-8'), number
            except UnicodeDecodeError as error:
                raise ValueError(f'document {number} of shard {shard} of {self.task} is not UTF-8 ({error})') from None

    def _safely(self, rows: Iterator[Any]) -> Iterator[Any]:
        import tensorflow as tf

        try:
            yield from rows
        except tf.errors.OpError as error:  # a damaged record, or a preprocessor at odds with the data
            raise ValueError(f'seqio task {self.task} cannot be read ({_one_line(error)})') from None

    def _registered(self) -> Any:
        register_tasks(self.module)
        import seqio

        if self.task not in seqio.TaskRegistry.names():
            known = ', '.join(sorted(seqio.TaskRegistry.names()))
            raise ValueError(f'no seqio task {self.task!r}; there are {known}, and --module adds yours')
        return seqio.TaskRegistry.get(self.task)


@functools.cache
def register_tasks(module: str | None) -> None:
    """Register the paper's data with seqio, and what a Python file of the user's registers, once a process."""
    try:
        import seqio
    except ImportError as error:
        raise ValueError(f'seqio tasks need the packages seqio and tensorflow-datasets ({error})') from None
    for name, (data, field) in PAPER_TASKS.items():
        if name not in seqio.TaskRegistry.names():
            rekey = functools.partial(seqio.preprocessors.rekey, key_map={'text': field})
            source = seqio.TfdsDataSource(data)
            seqio.TaskRegistry.add(name, source=source, preprocessors=[rekey], output_features={})
    if module is not None:
        if not Path(module).is_file():
            raise FileNotFoundError(f'no file {module}; --module names the Python file that registers your seqio tasks')
        from t2jax.config import load_experiment

        load_experiment(Path(module), '__name__')


def _one_line(error: Exception) -> str:
    return f'{type(error).__name__}: {" ".join(str(error).split())[:400]}'


def _format(path: Path) -> str:
    suffix = Path(path.name.removesuffix('.gz')).suffix
    if suffix not in ('.txt', '.jsonl', '.parquet') or path.name.endswith('.parquet.gz'):
        raise ValueError(f'{path} is not {SUFFIXES}; convert it to one of them')
    return suffix


def _read(path: Path, field: str, part: int, parts: int) -> Iterator[tuple[str, int]]:
    """Yield documents part, part + parts, .. of a file, each with the position in the file so far."""
    kind = _format(path)
    if kind == '.parquet':
        yield from _read_parquet(path, field, part, parts)
        return
    number = 0
    with open(path, 'rb') as raw:
        file: BinaryIO = gzip.open(raw) if path.name.endswith('.gz') else raw  # noqa: SIM115 (raw is closed)
        try:
            if kind == '.txt':
                if part == 0:
                    yield file.read().decode('utf-8'), raw.tell()
                return
            for number, line in enumerate(file, 1):
                if (number - 1) % parts == part and not line.isspace():
                    yield _field(line, field, path, number), raw.tell()
        except UnicodeDecodeError as error:
            raise ValueError(f'{path} is not UTF-8 ({error}); convert it') from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f'{path} is damaged after line {number} ({error}); get it anew') from None


def _field(line: bytes, field: str, path: Path, number: int) -> str:
    try:
        text = json.loads(line)[field]
        if not isinstance(text, str):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise ValueError(f'{path} line {number} is not a JSON object with text in the field "{field}"') from None
    return text


def _read_parquet(path: Path, field: str, part: int, parts: int) -> Iterator[tuple[str, int]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    size, first = path.stat().st_size, 0
    try:
        with pq.ParquetFile(path) as file:
            if field not in file.schema_arrow.names:
                names = ', '.join(file.schema_arrow.names)
                raise ValueError(f'it has no column "{field}", but {names}; name the text by --field')
            for batch in file.iter_batches(PARQUET_ROWS, columns=[field]):
                for row, text in enumerate(batch.column(0).to_pylist(), first):
                    if not isinstance(text, str):
                        raise ValueError(f'row {row + 1} has no text in the column "{field}"')
                    if row % parts == part:
                        yield text, size * (row + 1) // file.metadata.num_rows
                first += batch.num_rows
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ValueError(f'{path} cannot be read as Parquet: {" ".join(str(error).split())}') from None
