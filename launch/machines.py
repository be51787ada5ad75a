"""What Google Cloud calls TPU slices: accelerator types, runtime versions, hosts and prices.

A slice is named as everywhere in t2jax, KIND:SHAPE (`t2jax.slices`). v4 and v5p count TensorCores, two a chip, in their
accelerator types; v5e and v6e count chips. Source: the Cloud TPU documentation's pages "TPU v4", "TPU v5e", "TPU v5p",
"TPU v6e" and "TPU software versions", as of 2026.
"""

import math
from dataclasses import dataclass

from t2jax.slices import Slice, parse_slice

_FLAT = ('1x1', '2x2', '2x4', '4x4', '4x8', '8x8', '8x16', '16x16')
_CUBES = (
    *('2x2x1', '2x2x2', '2x2x4', '2x4x4', '4x4x4', '4x4x8', '4x8x8', '8x8x8', '8x8x16', '8x16x16', '16x16x16'),
    '16x16x24',
)


@dataclass(frozen=True)
class Kind:
    """How Cloud TPU names and runs one kind of TPU."""

    prefix: str  # of accelerator types
    cores: int  # that an accelerator type counts for a chip
    runtime: str  # image of its hosts, for JAX
    shapes: tuple[str, ...]  # that an accelerator type stands for; the smallest first
    chips_per_host: int
    chips_of_one_host: int  # up to so many, a slice has one host


KINDS = {
    'v4': Kind('v4', 2, 'tpu-ubuntu2204-base', _CUBES[:10], 4, 4),
    'v5e': Kind('v5litepod', 1, 'v2-alpha-tpuv5-lite', _FLAT, 4, 8),
    'v5p': Kind('v5p', 2, 'v2-alpha-tpuv5', _CUBES, 4, 4),
    'v6e': Kind('v6e', 1, 'v2-alpha-tpuv6e', _FLAT, 4, 8),
}


def find_slice(name: str, count: int = 1) -> Slice:
    """Read KIND:SHAPE; raises ValueError for what no accelerator type stands for."""
    tpu = parse_slice(name, count)
    shapes = KINDS[tpu.kind].shapes
    if name.partition(':')[2] not in shapes:
        raise ValueError(f'Cloud TPU has no slice {name}; {tpu.kind} comes as {", ".join(shapes)}')
    return tpu


def accelerator_type(tpu: Slice) -> str:
    """Return what gcloud calls one slice, e.g. v5litepod-16 for v5e:4x4 and v4-32 for v4:2x2x4."""
    kind = KINDS[tpu.kind]
    return f'{kind.prefix}-{math.prod(tpu.shape) * kind.cores}'


def runtime_version(tpu: Slice) -> str:
    """Return the image that a slice's hosts start from."""
    return KINDS[tpu.kind].runtime


def hosts(tpu: Slice) -> int:
    """Count the hosts of all its slices together."""
    kind, chips = KINDS[tpu.kind], math.prod(tpu.shape)
    return tpu.count * (1 if chips <= kind.chips_of_one_host else chips // kind.chips_per_host)


def dollars_per_hour(tpu: Slice, of_a_chip: float | None = None) -> float:
    """Return what all its chips cost an hour, at `of_a_chip` dollars or else at the list price on demand."""
    return tpu.chips * (tpu.chip.dollars_per_hour if of_a_chip is None else of_a_chip)
