"""Commands about laws fitted to tables: fit and compare."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from t2jax.cli.studies import load_study, print_answer, use_compile_cache

if TYPE_CHECKING:
    from t2jax.laws.observations import Observations
    from t2jax.laws.questions import Questions

REPLICATES = 400


def run_fit(options: argparse.Namespace) -> None:
    """Fit a study's laws, or one law to a table, with intervals."""
    use_compile_cache()
    if options.source.is_dir():
        _fit_study(options)
        return
    from t2jax.laws.bootstrap import RESAMPLED, bootstrap
    from t2jax.laws.fit import fit_law, measured
    from t2jax.laws.forms import LAWS
    from t2jax.laws.observations import where
    from t2jax.laws.record import save_fit
    from t2jax.plotting.fit import fit_lines, intervals
    from t2jax.plotting.laws import fit_figure, write_figure

    name = options.law or 't2-nll'
    if name not in LAWS:
        raise ValueError(f'no law {name!r}; there are {", ".join(LAWS)}')
    law, seed, resample = LAWS[name], options.seed or 0, options.resample or 'runs'
    n = REPLICATES if options.bootstrap is None else options.bootstrap
    if n < 0:
        raise ValueError(f'--bootstrap is {n}; give a number of refits, or 0 for no intervals')
    check_outputs(options)
    if resample not in RESAMPLED:
        raise ValueError(f'--resample is {resample!r}; choose {", ".join(RESAMPLED)}')
    table, redraw = read_source(options)
    has = measured(law, table)
    rows = where(table, has)
    settings = {'starts': _starts(options), 'seed': seed, 'route': options.route or 'projected'}
    objective = options.objective or 'sse'
    fit = fit_law(law, rows, objective=objective, **settings)
    if n:
        redrawn = None if resample == 'runs' else (where(drawn, has) for drawn in redraw(n, seed))
        fit = bootstrap(fit, rows, n=n, seed=seed, resample=resample, redrawn=redrawn, quiet=options.json)
    others = [o for o in ('sse', 'log-huber') if o != objective] if options.objectives else []
    compared = [fit, *(fit_law(law, rows, objective=other, **settings) for other in others)]
    if options.out:
        save_fit(options.out, fit)
    if options.plot:
        write_figure(options.plot, fit_figure(fit, rows)[0])
    if options.json:
        print(json.dumps([intervals(one) for one in compared] if options.objectives else intervals(fit)))
    else:
        print(fit_lines(compared, n_left_out=int((~has).sum())))


def _fit_study(options: argparse.Namespace) -> None:
    from t2jax.fitting import fit_laws

    for_tables = ('law', 'objective', 'task', 'k', 'estimator', 'starts', 'seed', 'route', 'bootstrap', 'resample')
    given = [f'--{name}' for name in (*for_tables, 'out', 'plot') if getattr(options, name) is not None]
    given += ['--objectives'] if options.objectives else []
    if given:
        raise ValueError(f'{", ".join(given)} is for a table; a study fits all laws to all tasks as its config says')
    fit_laws(load_study(options.source), options.source, options.json)
    print_answer(options.source, options.json)


def run_compare(options: argparse.Namespace) -> None:
    """Fit every law to the near-Chinchilla runs and score it on the overtrained ones."""
    use_compile_cache()
    from tqdm import tqdm

    from t2jax.laws.compare import compare
    from t2jax.laws.forms import LAWS
    from t2jax.laws.scores import split
    from t2jax.plotting.fit import comparison_lines, comparison_rows
    from t2jax.plotting.laws import compare_figure, write_figure

    check_outputs(options)
    if options.source.is_dir():
        options.source = options.source / 'observations.csv'
    table, _ = read_source(options)
    limit = options.overtrained_from
    near, over = split(table, limit)
    with tqdm(total=len(LAWS), unit='law', desc='fit', disable=options.json) as bar:
        found = compare(
            table,
            limit,
            objective=options.objective or 'sse',
            starts=_starts(options),
            seed=options.seed or 0,
            advance=lambda: bar.update(1),
        )
    if not any(one.fit for one in found):
        raise ValueError(f'no law could be fitted: {"; ".join(one.refused for one in found)}')
    print(json.dumps(comparison_rows(found)) if options.json else comparison_lines(found, limit))
    if options.plot:
        write_figure(options.plot, compare_figure(found, near, over)[0])


def check_outputs(options: argparse.Namespace) -> None:
    """Refuse, before the work, a place where nothing can be written."""
    from t2jax.plotting.laws import figure_kind

    if options.plot:
        figure_kind(options.plot)
    for name in ('out', 'plot'):
        path = getattr(options, name, None)
        if path is not None and path.is_dir():
            raise ValueError(f'--{name} {path} is a folder; name a file')


def read_source(options: argparse.Namespace) -> tuple['Observations', Callable[[int, int], Iterable['Observations']]]:
    """Read a table of either schema, keep one task or average all; also how to redraw its questions, (n, seed)."""
    import numpy as np

    from t2jax.laws.questions import Questions, derive, read_any, resampled, without_success

    table = read_any(options.source)
    if not isinstance(table, Questions):
        given = [f'--{name}' for name in ('k', 'estimator') if getattr(options, name) is not None]
        if given:
            raise ValueError(f'{", ".join(given)} is for a table with one row per question; {options.source} has k')

        def refuse(n: int, seed: int) -> Iterable['Observations']:
            raise ValueError(f'{options.source} has no questions to redraw; use --resample runs')

        return _one_task(table, options), refuse
    ks = _ks(options.k, table)
    if options.estimator != 'likelihood' and np.isnan(table.nll).any():
        failed = [run for run, task in without_success(table) if options.task in (None, task)]
        if failed:
            said = 'runs have no right sample on a task: no law of the NLL sees them there'
            print(f'{len(set(failed))} {said} ({", ".join(failed[:3])}, ...)', file=sys.stderr)

    def redraw(n: int, seed: int) -> Iterable['Observations']:
        return (_one_task(drawn, options) for drawn in resampled(table, ks, n, seed, options.estimator))

    return _one_task(derive(table, ks, options.estimator), options), redraw


def _ks(given: str | None, questions: 'Questions') -> Sequence[float]:
    """Parse --k; unless given, as far as the samples go."""
    from t2jax.laws.questions import default_ks

    if given is None:
        return default_ks(questions)
    try:
        return [float(k) for k in given.split(',')]
    except ValueError:
        raise ValueError(f'--k is {given!r}; list numbers, e.g. 1,4,16') from None


def _one_task(table: 'Observations', options: argparse.Namespace) -> 'Observations':
    from t2jax.laws.observations import macro_average, where

    tasks = list(dict.fromkeys(table.task.tolist()))
    if options.task and options.task not in tasks:
        raise ValueError(f'{options.source} has no task {options.task!r}; it has {", ".join(tasks)}')
    if options.task or len(tasks) == 1:
        return where(table, table.task == (options.task or tasks[0]))
    return macro_average(table)


def _starts(options: argparse.Namespace) -> int:
    return 500 if options.starts is None else options.starts
