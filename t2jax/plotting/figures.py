"""Every figure and table of a study: T2's eight and two, and what a report adds; each with words on how to read it.

`experiments/<name>.py` draws one, `t2jax report` all of them. Equal inputs give equal bytes.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from t2jax.config import write_text
from t2jax.plotting import (
    allocation,
    checkpoint_tables,
    curves,
    grid,
    isoflop,
    isoflop_tasks,
    overview,
    posttraining,
)
from t2jax.plotting.results import Results
from t2jax.plotting.style import figure_bytes

KINDS = ('png', 'pdf')


@dataclass(frozen=True)
class Drawing:
    """A figure or table: its file name, title, how to read it, and what draws it.

    `draw` returns the figure and the numbers behind it, or raises NotDrawn, which says what the study lacks.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Results], tuple[Figure, list[dict]]]


DRAWINGS = {
    drawing.name: drawing
    for drawing in (
        Drawing(
            'figure_1_overview',
            'The question, and this study’s answer',
            'The same two budgets spent as Chinchilla would and as T2 would. Left: size, training tokens and '
            'samples that each buys. Right: what Approach 2 (or 1, without it) expects of them as samples are '
            'drawn, until the inference budget ends.',
            overview.overview,
        ),
        Drawing(
            'figure_2_allocation',
            'What each training budget should buy',
            'Lines are the best size, tokens and tokens per parameter by each fitted law, dashed beyond the runs,'
            ' in the band that 80 % of refits to redrawn runs choose; marks of the same colour are the best '
            'trained checkpoints by the same measure, hollow where the best is the smallest or largest size '
            'measured.',
            allocation.optimal_allocation,
        ),
        Drawing(
            'figure_3_isoflop',
            'IsoFLOP profiles',
            'Each curve spends one training budget C on ever larger models: dots are trained checkpoints, curves '
            'the fitted law. On the left each model answers once; on the right the inference budget is equal too,'
            ' so that larger models draw fewer samples (top axis). Black is where Chinchilla stops, in colour the'
            ' optimum, each on the bar that 80 % of refits choose.',
            isoflop.isoflop_profiles,
        ),
        Drawing(
            'isoflop_loss',
            'IsoFLOP profiles of the loss',
            'The setting of Chinchilla: dots are checkpoints, curves the fitted law, black diamonds the size that'
            ' Chinchilla chooses at each training budget.',
            isoflop.isoflop_loss,
        ),
        Drawing(
            'figure_4_extrapolation',
            'Do the laws extrapolate to overtrained models?',
            'Each dot is one run at one k: a perfect law puts it on the diagonal, and the hollow dots are '
            'overtrained runs that the law was not fitted to.',
            curves.extrapolation,
        ),
        Drawing(
            'pass_at_k_curves',
            'Does pass@k from the likelihood agree with real samples?',
            'Lines are pass@k computed from the likelihood of the correct answer (of a study of counts: from '
            'those), circles the share of questions really solved within k samples, for a small, a middling '
            'and a large run.',
            curves.pass_at_k_curves,
        ),
        Drawing(
            'figure_6_nll_by_task',
            'Approach 1, task by task',
            'NLL of the answer in k tries against model size, by task and inference budget; the mark on a curve '
            'is its optimum.',
            isoflop_tasks.nll_by_task,
        ),
        Drawing(
            'figure_7_pass_at_k_by_task',
            'Approach 2, task by task',
            'pass@k against model size, by task and inference budget; the mark on a curve is its optimum.',
            isoflop_tasks.pass_at_k_by_task,
        ),
        Drawing(
            'figure_8_checkpoint_grid',
            'The grid of checkpoints',
            'Each cell is one trained model and holds its tokens per parameter; marks show the best run of each '
            'budget, dashed frames the overtrained runs that the extrapolation test kept from the laws.',
            grid.checkpoint_grid,
        ),
        Drawing(
            'table_1_checkpoints',
            'Checkpoints at equal budgets',
            'pass@k at k = C_inf / (2N) of trained checkpoints of the largest budget, size in brackets. '
            'Chinchilla-optimal: the lowest NLL of answers in one try. Overtrained: of the runs with more tokens '
            'per parameter the one of the highest pass@k, picked by the number it is compared by, so that a small'
            ' lead is no evidence.',
            checkpoint_tables.table_1,
        ),
        Drawing(
            'figure_5_post_training',
            'Optimal tokens per parameter after fine-tuning',
            'In colour the T2 optimum of each stage, in black that of Chinchilla fitted to the NLL of the same '
            'stage’s answers in one try, each with its 80 % interval; marks stand side by side at one budget, and'
            ' are hollow where the sizes trained or considered, and not the data, may have set the optimum or its'
            ' interval.',
            posttraining.post_training,
        ),
        Drawing(
            'fine_tuning_curves',
            'Fine-tuning, epoch by epoch',
            'Each line is one size at its longest pre-training, from its own NLL before (epoch 0) on; the dot is '
            'its lowest, so that a line which rises after its dot overfits, and a cross ends one that came out '
            'worse than before.',
            posttraining.fine_tuning_curves,
        ),
        Drawing(
            'table_2_post_training',
            'Checkpoints at equal budgets, after fine-tuning',
            'As Table 1, of the models fine-tuned on each task.',
            checkpoint_tables.table_2,
        ),
    )
}


def files_of(name: str, figure: Figure, numbers: list[dict]) -> dict[str, bytes]:
    """Render a drawing as files by name: PNG, PDF, and the numbers behind it as CSV."""
    pictures = {f'{name}.{kind}': figure_bytes(figure, kind) for kind in KINDS}
    return pictures | {f'{name}.csv': csv_bytes(numbers)}


def write_drawing(drawing: Drawing, results: Results, folder: Path) -> list[Path]:
    """Draw one figure of a study into a folder; returns its files. Raises NotDrawn before anything is written."""
    files = files_of(drawing.name, *drawing.draw(results))
    for name, content in files.items():
        write_text(folder / name, content)
    return [folder / name for name in files]


def csv_bytes(rows: list[dict]) -> bytes:
    """Write rows under the union of their names, in order of appearance; None and nan become empty cells."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval='', lineterminator='\n')
    writer.writeheader()
    writer.writerows(
        {name: '' if value is None or value != value else value for name, value in row.items()} for row in rows
    )
    return text.getvalue().encode()
