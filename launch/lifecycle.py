"""The life of a request for one or more slices that slices.py asked for: made, waited for, given back.

What is ours carries the label t2jax=slice, and that of a job t2jax-job=JOB besides: nothing without it is deleted.
"""

import dataclasses
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from launch import queued
from launch.gcloud import Gcloud, GcloudError
from launch.queued import QueuedResources, Request, Seen

OURS, OF_JOB = ('t2jax', 'slice'), 't2jax-job'
GUARD = Path(__file__).with_name('guard.sh')
_VM_GONE = ('gone', 'PREEMPTED', 'TERMINATED', 'STOPPED', 'STOPPING', 'DELETING', 'HIDDEN')
_UNITS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}
_PAUSES = (0, 2, 5, 10, 20, 40, 60)  # between attempts to delete, in seconds
_POLL = (1.0, 15.0)  # seconds between looks at a request that waits: at first, at last
_REPORT = 300.0  # seconds between progress lines where nothing has changed and nobody watches


class Ended(Exception):
    """A request has come to its end without being given back; the message is one sentence."""


def is_ours(seen: Seen) -> bool:
    """Tell whether slices.py asked for a request."""
    return seen.labels.get(OURS[0]) == OURS[1]


def seconds(duration: str) -> float:
    """Read a duration as gcloud writes it, e.g. 90s, 30m or 1h30m; raises ValueError."""
    parts = re.findall(r'(\d+)([smhd])', duration)
    if not parts or ''.join(map(''.join, parts)) != duration:
        raise ValueError(f'{duration!r} is no duration; write it like 90s, 30m, 6h or 1h30m')
    return float(sum(int(number) * _UNITS[unit] for number, unit in parts))


def look(gcloud: Gcloud, name: str, zone: str) -> Seen | None:
    """Return a request, or None where there is none; a dry run prints the command and returns None."""
    if gcloud.dry_run:
        gcloud.change(*queued.describe_arguments(name, zone), '--format=json')
        return None
    return QueuedResources(gcloud).describe(name, zone)


def find_ours(gcloud: Gcloud, name: str, zone: str) -> Seen:
    """Return a request of ours; raises ValueError where there is none, or it is somebody else's.

    In a dry run it is taken to have one slice.
    """
    found = look(gcloud, name, zone)
    if gcloud.dry_run:
        return Seen(name, queued.ACTIVE, '', dict([OURS]), (name,))
    if found is None:
        raise ValueError(f'there is no queued resource {name} in {zone}; --vm if it is the name of a TPU VM')
    if not is_ours(found):
        raise ValueError(
            f'the queued resource {name} in {zone} has no label {"=".join(OURS)}: this script did not ask for it, and '
            'leaves it alone (--vm and the name of its TPU VM to use it as it is)'
        )
    return found


def check_free(gcloud: Gcloud, request: Request) -> None:
    """Raise ValueError where there is a request of that name, whosever."""
    found = look(gcloud, request.name, request.zone)
    if found:
        whose = 'ours' if is_ours(found) else f'not ours (no label {"=".join(OURS)})'
        raise ValueError(
            f'there is a queued resource {request.name} in {request.zone} already, {found.state} and {whose}; '
            'choose another name'
        )


def ask_for(gcloud: Gcloud, request: Request, job: str | None = None, idle: float = 0) -> None:
    """Ask for slices; with a job, they delete themselves where no job has been on them for `idle` seconds.

    Raises GcloudError, also where the name is taken.
    """
    request = dataclasses.replace(request, labels=(OURS,))
    if job:
        if re.search(r'[,=]', str(GUARD)):
            raise ValueError(f'{GUARD} has a comma or = in its path, which gcloud cannot pass on; move the repository')
        values = ('t2jax-request', request.name), ('t2jax-zone', request.zone), ('t2jax-idle', f'{idle:.0f}')
        labels = (OURS, (OF_JOB, job))
        request = dataclasses.replace(request, labels=labels, metadata=values, startup_script=GUARD)
    gcloud.change(*request.arguments(), timeout=120)


