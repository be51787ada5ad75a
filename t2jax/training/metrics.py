"""What a run tells about itself: metrics.jsonl, TensorBoard, a profile; and the check that its loss is in order.

Losses are read one dispatch late: those of a dispatch are fetched when the next one is already queued, so the device
does not wait for the host. metrics.jsonl gets a line per dispatch, appended as it is read; an object in a bucket cannot
be appended to, so there the file is written anew at every checkpoint. Only the first host writes.
"""

import json
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import jax
import numpy as np
from etils import epath

from t2jax.config import write_text
from t2jax.training.board import open_board

RECENT = 32  # dispatches whose median loss a new one is compared with


@dataclass(frozen=True)
class Watch:
    """How a run is looked at; changes nothing in it."""

    tensorboard: bool = True
    profile: tuple[int, int] | None = None  # first step, and how many, of a trace in FOLDER/profile


class Dispatch(NamedTuple):
    """Steps start .. stop as given to the device, and their losses and gradient norms, which it may still work on."""

    start: int
    stop: int
    losses: jax.Array
    norms: jax.Array


@dataclass(frozen=True)
class Facts:
    """What the record needs to know of its run."""

    name: str
    batch_tokens: int
    step_flops: float  # as executed, attention included
    peak_flops: float | None  # per second, of all devices together; None where it is not known
    rate: Callable[[int], float]  # learning rate of the update that follows so many steps
    spike_nats: float  # of RunConfig
    may_diverge: bool = False  # as one of several learning rates may: its losses are noted as they are


class Metrics:
    """The record of one run. Every host reads and checks the same losses; the first one writes them down."""

    def __init__(self, folder: epath.Path, step: int, facts: Facts, watch: Watch) -> None:
        """Take up the record at `step`; what an earlier attempt wrote of later steps is dropped: it is done again."""
        self._path, self._facts = folder / 'metrics.jsonl', facts
        self._writes, self._bucket = jax.process_index() == 0, '://' in str(folder)
        old = self._path.read_text().splitlines() if self._path.exists() else []
        rows = [row for row in (json.loads(line) for line in old if line.endswith('}')) if row['step'] <= step]
        self.seconds = sum(row['seconds'] for row in rows)
        self.loss = rows[-1]['loss'] if rows else float('nan')
        self._recent = deque((row['loss'] for row in rows), RECENT)
        self._lines = [json.dumps(row) + '\n' for row in rows]  # not yet in the file
        self._late: Dispatch | None = None
        self._read_at = time.perf_counter()
        if self._writes:
            write_text(self._path, ''.join(self._lines))
        self._lines = self._lines if self._bucket else []
        self._board = open_board(folder / 'tensorboard', step) if watch.tensorboard and self._writes else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bucket:
            self.flush()

    def add(self, dispatch: Dispatch) -> int:
        """Take a dispatch that was just queued, and record the one before it; returns the steps of that one."""
        late, self._late = self._late, dispatch
        return self._record(late)

    def settle(self, **more: float) -> int:
        """Wait for the last dispatch and record it, with what else is known after it; returns its steps."""
        late, self._late = self._late, None
        return self._record(late, more)

    def flush(self) -> None:
        """Write what a bucket would not let us append."""
        if self._bucket and self._writes:
            write_text(self._path, ''.join(self._lines))

    def _record(self, dispatch: Dispatch | None, more: Mapping[str, float] | None = None) -> int:
        """Raises FloatingPointError naming the steps whose loss is not finite or far above the recent ones."""
        if dispatch is None:
            return 0
        steps = dispatch.stop - dispatch.start
        losses, norms = np.asarray(dispatch.losses)[:steps], np.asarray(dispatch.norms)[:steps]
        now = time.perf_counter()
        seconds, self._read_at = now - self._read_at, now
        self._check(dispatch, losses)
        facts = self._facts
        row = {
            'step': dispatch.stop,
            'tokens': dispatch.stop * facts.batch_tokens,
            'loss': round(float(losses.mean()), 6),
            'gradient_norm': round(float(norms.mean()), 6),
            'learning_rate': float(f'{facts.rate(dispatch.stop - 1):.6g}'),
            'seconds': round(seconds, 4),
            'step_seconds': float(f'{seconds / steps:.4g}'),
            'tokens_per_second': round(steps * facts.batch_tokens / seconds, 1),
        }
        if facts.peak_flops:
            row['mfu'] = float(f'{steps * facts.step_flops / seconds / facts.peak_flops:.4g}')
        row |= more or {}
        self.seconds, self.loss = self.seconds + row['seconds'], row['loss']
        self._recent.append(row['loss'])
        self._write(row)
        return steps

    def _check(self, dispatch: Dispatch, losses: np.ndarray) -> None:
        what = f'loss of run {self._facts.name}'
        where = f'between steps {dispatch.start} and {dispatch.stop}'
        advice = 'what was saved before is kept, lower recipe.learning_rate'
        if self._facts.may_diverge:
            return
        if not np.isfinite(losses).all():
            raise FloatingPointError(f'{what} is not finite {where}; {advice}')
        usual, most = statistics.median(self._recent) if self._recent else np.inf, self._facts.spike_nats
        if most and losses.mean() > usual + most:
            raise FloatingPointError(
                f'{what} leapt {where} from {usual:.4g} to {losses.mean():.4g}, by more than spike_nats {most:g}; '
                f'{advice} or raise spike_nats'
            )

    def _write(self, row: dict[str, float]) -> None:
        if not self._writes:
            return
        line = json.dumps(row) + '\n'
        try:
            if self._bucket:
                self._lines.append(line)
            else:
                with self._path.open('a') as file:
                    file.write(line)
            if self._board:
                self._board.add(row['step'], {name: row[name] for name in row if name not in ('step', 'seconds')})
        except OSError as error:
            raise OSError(
                f'{self._path} cannot be written ({error.strerror}); the last checkpoint is kept, make room there'
            ) from error


class Profile:
    """A trace of the steps that Watch.profile names, rounded to whole dispatches, on the first host."""

    def __init__(self, folder: epath.Path, watch: Watch) -> None:
        self._folder, self._window = folder / 'profile', watch.profile if jax.process_index() == 0 else None
        self._until: int | None = None

    def before(self, step: int, state: Any) -> None:
        """Begin or end the trace where the dispatch after `step` steps asks for it."""
        if self._window and self._until is None and self._window[0] <= step < sum(self._window):
            jax.profiler.start_trace(str(self._folder))
            self._until = step + self._window[1]
        elif self._until is not None and step >= self._until:
            self.end(state)

    def end(self, state: Any) -> None:
        """End the trace if it is on, once the state is computed."""
        if self._until is not None:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            self._window = self._until = None
