"""The first host of a slice, and the others: exit codes, notices, lost claims, silence, and waiting for each other."""

import pytest
from test_claims import Clock, Memory

from launch import claims, worker
from launch.claims import DONE, FAILED, RESUME, Claims, Job
from launch.gcloud import GcloudError
from launch.ledger import Asked, Budget
from launch.plan import STOP, Plan
from launch.worker import Follower, Leader

JOBS = (Job('long', 3e15, 3.0, (('train', 'long'), ('score', 'long'))), Job('short', 1e15, 1.0, (('train', 'short'),)))
PLAN = Plan('t2-a-1', 'experiments/a.py', 'abc', 'p', JOBS, retries=9)


class Time(Clock):
    """Time that passes while somebody sleeps, and things that happen at their time."""

    def __init__(self):
        self.events = []

    def at(self, time, event):
        self.events.append((self.time + time, event))

    def sleep(self, seconds):
        self.time += seconds
        assert self.time < 1e6, 'it never ends'
        for event in [event for event in self.events if event[0] <= self.time]:
            self.events.remove(event)
            event[1]()


class Program:
    """A program that ends at its time with its code, or when it is asked to or killed."""

    def __init__(self, clock, until, seconds, code, saves=20, last_words=None):
        self.clock, self.until, self.ends, self.code = clock, until, clock.time + seconds, code
        self.saves, self.asked, self.killed, self.last_words = saves, [], None, last_words

    def poll(self):
        if self.killed is not None:
            return -9
        if self.clock.time >= self.until:
            self.killed = self.until
            return -9
        return self.code if self.clock.time >= self.ends else None

    def allow(self, until):
        self.until = until

    def terminate(self):
        self.asked.append(self.clock.time)
        self.ends, self.code = self.clock.time + self.saves, 143

    def kill(self):
        if self.poll() is None:
            self.killed = self.clock.time

    def share(self):
        return 0.5

    def silent(self):
        return 0 if self.last_words is None else self.clock.time - self.last_words


class Host:
    """A machine whose programs are listed beforehand."""

    def __init__(self, clock, *programs):
        self.clock, self.planned, self.programs, self.commands, self.noticed = clock, list(programs), [], [], False

    def start(self, command, run, until):
        self.commands.append(' '.join(command))
        how = self.planned.pop(0) if self.planned else {'seconds': 10, 'code': 0}
        self.programs.append(Program(self.clock, until, **how))
        return self.programs[-1]

    def notice(self):
        return self.noticed

    def keep(self, run, all_of_it):
        pass


@pytest.fixture
def begin():
    def begin(*programs, plan=PLAN, hosts=1):
        clock, bucket = Time(), Memory()
        host = Host(clock, *programs)
        return Leader('a', plan, bucket, clock, host, lambda said: None, hosts)

    return begin


def outcomes(leader):
    states = Claims(leader.bucket, leader.clock, 600, 9).states()
    return {run: [(attempt.outcome, attempt.code) for attempt in state.attempts] for run, state in states.items()}


def test_it_takes_runs_until_none_is_left_and_says_so(begin):
    leader = begin()
    assert leader.work() == 'no run is left to claim'
    assert leader.host.commands == ['train long', 'score long', 'train short']
    assert outcomes(leader) == {'long': [(DONE, 0)], 'short': [(DONE, 0)]}
    beat = leader.bucket.read('beats/a.json')[0]
    assert beat['ended'] == 'no run is left to claim' and beat['since'] == 1000.0


def test_what_was_stopped_is_resumed_and_what_failed_is_counted(begin):
    leader = begin({'seconds': 10, 'code': 1}, {'seconds': 10, 'code': 0}, {'seconds': 10, 'code': 143})
    assert leader.work() == 'one of its hosts was asked to stop'
    assert outcomes(leader) == {'long': [(FAILED, 1), (RESUME, 143)]}  # of the second try training was done


