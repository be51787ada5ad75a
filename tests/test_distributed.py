"""Several processes: two are one, a missing host is named, nothing hangs."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from t2jax import distributed
from t2jax.data.feed import Feed
from t2jax.data.shards import Shards

LAYOUTS = [(1, 1), (2, 1), (2, 2), (1, 4)]  # (fsdp, tensor) of four devices
HOSTS = ('TPU_PROCESS_ADDRESSES', 'TPU_WORKER_HOSTNAMES')


@pytest.fixture
def address():
    with socket.create_server(('127.0.0.1', 0)) as server:
        return f'127.0.0.1:{server.getsockname()[1]}'


def launch(code, *arguments, **environment):
    """Start one host on CPUs, in an environment that knows of no cluster."""
    clean = {key: value for key, value in os.environ.items() if key not in HOSTS} | {'JAX_PLATFORMS': 'cpu'}
    return subprocess.Popen(
        [sys.executable, '-c', code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=os.path.dirname(os.path.dirname(__file__)),
        env=clean | environment,
    )


def wait_for(hosts, timeout=60):
    """Return (exit code, standard error) of each; kill what does not end."""
    try:
        errors = [host.communicate(timeout=timeout)[1] for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    return [(host.returncode, error) for host, error in zip(hosts, errors)]


def call_in(address, *hosts, timeout=1.0):
    """Start hosts (processes, index) as threads, of which none gets beyond the roll; return the errors."""
    with ThreadPoolExecutor(len(hosts)) as threads:
        done = [threads.submit(distributed.start, address, *host, timeout) for host in hosts]
    return [future.exception() for future in done]


FEED = {'batch_sequences': 8, 'sequence_length': 9, 'seed': 1}
REDUCE = f"""
import json, sys
import jax, jax.numpy as jnp, numpy as np
from t2jax import distributed, mesh
from t2jax.data.feed import Feed, host_rows, to_global
from t2jax.data.shards import Shards

address, index, out = sys.argv[1:]
mesh.use_cpu_devices(2)
if address:
    distributed.start(address, 2, int(index), 60)
else:
    distributed.start(None, None, None, 60)
feed = Feed(Shards((np.arange(1000, dtype=np.uint16),), {{}}), **{FEED!r})
found = []
for fsdp, tensor in {LAYOUTS!r}:
    for devices in (jax.devices(), jax.devices()[::2] + jax.devices()[1::2]):
        over = mesh.make_mesh(devices, mesh.Layout(fsdp=fsdp, tensor=tensor))
        where = mesh.sharding(over, ('step', 'batch', 'length'))
        rows = host_rows(where, 8)
        ids = to_global(feed.batches(2, 3, rows), rows, where, 8)
        weigh = lambda ids: (ids * (1 + jnp.arange(ids.size).reshape(ids.shape))).sum(axis=(1, 2), dtype='int32')
        total = jax.jit(weigh, out_shardings=mesh.sharding(over, (None,)))(ids)
        found.append([len(rows), *total.addressable_data(0).tolist()])
