"""How a sampling job is cut: into rows and files, which its config alone decides, and into calls that fit a device.

A row is a question and up to `row_samples` of its samples, a file some rows of questions whose prompts are padded to
one width. So neither files nor shapes of prompts change with devices, hosts or memory; a killed job takes up the files
that are missing. What fits the memory is the number of slots and of rows at once.
"""

import bisect
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax

from t2jax import costs
from t2jax.models.config import ModelConfig

ROW_SAMPLES = 256  # at most, of a row
FILES = 2000  # of a round, about
FILE_SAMPLES = 64, 8192  # of a file, at least and at most
SLOTS_A_ROW = 8, 64  # at least and at most: a quarter of its samples, which take turns, so that slots are seldom empty
# Bytes of logits beyond which a device gains nothing: 128 slots of 50,432 words just fit a CPU's caches.
MOST_LOGITS = {'cpu': 2**25}
MEMORY_SHARE = 0.8  # of an accelerator's memory, unless told
CPU_MEMORY = 2 * 2**30  # bytes
LOGITS_COPIES = 3  # of a step: the logits, their exponentials, what top-p has left
WIDTHS = tuple(sorted({2**i for i in range(4, 16)} | {3 * 2**i for i in range(4, 14)}))  # 16, 32, 48, 64, 96, 128, ...


class Row(NamedTuple):
    """Samples first, first + 1, ... of a question (its number), `count` of them."""

    question: int
    first: int
    count: int


class File(NamedTuple):
    """Rows that are kept in one file, and the width that their prompts are padded to."""

    name: str
    width: int
    rows: tuple[Row, ...]


class Tile(NamedTuple):
    """What one device does at once: rows, and slots in each of them."""

    rows: int
    slots: int


def padded_width(length: int) -> int:
    """Return the width that a prompt of so many tokens is padded to: one of few, for each is a program to compile."""
    return WIDTHS[bisect.bisect_left(WIDTHS, length)]


def cut(round: int, first: int, stop: int, questions: Sequence[int], lengths: Sequence[int], row: int) -> list[File]:
    """Cut samples first to stop - 1 of these questions into files, up to `row` samples a row.

    lengths: tokens of every question's prompt, by its number.
    """
    by_width: dict[int, list[int]] = {}
    least, most = FILE_SAMPLES
    per_file = max(1, min(max((stop - first) * len(questions) // FILES, least), most) // row)
    files = []
    for question in questions:
        by_width.setdefault(padded_width(lengths[question]), []).append(question)
    for width in sorted(by_width):
        rows = [
            Row(question, start, min(row, stop - start))
            for question in by_width[width]
            for start in range(first, stop, row)
        ]
        for start in range(0, len(rows), per_file):
            name = f'{round:02d}-{len(files):06d}.parquet'
            files.append(File(name, width, tuple(rows[start : start + per_file])))
    return files


def fit_tile(
    model: ModelConfig,
    width: int,
    max_tokens: int,
    row_samples: int,
    rows: int,
    memory: float,
    platform: str,
    cache_dtype: str | None = None,
) -> Tile:
    """Choose how many rows, and slots in each, a device of `memory` bytes takes at once; there are `rows` in all.

    Raises ValueError where not even one slot fits.
    """
    most = max(1, MOST_LOGITS.get(platform, 2**62) // (4 * model.vocab))  # slots
    few, many = SLOTS_A_ROW
    slots = min(row_samples, max(few, min(row_samples // 4, many)), most)
    room = memory - 4 * costs.count_stored_params(model)
    if model.compute_dtype != 'float32':
        room -= 2 * costs.count_params(model)  # the weights as they are computed with
    need = lambda slots: row_bytes(model, width, max_tokens, row_samples, slots, cache_dtype)
    while slots > 1 and need(slots) > room:
        slots //= 2
    all_fit = lambda slots: rows * slots <= most and rows * need(slots) <= room
    while slots < row_samples and all_fit(double := min(2 * slots, row_samples)):
        slots = double  # where all rows are drawn at once, more slots leave nobody waiting
    if need(slots) > room:
        raise ValueError(
            f'one sample at a time takes {(need(slots) + memory - room) / 2**30:.2f} GiB and the memory to use is '
            f'{memory / 2**30:.2f}; allow more, or fewer tokens'
        )
    rounded = 2 ** math.ceil(math.log2(rows))  # so that another number of questions is seldom another program
    return Tile(int(min(room // need(slots), most // slots, rounded)), int(slots))


def usable_memory(device: jax.Device) -> float:
    """Return the bytes of a device that sampling may take, unless told."""
    known = device.memory_stats() or {}
    return MEMORY_SHARE * known['bytes_limit'] if 'bytes_limit' in known else CPU_MEMORY


def row_bytes(
    model: ModelConfig, width: int, max_tokens: int, row_samples: int, slots: int, cache_dtype: str | None = None
) -> float:
    """Estimate what a row holds: cached prompt (twice while it is laid out), suffixes, logits, its prefill, results."""
    bytes_per_value = 2 if 'bfloat16' in (cache_dtype, model.compute_dtype) else 4
    prefix = 2 * costs.cache_bytes(model, width, 4) + costs.cache_bytes(model, width, bytes_per_value)
    suffix = costs.cache_bytes(model, max(max_tokens - 1, 1), bytes_per_value)
    hidden = 4 * (8 * max(model.d_model, model.d_q) + 4 * model.d_hidden + 2 * model.n_heads * width)
    logits = 4 * LOGITS_COPIES * model.vocab
    # a suffix is written while the old one is read
    return prefix + slots * (2 * suffix + logits) + width * hidden + row_samples * (4 * max_tokens + 64)
