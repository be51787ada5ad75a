"""Commands about pretraining at scale: train a run of a grid, inspect a grid, compile a run for a slice."""

import argparse
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from t2jax.cli import hosts, studies

GIB = 2**30
TAKES_FLAGS = ('inspect', 'compile')  # as the commands about studies do: flags that override the config
DEFAULT_MFU = 0.4


def describe(add: Callable[..., argparse.ArgumentParser], train: argparse.ArgumentParser) -> None:
    """Add the commands, and to `train` its flags for a grid."""
    group = train.add_argument_group('a grid (an experiment that defines GRID, e.g. experiments/paper.py)')
    group.add_argument(
        '--run', dest='name', metavar='NAME', help='which run, e.g. 901M@2.56e19 (`t2jax inspect` lists them)'
    )
    group.add_argument(
        '--shards', help="folder or gs:// address that `t2jax tokenize` wrote (default: the experiment's)"
    )
    hosts.describe(group)
    group.add_argument('--profile', metavar='FIRST:STEPS', help='trace so many steps from the FIRST on')
    train.set_defaults(run=run_train)

    what = 'list the runs of an experiment: N, D, steps, FLOPs, memory, hours and dollars on a slice; touches no device'
    sub = add('inspect', run_inspect, what)
    sub.add_argument('experiment', type=Path, help='Python file that defines GRID or STUDY')
    sub.add_argument('--slice', help="TPU slice, e.g. v5e:4x4 (default: the grid's)")
    sub.add_argument('--slices', type=int, default=1, help='how many of them (default: 1)')
    what = f'share of the peak that training reaches, for hours and dollars (default: {DEFAULT_MFU})'
    sub.add_argument('--mfu', type=float, default=DEFAULT_MFU, help=what)

    sub = add(
        'compile', run_compile, 'compile a run for a TPU slice on a machine without TPUs: memory, collectives, speed'
    )
    sub.add_argument('experiment', type=Path, help='Python file that defines GRID')
    sub.add_argument('--run', dest='name', metavar='NAME', required=True, help='which run, e.g. 901M@2.56e19')
    sub.add_argument('--topology', help="TPU slice, e.g. v5e:16x16 (default: the grid's)")
    sub.add_argument('--slices', type=int, default=1, help='how many of them (default: 1)')
    sub.add_argument(
        '--step', choices=('train', 'decode', 'both'), default='both', help='what to compile (default: both)'
    )


def kind_of(experiment: Path) -> str:
    """Tell by its text whether an experiment defines a GRID or a STUDY."""
    if not experiment.is_file():
        raise FileNotFoundError(f'no experiment file {experiment}; give the path of a Python file')
    text = experiment.read_text(encoding='utf-8', errors='replace')
    return 'GRID' if re.search(r'^GRID\b', text, re.MULTILINE) else 'STUDY'


def run_train(options: argparse.Namespace) -> None:
    """Train the runs of a study, or one run of a grid."""
    if kind_of(options.experiment) == 'STUDY':
        of_a_grid = ('name', 'shards', 'profile')
        if hosts.are_several(options) or any(getattr(options, flag) is not None for flag in of_a_grid):
            raise ValueError(
                f'{options.experiment} defines a STUDY, all of whose runs train on this host; drop the flags for a grid'
            )
        options.workdir = Path(options.workdir) if options.workdir else None
        studies.run_study(options)
        return
    from t2jax.config import load_experiment

    grid = load_experiment(options.experiment, 'GRID')
    if options.shards:
        grid = dataclasses.replace(grid, tokens=options.shards)
    if not options.name:
        raise ValueError(
            f'{options.experiment} has {len(grid.runs)} runs, of which this command trains one; name it with --run, '
            f'e.g. --run {grid.runs[0].name}, `t2jax inspect {options.experiment}` lists them'
        )
    run = grid.config(grid.cell(options.name), options.overrides)  # refuses bad flags before anything is started
    profile = _window(options.profile)
    workdir = str(options.workdir or grid.workdir)
    with hosts.joined(options):
        from t2jax.pretraining import train_run
        from t2jax.training.metrics import Watch

        studies.use_compile_cache()
        train_run(grid, run, workdir, Watch(profile=profile), quiet=options.json)
    if options.json:
        print(json.dumps({'run': run.name, 'workdir': workdir}))


def run_inspect(options: argparse.Namespace) -> None:
    """Tabulate the runs of an experiment."""
    from t2jax.config import load_experiment
    from t2jax.inspection import summarize, totals
    from t2jax.slices import parse_slice

    kind = kind_of(options.experiment)
    value = load_experiment(options.experiment, kind)
    if not 0 < options.mfu <= 1:
        raise ValueError(f'mfu is {options.mfu:g}; it is a share of the peak, above 0 and at most 1')
    tpu = parse_slice(options.slice or getattr(value, 'slice', 'v5e:1x1'), options.slices)
    rows = summarize(value, options.overrides, tpu, options.mfu)
    if options.json:
        print(json.dumps({'slice': str(tpu), 'mfu': options.mfu, 'runs': rows, 'totals': totals(rows)}))
        return
    print(_inspection(rows, totals(rows), tpu, options.mfu))


