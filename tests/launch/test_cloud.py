"""The fake Google Cloud does what the real one does, and misbehaves as it is told; as real processes."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cloud_parser
import pytest
from cloud import BIN, Cloud, Fate, Rule

from launch.bucket import GcloudBucket
from launch.gcloud import Gcloud, GcloudError, check_logged_in
from launch.queued import QueuedResources, Request, check_zones
from t2jax.slices import parse_slice

ZONE = 'us-central1-a'
QUEUED = ('compute', 'tpus', 'queued-resources')
SLEEPS = 'echo begun\nsleep 100 & sleep 100\n'
accepted = set()  # every command line that the fake has carried out


@pytest.fixture
def make(tmp_path):
    """Make clouds, which end with the test."""
    clouds = []

    def make(*fates, **settings):
        clouds.append(Cloud(tmp_path / str(len(clouds)), fates=fates, **settings).__enter__())
        return clouds[-1]

    yield make
    for cloud in clouds:
        cloud.__exit__()
        assert not cloud.leaked()
        assert not cloud.names('fault')


def start(cloud, *arguments, feed=None, **settings):
    streams = dict.fromkeys(('stdin', 'stdout', 'stderr'), subprocess.PIPE)
    return subprocess.Popen(['gcloud', *arguments], env=cloud.environment(), text=True, **streams, **settings)


def call(cloud, *arguments, feed='', **settings):
    """Run gcloud; return (exit code, output, errors)."""
    process = start(cloud, *arguments, **settings)
    try:
        out, err = process.communicate(feed, timeout=20)
    finally:
        process.kill()
    if process.returncode == 0:
        accepted.add(arguments)
    return process.returncode, out, err


def good(cloud, *arguments, **settings):
    code, out, err = call(cloud, *arguments, **settings)
    assert code == 0, err
    return out


def ask(cloud, name='one', script=SLEEPS, kind='v5litepod-4', nodes=(), flags=('--spot',)):
    """Create a queued resource."""
    path = cloud.root / f'{name}.sh'
    path.write_text(script)
    nodes = nodes or (f'--node-id={name}',)
    shape = (f'--zone={ZONE}', f'--accelerator-type={kind}', '--runtime-version=v2-alpha-tpuv5-lite', *nodes)
    return good(
        cloud, *QUEUED, 'create', name, *shape, f'--metadata-from-file=startup-script={path}', *flags, '--async'
    )


def is_in(cloud, state, name='one'):
    return lambda: cloud.resources().get(name) == state


def begun(cloud, host='one-0'):
    cloud.wait_for(lambda: 'begun' in cloud.log(host))


def on_hosts(cloud):
    return [line for line in cloud.leaked() if ' ' in line]


@pytest.fixture
def launcher(make, monkeypatch):
    """Return a cloud, and the launcher's own gcloud, which sees it."""
    cloud = make()
    monkeypatch.setenv('PATH', cloud.path)
    monkeypatch.setenv('FAKE_CLOUD', cloud.url)
    return cloud, Gcloud(say=lambda line: None)


def test_a_request_waits_then_runs_its_startup_script_then_is_deleted_with_its_processes(make):
    cloud = make()
    ask(cloud)
    cloud.wait_for(is_in(cloud, 'ACTIVE'))
    assert [event.what for event in cloud.events if event.name == 'one'] == [
        *('created', 'WAITING_FOR_RESOURCES', 'PROVISIONING', 'ACTIVE')
    ]
    begun(cloud)
    shown = json.loads(good(cloud, *QUEUED, 'describe', 'one', f'--zone={ZONE}', '--format=json'))
    assert shown['name'] == f'projects/fake-project/locations/{ZONE}/queuedResources/one'
    assert shown['state']['state'] == 'ACTIVE' and shown['spot'] == {}
    assert shown['tpu']['nodeSpec'][0]['nodeId'] == 'one'
    assert len(on_hosts(cloud)) >= 3
    code, _, err = call(cloud, *QUEUED, 'delete', 'one', f'--zone={ZONE}', '--quiet')
    assert code == 1 and 'ACTIVE' in err
    good(cloud, *QUEUED, 'delete', 'one', f'--zone={ZONE}', '--force', '--async', '--quiet')
    assert cloud.resources() == {'one': 'DELETING'} and on_hosts(cloud)
    cloud.wait_for(lambda: not cloud.leaked())
    assert cloud.names('deleted') == ['one']
    code, _, err = call(cloud, *QUEUED, 'describe', 'one', f'--zone={ZONE}')
    assert code == 1 and re.search(r"NOT_FOUND: Resource '.*/one' was not found", err)


