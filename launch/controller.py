"""Keeps a sweep in slices: asks for them where they are free, deletes what is no use any more, until all is trained.

Nothing is remembered here. Every tick begins with the bucket's records and what gcloud shows of each slice in the
account, so that a controller which is killed, or moved to another machine, goes on where it was. A slice is the sweep's
if its account says so, and nothing else is ever deleted. Runs of a slice are freed only when gcloud has said that its
machines are no more.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from launch import machines
from launch.bucket import ABSENT, Bucket
from launch.claims import SKEW, Claims, Clock, State
from launch.gcloud import GcloudError
from launch.ledger import Asked, read_asked
from launch.plan import Plan, why_stop
from launch.queued import ACTIVE, ENDED, ENDING, WAITING, Seen
from t2jax.slices import Slice

UNKNOWN = 'UNKNOWN'


class Cloud(Protocol):
    """Where slices come from; every method may raise GcloudError, whether it has done what it was asked or not."""

    def create(self, asked: Asked) -> None:
        """Ask for a slice; one that is there already is kept."""

    def delete(self, name: str, zone: str) -> None:
        """Delete a slice in whatever state; one that is not there is deleted already."""

    def describe(self, name: str, zone: str) -> Seen | None:
        """Return what became of a slice, or None where there is none."""


@dataclass(frozen=True)
class Place:
    """Where slices are asked for, of which kind, and what a chip costs an hour there."""

    zone: str
    tpu: Slice
    dollars_per_chip: float


@dataclass(frozen=True)
class Patience:
    """Seconds that the controller gives to what may never come."""

    waiting: float = 3600.0  # for a request, where there are other places
    setting_up: float = 1800.0  # for an active slice to be heard of
    rest: float = 600.0  # of a place that refused or failed, before it is asked again
    stopping: float = 600.0  # for slices to end by themselves, once the sweep is to stop


@dataclass(frozen=True)
class Sight:
    """A slice of the account, as it was found in one tick."""

    asked: Asked
    generation: int
    state: str | None  # as gcloud calls it; None: it is no more; UNKNOWN: gcloud did not say
    said: str = ''
    beat: Mapping[str, object] | None = None  # what its first host wrote last


class Controller:
    """One sweep's; `places` in order of preference, `most` slices at once."""

    def __init__(
        self,
        plan: Plan,
        places: Sequence[Place],
        most: int,
        cloud: Cloud,
        bucket: Bucket,
        clock: Clock,
        say: Callable[[str], None],
        patience: Patience = Patience(),
    ) -> None:
        self.plan, self.places, self.most, self.patience = plan, places, most, patience
        self.cloud, self.bucket, self.clock, self.say = cloud, bucket, clock, say
        self.claims = Claims(bucket, clock, plan.lease, plan.retries)
        self._rests: dict[Place, float] = {}  # until when
        self._seen: set[str] = set()  # names of slices that gcloud has shown
        self._stopping: float | None = None  # since when
        self.sights: list[Sight] = []  # of the last tick, for the table
        self.states: dict[str, State] = {}

    def tick(self) -> bool:
        """Look once, do what is to be done; return whether all is over: nothing left to train, no slice left.

        Raises GcloudError where the bucket does not answer, ValueError for a record that cannot be read.
        """
        now = self.clock.now()
        self.claims.expire()
        self.states = self.claims.states()
        self.sights = self._look()
        live = [sight for sight in self.sights if not self._tidy(sight, now)]
        reason = self.reason_to_stop(now)
        self._stopping = (self._stopping or now) if reason else None
        if reason and now > self._stopping + self.patience.stopping:
            self.delete_all()
        wanted = 0 if reason else self.slices_wanted(live)
        for sight in live[::-1]:  # requests that are not needed any more; slices at work end by themselves
            if sight.state in WAITING and (len(live) > wanted or self._too_long(sight, now)):
                live.remove(sight)
                self._delete(sight, 'not needed any more' if len(live) >= wanted else 'waited too long')
        for _ in range(wanted - len(live)):
            if not self._ask_for_one(now):
                break
        return self.over(reason) and all(sight.state is None for sight in self.sights)

    def over(self, reason: str | None) -> bool:
        """Tell whether nothing is left to train, or to be trained."""
        return bool(reason) or not self.unfinished()

    def unfinished(self) -> list[str]:
        """Return the runs that are neither trained nor given up."""
        states = {job.name: self.states.get(job.name, State()) for job in self.plan.chosen}
        return [name for name, state in states.items() if not state.done and not state.given_up(self.plan.retries)]

    def slices_wanted(self, live: Sequence[Sight]) -> int:
        """Return how many slices there is work for: the runs nobody has, and the slices that have one."""
        names = {sight.asked.name for sight in live}
        held = [s.open.slice for name in self.unfinished() if (s := self.states.get(name, State())).open]
        free = len(self.unfinished()) - len(held)
        return min(self.most, free + len(names & set(held)))

    def reason_to_stop(self, now: float) -> str | None:
        """Return why no slice is to be asked for any more, if there is a reason."""
        return why_stop(self.bucket) or self.plan.budget.reached((sight.asked for sight in self.sights), now)

    def _look(self) -> list[Sight]:
        """Find every slice of the account that is not known to be gone, and note what has changed about it."""
        beats = self.bucket.scan('beats')
        sights = []
        for asked, generation in read_asked(self.bucket).values():
            beat = beats.get(f'beats/{asked.name}.json', (None, ABSENT))[0]
            if asked.gone is not None:
                sights.append(Sight(asked, generation, None, beat=beat))
                continue
            try:
                seen = self.cloud.describe(asked.name, asked.zone)
                state, said = (seen.state, seen.said) if seen else (None, '')
            except GcloudError as error:
                state, said = UNKNOWN, str(error)
            if state not in (None, UNKNOWN):
                self._seen.add(asked.name)
            sights.append(self._note(Sight(asked, generation, state, said, beat)))
        return sights

    def _note(self, sight: Sight) -> Sight:
        """Note in the account when a slice came and went."""
        now, asked = self.clock.now(), sight.asked
        if sight.state == ACTIVE and asked.active is None:
            self.say(f'{asked.name}: {asked.slice} in {asked.zone} is there')
            asked = dataclasses.replace(asked, active=now)
        elif sight.state is None or sight.state in ENDED:
            freed = self.claims.release([asked.name])
            if freed:
                self.say(f'{asked.name}: it is no more; {", ".join(freed)} will be resumed')
            # A request takes a moment to be seen; what was seen and is not any more is gone.
            if sight.state is None and (asked.name in self._seen or now > asked.asked + SKEW):
                asked = dataclasses.replace(asked, gone=now)
        if asked != sight.asked:
            self.bucket.write(f'slices/{asked.name}.json', dataclasses.asdict(asked), sight.generation)
        return dataclasses.replace(sight, asked=asked)

    def _tidy(self, sight: Sight, now: float) -> bool:
        """Delete a slice that is of no use any more; return whether it is, or is gone."""
        if sight.state is None:
            return sight.asked.gone is not None
        if sight.state in ENDED:
            place = self._place(sight.asked)
            if sight.state == 'FAILED' and place:
                self._rests[place] = now + self.patience.rest
            self._delete(sight, f'{sight.state}{f" ({sight.said})" if sight.said else ""}')
            return True
        if sight.state in ENDING:
            return True
        if sight.state == ACTIVE and (reason := self._reason_to_delete(sight, now)):
            self._delete(sight, reason)
            return True
        return False

    def _reason_to_delete(self, sight: Sight, now: float) -> str | None:
        beat = sight.beat
        if beat is None:
            late = now > (sight.asked.active or now) + self.patience.setting_up
            return f'nothing was heard of it for {self.patience.setting_up:,.0f} s' if late else None
        if beat.get('ended'):
            return f'{beat["ended"]}'
        silent = now - float(beat['time'])
        return f'nothing was heard of it for {silent:,.0f} s' if silent > self.plan.lease + SKEW else None

    def _too_long(self, sight: Sight, now: float) -> bool:
        place = self._place(sight.asked)
        others = [one for one in self.places if one != place and self._rests.get(one, 0) <= now]
        late = bool(others) and now > sight.asked.asked + self.patience.waiting
        if late and place:
            self._rests[place] = now + self.patience.rest
        return late

    def _delete(self, sight: Sight, why: str) -> None:
        self.say(f'{sight.asked.name}: {why}; deleting it')
        try:
            self.cloud.delete(sight.asked.name, sight.asked.zone)
        except GcloudError as error:  # the next tick tries again
            self.say(str(error))

    def _ask_for_one(self, now: float) -> bool:
        """Ask for a slice at the first place that does not rest; return whether it was asked for."""
        place = next((place for place in self.places if self._rests.get(place, 0) <= now), None)
        if place is None:
            return False
        numbers = [int(sight.asked.name.rpartition('-')[2]) for sight in self.sights]
        asked = Asked(
            f'{self.plan.id}-{max(numbers, default=0) + 1:03d}',
            place.zone,
            str(place.tpu),
            place.tpu.chips,
            machines.dollars_per_hour(place.tpu, place.dollars_per_chip),
            now,
        )
        if not self.bucket.write(f'slices/{asked.name}.json', dataclasses.asdict(asked), ABSENT):
            raise GcloudError(f'somebody else asked for {asked.name} just now; run one controller of a sweep at a time')
        self.sights.append(Sight(asked, ABSENT, UNKNOWN))
        try:
            self.cloud.create(asked)
        except GcloudError as error:
            self.say(f'{asked.name}: {error}')
            if error.refused:  # of other errors nobody knows what they did: the next tick looks
                self._rests[place] = now + self.patience.rest
        return True

    def _place(self, asked: Asked) -> Place | None:
        return next((one for one in self.places if (one.zone, str(one.tpu)) == (asked.zone, asked.slice)), None)

    def delete_all(self) -> bool:
        """Delete every slice of the account; return whether all are gone."""
        self.sights = self._look()
        left = [sight for sight in self.sights if sight.asked.gone is None]
        for sight in left:
            if sight.state not in (None, 'DELETING'):
                self._delete(sight, 'the sweep stops')
        return not left
