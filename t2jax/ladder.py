"""A ladder that somebody else trained and measured, as a study: tables in place of data, training and evaluation.

A Ladder says where the tables are; a Grid's scores, of `t2jax score ... --out WORKDIR/scores`, are the same thing. Both
become WORKDIR/observations.csv and losses.csv, from which fit and report go on as for any study.
"""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from t2jax.laws.ladders import READERS
from t2jax.laws.observations import Observations, concatenate
from t2jax.laws.questions import Questions, default_ks, derive
from t2jax.laws.settings import LawSettings
from t2jax.laws.tables import write_observations
from t2jax.laws.workdir import TABLES, of_one_text


@dataclass(frozen=True)
class Source:
    """A table, what reads it (a name in laws.ladders.READERS) and which of its rows, as the reader takes them."""

    path: str
    reader: str = 'table'
    choice: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.reader not in READERS:
            raise ValueError(f'no reader {self.reader!r}; there are {", ".join(READERS)}')
        takes = inspect.signature(READERS[self.reader])
        try:
            takes.bind(self.path, *self.choice)
        except TypeError:
            said = ', '.join(list(takes.parameters)[1:]) or 'nothing'
            raise ValueError(f'choice is {self.choice} for reader {self.reader!r}; it takes {said}') from None


@dataclass(frozen=True)
class Ladder:
    """A study of tables: of answers at several k (or by question), of losses at k = 1, or both."""

    workdir: str
    inference_flops: float  # C_inf of the allocation: FLOPs of all samples, per served token
    observations: tuple[Source, ...] = ()
    losses: tuple[Source, ...] = ()
    k: tuple[float, ...] = ()  # at which tables by question are read; empty: as far as their samples go
    estimator: str | None = None  # likelihood, unbiased, ...: None chooses by the table's columns
    laws: LawSettings = LawSettings()
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.observations or self.losses):
            raise ValueError('a ladder needs a table: give observations, losses or both')
        if not 0 < self.inference_flops < math.inf:
            raise ValueError(f'inference_flops is {self.inference_flops}; a budget has to be above 0 and finite')


def read(ladder: Ladder) -> dict[str, Observations]:
    """Read a ladder's tables, by the names that they get in a workdir.

    A table of losses alone goes to losses.csv whatever it was given as. Raises ValueError or OSError, one sentence, for
    a table that is not there, is damaged, or is of losses of several texts.
    """
    observations, losses = (
        _read(sources, ladder.k, ladder.estimator) for sources in (ladder.observations, ladder.losses)
    )
    if observations is not None and np.isnan(observations.pass_at_k).all() and (observations.k == 1).all():
        if losses is not None:
            raise ValueError(
                f'{ladder.observations[0].path} has nll at k = 1 alone, as losses have; give answers at several k, or '
                'one table of losses'
            )
        observations, losses = None, observations
    if losses is not None:
        of_one_text(losses, (ladder.losses or ladder.observations)[0].path)
    found = zip(TABLES, (observations, losses))
    return {name: table for name, table in found if table is not None}


def tabulate(ladder: Ladder, workdir: Path) -> None:
    """Write a ladder's tables into its workdir; raises what `read` does, before anything is written."""
    tables = read(ladder)
    for name in TABLES:
        if name in tables:
            write_observations(workdir / name, tables[name])
        else:
            (workdir / name).unlink(missing_ok=True)


def tabulate_scores(workdir: Path, k: Sequence[float] = ()) -> None:
    """Write observations.csv from all of WORKDIR/scores/<run>/<task>.csv, which there have to be."""
    table = _read([Source(str(path)) for path in score_files(workdir)], k, 'likelihood')
    if table is not None:
        write_observations(workdir / TABLES[0], table)


def score_files(workdir: Path) -> list[Path]:
    """List the scores of a grid's runs; raises FileNotFoundError, with what writes them, where there are none."""
    paths = sorted((workdir / 'scores').glob('*/*.csv'))
    if not paths:
        raise FileNotFoundError(
            f'{workdir} has no scores; `t2jax score {workdir}/runs/* --task TASK --out {workdir}/scores` writes them'
        )
    return paths


def _read(sources: Sequence[Source], ks: Sequence[float], estimator: str | None) -> Observations | None:
    """Read sources into one table; those by question at the same k."""
    tables = []
    for source in sources:
        if not Path(source.path).is_file():
            raise FileNotFoundError(f'there is no table {source.path}; give the path of a CSV or Parquet file')
        tables.append(READERS[source.reader](source.path, *source.choice))
    asked = [default_ks(table) for table in tables if isinstance(table, Questions)]
    ks = ks or (min(asked, key=len) if asked else ())
    parts = [derive(table, ks, estimator) if isinstance(table, Questions) else table for table in tables]
    return concatenate(parts) if parts else None
