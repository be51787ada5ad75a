"""Readers for published ladders of language models: Porian's, Gadre's, Chinchilla's, Pythia's, and the paper's grid.

Losses are in nats per token of held-out text, at k = 1.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from t2jax.laws.observations import Observations
from t2jax.laws.questions import Questions, read_any
from t2jax.laws.tables import Table, keep_rows, read_numbers, read_table


def read_porian(
    path: str | Path,
    dataset: str = 'rw',
    hparams: str = 'base',
    warmup: str = 'short',
    decay: str = 'chinchilla',
    param_count: str = 'standard',
) -> Observations:
    """Read one setting of porian_all_settings.csv (Porian et al., arXiv 2406.19146): N = flop_params, nll = loss.

    The setting's way of counting, `param_count`, makes its N: 'standard' is blocks and head, 'kaplan' blocks alone,
    'attention' blocks and head with the cost of attention. C = flops is 6 N D.
    """
    choice = {'dataset': dataset, 'hparams': hparams, 'warmup': warmup, 'decay': decay, 'param_count': param_count}
    table = _pick(read_table(path), **choice)
    run = [f'{label}-{float(flops):g}' for label, flops in zip(table.cells('label'), table.cells('flops'))]
    return _losses(table, 'flop_params', 'tokens', 'loss', run, dataset)


def read_gadre(
    path: str | Path, dataset: str = 'c4_original', loss: str = 'loss_c4_val', params: str = 'params'
) -> Observations:
    """Read the runs of gadre_testbed.csv (Gadre et al., arXiv 2403.08540) trained on `dataset`; nll is column `loss`.

    Their N, column params, counts the input embedding; params_no_embed counts blocks and head, as t2jax does.
    """
    table = _pick(read_table(path), dataset=dataset)
    return _losses(table, params, 'tokens', loss, table.cells('name'), loss)


def read_epoch(path: str | Path, kept_240: bool = True) -> Observations:
    """Read Chinchilla's runs as Epoch took them from its figure (chinchilla_epoch.csv, arXiv 2404.10102).

    `kept_240` leaves out the five that Epoch's fit leaves out.
    """
    table = read_table(path)
    if kept_240:
        table = _pick(table, kept_240='1')
    return _losses(table, 'params', 'tokens', 'loss', None, 'text')


def read_grid(path: str | Path) -> Observations:
    """Read the 106 runs of T2's grid (t2_grid_106.csv): N, D, and nll = porian_val_loss, nan for the 21 overtrained."""
    table = read_table(path)
    run = [f'{label}-{float(flops):g}' for label, flops in zip(table.cells('size_label'), table.cells('C_train'))]
    return _losses(table, 'N', 'D', 'porian_val_loss', run, 'rw')


def read_pythia(path: str | Path, benchmark: str) -> Questions:
    """Read counts of right samples of Pythia's checkpoints (pythia_passk_counts.csv.gz), 'gsm8k' or 'math'.

    N = params_head, which is params_no_embed and the output head; the run is column model.
    """
    table = _pick(read_table(path), benchmark=benchmark)
    return Questions(
        run=table.cells('model'),
        task=table.cells('benchmark'),
        question=table.cells('problem_idx'),
        params=read_numbers(table, 'params_head'),
        tokens=read_numbers(table, 'tokens'),
        n_samples=read_numbers(table, 'num_samples'),
        n_correct=read_numbers(table, 'num_correct'),
    )


READERS: dict[str, Callable[..., Observations | Questions]] = {
    'table': read_any,
    'porian': read_porian,
    'gadre': read_gadre,
    'epoch': read_epoch,
    'grid': read_grid,
    'pythia': read_pythia,
}


def _losses(table: Table, params: str, tokens: str, loss: str, run: list[str] | None, task: str) -> Observations:
    sizes = {'params': read_numbers(table, params), 'tokens': read_numbers(table, tokens)}
    n = len(table.numbers)
    said = {'task': np.full(n, task), 'measure': np.full(n, 'likelihood')}
    return Observations(**sizes, **said, run=run, k=np.ones(n), nll=read_numbers(table, loss))


def _pick(table: Table, **choice: str) -> Table:
    """Keep the rows that have these values; ValueError, with those that there are, where there is no such row."""
    for name, value in choice.items():
        cells = table.cells(name)
        if value not in cells:
            known = ', '.join(dict.fromkeys(cells))
            raise ValueError(f'{table.path}: no row has {name} {value!r} beside the rest; it can be {known}')
        table = keep_rows(table, np.array(cells) == value)
    return table
