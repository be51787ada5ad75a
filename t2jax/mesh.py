"""Devices, the mesh over them, and the one table from logical axis names to mesh axes.

A mesh is (data, fsdp, tensor); any of the three may be 1. Arrays name their axes ('embed', 'heads', ...); RULES says
which mesh axis, if any, splits each. A name that is not in RULES raises: replicating it silently would be a bug.
"""

import math
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

RULES: dict[str, tuple[str, ...]] = {
    'batch': ('data', 'fsdp'),
    'step': (),
    'length': (),
    'layers': (),
    'vocab': ('tensor',),
    'embed': ('fsdp',),
    'heads': ('tensor',),
    'hidden': ('tensor',),
}


def make_mesh(devices: Sequence[jax.Device], fsdp: int = 1, tensor: int = 1) -> Mesh:
    """Lay devices out as (data, fsdp, tensor), data taking what the other two leave.

    Raises ValueError if fsdp * tensor does not divide the number of devices.
    """
    if fsdp < 1 or tensor < 1 or len(devices) % (fsdp * tensor):
        raise ValueError(
            f'a mesh of fsdp {fsdp} x tensor {tensor} does not divide {len(devices)} devices; '
            'use sizes whose product does'
        )
    grid = np.array(devices, dtype=object).reshape(-1, fsdp, tensor)
    return Mesh(grid, ('data', 'fsdp', 'tensor'), axis_types=(AxisType.Auto,) * 3)


def sharding(mesh: Mesh, axes: Sequence[str | None], shape: Sequence[int] = ()) -> NamedSharding:
    """Return the sharding of an array whose axes have these logical names.

    Raises ValueError for an unknown name and, where a shape is given, for an axis that the mesh does not divide.
    """
    for name in axes:
        if name is not None and name not in RULES:
            raise ValueError(f'logical axis {name!r} has no rule; known axes are {", ".join(sorted(RULES))}')
    for name, size in zip(axes, shape):
        split = RULES[name] if name else ()
        parts = math.prod(mesh.shape[axis] for axis in split)
        if size % parts:
            raise ValueError(
                f'axis {name} of {size} does not divide over {parts} devices of the mesh axis {" x ".join(split)}; '
                'make it a multiple of them, or the mesh smaller'
            )
    return NamedSharding(mesh, PartitionSpec(*(RULES[name] if name else None for name in axes)))


def use_cpu_devices(count: int) -> None:
    """Ask for `count` CPU devices; call before jax is first used. Other backends are left as they are."""
    jax.config.update('jax_num_cpu_devices', count)