def test_a_delete_that_waits_returns_when_all_is_gone(make):
    cloud = make()
    ask(cloud)
    begun(cloud)
    good(cloud, *QUEUED, 'delete', 'one', f'--zone={ZONE}', '--force', '--quiet')
    assert not cloud.leaked()


def test_hosts_of_a_slice_know_their_numbers_and_what_jax_needs_to_find_the_others(make):
    cloud = make()
    where = '$GCE_METADATA_HOST/computeMetadata/v1/instance'
    script = f"""#!/bin/bash
get() {{ python3 -S -c 'import sys, urllib.request as u
print(u.urlopen(u.Request("http://" + sys.argv[1], headers={{"Metadata-Flavor": "Google"}})).read().decode())' "$1"; }}
get {where}/attributes/agent-worker-number > worker
get {where}/attributes/tpu-env > tpu-env
echo $SLURM_PROCID $SLURM_NTASKS $SLURM_STEP_NODELIST $SLURM_LOCALID > slurm; echo $SLURM_JOB_ID > job
pwd > pwd; [ "$HOME" = "$T2JAX_ROOT" ] && echo begun
"""
    nodes = ('--node-count=2', '--node-prefix=many')
    ask(cloud, 'many', script, kind='v5litepod-16', nodes=nodes)
    hosts = [f'many-{node}-{worker}' for node in range(2) for worker in range(4)]
    for host in hosts:
        begun(cloud, host)
    for i, host in enumerate(hosts):
        read = lambda name, host=host: (cloud.home(host) / name).read_text().strip()
        assert read('worker') == str(i % 4)
        assert read('slurm') == f'{i} 8 localhost 0' and read('pwd') == str(cloud.home(host))
        assert f"WORKER_ID: '{i % 4}'\n" in read('tpu-env')
        assert f"MEGASCALE_SLICE_ID: '{i // 4}'\nMEGASCALE_NUM_SLICES: '2'" in read('tpu-env')
    assert len({(cloud.home(host) / 'job').read_text() for host in hosts}) == 1
    ask(cloud, 'other', script, kind='v5litepod-16')
    begun(cloud, 'other-0')  # jax takes its port from the job: no two slices have one
    assert (cloud.home('other-0') / 'job').read_text() != (cloud.home('many-0-0') / 'job').read_text()
    listed = json.loads(good(cloud, 'compute', 'tpus', 'tpu-vm', 'list', f'--zone={ZONE}', '--format=json'))
    assert [len(node['networkEndpoints']) for node in listed] == [4, 4, 4]
    assert all(node['state'] == 'READY' for node in listed)


def test_metadata_is_for_those_who_ask_with_its_header(make):
    cloud = make()
    code = """import os, urllib.error, urllib.request as u
where = 'http://' + os.environ['GCE_METADATA_HOST'] + '/computeMetadata/v1/instance/'
google = {'Metadata-Flavor': 'Google'}
for name, headers in (('name', {}), ('nothing', google), ('name', google)):
    try:
        print(u.urlopen(u.Request(where + name, headers=headers)).read())
    except urllib.error.HTTPError as error:
        print(error.code)
print('begun')"""
    ask(cloud, script=f'#!/usr/bin/env python3\n{code}')
    begun(cloud)
    assert cloud.log('one-0').split()[:3] == ['403', '404', "b't1v-n-one-0'"]


