"""A grid for engines that its users already have: SkyPilot managed jobs or xpk workloads, from the same configs.

    python launch/engines.py experiments/paper.py --engine skypilot --workdir gs://BUCKET/paper \\
        --shards gs://BUCKET/refinedweb --commit SHA --spot --out out/skypilot
    python launch/engines.py experiments/paper.py --engine xpk --workdir gs://BUCKET/paper \\
        --shards gs://BUCKET/refinedweb --cluster NAME --zone ZONE --project ID --docker-image IMAGE --out out/xpk

writes files and touches no cloud: for SkyPilot a task file a run, for xpk a script with a line a run; longest runs
first. Each says at its top what it takes, by `t2jax inspect`, and how to submit it (`launch.engine_jobs`).
"""

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for launch/ and t2jax

from launch import machines, repository
from launch.engine_jobs import MARK, Study, skypilot_files, xpk_files
from launch.gcloud import ADDRESS, COMMIT, ZONE, check_name
from t2jax.config import write_text

# What one engine has to be told, and what it may be told; the other refuses it.
NEEDED = {'skypilot': ('commit',), 'xpk': ('cluster', 'zone', 'project')}
OPTIONAL = {'skypilot': ('zone', 'repository'), 'xpk': ('docker_image', 'base_docker_image', 'priority')}
PATTERNS = {
    'workdir': (ADDRESS, 'address in a bucket', 'gs://BUCKET/paper'),
    'shards': (ADDRESS, 'address in a bucket', 'gs://BUCKET/refinedweb'),
    'commit': (COMMIT, 'commit', '3f9a2c71'),
    'zone': (ZONE, 'zone', 'us-west4-a'),
    'cluster': (re.compile(r'[a-z]([-a-z0-9]{0,38}[a-z0-9])?'), 'name of a cluster', 'tpus'),
    'project': (re.compile(r'([a-z][-.a-z0-9]*:)?[a-z][-a-z0-9]{4,28}[a-z0-9]'), 'project ID', 'my-project'),
    'repository': (
        re.compile(r'(https://[\w.-]+(:\d+)?/|ssh://git@[\w.-]+(:\d+)?/|git@[\w.-]+:)[\w.~][\w./~-]*'),
        'address of a git repository without a password in it',
        'https://github.com/OWNER/REPOSITORY',
    ),
    'docker_image': (re.compile(r'\w[\w./:@-]*'), 'image', 'REGISTRY/t2jax:TAG'),
    'base_docker_image': (re.compile(r'\w[\w./:@-]*'), 'image', 'python:3.12'),
}


def read_study(options: argparse.Namespace) -> Study:
    """Ask `t2jax inspect` for an experiment's runs; raises ValueError for what is not one of a grid, or no slice."""
    experiment = repository.find_grid(options.experiment)
    if options.slice:
        machines.find_slice(options.slice, options.slices)  # refused before any time is spent
    slices = ['--slices', str(options.slices), *(['--slice', options.slice] if options.slice else [])]
    found = repository.inspect(experiment, *slices)
    tpu = machines.find_slice(found['slice'].rpartition(' ')[2], options.slices)
    longest_first = repository.choose(experiment, found['runs'], options.run)
    where = (options.workdir, options.shards)
    return Study(experiment, *where, tpu, found['mfu'], tuple(longest_first), options.spot, options.max_restarts)


def make_files(study: Study, options: argparse.Namespace) -> dict[str, str]:
    """Return an engine's files by name; raises ValueError for what it cannot do."""
    if options.engine == 'skypilot':
        return skypilot_files(study, options.repository or _origin(), options.commit, options.zone, options.out)
    cluster = (options.cluster, options.zone, options.project)
    return xpk_files(study, *cluster, options.docker_image, options.base_docker_image, options.priority or 'medium')


