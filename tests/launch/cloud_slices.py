"""The fake cloud's queued resources: what becomes of them, and the hosts that they start."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from cloud_hosts import Host, kill, processes

from launch import machines

_NAMED = [machines.find_slice(f'{kind}:{shape}') for kind, known in machines.KINDS.items() for shape in known.shapes]
ACCELERATOR_TYPES = {machines.accelerator_type(tpu): tpu for tpu in _NAMED}
_PORTS = range(65536 - 4096, 65536)  # of which jax takes 61440 + SLURM_JOB_ID % 4096
_NODE_STATES = {'ACTIVE': 'READY', 'SUSPENDING': 'PREEMPTED', 'DELETING': 'DELETING', 'PROVISIONING': 'CREATING'}


class Ended(Exception):
    """A resource was deleted while something else was to happen to it."""


class Resource:
    """A queued resource, or a TPU VM made without one."""

    def __init__(self, name, project, zone, kind, nodes, fate, queued=True, **details):
        self.name, self.project, self.zone, self.kind, self.nodes = name, project, zone, kind, nodes
        self.fate, self.queued, self.details = fate, queued, details  # details: spot, labels, metadata, ...
        self.state, self.error, self.hosts, self.frozen = 'ACCEPTED', None, [], False
        self.created = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
        self.ended = threading.Event()

    @property
    def path(self):
        """Its name as the API has it."""
        return f'projects/{self.project}/locations/{self.zone}/queuedResources/{self.name}'

    def shown(self):
        """Return it as the API shows it."""
        node = {'acceleratorType': self.kind, 'runtimeVersion': self.details.get('runtime', '')}
        if self.details.get('labels'):
            node['labels'] = self.details['labels']
        parent = f'projects/{self.project}/locations/{self.zone}'
        spec = [{'parent': parent, 'nodeId': name, 'node': node} for name in self.nodes]
        state = {'state': self.state, 'stateInitiator': 'USER' if self.state == 'DELETING' else 'SERVICE'}
        if self.state == 'FAILED':
            state['failedData'] = {'error': {'code': 8, 'message': self.error}}
        if self.state in ('SUSPENDED', 'SUSPENDING'):
            state[f'{self.state.lower()}Data'] = {}
        shown = {'createTime': self.created, 'name': self.path, 'state': state, 'tpu': {'nodeSpec': spec}}
        return shown | ({'spot': {}} if self.details.get('spot') else {})

    def shown_node(self, name):
        """Return one of its TPU VMs as the API shows it."""
        hosts = [host for host in self.hosts if host.node == name]
        shown = {
            'acceleratorType': self.kind,
            'health': 'HEALTHY',
            'labels': self.details.get('labels') or {},
            'name': f'projects/{self.project}/locations/{self.zone}/nodes/{name}',
            'networkEndpoints': [{'ipAddress': f'10.0.0.{2 + i}', 'port': 8470} for i in range(len(hosts))],
            'runtimeVersion': self.details.get('runtime', ''),
            'schedulingConfig': {'spot': True} if self.details.get('spot') else {},
            'state': _NODE_STATES[self.state],
        }
        return shown | ({'queuedResource': self.path} if self.queued else {})


class Slices:
    """All queued resources and TPU VMs of a cloud, by zone and name."""

    def __init__(self, cloud, host_environment):
        self.cloud, self.host_environment = cloud, host_environment
        self.all = {}
        self._ports, self._threads = set(), []

    def add(self, resource):
        """Begin the life of a resource; the caller has seen that its name is free."""
        self.all[resource.zone, resource.name] = resource
        self.cloud.happened('created', resource.name)
        self._start(self._live, resource)

    def vm(self, name, kind, zone):
        """Make a TPU VM without a queued resource, which stays."""
        runtime = machines.runtime_version(ACCELERATOR_TYPES[kind])
        vm = Resource(name, self.cloud.project, zone, kind, [name], None, queued=False, runtime=runtime)
        self.all[zone, name] = vm
        vm.state = 'ACTIVE'
        self._boot(vm)
        return vm

    def nodes(self, zone):
        """Return (name, resource) of every TPU VM in a zone."""
        of_zone = [one for (where, _), one in self.all.items() if where == zone and one.state in _NODE_STATES]
        return [(name, one) for one in of_zone for name in one.nodes]

    def delete(self, resource):
        """Begin to delete; its hosts run until it is gone."""
        if resource.state == 'DELETING':
            return
        resource.state = 'DELETING'
        resource.ended.set()
        self.cloud.happened('deleting', resource.name)
        self._start(self._end, resource)

    def close(self):
        """Forget all resources; what they have begun ends."""
        with self.cloud.lock:
            gone = list(self.all.values())
            self.all.clear()
        for resource in gone:
            resource.ended.set()
        for thread in self._threads:
            thread.join(10)
        for resource in gone:
            self._kill(resource)

    def _start(self, what, resource):
        self._threads.append(threading.Thread(target=what, args=(resource,), daemon=True))
        self._threads[-1].start()

    def _live(self, resource):
        with contextlib.suppress(Ended):
            self._begin(resource)
            if resource.fate.kind in ('preempt', 'suspend', 'freeze'):
                if resource.fate.when == 'training':
                    while not any(self._trains(host) for host in resource.hosts):
                        self._wait(resource, 0.1)
                self._wait(resource, resource.fate.after)
                self._befall(resource)

    def _begin(self, resource):
        """Bring a resource to ACTIVE; raises Ended where it does not get there."""
        seconds, fate = self.cloud.seconds, resource.fate
        self._turn(resource, 'WAITING_FOR_RESOURCES')
        limit = resource.details.get('valid_until')
        late = limit is not None and (fate.kind == 'stuck' or limit < seconds['waiting'])
        if fate.kind == 'stuck' and not late:
            resource.ended.wait()
        self._wait(resource, limit if late else seconds['waiting'])
        if late or fate.kind == 'fail':
            why = 'The queued resource was not fulfilled before its validity interval ended.'
            resource.error = why if late else fate.message or 'There is no more capacity in the zone.'
            self._turn(resource, 'FAILED')
            raise Ended
        self._turn(resource, 'PROVISIONING')
        self._wait(resource, seconds['provisioning'])
        with self.cloud.lock:
            self._turn(resource, 'ACTIVE')
            self._boot(resource)

    def _befall(self, resource):
        fate = resource.fate
        if fate.kind == 'freeze':
            with self.cloud.lock:
                self._check(resource)
                resource.frozen = True
                self.cloud.happened('frozen', resource.name)
                self._signal(resource, signal.SIGSTOP)
            if fate.lasts is not None:
                self._wait(resource, fate.lasts)
                with self.cloud.lock:
                    self._check(resource)
                    resource.frozen = False
                    self.cloud.happened('thawed', resource.name)
                    self._signal(resource, signal.SIGCONT)
            return
        if fate.kind == 'preempt':
            self.cloud.happened('notice', resource.name)
            for host in resource.hosts:
                host.preempted.set()
            self._wait(resource, fate.notice)
        with self.cloud.lock:
            self._turn(resource, 'SUSPENDING')
            self._kill(resource)
        self._wait(resource, self.cloud.seconds['suspending'])
        self._turn(resource, 'SUSPENDED')

    def _end(self, resource):
        time.sleep(self.cloud.seconds['deleting'])
        with self.cloud.lock:
            self._kill(resource)
            if self.all.get((resource.zone, resource.name)) is resource:
                del self.all[resource.zone, resource.name]
                self.cloud.happened('deleted', resource.name)

    def _check(self, resource):
        if resource.ended.is_set():
            raise Ended

    def _wait(self, resource, seconds):
        if resource.ended.wait(seconds):
            raise Ended

    def _turn(self, resource, state):
        with self.cloud.lock:
            self._check(resource)
            resource.state = state
            self.cloud.happened(state, resource.name)

    def _trains(self, host):
        for _, _, line in processes(self.cloud.url, host.name):
            words = line.split('\0')
            if 'train' in words and any(os.path.basename(word).startswith('t2jax') for word in words):
                self.cloud.happened('trains', host.name)
                return True
        return False

    def _boot(self, resource):
        """Start the hosts of all slices of a resource."""
        each = machines.hosts(ACCELERATOR_TYPES[resource.kind])
        several = each * len(resource.nodes) > 1
        job = self._port() - _PORTS[0] if several else None
        for node in resource.nodes:
            for worker in range(each):
                home = self.cloud.root / 'hosts' / f'{node}-{worker}'
                shutil.rmtree(home, ignore_errors=True)  # of a machine that had its name before
                (home / 'tmp').mkdir(parents=True)
                resource.hosts.append(Host(node, worker, home))
        for i, host in enumerate(resource.hosts):
            slurm = {'SLURM_JOB_ID': job, 'SLURM_PROCID': i, 'SLURM_NTASKS': len(resource.hosts), 'SLURM_LOCALID': 0}
            slurm |= {'SLURM_STEP_NODELIST': 'localhost', 'SLURM_NODELIST': 'localhost'}
            slurm |= {'SLURM_STEP_NUM_NODES': len(resource.hosts), 'SLURM_JOB_NUM_NODES': len(resource.hosts)}
            self._boot_host(resource, host, slurm if several else {})

    def _boot_host(self, resource, host, slurm):
        tpu = {'ACCELERATOR_TYPE': resource.kind, 'NODE_ID': host.node, 'ZONE': resource.zone, 'WORKER_ID': host.worker}
        tpu['CONSUMER_PROJECT_ID'] = resource.project
        if len(resource.nodes) > 1:
            tpu |= {'MEGASCALE_SLICE_ID': resource.nodes.index(host.node), 'MEGASCALE_NUM_SLICES': len(resource.nodes)}
        given = resource.details.get('metadata') or {}
        attributes = {'agent-worker-number': host.worker, 'accelerator-type': resource.kind, 'instance-id': host.node}
        attributes['tpu-env'] = ''.join(f"{key}: '{value}'\n" for key, value in tpu.items())
        host.metadata = {f'attributes/{key}': str(value) for key, value in {**attributes, **given}.items()}
        zone = f'projects/1/zones/{resource.zone}'
        host.metadata |= {'name': f't1v-n-{host.name}', 'zone': zone, 'maintenance-event': 'NONE'}
        host.environment = {
            'PATH': self.cloud.path,
            'LANG': os.environ.get('LANG', 'C.UTF-8'),
            'HOME': str(host.home),
            'T2JAX_ROOT': str(host.home),
            'TMPDIR': str(host.home / 'tmp'),
            'FAKE_CLOUD': self.cloud.url,
            'FAKE_HOST': host.name,
            'GCE_METADATA_HOST': f'127.0.0.1:{host.server.server_address[1]}',
            'JAX_PLATFORMS': 'cpu',
            **{key: str(value) for key, value in slurm.items()},
            **self.host_environment,
        }
        if 'startup-script' in given:
            logs, scripts = self.cloud.root / 'logs', self.cloud.root / 'startup-scripts'
            for folder in (logs, scripts):
                folder.mkdir(exist_ok=True)
            script = scripts / host.name
            script.write_text(given['startup-script'])
            with (logs / f'{host.name}.log').open('ab') as log:
                host.process = subprocess.Popen(
                    _interpreter(given['startup-script']) + [str(script)],
                    cwd=host.home,
                    env=host.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def _port(self):
        """Return a free port of those that jax takes under Slurm, one that no other slice has been given."""
        for port in _PORTS:
            if port not in self._ports:
                self._ports.add(port)
                with socket.socket() as one, contextlib.suppress(OSError):
                    one.bind(('127.0.0.1', port))
                    return port
        raise RuntimeError('no free port')

    def _signal(self, resource, number):
        for _ in range(3):  # again, for what was being born
            for host in resource.hosts:
                for pid, _, _ in processes(self.cloud.url, host.name):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)

    def _kill(self, resource):
        for host in resource.hosts:
            if kill(self.cloud.url, host.name):
                self.cloud.happened('killed', host.name)
            host.close()


def _interpreter(script):
    first = re.match(r'#!\s*(.+)', script)
    return first[1].split() if first else ['bash']
