"""One host of a slice, at work for a sweep: `python -m launch.host SLICE gs://BUCKET/FOLDER/sweep`, by host.sh.

Which host this is, and whether it is about to be taken away, its metadata server knows (the Compute Engine
documentation's pages "About VM metadata" and "Create and use Spot VMs"; `tpu-env` is what jax itself reads).
"""

import argparse
import contextlib
import os
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from launch.bucket import GcloudBucket, check_clock
from launch.gcloud import Gcloud, GcloudError
from launch.plan import Plan, read_plan
from launch.programs import Process
from launch.worker import LEADERLESS, Follower, Leader

CALL_SECONDS = 30.0  # for a call of gcloud, so that a claim is prolonged in time
SYNC_SECONDS = 300.0  # for compiled programs
NOTICE_SECONDS = 2.0  # between two looks at the metadata server
NOTICES = {'preempted': 'TRUE', 'maintenance-event': 'TERMINATE_ON_HOST_MAINTENANCE'}
LEADERLESS_CODE = 3  # the first host is gone: whoever notices gives the slice back (host.sh)


class SystemClock:
    """The time of this machine."""

    def now(self) -> float:
        """As Clock.now."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """As Clock.sleep."""
        time.sleep(seconds)


class Machine:
    """This machine: its metadata, its programs, its compile cache."""

    def __init__(self, root: Path, address: str, name: str) -> None:
        self.root, self.address, self.name = root, address, name
        self.gcloud = Gcloud(say=say, patience=CALL_SECONDS)
        self.index = host_index()
        self._noticed = threading.Event()
        self._program: Process | None = None
        threading.Thread(target=self._listen, daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):  # a machine that is shut down sends them
            signal.signal(number, self._note)

    def start(self, command: Sequence[str], run: str, until: float) -> Process:
        """As Host.start."""
        env = {**os.environ, 'JAX_COMPILATION_CACHE_DIR': str(self.cache), 'PYTHONUNBUFFERED': '1'}
        env['PATH'] = os.pathsep.join([str(Path(sys.executable).parent), env['PATH']])
        self._program = Process(command, self.log(run), until, env)
        return self._program

    def notice(self) -> bool:
        """As Host.notice."""
        return self._noticed.is_set()

    def keep(self, run: str, all_of_it: bool) -> None:
        """As Host.keep: the log of a run, and what was compiled."""
        try:
            where = f'{self.address}/logs/{run}/{self.name}-{self.index}.log'
            self.gcloud.ask('storage', 'cp', str(self.log(run)), where)
            if all_of_it and self.index == 0 and self.cache.exists():
                into = f'{self.address}/compiled'
                self.gcloud.ask('storage', 'rsync', '--recursive', str(self.cache), into, timeout=SYNC_SECONDS)
        except GcloudError as error:
            say(str(error))

    def fetch_compiled(self) -> None:
        """Bring what other slices have compiled; without it the first steps take longer."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(GcloudError):
            out_of = f'{self.address}/compiled'
            self.gcloud.ask('storage', 'rsync', '--recursive', out_of, str(self.cache), timeout=SYNC_SECONDS)

    @property
    def cache(self) -> Path:
        """Where jax keeps compiled programs: on this machine's own disk."""
        return self.root / 'compiled'

    def log(self, run: str) -> Path:
        """Where a run's programs write."""
        return self.root / 'logs' / f'{run}.log'

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noticed.set()

    def _listen(self) -> None:
        """Ask again and again, and pass a notice on at once: there are 30 s, and a call of gcloud may take them."""
        while True:
            for name, value in NOTICES.items():
                with contextlib.suppress(OSError):
                    if metadata(name) == value:
                        self._noticed.set()
            if self._noticed.is_set() and self._program:
                self._program.terminate()
            time.sleep(NOTICE_SECONDS)


def metadata(name: str) -> str:
    """Return a value of this machine's metadata server; raises OSError where there is none."""
    server = os.environ.get('GCE_METADATA_HOST', 'metadata.google.internal')
    address = f'http://{server}/computeMetadata/v1/instance/{name}'
    request = urllib.request.Request(address, headers={'Metadata-Flavor': 'Google'})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode().strip()


def patiently(name: str, tries: int = 10) -> str:
    """Return a value of the metadata server, which may not be ready when a machine boots; raises OSError."""
    for pause in range(tries - 1):
        try:
            return metadata(name)
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == 404:
                raise
            time.sleep(pause)
    return metadata(name)


def host_index() -> int:
    """Return which host of all its slices this is: 0 is the first host of the first slice.

    Only 0 is of consequence, the others just differ. Raises OSError where the metadata server does not say.
    """
    worker = int(patiently('attributes/agent-worker-number'))
    try:
        described = patiently('attributes/tpu-env')
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return worker
    found = re.search(r"MEGASCALE_SLICE_ID:\s*'?(\d+)", described)
    return worker + 1000 * (int(found[1]) if found else 0)


def say(sentence: str) -> None:
    """Write to the host's log, with the time."""
    print(time.strftime('%H:%M:%S'), sentence, flush=True)


def prepare(bucket: GcloudBucket, clock: SystemClock, name: str) -> Plan:
    """Return the plan of the sweep; raises ValueError where there is none, or this machine's clock is off."""
    plan, _ = read_plan(bucket)
    if plan is None:
        raise ValueError(f'{bucket.address} has no plan of a sweep; start slices by launch/sweep.py')
    before = clock.now()
    bucket.write(name, {'time': before}, None)
    check_clock(bucket, name, before, clock.now())
    return plan


def insist(call: Callable[[], Plan], tries: int = 10) -> Plan:
    """Return what a call returns, trying again where gcloud fails."""
    for _ in range(tries - 1):
        try:
            return call()
        except GcloudError as error:
            say(f'{error}; asking again')
            time.sleep(10)
    return call()


def main() -> int:
    """Work until there is nothing left to claim, or a reason to end."""
    parser = argparse.ArgumentParser(description='Work for a sweep, as one host of a slice.')
    parser.add_argument('slice', help='name of the slice')
    parser.add_argument('sweep', help="the sweep's folder, gs://BUCKET/FOLDER/sweep")
    parser.add_argument('--hosts', type=int, default=1, help='how many hosts the slice has (default: 1)')
    parser.add_argument('--root', type=Path, required=True, help='folder on this machine')
    options = parser.parse_args()
    machine = Machine(options.root, options.sweep, options.slice)
    bucket, clock = GcloudBucket(machine.gcloud, options.sweep), SystemClock()
    machine.fetch_compiled()
    if machine.index:
        reason = Follower(options.slice, machine.index, bucket, clock, machine, say).work()
        say(reason)
        return LEADERLESS_CODE if reason == LEADERLESS else 0
    plan = insist(lambda: prepare(bucket, clock, f'hosts/{options.slice}.json'))
    Leader(options.slice, plan, bucket, clock, machine, say, options.hosts).work()
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (OSError, ValueError, GcloudError) as error:
        say(str(error))
        sys.exit(2)
