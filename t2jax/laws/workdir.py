"""The tables in a study's workdir: what was measured of its runs, whoever measured it.

observations.csv is what T2's laws are fitted to, losses.csv what Chinchilla's is. Either may be missing: of losses
alone there is Chinchilla's law, and without losses it is fitted to the answers' NLL at k = 1, as T2 does.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from t2jax.laws.observations import Observations, macro_average, where
from t2jax.laws.tables import read_observations

TABLES = ('observations.csv', 'losses.csv')
NAMED = 5  # runs named in a sentence


@dataclass(frozen=True)
class Tables:
    """A study's tables, each empty where there is none: by task, their mean, and losses at k = 1.

    `said` is what was left out of the mean, in sentences.
    """

    observations: Observations
    macro: Observations
    losses: Observations
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
            f'{workdir} has no measured run yet: neither {" nor ".join(TABLES)} is there; train and evaluate first'
        )
    none = Observations(params=[], tokens=[], k=[])
    observations, losses = (read_observations(path) if path.exists() else none for path in paths)
    whole, said = _whole(observations)
    macro = macro_average(whole) if len(whole) else none
    losses = losses if len(losses) else where(macro, (macro.k == 1) & np.isfinite(macro.nll))
    if not (len(macro) or len(losses)):
        raise ValueError(f'{workdir / TABLES[0]} has no run with every task at every k; measure the tasks of one run')
    return Tables(observations, macro, losses, said)


def missing_runs(tables: Tables, names: list[str]) -> list[str]:
    """List the runs of a study, by name, that no table has."""
    measured = {*tables.observations.run.tolist(), *tables.losses.run.tolist()}
    return [name for name in names if name not in measured]


def shorten(names: list[str]) -> str:
    """Name a few of many runs."""
    return ', '.join(names[:NAMED]) + (f' and {len(names) - NAMED} more' if len(names) > NAMED else '')


def _whole(observations: Observations) -> tuple[Observations, tuple[str, ...]]:
    """Keep the runs that have every task at every k that any run has; say which are left out."""
    tasks, ks = observations.task.tolist(), observations.k.tolist()
    has: dict[str, set[tuple[str, float]]] = {}
    for run, task, k in zip(observations.run.tolist(), tasks, ks):
        has.setdefault(run, set()).add((task, k))
    everything = set(zip(tasks, ks))
    lacking = sorted(run for run, mine in has.items() if mine != everything)
    if not lacking:
        return observations, ()
    said = f'Left out of the mean over tasks, since they lack a task at some k: {shorten(lacking)}.'
    return where(observations, ~np.isin(observations.run, lacking)), (said,)
