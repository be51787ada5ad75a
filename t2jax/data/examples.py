"""Rows of a TFDS dataset as plain Python values, for the questions of tasks; `huggingface:NAME` needs `datasets`."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


def read_examples(name: str, split: str) -> Iterator[dict[str, Any]]:
    """Yield the examples of a dataset, downloaded and prepared once, where TFDS_DATA_DIR says.

    Raises ValueError, one sentence, where TFDS cannot read it.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ValueError(f'{name} comes from TFDS, which is not installed ({error}); give a file of its rows') from None
    try:
        with contextlib.redirect_stdout(sys.stderr):  # TFDS prints, and stdout is for the result
            examples = tfds.as_numpy(tfds.load(name, split=split, shuffle_files=False, try_gcs=False))
        yield from map(_plain, examples)
    except Exception as error:  # TFDS raises its own kinds, of many libraries
        reason = ' '.join(str(error).split())[:200]
        raise ValueError(f'TFDS cannot read {name}, split {split} ({reason}); give a file of its rows') from None


def _plain(value: Any) -> Any:
    """Turn bytes into text, and numpy's arrays and numbers into lists and numbers."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, bytes):
        return value.decode('utf-8')
    if hasattr(value, 'tolist'):
        return _plain(value.tolist())
    return [_plain(part) for part in value] if isinstance(value, list) else value
