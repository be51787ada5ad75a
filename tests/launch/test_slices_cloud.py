"""slices.py as a real process against the fake cloud: jobs end with their code, and nothing is left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cloud import Cloud, Fate, Rule

from launch import jobs, lifecycle, remote, slices
from launch.gcloud import Gcloud

SCRIPT = Path(__file__).resolve().parents[2] / 'launch' / 'slices.py'
ZONE = 'us-central1-a'
ONE = ['mine', '--zone', ZONE]
ASK = ['--slice', 'v5e:1x1', '--spot']
SETTINGS = {'host_environment': {'T2JAX_ENVIRONMENT': str(Path(sys.executable).parents[1])}}
COUNT = 'for i in $(seq 30); do echo line $i; sleep 0.1; done; exit 3'
COUNTED = [f'line {i}' for i in range(1, 31)]
# Trains as t2jax does: saves and ends with 143 when asked to.
TRAIN = 'trap "echo saved >> $HOME/saved; exit 143" TERM; echo begun; exec 2>/dev/null; while :; do sleep 0.05; done'


@pytest.fixture
def make(tmp_path):
    clouds = []

    def make(*fates, **settings):
        clouds.append(Cloud(tmp_path / f'cloud{len(clouds)}', fates=fates, **{**SETTINGS, **settings}).__enter__())
        return clouds[-1]

    yield make
    for cloud in clouds:
        cloud.__exit__()
        assert not cloud.names('fault')


def start(cloud, *arguments):
    streams = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'start_new_session': True}
    return subprocess.Popen([sys.executable, SCRIPT, *arguments], env=cloud.environment(), text=True, **streams)


def finish(process, timeout=60):
    """Return (exit code, output, errors)."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


def call(cloud, *arguments):
    return finish(start(cloud, *arguments))


def nothing_left(cloud):
    cloud.wait_for(lambda: not cloud.resources(), 5)
    return not cloud.leaked()


def interrupt_when(cloud, process, happened, number=signal.SIGINT):
    cloud.wait_for(happened, 30)
    os.killpg(process.pid, number)  # as a terminal does: the whole foreground group


def saved(cloud):
    return list((cloud.root / 'hosts').glob('*/saved'))


def begun(cloud):
    """Return the hosts whose job has begun."""
    return [path for path in (cloud.root / 'hosts').glob('*/t2jax-jobs/2*/log') if 'begun' in path.read_text()]


def test_a_job_is_run_and_its_slice_is_gone(make, tmp_path):
    cloud = make()
    words = ['sh', '-c', 'echo "$0" | tee made; pwd; command -v t2jax; exit 7', 'a b;$(c)']
    code, out, err = call(cloud, 'job', *ONE, *ASK, '--copy', 't2jax/made', str(tmp_path / 'made'), '--', *words)
    lines = out.splitlines()
    assert code == 7, err
    assert lines[0] == 'a b;$(c)' == (tmp_path / 'made').read_text().strip()
    assert re.search(r'mine-0/t2jax$', lines[1]) and lines[2] == f'{Path(sys.executable).parents[1]}/bin/t2jax'
    assert nothing_left(cloud) and 'job' in err and 'exit code 7' in err
    done = [name.split(' --')[0] for name in cloud.names('gcloud')]
    printed = [line.removeprefix('gcloud ').split(' --')[0] for line in err.splitlines() if line.startswith('gcloud')]
    changed = [line for line in done if re.search(' (create|delete|ssh|scp) ', line)]
    assert printed == changed  # every one of them, before it ran