def test_two_failures_in_a_row_end_the_slice(begin):
    leader = begin({'seconds': 10, 'code': 2}, {'seconds': 10, 'code': 2})
    assert leader.work() == '2 runs in a row failed here' and outcomes(leader) == {'long': [(FAILED, 2)] * 2}


def test_a_notice_is_passed_on_and_ends_the_slice(begin):
    leader = begin({'seconds': 5000, 'code': 0})
    leader.clock.at(100, lambda: setattr(leader.host, 'noticed', True))
    assert leader.work() == 'its machine is taken away' and outcomes(leader) == {'long': [(RESUME, 143)]}
    assert len(leader.host.programs) == 1 and 1100 <= leader.host.programs[0].asked[0] <= 1102


def test_what_does_not_stop_is_killed(begin):
    leader = begin({'seconds': 5000, 'code': 0, 'saves': 4000})
    leader.clock.at(100, lambda: setattr(leader.host, 'noticed', True))
    leader.work()
    killed = leader.host.programs[0].killed
    assert 1100 + worker.STOP_SECONDS <= killed <= 1110 + worker.STOP_SECONDS
    assert outcomes(leader) == {'long': [(RESUME, None)]}


@pytest.mark.parametrize('reason', ['stop', 'budget'])
def test_a_stop_and_a_budget_are_heard_of_during_a_training(begin, reason):
    plan = Plan('t2-a-1', 'experiments/a.py', 'abc', 'p', JOBS, budget=Budget(hours=1.0))
    leader = begin({'seconds': 50000, 'code': 0}, plan=plan)
    if reason == 'stop':
        leader.clock.at(1800, lambda: leader.bucket.write(STOP, {'reason': 'somebody said so'}, None))
    else:
        account = vars(Asked('a', 'z', 'v5e:1x1', 1, 1.0, 0.0, active=-1800.0 + 1000.0))
        leader.bucket.write('slices/a.json', account, None)
    assert leader.work() == {'stop': 'somebody said so', 'budget': '1.00 of 1 slice-hours are spent'}[reason]
    assert outcomes(leader) == {'long': [(RESUME, 143)]} and leader.clock.time < 1000 + 1800 + 200


def test_silence_is_taken_for_a_hang(begin):
    leader = begin({'seconds': 1e5, 'code': 0, 'last_words': 1500.0})
    leader.host.planned += [{'seconds': 10, 'code': 0}] * 3
    leader.work()
    assert 1500 + 3600 <= leader.host.programs[0].killed <= 1500 + 3700 and outcomes(leader)['long'][0] == (
        FAILED,
        None,
    )


def test_a_claim_that_somebody_else_has_ends_the_program_and_is_not_closed(begin):
    leader = begin({'seconds': 5000, 'code': 0})
    stolen = Claims(leader.bucket, leader.clock, 600, 9)
    leader.clock.at(300, lambda: (stolen.release(['a']), stolen.claim(JOBS[:1], 'b')))
    leader.work()
    assert leader.host.programs[0].killed <= 1000 + 300 + 2 * PLAN.beat
    assert outcomes(leader)['long'] == [('gone', None), (None, None)]  # b's, still


def test_cut_off_from_the_bucket_it_ends_before_its_claim_and_says_nothing_after(begin, monkeypatch):
    leader = begin({'seconds': 5000, 'code': 0})
    write, off = leader.bucket.write, []

    def fail(*arguments):
        if off:
            raise GcloudError('no answer')
        return write(*arguments)

    leader.bucket.write = fail
    leader.clock.at(1000, lambda: off.append(True))
    leader.clock.at(3000, off.clear)
    leader.work()
    last = max(time for time in range(1000, 2100, 60) if time < 2000) + 600
    assert leader.host.programs[0].killed <= last - claims.GRACE + 60
    assert outcomes(leader)['long'][0][0] in (None, 'lost')


