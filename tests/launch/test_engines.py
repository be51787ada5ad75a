"""Files for SkyPilot and xpk: golden, ordered, quoted, refused in one sentence, and read by the real packages."""

import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from launch import engines, machines, repository
from launch.engine_jobs import Study, skypilot_files, xpk_files

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name('golden')
PAPER = str(ROOT / 'experiments' / 'paper.py')
WHERE = ['--workdir', 'gs://bucket/paper', '--shards', 'gs://bucket/refinedweb']
SKYPILOT = ['--engine', 'skypilot', '--commit', '3f9a2c7', '--repository', 'https://example.com/t2jax.git', *WHERE]
IMAGE = ['--docker-image', 'us-docker.pkg.dev/my-project/images/t2jax:1']
XPK = ['--engine', 'xpk', '--cluster', 'tpus', '--zone', 'us-west4-a', '--project', 'my-project', *WHERE]
ROWS = [{'run': f'{n}M@1e18', 'params': n, 'tokens': 1e9, 'hours': 9.0 - n, 'dollars': 2.0} for n in range(1, 4)]
STUDY = Study('experiments/paper.py', 'gs://bucket/paper', None, machines.find_slice('v5e:4x4'), 0.4, tuple(ROWS))
SLICES = [f'{kind}:{shape}' for kind, names in machines.KINDS.items() for shape in names.shapes]
HOSTILE = ['$(touch evil)', 'a; touch evil', "a'`touch evil`'", 'a\ntouch evil', '--command=evil', 'a b', 'a&&b', '']
CLUSTER = {'cluster': 'tpus', 'zone': 'us-west4-a', 'project': 'my-project', 'priority': 'medium'}


def tasks_of(study, zone='us-west4-a'):
    return skypilot_files(study, 'https://example.com/t2jax.git', '3f9a2c7', zone, Path('out'))


def script_of(study, image='image:1', base=None):
    return xpk_files(study, image=image, base_image=base, **CLUSTER)['workloads.sh']


def words_of(script):
    return [shlex.split(line)[1:] for line in script.splitlines() if line.startswith('xpk ')]


def flag_of(words, name):
    return next(word.partition('=')[2] for word in words if word.startswith(f'--{name}='))


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The paper's 106 runs for both engines, as the command writes them."""
    out = tmp_path_factory.mktemp('paper')
    assert engines.main([PAPER, *SKYPILOT, '--spot', '--out', str(out / 'skypilot')]) == 0
    assert engines.main([PAPER, *XPK, *IMAGE, '--spot', '--out', str(out / 'xpk')]) == 0
    return out


@pytest.fixture
def package(tmp_path):
    """Runs engines_check.py under the Python of T2JAX_ENGINES."""
    python = os.environ.get('T2JAX_ENGINES')
    if not python:
        pytest.skip('T2JAX_ENGINES names no Python that has skypilot and xpk')
    home = tmp_path / 'home'
    home.mkdir()
    env = {'PATH': os.environ['PATH'], 'HOME': str(home), 'SKYPILOT_DISABLE_USAGE_COLLECTION': '1'}

    def check(*arguments):
        command = [python, str(Path(__file__).with_name('engines_check.py')), *map(str, arguments)]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return check


def answers(done):
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def write_program(folder, name, *lines):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text('\n'.join(['#!/bin/bash', *lines, '']))
    path.chmod(0o755)


def test_all_106_runs_are_there_longest_first_under_legal_names_of_their_own(whole):
    tasks = [yaml.safe_load(path.read_text()) for path in sorted((whole / 'skypilot').glob('*.yaml'))]
    lines = words_of((whole / 'xpk' / 'workloads.sh').read_text())
    names = [task['name'] for task in tasks]
    assert len(set(names)) == 106
    assert names == [flag_of(words, 'workload') for words in lines]
    assert all(re.fullmatch('[a-z][-a-z0-9]*[a-z0-9]', name) and len(name) <= 28 for name in names)
    table = (whole / 'skypilot' / 'README.txt').read_text()
    hours = [float(row[4]) for row in map(str.split, table.splitlines()) if len(row) == 6 and '@' in row[1]]
    assert len(hours) == 106 and hours == sorted(hours, reverse=True)
    (total,) = [line for line in table.splitlines() if '106 runs' in line]
    assert total.split()[-1] == '2,229' and total in (whole / 'xpk' / 'workloads.sh').read_text()
    assert '37M@2.56e19' in tasks[0]['run'] and '5M@1.25e16' in tasks[-1]['run']


