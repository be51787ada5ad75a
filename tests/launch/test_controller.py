"""What the controller does with what gcloud shows: what is no more frees its runs, what comes late is given back."""

import pytest
from test_claims import Clock, Memory

from launch.claims import Claims, Job
from launch.controller import Controller, Place
from launch.gcloud import GcloudError
from launch.ledger import read_asked
from launch.machines import find_slice
from launch.plan import STOP, Plan
from launch.queued import Seen

JOBS = (Job('long', 3e15, 3.0, (('train', 'long'),)),)
PLAN = Plan('t2-a-1b2c', 'experiments/a.py', 'abc', 'p', JOBS)


class Cloud:
    """Slices whose states a test sets."""

    def __init__(self):
        self.states, self.deleted, self.refusal, self.silent, self.lands = {}, [], None, False, True

    def create(self, asked):
        if self.refusal:
            raise self.refusal
        if self.lands:
            self.states[asked.name] = 'WAITING_FOR_RESOURCES'

    def delete(self, name, zone):
        self.deleted.append(name)

    def list(self, zone):
        if self.silent:
            raise GcloudError('no answer')
        return [Seen(name, state) for name, state in self.states.items()]

    def describe(self, name, zone):
        return Seen(name, self.states[name]) if name in self.states else None


@pytest.fixture
def controller():
    clock = Clock()
    places = [Place('us-west4-a', find_slice('v5e:1x1'), 1.0)]
    return Controller(PLAN, places, 1, Cloud(), Memory(), clock, lambda said: None)


def at_work(controller):
    """Let a slice come and claim the run; returns its name."""
    controller.tick()
    (name,) = controller.cloud.states
    controller.cloud.states[name] = 'ACTIVE'
    Claims(controller.bucket, controller.clock, 600, 3).claim(JOBS, name)
    controller.bucket.write(f'beats/{name}.json', {'time': controller.clock.time, 'since': controller.clock.time}, None)
    controller.tick()
    return name


def outcome(controller):
    return Claims(controller.bucket, controller.clock, 600, 3).states()['long'].attempts[0].outcome


@pytest.mark.parametrize('state', ['SUSPENDED', 'FAILED', None])
def test_runs_of_a_slice_that_is_no_more_are_freed_and_another_is_asked_for(controller, state):
    name = at_work(controller)
    controller.cloud.states = {name: state} if state else {}
    controller.tick()
    assert outcome(controller) == 'gone' and controller.cloud.deleted == ([name] if state else [])
    controller.cloud.states.clear()
    controller.clock.time += 1000
    controller.tick()
    assert 't2-a-1b2c-002' in controller.cloud.states


@pytest.mark.parametrize('state', ['SUSPENDING', 'DELETING', 'ACTIVE'])
def test_runs_of_a_slice_whose_machines_may_still_run_are_not_freed(controller, state):
    name = at_work(controller)
    controller.cloud.states[name] = state
    controller.tick()
    assert outcome(controller) is None


def test_a_gcloud_that_does_not_answer_changes_nothing(controller):
    at_work(controller)
    before = dict(controller.bucket.objects)
    controller.cloud.silent, controller.cloud.states = True, {}
    controller.tick()
    assert controller.bucket.objects == before and controller.cloud.deleted == []


def test_a_request_that_lands_when_it_was_given_up_is_taken_back_into_the_account(controller):
    controller.cloud.lands = False
    controller.tick()
    controller.clock.time += 200
    controller.tick()
    name = 't2-a-1b2c-001'
    assert read_asked(controller.bucket)[name][0].gone is not None
    controller.cloud.states[name] = 'WAITING_FOR_RESOURCES'
    assert not controller.delete_all() and name in controller.cloud.deleted
    assert read_asked(controller.bucket)[name][0].gone is None
    controller.cloud.states.clear()
    controller.clock.time += 200
    assert controller.delete_all()


def test_slices_that_do_not_hear_of_a_stop_are_deleted_in_the_end(controller):
    name = at_work(controller)
    controller.bucket.write(STOP, {'reason': 'somebody said so'}, None)
    controller.tick()
    assert controller.cloud.deleted == []
    controller.clock.time += 601
    controller.bucket.write(f'beats/{name}.json', {'time': controller.clock.time, 'since': 1000.0}, None)
    controller.tick()
    assert controller.cloud.deleted == [name]


def test_nobody_elses_slice_is_deleted(controller):
    controller.cloud.states['t2-a-1b2c-999'] = 'FAILED'
    controller.tick()
    controller.delete_all()
    assert 't2-a-1b2c-999' not in controller.cloud.deleted


@pytest.mark.parametrize('said', ['gcloud: exec: python3: not found', 'proxy error 404', "Project 'p' not found"])
def test_what_is_missing_elsewhere_is_no_slice_that_is_gone(said):
    assert not GcloudError('', said).lacks('queuedResources/t2-a-1b2c-001')
    there = "NOT_FOUND: Resource 'projects/p/locations/z/queuedResources/t2-a-1b2c-001' was not found"
    assert GcloudError('', there).lacks('queuedResources/t2-a-1b2c-001')
