"""What `python experiments/figure_N_....py WORKDIR` does: draw one figure or table of any study."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

Flag = tuple[str, dict[str, Any], str]


def main(
    name: str, doc: str, argv: Sequence[str] | None = None, flags: Sequence[Flag] = (), of_losses: str | None = None
) -> int:
    """Draw the figure of this name as PNG, PDF and CSV; returns the exit code, 2 where it cannot be drawn.

    Each of `flags` is a switch: its name, the keyword arguments that it gives the drawing, and what it does. A study of
    losses alone has the figure `of_losses` in its stead.
    """
    parser = argparse.ArgumentParser(description=doc.split('\n')[0])
    what = 'workdir of any study: trained here, a grid, or an imported ladder'
    parser.add_argument('workdir', type=Path, help=what)
    parser.add_argument('--out', type=Path, help='folder of the files (default: WORKDIR/report)')
    for flag, _, words in flags:
        parser.add_argument(f'--{flag}', action='store_true', help=words)
    options = parser.parse_args(argv)
    from t2jax.plotting.figures import DRAWINGS, write_drawing
    from t2jax.plotting.results import read_results

    given: dict[str, Any] = {}
    for flag, keywords, _ in flags:
        if getattr(options, flag.replace('-', '_')):
            given |= keywords
    try:
        results = read_results(options.workdir)
        drawing = DRAWINGS[of_losses if of_losses and not len(results.observations) else name]
        drawing = replace(drawing, draw=partial(drawing.draw, **given))
        paths = write_drawing(drawing, results, options.out or options.workdir / 'report')
    except (ValueError, OSError) as error:
        print(f'{name}: {error}', file=sys.stderr)
        return 2
    print(*paths, sep='\n')
    return 0