@pytest.mark.parametrize('kind', ['preempt', 'suspend'])
def test_a_slice_that_is_taken_away_loses_its_processes(make, kind):
    cloud = make(Fate(kind, after=0.3, notice=0.6))
    ask(cloud, script='setsid sleep 100 & ' + SLEEPS)
    begun(cloud)
    cloud.wait_for(is_in(cloud, 'SUSPENDED'))
    assert not on_hosts(cloud) and cloud.names('killed') == ['one-0']
    times = {event.what: event.time for event in cloud.events}
    assert ('notice' in times) == (kind == 'preempt')
    assert times['SUSPENDING'] - times['ACTIVE'] >= (0.9 if kind == 'preempt' else 0.3)
    code, _, err = call(cloud, 'compute', 'tpus', 'tpu-vm', 'ssh', 'one', f'--zone={ZONE}', '--command=true')
    assert code == 1 and 'NOT_FOUND' in err
    good(cloud, *QUEUED, 'delete', 'one', f'--zone={ZONE}', '--quiet', '--async')
    cloud.wait_for(lambda: not cloud.leaked())


def test_a_notice_is_seen_by_who_waits_for_it(make):
    cloud = make(Fate('preempt', after=0.8, notice=5))
    code = """import os, time, urllib.request as u
where = 'http://' + os.environ['GCE_METADATA_HOST'] + '/computeMetadata/v1/instance/preempted?wait_for_change=true'
print('begun', flush=True)
print('told', u.urlopen(u.Request(where, headers={'Metadata-Flavor': 'Google'})).read(), flush=True)
time.sleep(100)"""
    ask(cloud, script=f'#!/usr/bin/env python3\n{code}')
    begun(cloud)
    assert 'told' not in cloud.log('one-0')
    cloud.wait_for(lambda: "told b'TRUE'" in cloud.log('one-0'))
    assert cloud.resources() == {'one': 'ACTIVE'} and cloud.names('notice') == ['one']


def test_a_fate_may_wait_until_a_host_trains(make):
    cloud = make(Fate('suspend', when='training'))
    idle, train = '(exec -a t2jax sleep 100) &', 'exec -a t2jax bash -c "sleep 100; :" train'
    script = f'{idle} echo begun\nwhile ! [ -e go ]; do sleep 0.02; done\n{train}\n'
    ask(cloud, script=script)
    begun(cloud)
    time.sleep(0.5)
    assert cloud.resources() == {'one': 'ACTIVE'}
    (cloud.home('one-0') / 'go').touch()
    cloud.wait_for(is_in(cloud, 'SUSPENDED'))
    assert cloud.names('trains') == ['one-0']


def test_a_frozen_slice_stands_still_and_may_go_on(make):
    cloud = make(Fate('freeze', after=0.4, lasts=1.0), Fate('freeze'))
    ask(cloud, script='echo begun; while true; do date +%s.%N >> ticks; sleep 0.05; done')
    begun(cloud)
    cloud.wait_for(lambda: cloud.names('thawed'))
    ticks = lambda: [float(line) for line in (cloud.home('one-0') / 'ticks').read_text().splitlines()]
    seen = len(ticks())
    cloud.wait_for(lambda: len(ticks()) > seen)
    assert max(after - before for before, after in zip(ticks(), ticks()[1:])) > 0.9
    assert cloud.resources() == {'one': 'ACTIVE'}
    ask(cloud, 'two')
    cloud.wait_for(lambda: cloud.names('frozen') == ['one', 'two'])
    process = start(cloud, 'compute', 'tpus', 'tpu-vm', 'ssh', 'two', f'--zone={ZONE}', '--command=true')
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.5)
    process.kill()
    process.communicate()
    good(cloud, *QUEUED, 'delete', 'two', f'--zone={ZONE}', '--force', '--quiet')
    assert not [line for line in cloud.leaked() if 'two' in line]


