"""What accelerators can do: peak compute, memory and links of one chip; for MFU, rooflines and prices."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chip:
    """One accelerator."""

    flops: float  # peak bfloat16 FLOP/s, dense
    bandwidth: float  # bytes/s of its memory
    memory: float  # bytes
    link: float  # bytes/s it can send to its neighbours, all links together (ICI, NVLink)
    dollars_per_hour: float | None = None  # on demand, US list price


GIB = 2**30

# Google Cloud documentation, the pages "TPU v4", "TPU v5e", "TPU v5p" and "TPU v6e", key specifications per chip, and
# "Cloud TPU pricing", on demand in the United States, as of 2026.
TPUS = {
    'v4': Chip(275e12, 1.2e12, 32 * GIB, 300e9, 3.22),
    'v5e': Chip(197e12, 0.819e12, 16 * GIB, 200e9, 1.20),
    'v5p': Chip(459e12, 2.765e12, 95 * GIB, 600e9, 4.20),
    'v6e': Chip(918e12, 1.638e12, 32 * GIB, 400e9, 2.70),
}

# NVIDIA data sheets of the SXM modules; dense peaks, links one way.
GPUS = {
    'A100': Chip(312e12, 2.039e12, 80e9, 300e9),
    'H100': Chip(989e12, 3.35e12, 80e9, 450e9),
    'H200': Chip(989e12, 4.8e12, 141e9, 450e9),
}

# How jax calls them (`device_kind`), as a beginning of the name; longer ones first.
_KINDS = {
    'TPU v4': TPUS['v4'],
    'TPU v5 lite': TPUS['v5e'],
    'TPU v5e': TPUS['v5e'],
    'TPU v5': TPUS['v5p'],
    'TPU v6': TPUS['v6e'],
    **{f'NVIDIA {name}': chip for name, chip in GPUS.items()},
}


def chip_of(device_kind: str) -> Chip | None:
    """Return the chip that jax calls `device_kind`, or None where its peaks are not known (a CPU)."""
    return next((chip for kind, chip in _KINDS.items() if device_kind.startswith(kind)), None)
