"""The life of the program that runs a sweep: alone, looking again and again, and on Ctrl-C leaving nothing behind."""

import contextlib
import os
import shlex
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from launch import status
from launch.bucket import GcloudBucket, check_clock, number
from launch.claims import Clock
from launch.controller import Controller
from launch.gcloud import GcloudError
from launch.ledger import Asked
from launch.plan import STOP
from launch.queued import delete_arguments

CONTROLLER = 'controller.json'  # who runs the sweep, and until when unless they say so again
REPORT_SECONDS = 600.0  # between two tables
SAVE_SECONDS = 240.0  # for slices to save what they train, after Ctrl-C: they look once a minute, and get two


def watch(controller: Controller, still_leading: Callable[[], None], poll: float) -> str:
    """Look after the slices until all is over, and say how far it is; return why it ended.

    Ctrl-C and SIGTERM stop the sweep, whatever was going on: raises KeyboardInterrupt once no slice is left.
    """
    say, said, reported = controller.say, '', 0.0
    try:
        while True:
            with patiently(say):
                still_leading()
                over = controller.tick()
                now = controller.clock.now()
                if over:
                    return controller.reason_to_stop(now) or 'nothing is left to train'
                text = status.line(controller.plan, totals(controller))
                if text != said and now > reported + REPORT_SECONDS:
                    reported = now
                    say(status.table_lines(controller.plan, table(controller), asked_of(controller), now))
                elif text != said:
                    say(time.strftime('%H:%M:%S ') + text)
                said = text
            time.sleep(poll)
    except KeyboardInterrupt:
        with patiently(say):
            still_leading()
        wind_up(controller, poll)
        raise


class TakenOver(Exception):
    """Another program runs the sweep now; the message is one sentence."""


def wind_up(controller: Controller, poll: float) -> None:
    """Let slices save what they train, then delete what is left; a second Ctrl-C deletes at once."""
    say = controller.say
    say('stopping: trainings save and slices end, for up to 4 minutes; Ctrl-C again deletes them at once')
    with contextlib.suppress(KeyboardInterrupt):
        deadline = time.monotonic() + SAVE_SECONDS
        stopped = False
        while time.monotonic() < deadline:
            with patiently(say):
                stopped = stopped or controller.bucket.write(STOP, {'reason': 'it was stopped by Ctrl-C'}, None)
                if controller.tick():
                    break
            time.sleep(min(poll, 5))
    try:
        while True:
            with patiently(say):
                if controller.delete_all():
                    return
            time.sleep(min(poll, 5))
    except KeyboardInterrupt:
        for sight in controller.sights:
            if sight.asked.gone is None:
                line = ['gcloud', *delete_arguments(sight.asked.name, sight.asked.zone)]
                say('not known to be deleted: ' + shlex.join([*line, f'--project={controller.plan.project}']))
        raise


@contextlib.contextmanager
def patiently(say: Callable[[str], None]) -> Iterator[None]:
    """Say what gcloud or a record refuses, and go on: the next look may find it mended."""
    try:
        yield
    except (GcloudError, ValueError, OSError) as error:
        say(str(error))


@contextlib.contextmanager
def leading(bucket: GcloudBucket, clock: Clock, poll: float) -> Iterator[Callable[[], None]]:
    """Be the only one who runs a sweep; yields what says that one still does, and raises TakenOver if not.

    Raises ValueError where another does, or where this machine's clock is not the bucket's.
    """
    me, lease = f'{socket.gethostname()}, process {os.getpid()}', max(300.0, 10 * poll)
    record, generation = bucket.read(CONTROLLER)
    by, expires = (str(record.get('by')), number(record, 'expires')) if record else ('', 0.0)
    if expires > clock.now() and not is_dead(by):
        until = time.strftime('%H:%M:%S', time.localtime(expires))
        raise ValueError(f'this sweep is run on {by}; stop that, or wait until {until} if it is no more')
    before = clock.now()
    if not bucket.write(CONTROLLER, {'by': me, 'expires': before + lease}, generation):
        raise ValueError('this sweep was started by somebody else just now; look at it with --status')

    def still() -> None:
        found, generation = bucket.read(CONTROLLER)
        if found and found.get('by') != me:
            raise TakenOver(f'the sweep was taken over by {found.get("by")}; this one ends, and deletes nothing')
        bucket.write(CONTROLLER, {'by': me, 'expires': clock.now() + lease}, generation)

    try:
        check_clock(bucket, CONTROLLER, before, clock.now())
        yield still
    finally:
        with contextlib.suppress(GcloudError, ValueError):
            found, generation = bucket.read(CONTROLLER)
            if found and found.get('by') == me:
                bucket.write(CONTROLLER, {'by': me, 'expires': 0.0}, generation)


def is_dead(by: str) -> bool:
    """Tell whether who led the sweep was a process of this machine that is no more."""
    host, _, process = by.partition(', process ')
    return host == socket.gethostname() and not Path(f'/proc/{process}').exists() and Path('/proc/self').exists()


def table(controller: Controller) -> list[dict[str, Any]]:
    """Return the rows of a sweep's status as the last tick found them."""
    return status.rows(controller.plan, controller.states, asked_of(controller))


def asked_of(controller: Controller) -> list[Asked]:
    """Return the account as the last tick found it."""
    return [sight.asked for sight in controller.sights]


def totals(controller: Controller) -> dict[str, Any]:
    """Return the sums of a sweep's status as the last tick found them."""
    return status.totals(table(controller), asked_of(controller), controller.clock.now())