def test_requests_fail_wait_for_ever_run_out_of_time_or_are_refused_in_order(make):
    cloud = make(Fate('fail', message='no capacity'), Fate('stuck'), Fate('stuck'), Fate('refuse'), quota=5)
    ask(cloud, 'failed')
    ask(cloud, 'waits')
    ask(cloud, 'late', flags=('--valid-until-duration=1s',))
    with pytest.raises(AssertionError, match='RESOURCE_EXHAUSTED: Quota limit'):
        ask(cloud, 'refused')
    ask(cloud, 'fine')
    cloud.wait_for(is_in(cloud, 'ACTIVE', 'fine'))
    cloud.wait_for(is_in(cloud, 'FAILED', 'late'))
    assert cloud.resources() | {'fine': '', 'late': ''} == {
        **{'failed': 'FAILED', 'waits': 'WAITING_FOR_RESOURCES', 'late': '', 'fine': ''}
    }
    state = json.loads(good(cloud, *QUEUED, 'describe', 'failed', f'--zone={ZONE}', '--format=json'))['state']
    assert state['failedData']['error']['message'] == 'no capacity'
    with pytest.raises(AssertionError, match='ALREADY_EXISTS'):
        ask(cloud, 'fine')
    ask(cloud, 'fifth')
    with pytest.raises(AssertionError, match='RESOURCE_EXHAUSTED'):
        ask(cloud, 'sixth')


def test_gcloud_misbehaves_by_rules(make):
    rules = [
        Rule('garbage', r'queued-resources list', every=2),
        Rule('error', r'cp - gs://bucket/before', times=1),
        Rule('error', r'cp - gs://bucket/after', times=1, after=True),
        Rule('hang', r'cp - gs://bucket/hangs', after=True),
    ]
    cloud = make(rules=rules)
    ask(cloud)
    for i in range(4):
        out = good(cloud, *QUEUED, 'list', f'--zone={ZONE}', '--format=json')
        if i % 2:
            with pytest.raises(json.JSONDecodeError):
                json.loads(out)
        else:
            assert len(json.loads(out)) == 1
    for name, written in (('before', {}), ('after', {'after'})):
        code, out, err = call(cloud, 'storage', 'cp', '-', f'gs://bucket/{name}', feed='x')
        assert (code, out, set(cloud.objects())) == (1, '', set(written)) and 'HTTPError 503: Backend Error' in err
    good(cloud, 'storage', 'cp', '-', 'gs://bucket/before', feed='x')
    process = start(cloud, 'storage', 'cp', '-', 'gs://bucket/hangs')
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate('x', timeout=1)
    process.kill()
    process.communicate()
    assert set(cloud.objects()) == {'before', 'after', 'hangs'}
    assert [len(cloud.names(what)) for what in ('garbage', 'error', 'hang')] == [2, 2, 1]


SSH = ('compute', 'tpus', 'tpu-vm', 'ssh')


def test_ssh_runs_a_command_on_one_host_or_all_and_says_how_it_ended(make):
    cloud = make()
    ask(cloud, kind='v5litepod-16')
    cloud.wait_for(is_in(cloud, 'ACTIVE'))
    where = f'--zone={ZONE}'
    out = good(cloud, *SSH, 'one', where, '--worker=all', '--command=echo $FAKE_HOST; pwd', '--quiet')
    assert sorted(out.split()) == sorted(x for i in range(4) for x in (f'one-{i}', str(cloud.home(f'one-{i}'))))
    assert good(cloud, *SSH, 'me@one', where, '--command=cat; exit 0', feed='words') == 'words'
    assert call(cloud, *SSH, 'one', where, '--worker=3', '--command=exit 7')[0] == 7
    code, _, err = call(cloud, *SSH, 'one', where, '--worker=all', '--command=[ $SLURM_PROCID != 2 ]')
    assert code == 1 and '##### Command execution on worker 2 failed with exit status 1. Continuing.' in err
    code, _, err = call(cloud, *SSH, 'one', where, '--worker=4', '--command=true')
    assert code == 1 and 'worker index 4 is larger than the valid worker indexes' in err


