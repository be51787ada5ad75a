"""The collectives of a compiled program, read from XLA's text of it.

XLA's own cost analysis counts the body of a loop once. Here a collective counts as often as the loops around it run:
their trip counts are read off conditions `i < constant`, their starts and steps off the values they carry. Loops whose
length is not in the text (the outermost one, over the steps of a dispatch) count once.
"""

import math
import re
from dataclasses import dataclass, field
from typing import NamedTuple

KINDS = ('all-gather', 'all-reduce', 'reduce-scatter', 'all-to-all', 'collective-permute', 'collective-broadcast')
_BYTES = {'pred': 1, 's4': 0.5, 'u4': 0.5, 'bf16': 2}  # of the types whose names do not end in their number of bits
_HEADER = re.compile(r'^(ENTRY )?%?([\w.\-]+) \(.*\{$')
_INSTRUCTION = re.compile(r'^\s+(ROOT )?%?([\w.\-]+) = (.*)$')
_OPCODE = re.compile(r'\s*([a-z][\w\-]*)\(')
_ARRAY = re.compile(r'\b(pred|bf16|[suf]\d+)(?:e\d+m\d+\w*)?\[([\d,]*)\]')
_NAME = re.compile(r'%([\w.\-]+)')


@dataclass
class Traffic:
    """What one device does of one kind of collective: how often, and bytes sent; by what it stands for in the code."""

    count: int = 0
    bytes: float = 0.0
    origins: dict[str, float] = field(default_factory=dict)  # bytes by the operation that XLA made the collective for


class _Instruction(NamedTuple):
    name: str
    root: bool
    shape: str
    opcode: str
    operands: list[str]
    text: str


def collectives(text: str) -> dict[str, Traffic]:
    """Count the collectives of a compiled module (`compiled.as_text()`), by kind.

    Bytes are those that one of n devices sends in a ring: (n - 1) / n of what is gathered, scattered or exchanged,
    twice that for a sum that all receive, and the whole of what is permuted.
    """
    module = _parse(text)
    entry = next(name for name, (first, _) in module.items() if first)
    found: dict[str, Traffic] = {}
    _visit(module, entry, 1, found, _started_channels(module), _devices(text))
    return dict(sorted(found.items()))


def trip_count(module: dict[str, tuple[bool, list[_Instruction]]], caller: str, loop: _Instruction) -> int | None:
    """Return how often a while instruction runs its body, or None where the text does not say."""
    condition, body = (_called(loop.text, key)[0] for key in ('condition', 'body'))
    inside = {i.name: i for i in module[condition][1]}
    compared = next((i for i in inside.values() if i.root), None)
    if compared is None or 'LT' not in _directions(module, compared):
        return None
    limits = [value for name in compared.operands if (value := _constant(inside.get(name))) is not None]
    counters = [inside[name] for name in compared.operands if inside[name].opcode == 'get-tuple-element']
    if not limits or not counters:
        return None
    index = int(re.search(r'index=(\d+)', counters[0].text)[1])
    around = {i.name: i for i in module[caller][1]}
    start = _carried(around.get(loop.operands[0]), index, around)
    within = {i.name: i for i in module[body][1]}
    result = next(i for i in within.values() if i.root)
    moved = within.get(result.operands[index]) if result.opcode == 'tuple' else None
    steps = [s for name in (moved.operands if moved else ()) if (s := _constant(within.get(name)))]
    return max(0, math.ceil((limits[0] - (start or 0)) / (steps[0] if steps else 1)))


def _visit(
    module: dict[str, tuple[bool, list[_Instruction]]],
    name: str,
    times: int,
    found: dict[str, Traffic],
    started: set[str],
    devices: int,
) -> None:
    """Add the collectives of a computation that runs `times` times, and of those that it calls."""
    instructions = module[name][1]
    starts = any('AsyncCollectiveStart' in i.text for i in instructions)
    for i in instructions:
        kind = i.opcode.removesuffix('-start')
        if i.opcode == 'while':
            inner = times * (trip_count(module, name, i) or 1)
            _visit(module, _called(i.text, 'body')[0], inner, found, started, devices)
        elif kind in KINDS:
            # an asynchronous collective is spread over several fusions that all name it; the one that starts it counts
            if starts or _channel(i.text) not in started:
                if kind == 'all-reduce' and name.startswith('all-reduce-scatter'):  # how a TPU scatters a sum
                    kind = 'reduce-scatter-of-sum'
                _add(found, kind, i, times, devices)
        else:
            for key in ('calls', 'branch_computations', *(['to_apply'] if i.opcode == 'call' else [])):
                for callee in _called(i.text, key):
                    _visit(module, callee, times, found, started, devices)