def test_what_its_claim_outran_is_not_closed_though_the_bucket_answers_again(begin):
    leader = begin({'seconds': 5000, 'code': 0})
    read, off = leader.bucket.read, []

    def fail(name):
        if off and name.startswith('runs/'):
            raise GcloudError('no answer')
        return read(name)

    leader.bucket.read = fail
    leader.clock.at(100, lambda: off.append(True))
    leader.clock.at(60 + 600 - claims.GRACE, off.clear)  # when what it runs is killed
    leader.work()
    assert leader.host.programs[0].killed is not None and outcomes(leader)['long'][0][0] != FAILED


def test_a_bucket_that_never_answers_ends_an_idle_slice(begin):
    leader = begin()
    leader.bucket.scan = lambda folder: (_ for _ in ()).throw(GcloudError('no answer'))
    assert leader.work().startswith('the bucket does not answer') and leader.clock.time < 1000 + 2 * worker.OUTAGE


def test_other_hosts_are_waited_for_before_and_after(begin):
    leader = begin({'seconds': 10, 'code': 1}, hosts=2)
    leader.bucket.write('hosts/a.json', {'time': 1000.0}, None)  # as every first host does
    leader.clock.at(500, lambda: leader.bucket.write('hosts/a-1.json', {'number': 0}, None))
    leader.clock.at(700, lambda: leader.bucket.write('hosts/a-1.json', {'number': 1}, None))
    leader.work()
    attempts = Claims(leader.bucket, leader.clock, 600, 9).states()['long'].attempts
    assert attempts[0].started >= 1500 and attempts[0].ended >= 1700  # it had failed long before
    assert leader.host.commands[0] == 'train long --distributed'
    alone = begin(hosts=2)
    assert alone.work().startswith('1 of 2 hosts came within') and alone.host.commands == []


def test_a_leader_that_was_started_again_goes_on_numbering(begin):
    leader = begin()
    leader.bucket.write('beats/a.json', {'number': 7}, None)
    leader.work()
    assert leader.bucket.read('beats/a.json')[0]['number'] == 7 + 3


def beat(number, **more):
    return {'number': number, 'command': ['train'], 'run': 'long', 'share': 0, 'over': False, 'ended': None, **more}


def follow(*events, programs=()):
    """Follow a first host that writes beats at their times; returns why it ended, and the host."""
    clock, bucket = Time(), Memory()
    host = Host(clock, *programs)
    for time, values in events:
        said = {'time': 1000.0 + time, 'expires': 1000.0 + time + 600, **values}
        clock.at(time, lambda said=said: bucket.write('beats/a.json', said, None))
    return Follower('a', 1, bucket, clock, host, lambda said: None).work(), host, bucket


def test_another_host_runs_what_the_first_says_as_long_as_that_lasts():
    long = {'seconds': 1e4, 'code': 0}
    events = [
        (10, beat(1)),
        (300, beat(1)),
        (700, beat(1, over=True)),
        (760, beat(2)),
        (800, beat(2, over=True, ended='done')),
    ]
    reason, host, bucket = follow(*events, programs=(long, long))
    assert reason == 'done' and len(host.programs) == 2
    assert 1700 <= host.programs[0].killed <= 1706 and 1800 <= host.programs[1].killed <= 1806
    assert bucket.read('hosts/a-1.json')[0]['number'] == 1  # nothing of the first runs any more


def test_another_host_kills_what_nobody_prolongs_and_ends_without_the_first():
    reason, host, _ = follow((10, beat(1)), programs=({'seconds': 1e5, 'code': 0},))
    assert host.programs[0].killed == 1010 + 600 - claims.GRACE and reason == worker.LEADERLESS
    assert host.clock.time < 1010 + worker.OUTAGE + 100


def test_another_host_starts_nothing_that_is_over_already():
    reason, host, _ = follow((10, beat(3, expires=900.0)), (100, beat(3, over=True, ended='stopped', expires=900.0)))
    assert reason == 'stopped' and host.programs == []
