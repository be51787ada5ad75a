"""One page that says what a study found: the answer first, then the tables and figures behind it.

report/index.html needs no network and no neighbour files; every figure also lies beside it as PNG and PDF, with its
numbers as CSV. Equal inputs give equal bytes.
"""

from pathlib import Path

from t2jax.config import write_text
from t2jax.plotting import page
from t2jax.plotting.figures import DRAWINGS, csv_bytes, files_of
from t2jax.plotting.results import NotDrawn, read_results
from t2jax.plotting.table import answer_lines, table_rows

TABLES = ('answer.csv', 'post_training_table.csv')


def write_report(workdir: Path) -> Path:
    """Write report/index.html, the figures that can be drawn and their numbers; return the page's path.

    What a study lacks is said in the page. Raises FileNotFoundError or ValueError, one sentence, where nothing is
    measured yet or a file is broken; nothing is written then.
    """
    results = read_results(Path(workdir))
    files: dict[str, bytes] = {}
    lacking: dict[str, str] = {}
    for name, drawing in DRAWINGS.items():
        try:
            files |= files_of(name, *drawing.draw(results))
        except NotDrawn as reason:
            lacking[name] = str(reason)
    if results.rows:
        files['answer.csv'] = csv_bytes(table_rows(results.rows))
    if results.posttraining:
        files['post_training_table.csv'] = csv_bytes(results.posttraining.comparisons)
    stale = f'! {page.STALE}\n' if results.stale else ''
    files['answer.txt'] = (stale + _answer(results.rows, len(results.runs))).encode()
    pictures = {name: files[f'{name}.png'] for name in DRAWINGS if name not in lacking}
    files['index.html'] = page.page(results, pictures, lacking).encode()
    folder = Path(workdir) / 'report'
    for path in folder.glob('*'):  # of an earlier state of the study
        if path.name not in files and (path.stem in DRAWINGS or path.name in TABLES):
            path.unlink()
    for name, content in files.items():
        write_text(folder / name, content)
    return folder / 'index.html'


def _answer(rows: list[dict], runs: int) -> str:
    return (answer_lines(rows) if rows else page.NOT_FITTED.format(runs)) + '\n'
