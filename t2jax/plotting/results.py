"""Everything a study left on disk that a figure or a table needs, read once and checked.

Needed are study.json and one of observations.csv and losses.csv. Fits and allocation may be missing, as may any law: a
figure then says what it lacks. provenance.json and what questions.py and posttraining_results.py read are extras.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from t2jax.config import read_json
from t2jax.laws.observations import Observations, has_profiles, profile_budgets, value_at_k
from t2jax.laws.record import Fit, fit_from_dict
from t2jax.laws.workdir import Tables, made_from, missing_runs, read_tables
from t2jax.plotting.labels import APPROACH_1, APPROACH_2, LAW_NAMES
from t2jax.plotting.posttraining_results import PostTraining, read_posttraining
from t2jax.plotting.questions import Asked, read_asked


class NotDrawn(ValueError):
    """Says in one sentence why a figure or a table cannot be made of a study."""


@dataclass(frozen=True)
class HeldOut:
    """A law fitted without the overtrained runs of one task, and how far off it is on them."""

    fit: Fit
    scores: Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """What a study found.

    `fits` are by law (Chinchilla's to the losses, the others to the mean over tasks), of those laws that there are;
    `by_task[law][task]` all of a law's fits; `refused` why a law has none; `held_out[law][task]` the extrapolation test
    (empty where a study has no overtrained run); `rows` the allocation by training budget, empty before any fit;
    `missing` the runs of the study that nobody measured; `stale` tells that the fits are of earlier tables or of other
    settings; `posttraining` is None where nothing was fine-tuned.
    """

    tables: Tables
    fits: Mapping[str, Fit]
    by_task: Mapping[str, Mapping[str, Fit]]
    refused: Mapping[str, str]
    held_out: Mapping[str, Mapping[str, HeldOut]]
    rows: list[dict]
    missing: list[str]
    stale: bool
    study: Mapping[str, Any]
    provenance: Mapping[str, Any]
    asked: Asked
    posttraining: PostTraining | None

    @property
    def observations(self) -> Observations:
        """Rows by run, task and k; empty where the study has losses alone."""
        return self.tables.observations

    @property
    def macro(self) -> Observations:
        """`observations` averaged over tasks."""
        return self.tables.macro

    @property
    def losses(self) -> Observations:
        """Losses at k = 1: on held-out text or, where there are none, the mean over tasks."""
        return self.tables.losses

    @property
    def inference_flops(self) -> float:
        """Test-time budget of the allocation, FLOPs per served token."""
        return float(self.rows[0]['inference_flops'] if self.rows else self.study['inference_flops'])

    @property
    def tasks(self) -> list[str]:
        """Task names in the order of the observations."""
        return list(dict.fromkeys(self.observations.task.tolist()))

    @property
    def approaches(self) -> list[str]:
        """Those of T2's two laws that there are."""
        return [law for law in (APPROACH_1, APPROACH_2) if law in self.fits]

    @cached_property
    def has_profiles(self) -> bool:
        """Tell whether the runs are a design by training budgets; else their budgets are all different."""
        return has_profiles(self.tables.runs.params, self.tables.runs.train_flops)

    @cached_property
    def budgets(self) -> list[float]:
        """Training budgets to draw: those of the allocation or, before any fit, those of the runs."""
        return pluck(self.rows, 'train_flops') or profile_budgets(self.tables.runs.params, self.tables.runs.train_flops)

    @cached_property
    def runs(self) -> list[dict]:
        """Name, size, tokens, D/N, own training FLOPs and budget (the nearest drawn) of every run, in their order."""
        budgets, rows, runs = np.log(self.budgets), self.tables.runs, []
        for at, name in enumerate(rows.run.tolist()):
            own, params, tokens = (float(column[at]) for column in (rows.train_flops, rows.params, rows.tokens))
            nearest = self.budgets[int(np.argmin(np.abs(budgets - np.log(own))))]
            run = {'run': name, 'train_flops': nearest, 'own_train_flops': own, 'params': params}
            runs.append(run | {'tokens': tokens, 'tokens_per_param': tokens / params})
        return sorted(runs, key=lambda run: (run['train_flops'], run['params'], run['tokens']))

    def need(self, *laws: str) -> None:
        """Raise NotDrawn where a law is not fitted."""
        for law in laws:
            if law not in self.fits:
                reason = self.refused.get(law, 'the laws are not fitted yet: `t2jax fit WORKDIR` does it')
                raise NotDrawn(f'{LAW_NAMES[law]} is not fitted: {reason}')

    def is_held_out(self, tokens_per_param: np.ndarray) -> np.ndarray:
        """Tell which runs the extrapolation test kept from the laws: those beyond the D/N its fits saw."""
        seen = [
            held[task].fit.tokens_per_param_range[1]
            for law, held in self.held_out.items()
            for task in held
            if law in self.fits and task == self.fits[law].task
        ]
        return np.asarray(tokens_per_param) > (max(seen) if seen else np.inf) * (1 + 1e-9)


def read_results(workdir: Path) -> Results:
    """Read a study folder.

    Raises FileNotFoundError or ValueError with one sentence that names the missing or broken file.
    """
    workdir = Path(workdir)
    path = workdir / 'study.json'
    if not path.exists():
        raise FileNotFoundError(f'the report needs {path}, which is not there: it is written when a study starts')
    study = _read_table(path)
    if not isinstance(study.get('inference_flops'), int | float):
        raise ValueError(f'{path} says no inference_flops: it is not the study.json of a study')
    tables = read_tables(workdir)
    stored = {law: workdir / 'fits' / f'{law}.json' for law in LAW_NAMES}
    stored = {law: (path, _read_table(path)) for law, path in stored.items() if path.exists()}
    fits = {law: fit_from_dict(values, str(path)) for law, (path, values) in stored.items()}
    allocation, summary = workdir / 'allocation.json', workdir / 'fits.json'
    rows = _read_rows(allocation, fits) if allocation.exists() and fits else []
    done = _read_table(summary) if summary.exists() else {}
    if not isinstance(done.get('refused', {}), dict):
        raise ValueError(
            f'"refused" in {summary} should say by law why it is not fitted; delete the file and fit again'
        )
    return Results(
        tables=tables,
        fits=fits,
        by_task={law: _by_task(fits[law], values, path) for law, (path, values) in stored.items()},
        refused=done.get('refused', {}),
        held_out={law: _held_out(values, path) for law, (path, values) in stored.items()},
        rows=[with_values(row, tables.macro) for row in sorted(rows, key=lambda row: row['train_flops'])],
        missing=missing_runs(tables, _run_names(study, path)),
        stale=bool(done.get('made_from')) and done['made_from'] != _made_from_now(workdir, study),
        study=study,
        provenance=_read_table(path) if (path := workdir / 'provenance.json').exists() else {},
        asked=read_asked(workdir),
        posttraining=read_posttraining(workdir / 'posttraining'),
    )


def pluck(rows: list[dict], name: str) -> list[Any]:
    """Take one value from each row."""
    return [row[name] for row in rows]


def with_values(row: dict, macro: Observations) -> dict:
    """Add to each best checkpoint of an allocation row the NLL and pass@k it gives at k = C_inf / (2N).

    The row keeps only the value each checkpoint was picked by; the new keys are `nll_at_k` and `pass_at_k`.
    """
    filled = {}
    for pick, best in row['checkpoints'].items():
        if best and best['run'] in macro.run:
            k = row['inference_flops'] / (2 * best['params'])
            values = {name: value_at_k(macro, best['run'], k, name) for name in ('nll', 'pass_at_k')}
            best = best | {'nll_at_k': values['nll'], 'pass_at_k': values['pass_at_k']}
        filled[pick] = best
    return row | {'checkpoints': filled}


def _made_from_now(workdir: Path, study: Mapping[str, Any]) -> dict[str, Any]:
    return made_from(workdir, study.get('laws', {}), study['inference_flops'], study.get('seed', 0))


def _run_names(study: Mapping[str, Any], path: Path) -> list[str]:
    try:
        return [run['name'] for run in study.get('runs', ())]
    except TypeError:
        raise ValueError(f'"runs" in {path} should be a list of runs with their names') from None


def _by_task(fit: Fit, values: Mapping[str, Any], path: Path) -> dict[str, Fit]:
    others = {task: fit_from_dict(entry, str(path)) for task, entry in (values.get('by_task') or {}).items()}
    return {fit.task: fit} | others


def _held_out(values: Mapping[str, Any], path: Path) -> dict[str, HeldOut]:
    try:
        stored = (values.get('held_out') or {}).items()
        return {task: HeldOut(fit_from_dict(entry['fit']), entry['scores']) for task, entry in stored}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f'"held_out" in {path} should hold a fit and its scores for each task: {error}') from error


def _read_rows(path: Path, fits: Mapping[str, Fit]) -> list[dict]:
    remedy = 'delete it and fit again'
    rows = read_json(path, remedy)
    if not isinstance(rows, list) or not rows:
        raise ValueError(f'{path} should hold a list of at least one allocation row: {remedy}')
    for at, row in enumerate(rows):
        missing = sorted({'train_flops', 'inference_flops', 'checkpoints', *fits} - set(row))
        if missing:
            raise ValueError(f'row {at} of {path} lacks {", ".join(missing)}: {remedy}')
    return rows


def _read_table(path: Path) -> dict[str, Any]:
    table = read_json(path, 'mend it, or make it again')
    if not isinstance(table, dict):
        raise ValueError(f'{path} should hold one JSON object of names and values')
    return table