def test_a_lost_connection_ends_what_it_ran_but_not_what_has_a_session_of_its_own(make):
    rules = [Rule('drop', 'sleep 99'), Rule('drop', 'runs', times=1, retries=1), Rule('drop', 'lives', kills=False)]
    cloud = make(rules=rules)
    cloud.vm('old', 'v5litepod-1', ZONE)
    command = '--command=setsid sleep 98 > /dev/null 2>&1 < /dev/null & sleep 99'
    code, _, err = call(cloud, *SSH, 'old', f'--zone={ZONE}', command)
    assert code == 255 and 'client_loop: send disconnect: Broken pipe' in err
    assert [line.split('\0') for line in on_hosts(cloud) if 'sleep' in line and '99' in line] == []
    assert any('sleep\x0098' in line for line in on_hosts(cloud))
    good(cloud, *SSH, 'old', f'--zone={ZONE}', '--command=echo >> runs')
    assert (cloud.home('old-0') / 'runs').read_text() == '\n\n'  # the real one runs it again, and so twice
    assert call(cloud, *SSH, 'old', f'--zone={ZONE}', '--command=sleep 97; echo lives')[0] == 255
    assert any('sleep\x0097' in line for line in on_hosts(cloud))
    assert cloud.resources() == {}


def test_who_kills_gcloud_does_not_end_what_it_ran(make):
    cloud = make()
    cloud.vm('old')
    process = start(cloud, *SSH, 'old', f'--zone={ZONE}', '--command=touch here; sleep 99', start_new_session=True)
    cloud.wait_for(lambda: (cloud.home('old-0') / 'here').exists())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert any('sleep\x0099' in line for line in on_hosts(cloud))


def test_scp_copies_to_homes_and_back(make, tmp_path):
    cloud = make()
    ask(cloud, kind='v5litepod-16')
    cloud.wait_for(is_in(cloud, 'ACTIVE'))
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'folder' / 'file').write_text('words')
    scp = ('compute', 'tpus', 'tpu-vm', 'scp', f'--zone={ZONE}')
    good(cloud, *scp, '--recurse', '--worker=all', f'{tmp_path}/folder', 'one:')
    good(cloud, *scp, f'{tmp_path}/folder/file', 'me@one:~/renamed')
    assert [(cloud.home(f'one-{i}') / 'folder' / 'file').read_text() for i in range(4)] == ['words'] * 4
    good(cloud, *scp, 'one:renamed', str(tmp_path / 'back'))
    assert (tmp_path / 'back').read_text() == 'words'
    code, _, err = call(cloud, *scp, 'one:nothing', str(tmp_path))
    assert code == 1 and 'scp: one:nothing: No such file or directory' in err


def test_of_twenty_that_write_over_one_generation_one_wins(make):
    cloud = make()
    write = lambda i, *match: call(cloud, 'storage', 'cp', '-', 'gs://bucket/a/record.json', *match, feed=f'{i}')
    describe = ('storage', 'objects', 'describe', 'gs://bucket/a/record.json', '--format=value(generation)')
    for generation in ('0', None):
        generation = generation or good(cloud, *describe).strip()
        with ThreadPoolExecutor(20) as threads:
            done = list(threads.map(write, range(20), [f'--if-generation-match={generation}'] * 20))
        won = [i for i, (code, _, _) in enumerate(done) if code == 0]
        assert len(won) == 1 and cloud.objects()['a/record.json'].read_text() == str(won[0])
        assert all('HTTPError 412: At least one of the pre-cond' in err for code, _, err in done if code)
    assert write('anyway')[0] == 0


