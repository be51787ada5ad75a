"""A fake Google Cloud for tests: queued resources whose hosts are local processes, and buckets that are directories.

    with Cloud(tmp_path, fates=[Fate('preempt', after=6)], rules=[Rule('error', 'storage cp', every=7)]) as cloud:
        subprocess.run([...], env=cloud.environment())
        assert not cloud.leaked()

`bin/gcloud` is the executable that its users see: it asks this server what to say. What the real one says was read off
Google Cloud CLI 528, run against a stub of its servers; what the servers themselves say, where no document has it, is
as people quote it. Given the same schedule and the same calls, it misbehaves in the same way.
"""

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections import namedtuple
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cloud_commands
from cloud_bucket import Buckets
from cloud_hosts import kill, processes
from cloud_slices import ACCELERATOR_TYPES, Slices

BIN = Path(__file__).resolve().parent / 'bin'
Event = namedtuple('Event', 'time what name')  # seconds since 1970; what happened; to which command, resource or host


@dataclass(frozen=True)
class Fate:
    """What becomes of one queued resource.

    fine     runs until it is deleted
    fail     FAILED instead of provisioned, with `message`
    stuck    waits for ever, or until its --valid-until-duration has passed
    refuse   the create command itself fails, with `message`
    suspend  loses its hosts without a word, then SUSPENDED
    preempt  its metadata servers say so, `notice` seconds later it loses its hosts, then SUSPENDED
    freeze   its hosts stop, and go on after `lasts` seconds (None: never); it stays ACTIVE and takes no ssh meanwhile

    The last three happen `after` seconds from when it is ACTIVE, or, when='training', from when a host trains.
    """

    kind: str = 'fine'
    after: float = 0.0
    when: str = 'active'
    notice: float = 0.5
    lasts: float | None = None
    message: str | None = None

    def __post_init__(self):
        assert self.kind in ('fine', 'fail', 'stuck', 'refuse', 'suspend', 'preempt', 'freeze'), self.kind
        assert self.when in ('active', 'training'), self.when


@dataclass(frozen=True)
class Rule:
    """How gcloud itself misbehaves: at every `every`-th call whose arguments have `match` in them, `times` times.

    garbage  does what it was asked, prints the first half of what it should, and exits with 0
    hang     never ends; `after`: once it has done what it was asked
    error    503 and exit code 1; `after`: once it has done what it was asked
    drop     ssh is lost `delay` seconds after its command has begun, or when that ends: exit code 255. What it had
             begun gets SIGHUP, or lives on (`kills=False`: what sshd really does without a terminal); what is in a
             session of its own always lives on. The real gcloud then connects and runs the command anew, up to ten
             times: `retries=1` does so once.
    """

    kind: str
    match: str = ''
    every: int = 1
    times: int | None = None
    after: bool = False
    delay: float = 0.3
    kills: bool = True
    retries: int = 0

    def __post_init__(self):
        assert self.kind in ('garbage', 'hang', 'error', 'drop'), self.kind


