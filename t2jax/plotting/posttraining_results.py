"""What a study found after fine-tuning, read once and checked: jobs.csv, curves.csv and stages.json of posttraining/.

N and D are those of pre-training throughout; a stage is `base` (the checkpoint itself), `ft` (loss on prompt and
answer) or `sft` (on the answer alone).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from t2jax.config import read_json
from t2jax.laws.tables import Table, read_table
from t2jax.plotting.labels import LAW_NAMES, STAGE_NAMES

FILES = ('jobs.csv', 'curves.csv', 'stages.json')
JOB = ('run', 'params', 'tokens', 'task', 'stage', 'learning_rate')
JOBS = (*JOB, 'validation_nll_before', 'validation_nll', 'text_loss_before', 'text_loss', 'chosen')
CURVES = (*JOB, 'epoch', 'training_loss', 'validation_nll')
TEXTS = ('run', 'task', 'stage')
CHOICE = ('params', 'tokens', 'tokens_per_param', 'samples', 'bands', 'at_edge', 'warnings')
PICK = ('run', 'params', 'tokens', 'tokens_per_param', 'samples', 'pass_at_k', 'nll')
PICKS = ('chinchilla', 'overtrained')
ROW = ('stage', 'task', 'train_flops', *LAW_NAMES, 'shift', 'checkpoints')
TERM = ('stage', 'task', 'held_out', 'with_term', 'null_held_out', 'kept')
REMEDY = 'delete it and run the study again'
# An end of an 80 % band leaves a tenth of the refits outside: with more of them at an edge it may be the edge itself.
CUT = 0.1
# An optimum closer than this to the smallest or largest size trained is at it.
SAME = 0.01


@dataclass(frozen=True)
class PostTraining:
    """The fine-tuned jobs, their curves by epoch, and what the laws of each stage say."""

    jobs: list[dict]
    curves: list[dict]
    inference_flops: float
    rows: list[dict]
    terms: list[dict]

    @property
    def tasks(self) -> list[str]:
        """The mean over tasks first, then the tasks in the order of the rows."""
        names = list(dict.fromkeys(row['task'] for row in self.rows))
        return sorted(names, key=lambda task: task != 'macro')

    @property
    def stages(self) -> list[str]:
        """Stages that the laws were fitted to, base first."""
        found = {row['stage'] for row in self.rows}
        return [stage for stage in STAGE_NAMES if stage in found]

    @property
    def chosen(self) -> list[dict]:
        """The jobs at the learning rate chosen for their run, task and stage."""
        return [job for job in self.jobs if job['chosen'] == 1]

    @property
    def largest_budget(self) -> float:
        """FLOPs of the largest training budget."""
        return max(row['train_flops'] for row in self.rows)

    @cached_property
    def optima(self) -> list[dict]:
        """A row for each task, stage, budget and law: its optimum, 80 % bands, shift against base; nan where unknown.

        `at_edge_of_sizes`: the optimum is not inside the sizes trained; `band_cut`: more than a tenth of the refits
        end at an edge of the sizes considered.
        """
        sizes = [job['params'] for job in self.jobs]
        low, high = min(sizes) * (1 + SAME), max(sizes) / (1 + SAME)
        points = []
        for row in sorted(self.rows, key=lambda row: row['train_flops']):
            for law in LAW_NAMES:
                best, shift = row[law] or {}, (row['shift'] or {}).get(law) or {}
                point = {name: row[name] for name in ('task', 'stage', 'train_flops')} | {'law': law}
                point |= {'samples': _number(best.get('samples')), 'tokens': _number(best.get('tokens'))}
                for name in ('params', 'tokens_per_param'):
                    ends = _ends((best.get('bands') or {}).get(name))
                    point |= dict(zip((name, f'{name}_low', f'{name}_high'), (_number(best.get(name)), *ends)))
                ends = _ends(shift.get('bands'))
                point |= dict(zip(('shift', 'shift_low', 'shift_high'), (_number(shift.get('ratio')), *ends)))
                point['at_edge_of_sizes'] = not low < point['params'] < high
                point['band_cut'] = _number(best.get('at_edge')) > CUT
                points.append(point)
        return points

    @cached_property
    def comparisons(self) -> list[dict]:
        """A row for each budget, task and stage: Chinchilla's checkpoint against the best overtrained one (T2 table 2).

        `better` names the one with the higher pass@k at k = C_inf / (2N), or says 'equal'; '' where one is lacking.
        """
        compared = []
        for row in sorted(self.rows, key=lambda row: (row['train_flops'], self.tasks.index(row['task']))):
            line = {'train_flops': row['train_flops'], 'inference_flops': self.inference_flops}
            line |= {'task': row['task'], 'stage': row['stage']}
            for pick in PICKS:
                best = row['checkpoints'][pick] or {}
                line |= {f'{pick}_{name}': best.get(name) for name in PICK}
            chinchilla, overtrained = (_number(line[f'{pick}_pass_at_k']) for pick in PICKS)
            names = {True: 'overtrained', False: 'chinchilla'}
            known = math.isfinite(chinchilla) and math.isfinite(overtrained)
            winner = 'equal' if chinchilla == overtrained else names[overtrained > chinchilla]
            compared.append(line | {'better': winner if known else ''})
        return compared


def is_beyond(point: Mapping[str, Any]) -> bool:
    """Tell whether the grid, and not the data, may have set an optimum or an end of its band."""
    return bool(point['at_edge_of_sizes'] or point['band_cut'])


def read_posttraining(folder: Path) -> PostTraining | None:
    """Read a study's posttraining/; None where nothing of it is there.

    Raises FileNotFoundError or ValueError, one sentence that names the missing or broken file.
    """
    there = [name for name in FILES if (folder / name).is_file()]
    if not there:
        return None
    for name in FILES:
        if name not in there:
            remedy = 'fit the laws first' if name == 'stages.json' else 'fine-tune the runs first'
            raise FileNotFoundError(f'the report needs {folder / name}, which is not there: {remedy}')
    jobs, curves = _read_tables(folder)
    stages = _read_stages(folder / 'stages.json')
    return PostTraining(jobs, curves, float(stages['inference_flops']), stages['rows'], stages['terms'])


def read_fine_tunings(folder: Path) -> PostTraining:
    """Read jobs.csv and curves.csv of fine-tunings that no laws are fitted to, as `t2jax finetune` writes them."""
    return PostTraining(*_read_tables(folder), math.nan, [], [])


def _read_tables(folder: Path) -> tuple[list[dict], list[dict]]:
    jobs = _read_csv(folder / 'jobs.csv', JOBS, gaps=('tokens', 'text_loss_before', 'text_loss'))
    return jobs, _read_csv(folder / 'curves.csv', CURVES, gaps=('tokens', 'training_loss'))


def _read_csv(path: Path, names: tuple[str, ...], gaps: tuple[str, ...]) -> list[dict]:
    table = read_table(path)
    columns = [table.cells(name) if name in TEXTS else _numbers(table, name, name in gaps) for name in names]
    for row, stage in enumerate(table.cells('stage')):
        if stage not in STAGE_NAMES:
            known = ', '.join(STAGE_NAMES)
            raise ValueError(f'{table.at(row)}: stage is {stage!r}; it has to be one of {known}')
    return [dict(zip(names, values)) for values in zip(*columns)]


def _numbers(table: Table, name: str, may_be_empty: bool) -> list[float]:
    """Read numbers, inf among them (a diverged job), and nan from cells that may be empty."""
    values = []
    for row, cell in enumerate(table.cells(name)):
        try:
            values.append(float(cell or ('nan' if may_be_empty else '')))
        except ValueError:
            raise ValueError(f'{table.at(row)}: {name} is {cell!r}; it has to be a number') from None
    return values


def _read_stages(path: Path) -> dict[str, Any]:
    stages = read_json(path, REMEDY)
    if not isinstance(stages, dict) or not {'inference_flops', 'rows', 'terms'} <= set(stages) or not stages['rows']:
        raise ValueError(f'{path} should hold inference_flops, terms and at least one of rows; {REMEDY}')
    for kind, names in (('rows', ROW), ('terms', TERM)):
        for at, row in enumerate(stages[kind]):
            _need(row, names, f'{kind}[{at}] of {path}')
            if row['stage'] not in STAGE_NAMES:
                raise ValueError(f'{kind}[{at}] of {path} is of an unknown stage {row["stage"]!r}; {REMEDY}')
    for at, row in enumerate(stages['rows']):
        _need(row['checkpoints'], PICKS, f'rows[{at}].checkpoints of {path}')
        for law in LAW_NAMES:
            _need(row[law] or dict.fromkeys(CHOICE), CHOICE, f'rows[{at}].{law} of {path}')
    return stages


def _need(row: Any, names: tuple[str, ...], where: str) -> None:
    missing = [name for name in names if name not in row] if isinstance(row, dict) else names
    if missing:
        raise ValueError(f'{where} lacks {", ".join(missing)}; {REMEDY}')


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _ends(bands: Mapping[str, Any] | None) -> tuple[float, float]:
    low, high = (bands or {}).get('80') or (None, None)
    return _number(low), _number(high)
