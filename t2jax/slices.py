"""Cloud TPU slices by name: their chips, and their topology for compiling on a machine that has none.

A slice is KIND:SHAPE, as v5e:4x4 (two axes: v5e, v6e) or v5p:2x2x4 (three: v4, v5p); a chip is one jax device.
"""

import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from t2jax.chips import TPUS, Chip

if TYPE_CHECKING:
    import jax  # which only compiling needs: launch/ names slices without it

EXAMPLES = 'v5e:4x4, v5e:16x16, v6e:8x8, v4:2x2x4 or v5p:4x4x4'
_AXES = {'v4': 3, 'v5e': 2, 'v5p': 3, 'v6e': 2}

# libtpu asks a Cloud machine's metadata server who it is, and takes the only lock on its chips. Here it has no chips:
# it is to ask nobody, to share, and to keep its log to itself.
_QUIET = {
    'TPU_SKIP_MDS_QUERY': '1',
    'TPU_ACCELERATOR_TYPE': 'v5litepod-4',  # of no consequence; absent, it complains
    'TPU_WORKER_HOSTNAMES': 'localhost',
    'TPU_WORKER_ID': '0',
    'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
    'TPU_STDERR_LOG_LEVEL': '3',
    'TPU_MIN_LOG_LEVEL': '3',
}


@dataclass(frozen=True)
class Slice:
    """`count` slices of one kind and shape."""

    kind: str
    shape: tuple[int, ...]
    count: int = 1

    @property
    def chip(self) -> Chip:
        """One of its chips."""
        return TPUS[self.kind]

    @property
    def chips(self) -> int:
        """Chips of all its slices together."""
        return math.prod(self.shape) * self.count

    @property
    def topology(self) -> str:
        """The name of one slice."""
        return f'{self.kind}:{"x".join(map(str, self.shape))}'

    def __str__(self) -> str:
        return self.topology if self.count == 1 else f'{self.count} x {self.topology}'


def parse_slice(name: str, count: int = 1) -> Slice:
    """Read a slice's name; raises ValueError for one that is no slice of a known kind."""
    kind, _, shape = name.partition(':')
    sizes = tuple(map(int, shape.split('x'))) if re.fullmatch(r'[1-9]\d*(x[1-9]\d*)*', shape) else ()
    if kind not in _AXES or len(sizes) != _AXES[kind] or count < 1:
        raise ValueError(f'{count} x {name!r} is no TPU slice; write KIND:SHAPE, e.g. {EXAMPLES}')
    return Slice(kind, sizes, count)


def topology_devices(tpu: Slice) -> 'list[jax.Device]':
    """Return the devices of slices that are not there, to compile for; needs libtpu, and no TPU.

    Raises OSError where libtpu is not installed, ValueError for a shape that the kind does not come in.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import jax
    from jax.experimental import topologies

    options: dict[str, object] = {'num_slices': tpu.count} if tpu.count > 1 else {}
    if tpu.kind in ('v4', 'v5p'):
        options['chip_config_name'] = 'megacore'  # two cores, one device
    if math.prod(tpu.shape) == 1:
        options['chips_per_host_bounds'] = (1, 1, 1)
    try:
        import libtpu  # noqa: F401 (jax finds it by itself; this asks whether it is there)
    except ImportError as error:
        raise OSError('compiling for a TPU needs libtpu; `pip install .[tpu]` brings it, no TPU needed') from error
    try:
        found = topologies.get_topology_desc(platform='tpu', topology_name=tpu.topology, **options)
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0].removeprefix('INVALID_ARGUMENT: ')
        raise ValueError(f'libtpu has no topology {tpu} ({reason}); use a shape such as {EXAMPLES}') from error
    return list(found.devices)
