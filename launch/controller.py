"""Keeps a sweep in slices: asks for them where they are free, deletes what is no use any more, until all is trained.

Nothing is remembered here. Every tick begins with the bucket's records and what gcloud shows of each slice in the
account, so that a controller which is killed, or moved to another machine, goes on where it was. A slice is the sweep's
if its account says so, and nothing else is ever deleted. Runs of a slice are freed only when gcloud has said that its
machines are no more.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from launch import machines
from launch.bucket import ABSENT, Bucket, Record, number
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

    def list(self, zone: str) -> Sequence[Seen]:
        """Return all slices in a zone, whosever they are."""


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
    unseen: float = 150.0  # for a request that gcloud does not show: its command may still be under way


TRIES = 3  # slices in a row that nothing is heard of, though they came: then their set-up is at fault


@dataclass(frozen=True)
class Sight:
    """A slice of the account, as it was found in one tick."""

    asked: Asked
    generation: int
    state: str | None  # as gcloud calls it; None: it is no more; UNKNOWN: gcloud did not say
    said: str = ''
    beat: Record | None = None  # what its first host wrote last


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
        self._seen: dict[str, str] = {}  # the states in which gcloud last showed slices
        self._looked = 0.0  # when, last
        self._mute = 0  # slices in a row that came and went without a word
        self._refused: set[Place] = set()  # for a person to mend
        self.trouble: str | None = None  # why it makes no sense to go on
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
        return (
            self.trouble
            or why_stop(self.bucket)
            or self.plan.budget.reached((sight.asked for sight in self.sights), now)
        )

    def _look(self) -> list[Sight]:
        """Find every slice of the account that is not known to be gone, and note what has changed about it."""
        beats = self.bucket.scan('beats')
        account = list(read_asked(self.bucket).values())
        listed = {zone: self._list(zone) for zone in sorted({asked.zone for asked, _ in account})}
        sights = []
        for known, generation in account:
            asked = known
            beat = beats.get(f'beats/{asked.name}.json', (None, ABSENT))[0]
            there = listed[asked.zone]
            state, said = UNKNOWN, ''
            if there is not None and asked.name in there:  # also one that was taken to be gone: its request came late
                state, said = there[asked.name].state, there[asked.name].said
                asked = dataclasses.replace(asked, gone=None)
            elif asked.gone is not None:
                state = None
            elif there is not None:
                state, said = self._describe(asked)
            sights.append(self._note(Sight(asked, generation, state, said, beat), known))
        if any(sight.state == ACTIVE and sight.beat for sight in sights):
            self._mute = 0
        self._looked = self.clock.now()
        return sights

    def _list(self, zone: str) -> dict[str, Seen] | None:
        """Return what is in a zone by name; None where gcloud does not say."""
        try:
            return {seen.name: seen for seen in self.cloud.list(zone)}
        except GcloudError as error:
            self.say(str(error))
            return None

    def _describe(self, asked: Asked) -> tuple[str | None, str]:
        """Ask for one that is not listed: only what gcloud says is not there is gone."""
        try:
            seen = self.cloud.describe(asked.name, asked.zone)
            return (seen.state, seen.said) if seen else (None, '')
        except GcloudError as error:
            return UNKNOWN, str(error)

    def _note(self, sight: Sight, known: Asked) -> Sight:
        """Note in the account, where it is `known` otherwise, when a slice came and went."""
        now, asked, beat = self.clock.now(), sight.asked, sight.beat or {}
        name, begun = asked.name, number(beat, 'since')
        active = asked.active
        if active is None and (sight.state == ACTIVE or begun):
            self.say(f'{name}: {asked.slice} in {asked.zone} is there')
            active = begun or now  # nobody may have looked when it came
        gone = asked.gone
        if gone is None and (sight.state is None or sight.state in ENDED):
            if freed := self.claims.release([name]):
                self.say(f'{name}: it is no more; {", ".join(freed)} will be resumed')
            if sight.state is None and (name in self._seen or begun or now > asked.asked + self.patience.unseen):
                unwatched = now > self._looked + 10 * self.plan.beat and begun
                gone = min(now, number(beat, 'time') + self.plan.beat) if unwatched else now
                self._hear(asked, sight)
        if sight.state not in (None, UNKNOWN):
            self._seen[name] = sight.state
        noted = dataclasses.replace(asked, active=active, gone=gone)
        if noted != known:
            self.bucket.write(f'slices/{name}.json', dataclasses.asdict(noted), sight.generation)
        return dataclasses.replace(sight, asked=noted)

    def _hear(self, asked: Asked, sight: Sight) -> None:
        """Count slices that came and went by themselves without a word: their set-up fails, and costs."""
        if sight.beat is not None:
            self._mute = 0
        elif asked.active is not None and self._seen.get(asked.name) not in ENDED + ('SUSPENDING',):
            self._mute += 1
            self._rest(self._place(asked))
            if self._mute >= TRIES:
                self.trouble = (
                    f'{TRIES} slices in a row came and ended before they could take a run; see why in '
                    f'{self.bucket.address}/logs/{asked.name}-0-0.log'
                )

    def _rest(self, place: Place | None) -> None:
        if place:
            self._rests[place] = self.clock.now() + self.patience.rest

    def _tidy(self, sight: Sight, now: float) -> bool:
        """Delete a slice that is of no use any more; return whether it is, or is gone."""
        if sight.state is None:
            return sight.asked.gone is not None
        if sight.state in ENDED:
            if sight.state == 'FAILED':
                self._rest(self._place(sight.asked))
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
        silent = now - number(beat, 'time')
        return f'nothing was heard of it for {silent:,.0f} s' if silent > self.plan.lease + SKEW else None

    def _too_long(self, sight: Sight, now: float) -> bool:
        place = self._place(sight.asked)
        others = [one for one in self.places if one != place and self._rests.get(one, 0) <= now]
        late = bool(others) and now > sight.asked.asked + self.patience.waiting
        if late:
            self._rest(place)
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
        numbers = [int(end) for sight in self.sights if (end := sight.asked.name.rpartition('-')[2]).isdecimal()]
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
                self._rest(place)
                asked = dataclasses.replace(asked, gone=now)
                self.bucket.write(f'slices/{asked.name}.json', dataclasses.asdict(asked), None)
                self.sights[-1] = Sight(asked, ABSENT, None)
            if error.hopeless:
                self._refused.add(place)
                self.trouble = str(error) if self._refused >= set(self.places) else None
        else:
            self._refused.discard(place)
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
