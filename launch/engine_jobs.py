"""What SkyPilot and xpk are given to train the runs of a grid: task files, and lines of a shell script.

A run is `t2jax train` into the workdir, so whatever starts it again goes on from its last checkpoint. Exit code 143
says that training was asked to stop and has saved: both engines start such a run again. A job is named after
experiment, run and workdir, the same each time. Whatever comes from outside is quoted for the shell.

Sources: the task schema of SkyPilot 0.14 and the parser of xpk 1.16, against which tests/launch checks every file.
"""

import hashlib
import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from launch import machines
from t2jax.slices import Slice

MARK = '# Written by launch/engines.py'  # every file has it at its top; any other file is somebody else's
RESUME = 128 + signal.SIGTERM
LONGEST_NAME = 28  # of a job, for xpk: 63 characters of a node pool less what Kueue, JobSet and GKE put around it
Row = dict[str, Any]  # of `t2jax inspect --json`


@dataclass(frozen=True)
class Study:
    """The runs that an engine is to train, and where."""

    experiment: str  # its path in the repository
    workdir: str
    shards: str | None
    tpu: Slice
    mfu: float  # that the estimate takes
    runs: tuple[Row, ...]  # the longest first
    spot: bool = False
    max_restarts: int | None = None  # None: the engine's usual number

    def job_name(self, run: str) -> str:
        """Return a name for a run that SkyPilot and Kubernetes allow."""
        slug = re.sub(r'[^a-z0-9]+', '-', f'{Path(self.experiment).stem}-{run}'.lower()).strip('-')
        slug = slug if slug[:1].isalpha() else f'run-{slug}'
        digest = hashlib.sha256(f'{self.workdir} {self.experiment} {run}'.encode()).hexdigest()[:8]
        return f'{slug[: LONGEST_NAME - 9].rstrip("-")}-{digest}'

    def train(self, run: str, distributed: bool) -> str:
        """Return the shell's words for training a run, all but the first, which is t2jax."""
        words = ['train', self.experiment, '--run', run, '--workdir', self.workdir]
        words += ['--shards', self.shards] if self.shards else []
        return shlex.join([*words, '--distributed'] if distributed else words)

    def estimate(self, runs: Sequence[Row]) -> list[str]:
        """Tabulate what runs take, as comments."""
        table = [('run', 'N', 'D', 'hours', 'dollars')]
        for run in runs:
            hours, dollars = f'{run["hours"]:.4g}', f'{run["dollars"]:,.2f}'
            table.append((run['run'], f'{run["params"]:,}', f'{run["tokens"]:.4g}', hours, dollars))
        if runs[1:]:
            hours, dollars = (sum(run[key] for run in runs) for key in ('hours', 'dollars'))
            table.append((f'{len(runs)} runs', '', '', f'{hours:,.1f}', f'{dollars:,.0f}'))
        widths = [max(map(len, column)) for column in zip(*table)]
        rows = ['  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table]
        note = f'on {self.tpu}, at {self.mfu:.0%} of its peak and the price on demand, by t2jax inspect'
        return [f'# {note}:', '#', *(f'#     {row}' for row in rows), '#']


class _Dumper(yaml.SafeDumper):
    """Writes scripts as they are, line by line."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar('tag:yaml.org,2002:str', text, style='|' if '\n' in text else None)


_Dumper.add_representer(str, _represent_text)


def skypilot_files(study: Study, repository: str, commit: str, zone: str | None, out: Path) -> dict[str, str]:
    """Return a task file for each run, and what to do with them, by name."""
    if study.tpu.count > 1:
        raise ValueError(f'SkyPilot gives a job one TPU slice, not {study.tpu}; use --slices 1 or --engine xpk')
    distributed = machines.hosts(study.tpu) > 1
    environment = f'"$HOME"/{shlex.quote(f"t2jax-{commit}")}'
    files = {}
    for number, run in enumerate(study.runs, 1):
        name = study.job_name(run['run'])
        task = {
            'name': name,
            'resources': {
                'infra': f'gcp/{zone.rpartition("-")[0]}/{zone}' if zone else 'gcp',
                'accelerators': f'tpu-{machines.accelerator_type(study.tpu)}',
                'accelerator_args': {'runtime_version': machines.runtime_version(study.tpu)},
                'use_spot': study.spot,
                'job_recovery': {
                    'max_restarts_on_errors': 3 if study.max_restarts is None else study.max_restarts,
                    'recover_on_exit_codes': [RESUME],
                },
            },
            'workdir': {'url': repository, 'ref': commit},
            'setup': f'bash launch/setup.sh "$PWD" {environment} tpu\n',
            # exec: a signal to stop then reaches training itself
            'run': f'exec {environment}/bin/t2jax {study.train(run["run"], distributed)}\n',
        }
        file = f'{number:03}-{name}.yaml'
        head = [f'{MARK}: a SkyPilot managed job that trains {run["run"]} of {study.experiment}', '#']
        head += [*study.estimate([run]), f'# sky jobs launch -y -d {file}', '']
        files[file] = '\n'.join(head) + yaml.dump(task, Dumper=_Dumper, sort_keys=False, width=10_000)
    submit = f'for file in {shlex.quote(str(out))}/*.yaml; do sky jobs launch -y -d "$file"; done'
    lines = [f'{MARK}: SkyPilot managed jobs that train {study.experiment} at {commit}, longest first', '#']
    lines += [*study.estimate(study.runs), '# For a private repository set GIT_TOKEN or GIT_SSH_KEY_PATH. Then:']
    return {**files, 'README.txt': '\n'.join([*lines, '', submit, ''])}


def xpk_files(
    study: Study, cluster: str, zone: str, project: str, image: str | None, base_image: str | None, priority: str
) -> dict[str, str]:
    """Return a script that creates a workload for each run, by name."""
    if (image is None) == (base_image is None):
        raise ValueError('--engine xpk needs an image; give either --docker-image or --base-docker-image')
    if machines.accelerator_type(study.tpu) in ('v5litepod-1', 'v5litepod-4'):
        raise ValueError(f'xpk has no {study.tpu.topology}; its smallest slice of v5e is v5e:2x4')
    # xpk's hosts have four chips at most, also where a TPU VM of the slice has eight
    distributed = study.tpu.count > 1 or study.tpu.chips > 4
    flags = {'cluster': cluster, 'zone': zone, 'project': project}
    flags |= {'tpu-type': machines.accelerator_type(study.tpu), 'num-slices': str(study.tpu.count)}
    if image:
        flags['docker-image'], before, note = image, '', _IMAGE
    else:
        flags |= {'base-docker-image': base_image, 'script-dir': '.'}
        before, note = "pip install --quiet '.[tpu]' && ", _BASE_IMAGE
    flags |= {
        'priority': priority,
        'max-restarts': '100' if study.max_restarts is None else str(study.max_restarts),
        'restart-on-exit-codes': str(RESUME),
        'termination-grace-period-seconds': '120',
    }
    words = [f'--{flag}={value}' for flag, value in flags.items()] + (['--spot'] if study.spot else [])
    lines = []
    for run in study.runs:
        # exec: xpk sends a signal to stop to this process alone, which has to be training itself
        command = f'{before}exec t2jax {study.train(run["run"], distributed)}'
        workload = f'--workload={study.job_name(run["run"])}'
        lines.append(shlex.join(['xpk', 'workload', 'create', workload, *words, f'--command={command}']))
    head = ['#!/usr/bin/env bash', f'{MARK}: xpk workloads that train {study.experiment}, longest first', '#']
    head += [*study.estimate(study.runs), *note, '#', *_RESTARTS, '', 'set -euo pipefail', '']
    return {'workloads.sh': '\n'.join([*head, *lines, ''])}


_IMAGE = [
    '# Of the image: its working directory is this repository, with t2jax installed, as by',
    '#',
    '#     FROM python:3.12',
    '#     WORKDIR /t2jax',
    '#     COPY . .',
    "#     RUN pip install '.[tpu]'",
]
_BASE_IMAGE = ['# Run it in a checkout of this repository, which xpk puts on top of the base image.']
_RESTARTS = [
    '# A restart goes on from the last checkpoint. A machine that is taken away counts as one, and so does a stop with',
    '# exit code 143; an error (exit codes 1 and 2) ends a workload. Where one of that name is there already, xpk asks',
    '# whether to overwrite it, and a no ends this script.',
]
