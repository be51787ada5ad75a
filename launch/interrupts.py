"""Ctrl-C, SIGTERM and a closed terminal, each as one exception at a place that can bear it.

A signal raises Interrupted in the main thread and disarms: one that comes while things are being cleaned up is only
kept, until `arm` raises it. So a `finally` that gives TPUs back is never cut short by a second Ctrl-C.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """This process was asked to stop; `code` is the exit code to end with."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class Interrupts:
    """Takes the signals while it is entered."""

    def __init__(self) -> None:
        self._armed, self._kept, self._before = True, 0, {}

    def __enter__(self) -> Self:
        for number in _NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def arm(self) -> None:
        """Let the next signal raise Interrupted, or one that was kept do so now."""
        if self._kept:
            number, self._kept = self._kept, 0
            raise Interrupted(number)
        self._armed = True

    def disarm(self) -> None:
        """Keep signals from here on."""
        self._armed = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep signals that come inside, and raise one of them at the end."""
        before, self._armed = self._armed, False
        try:
            yield
        finally:
            if before:
                self.arm()

    def _take(self, number: int, frame: FrameType | None) -> None:
        if not self._armed:
            self._kept = number
            return
        self._armed = False
        raise Interrupted(number)
