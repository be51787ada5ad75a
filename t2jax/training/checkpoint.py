"""Checkpoints of a run, by orbax: FOLDER/<step>/ is written under another name in the background, then renamed.

<step>/state/     the whole TrainState; it restores onto any mesh: shapes and placement come from the reader
<step>/position/  JSON: the position in the text, the layout that wrote it, and the sum of all the state's bits

The sum is the same however the state is split, so what a mesh restores is checked to be what another one saved.
"""

import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, EveryNSteps, LatestN

logging.getLogger('absl').setLevel(logging.CRITICAL)  # orbax logs, with traces, what it then raises
_report = sys.unraisablehook


def _report_but_late_writes(unraisable: Any) -> None:
    """Leave out the writes of a failed checkpoint that fail after orbax has raised the first error and left."""
    if str(unraisable.exc_value) != 'Event loop is closed':
        _report(unraisable)


sys.unraisablehook = _report_but_late_writes


@dataclass(frozen=True)
class Checkpoints:
    """When a run is saved and what is kept; may change on resume."""

    every: int = 0  # steps; 0: at the end alone
    keep_last: int = 1  # an older one is deleted when a newer one is on disk
    keep_every: int = 0  # those of every so many steps are kept for good; 0: none

    def __post_init__(self) -> None:
        if self.every < 0 or self.keep_every < 0 or self.keep_last < 1:
            raise ValueError(f'{self} is not possible; every and keep_every are at least 0, keep_last at least 1')
        if self.keep_every and (not self.every or self.keep_every % self.every):
            raise ValueError(
                f'checkpoints.keep_every {self.keep_every} is no multiple of checkpoints.every {self.every}; '
                'only what is saved can be kept'
            )

    def next_after(self, step: int, last: int) -> int:
        """Return the step after which to save next, at most the run's last one."""
        return min(last, (step // self.every + 1) * self.every) if self.every else last

    def is_due(self, step: int, last: int) -> bool:
        """Tell whether to save after so many steps."""
        return step == last or bool(self.every and step % self.every == 0)


def saved_steps(folder: epath.PathLike) -> list[int]:
    """List the steps of the finished checkpoints."""
    return sorted(ocp.utils.checkpoint_steps(folder))


def latest_step(folder: epath.PathLike) -> int | None:
    """Return the last finished checkpoint's step, or None if there is none."""
    return max(saved_steps(folder), default=None)


def restore(folder: epath.PathLike, step: int, shapes: Any) -> tuple[Any, dict[str, Any]]:
    """Read a checkpoint's state, into arrays of these shapes, types and shardings (ShapeDtypeStructs), and position.

    Raises ValueError if it is damaged or of another model, naming the folder.
    """
    path = _absolute(folder) / str(step)
    parts = {'state': ocp.args.StandardRestore(shapes), 'position': ocp.args.JsonRestore()}
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            found = _all_or_none(lambda: reader.restore(path, args=ocp.args.Composite(**parts)))
        if sum_bits(found['state']) != found['position']['sum']:
            raise ValueError('its arrays are not those that were saved')
        return found['state'], found['position']
    except Exception as error:  # what a damaged file makes orbax and its parsers raise is not documented
        raise ValueError(
            f'checkpoint {path} cannot be read ({_reason(error)}); delete that folder and the run is trained again'
        ) from error


def _absolute(folder: epath.PathLike) -> epath.Path:
    """Return what orbax asks for; a bucket's address is that already, and epath would put it below this folder."""
    path = epath.Path(folder)
    return path if '://' in str(folder) else path.absolute()


def _all_or_none(read: Callable[[], Any]) -> Any:
    """Let every host read its part; raises on all of them where one cannot: what follows, they compute together."""
    error, found = None, None
    try:
        found = read()
    except Exception as failed:
        error = failed
    if not everywhere(error is None):
        raise error or ValueError('another host cannot read its part')
    return found


def sum_bits(state: Any) -> int:
    """Add up the bits of all arrays, as integers of their width, modulo 2^32."""
    return int(_sum_bits(state))


@jax.jit
def _sum_bits(state: Any) -> jax.Array:
    words = lambda x: jax.lax.bitcast_convert_type(x, f'uint{8 * x.dtype.itemsize}')
    return sum(words(x).sum(dtype=jnp.uint32) for x in jax.tree.leaves(state))


class _Manager(ocp.CheckpointManager):
    def reached_preemption(self, step: int) -> bool:
        return False  # the loop alone asks: jax's service counts the calls, and orbax asks out of turn


class CheckpointFolder:
    """The checkpoints of one run, as the one that writes them sees them; every host calls every method."""

    def __init__(self, folder: epath.PathLike, keep: Checkpoints) -> None:
        """Open a folder, and clear away what a killed writer left unfinished."""
        self.folder = _absolute(folder)
        policies = [LatestN(keep.keep_last)] + ([EveryNSteps(keep.keep_every)] if keep.keep_every else [])
        # made in the background, they are waited for under a number that all threads share: two runs that save at once
        # may then wait for one another, five minutes long
        at_once = ocp.options.AsyncOptions(create_directories_asynchronously=False)
        options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy(policies),
            cleanup_tmp_directories=True,
            save_root_metadata=False,
            async_options=at_once,
        )
        self._manager = _Manager(self.folder, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        try:
            self.wait()
        except OSError:
            if kind is None:  # else the error under way is the one to tell
                raise
        finally:
            self._manager.close()

    def restore_latest(self, make_shapes: Callable[[], Any]) -> tuple[Any, dict[str, Any]] | None:
        """Read the newest checkpoint that can be read, into arrays of the shapes asked for; None where there is none.

        Newer, damaged ones are moved aside, to <step>.damaged. Raises ValueError if all are damaged.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        shapes, errors = make_shapes() if steps else None, []
        for tried, step in enumerate(steps):
            found = None
            try:
                found = restore(self.folder, step, shapes)
            except ValueError as error:
                errors.append(error)
            if everywhere(found is not None):
                self._move_aside(steps[:tried], step)
                return found
        if steps:  # nothing is moved: the files may be sound, and something else the matter
            raise errors[0] if errors else ValueError(f'another host can read no checkpoint in {self.folder}')
        return None

    def save(self, step: int, state: Any, position: dict[str, Any]) -> None:
        """Save in the background, once the save before has ended; a step that is saved already stays as it is.

        Raises OSError where that save before failed or this one cannot begin: the checkpoint before it is kept.
        """
        if step in self._manager.all_steps():
            return
        position = position | {'sum': sum_bits(state)}
        parts = ocp.args.Composite(state=ocp.args.StandardSave(state), position=ocp.args.JsonSave(position))
        try:
            self._manager.save(step, args=parts, force=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise self._refusal(error) from error

    def wait(self) -> None:
        """Return when what was saved is on disk; raises OSError if it is not."""
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError, RuntimeError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> OSError:
        kept = latest_step(self.folder)
        return OSError(
            f'no checkpoint can be written to {self.folder} ({_reason(error)}); when one can, the same command goes on '
            f'from step {kept or 0}'
        )

    def _move_aside(self, damaged: Sequence[int], step: int) -> None:
        for name in map(str, damaged):
            if jax.process_index() == 0:
                where = self.folder / name
                aside = f'{name}.damaged'
                while (self.folder / aside).exists():
                    aside += '-again'
                where.rename(self.folder / aside)
                print(f'checkpoint {where} is damaged: moved to {aside}, going on from {step}', file=sys.stderr)
        if damaged:
            everywhere(True)  # nobody looks before it is moved
            self._manager.reload()


def everywhere(good: bool) -> bool:
    """Tell whether something is so on all hosts."""
    return bool(multihost_utils.process_allgather(np.bool_(good)).all()) if jax.process_count() > 1 else good


def _reason(error: Exception) -> str:
    """Say in half a line why orbax failed; a full disk by its usual name, which it buries."""
    text = str(error)
    known = [os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.strerror(code) in text]
    if known:
        return known[0]
    return text.splitlines()[0][:160] if text else type(error).__name__