class Cloud:
    """The whole cloud; a context manager at whose end nothing is left running."""

    def __init__(
        self,
        root,
        fates=(),
        rules=(),
        buckets=('bucket',),
        zones=('us-central1-a', 'us-east5-b', 'europe-west4-b', 'us-central2-b', 'us-east1-d'),
        kinds=None,  # zone: its accelerator types; None: all of them
        account='me@example.com',  # None: not logged in
        project='fake-project',  # None: gcloud is set to none
        quota=None,  # queued resources in a zone, whatever their state
        read_only=(),  # buckets
        host_environment=None,
        waiting=0.1,  # seconds in each state
        provisioning=0.1,
        suspending=0.2,
        deleting=0.2,
    ):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.fates, self.rules = list(fates), list(rules)
        self.account, self.project, self.quota = account, project, quota
        self.zones = {zone: tuple((kinds or {}).get(zone, ACCELERATOR_TYPES)) for zone in zones}
        self.seconds = {'waiting': waiting, 'provisioning': provisioning}
        self.seconds |= {'suspending': suspending, 'deleting': deleting}
        self.events = []
        self.lock, self._closing = threading.RLock(), False
        self._calls = [0] * len(self.rules)  # that matched
        self._misbehaved = [0] * len(self.rules)
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), _handler(self), bind_and_activate=False)
        self._server.daemon_threads, self._server.request_queue_size = True, 256
        self._server.server_bind()
        self._server.server_activate()
        self.url = f'http://127.0.0.1:{self._server.server_address[1]}'
        self.buckets = Buckets(self, buckets, set(read_only))
        self.slices = Slices(self, host_environment or {})

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.kill_everything()
        self._server.shutdown()
        self._server.server_close()

    def environment(self, **more):
        """Return the environment of a process that is to see this cloud."""
        return {**os.environ, 'PATH': self.path, 'FAKE_CLOUD': self.url, **more}

    @property
    def path(self):
        """The PATH of whoever sees this cloud: the fake gcloud, then the Python that runs the tests."""
        return os.pathsep.join([str(BIN), str(Path(sys.executable).parent), os.environ.get('PATH', os.defpath)])

    def happened(self, what, name):
        """Keep an event."""
        self.events.append(Event(time.time(), what, name))

    def names(self, what):
        """Return to what an event happened, in order."""
        return [event.name for event in list(self.events) if event.what == what]

    def vm(self, name, kind='v5litepod-1', zone='us-central1-a'):
        """Make a TPU VM that no queued resource has made, as if long ago."""
        return self.slices.vm(name, kind, zone)

    def resources(self):
        """Return the state of every queued resource that still exists, by name."""
        with self.lock:
            return {one.name: one.state for one in self.slices.all.values() if one.queued}

    def leaked(self):
        """Return what still exists: queued resources by name, processes on hosts by host, id and command line."""
        return [*self.resources(), *(f'{host} {pid} {line}' for pid, host, line in processes(self.url, on_hosts=True))]

    def objects(self, bucket='bucket'):
        """Return the file of every object of a bucket, by name."""
        return self.buckets.files(bucket)

    def bucket(self, name='bucket'):
        """Return the directory that a bucket is."""
        return self.root / 'bucket' / name

    def home(self, host):
        """Return the home of a host, NODE-WORKER."""
        return self.root / 'hosts' / host

    def log(self, host):
        """Return what the startup script of a host has printed."""
        path = self.root / 'logs' / f'{host}.log'
        return path.read_text(errors='replace') if path.exists() else ''

    def wait_for(self, what, timeout=10.0):
        """Wait until what() is true and return it; fails after `timeout` seconds, with what had happened."""
        end = time.monotonic() + timeout
        while not (found := what()):
            assert time.monotonic() < end, f'not within {timeout} s; so far: {[event[1:] for event in self.events]}'
            time.sleep(0.02)
        return found

    def kill_everything(self):
        """End whatever sees this cloud but the caller, and forget the queued resources."""
        self._closing = True
        kill(self.url)
        self.slices.close()
        kill(self.url)

    def take_fate(self):
        """Return the fate of the next request."""
        with self.lock:
            return self.fates.pop(0) if self.fates else Fate()

    def serve(self, request):
        """Answer one call of gcloud."""
        assert not self._closing, 'the cloud has ended'
        arguments = request['arguments']
        line = ' '.join(arguments)
        self.happened('gcloud', line)
        rule = self._rule(line)
        if rule and rule.kind in ('hang', 'error') and not rule.after:
            return _misbehave(rule, {})
        answer = cloud_commands.carry_out(self, arguments, Path(request['cwd']), request['feed'].encode('latin-1'))
        return _misbehave(rule, answer) if rule else answer

    def _rule(self, line):
        with self.lock:
            for i, rule in enumerate(self.rules):
                if not re.search(rule.match, line):
                    continue
                self._calls[i] += 1
                if self._calls[i] % rule.every == 0 and (rule.times is None or self._misbehaved[i] < rule.times):
                    self._misbehaved[i] += 1
                    self.happened(rule.kind, line)
                    return rule
        return None


def _misbehave(rule, answer):
    if rule.kind == 'hang':
        return {'code': 1, 'out': '', 'err': '', 'hang': True}
    if rule.kind == 'error':
        return {'code': 1, 'out': '', 'err': 'ERROR: (gcloud) HTTPError 503: Backend Error\n'}
    if rule.kind == 'garbage':
        out = answer['out'] or '[{"name": "projects/fake-project/loc", "state": {"sta'
        return {'code': 0, 'out': out[: max(1, len(out) // 2)], 'err': ''}
    return {**answer, 'lost': {'delay': rule.delay, 'kills': rule.kills, 'retries': rule.retries}}


def _handler(cloud):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
            try:
                answer = cloud.serve(request)
            except Exception as error:  # a fault of the fake: loud, and never taken for one of Google's
                cloud.happened('fault', f'{" ".join(request["arguments"])}: {error!r}')
                answer = {'code': 70, 'out': '', 'err': f'fake gcloud: {error!r}\n'}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):  # it was killed for taking too long
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