def write_files(out: Path, files: dict[str, str]) -> None:
    """Write the files of a folder; raises ValueError, and writes none, where it holds any other."""
    if out.exists() and not out.is_dir():
        raise ValueError(f'{out} is no folder; name another --out')
    for path in sorted(out.iterdir()) if out.exists() else ():
        ours = path.name in files and path.is_file() and MARK in path.read_text(errors='replace')[:200]
        if not ours:
            raise ValueError(f'{out} holds {path.name}, which these jobs would not overwrite; name another --out')
    for name, text in files.items():
        write_text(out / name, text)


def _origin() -> str:
    """Return where this checkout comes from."""
    address = repository.find_origin()
    if not address:
        raise ValueError('this checkout has no remote called origin; say what jobs clone: --repository ADDRESS')
    return check_name(address, *PATTERNS['repository'])


def _check(options: argparse.Namespace) -> None:
    engine, flag = options.engine, lambda name: '--' + name.replace('_', '-')
    mine = {*NEEDED[engine], *OPTIONAL[engine]}
    for name in sorted({name for table in (NEEDED, OPTIONAL) for names in table.values() for name in names}):
        given = getattr(options, name) is not None
        if name in NEEDED[engine] and not given:
            raise ValueError(f'--engine {engine} needs {flag(name)}; give {flag(name)} {PATTERNS[name][2]}')
        if given and name not in mine:
            raise ValueError(f'--engine {engine} has no use for {flag(name)}; leave it out')
    for name, pattern in PATTERNS.items():
        if getattr(options, name) is not None:
            check_name(getattr(options, name), *pattern)
    if options.max_restarts is not None and options.max_restarts < 0:
        raise ValueError(f'--max-restarts is {options.max_restarts}; give 0 or more')


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f'{self.prog}: {message}; see --help\n')


def make_parser() -> argparse.ArgumentParser:
    """Describe the flags."""
    parser = _Parser(prog='engines.py', description='Write a grid for SkyPilot or xpk.', allow_abbrev=False)
    add = parser.add_argument
    add('experiment', type=Path, help='Python file that defines GRID')
    add('--engine', choices=sorted(NEEDED), required=True)
    add('--workdir', required=True, help='gs:// address that the runs train into')
    add('--out', type=Path, required=True, help='folder for the files')
    add('--run', action='append', metavar='NAME', help='only this run; may be given again (default: all)')
    add('--slice', help="TPU slice of a run, e.g. v5e:4x4 (default: the grid's)")
    add('--slices', type=int, default=1, help='how many of them for a run (default: 1)')
    add('--shards', help="gs:// address that `t2jax tokenize` wrote (default: the experiment's)")
    add('--spot', action='store_true', help='spot machines')
    what = 'SkyPilot: after so many errors a run is given up (default: 3); xpk: after so many stops of any kind (100)'
    add('--max-restarts', type=int, help=what)
    add('--zone', help='zone of the slices (SkyPilot: any) or of the cluster')
    add('--commit', help='SkyPilot: what is installed')
    add('--repository', help="SkyPilot: address that it is cloned from (default: this checkout's origin)")
    add('--cluster', help='xpk: name of the cluster')
    add('--project', help='xpk: ID of its project')
    add('--docker-image', metavar='IMAGE', help='xpk: image with this repository and t2jax installed')
    add('--base-docker-image', metavar='IMAGE', help='xpk: or one with Python alone')
    add('--priority', choices=['very-low', 'low', 'medium', 'high', 'very-high'], help='xpk (default: medium)')
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files; returns the exit code: 0 done, 2 bad input."""
    options = make_parser().parse_args(argv)
    try:
        _check(options)
        study = read_study(options)
        write_files(options.out, make_files(study, options))
    except (ValueError, OSError) as error:
        print(f'engines.py: {error}', file=sys.stderr)
        return 2
    how = 'cat {}/README.txt' if options.engine == 'skypilot' else 'bash {}/workloads.sh'
    print(f'{len(study.runs)} jobs are in {options.out}; next: {how.format(shlex.quote(str(options.out)))}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