first = distributed.is_first()
distributed.stop()
open(out, 'w').write(json.dumps([first, found]))
"""


def check_reduced(outs, hosts):
    assert [code for code, _ in hosts] == [0, 0], hosts
    ids = Feed(Shards((np.arange(1000, dtype=np.uint16),), {}), **FEED).batches(2, 3).astype(int)
    totals = (ids * (1 + np.arange(ids.size).reshape(ids.shape))).sum(axis=(1, 2)).tolist()
    rows = [4, 4, 4, 4, 4, 8, 8, 8]  # of each layout, with the devices in order and alternating between the hosts
    for index, out in enumerate(outs):
        assert json.loads(out.read_text()) == [index == 0, [[count, *totals] for count in rows]]


def test_two_processes_reduce_a_global_batch_as_one_does(address, tmp_path):
    outs = [tmp_path / '0.json', tmp_path / '1.json']
    check_reduced(outs, wait_for([launch(REDUCE, address, index, out) for index, out in enumerate(outs)]))


@pytest.mark.slow
def test_a_cluster_says_who_is_who(tmp_path):
    """A Slurm step of one node and two tasks, as its environment describes it."""
    outs, port = [tmp_path / '0.json', tmp_path / '1.json'], str(61440 + os.getpid() % 4096)
    step = {'SLURM_JOB_ID': '1', 'SLURM_STEP_NODELIST': 'localhost', 'SLURM_NTASKS': '2', 'JAX_COORDINATOR_PORT': port}
    tasks = [step | {'SLURM_PROCID': str(index), 'SLURM_LOCALID': str(index)} for index in range(2)]
    check_reduced(outs, wait_for([launch(REDUCE, '', 0, out, **task) for out, task in zip(outs, tasks)]))


def test_missing_hosts_are_named_on_every_host(address, monkeypatch):
    monkeypatch.setenv('TPU_WORKER_HOSTNAMES', 'one,two,three,four')
    errors = call_in(address, (4, 0), (4, 1))
    assert [type(error) for error in errors] == [TimeoutError] * 2
    assert {str(error) for error in errors} == {
        '2 of 4 hosts did not come within 1 s: host 2 (three), host 3 (four); start t2jax there, '
        f'and let them reach {address}'
    }
    (error,) = call_in(address, (4, 2))
    assert str(error).startswith(f'host 0 (one) at {address} did not answer within 1 s; start t2jax there')


def test_hosts_that_disagree_are_refused(address):
    errors = call_in(address, (3, 0), (3, 1), (3, 1), (4, 2))
    assert '1 of 3 hosts did not come within 1 s: host 2; start' in str(errors[0])
    assert {type(errors[1]), type(errors[2])} == {TimeoutError, ValueError}  # whichever came second
    assert str(errors[3]).startswith('host 0 does not wait for process 2 of 4; give every host the same number')


def test_a_host_that_goes_is_missing_until_it_is_back(address):
    host, port = address.split(':')
    with ThreadPoolExecutor(3) as threads:
        roll = threads.submit(distributed._call_roll, int(port), 3, time.monotonic() + 10)
        answer = lambda index: threads.submit(distributed._answer_roll, (host, int(port)), 3, index, 10)
        gone = []
        for line in (b'1 3\n', b'GET / HTTP/1.1\r\n\r\n', b''):  # it, a stranger, and one that says nothing
            caller = connected(host, int(port))
            caller.sendall(line)
            gone.append(caller.makefile().readline() if line else '')
            caller.close()
        assert json.loads(gone[0])['missing'] == [2] and gone[1] == ''
        second = answer(2)
        assert not threading.Event().wait(0.5) and not roll.done() and not second.done()
        assert answer(1).result() == second.result() == roll.result() == []


def connected(host, port):
    for _ in range(100):
        try:
            return socket.create_connection((host, port), timeout=5)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError('host 0 does not listen')


def test_bad_addresses_are_refused(address):
    with pytest.raises(ValueError, match="coordinator is 'here'; write it as HOST:PORT, the address of host 0"):
        distributed.start('here', 2, 0)
    with pytest.raises(ValueError, match='process 2 of 2 does not exist; number them from 0 to 1'):
        distributed.start(address, 2, 2)
    with pytest.raises(ValueError, match='only some of coordinator, processes and process are given'):
        distributed.start(address, 2, None)
    with pytest.raises(ValueError, match='this is no cluster that can be detected'):
        distributed.start(None, None, None)
    with (
        socket.create_server(('', int(address.split(':')[1]))),
        pytest.raises(OSError, match='host 0 cannot listen on port .*in use.*; choose a free one'),
    ):
        distributed.start(address, 2, 0)


JOIN = """
import sys, time
from t2jax import distributed
try:
    distributed.start(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 10)
    if sys.argv[3] == '1':
        raise ValueError('its disk is full')
    time.sleep(30)
except (OSError, ValueError) as error:
    print(error, file=sys.stderr)
    distributed.leave(2)
"""


@pytest.mark.slow
def test_two_of_three_processes_end_with_one_sentence_and_code_2(address):
    ends = wait_for([launch(JOIN, address, 3, index) for index in range(2)], timeout=50)
    sentence = f'1 of 3 hosts did not come within 10 s: host 2; start t2jax there, and let them reach {address}\n'
    assert ends == [(2, sentence)] * 2


@pytest.mark.slow
def test_a_host_with_an_error_leaves_at_once_with_its_code(address):
    hosts = [launch(JOIN, address, 2, index) for index in range(2)]
    try:
        assert hosts[1].communicate(timeout=25)[1].endswith('its disk is full\n')
        assert hosts[1].returncode == 2
    finally:
        for host in hosts:
            host.kill()
            host.wait()
