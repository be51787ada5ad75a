"""This repository, as it is sent to hosts: a commit of it, packed, and what `t2jax inspect` says of its experiments.

The commit need not have been pushed anywhere. What is not committed is not in it.
"""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from launch.gcloud import check_name
from t2jax.cli.pretraining import kind_of

ROOT = Path(__file__).resolve().parents[1]
RUN = re.compile(r'[\w.@+=-]{1,100}')  # a name that is also one of an object and of a file
_PATH = re.compile(r'[-\w./]+')


def find_commit(name: str) -> str:
    """Return the whole id of a commit of this repository; raises ValueError where there is none of that name."""
    found = _git('rev-parse', '--verify', '--quiet', '--end-of-options', f'{name}^{{commit}}')
    if found.returncode:
        raise ValueError(f'{name!r} is no commit of the repository in {ROOT}; choose one of `git log`, or fetch it')
    return found.stdout.decode().split()[-1]


def commit_to_install(name: str, say: Callable[[str], None]) -> str:
    """Return the whole id of a commit, as find_commit, and say what is here and not in it."""
    commit, changed = find_commit(name), len(_git('status', '--porcelain').stdout.splitlines())
    if changed:
        say(f'warning: {changed} files here differ from the last commit, or are new; hosts get commit {commit[:12]}')
    return commit


def find_origin() -> str:
    """Return the address that this checkout was cloned from, '' where there is none."""
    return _git('remote', 'get-url', 'origin').stdout.decode().strip()


def pack(commit: str, path: Path) -> None:
    """Write the repository at a commit as a .tar.gz, the same bytes each time; raises ValueError where git cannot."""
    packed = _git('archive', '--format=tar', commit)
    if packed.returncode:
        raise ValueError(f'git archive failed: {packed.stderr.decode().strip()}')
    path.write_bytes(gzip.compress(packed.stdout, mtime=0))


def find_grid(experiment: Path, commit: str | None = None) -> str:
    """Return the path within this repository of an experiment that defines GRID.

    Raises ValueError for another file, and where a commit is given that does not have it.
    """
    path = experiment.resolve()
    if kind_of(path) != 'GRID':
        raise ValueError(f'{experiment} defines no GRID; give an experiment that does, e.g. experiments/paper.py')
    if not path.is_relative_to(ROOT):
        raise ValueError(f'{experiment} is not in this repository, which hosts install; move it to experiments/')
    within = check_name(path.relative_to(ROOT).as_posix(), _PATH, 'path that every shell takes', 'experiments/a.py')
    if commit and _git('cat-file', '-e', f'{commit}:{within}').returncode:
        raise ValueError(f'{experiment} is not in commit {commit[:12]}; commit it: hosts get the code of a commit')
    return within


def inspect(experiment: str, *flags: str) -> dict[str, Any]:
    """Return what `t2jax inspect --json` says of an experiment, its runs longest first; raises ValueError, as that."""
    command = [sys.executable, '-m', 't2jax', 'inspect', experiment, '--json', *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f'exit code {done.returncode}']
        raise ValueError(said[-1].removeprefix('t2jax inspect: '))
    found = json.loads(done.stdout)
    for row in found['runs']:
        check_name(row['run'], RUN, 'name of a run', '901M@2.56e19')
    found['runs'].sort(key=lambda row: (-row['hours'], row['run']))
    return found


def choose(experiment: str, rows: Sequence[dict[str, Any]], names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return the rows of some runs, or all; raises ValueError for a run that there is not."""
    known = {row['run'] for row in rows}
    if unknown := sorted(set(names or ()) - known):
        raise ValueError(f'{experiment} has no run {unknown[0]!r}; `t2jax inspect {experiment}` lists its {len(rows)}')
    return [row for row in rows if not names or row['run'] in names]


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        done = subprocess.run(['git', *arguments], capture_output=True, cwd=ROOT)
    except FileNotFoundError as error:
        raise OSError('there is no git on the PATH; it packs the repository for the hosts') from error
    if b'not a git repository' in done.stderr:
        raise ValueError(f'{ROOT} is no git repository; hosts get a commit of one: clone it')
    return done
