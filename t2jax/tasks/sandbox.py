"""A sandbox for Python that a language model wrote: no network, no files changed, no processes, bounded resources.

A program runs in a Python of its own, in an empty folder, with no environment, input or site-packages. Before it
starts, its process gives up all but the few system calls of SYSTEM_CALLS for good (Linux seccomp; a BPF program as in
the kernel's Documentation/userspace-api/seccomp_filter.rst): it can compute, print, start threads and read files, and
anything else, such as a socket, a file opened for writing or another process, fails with PermissionError (so there is
no asyncio, subprocess or tempfile). Memory, processor time, open files and output are limited, and at the time limit
the process is killed.

A program passes if it ran to its end: after it, the process sends back a secret which the program never held, so that
leaving early by sys.exit(0) or os._exit(0) is a failure. What is not defended against: a program that searches
its own interpreter (its garbage collector, its memory) for that secret, or that changes what the tests compare with;
it may also read any file that we may read, though it can tell nobody but us.
"""

import errno
import inspect
import math
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

START_SECONDS = 60  # for the interpreter, on a busy machine; not part of a program's time
OUTPUT_BYTES = 2**20  # printing more fails, as on a full disk
OUTPUT_KEPT = 2000  # characters of its end, where the error is

# Numbers on x86_64 and on aarch64, which lacks some. They change nothing outside of the process.
SYSTEM_CALLS = """
read 0 63             write 1 64            close 3 57            lseek 8 62            pread64 17 67
stat 4 -              lstat 6 -             fstat 5 80            newfstatat 262 79     statx 332 291
access 21 -           faccessat 269 48      faccessat2 439 439    readlink 89 -         readlinkat 267 78
getcwd 79 17          getdents64 217 61     mmap 9 222            mprotect 10 226       munmap 11 215
mremap 25 216         madvise 28 233        brk 12 214            rt_sigaction 13 134   rt_sigprocmask 14 135
rt_sigreturn 15 139   sigaltstack 131 132   restart_syscall 219 128                     alarm 37 -
setitimer 38 103      futex 202 98          set_robust_list 273 99                      rseq 334 293
sched_yield 24 124    exit 60 93            exit_group 231 94     nanosleep 35 101      clock_nanosleep 230 115
gettimeofday 96 169   time 201 -            clock_gettime 228 113 clock_getres 229 114  sched_getaffinity 204 123
getpid 39 172         getppid 110 173       gettid 186 178        getuid 102 174        geteuid 107 175
getgid 104 176        getegid 108 177       getrusage 98 165      getrandom 318 278     uname 63 160
"""
# Allowed by their flags: openat (its third argument) without any of these, clone (its first) with this one.
OPENAT, WRITING = (257, 56), os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CLONE, CLONE_THREAD = (56, 220), 0x10000
CLONE3 = (435, 435)  # its flags are out of a filter's reach; told that it is missing, the C library takes clone
MACHINES = {'x86_64': 0xC000003E, 'aarch64': 0xC00000B7}  # AUDIT_ARCH_...

# BPF: load a word of (call number, architecture, instruction pointer, arguments); skip; return an action.
LOAD, IF_EQUAL, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE, MISSING = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS


class Outcome(NamedTuple):
    """How a program ended: passed if it ran to its end and the process left with 0; output is the last it printed."""

    passed: bool
    timed_out: bool
    output: str


