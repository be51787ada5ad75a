"""A program that a host runs for a sweep: started, watched by its log, asked to stop, killed."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

# Exit codes that mean: asked to stop, everything up to then is saved (t2jax.training.stopping), or not begun yet.
RESUME_CODES = (128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM, -signal.SIGINT)
WATCH_SECONDS = 0.5
_PERCENT = re.compile(rb'(\d{1,3})%\|')  # of a progress bar


class Program(Protocol):
    """What runs on this host."""

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""

    def allow(self, until: float) -> None:
        """Let it run until a time, at which it is killed whatever else this process is doing then."""

    def terminate(self) -> None:
        """Ask it to save and stop."""

    def kill(self) -> None:
        """End it and all its children at once, and wait until they have ended."""

    def share(self) -> float:
        """Return the share of its work that it says is done."""

    def silent(self) -> float:
        """Return for how many seconds it has said nothing."""


class Process:
    """A program as a process of this host, in a process group of its own, that ends with its parent."""

    def __init__(self, command: Sequence[str], log: Path, until: float, env: Mapping[str, str] | None = None) -> None:
        self._until, self._asked = until, False
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        # Should this process be killed, no training may go on that nobody renews the claim of.
        tied = ['setpriv', '--pdeathsig', 'KILL', '--'] if shutil.which('setpriv') else []
        with log.open('ab') as out:
            out.write(f'$ {" ".join(command)}\n'.encode())
            out.flush()
            self._process = subprocess.Popen(
                [*tied, *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(os.environ if env is None else env),
                process_group=0,
            )
        threading.Thread(target=self._watch, daemon=True).start()

    def poll(self) -> int | None:
        """As Program.poll."""
        return self._process.poll()

    def allow(self, until: float) -> None:
        """As Program.allow."""
        self._until = until

    def terminate(self) -> None:
        """As Program.terminate; only once, since training takes a second request for one to stop at once."""
        if not self._asked:
            self._asked = True
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """As Program.kill."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def share(self) -> float:
        """As Program.share: by the last progress bar in its log."""
        with contextlib.suppress(OSError), self.log.open('rb') as file:
            file.seek(max(0, self.log.stat().st_size - 4096))
            found = _PERCENT.findall(file.read())
            if found:
                return min(1.0, int(found[-1]) / 100)
        return 0.0

    def silent(self) -> float:
        """As Program.silent."""
        return time.time() - self.log.stat().st_mtime

    def _watch(self) -> None:
        while self._process.poll() is None:
            if time.time() >= self._until:
                self._signal(signal.SIGKILL)
            time.sleep(WATCH_SECONDS)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
