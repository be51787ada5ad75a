"""Who runs a sweep: one program at a time, whoever sleeps, dies or wakes; and on a clock that is the bucket's."""

import os
import socket

import pytest
from test_claims import Clock, Memory

from launch.bucket import check_clock
from launch.watching import CONTROLLER, TakenOver, leading, patiently


class Shared(Memory):
    """A bucket whose clock is a test's."""

    def __init__(self):
        super().__init__()
        self.time, self.off = Clock(), 0.0

    def written(self, name):
        return self.time.time + self.off


def held_by(bucket, by, expires):
    bucket.write(CONTROLLER, {'by': by, 'expires': expires}, None)


def test_one_runs_it_until_it_is_silent_for_long():
    bucket = Shared()
    held_by(bucket, 'elsewhere, process 7', 1300.0)
    with pytest.raises(ValueError, match='this sweep is run on elsewhere, process 7; stop that, or wait until'):
        leading(bucket, bucket.time, 30).__enter__()
    bucket.time.time = 1301.0
    with leading(bucket, bucket.time, 30) as still:
        bucket.time.time = 1500.0
        still()
        assert bucket.read(CONTROLLER)[0]['expires'] == 1800.0
    assert bucket.read(CONTROLLER)[0]['expires'] == 0.0


def test_one_that_died_on_this_machine_is_not_waited_for():
    bucket = Shared()
    held_by(bucket, f'{socket.gethostname()}, process 999999999', 5000.0)
    with leading(bucket, bucket.time, 30):
        assert bucket.read(CONTROLLER)[0]['by'].endswith(f'process {os.getpid()}')


def test_one_that_slept_and_was_replaced_ends_and_leaves_the_other_alone():
    bucket = Shared()
    with pytest.raises(TakenOver, match='taken over by elsewhere'), leading(bucket, bucket.time, 30) as still:
        held_by(bucket, 'elsewhere, process 7', 9000.0)
        with patiently(print):  # which passes over refusals of gcloud alone
            still()
    record = bucket.read(CONTROLLER)[0]
    assert (record['by'], record['expires']) == ('elsewhere, process 7', 9000.0)


def test_a_damaged_record_of_who_runs_it_is_nobody():
    bucket = Shared()
    bucket.write(CONTROLLER, {'by': 3}, None)
    with leading(bucket, bucket.time, 30):
        pass


@pytest.mark.parametrize(
    ('off', 'said'), [(100.0, '100 s behind'), (-40.0, '40 s ahead of'), (14.0, None), (0.0, None)]
)
def test_a_clock_that_is_not_the_buckets_is_refused(off, said):
    bucket = Shared()
    bucket.off = off
    if said:
        with pytest.raises(ValueError, match=f'the clock of this machine is {said} that of the bucket'):
            leading(bucket, bucket.time, 30).__enter__()
    else:
        check_clock(bucket, CONTROLLER, 1000.0, 1000.0)
