"""The tables in a study's workdir: what was measured of its runs, whoever measured it.

observations.csv is what T2's laws are fitted to, losses.csv what Chinchilla's is. Either may be missing: of losses
alone there is Chinchilla's law, and without losses it is fitted to the answers' NLL at k = 1, as T2 does.
"""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from t2jax.laws.observations import Observations, macro_average, where
from t2jax.laws.record import VERSION
from t2jax.laws.tables import read_observations

TABLES = ('observations.csv', 'losses.csv')
NAMED = 5  # runs named in a sentence


@dataclass(frozen=True)
class Tables:
    """A study's tables, each empty where there is none: by task, their mean, and losses at k = 1.

    `of_answers` says that the losses are the answers' NLL, for want of a table of their own; `said` is what was left
    out of the mean, in sentences.
    """

    observations: Observations
    macro: Observations
    losses: Observations
    of_answers: bool = False
    said: tuple[str, ...] = ()

    @property
    def runs(self) -> Observations:
        """One row for each run measured."""
        rows = self.macro if len(self.macro) else self.losses
        return where(rows, np.unique(rows.run, return_index=True)[1]) if len(rows) else rows


def read_tables(workdir: Path) -> Tables:
    """Read a study's tables; runs that lack a task are left out of the mean.

    Raises FileNotFoundError where there are none yet, ValueError for a damaged one and where no run has every task.
    """
    paths = [workdir / name for name in TABLES]
    if not any(path.exists() for path in paths):
        raise FileNotFoundError(
            f'{workdir} has no measured run yet: neither {" nor ".join(TABLES)} is there; its runs have to be trained '
            'and evaluated, or scored, first'
        )
    none = Observations(params=[], tokens=[], k=[])
    observations, losses = (read_observations(path) if path.exists() else none for path in paths)
    whole, said = _whole(observations)
    macro = macro_average(whole) if len(whole) else none
    if len(losses):
        return Tables(observations, macro, of_one_text(losses, str(paths[1])), False, said)
    losses = where(macro, (macro.k == 1) & np.isfinite(macro.nll))
    if not len(macro):
        raise ValueError(f'{paths[0]} has no run with every task at every k; measure all tasks of at least one run')
    return Tables(observations, macro, losses, True, said)


def of_one_text(losses: Observations, source: str) -> Observations:
    """Keep the losses at k = 1, of one text; one that the table does not name is called 'text'.

    Raises ValueError, naming the source, for losses of several texts or of none at k = 1.
    """
    once = where(losses, losses.k == 1)
    texts = list(dict.fromkeys(once.task.tolist()))
    if len(texts) != 1:
        found = f'of {" and ".join(texts)}' if texts else 'none at k = 1'
        raise ValueError(f'{source} has losses {found}; Chinchilla is fitted to those of one text (column task)')
    return replace(once, task=np.full(len(once), 'text')) if texts == ['all'] else once


def made_from(workdir: Path, laws: Mapping[str, Any], inference_flops: float, seed: int) -> dict[str, Any]:
    """Say what fits of a workdir's tables as they are now would be made from: fits.json holds it of those that are."""
    paths = [workdir / name for name in TABLES if (workdir / name).exists()]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return {**digests, 'laws': dict(laws), 'inference_flops': inference_flops, 'seed': seed, 'version': VERSION}


def missing_runs(tables: Tables, names: list[str]) -> list[str]:
    """List the runs of a study, by name, that no table has."""
    measured = {*tables.observations.run.tolist(), *tables.losses.run.tolist()}
    return [name for name in names if name not in measured]


def shorten(names: list[str]) -> str:
    """Name a few of many runs."""
    return ', '.join(names[:NAMED]) + (f' and {len(names) - NAMED} more' if len(names) > NAMED else '')


def _whole(observations: Observations) -> tuple[Observations, tuple[str, ...]]:
    """Keep the k that all tasks were measured at, and of them the runs that have every task; say what is left out."""
    ks_of: dict[str, set[float]] = {}
    has: dict[str, set[tuple[str, float]]] = {}
    for run, task, k in zip(*(getattr(observations, name).tolist() for name in ('run', 'task', 'k'))):
        ks_of.setdefault(task, set()).add(k)
        has.setdefault(run, set()).add((task, k))
    shared = set.intersection(*ks_of.values()) if ks_of else set()
    everything = set(itertools.product(ks_of, shared))
    lacking = sorted(run for run, mine in has.items() if not everything <= mine)
    said = []
    if odd := sorted(set().union(*ks_of.values()) - shared):
        ks = ', '.join(f'{k:g}' for k in odd)
        said.append(f'Left out of the mean over tasks, since not every task was measured there: k = {ks}.')
    if lacking:
        said.append(f'Left out of the mean over tasks, since they lack a task at some k: {shorten(lacking)}.')
    kept = np.isin(observations.k, list(shared)) & ~np.isin(observations.run, lacking)
    return where(observations, kept), tuple(said)
