"""The command line of slices.py: dry runs are golden, of documented flags; bad input is refused in a sentence."""

import base64
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cloud import Cloud, Fate

from launch import flags, jobs, lifecycle, queued, slices
from launch.interrupts import Interrupted, Interrupts

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'launch' / 'slices.py'
GOLDEN = Path(__file__).with_name('golden')
ZONE = 'us-west4-a'
ONE = ['mine', '--zone', ZONE]
TRAIN = ['t2jax', 'train', 'experiments/paper.py', '--run', '37M@1.25e16', '--workdir', 'gs://B/paper', '--distributed']
ASK = ['--slice', 'v5e:4x4', '--spot']
CASES = {
    'create-v4': ['create', *ONE, '--slice', 'v4:2x2x4'],
    'create-v5e': ['create', *ONE, *ASK, '--valid-until', '6h', '--project', 'my-project'],
    'create-v5p': ['create', *ONE, '--slice', 'v5p:2x2x4', '--runtime-version', 'v2-alpha-tpuv5'],
    'create-v6e': ['create', *ONE, '--slice', 'v6e:4x4', '--internal-ips', '--network', 'n', '--subnetwork', 's'],
    'create-two': [
        'create',
        *ONE,
        *ASK,
        '--slices',
        '2',
        '--service-account',
        'tpu@my-project.iam',
    ],
    'wait': ['wait', *ONE],
    'install': ['install', *ONE],
    'install-vm': ['install', *ONE, '--vm', '--extra', 'test', '--internal-ips'],
    'run': ['run', *ONE, '--job', 'first', '--', *TRAIN],
    'run-vm': ['run', *ONE, '--vm', '--job', 'first', '--', 'hostname'],
    'logs': ['logs', *ONE],
    'copy': ['copy', *ONE, 't2jax/out', 'results'],
    'delete': ['delete', *ONE],
    'list': ['list', '--zone', ZONE],
    'job': ['job', *ONE, *ASK, '--copy', 't2jax/out', 'results', '--', *TRAIN],
    'job-two': ['job', *ONE, '--slice', 'v6e:4x4', '--slices', '2', '--', 'echo', "it's", 'a b;$(c)', '--', '--zone'],
}


def dry_run(arguments, capsys):
    """Return the gcloud lines of a dry run, without what differs from one machine and time to another."""
    split = arguments.index('--') if '--' in arguments else len(arguments)
    assert slices.main([*arguments[:split], '--dry-run', *arguments[split:]]) == 0
    said = capsys.readouterr().err
    said = re.sub(r'\b[0-9a-f]{40}\b', 'COMMIT', said.replace(str(ROOT), 'REPOSITORY'))
    said = re.sub(r'\S*/t2jax-[\w]{8}/', 'FOLDER/', re.sub(r'\d{8}-\d{6}-[0-9a-f]{4}', 'JOB', said))
    return [line for line in said.splitlines() if line.startswith('gcloud ')]


@pytest.mark.parametrize('name', CASES)
def test_dry_runs_are_golden_and_need_no_gcloud(name, capsys, monkeypatch, tmp_path):
    git = tmp_path / 'git'
    git.symlink_to(shutil.which('git'))
    monkeypatch.setenv('PATH', str(tmp_path))
    lines = dry_run(CASES[name], capsys)
    path = GOLDEN / f'slices-{name}.txt'
    if os.environ.get('T2JAX_GOLDEN') == 'write':
        path.write_text('\n'.join(lines) + '\n')
    assert lines == path.read_text().splitlines()


def test_a_command_reaches_a_host_as_it_was_given(capsys):
    words = ['sh', '-c', 'echo "$0"; $(touch /x) `y`', 'a b', "it's", '*', '--zone', '--', '~', '']
    lines = dry_run(['run', *ONE, '--vm', '--job', 'j', '--', *words], capsys)
    start = next(line for line in lines if ' start ' in line)
    command = next(word for word in shlex.split(start) if word.startswith('--command='))
    assert shlex.split(command.removeprefix('--command=')) == ['bash', 't2jax-remote.sh', 'start', 'j', *words]


BAD = {
    'name of a slice': ['create', 'a;b', '--zone', ZONE, *ASK],
    "'\\$\\(x\\)' is no name": ['delete', '$(x)', '--zone', ZONE],
    "'a b' is no name": ['wait', 'a b', '--zone', ZONE],
    "'Mine' is no name": ['logs', 'Mine', '--zone', ZONE],
    'is no zone': ['create', 'mine', '--zone', 'us-west4-a|x', *ASK],
    'id of a project': ['list', '--zone', ZONE, '--project', 'x;y'],
    'is no TPU slice': ['create', *ONE, '--slice', 'v9:4x4'],
    'Cloud TPU has no slice v5e:3x3': ['create', *ONE, '--slice', 'v5e:3x3'],
    '0 x ': ['create', *ONE, '--slice', 'v5e:4x4', '--slices', '0'],
    "'6 hours' is no duration": ['wait', *ONE, '--timeout', '6 hours'],
    'is no runtime version': ['create', *ONE, *ASK, '--runtime-version', 'a b'],
    'is no service account': ['create', *ONE, *ASK, '--service-account', 'x,y'],
    'is no extra': ['install', *ONE, '--extra', 'tpu]; x'],
    "'HEAD~999999' is no commit": ['install', *ONE, '--commit', 'HEAD~999999'],
    "'--all' is no commit": ['install', *ONE, '--commit=--all'],
    'is no path on a host': ['copy', *ONE, 'a;b', 'out'],
    "'-x' is no path on a host": ['job', *ONE, *ASK, '--copy=-x', 'out'],
    'is no path on this machine': ['copy', *ONE, 'a', 'other:b'],
    'is no job': ['logs', *ONE, '--job', '../x'],
    'there is no command': ['job', *ONE, *ASK],
    'runs no command': ['delete', *ONE, '--', 'x'],
}
BAD["'-x' is no path on a host"] = ['job', *ONE, *ASK, '--copy', './-x;y', 'out', '--', 'x']


