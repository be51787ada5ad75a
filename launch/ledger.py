"""The account of a sweep: the slices that were asked for, what they have cost, and what may be spent.

WORKDIR/sweep/slices/NAME.json   written before a slice is asked for: what is not in the account is not the sweep's
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from launch.bucket import Bucket, mend
from launch.claims import Job


@dataclass(frozen=True)
class Asked:
    """A slice that was asked for, as the sweep keeps account of it."""

    name: str
    zone: str
    slice: str  # as t2jax names it, e.g. v5e:4x4
    chips: int
    dollars_per_hour: float
    asked: float
    active: float | None = None  # first seen so
    gone: float | None = None

    def hours(self, now: float) -> float:
        """Return the hours that it has been there."""
        return 0.0 if self.active is None else max(0.0, (self.gone or now) - self.active) / 3600


def read_asked(bucket: Bucket) -> dict[str, tuple[Asked, int]]:
    """Return the slices that were asked for, by name, and the generations of their records."""
    found = {}
    for name, (record, generation) in bucket.scan('slices').items():
        values: Mapping[str, Any] = {key: value for key, value in record.items() if key != 'object'}
        try:
            asked = Asked(**values)
            times = asked.asked, asked.active or 0, asked.gone or 0, asked.chips, asked.dollars_per_hour
            if name != f'slices/{asked.name}.json' or not all(isinstance(time, int | float) for time in times):
                raise TypeError(f'{asked} is no slice')
        except TypeError as error:
            raise ValueError(f'{bucket.address}/{name} is no record of a slice ({error}); {mend(name)}') from error
        found[asked.name] = (asked, generation)
    return found


@dataclass(frozen=True)
class Budget:
    """What a sweep may take; None: no limit."""

    flops: float | None = None  # 6 N D of all its runs
    hours: float | None = None  # of all slices
    dollars: float | None = None

    def reached(self, asked: Iterable[Asked], now: float) -> str | None:
        """Return in words which limit of time or money is reached, if one is."""
        hours, dollars = spent(asked, now)
        if self.hours is not None and hours >= self.hours:
            return f'{hours:,.2f} of {self.hours:,g} slice-hours are spent'
        if self.dollars is not None and dollars >= self.dollars:
            return f'{dollars:,.2f} of {self.dollars:,g} dollars are spent'
        return None

    def affordable(self, jobs: Iterable[Job]) -> list[Job]:
        """Return, in order, the jobs that the FLOPs suffice for, each counted once: the same to everybody who asks."""
        left = math.inf if self.flops is None else self.flops
        chosen = []
        for job in jobs:
            if job.flops <= left:
                chosen.append(job)
                left -= job.flops
        return chosen


def spent(asked: Iterable[Asked], now: float) -> tuple[float, float]:
    """Return the slice-hours and the dollars spent so far."""
    each = [(one.hours(now), one.dollars_per_hour) for one in asked]
    return sum(hours for hours, _ in each), sum(hours * price for hours, price in each)
