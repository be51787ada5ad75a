"""This repository at a commit, on hosts: a copy to each, and set-up there."""

import re
import tempfile
from pathlib import Path

from launch import repository
from launch.gcloud import check_name
from launch.jobs import AT, SCRIPT
from launch.remote import Hosts

SETUP = Path(__file__).with_name('setup.sh')
_EXTRA = re.compile(r'[a-z][a-z0-9-]{0,30}')
SETUP_SECONDS = 2400.0  # for downloads on a slow day


def install(hosts: Hosts, commit: str, extra: str) -> None:
    """Put the repository at a commit on every host and set it up, where that is not done; raises GcloudError, Gone."""
    with tempfile.TemporaryDirectory(prefix='t2jax-') as folder:
        path, setup = Path(folder) / f't2jax-{commit}.tar.gz', Path(folder) / 't2jax-setup.sh'
        if not hosts.gcloud.dry_run:
            repository.pack(commit, path)
            setup.write_bytes(SETUP.read_bytes())
            (Path(folder) / AT).write_bytes(SCRIPT.read_bytes())
        hosts.send([path, setup, Path(folder) / AT])
    hosts.ssh('bash', AT, 'install', commit, extra, timeout=SETUP_SECONDS, tries=2)


def check_extra(extra: str) -> str:
    """Return the name of an extra of setup.py; raises ValueError for what cannot be one."""
    return check_name(extra, _EXTRA, 'extra of setup.py', 'tpu')
