"""Observations, what laws are fitted to: what was trained and how it scored, by (run, task, k).

Over the questions i of a task, nll = mean of -log(1 - (1 - p_i)^k) and pass_at_k = mean of 1 - (1 - p_i)^k (T2,
"Metrics"); from counts of right samples nll is something else, as `measure` says. Files of them: see tables.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

MEASURES = {
    'likelihood': 'the mean over questions of -log pass@k, from the likelihoods of their answers',
    'counts': '-log of the mean over questions of pass@k, from counts of right samples',
    'beta-binomial': '-log of the mean pass@k of a beta-binomial, from counts of right samples',
    'unknown': 'not said by the table',
}


SAME_BUDGET = 1.02  # whole batches leave the runs of one training budget apart by a fraction of a percent


@dataclass(frozen=True)
class Observations:
    """Columns of equal length: `run`, `task` and `measure` are strings, the rest float64, nan where not measured.

    Only `params`, `tokens`, `k` and one of `nll` and `pass_at_k` have to be given. A run is one (N, D) unless named;
    `train_flops` is 6 N D where nobody said otherwise; `pass_at_k_sampled` comes from `n_samples` real samples for
    each question, with the interval `_low` to `_high`; `weight` multiplies a row's part in a fit; `se` is the
    standard error of the one value that the row has; `measure`, a key of MEASURES, says what `nll` is.
    """

    run: np.ndarray | None = None
    task: np.ndarray | None = None
    params: np.ndarray | None = None
    tokens: np.ndarray | None = None
    train_flops: np.ndarray | None = None
    k: np.ndarray | None = None
    nll: np.ndarray | None = None
    pass_at_k: np.ndarray | None = None
    n_samples: np.ndarray | None = None
    pass_at_k_sampled: np.ndarray | None = None
    pass_at_k_sampled_low: np.ndarray | None = None
    pass_at_k_sampled_high: np.ndarray | None = None
    weight: np.ndarray | None = None
    se: np.ndarray | None = None
    measure: np.ndarray | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in COLUMNS if getattr(self, name) is not None}
        missing = [name for name in ('params', 'tokens', 'k') if name not in given]
        if missing:
            raise ValueError(f'observations lack {", ".join(missing)}; give params, tokens and k for every row')
        columns = {name: np.asarray(value, str if name in TEXT else np.float64) for name, value in given.items()}
        params, tokens = columns['params'], columns['tokens']
        lengths = {name: len(value) for name, value in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f'observations have columns of unequal length: {lengths}; give one value per row')
        n = len(params)
        if 'run' not in columns:
            columns['run'] = run_names(params, tokens)
        columns.setdefault('train_flops', 6 * params * tokens)
        for name, value in (('task', 'all'), ('measure', 'unknown'), ('weight', 1.0)):
            columns.setdefault(name, np.full(n, value))
        for name in COLUMNS:
            object.__setattr__(self, name, columns[name] if name in columns else np.full(n, np.nan))

    def __len__(self) -> int:
        return len(self.run)


COLUMNS = tuple(f.name for f in fields(Observations))
TEXT = ('run', 'task', 'measure')


def run_names(params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Name each row's run after its (N, D), where the table does not name it."""
    return np.array([f'N{size:.12g}-D{data:.12g}' for size, data in zip(params, tokens)], str)


def where(observations: Observations, mask: np.ndarray) -> Observations:
    """Keep the rows where the boolean `mask` holds."""
    return replace(observations, **{name: getattr(observations, name)[mask] for name in COLUMNS})


def concatenate(tables: Sequence[Observations]) -> Observations:
    """Put the rows of several tables one after another."""
    return Observations(**{name: np.concatenate([getattr(table, name) for table in tables]) for name in COLUMNS})


