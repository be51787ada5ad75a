"""What the hosts of a slice do: claim a run, train it, claim the next, until nothing is left to claim.

The first host leads. It claims, prolongs its claim while the training runs, and says in one record (`beats/SLICE.json`)
which command runs now and until when its claim lasts; the other hosts read that and run the same command. A claim is
given up only when every host has said that nothing runs there any more (`hosts/SLICE-INDEX.json`). Every host kills
what it runs GRACE seconds before the last end of the claim that it knows of: a slice cut off from the bucket stops by
itself before another may begin.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from launch import claims
from launch.bucket import Bucket, Record, number
from launch.claims import Claim, Claims, Clock
from launch.gcloud import GcloudError
from launch.ledger import read_asked
from launch.plan import Plan, why_stop
from launch.programs import RESUME_CODES, Program

TICK = 1.0
STALL = 3600.0  # seconds of silence after which a program is taken to hang
STOP_SECONDS = 120.0  # for a checkpoint, after being asked to stop
GATHERING = 1800.0  # how long the first host waits for the others
OUTAGE = 900.0  # how long an idle slice waits for a bucket that does not answer
FAILURES = 2  # in a row, after which the slice itself is suspected and given back


LEADERLESS = 'nothing was heard of the first host'


class Host(Protocol):
    """This machine."""

    def start(self, command: Sequence[str], run: str, until: float) -> Program:
        """Start a program for a run, which is killed at the time `until` unless it is allowed longer."""

    def notice(self) -> bool:
        """Tell whether this machine was announced to be taken away, or asked to shut down."""

    def keep(self, run: str, all_of_it: bool) -> None:
        """Bring the log, or all that is worth it, to where it outlasts this machine; never raises."""


def beat_name(slice_name: str) -> str:
    """Return the name of the record that a slice's first host writes."""
    return f'beats/{slice_name}.json'


@dataclass
class _Ending:
    """How a command ended."""

    outcome: str | None  # None: the claim is lost, and not this slice's to close
    code: int | None = None
    why: str | None = None  # why the slice ends with it


