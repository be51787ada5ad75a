"""Start and stop of one process among several, one a host.

Where a host is missing, jax waits, then aborts the process without saying which. So the hosts call the roll first, over
the port that jax will use: each gives host 0 its index and hears who is missing, until none is.

A line to host 0 says `INDEX PROCESSES`; host 0 answers with one JSON object whenever somebody comes or goes:
missing (indices), welcome (whether it was waiting for this host), over (whether it waits no longer). From then on host
0's clock is everybody's, so that all hosts give up together and name the same ones.
"""

import contextlib
import json
import math
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any

import jax

RETRY_SECONDS = 0.2
GRACE_SECONDS = 5
START_SECONDS = 60  # for jax's own start, once every host is there; one that dies in it makes jax abort the others


def start(coordinator: str | None, processes: int | None, index: int | None, timeout: float = 300) -> None:
    """Join the processes that meet at host 0's address `coordinator` (HOST:PORT); call before anything else of jax.

    All None: what the cluster says (Cloud TPU, Slurm and the others that jax knows). CPU processes reduce by gloo.
    Raises TimeoutError naming the hosts that did not come within `timeout` seconds of host 0, ValueError where hosts
    disagree about their number or two have one index, and OSError where host 0 cannot listen on the port.
    """
    deadline = time.monotonic() + timeout
    coordinator, processes, index = _detect(coordinator, processes, index, timeout)
    host, _, port = coordinator.rpartition(':')
    if not host or not port.isdecimal():
        raise ValueError(f'coordinator is {coordinator!r}; write it as HOST:PORT, the address of host 0')
    if not 0 <= index < processes:
        raise ValueError(f'process {index} of {processes} does not exist; number them from 0 to {processes - 1}')
    if index == 0:
        missing = _call_roll(int(port), processes, deadline)
    else:
        missing = _answer_roll((host.strip('[]'), int(port)), processes, index, timeout)
    if missing:
        names = ', '.join(f'host {number}{_name(number, processes)}' for number in missing)
        if missing == [0]:
            raise TimeoutError(
                f'{names} at {coordinator} did not answer within {timeout:g} s; start t2jax there, '
                'and let the other hosts reach this port'
            )
        raise TimeoutError(
            f'{len(missing)} of {processes} hosts did not come within {timeout:g} s: {names}; start t2jax there, '
            f'and let them reach {coordinator}'
        )
    rest = max(deadline - time.monotonic(), START_SECONDS)
    jax.distributed.initialize(coordinator, processes, index, initialization_timeout=math.ceil(rest))


def stop() -> None:
    """Wait for all hosts to get here, then part; does nothing where none was started."""
    jax.distributed.shutdown()


def leave(code: int) -> None:
    """End this process at once with an exit code: for one of several, after an error.

    A usual exit waits for the other hosts, which wait for this one, and then loses the code. They end when they miss
    it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def is_first() -> bool:
    """Tell whether this is the host that writes what is written once."""
    return jax.process_index() == 0


def _detect(coordinator: str | None, processes: int | None, index: int | None, timeout: float) -> tuple[str, int, int]:
    given = (coordinator, processes, index)
    if None not in given:
        return given
    if given != (None, None, None):
        raise ValueError('only some of coordinator, processes and process are given; give all three or none')
    from jax._src.clusters import ClusterEnv  # initialize() would ask it, but the roll comes before

    try:
        found = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, math.ceil(timeout))
    except RuntimeError as error:  # host 0 has no address yet
        raise TimeoutError(f'host 0 did not come within {timeout:g} s ({error}); start it') from error
    if None in found[:3]:
        raise ValueError('this is no cluster that can be detected; give coordinator, processes and process')
    return found[:3]


def _call_roll(port: int, processes: int, deadline: float) -> list[int]:
    """Wait, as host 0, for every other host; return those that are still missing at the deadline."""
    lines: dict[socket.socket, int] = {}
    with _listen(port) as server:
        try:
            while True:
                missing = sorted(set(range(1, processes)) - set(lines.values()))
                rest = deadline - time.monotonic()
                over = not missing or rest <= 0
                for line in lines:
                    _say(line, missing=missing, welcome=True, over=over)
                if over:
                    return missing
                for ready in wait([server, *lines], rest):
                    if ready is server:
                        _admit(server.accept()[0], lines, missing, processes)
                    else:  # a host says nothing after its first line: it has hung up
                        del lines[ready]
                        ready.close()
        finally:
            for line in lines:
                line.close()


def _listen(port: int) -> socket.socket:
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(('', port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(('', port))
    except OSError as error:
        raise OSError(f'host 0 cannot listen on port {port} ({error.strerror}); choose a free one') from error


def _admit(line: socket.socket, lines: dict[socket.socket, int], missing: Sequence[int], processes: int) -> None:
    """Add a caller to lines if it is one of the missing; send it away if not."""
    line.settimeout(1)
    try:
        index, total = map(int, line.makefile().readline(99).split())
    except (OSError, ValueError):  # something else that tries ports
        line.close()
        return
    if index in missing and index not in lines.values() and total == processes:
        lines[line] = index
    else:
        _say(line, missing=list(missing), welcome=False, over=True)
        line.close()


def _say(line: socket.socket, **news: Any) -> None:
    with contextlib.suppress(OSError):  # that it has hung up is noticed elsewhere
        line.sendall(f'{json.dumps(news)}\n'.encode())


def _answer_roll(address: tuple[str, int], processes: int, index: int, timeout: float) -> list[int]:
    """Tell host 0 that this host is there; return whom it misses in the end, [0] where it is not there itself."""
    deadline = time.monotonic() + timeout
    while (rest := deadline - time.monotonic()) > 0:
        with contextlib.suppress(OSError, json.JSONDecodeError):  # not up yet, gone again, or another program's port
            for news in _hear(address, f'{index} {processes}', rest, timeout):
                if not news['welcome']:
                    raise ValueError(
                        f'host 0 does not wait for process {index} of {processes}; give every host the same number '
                        'of processes and an index of its own'
                    )
                if news['over']:
                    return news['missing']
        time.sleep(RETRY_SECONDS)
    return [0]


def _hear(address: tuple[str, int], introduction: str, rest: float, timeout: float) -> Iterator[dict[str, Any]]:
    with socket.create_connection(address, timeout=rest) as line:
        line.sendall(f'{introduction}\n'.encode())
        line.settimeout(timeout + GRACE_SECONDS)  # longer than a living host 0 can be silent
        answers = line.makefile(encoding='latin-1')
        while answer := answers.readline():
            yield json.loads(answer)


def _name(index: int, processes: int) -> str:
    """Return the name of a host where the environment lists them, as Cloud TPUs do for one slice."""
    names = (os.environ.get('TPU_PROCESS_ADDRESSES') or os.environ.get('TPU_WORKER_HOSTNAMES') or '').split(',')
    return f' ({names[index]})' if len(names) == processes else ''