def test_names_stay_and_differ_by_workdir_experiment_and_run():
    name = STUDY.job_name('901M@2.56e19')
    assert name == STUDY.job_name('901M@2.56e19')
    other = dataclasses.replace(STUDY, workdir='gs://bucket/other').job_name('901M@2.56e19')
    assert name[:-8] == other[:-8] == 'paper-901m-2-56e19-' and name != other
    long = [STUDY.job_name(f'{"x" * 80}{n}') for n in range(200)] + [STUDY.job_name('a.b'), STUDY.job_name('a-b')]
    assert len(set(long)) == 202 and all(len(name) <= 28 for name in long)
    odd = dataclasses.replace(STUDY, experiment='experiments/7_éa.py')
    assert all(re.fullmatch('[a-z][-a-z0-9]*[a-z0-9]', odd.job_name(run)) for run in ('@', '9', '--', 'ü'))


@pytest.mark.parametrize('engine', ['skypilot', 'xpk'])
def test_files_are_golden(engine, tmp_path):
    more = [*SKYPILOT, '--zone', 'us-west4-a', '--spot'] if engine == 'skypilot' else [*XPK, *IMAGE]
    runs = ['--run', '901M@2.56e19'] + (['--run', '37M@2.56e19'] if engine == 'xpk' else [])
    command = [sys.executable, str(ROOT / 'launch' / 'engines.py'), PAPER, *more, *runs, '--out', 'out']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.endswith(
        {'skypilot': 'next: cat out/README.txt\n', 'xpk': 'next: bash out/workloads.sh\n'}[engine]
    )
    golden = GOLDEN / {'skypilot': 'engines-skypilot.yaml', 'xpk': 'engines-xpk.sh'}[engine]
    (path,) = [path for path in (tmp_path / 'out').iterdir() if path.suffix == golden.suffix]
    assert path.read_text() == golden.read_text()


def test_the_same_files_are_written_over_and_nobody_elses(whole, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(engines, 'read_study', lambda options: STUDY)
    out = tmp_path / 'out'
    short = [PAPER, *SKYPILOT, '--out', str(out)]
    assert engines.main(short) == 0 and engines.main(short) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / 'README.txt').write_text('mine')
    capsys.readouterr()
    for arguments in (short, [*short[:-1], str(whole / 'xpk')], [*short[:-1], PAPER]):
        assert engines.main(arguments) == 2
        assert 'name another --out' in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == before.keys() and (out / 'README.txt').read_text() == 'mine'
    assert [path.name for path in (whole / 'xpk').iterdir()] == ['workloads.sh']


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        ([*SKYPILOT, '--slices', '2'], 'SkyPilot gives a job one TPU slice, not 2 x v5e:4x4'),
        ([*SKYPILOT, '--slice', 'v5e:4x5'], 'Cloud TPU has no slice v5e:4x5'),
        ([*SKYPILOT, '--slice', 'v9:4x4'], "1 x 'v9:4x4' is no TPU slice"),
        ([*SKYPILOT, '--slices', '0', '--slice', 'v5e:4x4'], "0 x 'v5e:4x4' is no TPU slice"),
        ([*SKYPILOT, '--run', '902M'], "experiments/paper.py has no run '902M'"),
        ([*SKYPILOT, '--cluster', 'tpus'], '--engine skypilot has no use for --cluster'),
        ([*SKYPILOT, '--max-restarts', '-1'], '--max-restarts is -1'),
        ([*SKYPILOT, '--workdir', 'out/paper'], "'out/paper' is no address in a bucket"),
        ([*SKYPILOT, '--repository', 'https://me:secret@example.com/t2jax'], 'without a password in it'),
        (['--engine', 'skypilot', *WHERE], '--engine skypilot needs --commit'),
        (['--engine', 'borg', *WHERE], "invalid choice: 'borg'"),
        ([*XPK[2:], *IMAGE], 'the following arguments are required: --engine'),
        (['--engine', 'xpk', *XPK[4:], *IMAGE], '--engine xpk needs --cluster'),
        (XPK, 'give either --docker-image or --base-docker-image'),
        ([*XPK, *IMAGE, '--base-docker-image', 'python:3.12'], 'give either --docker-image or --base-docker-image'),
        ([*XPK, *IMAGE, '--commit', '3f9a2c7'], '--engine xpk has no use for --commit'),
        ([*XPK, *IMAGE, '--slice', 'v5e:2x2'], 'xpk has no v5e:2x2'),
        ([*XPK, *IMAGE, '--priority', 'huge'], "invalid choice: 'huge'"),
        ([*XPK, *IMAGE, '--cluster', 'x' * 41], 'is no name of a cluster'),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(arguments, reason, tmp_path, capsys):
    try:
        code = engines.main([PAPER, *arguments, '--out', str(tmp_path / 'out')])
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    assert code == 2 and said.out == '' and reason in said.err and said.err.count('\n') == 1, said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('hostile', HOSTILE)
@pytest.mark.parametrize('flag', ['workdir', 'shards', 'commit', 'repository', 'zone'])
def test_hostile_values_for_skypilot_are_refused(flag, hostile, tmp_path, capsys):
    prefix = {'workdir': 'gs://bucket/', 'shards': 'gs://bucket/', 'repository': 'https://example.com/'}.get(flag, '')
    prefix = '' if hostile.startswith('--') else prefix
    assert engines.main([PAPER, *SKYPILOT, f'--{flag}={prefix}{hostile}', '--out', str(tmp_path / 'out')]) == 2
    assert capsys.readouterr().err.count('\n') == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize('hostile', HOSTILE)
