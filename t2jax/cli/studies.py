"""Commands about studies: study, train, evaluate, report; and what others need of them."""

import argparse
import json
from pathlib import Path
from typing import Any

STAGES_OF = {
    'study': ('data', 'train', 'evaluate', 'posttrain', 'fit', 'report'),
    'train': ('data', 'train'),
    'evaluate': ('evaluate',),
    'posttrain': ('posttrain',),
}


def run_study(options: argparse.Namespace) -> None:
    """Run the stages behind `study`, `train` or `evaluate`."""
    from t2jax.config import load_experiment, override

    study = override(load_experiment(options.experiment), options.overrides)
    if not hasattr(study, 'runs'):
        raise ValueError(f'STUDY of {options.experiment} is a {type(study).__name__}; it has to be a StudyConfig')
    workdir = options.workdir or Path(study.workdir)
    prepare_jax(study.runs_at_once)
    from t2jax.study import run_stages

    run_stages(study, workdir, STAGES_OF[options.command], quiet=options.json)
    if options.command == 'study' and not options.json:
        print((workdir / 'report' / 'answer.txt').read_text(encoding='utf-8'))
    elif options.command == 'study':
        print_answer(workdir, as_json=True)
    elif options.json:
        print(json.dumps({'workdir': str(workdir), 'runs': [run.name for run in study.runs]}))


def run_report(options: argparse.Namespace) -> None:
    """Draw a study's report from its files."""
    from t2jax.plotting.report import write_report

    path = write_report(options.workdir)
    print(json.dumps({'report': str(path)}) if options.json else f'report: {path}')


def print_answer(workdir: Path, as_json: bool) -> None:
    """Print a study's allocation, as a table or as JSON."""
    from t2jax.plotting.table import answer_lines

    rows = json.loads((workdir / 'allocation.json').read_text(encoding='utf-8'))
    print(json.dumps(rows) if as_json else answer_lines(rows))


def load_study(workdir: Path) -> Any:
    """Read back the config that a workdir was made with."""
    from t2jax.config import from_dict, read_json
    from t2jax.study_config import StudyConfig

    path = workdir / 'study.json'
    if not path.exists():
        raise FileNotFoundError(f'{workdir} is not the workdir of a study: it has no study.json')
    return from_dict(StudyConfig, read_json(path, 'give the workdir of a finished study'), str(path))


def prepare_jax(cpu_devices: int) -> None:
    """Set jax up before its first use: so many CPU devices, and a compile cache."""
    from t2jax.mesh import use_cpu_devices

    use_cpu_devices(cpu_devices)
    use_compile_cache()


def use_compile_cache() -> None:
    """Keep what is compiled beyond the life of this process."""
    import os

    import jax

    cache = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 't2jax' / 'compiled'
    jax.config.update('jax_compilation_cache_dir', str(cache))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)
