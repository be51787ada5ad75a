"""How far the mini study's answer depends on its seed.

    for seed in 0 1 2; do t2jax study experiments/mini.py --seed $seed --workdir out/mini-$seed; done
    python experiments/mini_seeds.py out/mini-0 out/mini-1 out/mini-2

Prints, by law, the in-sample and held-out errors of each seed and their mean, each beside its null's; then fits the
laws to the observations averaged over seeds and prints that allocation. Two CPU cores: 5 minutes a seed.
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from t2jax.cli.studies import load_study, prepare_jax
from t2jax.laws.checkpoints import allocation_rows
from t2jax.laws.fit import fit_law
from t2jax.laws.forms import LAWS, PAPER_LAWS
from t2jax.laws.observations import Observations, macro_average
from t2jax.laws.scores import score, split
from t2jax.laws.tables import read_observations
from t2jax.plotting.table import answer_lines

MEASURED = ('nll', 'pass_at_k')
ERRORS = ('in_sample', 'null_in_sample', 'held_out', 'null_held_out')


def average(workdirs: list[Path], name: str) -> Observations:
    """Average a table over the studies, row by row."""
    tables = [read_observations(workdir / name) for workdir in workdirs]
    means = {column: np.mean([getattr(table, column) for table in tables], axis=0) for column in MEASURED}
    return dataclasses.replace(tables[0], **means)


def errors(workdir: Path, law: str) -> list[float]:
    """Read a study's errors for the task that a law is about."""
    held_out = json.loads((workdir / 'fits' / f'{law}.json').read_text())['held_out']
    scores = held_out['text' if LAWS[law].single_pass else 'macro']['scores']
    return [scores[name] for name in ERRORS]


def main(workdirs: list[Path]) -> None:
    """Print errors by seed, then the allocation of the averaged study."""
    prepare_jax(1)
    study = load_study(workdirs[0])
    macro, losses = macro_average(average(workdirs, 'observations.csv')), average(workdirs, 'losses.csv')
    print(f'{"law":<14}{"study":<22}' + ''.join(f'{name:>16}' for name in ERRORS))
    fits = {}
    for law in PAPER_LAWS:
        name = law.name
        rows = losses if law.single_pass else macro
        near, over = split(rows, study.laws.overtrained_from)
        fit = lambda rows, law=law: fit_law(law, rows, objective=study.laws.objective, starts=study.laws.starts)
        fits[name] = fit(rows)
        averaged = dataclasses.asdict(score(fit(near), near, over))
        by_seed = [errors(workdir, name) for workdir in workdirs]
        lines = {workdir.name: values for workdir, values in zip(workdirs, by_seed)}
        lines |= {'mean of the seeds': np.mean(by_seed, axis=0)}
        lines |= {'averaged observations': [averaged[error] for error in ERRORS]}
        for label, values in lines.items():
            print(f'{name:<14}{label:<22}' + ''.join(f'{value:>16.1%}' for value in values))
    print('\nAveraged over seeds:\n')
    print(answer_lines(allocation_rows(fits, macro, losses, study.inference_flops)))


if __name__ == '__main__':
    main([Path(argument) for argument in sys.argv[1:]])