@pytest.mark.parametrize('flag', ['cluster', 'project', 'docker-image', 'zone'])
def test_hostile_values_for_xpk_are_refused(flag, hostile, tmp_path, capsys):
    assert engines.main([PAPER, *XPK, *IMAGE, f'--{flag}={hostile}', '--out', str(tmp_path / 'out')]) == 2
    assert capsys.readouterr().err.count('\n') == 1 and not list(tmp_path.iterdir())


def test_experiments_without_a_grid_or_elsewhere_or_with_odd_names_are_refused(tmp_path, capsys):
    outside, absent = tmp_path / 'grid.py', tmp_path / 'absent.py'
    outside.write_text('GRID = None\n')
    inside = ROOT / 'experiments' / 'paper.py;x'
    cases = {str(ROOT / 'experiments' / 'mini.py'): 'defines no GRID', str(outside): 'is not in this repository'}
    cases |= {str(absent): 'no experiment file', str(inside): 'no experiment file'}
    for path, reason in cases.items():
        assert engines.main([path, *SKYPILOT, '--out', str(tmp_path / 'out')]) == 2
        said = capsys.readouterr().err
        assert reason in said and said.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_runs_and_paths_that_no_shell_should_see_are_refused(tmp_path, monkeypatch, capsys):
    rows = [{**ROWS[0], 'run': 'a; touch evil'}]
    found = json.dumps({'slice': 'v5e:4x4', 'mfu': 0.4, 'runs': rows})
    done = subprocess.CompletedProcess([], 0, found, '')
    monkeypatch.setattr(repository.subprocess, 'run', lambda *arguments, **options: done)
    assert engines.main([PAPER, *SKYPILOT, '--out', str(tmp_path / 'out')]) == 2
    assert "'a; touch evil' is no name of a run" in capsys.readouterr().err
    monkeypatch.setattr(repository, 'ROOT', tmp_path)
    (tmp_path / 'a b.py').write_text('GRID = None\n')
    assert engines.main([str(tmp_path / 'a b.py'), *SKYPILOT, '--out', str(tmp_path / 'out')]) == 2
    assert "'a b.py' is no path that every shell takes" in capsys.readouterr().err


def test_what_inspect_refuses_is_passed_on_as_its_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(repository, 'ROOT', tmp_path)
    (tmp_path / 'broken.py').write_text('GRID = missing\n')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    assert engines.main([str(tmp_path / 'broken.py'), *SKYPILOT, '--out', str(tmp_path / 'out')]) == 2
    assert re.fullmatch(r"engines.py: .*broken.py cannot be run \(name 'missing' .*\n", capsys.readouterr().err)


