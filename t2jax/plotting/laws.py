"""The figures of `t2jax fit`, `compare` and `plan`, and their files. Loads no jax, so that a plan stays quick."""

from pathlib import Path

from matplotlib.figure import Figure

from t2jax.config import write_text
from t2jax.plotting.law_compare import compare_figure
from t2jax.plotting.law_fit import fit_figure
from t2jax.plotting.law_plan import plan_figure
from t2jax.plotting.style import UNSAID, figure_bytes

__all__ = ['compare_figure', 'figure_kind', 'fit_figure', 'plan_figure', 'write_figure']


def figure_kind(path: str | Path) -> str:
    """Read from the end of `path` what kind of figure to write; ValueError for a kind that there is not."""
    kind = Path(path).suffix.lower().removeprefix('.')
    if kind not in UNSAID:
        *kinds, last = (f'.{kind}' for kind in UNSAID)
        raise ValueError(f'cannot write a figure to {path}: its name has to end in {", ".join(kinds)} or {last}')
    return kind


def write_figure(path: str | Path, figure: Figure) -> None:
    """Write a figure whole or not at all, as what the end of `path` says; ValueError where it says nothing known."""
    write_text(Path(path), figure_bytes(figure, figure_kind(path)))
