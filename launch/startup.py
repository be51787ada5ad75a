"""What a sweep's slices are given: jobs of an experiment, code at a commit, and the script that their hosts boot."""

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path

from launch import machines, repository
from launch.bucket import Bucket
from launch.claims import Job
from launch.gcloud import Gcloud
from launch.ledger import Asked
from launch.queued import QueuedResources, Request, Seen
from t2jax.slices import Slice


def find_jobs(
    experiment: str,
    workdir: str,
    tpu: Slice,
    mfu: float,
    names: Sequence[str] | None,
    score: Sequence[str],
    flags: Sequence[str],
) -> tuple[Job, ...]:
    """Return runs of a grid (None: all) as jobs, longest first, by what `t2jax inspect` says that they take on a slice.

    `flags` go to `t2jax train`; `score`, unless empty, to `t2jax score` of every trained run. Raises ValueError with
    what `t2jax inspect` says of a bad experiment, and for a run that there is not.
    """
    where = '--slice', tpu.topology, '--slices', str(tpu.count), '--mfu', repr(mfu)
    rows = repository.inspect(experiment, *where, *_config_flags(flags))['runs']
    jobs = []
    for row in repository.choose(experiment, rows, names):
        name = row['run']
        commands = [('train', experiment, '--run', name, '--workdir', workdir, *flags)]
        if score:
            commands.append(('score', f'{workdir}/runs/{name}', *score, '--out', f'{workdir}/scores'))
        commands = tuple(('python', '-m', 't2jax', *command) for command in commands)
        jobs.append(Job(name, row['train_flops'], row['hours'] * tpu.chips, commands))
    return tuple(jobs)


def _config_flags(flags: Sequence[str]) -> list[str]:
    """Drop what `train` takes and `inspect` does not."""
    flags = list(flags)
    for name in ('--shards', '--profile'):
        flags = [flag for flag in flags if not flag.startswith(f'{name}=')]
        while name in flags:
            at = flags.index(name)
            if at + 1 == len(flags) or flags[at + 1].startswith('--'):
                raise ValueError(f'{name} has no value; write it as {name} VALUE')
            del flags[at : at + 2]
    return flags


def upload_code(gcloud: Gcloud, bucket: Bucket, commit: str) -> None:
    """Put the repository at a commit into the bucket; also one that was never pushed anywhere."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f'{commit}.tar.gz'
        repository.pack(commit, path)
        gcloud.change('storage', 'cp', str(path), f'{bucket.address}/code/{path.name}', timeout=600)


def host_script(sweep: str, project: str, name: str, zone: str, hosts: int, commit: str) -> str:
    """Return what every host of a slice runs when it boots: the values of this slice, and host.sh."""
    values = {'SWEEP': sweep, 'PROJECT': project, 'SLICE': name, 'ZONE': zone, 'HOSTS': str(hosts), 'COMMIT': commit}
    lines = [f'T2JAX_{key}={shlex.quote(value)}' for key, value in values.items()]
    return '\n'.join(
        ['#!/usr/bin/env bash', *lines, (repository.ROOT / 'launch' / 'host.sh').read_text(encoding='utf-8')]
    )


class SweepSlices:
    """The slices of a sweep as queued resources; `like` has what is the same for all."""

    def __init__(self, gcloud: Gcloud, like: Request, sweep: str, commit: str, folder: Path) -> None:
        self.queued, self.like, self.sweep, self.commit, self.folder = (
            QueuedResources(gcloud),
            like,
            sweep,
            commit,
            folder,
        )

    def request(self, asked: Asked) -> Request:
        """Return what is asked of gcloud for a slice, once its script is written to `folder`."""
        values = {**vars(self.like), 'name': asked.name, 'zone': asked.zone}
        count, _, topology = asked.slice.rpartition(' x ')
        values['tpu'] = machines.find_slice(topology, int(count or 1))
        values['startup_script'] = self.folder / f'{asked.name}.sh'
        return Request(**values)

    def create(self, asked: Asked) -> None:
        """As Cloud.create."""
        request = self.request(asked)
        self.folder.mkdir(parents=True, exist_ok=True)
        script = host_script(
            self.sweep, self.queued.gcloud.project, asked.name, asked.zone, machines.hosts(request.tpu), self.commit
        )
        request.startup_script.write_text(script, encoding='utf-8')
        self.queued.create(request)

    def delete(self, name: str, zone: str) -> None:
        """As Cloud.delete."""
        self.queued.delete(name, zone)

    def list(self, zone: str) -> list[Seen]:
        """As Cloud.list."""
        return self.queued.list(zone)

    def describe(self, name: str, zone: str) -> Seen | None:
        """As Cloud.describe."""
        return self.queued.describe(name, zone)
