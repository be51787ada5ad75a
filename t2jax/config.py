"""Configs: frozen dataclasses, composed in Python, overridden on the command line, saved with what they made.

An experiment is a Python file that defines STUDY (or, for a figure or a benchmark, its own command). Overrides are
typed flags made from the dataclass: `--recipe.learning-rate 1e-3`.
"""

import contextlib
import dataclasses
import importlib.util
import io
import itertools
import json
import os
import sys
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar('T')


def load_experiment(path: Path, name: str = 'STUDY') -> Any:
    """Run an experiment file and return the value it calls `name`; its repository root becomes importable."""
    if not path.is_file():
        raise FileNotFoundError(f'no experiment file {path}; give the path of a Python file that defines {name}')
    sys.path.insert(0, str(path.resolve().parent.parent))  # the experiment may import configs/
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f'{path} is not a Python file; give one that defines {name}')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (TypeError, SyntaxError, NameError, AttributeError, ImportError) as error:
        raise ValueError(f'{path} cannot be run ({error}); mend it and try again') from error
    if not hasattr(module, name):
        raise ValueError(f'{path} defines no {name}; it has to, as a frozen dataclass')
    return getattr(module, name)


def override(value: T, flags: Sequence[str]) -> T:
    """Apply typed command-line flags to a config; raises ValueError naming an unknown field or a bad value."""
    if not flags:
        return value
    import tyro  # here, since a run without overrides does not need it

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(type(value), default=value, args=list(flags), prog='t2jax')
    except SystemExit as stop:
        # tyro draws a box around its message, of whatever the terminal has, and ends it with where to find help
        lines = [line.strip(' │|') for line in said.getvalue().splitlines()[1:]]
        lines = itertools.dropwhile(lambda line: not line.strip('─-'), lines)
        sentence = ' '.join(itertools.takewhile(lambda line: line.strip('─-'), lines))
        where = 'study.json, or config.json of a run'
        raise ValueError(f'{sentence}; the fields are those of {where}, as --field or --group.field') from stop


def to_dict(value: Any) -> Any:
    """Turn a config into plain JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(value)))


def from_dict(kind: Any, data: Any, where: str = 'config') -> Any:
    """Rebuild a config of type `kind` from JSON values; raises ValueError naming the field at fault."""
    if dataclasses.is_dataclass(kind):
        # a field may hold a subclass, as a model's variant is one of its config: it is known by its fields
        kinds = [kind, *kind.__subclasses__()]
        kind = next((k for k in kinds if isinstance(data, dict) and set(typing.get_type_hints(k)) == set(data)), kind)
        hints = typing.get_type_hints(kind)
        needed = {field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING}
        if not isinstance(data, dict) or not needed <= set(data) <= set(hints):
            odd = sorted(set(data) ^ set(hints)) if isinstance(data, dict) else type(data).__name__
            raise ValueError(f'{where} does not fit {kind.__name__}: {odd}; it was written by another version')
        # a field with a default may be newer than the file
        return kind(**{key: from_dict(hints[key], data[key], f'{where}.{key}') for key in hints if key in data})
    if typing.get_origin(kind) is tuple:
        return tuple(from_dict(typing.get_args(kind)[0], item, where) for item in data)
    if isinstance(kind, types.UnionType):
        one = next((part for part in typing.get_args(kind) if dataclasses.is_dataclass(part)), None)
        return from_dict(one, data, where) if one and data is not None else data
    return kind(data)


def differences(old: Any, new: Any, where: str = '') -> list[str]:
    """List the fields in which two JSON-like configs differ, as 'a.b: old -> new'."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(set(old) | set(new))
        return [line for key in keys for line in differences(old.get(key), new.get(key), f'{where}.{key}'.lstrip('.'))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f'{where}[{i}]')]
    return [] if old == new else [f'{where}: {old} -> {new}']


def write_text(path: Path, text: str | bytes) -> None:
    """Write a file whole or not at all: to a temporary name beside it, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        temporary.write_bytes(text if isinstance(text, bytes) else text.encode('utf-8'))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + '\n')


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file; raises ValueError naming it, and the remedy, where it is damaged."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not readable JSON ({error}); {remedy}') from error


def claim(path: Path, config: Any, free: Sequence[str] = ()) -> None:
    """Save a config at `path`, or check that what is saved there is the same, `free` fields apart.

    Raises ValueError naming the fields that differ: a folder belongs to one config.
    """
    new = to_dict(config)
    old = read_json(path, 'move its folder away and start anew') if path.exists() else new
    with contextlib.suppress(ValueError, TypeError, AttributeError):  # then they differ, as is said below
        old = to_dict(from_dict(type(config), old))
    different = [line for line in differences(old, new) if line.split('.')[0].split(':')[0] not in free]
    if not path.exists() or (old != new and not different):
        write_json(path, new)
    if different:
        raise ValueError(
            f'{path.parent} holds another config ({"; ".join(different[:5])}); choose another folder or undo the change'
        )
