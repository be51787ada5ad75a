"""Pre-flight of the paper's grid: every size compiled for Cloud TPU slices, on a machine without TPUs.

    pip install '.[tpu]'
    python experiments/preflight.py

compiles the training step of the 16 sizes and of the grouped-query row for v5e:4x4, and 901M's for larger slices of
four kinds, with a decode step of the largest; about two minutes of a CPU core each. Writes experiments/preflight.md as
it goes; rows are kept in out/preflight.jsonl, so a second call compiles only what is missing; remove it to start anew.

Hardware: none. Result: experiments/preflight.md.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault('JAX_PLATFORMS', 'cpu')  # before jax is imported: this machine's accelerator stays free
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for configs/

from configs import ladder, layouts, recipe  # noqa: E402
from t2jax.config import write_text  # noqa: E402
from t2jax.preflight import compile_decode, compile_train  # noqa: E402
from t2jax.slices import parse_slice  # noqa: E402
from t2jax.training.runs import RunConfig  # noqa: E402

TABLE, ROWS = Path('experiments/preflight.md'), Path('out/preflight.jsonl')
LARGER = (('v5e:16x16', 1), ('v5e:4x4', 2), ('v4:2x2x4', 1), ('v5p:2x2x4', 1), ('v6e:4x4', 1), ('v6e:8x8', 1))
GIB = 2**30


def main() -> None:
    """Compile what is missing, and write the table after each."""
    models = {**ladder.porian(), **ladder.grouped_query()}
    jobs = [('train', size, 'v5e:4x4', 1) for size in reversed(models)]
    jobs += [('train', '901M', *larger) for larger in LARGER] + [('decode', '901M', 'v5e:4x4', 1)]
    for what, size, name, slices in jobs:
        tpu = parse_slice(name, slices)
        key = [what, size, str(tpu)]
        if key in [row['key'] for row in finished()]:
            continue
        print(*key, flush=True)
        if what == 'train':
            run = RunConfig(size, models[size], 1e9, recipe.PAPER, seed=0, layout=layouts.V5E_16[size])
            report = compile_train(run, tpu)
        else:
            report = compile_decode(size, models[size], tpu)
        ROWS.parent.mkdir(parents=True, exist_ok=True)
        with ROWS.open('a') as file:
            file.write(json.dumps({'key': key, **dataclasses.asdict(report)}) + '\n')
        write_text(TABLE, table(finished(), list(models)))


def finished() -> list[dict[str, Any]]:
    """Read the rows there are."""
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def table(rows: list[dict[str, Any]], sizes: list[str]) -> str:
    """Lay the rows out as Markdown."""
    versions = ', '.join(f'{name} {importlib.metadata.version(name)}' for name in ('jax', 'jaxlib', 'libtpu'))
    lines = [
        '# Pre-flight',
        '',
        f'Written by `python experiments/preflight.py` on {datetime.date.today()}: {versions}, no TPU. A training',
        'step of 256 x 2048 tokens in bfloat16, as XLA compiles it for each slice. GiB: peak of a chip, arguments',
        "included, of its memory; in brackets `t2jax inspect`'s estimate. Collectives: MB that a chip sends in a step,",
        'and how many. Roofline: ms of compute, memory and links alone; MFU if nothing overlaps, and if all does.',
        'Decode: the loop of `t2jax sample`, with as many rows as were estimated to fit the memory in brackets;',
        'times are of a step.',
        '',
        '| step | slice | data x fsdp | microbatches, remat | GiB | collectives | roofline | MFU | compiled in |',
        '|---|---|---|---|---|---|---|---|---|',
    ]
    order = {size: i for i, size in enumerate(sizes)}
    place = lambda row: (row['key'][0] != 'train', row['key'][2] != 'v5e:4x4', order[row['key'][1]])
    for row in sorted(rows, key=place):
        what, size, name = row['key']
        estimate = f' ({row["memory_estimated"] / GIB:.1f})' if row['memory_estimated'] else ''
        sent = ', '.join(f'{kind} {t["bytes"] / 1e6:,.0f} ({t["count"]:,})' for kind, t in row['collectives'].items())
        seconds = ', '.join(f'{1e3 * row["seconds"][part]:.1f}' for part in ('compute', 'memory', 'links'))
        layout = row['layout']
        cells = (
            f'{what} {size}',
            name,
            f'{row["mesh"]["data"]} x {row["mesh"]["fsdp"]}',
            f'{layout["microbatches"]}, {layout["remat"]}',
            f'{row["memory"] / GIB:.1f}{estimate} of {row["memory_of_chip"] / GIB:.0f}',
            sent or 'none',
            seconds,
            f'{row["mfu"][0]:.0%} to {row["mfu"][1]:.0%}' if row['mfu'] else '',
            f'{row["compile_seconds"]:.0f} s',
        )
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    main()