def test_a_file_written_behind_its_back_has_a_generation_and_a_new_one_when_it_changes(make):
    cloud = make()
    path = cloud.bucket() / 'run' / 'log.jsonl'
    path.parent.mkdir()
    generations = []
    for text in ('one', 'two'):
        path.write_text(text)
        (shown,) = json.loads(good(cloud, 'storage', 'objects', 'list', 'gs://bucket/run/*.jsonl', '--format=json'))
        generations.append(int(shown['generation']))
        assert shown['name'] == 'run/log.jsonl' and shown['size'] == 3
        assert good(cloud, 'storage', 'cat', f'gs://bucket/run/log.jsonl#{generations[-1]}') == text
    assert generations[0] < generations[1]
    assert cloud.buckets.read('bucket', 'run/log.jsonl', generations[0]) is None
    code, _, err = call(cloud, 'storage', 'cat', f'gs://bucket/run/log.jsonl#{generations[0]}')
    assert code == 1 and 'The following URLs matched no objects or files:\ngs://bucket/run/log.jsonl#' in err


def test_storage_copies_lists_and_removes(make, tmp_path):
    cloud = make()
    (tmp_path / 'here' / 'deep').mkdir(parents=True)
    (tmp_path / 'here' / 'a.json').write_text('a')
    (tmp_path / 'here' / 'deep' / 'b.json').write_text('b')
    storage = lambda *arguments, **settings: good(cloud, 'storage', *arguments, cwd=tmp_path, **settings)
    storage('cp', 'here/a.json', 'gs://bucket/x/a.json')
    storage('cp', '--recursive', 'here', 'gs://bucket/y')
    storage('cp', 'gs://bucket/x/a.json', 'gs://bucket/x/c.json')
    assert set(cloud.objects()) == {'x/a.json', 'x/c.json', 'y/here/a.json', 'y/here/deep/b.json'}
    storage('cp', 'here/a.json', 'gs://bucket/y/here')  # a folder there is: into it
    assert set(cloud.objects()) == {'x/a.json', 'x/c.json', 'y/here/a.json', 'y/here/deep/b.json'}
    assert storage('cat', 'gs://bucket/x/*.json', 'gs://bucket/y/here/deep/b.json') == 'aab'
    assert storage('objects', 'list', 'gs://bucket/y/*.json', '--format=json') == '[]\n'
    assert storage('ls', 'gs://bucket/y/here').split() == ['gs://bucket/y/here/a.json', 'gs://bucket/y/here/deep/']
    assert storage('ls', 'gs://bucket/').split() == ['gs://bucket/x/', 'gs://bucket/y/']
    storage('cp', 'gs://bucket/y/here/deep/b.json', 'back')
    assert (tmp_path / 'back').read_text() == 'b'
    storage('rsync', '--recursive', 'gs://bucket/y/here', 'synced')
    assert (tmp_path / 'synced' / 'deep' / 'b.json').read_text() == 'b'
    (tmp_path / 'synced' / 'a.json').write_text('new')
    storage('rsync', 'synced', 'gs://bucket/z')
    assert {name for name in cloud.objects() if name.startswith('z')} == {'z/a.json'}
    storage('rm', '--recursive', 'gs://bucket/y', '--quiet')
    generation = storage('objects', 'describe', 'gs://bucket/z/a.json', '--format=value(generation)').strip()
    code, _, err = call(cloud, 'storage', 'rm', 'gs://bucket/z/a.json', '--if-generation-match=1')
    assert code == 1 and 'HTTPError 412' in err
    storage('rm', 'gs://bucket/z/a.json', f'--if-generation-match={generation}')
    assert set(cloud.objects()) == {'x/a.json', 'x/c.json'}


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        ('storage cat gs://bucket/no', 'matched no objects or files:\ngs://bucket/no\n'),
        ('storage objects describe gs://bucket/no', '(gcloud.storage.objects.describe) gs://bucket/no not found: 404.'),
        ('storage ls gs://nobody/no', '(gcloud.storage.ls) gs://nobody not found: 404.'),
        ('storage ls gs://bucket/no', 'One or more URLs matched no objects.'),
        ('storage rsync gs://bucket/no .', 'Did not find existing container at: gs://bucket/no'),
        ('storage cp - gs://mine/a', 'HTTPError 403: me@example.com does not have storage.objects.create access'),
        ('compute tpus queued-resources list --zone=xx', "Permission denied on 'locations/xx' (or it may not exist)"),
        ('compute tpus queued-resources list', 'Failed to find attribute [zone]'),
        (f'compute tpus tpu-vm describe no --zone={ZONE}', 'NOT_FOUND'),
    ],
)
def test_refusals_are_in_the_words_of_the_real_one(make, arguments, said):
    code, out, err = call(make(buckets=('bucket', 'mine'), read_only=('mine',)), *arguments.split())
    assert (code, out) == (1, '') and said in err


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        ('storage cat gs://b/x --bogus=3', '(gcloud.storage.cat) unrecognized arguments: --bogus=3 '),
        ('storage cat', '(gcloud.storage.cat) argument URL [URL ...]: Must be specified.'),
        ('storage bogus', "(gcloud.storage) Invalid choice: 'bogus'."),
        (f'{" ".join(QUEUED)} delete a b --zone=c', 'unrecognized arguments: b '),
        (f'{" ".join(QUEUED)} delete a --zone', 'argument --zone: expected one argument'),
        (f'{" ".join(QUEUED)} create --zone=c', 'argument --zone: QUEUED_RESOURCE must be specified.'),
        (f'{" ".join(QUEUED)} create a --zone=c --accelerator-type=v4-8 --runtime-version=x', 'Exactly one of ('),
        (f'{" ".join(QUEUED)} create a --zone=c --node-id=a --accelerator-type=v4-8', 'argument --runtime-version: Mu'),
    ],
)
def test_a_command_line_is_parsed_as_strictly_as_by_the_real_one(make, arguments, said):
    code, out, err = call(make(), *arguments.split())
    assert (code, out) == (2, '') and said in err


