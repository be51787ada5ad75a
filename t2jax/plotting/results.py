"""Everything a study left on disk that a figure or a table needs, read once and checked.

observations.csv, losses.csv, fits/<law>.json, allocation.json and study.json are required; provenance.json and what
questions.py and posttraining_results.py read are not.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from t2jax.laws.observations import Observations, macro_average, value_at_k
from t2jax.laws.record import Fit, fit_from_dict, load_fit
from t2jax.laws.tables import read_observations
from t2jax.plotting.labels import APPROACH_1, APPROACH_2, LAW_NAMES
from t2jax.plotting.posttraining_results import PostTraining, read_posttraining
from t2jax.plotting.questions import Asked, read_asked


@dataclass(frozen=True)
class HeldOut:
    """A law fitted without the overtrained runs of one task, and how far off it is on them."""

    fit: Fit
    scores: Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """What a finished study found.

    `losses` are those on held-out text, `macro` is `observations` averaged over tasks, `fits` the fits by law
    (Chinchilla's to the losses, the others to the mean over tasks), `held_out[law][task]` the extrapolation test
    (empty where a study has no overtrained run), `rows` the allocation by training budget; `posttraining` is None
    where nothing was fine-tuned.
    """

    observations: Observations
    losses: Observations
    macro: Observations
    fits: Mapping[str, Fit]
    held_out: Mapping[str, Mapping[str, HeldOut]]
    rows: list[dict]
    study: Mapping[str, Any]
    provenance: Mapping[str, Any]
    asked: Asked
    posttraining: PostTraining | None

    @property
    def inference_flops(self) -> float:
        """Test-time budget of the allocation, FLOPs per served token."""
        return self.rows[0]['inference_flops']

    @property
    def tasks(self) -> list[str]:
        """Task names in the order of the observations."""
        return list(dict.fromkeys(str(task) for task in self.observations.task))

    @cached_property
    def runs(self) -> list[dict]:
        """Name, size, tokens, D/N and budget (as in `rows`) of every run, by budget and size."""
        budgets = np.log([row['train_flops'] for row in self.rows])
        runs = []
        for name, at in zip(*np.unique(self.macro.run, return_index=True)):
            nearest = int(np.argmin(np.abs(budgets - np.log(self.macro.train_flops[at]))))
            params, tokens = float(self.macro.params[at]), float(self.macro.tokens[at])
            run = {'run': str(name), 'train_flops': self.rows[nearest]['train_flops'], 'params': params}
            runs.append(run | {'tokens': tokens, 'tokens_per_param': tokens / params})
        return sorted(runs, key=lambda run: (run['train_flops'], run['params']))

    @property
    def has_held_out(self) -> bool:
        """Tell whether both approaches were tested on overtrained runs kept from their fits."""
        return all('macro' in self.held_out[law] for law in (APPROACH_1, APPROACH_2))

    def is_held_out(self, tokens_per_param: np.ndarray) -> np.ndarray:
        """Tell which runs the extrapolation test kept from the laws: those beyond the D/N its fits saw."""
        seen = [held['macro'].fit.tokens_per_param_range[1] for held in self.held_out.values() if 'macro' in held]
        return np.asarray(tokens_per_param) > (max(seen) if seen else np.inf) * (1 + 1e-9)


def read_results(workdir: Path) -> Results:
    """Read a study folder.

    Raises FileNotFoundError or ValueError with one sentence that names the missing or broken file.
    """
    workdir = Path(workdir)
    observations = read_observations(_existing(workdir / 'observations.csv', 'measure the runs first'))
    fits, held_out = {}, {}
    for law in LAW_NAMES:
        path = _existing(workdir / 'fits' / f'{law}.json', 'fit the laws first')
        fits[law] = load_fit(path)
        held_out[law] = _held_out(path)
    rows = _read_rows(_existing(workdir / 'allocation.json', 'compute the allocation first'))
    provenance = workdir / 'provenance.json'
    macro = macro_average(observations)
    return Results(
        observations=observations,
        losses=read_observations(_existing(workdir / 'losses.csv', 'measure the runs first')),
        macro=macro,
        fits=fits,
        held_out=held_out,
        rows=[with_values(row, macro) for row in sorted(rows, key=lambda row: row['train_flops'])],
        study=_read_table(_existing(workdir / 'study.json', 'it is written when a study starts')),
        provenance=_read_table(provenance) if provenance.exists() else {},
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
        if best:
            k = row['inference_flops'] / (2 * best['params'])
            values = {name: value_at_k(macro, best['run'], k, name) for name in ('nll', 'pass_at_k')}
            best = best | {'nll_at_k': values['nll'], 'pass_at_k': values['pass_at_k']}
        filled[pick] = best
    return row | {'checkpoints': filled}


def _held_out(path: Path) -> dict[str, HeldOut]:
    stored = _read_json(path).get('held_out') or {}
    try:
        return {task: HeldOut(fit_from_dict(entry['fit']), entry['scores']) for task, entry in stored.items()}
    except (KeyError, TypeError) as error:
        raise ValueError(f'"held_out" in {path} should hold a fit and its scores for each task: {error}') from error


def _read_rows(path: Path) -> list[dict]:
    rows = _read_json(path)
    if not isinstance(rows, list) or not rows:
        raise ValueError(f'{path} should hold a list of at least one allocation row')
    needed = {'train_flops', 'inference_flops', 'checkpoints', *LAW_NAMES}
    for at, row in enumerate(rows):
        missing = sorted(needed - set(row))
        if missing:
            raise ValueError(f'row {at} of {path} lacks {", ".join(missing)}: compute the allocation again')
    return rows


def _existing(path: Path, remedy: str) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f'the report needs {path}, which is not there: {remedy}')
    return path


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON: {error}') from error


def _read_table(path: Path) -> dict[str, Any]:
    table = _read_json(path)
    if not isinstance(table, dict):
        raise ValueError(f'{path} should hold one JSON object of names and values')
    return table
