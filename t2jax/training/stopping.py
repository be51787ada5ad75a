"""Requests to stop a run: Ctrl-C, SIGTERM and the notice before a spot machine is taken away.

The first request is noted, and the loop saves after the steps under way; a second Ctrl-C stops at once. Several hosts
have to stop at one step: there jax's preemption service owns SIGTERM and tells every host of it, and Ctrl-C is passed
on to that service. Only the main thread may handle signals; runs in other threads are stopped by `should_stop`.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

import jax
from jax.experimental import multihost_utils


class Stopped(KeyboardInterrupt):
    """Training was asked to stop, and everything up to then is saved; `code` is the exit code to end with."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


class StopRequests:
    """Takes requests to stop while it is entered, and then gives the signals back."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self.code: int | None = None  # once asked: 128 and the signal's number
        self._should_stop = should_stop
        self._several = jax.distributed.is_initialized()
        self._calls, self._before = 0, {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT,) if self._several else (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def reached(self) -> bool:
        """Tell whether to stop here; call once before every dispatch, on every host."""
        self._calls += 1  # the service picks a number of calls that no host has reached yet
        if self._several and multihost_utils.reached_preemption_sync_point(self._calls):
            self.code = 128 + signal.SIGTERM
        elif self._should_stop():
            self.code = 128 + signal.SIGINT
        return self.code is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, self._before[number])
        print('\nstopping: the steps under way are finished and saved; again to stop at once', file=sys.stderr)
        if self._several:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self.code = 128 + number
