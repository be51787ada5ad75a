"""The queue of a sweep: who may train which run, and until when; and what became of every attempt.

    WORKDIR/sweep/runs/RUN.json   the attempts at one run. The last one is open as long as its slice has a claim on the
                                  run: until `expires`, which the slice puts off while it works

The one invariant: at no time do two slices hold a claim on one run. An attempt is opened, prolonged and closed only by
writing over the generation that was read (`launch.bucket`), and a slice that cannot prolong its claim stops training
GRACE seconds before it ends; another waits SKEW seconds after its end, since clocks differ.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from launch.bucket import ABSENT, Bucket, Record

SKEW = 30.0
GRACE = 30.0
# How an attempt ends. Those of the last line count against the retries of a run.
DONE = 'done'
RESUME = 'resume'  # it was asked to stop, and has saved a checkpoint
GONE = 'gone'  # its slice was taken away
FORGIVEN = 'forgiven'  # failed, and then allowed again by a person
FAILED, LOST = 'failed', 'lost'  # an exit code that is none of the others; a claim that ran out


class Clock(Protocol):
    """Time, in seconds since 1970."""

    def now(self) -> float:
        """Return the time."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


@dataclass(frozen=True)
class Attempt:
    """One slice's time with a run."""

    slice: str
    started: float
    expires: float
    ended: float | None = None
    outcome: str | None = None
    code: int | None = None  # exit code of what ran


@dataclass(frozen=True)
class Job:
    """One run of a sweep: what it takes, as `t2jax inspect` estimates it, and how it is trained."""

    name: str
    flops: float  # 6 N D
    chip_hours: float
    commands: tuple[tuple[str, ...], ...]  # run one after another on every host


@dataclass(frozen=True)
class State:
    """What became of a run so far."""

    attempts: tuple[Attempt, ...] = ()
    share: float = 0.0  # of it that is trained, as last heard

    @property
    def open(self) -> Attempt | None:
        """The attempt under way."""
        return self.attempts[-1] if self.attempts and self.attempts[-1].ended is None else None

    @property
    def done(self) -> bool:
        """Whether it is trained."""
        return bool(self.attempts) and self.attempts[-1].outcome == DONE

    def failures(self) -> int:
        """Count the attempts that count against its retries."""
        return sum(attempt.outcome in (FAILED, LOST) for attempt in self.attempts)

    def given_up(self, retries: int) -> bool:
        """Tell whether it has failed too often."""
        return not self.done and self.open is None and self.failures() > retries

    def free(self, now: float, retries: int) -> bool:
        """Tell whether a slice may claim it: nobody has it, or whoever had it let the claim run out."""
        failures = self.failures()
        if self.open is not None:
            if now <= self.open.expires + SKEW:
                return False
            failures += 1  # as it will count
        return not self.done and failures <= retries


@dataclass(frozen=True)
class Claim:
    """A slice's hold on a run."""

    run: str
    slice: str
    started: float
    expires: float


