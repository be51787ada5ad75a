"""What a host runs: killed at the end of its claim whatever its parent does, ended with that, heard by its log."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch.programs import RESUME_CODES, Process

ROOT = Path(__file__).resolve().parents[2]
SLEEPS = ['bash', '-c', 'sleep 100 & echo $!; wait']


def ended(pid):
    path = Path(f'/proc/{pid}/stat')
    return not path.exists() or path.read_text().rpartition(')')[2].split()[0] == 'Z'


def wait_for(what, seconds=15):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def child_of(log):
    """Return the id that SLEEPS prints of its child."""
    return int(wait_for(lambda: [line for line in log.read_text().splitlines() if line.isdecimal()])[0])


def test_it_is_killed_with_its_children_when_its_time_is_over_and_not_before(tmp_path):
    program = Process(SLEEPS, tmp_path / 'log', time.time() + 1.5)
    child = child_of(tmp_path / 'log')
    program.allow(time.time() + 3)
    time.sleep(2)
    assert program.poll() is None
    wait_for(lambda: program.poll() is not None and ended(child))
    assert program.poll() == -signal.SIGKILL


@pytest.mark.skipif(not Path('/usr/bin/setpriv').exists(), reason='there is no setpriv')
def test_it_ends_with_its_parent_however_that_ends(tmp_path):
    """A worker that is killed leaves no training behind, whose claim nobody would prolong."""
    code = (
        'import sys, time; from pathlib import Path; from launch.programs import Process\n'
        'Process(["sleep", "100"], Path(sys.argv[1]), time.time() + 100); time.sleep(100)'
    )
    log = tmp_path / 'log'
    parent = subprocess.Popen([sys.executable, '-c', code, str(log)], cwd=ROOT)
    find = lambda: [p.parent.name for p in Path('/proc').glob('[0-9]*/cmdline') if is_child(p, parent.pid)]
    (child,) = wait_for(find)
    parent.kill()
    parent.wait()
    wait_for(lambda: ended(child))


def is_child(path, parent):
    try:
        status = (path.parent / 'status').read_text()
        return f'\nPPid:\t{parent}\n' in status and path.read_bytes() == b'sleep\x00100\x00'
    except OSError:
        return False


def test_asked_to_stop_it_ends_with_a_code_that_means_resume(tmp_path):
    saves = ['bash', '-c', 'trap "exit 143" TERM; echo re""ady; while true; do sleep 0.1; done']
    program = Process(saves, tmp_path / 'log', time.time() + 60)
    wait_for(lambda: 'ready' in (tmp_path / 'log').read_text())
    program.terminate()
    assert wait_for(lambda: program.poll()) == 143 in RESUME_CODES
    program.terminate(), program.kill()  # of one that has ended: nothing happens
    early = Process(['sleep', '100'], tmp_path / 'early', time.time() + 60)
    early.terminate()
    assert wait_for(lambda: early.poll()) in RESUME_CODES


def test_its_log_says_how_far_it_is_and_when_it_was_last_heard(tmp_path):
    bar = 'import sys, time; sys.stderr.write("\\r 10%|#  | 1/9\\r 37%|## | 3/9"); sys.stderr.flush(); time.sleep(60)'
    program = Process([sys.executable, '-c', bar], tmp_path / 'log', time.time() + 60)
    wait_for(lambda: program.share() == 0.37)
    before = time.time() - 500
    os.utime(tmp_path / 'log', (before, before))
    assert 499 < program.silent() < 510
    program.kill()
    assert program.poll() == -signal.SIGKILL
    assert Process(['true'], tmp_path / 'none', time.time() + 60).share() == 0.0