def macro_average(observations: Observations) -> Observations:
    """Average over tasks with equal weight: one row for each (run, k), of the task 'macro' (T2, "Metrics").

    The sampled columns and `se` are nan unless every task has them; tasks are sampled apart, so their errors (and
    the half-widths of their intervals) add in quadrature; `n_samples` is the smallest. Raises ValueError where a
    task lacks a (run, k), or where `measure` is not the same throughout.
    """
    if not len(observations):
        raise ValueError('there are no observations to average; give at least one row')
    measures = list(dict.fromkeys(observations.measure.tolist()))
    if len(measures) > 1:
        raise ValueError(f'nll is of {" and ".join(measures)} (column measure), which do not average; keep one')
    tasks = list(dict.fromkeys(observations.task.tolist()))
    row_of = {
        key: i for i, key in enumerate(zip(observations.run.tolist(), observations.k, observations.task.tolist()))
    }
    pairs = list(dict.fromkeys((run, k) for run, k, _ in row_of))
    gap = next(((run, k, task) for run, k in pairs for task in tasks if (run, k, task) not in row_of), None)
    if gap:
        run, k, task = gap
        raise ValueError(
            f'task {task!r} lacks run {run!r} at k = {k:g}; a macro average needs each task at each (run, k)'
        )
    rows = np.array([[row_of[run, k, task] for task in tasks] for run, k in pairs])
    columns = {name: getattr(observations, name)[rows] for name in COLUMNS}
    mean = columns['pass_at_k_sampled'].mean(1)
    averaged = {name: columns[name][:, 0] for name in ('run', 'params', 'tokens', 'train_flops', 'k', 'measure')}
    averaged |= {name: columns[name].mean(1) for name in ('nll', 'pass_at_k', 'pass_at_k_sampled', 'weight')}
    averaged |= {'task': np.full(len(pairs), 'macro'), 'n_samples': columns['n_samples'].min(1)}
    averaged['se'] = np.sqrt((columns['se'] ** 2).sum(1)) / len(tasks)
    for name, sign in (('pass_at_k_sampled_low', -1), ('pass_at_k_sampled_high', 1)):
        half_widths = columns[name] - columns['pass_at_k_sampled']
        averaged[name] = mean + sign * np.sqrt((half_widths**2).sum(1)) / len(tasks)
    return Observations(**averaged)


def value_at_k(observations: Observations, run: str, k: float, column: str) -> float:
    """Read `column` ('nll' or 'pass_at_k') of `run` at any k.

    Interpolates linearly in (log k, log value); nan outside the k measured. The run has to be of one task.
    """
    rows = np.flatnonzero(observations.run == run)
    if not len(rows):
        raise ValueError(f'there is no run {run!r} in the observations; choose one that their column run has')
    if len(set(observations.task[rows].tolist())) > 1:
        raise ValueError(f'run {run!r} has several tasks; choose one or average them before reading a value at k')
    rows = rows[np.argsort(observations.k[rows])]
    ks, values = observations.k[rows], getattr(observations, column)[rows]
    if not ks[0] <= k <= ks[-1]:
        return float('nan')
    right = int(np.searchsorted(ks, k))
    if ks[right] == k:
        return float(values[right])
    share = np.log(k / ks[right - 1]) / np.log(ks[right] / ks[right - 1])
    # a geometric mean rather than the exp of a mean of logs: a value of 0 needs no case of its own
    return float(values[right - 1] ** (1 - share) * values[right] ** share)


def has_profiles(params: np.ndarray, train_flops: np.ndarray) -> bool:
    """Tell whether most runs share a training budget with two other sizes: a design by isoFLOP profiles."""
    budgets = training_budgets(train_flops)
    sizes = {budget: len(np.unique(params[budgets == budget])) for budget in np.unique(budgets)}
    return bool(np.mean([sizes[budget] >= 3 for budget in budgets]) > 0.5) if len(budgets) else False


def profile_budgets(params: np.ndarray, train_flops: np.ndarray) -> list[float]:
    """List the training budgets to allocate: those of the profiles; of other runs five, evenly in log.

    Those five span the upper three quarters of the runs: ladders of checkpoints begin at next to nothing.
    """
    if has_profiles(params, train_flops):
        return np.unique(training_budgets(train_flops)).tolist()
    spread = np.geomspace(np.quantile(train_flops, 0.25), train_flops.max(), 5)
    return sorted({float(f'{budget:.1e}') for budget in spread})


def training_budgets(train_flops: np.ndarray) -> np.ndarray:
    """Give each row the budget of its run: the median of the training FLOPs within 2 % of each other."""
    budgets = np.empty(len(train_flops))
    order = np.argsort(train_flops)
    ordered = np.asarray(train_flops)[order]
    start = 0
    while start < len(ordered):
        stop = int(np.searchsorted(ordered, SAME_BUDGET * ordered[start], side='right'))
        budgets[order[start:stop]] = np.median(ordered[start:stop])
        start = stop
    return budgets