@dataclass
class Leader:
    """The first host of a slice."""

    name: str  # of the slice
    plan: Plan
    bucket: Bucket
    clock: Clock
    host: Host
    say: Callable[[str], None]
    hosts: int = 1  # of the slice
    since: float = 0.0  # when this host began
    number: int = 0  # of commands that this slice has run
    failures: int = 0  # of runs, in a row

    @property
    def claims(self) -> Claims:
        """The queue."""
        return Claims(self.bucket, self.clock, self.plan.lease, self.plan.retries)

    def work(self) -> str:
        """Train runs until there is a reason to end; return it."""
        self.since = self.clock.now()
        self.number = self._numbers_before()
        reason = self._gather() or self._work()
        self.say(f'the slice ends: {reason}')
        self._beat(ended=reason)
        return reason

    def _gather(self) -> str | None:
        """Wait for the other hosts before any run is claimed; return a sentence where some do not come."""
        deadline = self.clock.now() + GATHERING
        while self.hosts > 1:
            try:
                start = f'hosts/{self.name}-'
                here = sum(name.startswith(start) for name in self.bucket.scan('hosts')) + 1
                if here >= self.hosts:
                    return None
                if self.clock.now() > deadline:
                    return f'{here} of {self.hosts} hosts came within {GATHERING:,.0f} s; see why in the logs of hosts'
                if reason := self._reason_to_end():
                    return reason
            except (GcloudError, ValueError) as error:
                self.say(str(error))
            self._beat()
            self.clock.sleep(self.plan.beat / 6)
        return None

    def _work(self) -> str:
        silent_since = None
        while True:
            try:
                if reason := self._reason_to_end():
                    return reason
                claim = self.claims.claim(self.plan.chosen, self.name)
                silent_since = None
            except GcloudError as error:
                now = self.clock.now()
                silent_since = silent_since or now
                if now - silent_since > OUTAGE:
                    return f'the bucket does not answer: {error}'
                self.say(f'{error}; asking again')
                self.clock.sleep(self.plan.beat / 4)
                continue
            if claim is None:
                return 'no run is left to claim'
            if reason := self._train(claim):
                return reason

    def _train(self, claim: Claim) -> str | None:
        """Run the commands of a run; return why the slice ends with it, if it does."""
        job = next(job for job in self.plan.jobs if job.name == claim.run)
        self.say(f'{claim.run}: claimed')
        ending, share = _Ending(claims.DONE), 0.0
        for command in job.commands:
            command = (*command, *(('--distributed',) if self.hosts > 1 else ()))
            ending, claim, share = self._run(command, claim)
            if ending.outcome != claims.DONE:
                break
        if ending.outcome not in (claims.DONE, None) and self.hosts > 1:
            self._wait_for_hosts(claim)
        if ending.outcome is not None:
            self._close(claim, ending, 1.0 if ending.outcome == claims.DONE else share)
        self.host.keep(claim.run, all_of_it=True)
        self.say(f'{claim.run}: {ending.outcome or "the claim is lost"}, exit code {ending.code}')
        self.failures = self.failures + 1 if ending.outcome == claims.FAILED else 0
        if self.failures >= FAILURES:
            return f'{self.failures} runs in a row failed here'
        return ending.why

    def _run(self, command: Sequence[str], claim: Claim) -> tuple[_Ending, Claim, float]:
        """Run one command while the claim lasts; return how it ended, the claim as prolonged, and its share done."""
        self.number += 1
        self._beat(claim, command)
        program = self.host.start(command, claim.run, claim.expires - claims.GRACE)
        stopping: tuple[float, str] | None = None  # since when, and why
        next_beat = self.clock.now() + self.plan.beat
        while (code := program.poll()) is None:
            now = self.clock.now()
            if stopping is None and self.host.notice():
                stopping = now, 'its machine is taken away'
                program.terminate()
            if stopping and now > stopping[0] + STOP_SECONDS:
                program.kill()
                return _Ending(claims.RESUME, None, stopping[1]), claim, program.share()
            if program.silent() > STALL:
                self.say(f'{claim.run}: nothing was heard of it for {program.silent():,.0f} s')
                program.kill()
                return _Ending(claims.FAILED), claim, program.share()
            if now >= next_beat:
                next_beat = now + self.plan.beat
                prolonged = self._prolong(claim, program.share())
                if prolonged is None:
                    program.kill()
                    return _Ending(None), claim, program.share()
                claim = prolonged
                program.allow(claim.expires - claims.GRACE)
                self._beat(claim, command, program.share())
                self.host.keep(claim.run, all_of_it=False)
                if stopping is None and (reason := self._reason_to_end_quietly()):
                    stopping = now, reason
                    program.terminate()
            self.clock.sleep(TICK)
        if self.clock.now() >= claim.expires - claims.GRACE:  # killed, or too late to say that it was not
            return _Ending(None, code), claim, program.share()
        if code == 0:
            return _Ending(claims.DONE, 0, stopping and stopping[1]), claim, program.share()
        if code in RESUME_CODES:
            why = stopping[1] if stopping else 'one of its hosts was asked to stop'
            return _Ending(claims.RESUME, code, why), claim, program.share()
        return _Ending(claims.FAILED, code, stopping and stopping[1]), claim, program.share()

    def _wait_for_hosts(self, claim: Claim) -> None:
        """Wait until nothing runs on the other hosts, which is so at the latest when the claim ends."""
        start = f'hosts/{self.name}-'
        while self.clock.now() < claim.expires - claims.GRACE:
            self._beat(claim, over=True)
            try:
                said = [record for name, (record, _) in self.bucket.scan('hosts').items() if name.startswith(start)]
                if sum(number(record, 'number') >= self.number for record in said) >= self.hosts - 1:
                    return
            except (GcloudError, ValueError) as error:
                self.say(str(error))
            self.clock.sleep(2 * TICK)

    def _prolong(self, claim: Claim, share: float) -> Claim | None:
        """Return the claim as prolonged, None where it is lost; a bucket that does not answer changes nothing."""
        try:
            return self.claims.prolong(claim, share)
        except (GcloudError, ValueError) as error:
            self.say(f'{claim.run}: {error}')
            return claim

    def _reason_to_end(self) -> str | None:
        """Ask whether the slice is to end, of its machine, of whoever runs the sweep, and of the account."""
        if self.host.notice():
            return 'its machine is taken away'
        if reason := why_stop(self.bucket):
            return reason
        asked = [one for one, _ in read_asked(self.bucket).values()]
        return self.plan.budget.reached(asked, self.clock.now())

    def _reason_to_end_quietly(self) -> str | None:
        try:
            return self._reason_to_end()
        except (GcloudError, ValueError) as error:
            self.say(str(error))
            return None

    def _close(self, claim: Claim, ending: _Ending, share: float) -> None:
        """Say how it ended, as long as the claim lasts; after that it counts as lost."""
        while self.clock.now() < claim.expires:
            try:
                if self.claims.close(claim, ending.outcome, ending.code, share):
                    return
                state = self.claims.states().get(claim.run)
                if not state or not state.open or state.open.slice != self.name:
                    return
            except (GcloudError, ValueError) as error:
                self.say(f'{claim.run}: {error}; saying again how it ended')
            self.clock.sleep(TICK)

    def _numbers_before(self) -> int:
        """Return how many commands the slice has run before this program was started again, as other hosts count."""
        while True:
            try:
                record, _ = self.bucket.read(beat_name(self.name))
                return int(number(record, 'number')) if record else 0
            except ValueError:
                return 0
            except GcloudError as error:
                self.say(str(error))
                if self.clock.now() > self.since + OUTAGE:
                    return 0
                self.clock.sleep(5 * TICK)

    def _beat(
        self,
        claim: Claim | None = None,
        command: Sequence[str] = (),
        share: float = 0.0,
        over: bool = False,
        ended: str | None = None,
    ) -> None:
        record: dict[str, Any] = {'time': self.clock.now(), 'since': self.since, 'number': self.number, 'share': share}
        record |= {'over': over or ended is not None, 'ended': ended}
        record |= {'run': claim and claim.run, 'command': list(command), 'expires': claim.expires if claim else 0.0}
        try:
            self.bucket.write(beat_name(self.name), record, None)
        except GcloudError as error:
            self.say(str(error))