def _add(found: dict[str, Traffic], kind: str, i: _Instruction, times: int, devices: int) -> None:
    n = _group_size(i.text, devices)
    sizes = [_array_bytes(array) for array in _ARRAY.findall(i.shape)]
    # what -start returns are its operands, then its results, then small flags
    whole = sum(sizes) if not i.opcode.endswith('-start') or kind == 'all-reduce' else max(sizes)
    share = (n - 1) / n
    sent = {
        'all-reduce': 2 * share * whole,
        'reduce-scatter': (n - 1) * whole,  # its result is one part
        'reduce-scatter-of-sum': share * whole,  # its result is still the whole
        'collective-permute': whole,
        'collective-broadcast': whole,
    }.get(kind, share * whole)
    if n < 2 and kind != 'collective-permute':
        return
    traffic = found.setdefault(kind.removesuffix('-of-sum'), Traffic())
    traffic.count += times
    traffic.bytes += sent * times
    origin = re.search(r'op_name="([^"]*)"', i.text)
    at = origin[1] if origin else '?'
    traffic.origins[at] = traffic.origins.get(at, 0.0) + sent * times


def _parse(text: str) -> dict[str, tuple[bool, list[_Instruction]]]:
    """Split a module into computations: name -> (whether it is the entry, its instructions)."""
    module: dict[str, tuple[bool, list[_Instruction]]] = {}
    current: list[_Instruction] = []
    for line in text.splitlines():
        if header := _HEADER.match(line):
            current = []
            module[header[2]] = (bool(header[1]), current)
        elif match := _INSTRUCTION.match(line):
            shape, rest = _split_shape(match[3])
            if opcode := _OPCODE.match(rest):
                operands = _NAME.findall(_balanced(rest[opcode.end() - 1 :]))
                current.append(_Instruction(match[2], bool(match[1]), shape, opcode[1], operands, rest))
    return module


def _split_shape(text: str) -> tuple[str, str]:
    """Split 'SHAPE opcode(...)'; the shape of a tuple holds blanks and brackets."""
    if text.startswith('('):
        shape = _balanced(text)
        return shape, text[len(shape) :]
    shape, _, rest = text.partition(' ')
    return shape, rest


def _balanced(text: str) -> str:
    """Return the beginning of a text that opens with a bracket, up to the bracket that closes it."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == '(') - (letter == ')')
        if depth == 0:
            return text[: at + 1]
    return text


def _called(text: str, key: str) -> list[str]:
    match = re.search(rf'\b{key}=(\{{[^}}]*\}}|%[\w.\-]+)', text)
    return _NAME.findall(match[1]) if match else []


def _constant(i: _Instruction | None) -> int | None:
    match = re.match(r'\s*constant\((-?\d+)\)', i.text) if i else None
    return int(match[1]) if match else None


def _carried(start: _Instruction | None, index: int, around: dict[str, _Instruction]) -> int | None:
    """Return the constant that a loop's counter begins with, if it is one."""
    return _constant(around.get(start.operands[index])) if start and start.opcode == 'tuple' else None


def _directions(module: dict[str, tuple[bool, list[_Instruction]]], i: _Instruction) -> str:
    inner = [j.text for key in ('calls', 'to_apply') for callee in _called(i.text, key) for j in module[callee][1]]
    return ' '.join(re.findall(r'direction=(\w+)', ' '.join([i.text, *inner])))


def _channel(text: str) -> str:
    match = re.search(r'channel_id=(\d+)', text)
    return match[1] if match else ''


def _started_channels(module: dict[str, tuple[bool, list[_Instruction]]]) -> set[str]:
    return {
        _channel(i.text)
        for _, instructions in module.values()
        if any('AsyncCollectiveStart' in i.text for i in instructions)
        for i in instructions
        if i.opcode in KINDS
    }


def _devices(text: str) -> int:
    match = re.search(r'num_partitions=(\d+)', text)
    return int(match[1]) if match else 1


def _group_size(text: str, devices: int) -> int:
    """Return how many devices take part, in any of the ways XLA writes replica groups; all, where it names none."""
    if match := re.search(r'replica_groups=\{\{([\d,]*)\}', text):
        return match[1].count(',') + 1
    if match := re.search(r'replica_groups=\[\d+,(\d+)\]<=', text):
        return int(match[1])
    if match := re.search(r'replica_groups=mesh\[([^\]]*)\]\s*\{([^}]*)\}', text):
        sizes = {axis: int(size) for axis, size in re.findall(r"'([^']+)'=(\d+)", match[1])}
        parts = re.findall(r"'([^']+)'(?::\(\d+\)(\d+))?", match[2])
        return math.prod(int(part) if part else sizes[axis] for axis, part in parts)
    return devices


def _array_bytes(array: tuple[str, str]) -> float:
    kind, sizes = array
    each = _BYTES.get(kind) or int(kind[1:]) / 8
    return each * math.prod(int(size) for size in sizes.split(',') if size)