def run_compile(options: argparse.Namespace) -> None:
    """Compile a run's steps for a slice and print what they need."""
    import os

    os.environ.setdefault('JAX_PLATFORMS', 'cpu')  # before jax is imported: this machine's accelerator stays free
    from t2jax.config import load_experiment
    from t2jax.slices import parse_slice

    if kind_of(options.experiment) != 'GRID':
        raise ValueError(
            f'{options.experiment} defines no GRID; give an experiment that does, e.g. experiments/paper.py'
        )
    grid = load_experiment(options.experiment, 'GRID')
    run = grid.config(grid.cell(options.name), options.overrides)
    tpu = parse_slice(options.topology or grid.slice, options.slices)
    from t2jax.preflight import compile_decode, compile_train

    reports = []
    if options.step != 'decode':
        reports.append(compile_train(run, tpu))
    if options.step != 'train':
        reports.append(compile_decode(run.name, run.model, tpu))
    if options.json:
        print(json.dumps([dataclasses.asdict(report) for report in reports]))
        return
    print('\n\n'.join(map(report_lines, reports)))


def report_lines(report: Any) -> str:
    """Describe what one compiled step needs, in lines."""
    mesh = ' x '.join(f'{axis} {size}' for axis, size in report.mesh.items())
    layout = report.layout
    memory = f'{report.memory / GIB:.2f} of {report.memory_of_chip / GIB:.0f} GiB a chip'
    if report.memory_estimated:
        memory += f' (estimated before: {report.memory_estimated / GIB:.2f})'
    lines = [
        f'{report.what} on {report.slice}, compiled in {report.compile_seconds:.0f} s',
        f'  layout       {mesh}, {layout["microbatches"]} microbatches, remat {layout["remat"]}',
        f'  memory       {memory}',
    ]
    for kind, traffic in report.collectives.items():
        lines.append(f'  {kind:20} {traffic["count"]:7,} a step, {traffic["bytes"] / 1e6:10,.1f} MB sent by a chip')
    if not report.collectives:
        lines.append('  collectives  none')
    seconds = report.seconds
    lines += [
        f'  roofline     compute {seconds["compute"] * 1e3:.1f} ms, memory {seconds["memory"] * 1e3:.1f} ms, '
        f'links {seconds["links"] * 1e3:.1f} ms',
        f'  step         {seconds["overlapped"] * 1e3:.1f} ms if all overlap, '
        f'{seconds["serial"] * 1e3:.1f} ms if nothing does',
    ]
    if report.mfu:
        lines.append(f'  MFU          {report.mfu[1]:.0%} to {report.mfu[0]:.0%}, before what no roofline knows')
    low, high = report.tokens_per_second
    lines.append(f'  speed        {high:,.0f} to {low:,.0f} tokens/s')
    return '\n'.join(lines)


def _inspection(rows: list[dict[str, Any]], total: dict[str, float], tpu: Any, mfu: float) -> str:
    head = ('run', 'N', 'D', 'D/N', 'steps', 'warmup', '6ND', 'exact', 'GiB a chip', 'hours', 'dollars')
    table = [head]
    for row in rows:
        table.append(
            (
                row['run'] + (' *' if row['overtrained'] else ''),
                f'{row["params"]:,}',
                f'{row["tokens"]:.4g}',
                f'{row["tokens_per_param"]:.3g}',
                f'{row["steps"]:,}',
                f'{row["warmup_steps"]:,.0f}',
                f'{row["train_flops"]:.3g}',
                f'{row["exact_flops"]:.3g}',
                f'{row["memory_bytes"] / GIB:.2f}',
                f'{row["hours"]:.3g}',
                f'{row["dollars"]:,.2f}',
            )
        )
    sums = (f'{total["train_flops"]:.3g}', f'{total["exact_flops"]:.3g}', '', f'{total["hours"]:,.1f}')
    table.append((f'{len(rows)} runs', '', f'{total["tokens"]:.4g}', '', '', '', *sums, f'{total["dollars"]:,.0f}'))
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = ['  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table]
    chip = tpu.chip
    lines += [
        '',
        'N counts blocks and head, not the input embedding; D is of whole steps. 6ND as the paper counts, exact with '
        'attention, as executed.' + (' * overtrained.' if any(row['overtrained'] for row in rows) else ''),
        f'On {tpu}: {tpu.chips} chips of {chip.memory / GIB:.0f} GiB, {chip.flops / 1e12:.0f} TFLOP/s and '
        f'${chip.dollars_per_hour}/h; hours and dollars at {mfu:.0%} of the peak (--mfu); memory as estimated, '
        '`t2jax compile` asks XLA.',
    ]
    return '\n'.join(lines)


def _window(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r'(\d+):([1-9]\d*)', text)
    if not match:
        raise ValueError(f'profile is {text!r}; write it as FIRST:STEPS, e.g. 100:5')
    return int(match[1]), int(match[2])