@pytest.mark.parametrize('sentence', BAD)
def test_bad_input_is_refused_in_a_sentence_and_nothing_is_asked(sentence, tmp_path):
    with Cloud(tmp_path / 'cloud') as cloud:
        done = subprocess.run([sys.executable, SCRIPT, *BAD[sentence]], env=cloud.environment(), capture_output=True)
        asked = cloud.names('gcloud')
    said = done.stderr.decode()
    assert done.returncode == 2 and not done.stdout
    assert re.search(sentence.replace("'-x'", "'./-x;y'"), said) and len(said.strip().splitlines()) == 1, said
    assert all(line.startswith(('auth', 'config')) for line in asked)


@pytest.mark.parametrize(
    'settings, sentence',
    [
        ({'account': None}, 'not logged in'),
        ({'project': None}, 'no project'),
        ({'zones': ('us-central1-a',)}, 'locations/us-west4-a.*choose a zone'),
        ({'zones': (ZONE,), 'kinds': {ZONE: ('v5litepod-1', 'v6e-4')}}, 'zone us-west4-a has no v5litepod-16'),
        ({'zones': (ZONE,), 'quota': 0}, 'exceeded.*ask for quota'),
        ({'zones': (ZONE,), 'fates': [Fate('refuse', message='PERMISSION_DENIED: no')]}, 'no; ask for the role'),
    ],
)
@pytest.mark.parametrize('action', ['create', 'job'])
def test_what_the_cloud_would_refuse_is_one_sentence(settings, sentence, action, tmp_path, capsys, monkeypatch):
    with Cloud(tmp_path / 'cloud', **settings) as cloud:
        for key, value in cloud.environment().items():
            monkeypatch.setenv(key, value)
        command = ['--', 'x'] if action == 'job' else []
        assert slices.main([action, *ONE, *ASK, *command]) == 2
        said = capsys.readouterr().err.splitlines()
        said = [line for line in said if not line.startswith('warning') and not line.endswith('--quiet')]
        assert len(said) == 1 and re.search(sentence, said[0]), said
        assert not cloud.names('created') and not cloud.resources()


def test_without_gcloud_a_sentence_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert slices.main(['create', *ONE, *ASK]) == 2
    assert capsys.readouterr().err == 'there is no gcloud on the PATH; install the Google Cloud CLI\n'


def test_nodes_are_read_from_what_gcloud_describes():
    several = {'nodeSpec': [{'multisliceParams': {'nodeCount': 2, 'nodeIdPrefix': 'n'}, 'node': {}}]}
    found = {'name': 'projects/p/locations/z/queuedResources/q', 'state': {'state': 'ACTIVE'}, 'tpu': several}
    assert queued.parse(found).nodes == ('n-0', 'n-1') and not lifecycle.is_ours(queued.parse(found))
    node = {'nodeId': 'q', 'node': {'labels': {'t2jax': 'slice'}, 'acceleratorType': 'v4-8'}}
    failed = {'state': 'FAILED', 'failedData': {'error': {'message': 'No room.'}}}
    one = queued.parse({**found, 'state': failed, 'tpu': {'nodeSpec': [node]}})
    assert (one.name, one.nodes, lifecycle.is_ours(one), lifecycle.why(one)) == ('q', ('q',), True, ': No room')
    with pytest.raises(lifecycle.GcloudError, match='unknown here'):
        queued.parse({'name': 'x'})


def test_durations_are_as_gcloud_writes_them():
    assert [lifecycle.seconds(one) for one in ('90s', '30m', '6h', '1h30m', '2d')] == [90, 1800, 21600, 5400, 172800]
    for bad in ('', '6', 'h', '6h ', '-1h', '1.5h'):
        with pytest.raises(ValueError, match='no duration'):
            lifecycle.seconds(bad)


def test_what_comes_after_two_dashes_is_the_command():
    options = flags.parse(['run', *ONE, '--', 'a', '--zone', 'b', '--', 'c'], None)
    assert options.command == ['a', '--zone', 'b', '--', 'c'] and options.zone == ZONE


def test_pieces_of_a_log_that_overlap_are_cut_short_or_come_too_early_make_it_whole():
    log = bytes(range(256)) * 5
    job, out = jobs.Job(None, 'j', 1), io.BytesIO()

    def piece(start, end, cut=None):
        return f'{start} {base64.b64encode(log[start:end]).decode()}'[:cut].encode()

    for line in (
        *(piece(10, 20), b'', b'code 0', b'0 !', piece(0, 100, 50), piece(0, 100), piece(300, 400), piece(50, 301)),
        *(piece(100, 200), piece(0, 1000), piece(999, 1280, -3), piece(1270, 1280)),
    ):
        job._write(line, out)
        assert log.startswith(out.getvalue()) and job.reached == len(out.getvalue())
    assert out.getvalue() == log


def test_a_signal_interrupts_once_until_the_next_is_asked_for():
    with Interrupts() as interrupts:
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(signal.SIGTERM)
        assert caught.value.code == 143
        signal.raise_signal(signal.SIGINT)  # kept: something is being given back
        with pytest.raises(Interrupted, match='SIGINT'):
            interrupts.arm()
        interrupts.arm()
        held = False
        with pytest.raises(Interrupted, match='SIGINT'), interrupts.held():
            signal.raise_signal(signal.SIGINT)
            held = True
        assert held
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
