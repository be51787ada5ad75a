"""Who may train a run: one slice at a time, retries that are counted, budgets that end it, a table that says so."""

import dataclasses

import pytest

from launch import claims, status
from launch.bucket import ABSENT
from launch.claims import DONE, FAILED, GONE, LOST, RESUME, SKEW, Claims, Job
from launch.ledger import Asked, Budget, read_asked
from launch.machines import KINDS, accelerator_type, dollars_per_hour, find_slice, hosts
from launch.plan import Plan, read_plan, write_plan


class Memory:
    """A bucket in memory."""

    address = 'gs://memory'

    def __init__(self):
        self.objects = {}

    def read(self, name):
        return self.objects.get(name, (None, ABSENT))

    def write(self, name, record, generation):
        newest = self.read(name)[1]
        if generation not in (None, newest):
            return False
        self.objects[name] = {'object': name, **record}, newest + 1
        return True

    def scan(self, folder):
        return {name: found for name, found in sorted(self.objects.items()) if name.startswith(f'{folder}/')}


class Clock:
    """Time that a test sets."""

    time = 1000.0

    def now(self):
        return self.time


JOBS = [Job('long', 3e15, 3.0, (('train', 'long'),)), Job('short', 1e15, 1.0, (('train', 'short'),))]


@pytest.fixture
def queue():
    return Claims(Memory(), Clock(), lease=600.0, retries=1)


def test_the_longest_free_run_is_claimed_and_by_one_slice(queue):
    first, second = queue.claim(JOBS, 'a'), queue.claim(JOBS, 'b')
    assert (first.run, second.run, queue.claim(JOBS, 'c')) == ('long', 'short', None)
    assert queue.claim(JOBS, 'a') == first  # a slice that was started again takes up what it has


def test_a_claim_that_runs_out_is_free_after_a_while_and_lost_to_who_had_it(queue):
    first = queue.claim(JOBS, 'a')
    queue.claim(JOBS, 'b')
    queue.clock.time = first.expires + SKEW - 1
    assert queue.claim(JOBS, 'c') is None
    queue.clock.time = first.expires + SKEW + 1
    assert queue.claim(JOBS, 'c').run == 'long'
    assert queue.prolong(first, 0.5) is None and not queue.close(first, DONE, 0, 1.0)
    assert [attempt.outcome for attempt in queue.states()['long'].attempts] == [LOST, None]


def test_a_claim_lasts_as_long_as_it_is_prolonged(queue):
    claim = queue.claim(JOBS, 'a')
    for _ in range(10):
        queue.clock.time += 500
        claim = queue.prolong(claim, 0.5)
        assert claim.expires == queue.clock.time + 600 and queue.claim(JOBS[:1], 'b') is None
    assert queue.close(claim, DONE, 0, 1.0) and queue.states()['long'].done and queue.claim(JOBS[:1], 'b') is None


def test_failures_count_and_preemptions_do_not(queue):
    for outcome in (RESUME, GONE, FAILED, RESUME, GONE):
        claim = queue.claim(JOBS[:1], f'slice {outcome}')
        if outcome == GONE:
            assert queue.release([claim.slice]) == ['long']
        else:
            queue.close(claim, outcome, 1, 0.2)
    queue.close(queue.claim(JOBS[:1], 'last'), FAILED, 2, 0.2)
    assert queue.claim(JOBS[:1], 'x') is None and queue.states()['long'].given_up(retries=1)
    assert queue.forgive('long') and queue.claim(JOBS[:1], 'x').run == 'long'
    assert len(queue.states()['long'].attempts) == 7


def test_expired_claims_are_closed_also_where_nobody_takes_the_run(queue):
    for _ in range(2):
        claim = queue.claim(JOBS[:1], 'a')
        queue.clock.time = claim.expires + SKEW + 1
    queue.clock.time -= 2
    assert queue.expire() == []  # clocks differ
    queue.clock.time += 2
    assert queue.claim(JOBS[:1], 'b') is None  # it would be the third try
    assert queue.expire() == ['long'] and queue.states()['long'].given_up(retries=1)


def test_only_slices_that_are_named_are_released(queue):
    queue.claim(JOBS, 'a'), queue.claim(JOBS, 'b')
    assert queue.release(['b', 'c']) == ['short'] and queue.states()['long'].open.slice == 'a'


def test_an_earlier_claim_of_the_same_slice_is_not_its_later_one(queue):
    first = queue.claim(JOBS, 'a')
    queue.release(['a'])
    queue.clock.time += 1
    assert queue.claim(JOBS, 'a').started != first.started and queue.prolong(first, 0.5) is None


def test_a_record_of_another_shape_is_named(queue):
    queue.bucket.write('runs/long.json', {'attempts': [{'slice': 'a'}], 'share': 0}, None)
    with pytest.raises(ValueError, match='gs://memory/runs/long.json is no record of a run'):
        queue.states()
    queue.bucket.write('slices/a.json', {'name': 'a'}, None)
    with pytest.raises(ValueError, match='gs://memory/slices/a.json is no record of a slice'):
        read_asked(queue.bucket)
    queue.bucket.write('sweep.json', {'id': 'a'}, None)
    with pytest.raises(ValueError, match='gs://memory/sweep.json is no plan of a sweep'):
        read_plan(queue.bucket)