@pytest.mark.parametrize('rule', [
    Rule('drop', ' follow ', times=2, delay=1.0),
    Rule('drop', ' follow ', times=2, delay=0.7, kills=False),
    Rule('drop', ' follow ', times=1, delay=1.0, retries=1, kills=False),  # which gcloud mends by itself
    pytest.param(Rule('drop', 'tpu-vm ssh', times=5, delay=0.2, kills=False, retries=1), marks=pytest.mark.slow),
    pytest.param(Rule('garbage', 'queued-resources describe', every=2), marks=pytest.mark.slow),
    pytest.param(Rule('error', 'tpu-vm (ssh|scp)', every=3), marks=pytest.mark.slow),
])  # fmt: skip
def test_a_lost_connection_loses_no_line_and_repeats_none(rule, make):
    cloud = make(rules=[rule])
    code, out, err = call(cloud, 'job', *ONE, *ASK, '--', 'sh', '-c', COUNT)
    assert (code, out.splitlines()) == (3, COUNTED), err
    assert cloud.names(rule.kind) and nothing_left(cloud)


def test_all_hosts_of_two_slices_run_it_and_the_first_failure_counts(make):
    cloud = make()
    command = 'echo $FAKE_HOST > $HOME/saved; [ $FAKE_HOST != mine-1-2 ] || exit 9'
    two = ['--slice', 'v5e:4x4', '--slices', '2']
    code, out, err = call(cloud, 'job', *ONE, *two, '--', 'sh', '-c', command)
    assert code == 9, err
    assert {path.parent.name for path in saved(cloud)} == {f'mine-{i}-{j}' for i in range(2) for j in range(4)}
    assert nothing_left(cloud)


def test_hosts_that_go_on_alone_are_stopped(make, monkeypatch, capfdbinary):
    cloud = make()
    host = cloud.vm('theirs', kind='v5litepod-16')
    command = f'echo x; if [ $FAKE_HOST = theirs-1 ]; then exit 5; fi; {TRAIN}'
    for module, name, value in ((jobs, 'FOLLOW', 1), (jobs, 'STOPPING', 1)):
        monkeypatch.setattr(module, name, value)
    for key, value in cloud.environment().items():
        monkeypatch.setenv(key, value)
    assert slices.main(['run', 'theirs', '--zone', ZONE, '--vm', '--', 'sh', '-c', command]) == 5
    out = capfdbinary.readouterr().out
    assert out == b'x\nbegun\n' and len(saved(cloud)) == 3 and host.state == 'ACTIVE'