def test_a_shell_passes_every_word_on_whatever_is_in_it(tmp_path):
    """Names that the command would refuse, straight to what writes the files, and on through bash, twice for xpk."""
    hostile = [text for text in HOSTILE if '\n' not in text]
    rows = tuple({**ROWS[0], 'run': text or 'x'} for text in hostile)
    study = dataclasses.replace(STUDY, experiment='a $(touch evil).py', workdir="gs://b/'`touch evil`", runs=rows)
    record = 'printf "%s\\0" "$@" >> "$RECORD"; echo >> "$RECORD"'
    write_program(tmp_path / 'bin', 'xpk', record)
    write_program(tmp_path / 'bin', 't2jax', record)
    write_program(tmp_path / 'home' / 't2jax-3f9a2c7' / 'bin', 't2jax', record)
    env = {'HOME': str(tmp_path / 'home'), 'PATH': f'{tmp_path / "bin"}:{os.environ["PATH"]}'}

    def run(script):
        file = tmp_path / 'record'
        file.unlink(missing_ok=True)
        bash = ['bash', '-c', script]
        subprocess.run(bash, env={**env, 'RECORD': str(file)}, cwd=tmp_path, check=True, capture_output=True)
        return [line.split('\0')[:-1] for line in file.read_text().splitlines()]

    expected = [
        ['train', study.experiment, '--run', row['run'], '--workdir', study.workdir, '--distributed'] for row in rows
    ]
    tasks = [yaml.safe_load(text) for name, text in tasks_of(study).items() if name.endswith('.yaml')]
    assert [run(task['run']) for task in tasks] == [[words] for words in expected]
    workloads = run(script_of(study))
    assert workloads == words_of(script_of(study)) and len(workloads) == len(rows)
    assert [run(f'({flag_of(words, "command")})') for words in workloads] == [[words] for words in expected]
    assert not list(tmp_path.rglob('evil'))


def test_hosts_are_told_of_each_other_only_where_there_are_several():
    for name in SLICES:
        study = dataclasses.replace(STUDY, tpu=machines.find_slice(name))
        task = yaml.safe_load(next(iter(tasks_of(study).values())))
        assert ('--distributed' in task['run']) == (machines.hosts(study.tpu) > 1)
    two = dataclasses.replace(STUDY, tpu=machines.find_slice('v6e:2x2', 2))
    assert all('--distributed' in flag_of(words, 'command') for words in words_of(script_of(two)))
    assert flag_of(words_of(script_of(two))[0], 'num-slices') == '2'


def test_restarts_spot_zone_and_shards_are_as_asked():
    study = dataclasses.replace(STUDY, spot=True, max_restarts=7, shards='gs://bucket/rw')
    task = yaml.safe_load(next(iter(tasks_of(study, zone=None).values())))
    assert task['resources']['infra'] == 'gcp' and task['resources']['use_spot'] is True
    assert task['resources']['job_recovery'] == {'max_restarts_on_errors': 7, 'recover_on_exit_codes': [143]}
    assert '--shards gs://bucket/rw' in task['run']
    words = words_of(script_of(study, image=None, base='python:3.12'))[0]
    assert flag_of(words, 'max-restarts') == '7' and '--spot' in words
    assert flag_of(words, 'command').startswith("pip install --quiet '.[tpu]' && exec t2jax train ")
    assert '--spot' not in words_of(script_of(STUDY))[0]
    assert yaml.safe_load(next(iter(tasks_of(STUDY).values())))['resources']['use_spot'] is False


def test_a_commit_of_digits_stays_text():
    files = skypilot_files(STUDY, 'https://example.com/t2jax.git', '0123456', None, Path('out'))
    assert yaml.safe_load(next(iter(files.values())))['workdir']['ref'] == '0123456'


def test_a_task_installs_by_the_script_of_the_repository():
    task = yaml.safe_load(next(iter(tasks_of(STUDY).values())))
    words = shlex.split(task['setup'])
    assert words == ['bash', 'launch/setup.sh', '$PWD', '$HOME/t2jax-3f9a2c7', 'tpu']
    assert (ROOT / words[1]).is_file()


