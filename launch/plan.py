"""A sweep as its slices know it: one record in the bucket, written before any slice is asked for."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from launch.bucket import Bucket
from launch.claims import Job
from launch.ledger import Budget

SHORTEST_LEASE = 60.0  # GRACE of it is not used, and to prolong it takes some seconds
NAME = 'sweep.json'
STOP = 'stop.json'  # {'reason': why}, or None: slices stop when they next look


@dataclass(frozen=True)
class Plan:
    """What is trained, and by which rules."""

    id: str  # labels its slices
    experiment: str
    commit: str
    project: str  # whose slices they are
    jobs: tuple[Job, ...]  # longest first
    retries: int = 3
    lease: float = 600.0  # seconds that a claim lasts unless it is prolonged
    budget: Budget = Budget()

    def __post_init__(self) -> None:
        if not SHORTEST_LEASE <= self.lease < math.inf:
            raise ValueError(f'a lease of {self.lease:g} s is too short or none; give {SHORTEST_LEASE:g} or more')
        if self.retries < 0:
            raise ValueError(f'retries are {self.retries}; give 0 or more')

    @property
    def beat(self) -> float:
        """Seconds between two prolongations of a claim."""
        return min(60.0, self.lease / 10)

    @property
    def chosen(self) -> list[Job]:
        """The jobs that the budget's FLOPs suffice for."""
        return self.budget.affordable(self.jobs)


def read_plan(bucket: Bucket) -> tuple[Plan | None, int]:
    """Return the plan in a bucket and its generation; raises ValueError for a record that is none."""
    record, generation = bucket.read(NAME)
    if record is None:
        return None, generation
    values: dict[str, Any] = {key: value for key, value in record.items() if key != 'object'}
    try:
        values['jobs'] = tuple(
            Job(job['name'], job['flops'], job['chip_hours'], tuple(map(tuple, job['commands'])))
            for job in values['jobs']
        )
        values['budget'] = Budget(**values['budget'])
        return Plan(**values), generation
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{bucket.address}/{NAME} is no plan of a sweep ({error}); delete it, and start the sweep again'
        ) from error


def write_plan(bucket: Bucket, plan: Plan) -> Plan:
    """Write a plan, or a new version of the sweep's own; raises ValueError where the bucket has another sweep's."""
    known, generation = read_plan(bucket)
    if known:
        if different := _different(known.jobs, plan.jobs):
            raise ValueError(
                f'{bucket.address} holds a sweep of {known.experiment} with other runs ({different}); give this one '
                'another --workdir'
            )
        if known.project != plan.project:
            raise ValueError(
                f'{bucket.address} holds a sweep of project {known.project}; say --project {known.project}'
            )
        plan = dataclasses.replace(plan, id=known.id)
    if not bucket.write(NAME, dataclasses.asdict(plan), generation):
        raise ValueError(f'{bucket.address}/{NAME} was written by somebody else just now; run one sweep here at a time')
    return plan


def why_stop(bucket: Bucket) -> str | None:
    """Return why the sweep was stopped, if it was."""
    record, _ = bucket.read(STOP)
    return record.get('reason') if record else None


def _different(known: Sequence[Job], jobs: Sequence[Job]) -> str | None:
    before = {job.name: job.flops for job in known}
    now = {job.name: job.flops for job in jobs}
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return None if not names else f'{names[0]} and {len(names) - 1} more differ' if names[1:] else f'{names[0]} differs'
