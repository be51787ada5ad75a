"""setup.sh on a host: finds or gets a Python, installs once, begins anew what was interrupted."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launch import lifecycle, startup

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'launch' / 'setup.sh'
TOOLS = ('bash', 'cat', 'chmod', 'dirname', 'env', 'flock', 'id', 'mkdir', 'mv', 'rm', 'sleep', 'tail', 'touch')
# A Python that makes environments whose python notes its calls, and fails or hangs in pip as a file says.
PYTHON = """#!/bin/bash
echo "python $*" >> "$CALLS"
if [ "$1" = -c ]; then exit "${TOO_OLD:-0}"; fi
if [ "$2" = venv ]; then mkdir -p "$3/bin" && cat "$FAKE/inside" > "$3/bin/python" && chmod +x "$3/bin/python"; fi
if [ "$3" = install ]; then  # of uv, into the folder after --target
    for last; do [ "$before" = --target ] && target=$last; before=$last; done
    mkdir -p "$target/bin" && cat "$FAKE/uv" > "$target/bin/uv" && chmod +x "$target/bin/uv"
fi
exit 0
"""
INSIDE = """#!/bin/bash
echo "inside $*" >> "$CALLS"
[ "$2" = pip ] || exit 0
sleep "$(cat "$FAKE/hang" 2>/dev/null || echo 0)"
if [ -e "$FAKE/fail" ]; then rm "$FAKE/fail"; exit 1; fi
exit 0
"""
UV = """#!/bin/bash
echo "uv $*" >> "$CALLS"
for last; do :; done
mkdir -p "$last/bin" && cat "$FAKE/inside" > "$last/bin/python" && chmod +x "$last/bin/python"
"""


class Host:
    def __init__(self, folder):
        self.folder, self.bin = folder, folder / 'bin'
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        (folder / 'inside').write_text(INSIDE)
        (folder / 'uv').write_text(UV)
        self.code, self.made = folder / 'code', folder / 'envs' / 'made'
        self.code.mkdir()
        (self.code / 'setup.py').touch()
        self.environment = {'PATH': str(self.bin), 'FAKE': str(folder), 'CALLS': str(folder / 'calls')}

    def python(self, name='python3.12'):
        (self.bin / name).write_text(PYTHON)
        (self.bin / name).chmod(0o755)

    def calls(self, what):
        path = self.folder / 'calls'
        return [line for line in path.read_text().splitlines() if line.startswith(what)] if path.exists() else []

    def start(self, *more, **environment):
        return subprocess.Popen(
            ['bash', SCRIPT, str(self.code), str(self.made), *more],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def set_up(self, *more, **environment):
        process = self.start(*more, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_it_installs_once_and_prints_the_python(host):
    host.python()
    code, out, err = host.set_up()
    assert (code, out) == (0, f'{host.made}/bin/python\n'), err
    (pip,) = host.calls('inside -m pip')
    assert pip.endswith(f' {host.code}[tpu]') and (host.made / 't2jax-installed').exists()
    assert host.set_up() == (0, f'{host.made}/bin/python\n', '') and len(host.calls('inside -m pip')) == 1


def test_another_extra_is_installed_anew(host):
    host.python()
    for extra in ('tpu', 'test', ''):
        assert host.set_up(extra)[0] == 0
    ends = [line.rpartition('/')[2] for line in host.calls('inside -m pip')]
    assert ends == ['code[tpu]', 'code[test]', 'code']


def test_what_was_interrupted_begins_anew(host):
    host.python()
    (host.folder / 'hang').write_text('100')
    process = host.start()
    while not host.calls('inside -m pip'):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert host.made.exists() and not (host.made / 't2jax-installed').exists()
    (host.made / 'half').touch()
    (host.folder / 'hang').unlink()
    assert host.set_up()[0] == 0 and not (host.made / 'half').exists()
    assert len(host.calls('inside -m pip')) == 2 and len(host.calls('python -m venv')) == 2


def test_two_at_once_install_once(host):
    host.python()
    (host.folder / 'hang').write_text('1')
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: host.set_up(), range(2)))
    assert [code for code, *_ in done] == [0, 0] and len(host.calls('inside -m pip')) == 1


def test_what_fails_for_a_moment_is_tried_again(host):
    host.python()
    (host.folder / 'fail').touch()
    code, out, err = host.set_up()
    assert code == 0 and 'failed; again in 2 s' in err and len(host.calls('inside -m pip')) == 2
    assert out == f'{host.made}/bin/python\n'


def test_where_python_is_too_old_uv_brings_one(host):
    host.python('python3')
    code, out, err = host.set_up(TOO_OLD='1')
    assert (code, out) == (0, f'{host.made}/bin/python\n'), err
    (got,) = host.calls('python -m pip install')
    assert got.endswith(f'--target {host.made}.uv uv')
    assert host.calls('uv') == [f'uv venv --seed --python >=3.11,<3.14 {host.made}']
    assert len(host.calls('inside -m pip')) == 1


def test_an_environment_that_has_t2jax_is_used_as_it_is(host):
    code, out, err = host.set_up(T2JAX_ENVIRONMENT=str(Path(sys.executable).parents[1]))
    assert (code, out, err) == (0, f'{Path(sys.executable).parents[1]}/bin/python\n', '') and not host.made.exists()


def test_bad_input_is_a_sentence_and_makes_nothing(host):
    code, out, err = host.set_up(T2JAX_ENVIRONMENT=str(host.folder))
    assert code == 2 and not out and 'whose bin/python has no t2jax; install it there' in err
    (host.code / 'setup.py').unlink()
    code, out, err = host.set_up()
    assert code == 2 and not out and err == f'{host.code} has no setup.py; give the folder of the repository\n'
    done = subprocess.run(['bash', SCRIPT], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith('usage: ') and not host.made.exists()


@pytest.mark.slow
def test_a_fresh_host_really_gets_t2jax(tmp_path):
    code, made = tmp_path / 'code', tmp_path / 'made'
    code.mkdir()
    packed = subprocess.run(['git', 'archive', 'HEAD'], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(['tar', '-x', '-C', code], input=packed.stdout, check=True)
    environment = {key: value for key, value in os.environ.items() if key not in ('T2JAX_ENVIRONMENT', 'PYTHONPATH')}
    done = subprocess.run(['bash', SCRIPT, code, made], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    python = done.stdout.splitlines()[-1]
    assert python == f'{made}/bin/python'
    helped = subprocess.run([made / 'bin' / 't2jax', '--help'], cwd=tmp_path, capture_output=True, text=True)
    assert helped.returncode == 0 and 'train' in helped.stdout
    found = subprocess.run(
        [python, '-c', 'import libtpu, t2jax; print(t2jax.__file__)'], cwd=tmp_path, capture_output=True
    )
    assert found.stdout.decode().startswith(str(made))


def test_boot_scripts_say_what_reads_them_and_quote_what_is_in_them(tmp_path):
    sweep = "gs://bucket/a'; touch evil; '"
    script = startup.host_script(sweep, 'p', 't2-a-001', 'us-west4-a', 4, 'abc')
    assert all(text.startswith('#!/usr/bin/env bash\n') for text in (script, lifecycle.GUARD.read_text()))
    values = tmp_path / 'values'
    values.write_text(script.partition('# Runs on')[0] + 'printf %s "$T2JAX_SWEEP $T2JAX_SLICE $T2JAX_HOSTS"\n')
    done = subprocess.run(['bash', str(values)], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f'{sweep} t2-a-001 4' and not (tmp_path / 'evil').exists()
    for path in (lifecycle.GUARD, lifecycle.GUARD.with_name('host.sh'), lifecycle.GUARD.with_name('setup.sh')):
        subprocess.run(['bash', '-n', str(path)], check=True)