def test_a_person_who_is_not_logged_in_or_has_no_project_is_told(make, monkeypatch):
    for settings, said in (({'account': None}, 'not logged in'), ({'project': None}, 'no project')):
        cloud = make(**settings)
        monkeypatch.setenv('PATH', cloud.path)
        monkeypatch.setenv('FAKE_CLOUD', cloud.url)
        with pytest.raises(GcloudError, match=said):
            check_logged_in(Gcloud())
        code, _, err = call(cloud, *QUEUED, 'list', f'--zone={ZONE}')
        assert code == 1 and ('active account' in err or 'core/project' in err)


def test_the_launchers_queued_resources_work_on_it(launcher, tmp_path):
    cloud, gcloud = launcher
    check_logged_in(gcloud)
    tpu = parse_slice('v5e:2x2')
    check_zones(gcloud, [(ZONE, tpu)])
    with pytest.raises(GcloudError, match='may not exist'):
        check_zones(gcloud, [('us-nowhere1-a', tpu)])
    script = tmp_path / 'start.sh'
    script.write_text(SLEEPS)
    queued = QueuedResources(gcloud)
    request = Request('mine', ZONE, tpu, spot=True, labels=(('study', 'a'),), startup_script=script, valid_until='6h')
    queued.create(request)
    queued.create(request)  # of one name: once
    cloud.wait_for(lambda: queued.describe('mine', ZONE).state == 'ACTIVE')
    assert [(one.name, one.state) for one in queued.list(ZONE)] == [('mine', 'ACTIVE')]
    begun(cloud, 'mine-0')
    queued.delete('mine', ZONE)
    cloud.wait_for(lambda: queued.describe('mine', ZONE) is None)
    queued.delete('mine', ZONE)
    assert cloud.names('created') == ['mine'] and not cloud.leaked()


