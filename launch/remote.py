"""Commands on the hosts of TPU VMs, by way of `gcloud compute tpus tpu-vm ssh` and `scp`.

Words of a command are quoted for the host's shell; no shell of this machine sees them. gcloud runs a command anew, up
to ten times, where its connection was lost: a command must bear being run twice.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from launch import lifecycle, queued
from launch.gcloud import Gcloud, GcloudError, explain, run

_PAUSES = (5.0, 15.0, 30.0)  # between attempts to reach hosts, which may be booting

_IN_VAIN = re.compile('No such file or directory|not a regular file')  # what scp says


class Gone(Exception):
    """The hosts were taken away; the message is one sentence."""


@dataclass(frozen=True)
class Hosts:
    """All hosts of some TPU VMs."""

    gcloud: Gcloud
    zone: str
    nodes: Sequence[str]
    internal_ips: bool = False
    why_gone: Callable[[], str | None] = lambda: None  # a sentence, once they were taken away

    def ssh(self, *words: str, timeout: float = 300, tries: int = 4) -> list[str]:
        """Run a command on all of them at once; return what each node's hosts have printed.

        Raises GcloudError where one fails, Gone where they are no more.
        """
        return self._try([self._ssh(node, 'all', words) for node in self.nodes], timeout, tries)

    def send(self, files: Sequence[Path], where: str = '', timeout: float = 900) -> None:
        """Copy files to all of them: below their homes, or to a file `where` there."""
        commands = [self._scp([*map(str, files), f'{node}:{where}'], 'all') for node in self.nodes]
        self._try(commands, timeout, 4)

    def fetch(self, remote: str, local: str) -> None:
        """Copy a file or folder of the first host to this machine."""
        self._try([self._scp([f'{self.nodes[0]}:{remote}', local, '--recurse'], '0')], 3600, 3)

    def listen(self, *words: str) -> list[str]:
        """Return the command that runs `words` on the first host."""
        return self._ssh(self.nodes[0], '0', words)

    def _ssh(self, node: str, worker: str, words: Sequence[str]) -> list[str]:
        return ['compute', 'tpus', 'tpu-vm', 'ssh', node, *self._where(worker, f'--command={shlex.join(words)}')]

    def _scp(self, words: Sequence[str], worker: str) -> list[str]:
        return ['compute', 'tpus', 'tpu-vm', 'scp', *words, *self._where(worker)]

    def _where(self, worker: str, *more: str) -> list[str]:
        inside = ['--internal-ip'] if self.internal_ips else []
        return [f'--zone={self.zone}', f'--worker={worker}', *more, *inside]

    def _try(self, commands: Sequence[Sequence[str]], timeout: float, tries: int) -> list[str]:
        for command in commands:
            self.gcloud.say(shlex.join(self.gcloud.line(*command)))
        if self.gcloud.dry_run:
            return []
        for attempt in range(tries):
            try:
                return run_all([self.gcloud.line(*command) for command in commands], timeout)
            except GcloudError as error:
                if gone := self.why_gone():
                    raise Gone(gone) from error
                if error.hopeless or _IN_VAIN.search(error.said) or attempt == tries - 1:
                    raise
                pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
                self.gcloud.say(f'{error}; again in {pause:.0f} s')
            time.sleep(pause)
        raise AssertionError('not reached')


def hosts_of(gcloud: Gcloud, name: str, zone: str, nodes: Sequence[str], internal_ips: bool) -> Hosts:
    """Return the hosts of a request of ours."""

    def why_gone() -> str | None:
        with contextlib.suppress(GcloudError):
            found = lifecycle.look(gcloud, name, zone)
            if found is None or found.state in (*queued.ENDED, *queued.ENDING):
                state = found.state if found else 'gone'
                return f'{name} in {zone} is {state}{lifecycle.why(found)}: its TPUs were taken away'
        return None

    return Hosts(gcloud, zone, nodes, internal_ips, why_gone)


def hosts_of_vm(gcloud: Gcloud, name: str, zone: str, internal_ips: bool) -> Hosts:
    """Return the hosts of a TPU VM, whosever."""

    def why_gone() -> str | None:
        with contextlib.suppress(GcloudError):
            return lifecycle.vm_gone(gcloud, name, zone)
        return None

    return Hosts(gcloud, zone, [name], internal_ips, why_gone)


@contextlib.contextmanager
def connection(line: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command whose output is read as it comes, and end it whatever happens."""
    with subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            end(process)


def run_all(lines: Sequence[Sequence[str]], timeout: float) -> list[str]:
    """Run commands at once and return what each printed; raises GcloudError where one fails or takes too long.

    None is left running, also after an interrupt.
    """
    if len(lines) == 1:
        return [run(lines[0], timeout).decode('utf-8', 'replace')]
    stop = time.monotonic() + timeout
    with contextlib.ExitStack() as stack:
        running = []
        for line in lines:
            out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
            stack.callback(end, process)
            running.append((process, out, err))
        while any(process.poll() is None for process, *_ in running):
            if time.monotonic() > stop:
                raise GcloudError(f'{shlex.join(lines[0][:5])} did not end within {timeout:g} s; it was stopped')
            time.sleep(0.05)
        said = []
        for line, (process, *files) in zip(lines, running):
            texts = []
            for file in files:
                file.seek(0)
                texts.append(file.read().decode('utf-8', 'replace'))
            if process.returncode:
                raise GcloudError(explain(shlex.join(line[:6]), texts[1].strip(), process.returncode), texts[1])
            said.append(texts[0])
    return said


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command with all that it started, if it runs."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
