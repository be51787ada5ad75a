"""200 random schedules of preemptions, hangs, refusals and lost answers: no double run, no lost run, no leak."""

import pytest
import simulation
from simulation import overlaps, simulate, trained

from launch import controller, worker
from launch.claims import Job
from launch.ledger import Budget
from launch.plan import Plan

JOBS = tuple(Job(f'run{i}', 1e15 * (8 - i), 8.0 - i, (('train', f'run{i}'),)) for i in range(8))
SECONDS = {job.name: 600.0 * (8 - i) for i, job in enumerate(JOBS)}


@pytest.fixture(autouse=True)
def look_less_often(monkeypatch):
    """A host looks at what it runs every second; seldom enough is as good here, and ten times as fast."""
    monkeypatch.setattr(worker, 'TICK', 10.0)
    monkeypatch.setattr(controller, 'TRIES', 1000)  # every ninth slice is mute here, by chance


PLAN = Plan('t2-simulated', 'experiments/paper.py', 'abcdef1', 'p', JOBS, retries=6)


# The first thirty by default, all two hundred in the slow suite.
SEEDS = [*range(30), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(30, 200))]


@pytest.mark.parametrize('seed', SEEDS)
def test_no_schedule_loses_doubles_or_leaks(seed):
    cloud, ended = simulate(seed, PLAN, SECONDS, hosts=1 + seed % 2, trouble=(0.0, 0.02, 0.1)[seed % 3])
    assert overlaps(cloud) == []
    for name, training in cloud.trainings.items():
        state = ended.states[name]
        if state.given_up(PLAN.retries):
            assert state.failures() > PLAN.retries
            continue
        assert state.done and training.finished >= 1 and training.saved == training.seconds
        outcomes = [attempt.outcome for attempt in state.attempts]
        assert outcomes.count('done') == 1 and outcomes[-1] == 'done' and outcomes.count('failed') <= training.failed
    assert sorted(cloud.resources) == ['somebody-elses-001']
    assert all(sight.asked.gone for sight in ended.sights) and cloud.created < 60


def test_most_runs_are_trained_and_something_went_wrong_on_the_way():
    given_up = attempts = 0
    for seed in range(300, 308):
        cloud, ended = simulate(seed, PLAN, SECONDS, trouble=0.05)
        given_up += len(JOBS) - len(trained(ended))
        attempts += sum(len(state.attempts) for state in ended.states.values())
    assert given_up <= 2 and attempts > 1.2 * 8 * len(JOBS)


def test_a_budget_stops_it_and_leaves_nothing():
    plan = Plan('t2-simulated', 'experiments/paper.py', 'abcdef1', 'p', JOBS, retries=6, budget=Budget(hours=2.0))
    for seed in range(20):
        cloud, ended = simulate(seed, plan, SECONDS, trouble=0.02)
        assert sorted(cloud.resources) == ['somebody-elses-001']
        assert overlaps(cloud) == []


def test_flops_choose_the_runs():
    plan = Plan('t2-simulated', 'experiments/paper.py', 'abcdef1', 'p', JOBS, retries=20, budget=Budget(flops=1.6e16))
    cloud, ended = simulate(1, plan, SECONDS)
    assert sorted(trained(ended)) == ['run0', 'run1', 'run7']


def test_slices_whose_set_up_fails_stop_the_sweep_before_they_cost_much(monkeypatch):
    monkeypatch.setattr(controller, 'TRIES', 3)
    monkeypatch.setattr(simulation.Resource, 'fates', ('mute',))
    cloud, ended = simulate(1, PLAN, SECONDS, controllers_die=False)
    assert 'came and ended before they could take a run' in ended.trouble and cloud.created <= 8
    assert sorted(cloud.resources) == ['somebody-elses-001']
