"""Every gcloud command of dry runs, buckets, hosts and the guide: of documented flags, and parsed by gcloud."""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from cloud import BIN

from launch.bucket import GcloudBucket
from launch.gcloud import Gcloud, GcloudError, check_logged_in
from launch.host import Machine
from launch.queued import QueuedResources, check_zones
from t2jax.slices import parse_slice

LAUNCH = Path(__file__).resolve().parents[2] / 'launch'
WIDE = {'project', 'quiet', 'format', 'filter'}
QUEUED, VM = 'compute tpus queued-resources', 'compute tpus tpu-vm'
# gcloud's reference pages, of the flags that are used
DOCUMENTED = {
    f'{QUEUED} create': {
        *('zone', 'accelerator-type', 'runtime-version', 'node-id', 'node-count', 'node-prefix', 'async', 'spot'),
        *('labels', 'metadata', 'metadata-from-file', 'network', 'subnetwork', 'internal-ips', 'scopes'),
        *('service-account', 'valid-until-duration'),
    },
    f'{QUEUED} describe': {'zone'},
    f'{QUEUED} delete': {'zone', 'force', 'async'},
    f'{QUEUED} list': {'zone', 'limit', 'page-size', 'sort-by', 'uri'},
    f'{VM} ssh': {'zone', 'worker', 'command', 'internal-ip', 'ssh-flag', 'ssh-key-file', 'plain'},
    f'{VM} scp': {'zone', 'worker', 'recurse', 'internal-ip', 'compress', 'scp-flag', 'ssh-key-file', 'plain'},
    'compute tpus accelerator-types list': {'zone'},
    'storage cp': {'if-generation-match', 'recursive'},
    'storage cat': set(),
    'storage objects describe': set(),
    'storage objects list': set(),
    'storage rsync': {'recursive'},
    'auth list': set(),
    'config get': set(),
}


class Listener(Gcloud):
    """Keeps the commands that code would run."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def ask(self, *arguments, timeout=0, feed=None):
        self.lines.append(shlex.join(self.line(*arguments)))
        return '{"generation": "7"}' if 'describe' in arguments else '[]'


def asked_lines(tmp_path):
    """Return what the sweep, and a host of it, ask of gcloud beside what their dry runs show."""
    gcloud = Listener()
    bucket = GcloudBucket(gcloud, 'gs://my-bucket/paper/sweep')
    for call in (
        lambda: bucket.read('runs/37M@1.25e16.json'),
        lambda: bucket.write('runs/37M@1.25e16.json', {}, 7),
        lambda: bucket.scan('runs'),
        lambda: check_logged_in(gcloud),
        lambda: check_zones(gcloud, [('us-west4-a', parse_slice('v5e:4x4'))]),
        lambda: QueuedResources(gcloud).describe('t2-paper-0000-001', 'us-west4-a'),
        lambda: QueuedResources(gcloud).list('us-west4-a'),
    ):
        with contextlib.suppress(GcloudError, ValueError):  # at what they are told; they have asked
            call()
    machine = Machine.__new__(Machine)
    machine.root, machine.address, machine.name, machine.index = tmp_path, 'gs://my-bucket/sweep', 'x', 0
    machine.gcloud = gcloud
    machine.fetch_compiled()
    machine.keep('37M@1.25e16', all_of_it=True)
    return gcloud.lines


def golden_lines():
    """Return the lines of dry runs."""
    return {
        line for path in Path(__file__).with_name('golden').glob('s*-*.txt') for line in path.read_text().splitlines()
    }


def written_lines():
    """Return the commands of the guide and of scripts that run on hosts, with something for each variable."""
    lines = set()
    for path in (LAUNCH / 'README.md', LAUNCH / 'host.sh', LAUNCH / 'guard.sh'):
        text = path.read_text().replace('\\\n', ' ')
        for found in re.findall(r'gcloud (?:auth|config|services|storage|iam|projects|compute) [^\n`]*', text):
            command = re.split(r' (?:&&|\|\|) |;|\|', found)[0]
            command = re.sub(r'"?\$\{?[\w:.-]+\}?"?', 'x', command).replace('"', '').strip().rstrip(')')
            lines.add(command)
    return lines


def test_every_flag_of_a_dry_run_and_of_a_host_is_documented(tmp_path):
    used = set()
    for line in sorted(golden_lines()) + asked_lines(tmp_path):
        words = shlex.split(line)
        command = next(name for n in (4, 3, 2) if (name := ' '.join(words[1 : 1 + n])) in DOCUMENTED or n == 2)
        given = {word[2:].partition('=')[0] for word in words if word.startswith('--')}
        assert command in DOCUMENTED and given <= DOCUMENTED[command] | WIDE, line
        used.add(command)
    assert used == DOCUMENTED.keys()


def test_the_real_gcloud_parses_every_command(tmp_path):
    folders = [folder for folder in os.environ['PATH'].split(os.pathsep) if Path(folder).resolve() != BIN]
    real = shutil.which('gcloud', path=os.pathsep.join(folders))
    if not real:
        pytest.skip('the Google Cloud CLI is not installed: its own parser cannot be asked')
    path = tmp_path / 'lines.json'
    lines = sorted(golden_lines() | written_lines() | set(asked_lines(tmp_path)))
    lines.append(f'gcloud {VM} ssh mine --worker=all --bogus=3')
    flags_last = [shlex.join(sorted(shlex.split(line), key=lambda word: word.startswith('--'))) for line in lines]
    # A generation is left out: lint takes # for a comment.
    path.write_text(json.dumps([{'command_string': re.sub(r'#\d+', '', line)} for line in flags_last]))
    lint = [real, 'meta', 'lint-gcloud-commands', f'--commands-file={path}']
    done = subprocess.run(lint, capture_output=True, text=True, env={**os.environ, 'CLOUDSDK_CONFIG': str(tmp_path)})
    *found, bad = json.JSONDecoder().raw_decode(done.stdout)[0]
    for one in found:
        assert one['success'], f'{one["command_string"]}: {one["error_message"]}'
    assert len(found) > 40 and not bad['success']
