"""Jobs: one command on all hosts of some slices at once, which outlives the connection that started it.

A job runs in a session of its own on every host, and its log is a file there (`launch/remote.sh`). Every piece of the
log comes with its offset: after a lost connection, or one that gcloud has made anew by itself, no byte is written twice
and none is left out.
"""

import base64
import os
import re
import select
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from launch.gcloud import GcloudError
from launch.lifecycle import Ended
from launch.remote import Gone, Hosts, connection

SCRIPT = Path(__file__).with_name('remote.sh')
AT = 't2jax-remote.sh'  # where it is on a host
SILENCE = 90.0  # seconds without a sign of life after which a connection counts as lost
FOLLOW = 300  # seconds that a log is followed until the other hosts are looked at
STOPPING = 60  # seconds that hosts get to end when the first has ended, and again when killed
RESUME = 143  # exit code of what was asked to stop, and has saved (t2jax.training.stopping)
_STATE = re.compile(r'^(code \d+|running|lost|absent) end$', re.MULTILINE)
_PIECE = re.compile(rb'(\d+) ([A-Za-z0-9+/=]+)')
_PAUSE = 5.0  # seconds at most between two connections


class Job:
    """One command on all hosts at once."""

    def __init__(self, hosts: Hosts, name: str, patience: float) -> None:
        self.hosts, self.name = hosts, name
        self.patience = patience  # seconds that the hosts may be out of reach
        self.reached = 0  # bytes of the log that are written here

    def attach(self) -> None:
        """Make every host able to tell of it."""
        self.hosts.send([SCRIPT], AT)

    def start(self, command: Sequence[str]) -> None:
        """Start it on every host; where it was started before, that one goes on."""
        self.attach()
        said = self.hosts.ssh('bash', AT, 'start', self.name, *command)
        if not all('started end' in one for one in said):
            raise GcloudError(f'job {self.name} did not start on every host; run it again')

    def follow(self, out: BinaryIO, limit: float | None = None, alone: bool = False) -> str:
        """Write the first host's log as it grows until the job ends there; return its state then.

        Returns 'running' after `limit` seconds, or, unless `alone`, once it has failed on another host. Raises Gone, or
        Ended where the host is out of reach for longer than `patience`.
        """
        start = heard = time.monotonic()
        words = ('bash', AT, 'follow', self.name)
        line = self.hosts.gcloud.line(*self.hosts.listen(*words, str(self.reached), str(FOLLOW)))
        self.hosts.gcloud.say(shlex.join(line))
        if self.hosts.gcloud.dry_run:
            return 'code 0'
        while True:
            rest = FOLLOW if limit is None else max(0, min(FOLLOW, start + limit - time.monotonic()))
            line = self.hosts.gcloud.line(*self.hosts.listen(*words, str(self.reached), f'{rest:.0f}'))
            state, last, whole = self._listen(line, out)
            if state:
                return state
            heard = last or heard
            if limit is not None and time.monotonic() >= start + limit:
                return 'running'
            if whole:
                if not alone and any(one not in ('running', 'code 0') for one in self.wait(0)):
                    return 'running'  # another host has failed
                continue
            if gone := self.hosts.why_gone():
                raise Gone(gone)
            silent = time.monotonic() - heard
            if silent > self.patience:
                raise Ended(f'{self.hosts.nodes[0]} is out of reach for {silent:.0f} s now; the job may go on there')
            self.hosts.gcloud.say(f'lost the connection to {self.hosts.nodes[0]}; the job goes on, connecting again')
            time.sleep(min(_PAUSE, max(0.2, silent)))

    def wait(self, limit: float) -> list[str]:
        """Return the state of the job on every host, once it has ended there or `limit` seconds later."""
        said = self.hosts.ssh('bash', AT, 'wait', self.name, f'{limit:.0f}', timeout=limit + 120)
        return [state for one in said for state in _STATE.findall(one)]

    def stop(self, name: str = 'TERM') -> None:
        """Send its process group a signal, on every host."""
        self.hosts.ssh('bash', AT, 'stop', self.name, name, timeout=120, tries=2)

    def finish(self) -> int:
        """Return its exit code once the first host has ended, or another failed: the first that is not 0.

        Hosts that go on are stopped.
        """
        states = self.wait(STOPPING)
        for name in ('TERM', 'KILL'):
            if 'running' in states:
                self.hosts.gcloud.say(
                    f'the job goes on on {states.count("running")} hosts alone; {name} stops it there'
                )
                self.stop(name)
                before, states = states, self.wait(STOPPING)
                states = [one for one in before if one != 'running'] + states  # the failure before what it led to
        if any(state in ('lost', 'absent', 'running') for state in states):
            self.hosts.gcloud.say('the job ended without an exit code: it was killed, or its host has restarted')
        codes = [int(state[5:]) if state.startswith('code ') else 1 for state in states]
        return next((code for code in codes if code), 0)

    def _listen(self, line: Sequence[str], out: BinaryIO) -> tuple[str | None, float | None, bool]:
        """Follow the log over one connection: (state at the end, when something last came, whether it ended well)."""
        last, rest = None, b''
        with connection(line) as process:
            source = process.stdout
            while True:
                if not select.select([source], [], [], SILENCE)[0]:
                    return None, last, False
                data = os.read(source.fileno(), 1 << 16)
                *lines, rest = (rest + data).split(b'\n')
                for text in lines:
                    if match := _STATE.fullmatch(text.decode('latin-1')):
                        return match[1], time.monotonic(), True
                    self._write(text, out)
                if not data:
                    return None, last, process.wait() == 0
                last = time.monotonic()

    def _write(self, line: bytes, out: BinaryIO) -> None:
        match = _PIECE.fullmatch(line)
        if not match or int(match[1]) > self.reached:
            return
        text = match[2][: len(match[2]) // 4 * 4]  # a line may be cut short
        new = base64.b64decode(text)[self.reached - int(match[1]) :]
        self.reached += len(new)
        out.write(new)
        out.flush()