def run(source: str, seconds: float = 5.0, memory_mb: int = 512) -> Outcome:
    """Run a program in the sandbox.

    As in HumanEval, `__name__` is not '__main__' in it. Strings hash the same in every run. Raises OSError where the
    machine cannot forbid the network: other systems than Linux, other processors, kernels without seccomp.
    """
    if not 0 < seconds < math.inf or memory_mb < 64:
        raise ValueError(f'a limit of {seconds} s and {memory_mb} MB; it takes more than 0 s and at least 64 MB')
    machine = platform.machine()
    if sys.platform != 'linux' or machine not in MACHINES:
        raise OSError(f'no sandbox on {sys.platform} {machine}: untrusted code runs on Linux x86_64 or aarch64 only')
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory(prefix='t2jax-sandbox-') as folder:
        with theirs:
            process = subprocess.Popen(
                _command(theirs.fileno(), system_call_filter(machine), seconds, memory_mb),
                env={'PYTHONHASHSEED': '0'},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            ended, timed_out = _converse(process, ours, source, seconds)
        finally:  # Ctrl-C, too
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        printed = output.read(OUTPUT_BYTES).decode(errors='replace')
        if ended is None:
            raise OSError(f'the sandbox did not start: {(printed.splitlines() or ["it said nothing"])[-1]}')
        return Outcome(ended and process.returncode == 0, timed_out, printed[-OUTPUT_KEPT:])


def run_all(sources: Sequence[str], seconds: float = 5.0, memory_mb: int = 512) -> list[Outcome]:
    """Run programs in the sandbox, one a core at once; errors as in `run`."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(partial(run, seconds=seconds, memory_mb=memory_mb), sources))


def system_call_filter(machine: str) -> bytes:
    """Assemble the BPF program that allows SYSTEM_CALLS and no other call, one `struct sock_filter` of 8 bytes each."""
    column = list(MACHINES).index(machine)
    words = SYSTEM_CALLS.split()
    plain = [words[i + 1 + column] for i in range(0, len(words), 3)]
    program = [(LOAD, 0, 0, 4), (IF_EQUAL, 1, 0, MACHINES[machine]), (RETURN, 0, 0, REFUSE), (LOAD, 0, 0, 0)]
    for number in plain:
        if number != '-':
            program += [(IF_EQUAL, 0, 1, int(number)), (RETURN, 0, 0, ALLOW)]
    for number, argument, bits, if_any, if_none in (
        (OPENAT[column], 2, WRITING, REFUSE, ALLOW),
        (CLONE[column], 0, CLONE_THREAD, ALLOW, REFUSE),
        (CLONE3[column], 0, 0, MISSING, MISSING),
    ):
        program += [(IF_EQUAL, 0, 4, number), (LOAD, 0, 0, 16 + 8 * argument)]
        program += [(IF_ANY_BIT, 0, 1, bits), (RETURN, 0, 0, if_any), (RETURN, 0, 0, if_none)]
    program += [(RETURN, 0, 0, REFUSE)]
    return b''.join(struct.pack('=HBBI', *instruction) for instruction in program)


def _command(channel: int, filter_bytes: bytes, seconds: float, memory_mb: int) -> list[str]:
    limits = {'CPU': math.ceil(seconds) + 1, 'AS': memory_mb * 2**20, 'FSIZE': OUTPUT_BYTES, 'NOFILE': 64, 'CORE': 0}
    # -s -S -P: no site-packages, no current folder; -B: no .pyc; not -I, which would ignore PYTHONHASHSEED.
    return [
        *(sys.executable, '-s', '-S', '-P', '-B', '-X', 'utf8', '-c'),
        inspect.getsource(_be_guarded) + '_be_guarded()',
        *(str(channel), filter_bytes.hex()),
        *(f'{name}={limit}' for name, limit in limits.items()),
    ]


def _converse(process: subprocess.Popen, ours: socket.socket, source: str, seconds: float) -> tuple[bool | None, bool]:
    """Send secret and program once the process is guarded; say whether the secret came back, and if time ran out.

    The first is None where the process never was guarded.
    """
    secret, ended = os.urandom(32), None
    ours.settimeout(START_SECONDS)
    try:
        if not ours.recv(1):
            return None, False
        ended, deadline = False, time.monotonic() + seconds
        ours.sendall(secret + source.encode(errors='surrogatepass'))
        ours.shutdown(socket.SHUT_WR)
        ours.settimeout(seconds)
        ended = ours.recv(len(secret)) == secret
        process.wait(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        return ended, True
    except ConnectionError:  # it died of a program too long for its memory
        return ended, False
    return ended, False


def _be_guarded() -> None:
    """Be the sandboxed process: give everything up, then run what comes over the channel. Sent there as source."""
    import ctypes
    import os
    import resource
    import struct
    import sys

    channel, code = int(sys.argv[1]), ctypes.create_string_buffer(bytes.fromhex(sys.argv[2]))
    for name, _, limit in (pair.partition('=') for pair in sys.argv[3:]):
        resource.setrlimit(getattr(resource, 'RLIMIT_' + name), (int(limit), int(limit)))
    program = ctypes.create_string_buffer(struct.pack('@HP', len(code) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    for call in (
        (1, 9, 0, 0, 0),  # PR_SET_PDEATHSIG, SIGKILL: do not outlive a killed parent
        (38, 1, 0, 0, 0),  # PR_SET_NO_NEW_PRIVS
        (22, 2, ctypes.addressof(program), 0, 0),  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    ):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), f'the kernel refuses prctl {call[0]}')
    os.write(channel, b'+')
    sys.argv[:] = ['sample']
    module = sys.modules['sample'] = type(sys)('sample')

    def receive() -> str:
        return b''.join(iter(lambda: os.read(channel, 65536), b'')).decode()

    # One expression: while the program runs, the secret is in no variable and no longer in the channel.
    os.write(channel, [os.read(channel, 32), exec(compile(receive(), '<sample>', 'exec'), vars(module))][0])