@dataclass
class Follower:
    """Another host of a slice."""

    name: str  # of the slice
    index: int
    bucket: Bucket
    clock: Clock
    host: Host
    say: Callable[[str], None]

    def work(self) -> str:
        """Run what the first host says until that ends; return why this ends."""
        program, current, idle, heard, asked_to_stop = None, 0, -1, self.clock.now(), False
        while True:
            idle = 0 if idle < 0 and self._say_idle(0) else idle  # it is here
            beat = self._heard()
            now = self.clock.now()
            heard = max(heard, number(beat, 'time')) if beat else heard
            if program and program.poll() is None:
                if self.host.notice() and not asked_to_stop:
                    asked_to_stop = True
                    program.terminate()  # jax tells the other hosts, and all save the same step
                if beat and (beat['over'] or beat['number'] != current):
                    program.kill()
                elif beat:
                    program.allow(beat['expires'] - claims.GRACE)
            elif beat and beat['ended']:
                return beat['ended']
            elif beat and beat['over']:
                current = beat['number']
                idle = current if idle < current and self._say_idle(current) else idle
            elif beat and beat['number'] > current and now < beat['expires'] - claims.GRACE:
                current = beat['number']
                program = self.host.start(beat['command'], beat['run'], beat['expires'] - claims.GRACE)
            elif now - heard > OUTAGE:
                return LEADERLESS
            self.clock.sleep(2 * TICK)

    def _say_idle(self, command: int) -> bool:
        """Say that nothing runs here of commands up to one."""
        try:
            return self.bucket.write(f'hosts/{self.name}-{self.index}.json', {'number': command}, None)
        except GcloudError as error:
            self.say(str(error))
            return False

    def _heard(self) -> Record | None:
        try:
            return self.bucket.read(beat_name(self.name))[0]
        except (GcloudError, ValueError) as error:
            self.say(str(error))
            return None
