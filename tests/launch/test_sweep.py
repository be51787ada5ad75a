"""A sweep of real trainings on a fake cloud that takes slices away, freezes them, refuses them and garbles answers."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from a_sweep import PLACES, Sweep, interrupt, make_repository, make_tokens, train_undisturbed
from cloud import Cloud, Fate, Rule

from t2jax.tasks.questions import write_questions
from tests.made_run import QUESTIONS, WORDS

GOLDEN = Path(__file__).with_name('golden')
FATES = [
    Fate('preempt', after=7, when='training', notice=20),
    Fate('suspend', after=9, when='training'),
    Fate('fail', message='There is no more capacity in the zone.'),
    Fate('freeze', after=12, when='training'),
    Fate('refuse', message='Quota limit TPUV5sPreemptibleLitepodPerProjectPerZone has been exceeded. Limit: 8'),
    Fate('preempt', after=20, when='training', notice=0.2),
    Fate('suspend', after=1),
    Fate('suspend', after=25, when='training'),
]
RULES = [
    Rule('garbage', 'queued-resources describe', every=9),
    Rule('garbage', 'objects list', every=17),
    Rule('error', 'storage cp', every=13),
    Rule('error', 'storage cp', every=29, after=True),
    Rule('error', 'queued-resources create', every=3, after=True),
    Rule('error', 'queued-resources delete', every=4),
    Rule('hang', 'storage cat', every=41, times=2),
]


@pytest.fixture(scope='module')
def repository(tmp_path_factory):
    return make_repository(tmp_path_factory.mktemp('repository'))


@pytest.fixture(scope='module')
def tokens(tmp_path_factory):
    return make_tokens(tmp_path_factory.mktemp('text') / 'tokens')


@pytest.fixture
def begin(tmp_path, repository, tokens):
    """Return a sweep on a cloud of its own; nothing of it outlives the test."""
    clouds = []

    def begin(**how):
        env = {'T2JAX_ENVIRONMENT': str(Path(sys.executable).parents[1]), 'JAX_PLATFORMS': 'cpu'}
        clouds.append(Cloud(tmp_path / f'cloud{len(clouds)}', host_environment=env, **how))
        clouds[-1].__enter__()
        return Sweep(clouds[-1], repository, tokens)

    yield begin
    for cloud in clouds:
        cloud.__exit__(None, None, None)


@pytest.mark.slow
def test_twelve_runs_are_trained_once_each_whatever_the_cloud_does(begin, repository, tokens, tmp_path):
    sweep = begin(fates=FATES, rules=RULES)
    done = sweep.run(*PLACES, '--spot', '--most', '2', '--lease', '80', '--poll', '2', '--rest', '10', timeout=1200)
    print(done.stderr[-6000:])
    assert done.returncode == 0, sweep.cloud.events
    attempts = sweep.attempts()
    print({run: [attempt['outcome'] for attempt in of_run] for run, of_run in attempts.items()})
    assert len(attempts) == 12 and sum(map(len, attempts.values())) >= 12 + 2
    for run, of_run in attempts.items():
        assert [attempt['outcome'] for attempt in of_run].count('done') == 1
        spans = [(attempt['started'], attempt['ended']) for attempt in of_run]
        assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:]))
        steps = int(run.partition('@')[2])
        assert sweep.result(run)['steps'] == steps and sweep.result(run)['tokens'] == 256 * steps
    happened = {event.what for event in sweep.cloud.events}
    assert happened >= {'notice', 'SUSPENDED', 'FAILED', 'frozen', 'refused', 'garbage', 'error', 'hang'}
    assert sweep.cloud.leaked() == [] and 'fault' not in happened
    train_undisturbed(repository, tokens, tmp_path / 'undisturbed', sorted(attempts))
    for run in attempts:
        assert sweep.losses(run) == sweep.losses(run, tmp_path / 'undisturbed')


def test_ctrl_c_while_waiting_leaves_no_request_behind(begin, tmp_path):
    sweep = begin(fates=[Fate('stuck'), Fate('stuck')])
    process = sweep.start(*PLACES, '--most', '2', '--poll', '0.5', log=tmp_path / 'log')
    sweep.cloud.wait_for(lambda: len(sweep.cloud.resources()) == 2, timeout=60)
    interrupt(process)
    assert process.wait(60) == 130
    assert sweep.cloud.leaked() == []
    assert 'Ctrl-C again' in (tmp_path / 'log').read_text()
    assert sweep.record('stop.json')['reason'] and sweep.record('controller.json')['expires'] == 0


def test_a_killed_controller_goes_on_where_it_was_and_only_one_runs(begin, tmp_path):
    sweep = begin(fates=[Fate('stuck')])
    process = sweep.start(*PLACES, '--most', '1', '--poll', '0.5', log=tmp_path / 'log')
    sweep.cloud.wait_for(sweep.cloud.resources, timeout=60)
    second = sweep.run(*PLACES)
    assert second.returncode == 2 and 'stop that, or wait until' in second.stderr
    process.kill()
    process.wait()
    again = sweep.start(*PLACES, '--most', '1', '--poll', '0.5', log=tmp_path / 'again')
    sweep.cloud.wait_for(lambda: '1 waited for' in (tmp_path / 'again').read_text(), timeout=60)
    assert len(sweep.cloud.names('created')) == 1
    interrupt(again)
    assert again.wait(60) == 130 and sweep.cloud.leaked() == []


def test_status_and_delete_need_nothing_but_the_bucket(begin, tmp_path):
    sweep = begin(fates=[Fate('stuck'), Fate('stuck')])
    process = sweep.start(*PLACES, '--most', '2', '--poll', '0.5', log=tmp_path / 'log')
    sweep.cloud.wait_for(lambda: len(sweep.cloud.resources()) == 2, timeout=60)
    process.kill()
    process.wait()
    shown = sweep.run('--status')
    assert shown.returncode == 0 and '0 of 12 runs done' in shown.stdout and 'waited for' in shown.stdout
    found = json.loads(sweep.run('--status', '--json').stdout)
    assert found['totals']['waiting'] == 12 and found['totals']['slices_waited_for'] == 2
    assert sweep.run('--delete').returncode == 0 and sweep.cloud.leaked() == []


def test_other_requests_are_left_alone(begin, tmp_path):
    sweep = begin(fates=[Fate('fine'), Fate('stuck')])
    ask = ['gcloud', 'compute', 'tpus', 'queued-resources', 'create', 't2-tiny-0000-001', '--zone=us-central1-a']
    ask += ['--node-id=x', '--accelerator-type=v5litepod-1', '--runtime-version=v2-alpha-tpuv5-lite', '--async']
    subprocess.run(ask, env=sweep.cloud.environment(), check=True, capture_output=True)
    process = sweep.start(*PLACES, '--most', '1', '--poll', '0.5', log=tmp_path / 'log')
    sweep.cloud.wait_for(lambda: len(sweep.cloud.resources()) == 2, timeout=60)
    interrupt(process)
    assert process.wait(60) == 130
    assert list(sweep.cloud.resources()) == ['t2-tiny-0000-001']


@pytest.mark.parametrize(
    ('how', 'flags', 'said'),
    [
        ({'account': None}, PLACES, 'gcloud is not logged in; log in: gcloud auth login'),
        ({'project': None}, PLACES, 'gcloud has no project; name one: --project ID'),
        ({'read_only': ('bucket',)}, PLACES, 'ask for the role that is missing'),
        ({'buckets': ('other',)}, PLACES, 'make the bucket: gcloud storage buckets create'),
        ({}, ('--place', 'us-west9-z,v5e:1x1'), 'choose a zone of `gcloud compute tpus locations list`'),
        ({'kinds': {'us-east5-b': ('v4-8',)}}, ('--place', 'us-east5-b,v5e:1x1'), 'zone us-east5-b has no v5litepod-1'),
        ({}, (), 'no place to ask for slices; give --place ZONE,SLICE'),
        ({}, ('--place', 'us-east5-b,v5x:1x1'), "1 x 'v5x:1x1' is no TPU slice"),
        ({}, ('--place', 'us-east5-b,v5e:3x3'), 'Cloud TPU has no slice v5e:3x3'),
        ({}, ('--place', '$(reboot),v5e:1x1'), "'$(reboot)' is no zone"),
        ({}, ('--place', 'us-east5-b,v5e:1x1,cheap'), "'cheap' is no price"),
        ({}, (*PLACES, '--run', 'w99@1'), "has no run 'w99@1'"),
        ({}, (*PLACES, '--budget-dollars', '-1'), 'a budget is -1; it has to be above 0'),
        ({}, (*PLACES, '--budget-flops', '10'), '10 FLOPs suffice for no run'),
        ({}, (*PLACES, '--commit', 'nosuch'), "'nosuch' is no commit"),
        ({}, (*PLACES, '--lease', '30'), 'a lease of 30 s is too short'),
        ({}, ('--status',), 'gs://bucket/tiny/sweep holds no sweep'),
    ],
)
def test_bad_input_is_one_sentence_and_creates_nothing(begin, how, flags, said):
    sweep = begin(**how)
    done = sweep.run(*flags)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert done.stderr.count('\n') == 1 or done.stderr.startswith('gcloud storage'), done.stderr
    assert sweep.cloud.names('created') == [] and sweep.cloud.objects(next(iter(how.get('buckets', ('bucket',))))) == {}


def test_a_workdir_is_an_address_and_nothing_for_a_shell(begin):
    sweep = begin()
    for workdir in ('/tmp/here', 'gs://bucket/a;b', 'gs://bucket/$(id)', 'gs://bucket/a b'):
        done = sweep.run(*PLACES, workdir=workdir)
        assert done.returncode == 2 and 'is no address in a bucket; write it like gs://BUCKET/FOLDER' in done.stderr


def test_without_gcloud_it_says_so(begin):
    sweep = begin()
    env = {**os.environ, 'PATH': str(Path(sys.executable).parent)}
    done = subprocess.run(sweep.command(*PLACES), cwd=sweep.repository, env=env, capture_output=True, text=True)
    assert done.returncode == 2 and 'there is no gcloud on the PATH; install the Google Cloud CLI' in done.stderr


def test_half_written_records_are_named_and_nothing_is_created(begin, tmp_path):
    sweep = begin(fates=[Fate('stuck')])
    process = sweep.start(*PLACES, '--most', '1', '--poll', '0.5', log=tmp_path / 'log')
    sweep.cloud.wait_for(sweep.cloud.resources, timeout=60)
    interrupt(process)
    assert process.wait(60) == 130
    state = sweep.workdir / 'sweep'
    (state / 'runs').mkdir(exist_ok=True)
    for name, text in (
        ('runs/w16@600.json', '{"attempts": [{"sl'),
        ('sweep.json', '{"object": "sweep.json", "id": "x"}'),
    ):
        before = (state / name).read_text() if (state / name).exists() else None
        (state / name).write_text(text)
        done = sweep.run('--status')
        assert done.returncode == 2 and f'gs://bucket/tiny/sweep/{name}' in done.stderr and 'delete it' in done.stderr
        again = sweep.run(*PLACES, '--most', '1', '--poll', '0.5')
        assert again.returncode == 2 and f'gs://bucket/tiny/sweep/{name}' in again.stderr
        (state / name).write_text(before) if before else (state / name).unlink()
    assert len(sweep.cloud.names('created')) == 1


def test_another_grid_does_not_go_into_the_same_folder(begin, tmp_path):
    sweep = begin(fates=[Fate('stuck')])
    process = sweep.start(*PLACES, '--most', '1', '--poll', '0.5', log=tmp_path / 'log')
    sweep.cloud.wait_for(sweep.cloud.resources, timeout=60)
    interrupt(process)
    process.wait(60)
    done = sweep.run(*PLACES, '--run', 'w16@600')
    assert done.returncode == 2 and 'with other runs' in done.stderr and 'another --workdir' in done.stderr


DRY = {
    'spot': ('--place', 'us-west4-a,v5e:4x4,0.55', '--place', 'europe-west4-b,v6e:2x4', '--spot'),
    'multislice': ('--place', 'us-central2-b,v4:2x2x4', '--slices', '2', '--internal-ips', '--network', 'n'),
    'account': ('--place', 'us-east5-a,v5p:2x2x2', '--service-account', 'hosts@p.iam.gserviceaccount.com'),
}


@pytest.mark.parametrize('name', DRY)
def test_dry_runs_are_golden_and_touch_nothing(begin, name):
    sweep = begin()
    done = sweep.run(*DRY[name], '--project', 'my-project', '--dry-run')
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith('gcloud ')]
    found = re.sub(r'\b[0-9a-f]{40}\b', 'COMMIT', '\n'.join(lines) + '\n')
    path = GOLDEN / f'sweep-{name}.txt'
    if os.environ.get('T2JAX_GOLDEN') == 'write':
        path.write_text(found)
    assert found == path.read_text()
    assert done.stdout.startswith('12 runs, ') and 'w24@900' in done.stdout.splitlines()[1]
    assert sweep.cloud.names('gcloud') == []


@pytest.mark.slow
def test_two_hosts_train_and_score_one_run_and_go_on_after_a_preemption(begin, repository, tokens, tmp_path):
    """Two slices of one host each: after a notice training saves and exits with 143, and others go on from there."""
    sweep = begin(fates=[Fate('preempt', after=14, when='training', notice=40)])
    for workdir in (sweep.workdir, tmp_path / 'undisturbed'):
        WORDS.save(workdir / 'data' / 'vocabulary.json')
    write_questions(sweep.workdir / 'data' / 'questions' / 'count.jsonl', QUESTIONS)
    flags = ['--slices', '2', '--most', '1', '--run', 'w16@800', '--task', 'count', '--lease', '120', '--poll', '1']
    done = sweep.run(*PLACES[:2], *flags, timeout=400)
    print(done.stderr[-3000:], [sweep.cloud.log(f't2-{name}') for name in sweep.cloud.resources()])
    assert done.returncode == 0
    outcomes = [attempt['outcome'] for attempt in sweep.attempts()['w16@800']]
    assert outcomes == ['resume', 'done']
    first = sweep.attempts()['w16@800'][0]
    assert first['code'] == 143
    train_undisturbed(repository, tokens, tmp_path / 'undisturbed', ['w16@800'])
    found, expected = sweep.losses('w16@800'), sweep.losses('w16@800', tmp_path / 'undisturbed')
    assert len(found) == 800 and np.abs(np.subtract(found, expected)).max() < 2e-3
    scores = list(csv.DictReader((sweep.workdir / 'scores' / 'w16@800' / 'count.csv').open()))
    assert [row['question'] for row in scores] == [question.id for question in QUESTIONS]
    assert sweep.cloud.leaked() == []


def test_a_sweep_belongs_to_a_project(begin, tmp_path):
    """In another project none of its slices is there: they must not be taken for gone."""
    sweep = begin(fates=[Fate('stuck')])
    process = sweep.start(*PLACES, '--most', '1', '--poll', '0.5', log=tmp_path / 'log')
    sweep.cloud.wait_for(sweep.cloud.resources, timeout=60)
    process.kill()
    process.wait()
    for flags in (('--delete',), ('--status',), PLACES):
        done = sweep.run(*flags, '--project', 'another-project')
        assert done.returncode == 2 and 'say --project fake-project' in done.stderr
    assert sweep.run('--delete').returncode == 0 and sweep.cloud.leaked() == []


def test_what_only_a_person_can_mend_ends_it(begin):
    said = 'PERMISSION_DENIED: The user does not have access to service account hosts@p.iam.gserviceaccount.com'
    sweep = begin(fates=[Fate('refuse', message=said)] * 2)
    done = sweep.run(*PLACES, '--most', '1', '--poll', '0.5', timeout=300)
    assert done.returncode == 2 and 'ask for the role that is missing' in done.stderr.splitlines()[-1]
    assert sweep.cloud.names('created') == []


@pytest.mark.parametrize(
    ('flags', 'said'),
    [
        (('--', '--json'), '--json is for the sweep to say'),
        (('--', '--run=x'), '--run is for the sweep to say'),
        (('--', '--shards'), '--shards has no value'),
        (('--lease', 'nan', '--'), 'a lease of nan s is too short or none'),
        (('--task', 'nosuch:gs://bucket/x', '--'), "there is no task 'nosuch'"),
        (('--tokenizer', 'x.json', '--'), 'a tokenizer is for scoring'),
        (('--mounted', 'here', '--'), "mounted is 'here'"),
        (('--service-account', '$(x)', '--'), "'$(x)' is no service account"),
    ],
)
def test_what_would_fail_on_a_slice_is_refused_here(begin, flags, said):
    sweep = begin()
    sweep.flags = []
    done = sweep.run(*PLACES, *flags)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count('\n') == 1
    assert sweep.cloud.objects() == {}


def test_stop_of_no_sweep_writes_nothing(begin):
    sweep = begin()
    done = sweep.run('--stop')
    assert done.returncode == 2 and 'holds no sweep' in done.stderr and sweep.cloud.objects() == {}
