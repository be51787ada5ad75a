"""Devices, the mesh over them, and the one table from logical axis names to mesh axes.

A mesh is (data, fsdp, tensor); any of the three may be 1. Several TPU slices are an outer part of the data axis, so
that only gradients cross the slow network between them. Arrays name their axes ('embed', 'heads', ...); RULES says
which mesh axis, if any, splits each. A name that is not in RULES raises: replicating it silently would be a bug.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

RULES: dict[str, tuple[str, ...]] = {
    'batch': ('data', 'fsdp'),
    'step': (),
    'length': (),
    'layers': (),
    'vocab': ('tensor',),
    'embed': ('fsdp',),  # the model width of weights; of activations it is not split
    'norm': (),
    'heads': ('tensor',),
    'hidden': ('tensor',),
}

REMAT = ('none', 'dots', 'layer')
ATTENTION = ('auto', 'xla', 'cudnn', 'splash')


@dataclass(frozen=True)
class Layout:
    """How a run is spread over devices and executed: results change by rounding only, so a resumed run may change it.

    The data axis takes what fsdp and tensor leave of the devices; `slices` of it are TPU slices.
    """

    slices: int = 1
    fsdp: int = 1
    tensor: int = 1
    microbatches: int = 1  # a step's batch is computed in so many parts, their gradients added
    remat: str = 'none'  # what the backward pass computes again: nothing, all but the weight products, whole layers
    attention: str = 'auto'  # splash on TPU, cudnn on GPU, xla elsewhere and for shapes those two refuse
    steps_per_dispatch: int = 1  # steps the device takes before the host looks; more for models of a few ms a step

    def __post_init__(self) -> None:
        for name in ('slices', 'fsdp', 'tensor', 'microbatches', 'steps_per_dispatch'):
            if getattr(self, name) < 1:
                raise ValueError(f'layout.{name} is {getattr(self, name)}; it has to be at least 1')
        for name, known in (('remat', REMAT), ('attention', ATTENTION)):
            if getattr(self, name) not in known:
                raise ValueError(f'layout.{name} is {getattr(self, name)!r}; use {", ".join(known)}')


def make_mesh(devices: Sequence[jax.Device], layout: Layout | None = None) -> Mesh:
    """Lay devices out as (data, fsdp, tensor); on a TPU neighbours on the mesh are neighbours on the chip network.

    Raises ValueError if the sizes do not divide the number of devices, or of slices.
    """
    layout = layout or Layout()
    fsdp, tensor, slices = layout.fsdp, layout.tensor, layout.slices
    if len(devices) % (fsdp * tensor * slices):
        raise ValueError(
            f'a mesh of {f"{slices} slices x " if slices > 1 else ""}fsdp {fsdp} x tensor {tensor} does not divide '
            f'{len(devices)} devices; use sizes whose product does'
        )
    shape = (len(devices) // (fsdp * tensor), fsdp, tensor)
    return Mesh(_arrange(devices, shape, slices), ('data', 'fsdp', 'tensor'), axis_types=(AxisType.Auto,) * 3)


def _arrange(devices: Sequence[jax.Device], shape: tuple[int, int, int], slices: int) -> np.ndarray:
    from jax.experimental import mesh_utils

    if devices[0].platform != 'tpu':  # in the order given, slices being equal parts of it
        return np.array(devices, dtype=object).reshape(shape)
    found = len({getattr(device, 'slice_index', 0) for device in devices})
    if found != slices:
        raise ValueError(f'layout.slices is {slices}, but there are {found} TPU slices; set it to {found}')
    if slices == 1:
        return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
    inner = (shape[0] // slices, *shape[1:])
    return mesh_utils.create_hybrid_device_mesh(inner, (slices, 1, 1), devices, allow_split_physical_axes=True)


def sharding(mesh: Mesh, axes: Sequence[str | None], shape: Sequence[int] = ()) -> NamedSharding:
    """Return the sharding of an array whose axes have these logical names.

    Raises ValueError for an unknown name and, where a shape is given, for an axis that the mesh does not divide.
    """
    for name in axes:
        if name is not None and name not in RULES:
            raise ValueError(f'logical axis {name!r} has no rule; known axes are {", ".join(sorted(RULES))}')
    for name, size in zip(axes, shape):
        parts = parts_of(mesh, name) if name else 1
        if size % parts:
            raise ValueError(
                f'axis {name} of {size} does not divide over {parts} devices of the mesh axis '
                f'{" x ".join(RULES[name or ""])}; make it a multiple of them, or the mesh smaller'
            )
    return NamedSharding(mesh, PartitionSpec(*(RULES[name] if name else None for name in axes)))


def parts_of(mesh: Mesh, name: str) -> int:
    """Return into how many parts the mesh splits a logical axis."""
    return math.prod(mesh.shape[axis] for axis in RULES[name])


def use_cpu_devices(count: int) -> None:
    """Ask for `count` CPU devices; call before jax is first used. Other backends are left as they are."""
    jax.config.update('jax_num_cpu_devices', count)


def to_local(tree: Any, mesh: Mesh) -> Any:
    """Take this host's copies, on the devices of `mesh`, of arrays that every device of every host has whole."""
    everywhere, devices = NamedSharding(mesh, PartitionSpec()), set(mesh.devices.flat)
    copies = lambda x: [shard.data for shard in x.addressable_shards if shard.device in devices]
    return jax.tree.map(lambda x: jax.make_array_from_single_device_arrays(x.shape, everywhere, copies(x)), tree)