def test_no_engine_is_a_reason_to_load_jax():
    code = 'import sys, launch.engines; print([m for m in ("jax", "numpy", "flax") if m in sys.modules])'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_skypilot_loads_every_task_of_the_paper_as_it_is_meant(whole, package):
    jobs = answers(package('skypilot', whole / 'skypilot'))
    assert len(jobs) == 106
    for job in jobs:
        task = yaml.safe_load((whole / 'skypilot' / job['file']).read_text())
        assert (job['name'], job['run'], job['setup']) == (task['name'], task['run'], task['setup'])
        assert job['accelerators'] == {'tpu-v5litepod-16': 1} and job['nodes'] == 1
        assert job['accelerator_args'] == {'runtime_version': 'v2-alpha-tpuv5-lite'}
        assert (job['cloud'], job['zone'], job['use_spot']) == ('GCP', None, True)
        assert job['job_recovery']['max_restarts_on_errors'] == 3
        assert job['job_recovery']['recover_on_exit_codes'] == [143]
        assert job['envs'] == {'GIT_URL': 'https://example.com/t2jax.git', 'GIT_COMMIT_HASH': '3f9a2c7'}


def test_skypilot_loads_tasks_for_every_slice_in_a_zone(tmp_path, package):
    folder = tmp_path / 'tasks'
    folder.mkdir()
    for number, name in enumerate(SLICES):
        study = dataclasses.replace(STUDY, tpu=machines.find_slice(name), runs=(ROWS[0],))
        (folder / f'{number:03}.yaml').write_text(next(iter(tasks_of(study).values())))
    jobs = answers(package('skypilot', folder))
    assert [(job['region'], job['zone']) for job in jobs] == [('us-west4', 'us-west4-a')] * len(SLICES)
    assert sorted(name for job in jobs if job['advertised'] for name in job['accelerators']) == sorted(
        [f'tpu-v4-{n}' for n in (8, 16, 32)]
        + [f'tpu-v5litepod-{n}' for n in (1, 4, 8)]
        + [f'tpu-v5p-{n}' for n in (8, 16, 32)]
        + [f'tpu-v6e-{n}' for n in (1, 4, 8)]
    )


@pytest.mark.parametrize(
    ('right', 'wrong'),
    [
        ('use_spot:', 'use_spots:'),
        ('recover_on_exit_codes:', 'recover_on_exit_code:'),
        ('max_restarts_on_errors: 3', 'max_restarts_on_errors: three'),
        ('runtime_version:', 'runtime:'),
        ('infra: gcp/us-west4/us-west4-a', 'infra: gcp/us-west4/us-central2-b'),
        ('infra: gcp/us-west4/us-west4-a', 'infra: gce'),
        ('accelerators: tpu-v5litepod-16', 'accelerators: tpu-v5litepod-16:0'),
        ('accelerators: tpu-v5litepod-16', 'accelerators: v5litepod-16'),
        ('ref: 3f9a2c7', 'commit: 3f9a2c7'),
        ('setup:', 'set_up:'),
        ('name: paper', 'name: paper@'),
    ],
)
def test_skypilot_refuses_a_task_that_is_misspelt(right, wrong, tmp_path, package):
    text = next(iter(tasks_of(STUDY).values()))
    assert text.count(right) == 1
    folder = tmp_path / 'tasks'
    folder.mkdir()
    (folder / 'bad.yaml').write_text(text.replace(right, wrong))
    done = package('skypilot', folder)
    assert done.returncode == 1 and 'bad.yaml: ' in done.stderr, done


def test_xpk_parses_every_line_of_the_paper_as_it_is_meant(whole, tmp_path, package):
    write_program(tmp_path / 'bin', 'xpk', f'{shlex.quote(sys.executable)} -S -c "$PROGRAM" "$@" >> "$RECORD"')
    env = {'PATH': f'{tmp_path / "bin"}:{os.environ["PATH"]}', 'RECORD': str(tmp_path / 'record')}
    env['PROGRAM'] = 'import sys, json; print(json.dumps(sys.argv[1:]))'
    subprocess.run(['bash', str(whole / 'xpk' / 'workloads.sh')], env=env, check=True)
    lines = [json.loads(line) for line in (tmp_path / 'record').read_text().splitlines()]
    (tmp_path / 'lines.json').write_text(json.dumps(lines))
    jobs = answers(package('xpk', tmp_path / 'lines.json', tmp_path / 'manifest.yaml'))
    assert len(jobs) == 106
    for words, job in zip(lines, jobs, strict=True):
        assert [job['workload'], job['command']] == [flag_of(words, name) for name in ('workload', 'command')]
        assert (job['cluster'], job['zone'], job['project']) == ('tpus', 'us-west4-a', 'my-project')
        assert (job['docker_image'], job['priority'], job['spot']) == (IMAGE[1], 'medium', True)
        assert (job['topology'], job['hosts'], job['max_restarts']) == ('4x4', 4, '100')
        assert 143 in job['restart_codes'] and not {0, 1, 2} & set(job['restart_codes'])


