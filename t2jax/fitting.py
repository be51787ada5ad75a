"""The stage fit, of any study: tables -> fits/<law>.json, allocation.json, and fits.json, which says that it is done.

What a law needs and the tables lack is said, in fits.json and on the terminal, and the other laws are fitted.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from t2jax.config import write_json
from t2jax.laws.bootstrap import bootstrap
from t2jax.laws.checkpoints import allocation_rows
from t2jax.laws.fit import fit_law, measured
from t2jax.laws.forms import PAPER_LAWS, Law
from t2jax.laws.observations import Observations, where
from t2jax.laws.record import Fit, fit_to_dict, save_fit
from t2jax.laws.scores import score, split
from t2jax.laws.settings import LawSettings
from t2jax.laws.workdir import Tables, made_from, read_tables


class Study(Protocol):
    """What a fit needs of a study's config: seed, settings, and C_inf of the allocation, FLOPs per served token."""

    @property
    def seed(self) -> int: ...

    @property
    def laws(self) -> LawSettings: ...

    @property
    def inference_flops(self) -> float: ...


def fit_laws(study: Study, workdir: Path, quiet: bool) -> None:
    """Fit every law to the mean over tasks and to each task, test it on held-out runs, and allocate every budget.

    Raises FileNotFoundError where nothing is measured yet, ValueError where no law can be fitted.
    """
    wanted = made_from(workdir, dataclasses.asdict(study.laws), study.inference_flops, study.seed)
    if _is_done(workdir, wanted):
        return
    tables = read_tables(workdir)
    (workdir / 'fits.json').unlink(missing_ok=True)  # a kill from here on leaves fits of two kinds
    main_fits: dict[str, Fit] = {}
    refused: dict[str, str] = {}
    with tqdm(total=len(PAPER_LAWS), unit='law', desc='fit', disable=quiet) as bar:
        for law in PAPER_LAWS:
            try:
                main_fits[law.name], extra = _fit_everywhere(law, tables, study)
            except ValueError as error:
                refused[law.name] = str(error)
                (workdir / 'fits' / f'{law.name}.json').unlink(missing_ok=True)  # of an earlier table
            else:
                save_fit(workdir / 'fits' / f'{law.name}.json', main_fits[law.name], extra)
            bar.update(1)
    for law_name, reason in refused.items():
        print(f'{law_name} is not fitted: {reason}', file=sys.stderr)
    allocation, record = workdir / 'allocation.json', {'made_from': wanted, 'refused': refused}
    if not main_fits:
        allocation.unlink(missing_ok=True)
        write_json(workdir / 'fits.json', record)
        raise ValueError(f'no law can be fitted to {workdir}: {next(iter(refused.values()))}')
    macro = where(tables.macro, np.isfinite(tables.macro.nll) | np.isfinite(tables.macro.pass_at_k))
    write_json(allocation, allocation_rows(main_fits, macro, tables.losses, study.inference_flops))
    write_json(workdir / 'fits.json', record)


def _fit_everywhere(law: Law, tables: Tables, study: Study) -> tuple[Fit, dict[str, Any]]:
    """Fit a law to what it is about, Chinchilla's the loss, T2's the mean over tasks, and to each task."""
    main = tables.losses if law.single_pass else tables.macro
    if not len(main):
        lacks = 'there is no observations.csv' if not len(tables.macro) else 'observations.csv has none at k = 1'
        raise ValueError(f'it needs {law.target} of answers, and {lacks}')
    by_task = {str(main.task[0]): main}
    if law.single_pass and len(tables.macro):
        by_task.setdefault('macro', tables.macro)
    for task in dict.fromkeys(tables.observations.task.tolist()):
        by_task.setdefault(task, where(tables.observations, tables.observations.task == task))
    fits: dict[str, Fit] = {}
    held_out: dict[str, Any] = {}
    for task, rows in by_task.items():
        rows = where(rows, measured(law, rows))
        try:
            fits[task] = _fit(law, rows, study)
            held_out |= _held_out(law, task, rows, study)
        except ValueError:
            if rows.task[0] == main.task[0]:
                raise  # a task too hard for most runs is left out
    name = str(main.task[0])
    best = fits.pop(name)
    if study.laws.refits and best.n_runs > 1:
        best = bootstrap(best, where(main, measured(law, main)), n=study.laws.refits, seed=study.seed)
    return best, {'by_task': {task: fit_to_dict(fit) for task, fit in fits.items()}, 'held_out': held_out}


def _fit(law: Law, rows: Observations, study: Study) -> Fit:
    return fit_law(law, rows, objective=study.laws.objective, starts=study.laws.starts, seed=study.seed)


def _held_out(law: Law, task: str, rows: Observations, study: Study) -> dict[str, Any]:
    """Test a law on the overtrained runs; nothing where all runs, or none, are overtrained, or too few are left."""
    overtrained = rows.tokens / rows.params > study.laws.overtrained_from
    if overtrained.all() or not overtrained.any():
        return {}
    near, over = split(rows, study.laws.overtrained_from)
    try:
        # weighed 0 instead of left out: of one shape with the fit to all rows, and so of one executable
        fit = _fit(law, dataclasses.replace(rows, weight=rows.weight * ~overtrained), study)
        return {task: {'fit': fit_to_dict(fit), 'scores': dataclasses.asdict(score(fit, near, over))}}
    except ValueError:
        return {}


def _is_done(workdir: Path, wanted: Mapping[str, Any]) -> bool:
    """Tell whether every law was fitted, or refused, to just these tables with these settings."""
    try:
        done = json.loads((workdir / 'fits.json').read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return False
    fitted = [workdir / 'fits' / f'{law.name}.json' for law in PAPER_LAWS if law.name not in done.get('refused', ())]
    return done.get('made_from') == wanted and all(path.exists() for path in (workdir / 'allocation.json', *fitted))
