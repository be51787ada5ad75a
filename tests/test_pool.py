"""The pool: every job once, a group on one device, the first error raised and the others stopped."""

import threading
import time

import pytest

from t2jax import pool


def test_every_job_runs_once_and_a_group_stays_on_its_device():
    done = []
    lock = threading.Lock()

    def work(job, device, should_stop):
        with lock:
            done.append((job, device.id))

    groups = [[(g, j) for j in range(4)] for g in range(5)]
    pool.run(groups, work, at_once=3)
    assert sorted(job for job, _ in done) == [job for group in groups for job in group]
    for group in groups:
        assert len({device for job, device in done if job in group}) == 1


def test_the_first_error_stops_the_others_and_is_the_one_raised():
    finished, begun = [], threading.Event()

    def work(job, device, should_stop):
        if job == 'bad':
            begun.wait(20)
            raise ValueError('this one')
        begun.set()
        while not should_stop():
            time.sleep(0.01)
        finished.append(job)
        raise RuntimeError('only stopped')

    with pytest.raises(ValueError, match='this one'):
        pool.run([['good', 'never'], ['bad']], work, at_once=2)
    assert finished == ['good']


def test_jobs_really_run_at_once():
    barrier = threading.Barrier(2, timeout=20)
    pool.run([['a'], ['b']], lambda job, device, should_stop: barrier.wait(), at_once=2)
    assert barrier.broken is False