def test_the_launchers_bucket_works_on_it(launcher):
    cloud, gcloud = launcher
    bucket = GcloudBucket(gcloud, 'gs://bucket/study')
    assert bucket.read('runs/a.json') == (None, 0) and bucket.scan('runs') == {}
    assert bucket.write('runs/a.json', {'x': 1}, 0) and not bucket.write('runs/a.json', {'x': 2}, 0)
    record, generation = bucket.read('runs/a.json')
    assert record['x'] == 1 and bucket.write('runs/a.json', {'x': 3}, generation)
    assert not bucket.write('runs/a.json', {'x': 4}, generation)
    assert bucket.write('runs/b.json', {'x': 5}, None)
    assert {name: record['x'] for name, (record, _) in bucket.scan('runs').items()} == {
        'runs/a.json': 3,
        'runs/b.json': 5,
    }
    (cloud.bucket() / 'study/runs/b.json').write_text('{"object": "runs/b.js')
    with pytest.raises(ValueError, match='half-written'):
        bucket.scan('runs')


def test_nothing_is_left_when_a_cloud_ends(tmp_path):
    with Cloud(tmp_path, fates=[Fate(), Fate('freeze')], rules=[Rule('hang', 'storage')]) as cloud:
        ask(cloud)
        ask(cloud, 'two', script='setsid nohup sleep 100 & ' + SLEEPS)
        begun(cloud)
        cloud.wait_for(lambda: cloud.names('frozen'))
        hung = start(cloud, 'storage', 'ls', 'gs://bucket')
        assert len(on_hosts(cloud)) > 3
    assert hung.wait(5) == -signal.SIGKILL and not cloud.leaked()
    hung.communicate()


@pytest.fixture
def parse_really(tmp_path):
    """Return what the real gcloud's parser says of command lines; skips where there is none."""
    folders = [folder for folder in os.environ['PATH'].split(os.pathsep) if Path(folder).resolve() != BIN]
    real = shutil.which('gcloud', path=os.pathsep.join(folders))
    if not real:
        pytest.skip('the Google Cloud CLI is not installed')

    def parse_really(lines):
        path = tmp_path / 'lines.json'
        path.write_text(json.dumps([{'command_string': line} for line in dict.fromkeys(lines)]))
        lint = [real, 'meta', 'lint-gcloud-commands', f'--commands-file={path}']
        settings = {**os.environ, 'CLOUDSDK_CONFIG': str(tmp_path / 'settings'), 'CLOUDSDK_CORE_DISABLE_PROMPTS': '1'}
        done = subprocess.run(lint, capture_output=True, text=True, timeout=120, env=settings)
        return json.JSONDecoder().raw_decode(done.stdout)[0]

    return parse_really


def test_the_real_gcloud_parses_every_command_line_that_was_accepted_here(make, parse_really):
    """Runs after all others; alone, it has only its own."""
    good(make(), *QUEUED, 'list', f'--zone={ZONE}', '--format=json', '--project=p', '--quiet')
    lines = {}  # one for every set of flags; flags last, where the checker wants them
    for arguments in sorted(accepted):
        command, flags, _ = cloud_parser.parse(arguments)
        words = sorted((word.partition('#')[0] for word in arguments), key=lambda word: word.startswith('--'))
        lines[command, *sorted(flags)] = shlex.join(['gcloud', *words])
    for found in parse_really(lines.values()):
        assert found['success'], f'{found["command_string"]}: {found["error_message"]}'
    (bad,) = parse_really(['gcloud storage cat gs://b/x --bogus=3'])
    assert not bad['success']


def test_every_flag_of_the_fake_is_one_of_the_real_gcloud(parse_really):
    commands = list(cloud_parser.COMMANDS)
    for command, found in zip(commands, parse_really([f'gcloud {command}' for command in commands])):
        real = set(re.findall(r'"name": "([\w-]+)"', json.dumps(found['args_structure'])))
        assert found['command_string'] == f'gcloud {command}' and len(real) > 20
        assert set(cloud_parser.COMMANDS[command][0]) <= real, command
