"""Names of weights in a sentence: those that differ in the layer alone are said once, as in `layers.0-23.q_norm`."""

import re
from collections.abc import Iterable


def join_names(names: Iterable[str]) -> str:
    """List all names; the first number between dots is a layer, and layers of the same name are told as runs."""
    layers: dict[tuple[str, str], list[int]] = {}
    for name in names:
        parts = re.fullmatch(r'(.*?\.)(\d+)\b(.*)', name)
        layers.setdefault((parts[1], parts[3]) if parts else (name, ''), []).extend([int(parts[2])] if parts else [])
    return ', '.join(f'{start}{_runs(sorted(found))}{end}' for (start, end), found in layers.items())


def _runs(numbers: list[int]) -> str:
    """Return '0-2,5' of 0, 1, 2 and 5."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return ','.join(f'{a}' if a == b else f'{a}-{b}' for a, b in zip(starts, ends))
