"""The command line: parse, call one function, turn a bad input into one sentence and exit code 2.

Heavy imports happen inside the command that needs them, so that `t2jax --help` and `t2jax plan` answer at once.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STAGES_OF = {
    'study': ('data', 'train', 'evaluate', 'fit', 'report'),
    'train': ('data', 'train'),
    'evaluate': ('evaluate',),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    parser = make_parser()
    options, rest = parser.parse_known_args(argv)
    if rest and options.command not in STAGES_OF:
        parser.error(f'unrecognized arguments: {" ".join(rest)}')
    options.overrides = rest
    try:
        options.run(options)
    except KeyboardInterrupt:
        print('\nstopped; the same command goes on from here', file=sys.stderr)
        return 130
    except (ValueError, OSError, FloatingPointError) as error:
        print(f't2jax {options.command}: {error}', file=sys.stderr)
        return 2
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Describe all commands."""
    parser = argparse.ArgumentParser(prog='t2jax', description='How big, how long, how many samples: T2 scaling laws.')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')

    def command(name: str, run: Any, what: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=what, description=what)
        sub.set_defaults(run=run)
        sub.add_argument('--json', action='store_true', help='print the result as JSON')
        return sub

    for name, what in (
        ('study', 'run a whole study: data, train, evaluate, fit, report'),
        ('train', 'make the data and train the runs of a study'),
        ('evaluate', 'measure the trained runs of a study'),
    ):
        sub = command(name, run_study, f'{what}. Other flags override its config, e.g. --seed 1 --recipe.z-loss 0')
        sub.add_argument('experiment', type=Path, help='Python file that defines STUDY, e.g. experiments/mini.py')
        sub.add_argument('--workdir', type=Path, help="where everything goes (default: the experiment's)")
    sub = command('fit', run_fit, 'fit the laws of a study, or one law to a table (CSV)')
    sub.add_argument('source', type=Path, help='workdir of a study, or CSV with params, tokens, k, nll or pass_at_k')
    sub.add_argument('--law', help='for a table: chinchilla, t2-nll (default) or t2-accuracy')
    sub.add_argument('--objective', help='for a table: sse (default) or log-huber')
    sub.add_argument('--task', help='for a table: one of its tasks (default: the mean over tasks)')
    sub.add_argument('--out', type=Path, help='for a table: where to write the fit (default: print it only)')
    sub = command('plan', run_plan, 'choose params, tokens and samples for a budget')
    sub.add_argument('source', type=Path, help='fit file, or workdir of a study')
    sub.add_argument('--train-flops', type=float, required=True, help='training budget, 6 N D')
    sub.add_argument('--inference-flops', type=float, required=True, help='test-time budget per served token, 2 N k')
    sub = command('report', run_report, 'draw the report of a study again')
    sub.add_argument('workdir', type=Path)
    return parser


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


def run_fit(options: argparse.Namespace) -> None:
    """Fit a study's laws, or one law to a table."""
    prepare_jax(1)
    if options.source.is_dir():
        given = [f'--{name}' for name in ('law', 'objective', 'task', 'out') if getattr(options, name) is not None]
        if given:
            raise ValueError(
                f'{", ".join(given)} is for a table; a study fits all laws to all tasks as its config says'
            )
        from t2jax.study import fit_laws

        fit_laws(load_study(options.source), options.source, options.json)
        print_answer(options.source, options.json)
        return
    from t2jax.laws.fit import fit_law
    from t2jax.laws.forms import LAWS
    from t2jax.laws.observations import macro_average, read_observations, where
    from t2jax.laws.record import fit_to_dict, save_fit

    name = options.law or 't2-nll'
    if name not in LAWS:
        raise ValueError(f'no law {name!r}; there are {", ".join(LAWS)}')
    table = read_observations(options.source)
    tasks = list(dict.fromkeys(table.task.tolist()))
    if options.task and options.task not in tasks:
        raise ValueError(f'{options.source} has no task {options.task!r}; it has {", ".join(tasks)}')
    if options.task or len(tasks) == 1:
        table = where(table, table.task == (options.task or tasks[0]))
    else:
        table = macro_average(table)
    fit = fit_law(LAWS[name], table, objective=options.objective or 'sse')
    if options.out:
        save_fit(options.out, fit)
    if options.json:
        print(json.dumps(fit_to_dict(fit)))
    else:
        print(f'{fit.law}, {fit.objective} {fit.objective_value:.6g} over {fit.n_points} points of {fit.n_runs} runs')
        print('\n'.join(f'  {name:8} {value:.6g}' for name, value in fit.parameters.items()))
        print('\n'.join(f'  note: {warning}' for warning in fit.warnings), end='\n' if fit.warnings else '')


def run_plan(options: argparse.Namespace) -> None:
    """Allocate one pair of budgets."""
    from t2jax.laws.plan import plan
    from t2jax.laws.record import load_fit
    from t2jax.plotting.plan import plan_lines

    folder = options.source / 'fits'
    paths = sorted(folder.glob('*.json')) if options.source.is_dir() else [options.source]
    if not paths:
        raise FileNotFoundError(f'no fits in {folder}; run `t2jax study` or `t2jax fit` first')
    result = plan([load_fit(path) for path in paths], options.train_flops, options.inference_flops)
    print(json.dumps(result) if options.json else plan_lines(result))


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
    from t2jax.study import StudyConfig

    path = workdir / 'study.json'
    if not path.exists():
        raise FileNotFoundError(f'{workdir} is not the workdir of a study: it has no study.json')
    return from_dict(StudyConfig, read_json(path, 'give the workdir of a finished study'), str(path))


def prepare_jax(cpu_devices: int) -> None:
    """Set jax up before its first use: so many CPU devices, and a compile cache that outlives the process."""
    import os

    import jax

    from t2jax.mesh import use_cpu_devices

    use_cpu_devices(cpu_devices)
    cache = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 't2jax' / 'compiled'
    jax.config.update('jax_compilation_cache_dir', str(cache))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)