def wait_until_active(gcloud: Gcloud, name: str, zone: str, limit: float, say: Callable[[str], None]) -> None:
    """Wait until a request has its TPUs, and say how long it has waited.

    Raises Ended where it will never have any, or has none after `limit` seconds; GcloudError.
    """
    start = time.monotonic()
    pause, said, faults, absent = _POLL[0], ('', -_REPORT), 0, 0
    while True:
        try:
            found, faults = look(gcloud, name, zone), 0
        except GcloudError as error:
            faults += 1
            if error.hopeless or faults == 5:
                raise
            time.sleep(pause)
            continue
        if gcloud.dry_run:
            return
        waited = time.monotonic() - start
        absent = 0 if found else absent + 1
        state = found.state if found else 'not there yet'
        if found and state == queued.ACTIVE:
            say(f'{name} is ACTIVE, after {spell(waited)}')
            return
        if (found and state in (*queued.ENDED, *queued.ENDING)) or absent == 5:
            raise Ended(f'{name} in {zone} is {state if found else "gone"}{why(found)}')
        if waited > limit:
            raise Ended(f'{name} in {zone} is still {state} after {spell(waited)}; try another zone, kind or time')
        line = f'{name} is {state}, waiting for {spell(waited)} of at most {spell(limit)}'
        if sys.stderr.isatty():
            print(f'\r{line}\033[K', end='', file=sys.stderr, flush=True)
        elif state != said[0] or waited - said[1] >= _REPORT:
            say(line)
            said = (state, waited)
        time.sleep(min(pause, limit - waited + 0.01))
        pause = min(pause * 1.5, _POLL[1])


def vm_gone(gcloud: Gcloud, name: str, zone: str) -> str | None:
    """Return a sentence where a TPU VM is no more; raises GcloudError."""
    try:
        found = gcloud.ask_json('compute', 'tpus', 'tpu-vm', 'describe', name, f'--zone={zone}', timeout=60)
        state = str(found['state'])
    except GcloudError as error:
        if not error.lacks(name):
            raise
        state = 'gone'
    except (KeyError, TypeError):
        return None
    return f'{name} in {zone} is {state}' if state in _VM_GONE else None


def why(found: Seen | None) -> str:
    """Return what gcloud says of a request's end, to follow a sentence."""
    return f': {found.said.rstrip(". ")}' if found and found.said else ''


def spell(duration: float) -> str:
    """Write a number of seconds for a person."""
    if duration < 60:
        return f'{duration:.0f} s'
    return f'{duration / 60:.0f} min' if duration < 5400 else f'{duration / 3600:.1f} h'


def give_back(gcloud: Gcloud, name: str, zone: str, say: Callable[[str], None], job: str | None = None) -> bool:
    """Delete a request of ours, with `job` that job's only, and look whether it is gone; return whether it is.

    Never raises GcloudError: what fails is tried again, and said loudly in the end.
    """
    if gcloud.dry_run:
        gcloud.change(*queued.delete_arguments(name, zone))
        look(gcloud, name, zone)
        return True
    absent, problem = 0, 'it is still there'
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            found = look(gcloud, name, zone)
            if found is None:
                absent += 1  # what was asked for a moment ago may only be about to appear
                if absent == 2:
                    return True
                continue
            if not is_ours(found) or (job and found.labels.get(OF_JOB) != job):
                say(f'{name} in {zone} is not ours: it is left alone')
                return True
            absent = 1
            if found.state == 'DELETING':
                say(f'{name} is being deleted')
                return True
            gcloud.change(*queued.delete_arguments(name, zone), timeout=120)
            found = look(gcloud, name, zone)
            if found is None or found.state == 'DELETING':
                say(f'{name} is {"being deleted" if found else "deleted"}')
                return True
        except GcloudError as error:
            problem = str(error)
            say(problem)
    line = ' '.join(gcloud.line(*queued.delete_arguments(name, zone)))
    say(f'\nNOT DELETED: {name} in {zone} may go on costing money ({problem}). Delete it yourself:\n\n    {line}\n')
    return False
