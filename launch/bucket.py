"""Small JSON records in a bucket, each replaced as a whole and only by who has seen its newest generation.

The one invariant that a queue rests on: of two writers that have read the same generation of a record, one wins and
the other is told that it lost. Google Cloud Storage keeps it (`--if-generation-match`; 0: there is no such object yet).
A record is one line of JSON, and says its own name: many are read by one command.
"""

import json
import math
from datetime import datetime
from typing import Any, Protocol

from launch.gcloud import Gcloud, GcloudError

ABSENT = 0  # the generation of a record that is not there
Record = dict[str, Any]


CLOCKS = 15.0  # seconds that clocks may differ: SKEW and GRACE of launch.claims are for that


class Bucket(Protocol):
    """Records by name, under one address; a method raises ValueError for a record that cannot be read."""

    address: str

    def read(self, name: str) -> tuple[Record | None, int]:
        """Return a record and its generation; None and ABSENT where there is none."""

    def write(self, name: str, record: Record, generation: int | None) -> bool:
        """Replace a record if `generation` is its newest (None: whatever is there); return whether it was."""

    def scan(self, folder: str) -> dict[str, tuple[Record, int]]:
        """Return every record of a folder, by name, with its generation."""


class GcloudBucket:
    """A folder of a bucket, by way of `gcloud storage`; every method raises GcloudError where that fails."""

    def __init__(self, gcloud: Gcloud, address: str) -> None:
        self.gcloud, self.address = gcloud, address  # gs://BUCKET/FOLDER
        self._seen: dict[str, tuple[Record, int]] = {}  # what was scanned before: a generation never changes

    def read(self, name: str) -> tuple[Record | None, int]:
        """As Bucket.read."""
        where = f'{self.address}/{name}'
        for _ in range(5):
            try:
                found = self.gcloud.ask_json('storage', 'objects', 'describe', where)
            except GcloudError as error:
                if error.lacks(where):
                    return None, ABSENT
                raise
            generation = _generation(found, where)
            try:  # of this very generation: one that is replaced in between is not found, and asked for anew
                return parse(self._text(f'{where}#{generation}'), where, name), generation
            except GcloudError as error:
                if not error.lacks(where):
                    raise
        raise GcloudError(f'{where} is replaced faster than it can be read; try again')

    def write(self, name: str, record: Record, generation: int | None) -> bool:
        """As Bucket.write."""
        match = () if generation is None else (f'--if-generation-match={generation}',)
        record = {'object': name, **record}
        data = (json.dumps(record) + '\n').encode()
        try:
            self.gcloud.change('storage', 'cp', '-', f'{self.address}/{name}', *match, feed=data, quiet=True)
        except GcloudError as error:
            if generation is None or not error.lost:
                raise
            # gcloud asks again by itself where an answer was lost on its way: then this is what is there.
            return self.read(name)[0] == json.loads(data)
        return True

    def written(self, name: str) -> float:
        """Return when a record was last written, in seconds since 1970 by the bucket's clock."""
        where = f'{self.address}/{name}'
        found = self.gcloud.ask_json('storage', 'objects', 'describe', where)
        try:
            return datetime.fromisoformat(found['update_time']).timestamp()
        except (KeyError, TypeError, ValueError) as error:
            raise GcloudError(f'gcloud did not say when {where} was written; try again, or update gcloud') from error

    def scan(self, folder: str) -> dict[str, tuple[Record, int]]:
        """As Bucket.scan."""
        where = f'{self.address}/{folder}/*.json'
        objects = self.gcloud.ask_json('storage', 'objects', 'list', where)
        newest = {}
        for found in objects if isinstance(objects, list) else [objects]:
            if isinstance(found, dict) and found.get('noncurrent_time'):  # of a bucket that keeps old versions
                continue
            name = f'{folder}/' + str(found.get('name') if isinstance(found, dict) else found).rpartition('/')[2]
            newest[name] = _generation(found, where)
        old = {name: self._seen[name] for name in newest if self._seen.get(name, (None, ABSENT))[1] == newest[name]}
        new = {name: generation for name, generation in newest.items() if name not in old}
        fresh = self._read_all(new) if new else {}
        self._seen |= fresh
        return dict(sorted({**old, **fresh}.items()))

    def _read_all(self, generations: dict[str, int]) -> dict[str, tuple[Record, int]]:
        """Read many records by one command; or one by one, where some have been replaced since, or are damaged."""
        try:
            said = self._text(*(f'{self.address}/{name}#{at}' for name, at in generations.items()))
            records = [json.loads(line) for line in said.splitlines()]
            by_name = {record['object']: record for record in records}
        except (GcloudError, ValueError, KeyError, TypeError):
            by_name = {}
        if by_name.keys() == generations.keys():
            return {name: (by_name[name], at) for name, at in generations.items()}
        one_by_one = {name: self.read(name) for name in generations}
        return {name: (record, at) for name, (record, at) in one_by_one.items() if record is not None}

    def _text(self, *addresses: str) -> str:
        return self.gcloud.ask('storage', 'cat', *addresses)


def check_clock(bucket: GcloudBucket, name: str, before: float, after: float) -> None:
    """Raise ValueError where this machine's clock is not the bucket's, by a record written between two of its times."""
    written = bucket.written(name)
    off = before - written if written < before else min(0.0, after - written)
    if abs(off) > CLOCKS:
        raise ValueError(
            f'the clock of this machine is {abs(off):,.0f} s {"ahead of" if off > 0 else "behind"} that of the bucket, '
            'and claims on runs are told by time; set it'
        )


def number(record: Record, key: str) -> float:
    """Return a number of a record, 0 where it is missing or something else."""
    value = record.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def parse(text: str, where: str, name: str) -> Record:
    """Read one record; raises ValueError for one that is half-written, or another's."""
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f'{where} is half-written or no record of a sweep ({error}); {mend(name)}') from error
    if not isinstance(record, dict) or record.get('object') != name:
        raise ValueError(f'{where} is no record of a sweep called {name}; {mend(name)}')
    return record


def mend(name: str) -> str:
    """Say what a person does about a record that cannot be read."""
    if name.startswith('slices/'):
        slice_name = name.removeprefix('slices/').removesuffix('.json')
        return f'delete {slice_name} with `gcloud compute tpus queued-resources delete --force`, and then this record'
    if name.startswith('runs/'):
        return 'stop the sweep and delete it: the run goes on from its last checkpoint'
    return 'stop the sweep and delete it: it is made anew, and no run is in it'


def _generation(found: Any, where: str) -> int:
    try:
        return int(found['generation'])
    except (KeyError, TypeError, ValueError) as error:
        raise GcloudError(f'gcloud did not say the generation of {where}; try again, or update gcloud') from error
