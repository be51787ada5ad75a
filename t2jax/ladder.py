"""A ladder that somebody else trained and measured, as a study: tables in place of data, training and evaluation.

A Ladder says where the tables are; a Grid's scores, of `t2jax score ... --out WORKDIR/scores`, are the same thing. Both
become WORKDIR/observations.csv and losses.csv, from which fit and report go on as for any study.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from t2jax.laws.ladders import READERS
from t2jax.laws.observations import Observations, concatenate
from t2jax.laws.questions import Questions, derive
from t2jax.laws.settings import LawSettings
from t2jax.laws.tables import write_observations

KS = tuple(2.0**power for power in range(11))


@dataclass(frozen=True)
class Source:
    """A table, what reads it (a name in laws.ladders.READERS) and which of its rows, as the reader takes them."""

    path: str
    reader: str = 'table'
    choice: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.reader not in READERS:
            raise ValueError(f'no reader {self.reader!r}; there are {", ".join(READERS)}')


@dataclass(frozen=True)
class Ladder:
    """A study of tables: of answers at several k (or by question), of losses at k = 1, or both."""

    workdir: str
    inference_flops: float  # C_inf of the allocation: FLOPs of all samples, per served token
    observations: tuple[Source, ...] = ()
    losses: tuple[Source, ...] = ()
    k: tuple[float, ...] = KS  # at which tables by question are read
    estimator: str | None = None  # likelihood, unbiased, ...: None chooses by the table's columns
    laws: LawSettings = LawSettings()
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.observations or self.losses):
            raise ValueError('a ladder needs a table: give observations, losses or both')
        if not self.inference_flops > 0:
            raise ValueError(f'inference_flops is {self.inference_flops}; a budget has to be above 0')


def tabulate(ladder: Ladder, workdir: Path) -> None:
    """Write a ladder's tables into its workdir.

    Raises ValueError or OSError, one sentence, for a table that is not there or is damaged; nothing is written then.
    """
    tables = {
        'observations.csv': [_read(source, ladder.k, ladder.estimator) for source in ladder.observations],
        'losses.csv': [_read(source, ladder.k, ladder.estimator) for source in ladder.losses],
    }
    for name, parts in tables.items():
        if parts:
            table = concatenate(parts)
            if np.isnan(table.pass_at_k).all() and (table.k == 1).all():
                name = 'losses.csv'  # whatever it was given as, it says nothing of samples
            write_observations(workdir / name, table)


def tabulate_scores(workdir: Path, k: Sequence[float] = KS) -> None:
    """Write observations.csv from all of WORKDIR/scores/<run>/<task>.csv.

    Raises FileNotFoundError where there are none.
    """
    paths = sorted((workdir / 'scores').glob('*/*.csv'))
    if not paths:
        raise FileNotFoundError(
            f'{workdir} has no scores; `t2jax score {workdir}/runs/* --task TASK --out {workdir}/scores` writes them'
        )
    parts = [_read(Source(str(path)), k, 'likelihood') for path in paths]
    write_observations(workdir / 'observations.csv', concatenate(parts))


def _read(source: Source, ks: Sequence[float], estimator: str | None) -> Observations:
    read = READERS[source.reader]
    if not Path(source.path).is_file():
        raise FileNotFoundError(f'there is no table {source.path}; give the path of a CSV or Parquet file')
    table = read(source.path, *source.choice)
    return derive(table, ks, estimator) if isinstance(table, Questions) else table
