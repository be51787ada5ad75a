"""The command that brings results from elsewhere: collect."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from t2jax.interop.collect import Source


def describe(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    sub = add('collect', run_collect, 'turn results by question from anywhere into a table for fit and compare')
    what = (
        "of one run, files or folders: lm-eval's --log_samples; CSV, Parquet or JSON lines of likelihoods, counts, or "
        'right and wrong samples; what `t2jax sample` and `t2jax score` wrote'
    )
    sub.add_argument('sources', nargs='*', type=Path, metavar='SOURCE', help=what)
    what = 'or of many runs: a table of path (from its folder on), params, tokens and, if you like, run and task'
    sub.add_argument('--runs', type=Path, metavar='FILE', help=what)
    what = 'N, the blocks and the output head without the input embedding; unless the source says'
    sub.add_argument('--params', type=float, help=what)
    sub.add_argument('--tokens', type=float, help='D, tokens trained on; unless the source says')
    sub.add_argument('--run', help="its name (default: the source's, or made of N and D)", dest='run_name')
    sub.add_argument('--task', help="its name (default: the source's, or that of the file)")
    what = 'field that says which samples are right (default: exact_match, acc or pass@1 of lm-eval; correct, passed)'
    sub.add_argument('--metric', help=what)
    sub.add_argument('--filter', help="of lm-eval's filters, the one to read (default: the first)")
    sub.add_argument('--out', type=Path, required=True, metavar='FILE', help='table to write: .csv or .parquet')


def run_collect(options: argparse.Namespace) -> None:
    """Collect results and write the table."""
    if options.out.suffix not in ('.csv', '.parquet'):
        raise ValueError(f'{options.out} is named as no table; give --out a file .csv or .parquet')
    from t2jax.interop.collect import collect, summarize, write_questions

    questions = collect(_sources(options), options.metric, options.filter)
    write_questions(options.out, questions)
    groups = summarize(questions)
    if options.json:
        print(json.dumps({'out': str(options.out), 'rows': len(questions), 'groups': groups}))
        return
    for group in groups:
        means = [f'mean {said} {group[name]:.4g}' for name, said in MEANS if name in group]
        print(f'{group["run"]}, {group["task"]}: {group["questions"]:,} questions, {", ".join(means)}')
    print(f'{len(questions):,} rows: {options.out}')


MEANS = (('nll', 'nll'), ('pass_at_1', 'pass@1'))


def _sources(options: argparse.Namespace) -> 'list[Source]':
    from t2jax.interop.collect import Source, read_sources

    if bool(options.sources) == bool(options.runs):
        raise ValueError('give files or folders of one run, or --runs FILE: one of the two')
    about = {'params': options.params, 'tokens': options.tokens, 'run': options.run_name, 'task': options.task}
    given = [name for name, value in about.items() if value is not None]
    if options.runs:
        if given:
            raise ValueError(f'--{given[0]} is for one run; with --runs give a column {given[0]} of that file')
        return read_sources(options.runs)
    for name in ('params', 'tokens'):
        if about[name] is not None and not 0 < about[name] < float('inf'):
            raise ValueError(f'--{name} is {about[name]}; it has to be a number above 0')
    return [Source(path, **about) for path in options.sources]