def test_xpk_knows_every_slice_by_its_topology_and_hosts(tmp_path, package):
    slices = [(name, count) for name in SLICES if name not in ('v5e:1x1', 'v5e:2x2') for count in (1, 2)]
    lines = []
    for name, count in slices:
        study = dataclasses.replace(STUDY, tpu=machines.find_slice(name, count), runs=(ROWS[0],))
        lines += words_of(script_of(study, image=None, base='python:3.12'))
    (tmp_path / 'lines.json').write_text(json.dumps(lines))
    jobs = answers(package('xpk', tmp_path / 'lines.json', tmp_path / 'manifest.yaml'))
    assert [(job['topology'], job['num_slices']) for job in jobs] == [
        (name.partition(':')[2], count) for name, count in slices
    ]
    for job in jobs:
        assert ('--distributed' in job['command']) == (job['hosts'] > 1), job['tpu_type']


@pytest.mark.parametrize(
    ('right', 'wrong'),
    [
        ('--tpu-type=v5litepod-16', '--tpu-type=v5e-16'),
        ('--workload=paper', '--workload=Paper'),
        ('--workload=paper', f'--workload={"x" * 30}'),
        ('--cluster=', '--clusters='),
        ('--restart-on-exit-codes=', '--restart-on-exit-code-s='),
        ('--num-slices=1', '--num-slices=one'),
        ('--priority=medium', '--priority=middling'),
        ('--command=', '--commands='),
    ],
)
def test_xpk_refuses_a_line_that_is_misspelt(right, wrong, tmp_path, package):
    words = [word.replace(right, wrong) for word in words_of(script_of(STUDY))[0]]
    (tmp_path / 'lines.json').write_text(json.dumps([words]))
    done = package('xpk', tmp_path / 'lines.json', tmp_path / 'manifest.yaml')
    assert done.returncode == 1 and 'line 1: ' in done.stderr, done


def test_what_xpk_starts_hears_a_request_to_stop_and_its_exit_code_counts(tmp_path, package):
    """The container's own script, out of the manifest that xpk writes, with a training that takes the request."""
    (tmp_path / 'lines.json').write_text(json.dumps(words_of(script_of(STUDY))))
    answers(package('xpk', tmp_path / 'lines.json', tmp_path / 'manifest.yaml'))
    job = yaml.safe_load((tmp_path / 'manifest.yaml').read_text())['spec']['replicatedJobs'][0]['template']['spec']
    (rule,) = job['podFailurePolicy']['rules']
    assert rule['action'] == 'FailJob' and rule['onExitCodes']['operator'] == 'NotIn'
    assert 143 in rule['onExitCodes']['values'] and not {1, 2} & set(rule['onExitCodes']['values'])
    pod = job['template']['spec']
    assert pod['terminationGracePeriodSeconds'] == 120
    (container,) = pod['containers']
    assert container['command'][:2] == ['bash', '-c']
    trained = 'trap "echo saved > saved; exit 143" TERM; echo "$@" > started; while :; do /bin/sleep 0.05; done'
    write_program(tmp_path / 'bin', 't2jax', trained)
    write_program(tmp_path / 'bin', 'sleep', 'exec /bin/sleep 0.05')
    env = {'PATH': f'{tmp_path / "bin"}:{os.environ["PATH"]}'}
    quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
    with subprocess.Popen(container['command'], env=env, cwd=tmp_path, start_new_session=True, **quiet) as process:
        try:
            for _ in range(600):
                if (tmp_path / 'started').exists():
                    break
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)  # to this process alone, as Kubernetes does
            assert process.wait(30) == 143
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert (tmp_path / 'saved').exists()
    assert (tmp_path / 'started').read_text().startswith('train experiments/paper.py --run 1M@1e18 ')