@pytest.mark.parametrize('number, code', [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupt_while_waiting_gives_the_request_back(number, code, make):
    cloud = make(Fate('stuck'))
    process = start(cloud, 'job', *ONE, *ASK, '--', 'true')
    interrupt_when(cloud, process, lambda: 'WAITING_FOR_RESOURCES' in cloud.resources().values(), number)
    assert finish(process)[0] == code
    assert nothing_left(cloud) and cloud.names('created') == ['mine']


def test_an_interrupt_while_running_lets_it_save_and_gives_the_slice_back(make):
    cloud = make()
    process = start(cloud, 'job', *ONE, '--slice', 'v5e:4x4', '--', 'sh', '-c', TRAIN + '; echo never')
    interrupt_when(cloud, process, lambda: len(begun(cloud)) == 4)
    code, out, err = finish(process)
    assert code == 130 and out == 'begun\n' and 'stopping the job on all hosts' in err
    assert len(saved(cloud)) == 4 and nothing_left(cloud)


def test_a_second_interrupt_does_not_wait(make):
    cloud = make()
    process = start(cloud, 'job', *ONE, *ASK, '--', 'sh', '-c', 'trap "" TERM; echo begun; sleep 100')
    interrupt_when(cloud, process, lambda: begun(cloud))
    interrupt_when(cloud, process, lambda: any(' stop ' in line for line in cloud.names('gcloud')))
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)  # a third changes nothing
    code, _, err = finish(process, 20)
    assert code == 130 and nothing_left(cloud), err


@pytest.mark.slow
def test_interrupts_at_any_time_leave_nothing(make):
    for i in range(8):
        cloud = make()
        process = start(cloud, 'job', *ONE, *ASK, '--', 'sh', '-c', TRAIN)
        time.sleep(0.25 + 0.25 * i)
        for _ in range(1 + i % 3):
            os.killpg(process.pid, signal.SIGINT)
        code, _, err = finish(process, 30)
        assert code in (130, -signal.SIGINT) and nothing_left(cloud), err  # the latter: before main


@pytest.mark.parametrize('kind', ['suspend', 'preempt'])
def test_a_slice_that_is_taken_away_is_said_and_given_back(kind, make):
    cloud = make(Fate(kind, after=3.0), rules=[Rule('drop', ' follow ', every=2)])
    code, out, err = call(cloud, 'job', *ONE, *ASK, '--', 'sh', '-c', TRAIN)
    assert code == 143 and out == 'begun\n', err
    assert re.search('mine in .* is SUSPEND(ED|ING): its TPUs were taken away', err) and nothing_left(cloud)
    assert 'goes on from its last checkpoint with the same command: ' in err and '-- sh -c' in err.splitlines()[-1]


def test_a_job_that_ends_with_143_says_how_to_go_on(make):
    cloud = make()
    code, _, err = call(cloud, 'job', *ONE, *ASK, '--', 'sh', '-c', 'exit 143')
    assert code == 143 and 'goes on from its last checkpoint with the same command' in err and nothing_left(cloud)


def test_a_request_that_fails_is_a_sentence_and_given_back(make):
    cloud = make(Fate('fail', message='There is no more capacity in the zone "x".'))
    code, out, err = call(cloud, 'job', *ONE, *ASK, '--', 'true')
    assert code == 1 and not out and nothing_left(cloud)
    assert 'mine in us-central1-a is FAILED: There is no more capacity in the zone "x"' in err.splitlines()


def test_a_request_that_never_comes_is_given_back(make):
    cloud = make(Fate('stuck'))
    code, _, err = call(cloud, 'job', *ONE, *ASK, '--timeout', '2s', '--valid-until', '1h', '--', 'true')
    assert code == 1 and 'is still WAITING_FOR_RESOURCES after 2 s' in err and nothing_left(cloud)


@pytest.mark.parametrize('rule', [
    pytest.param(Rule('error', 'queued-resources delete', times=2), marks=pytest.mark.slow),
    Rule('error', 'queued-resources delete', times=1, after=True),
    Rule('error', 'queued-resources create', after=True),
    pytest.param(Rule('error', 'queued-resources describe', every=2), marks=pytest.mark.slow),
])  # fmt: skip
def test_a_slice_is_given_back_although_gcloud_fails(rule, make):
    cloud = make(rules=[rule])
    code, _, err = call(cloud, 'job', *ONE, *ASK, '--', 'true')
    assert cloud.names('error') and nothing_left(cloud), err
    assert code == (2 if 'create' in rule.match else 0)


def in_process(cloud, monkeypatch, *arguments):
    for key, value in cloud.environment().items():
        monkeypatch.setenv(key, value)
    return slices.main(arguments)


def test_what_cannot_be_deleted_is_said_loudly_with_the_line_to_paste(make, monkeypatch, capfd):
    cloud = make(rules=[Rule('error', 'queued-resources delete')])
    monkeypatch.setattr(lifecycle, '_PAUSES', (0, 0.1))
    assert in_process(cloud, monkeypatch, 'job', *ONE, *ASK, '--', 'true') == 1
    err = capfd.readouterr().err
    line = next(line.strip() for line in err.splitlines() if line.startswith('    gcloud'))
    assert 'NOT DELETED: mine in us-central1-a may go on costing money' in err and cloud.resources()
    cloud.rules.clear()
    assert subprocess.run(line, shell=True, env=cloud.environment(), capture_output=True).returncode == 0
    assert nothing_left(cloud)


@pytest.mark.slow
def test_hosts_out_of_reach_for_too_long_are_given_up(make, monkeypatch, capfd):
    cloud = make(Fate('freeze', after=3.0))
    monkeypatch.setattr(jobs, 'SILENCE', 0.5)
    assert in_process(cloud, monkeypatch, 'job', *ONE, *ASK, '--patience', '3s', '--', 'sh', '-c', TRAIN) == 1
    assert 'mine is out of reach' in capfd.readouterr().err and nothing_left(cloud)


@pytest.mark.slow
def test_the_slice_deletes_itself_after_its_job_when_its_launcher_dies(make):
    cloud = make()
    command = 'echo begun; sleep 4; echo done > $HOME/saved'
    process = start(cloud, 'job', *ONE, *ASK, '--idle', '2s', '--', 'sh', '-c', command)
    cloud.wait_for(lambda: begun(cloud), 30)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    cloud.wait_for(lambda: cloud.names('deleting'), 20)
    assert saved(cloud)[0].read_text() == 'done\n' and 'deletes itself' in cloud.log('mine-0') and nothing_left(cloud)


def test_the_slice_deletes_itself_when_its_launcher_dies_before_the_job(make):
    cloud = make(waiting=1.0)
    process = start(cloud, 'job', *ONE, '--slice', 'v5e:4x4', '--slices', '2', '--idle', '2s', '--', 'true')
    cloud.wait_for(lambda: cloud.resources(), 30)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    cloud.wait_for(lambda: cloud.names('deleting'), 20)
    assert 'ACTIVE' in [event.what for event in cloud.events] and nothing_left(cloud)
    assert sum(' queued-resources delete mine' in line for line in cloud.names('gcloud')) == 1  # by one host


def test_a_slice_step_by_step(make, tmp_path):
    cloud = make(waiting=1.0)
    assert call(cloud, 'create', *ONE, '--slice', 'v5e:4x4')[0] == 0
    code, _, err = call(cloud, 'run', *ONE, '--', 'true')
    assert code == 2 and 'mine in us-central1-a is' in err and '`wait` waits' in err
    code, _, err = call(cloud, 'create', *ONE, *ASK)
    assert code == 2 and 'already' in err and 'and ours; choose another name' in err
    code, _, err = call(cloud, 'wait', *ONE)
    assert code == 0 and re.search('mine is WAITING_FOR_RESOURCES, waiting for .* of at most 6.0 h', err)
    assert call(cloud, 'install', *ONE)[0] == 0
    code, out, _ = call(cloud, 'run', *ONE, '--', 'sh', '-c', 'echo out > made; echo hello; exit 4')
    assert (code, out) == (4, 'hello\n')
    code, out, err = call(cloud, 'logs', *ONE)
    assert (code, out) == (0, 'hello\n') and 'latest: code 4' in err
    assert call(cloud, 'copy', *ONE, 't2jax/made', str(tmp_path / 'made'))[0] == 0
    assert (tmp_path / 'made').read_text() == 'out\n'
    assert call(cloud, 'copy', *ONE, 't2jax/absent', str(tmp_path / 'absent'))[0] == 2
    below = f'trap : TERM; ({TRAIN}) & wait; wait; exit 143'  # what trains may be a child
    process = start(cloud, 'run', *ONE, '--', 'sh', '-c', below)
    interrupt_when(cloud, process, lambda: len(begun(cloud)) == 4)
    assert finish(process)[0] == 130 and len(saved(cloud)) == 4 and cloud.resources() == {'mine': 'ACTIVE'}
    assert call(cloud, 'list', '--zone', ZONE)[1].split() == ['mine', 'ACTIVE', 'ours', '1', 'x', 'v5litepod-16']
    assert call(cloud, 'delete', *ONE)[0] == 0 and nothing_left(cloud)
    code, _, err = call(cloud, 'delete', *ONE)
    assert code == 0 and 'nothing is to be deleted' in err


def test_a_job_that_runs_is_joined_and_not_run_twice(make):
    cloud = make()
    cloud.vm('theirs')
    command = f'echo x >> $HOME/saved; {COUNT}'
    run = ('run', 'theirs', '--zone', ZONE, '--vm', '--job', 'once', '--', 'sh', '-c', command)
    first = start(cloud, *run)
    cloud.wait_for(lambda: saved(cloud), 20)
    os.killpg(first.pid, signal.SIGKILL)
    finish(first)
    code, out, err = call(cloud, *run)
    assert (code, out.splitlines()) == (3, COUNTED), err
    assert saved(cloud)[0].read_text() == 'x\n'


def test_a_job_that_is_stopped_before_it_begins_never_does(make, monkeypatch):
    cloud = make()
    cloud.vm('theirs')
    for key, value in cloud.environment().items():
        monkeypatch.setenv(key, value)
    job = jobs.Job(remote.hosts_of_vm(Gcloud(), 'theirs', ZONE, False), 'never', 10)
    job.attach()
    assert job.wait(0) == ['absent']
    job.stop()
    job.start(['sh', '-c', 'touch $HOME/saved'])
    assert job.finish() == 143 and not saved(cloud)


def test_a_machine_that_is_not_ours_is_used_and_stays(make, tmp_path):
    cloud = make()
    vm = cloud.vm('theirs')
    of = ('theirs', '--zone', ZONE, '--vm')
    assert call(cloud, 'install', *of)[0] == 0
    code, out, _ = call(cloud, 'run', *of, '--', 'sh', '-c', 'pwd; echo y > made')
    assert code == 0 and out.strip().endswith('theirs-0/t2jax')
    assert call(cloud, 'copy', *of, 't2jax/made', str(tmp_path / 'made'))[0] == 0
    code, out, _ = call(cloud, 'run', *of, '--', 'sh', '-c', 'cut -d " " -f 1,6 /proc/$PPID/stat')
    assert code == 0 and len(set(out.split())) == 1  # in a session of its own, whatever becomes of ssh's
    process = start(cloud, 'run', *of, '--', 'sh', '-c', TRAIN)
    interrupt_when(cloud, process, lambda: begun(cloud))
    assert finish(process)[0] == 130 and saved(cloud) and vm.state == 'ACTIVE'
    code, _, err = call(cloud, 'run', 'absent', '--zone', ZONE, '--vm', '--', 'true')
    assert code == 143 and 'absent in us-central1-a is gone' in err
    for action in (('delete',), ('create', *ASK)):
        call(cloud, action[0], 'theirs', '--zone', ZONE, *action[1:])
    assert vm.state == 'ACTIVE' and not any(' queued-resources delete' in line for line in cloud.names('gcloud'))


def test_requests_of_others_are_left_alone(make):
    cloud = make()
    place = ('--zone=us-central1-a', '--accelerator-type=v5litepod-1', '--runtime-version=v', '--node-id=mine')
    words = ('compute', 'tpus', 'queued-resources', 'create', 'mine', *place, '--labels=t2jax=sweep', '--async')
    subprocess.run(['gcloud', *words], env=cloud.environment(), check=True, capture_output=True)
    cloud.wait_for(lambda: cloud.resources() == {'mine': 'ACTIVE'})
    for arguments in (['create', *ASK], ['delete'], ['run', '--', 'true'], ['install'], ['job', *ASK, '--', 'true']):
        code, _, err = call(cloud, arguments[0], *ONE, *arguments[1:])
        lines = [line for line in err.splitlines() if not line.startswith('warning')]
        assert code == 2 and len(lines) == 1 and ('no label t2jax=slice' in err), err
    assert cloud.resources() == {'mine': 'ACTIVE'}
    assert "another's" in call(cloud, 'list', '--zone', ZONE)[1]


def test_one_that_takes_the_name_meanwhile_keeps_it(make):
    cloud = make()
    answers, serve = [], cloud.serve

    def first_another(request):
        if 'create' in request['arguments'] and not answers:
            answers.append('created')
            other = [word for word in request['arguments'] if 'labels' not in word and 'metadata' not in word]
            serve({**request, 'arguments': other})
        return serve(request)

    cloud.serve = first_another
    code, _, err = call(cloud, 'job', *ONE, *ASK, '--', 'true')
    assert code == 2 and 'already exists' in err and 'not ours: it is left alone' in err
    assert list(cloud.resources()) == ['mine']