def test_a_plan_comes_back_as_it_was_and_keeps_its_name():
    bucket = Memory()
    plan = Plan('t2-a-1', 'experiments/a.py', 'abc', 'p', tuple(JOBS), budget=Budget(dollars=5.0))
    assert write_plan(bucket, plan) == plan and read_plan(bucket)[0] == plan
    again = Plan('t2-a-2', 'experiments/a.py', 'def', 'p', tuple(JOBS), retries=9)
    assert write_plan(bucket, again).id == 't2-a-1' and read_plan(bucket)[0].commit == 'def'
    other = dataclasses.replace(plan, project='q')
    with pytest.raises(ValueError, match='holds a sweep of project p; say --project p'):
        write_plan(bucket, other)
    with pytest.raises(ValueError, match=r'with other runs \(long and 1 more differ\)'):
        write_plan(bucket, Plan('t2-b-1', 'experiments/b.py', 'abc', 'p', (Job('x', 1.0, 1.0, ()), JOBS[1])))


def asked(name, active=None, gone=None, price=10.0):
    return Asked(name, 'us-west4-a', 'v5e:4x4', 16, price, 0.0, active, gone)


def test_time_and_money_are_counted_while_a_slice_is_there():
    account = [asked('a', active=3600.0, gone=7200.0), asked('b', active=3600.0), asked('c')]
    now = 3600.0 * 4
    assert Budget(hours=4.1).reached(account, now) is None and Budget(dollars=40.1).reached(account, now) is None
    assert Budget(hours=4.0).reached(account, now) == '4.00 of 4 slice-hours are spent'
    assert Budget(dollars=39.0).reached(account, now) == '40.00 of 39 dollars are spent'


def test_flops_choose_the_same_runs_whoever_asks():
    jobs = [*JOBS, Job('tiny', 5e14, 0.1, ())]
    assert [job.name for job in Budget(flops=3.5e15).affordable(jobs)] == ['long', 'tiny']
    assert Budget().affordable(jobs) == jobs and Budget(flops=1.0).affordable(jobs) == []


def test_the_table_says_what_runs_where_and_what_is_left(queue):
    plan = Plan(
        't2-a-1', 'experiments/a.py', 'abcdef123456789', 'p', tuple(JOBS), retries=1, budget=Budget(dollars=100.0)
    )
    claim = queue.claim(JOBS, 'a')
    queue.prolong(claim, 0.25)
    account = [asked('a', active=1000.0), asked('b')]
    rows = status.rows(plan, queue.states(), account)
    assert [(row['run'], row['state'], row['zone']) for row in rows] == [
        ('long', 'running', 'us-west4-a'),
        ('short', 'waiting', None),
    ]
    assert rows[0]['hours_left'] == pytest.approx(3.0 * 0.75 / 16)
    sums = status.totals(rows, account, 1000.0 + 3600)
    assert sums['dollars'] == pytest.approx(10.0) and sums['flops_trained'] == pytest.approx(0.75e15)
    assert sums['hours_left'] == pytest.approx((3.0 * 0.75 + 1.0) / 16)
    text = status.table_lines(plan, rows, account, 4600.0)
    assert '0 of 2 runs done, 1 running on 1 slices (1 waited for), 1.0 slice-hours, $10.00, about 12 min left' in text
    assert '25%' in text and 'it may take 100 dollars' in text and 'experiments/a.py at commit abcdef123456' in text


def test_slices_have_their_names_hosts_and_prices():
    """Names and hosts as the Cloud TPU documentation has them (v5e and v6e: chips; v4 and v5p: TensorCores)."""
    expected = {
        'v4:2x2x1': ('v4-8', 1),
        'v4:4x4x4': ('v4-128', 16),
        'v5e:1x1': ('v5litepod-1', 1),
        'v5e:2x4': ('v5litepod-8', 1),
        'v5e:4x4': ('v5litepod-16', 4),
        'v5e:16x16': ('v5litepod-256', 64),
        'v5p:2x2x1': ('v5p-8', 1),
        'v5p:8x8x8': ('v5p-1024', 128),
        'v6e:4x8': ('v6e-32', 8),
    }
    assert {name: (accelerator_type(find_slice(name)), hosts(find_slice(name))) for name in expected} == expected
    assert hosts(find_slice('v5e:4x4', 2)) == 8
    assert dollars_per_hour(find_slice('v5e:4x4', 2)) == pytest.approx(32 * 1.2)
    assert {kind.runtime for kind in KINDS.values()} == {
        'tpu-ubuntu2204-base', 'v2-alpha-tpuv5-lite', 'v2-alpha-tpuv5', 'v2-alpha-tpuv6e',
    }  # fmt: skip
    with pytest.raises(ValueError, match='Cloud TPU has no slice v5e:3x3; v5e comes as 1x1, 2x2'):
        find_slice('v5e:3x3')


def test_grace_and_skew_leave_room_between_two_slices():
    assert claims.GRACE + claims.SKEW >= 2 * 10  # clocks of hosts are off by seconds, and a kill takes some
