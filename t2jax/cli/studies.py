"""Commands about studies: study, train, evaluate, report; and what others need of them."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STAGES_OF = {
    'study': ('data', 'train', 'evaluate', 'posttrain', 'fit', 'report'),
    'train': ('data', 'train'),
    'evaluate': ('evaluate',),
    'posttrain': ('posttrain',),
}


def run_study(options: argparse.Namespace) -> None:
    """Run the stages behind `study`, `train`, `evaluate` or `posttrain`, or those of --stage."""
    study = load_any(options.experiment, options.overrides)
    workdir = options.workdir or study.workdir
    if ':/' in str(workdir):  # a Path has one slash of gs://
        raise ValueError(f'{workdir} is in a bucket; copy its scores to a folder and give that as --workdir')
    if hasattr(study, 'runs_at_once'):
        prepare_jax(study.runs_at_once)
    else:  # nothing is trained here
        use_compile_cache()
    from t2jax.study import run_stages

    stages = getattr(options, 'stage', None) or STAGES_OF[options.command]
    run_stages(study, Path(workdir), stages, quiet=options.json)
    if 'report' in stages and not options.json:
        print((Path(workdir) / 'report' / 'answer.txt').read_text(encoding='utf-8'))
    elif 'report' in stages:
        print_answer(Path(workdir), as_json=True)
    elif options.json:
        print(json.dumps({'workdir': str(workdir), 'runs': [run.name for run in getattr(study, 'runs', ())]}))


def load_any(experiment: Path, flags: Sequence[str] = ()) -> Any:
    """Load a study from an experiment that defines STUDY or, for its later stages, a GRID."""
    from t2jax.cli.pretraining import kind_of
    from t2jax.config import load_experiment, override

    kind = kind_of(experiment)
    study = override(load_experiment(experiment, kind), flags)
    if not hasattr(study, 'inference_flops'):
        raise ValueError(
            f'{kind} of {experiment} is a {type(study).__name__}; it has to be a StudyConfig, a Ladder or a Grid'
        )
    return study


def run_report(options: argparse.Namespace) -> None:
    """Draw a study's report from its files; of a table, make it a study first and fit the laws."""
    if options.source.is_file():
        workdir = _study_of_table(options)
    else:
        given = [f'--{name}' for name in FOR_TABLES if getattr(options, name.replace('-', '_')) is not None]
        if given:
            raise ValueError(f'{", ".join(given)} is for a table; {options.source} is no file')
        workdir = options.source
    from t2jax.plotting.report import write_report

    path = write_report(workdir)
    print(json.dumps({'report': str(path)}) if options.json else f'report: {path}')


FOR_TABLES = ('inference-flops', 'losses', 'workdir', 'overtrained-from')


def _study_of_table(options: argparse.Namespace) -> Path:
    """Make a table of results the workdir of a study, and fit the laws to it."""
    if options.inference_flops is None:
        raise ValueError(
            f'{options.source} is a table: give --inference-flops, the budget of all samples per served token (2 N k)'
        )
    use_compile_cache()
    from t2jax.ladder import Ladder, Source
    from t2jax.laws.settings import LawSettings
    from t2jax.study import run_stages

    workdir = options.workdir or Path('out') / options.source.name.split('.')[0]
    limit = {} if options.overtrained_from is None else {'overtrained_from': options.overtrained_from}
    losses = () if options.losses is None else (Source(str(options.losses.resolve())),)
    tables = (Source(str(options.source.resolve())),)
    study = Ladder(str(workdir), options.inference_flops, tables, losses, laws=LawSettings(**limit))
    run_stages(study, workdir, ('data', 'fit'), quiet=options.json)
    return workdir


def print_answer(workdir: Path, as_json: bool) -> None:
    """Print a study's allocation, as a table or as JSON."""
    from t2jax.plotting.table import answer_lines

    rows = json.loads((workdir / 'allocation.json').read_text(encoding='utf-8'))
    print(json.dumps(rows) if as_json else answer_lines(rows))


def load_study(workdir: Path) -> Any:
    """Read back the config that a workdir was made with: a StudyConfig, a Ladder or a Grid."""
    from t2jax.config import from_dict, read_json
    from t2jax.ladder import Ladder
    from t2jax.pretraining import Grid
    from t2jax.study_config import StudyConfig

    path = workdir / 'study.json'
    if not path.exists():
        raise FileNotFoundError(f'{workdir} is not the workdir of a study: it has no study.json')
    values = read_json(path, 'give the workdir of a finished study')
    kinds = {'losses': Ladder, 'slice': Grid}
    kind = next((kind for field, kind in kinds.items() if isinstance(values, dict) and field in values), StudyConfig)
    return from_dict(kind, values, str(path))


def prepare_jax(cpu_devices: int) -> None:
    """Set jax up before its first use: so many CPU devices, and a compile cache."""
    from t2jax.mesh import use_cpu_devices

    use_cpu_devices(cpu_devices)
    use_compile_cache()


def use_compile_cache() -> None:
    """Keep what is compiled beyond the life of this process, where JAX_COMPILATION_CACHE_DIR says or else at home."""
    import os

    import jax

    if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
        cache = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 't2jax' / 'compiled'
        jax.config.update('jax_compilation_cache_dir', str(cache))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)