class Claims:
    """The runs of a sweep as its bucket has them."""

    def __init__(self, bucket: Bucket, clock: Clock, lease: float, retries: int) -> None:
        self.bucket, self.clock, self.lease, self.retries = bucket, clock, lease, retries

    def states(self) -> dict[str, State]:
        """Return what became of every run that was begun, by name; raises ValueError for an unreadable record."""
        return {name: state for name, (state, _) in self._all().items()}

    def claim(self, jobs: Iterable[Job], by: str) -> Claim | None:
        """Claim the first of the jobs that is free for a slice, or return what it has claimed already.

        None where nothing is free.
        """
        known = self._all()
        for job in jobs:
            state, generation = known.get(job.name, (State(), ABSENT))
            attempt = state.open
            if attempt and attempt.slice == by and self.clock.now() < attempt.expires - GRACE:
                return Claim(job.name, by, attempt.started, attempt.expires)
            if not state.free(self.clock.now(), self.retries):
                continue
            if attempt:  # of another, who has not been heard of
                state = _closed(state, attempt.expires, LOST, None)
            now = self.clock.now()
            fresh = Attempt(by, now, now + self.lease)
            if self._write(job.name, dataclasses.replace(state, attempts=(*state.attempts, fresh)), generation):
                return Claim(job.name, by, fresh.started, fresh.expires)
        return None

    def prolong(self, claim: Claim, share: float) -> Claim | None:
        """Put off the end of a claim; None where it is no longer this slice's."""
        state, generation = self._read(claim.run)
        if not _holds(state, claim):
            return None
        expires = self.clock.now() + self.lease
        attempts = (*state.attempts[:-1], dataclasses.replace(state.attempts[-1], expires=expires))
        if not self._write(claim.run, State(attempts, share), generation):
            return None
        return dataclasses.replace(claim, expires=expires)

    def close(self, claim: Claim, outcome: str, code: int | None, share: float) -> bool:
        """Say how an attempt ended; return whether the claim was still this slice's."""
        state, generation = self._read(claim.run)
        if not _holds(state, claim):
            return False
        closed = _closed(dataclasses.replace(state, share=share), self.clock.now(), outcome, code)
        return self._write(claim.run, closed, generation)

    def release(self, slices: Iterable[str]) -> list[str]:
        """Free the runs of slices that are no more; return their names."""
        gone, freed = set(slices), []
        for name, (state, generation) in self._all().items():
            attempt = state.open
            held = attempt is not None and attempt.slice in gone
            if held and self._write(name, _closed(state, self.clock.now(), GONE, None), generation):
                freed.append(name)
        return freed

    def expire(self) -> list[str]:
        """Close the claims that have run out; return the names of their runs."""
        closed = []
        for name, (state, generation) in self._all().items():
            attempt = state.open
            over = attempt is not None and self.clock.now() > attempt.expires + SKEW
            if over and self._write(name, _closed(state, attempt.expires, LOST, None), generation):
                closed.append(name)
        return closed

    def forgive(self, run: str) -> bool:
        """Let a run that was given up be tried again; return whether there was anything to forgive."""
        state, generation = self._read(run)
        if not state.failures():
            return False
        forgiven = tuple(
            dataclasses.replace(a, outcome=FORGIVEN) if a.outcome in (FAILED, LOST) else a for a in state.attempts
        )
        return self._write(run, dataclasses.replace(state, attempts=forgiven), generation)

    def _all(self) -> dict[str, tuple[State, int]]:
        found = self.bucket.scan('runs')
        return {
            name.removeprefix('runs/').removesuffix('.json'): (_state(record, f'{self.bucket.address}/{name}'), at)
            for name, (record, at) in found.items()
        }

    def _read(self, run: str) -> tuple[State, int]:
        name = f'runs/{run}.json'
        record, generation = self.bucket.read(name)
        return (State() if record is None else _state(record, f'{self.bucket.address}/{name}')), generation

    def _write(self, run: str, state: State, generation: int) -> bool:
        return self.bucket.write(f'runs/{run}.json', dataclasses.asdict(state), generation)


def _holds(state: State, claim: Claim) -> bool:
    attempt = state.open
    return attempt is not None and (attempt.slice, attempt.started) == (claim.slice, claim.started)


def _closed(state: State, ended: float, outcome: str, code: int | None) -> State:
    last = dataclasses.replace(state.attempts[-1], ended=ended, outcome=outcome, code=code)
    return dataclasses.replace(state, attempts=(*state.attempts[:-1], last))


def _state(record: Record, where: str) -> State:
    try:
        attempts = tuple(Attempt(**attempt) for attempt in record['attempts'])
        for attempt in attempts:
            times = attempt.started, attempt.expires, 0 if attempt.ended is None else attempt.ended
            if not isinstance(attempt.slice, str) or not all(isinstance(time, int | float) for time in times):
                raise TypeError(f'{attempt} is no attempt')
        return State(attempts, float(record['share']))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{where} is no record of a run ({error}); delete it, and the run goes on from its last checkpoint'
        ) from error
