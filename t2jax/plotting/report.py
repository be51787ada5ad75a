"""One page that says what a study found: the answer first, then the tables and figures behind it.

report/index.html needs no network and no neighbour files; every figure also lies beside it as PNG, with its
numbers as CSV. Equal inputs give equal bytes.
"""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from t2jax.config import write_text
from t2jax.plotting import curves, grid, isoflop, page, posttraining
from t2jax.plotting.results import Results, read_results
from t2jax.plotting.style import png_bytes
from t2jax.plotting.table import answer_lines, table_rows

FIGURES: dict[str, Callable[[Results], tuple[Figure, list[dict]]]] = {
    'isoflop_inference_corrected': isoflop.isoflop_inference_corrected,
    'optimal_allocation': grid.optimal_allocation,
    'isoflop_single_pass': isoflop.isoflop_single_pass,
    'extrapolation': curves.extrapolation,
    'pass_at_k_curves': curves.pass_at_k_curves,
    'checkpoint_grid': grid.checkpoint_grid,
}
# Of a study that fine-tuned its runs.
POST_TRAINING: dict[str, Callable[[Results], tuple[Figure, list[dict]]]] = {
    'post_training': posttraining.post_training,
    'fine_tuning_curves': posttraining.fine_tuning_curves,
}


def write_report(workdir: Path) -> Path:
    """Write report/index.html, its figures and their numbers into a finished study; return the page's path.

    Raises FileNotFoundError or ValueError, one sentence, where observations, fits or the allocation are
    missing or broken; nothing is written then.
    """
    results = read_results(Path(workdir))
    pictures, files = {}, {}
    after = results.posttraining
    for name, draw in (FIGURES | (POST_TRAINING if after else {})).items():
        if name != 'extrapolation' or results.has_held_out:
            figure, numbers = draw(results)
            pictures[name] = png_bytes(figure)
            files |= {f'{name}.png': pictures[name], f'{name}.csv': _csv_bytes(numbers)}
    files['answer.csv'] = _csv_bytes(table_rows(results.rows))
    if after:
        files['post_training_table.csv'] = _csv_bytes(after.comparisons)
    files['answer.txt'] = (answer_lines(results.rows) + '\n').encode()
    files['index.html'] = page.page(results, pictures).encode()
    folder = Path(workdir) / 'report'
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_text(folder / name, content)
    return folder / 'index.html'


def _csv_bytes(rows: list[dict]) -> bytes:
    """Write rows under the union of their names, in order of appearance; None and nan become empty cells."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval='', lineterminator='\n')
    writer.writeheader()
    writer.writerows(
        {name: '' if value is None or value != value else value for name, value in row.items()} for row in rows
    )
    return text.getvalue().encode()
