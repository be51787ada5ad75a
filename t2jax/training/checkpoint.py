"""Checkpoints of a run, by orbax: FOLDER/<step>/ holds the whole TrainState, written beside and renamed.

A checkpoint restores onto any mesh: shapes and placement come from the reader, not from the file.
"""

import shutil
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp


def latest_step(folder: Path) -> int | None:
    """Return the last finished checkpoint's step, or None if there is none."""
    steps = [int(path.name) for path in folder.glob('*') if path.name.isdigit()]
    return max(steps, default=None)


def save(folder: Path, step: int, state: Any) -> None:
    """Write the state of `step` and drop earlier checkpoints; returns when it is on disk."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / str(step)).absolute(), state, force=True)
    for path in folder.glob('*'):
        if path.name.isdigit() and int(path.name) < step:
            shutil.rmtree(path)


def restore(folder: Path, step: int, shapes: Any) -> Any:
    """Read a checkpoint into arrays of the given shapes, types and shardings (a tree of ShapeDtypeStruct).

    Raises ValueError if it is damaged or of another model, naming the folder.
    """
    path = folder / str(step)
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            return checkpointer.restore(path.absolute(), shapes)
    except (ValueError, KeyError, OSError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise ValueError(
            f'checkpoint {path} cannot be read ({reason}); delete that folder and the run is trained again'
        ) from error
