"""The answer as a table: every rule at every training budget, for a terminal, a CSV or a page.

N counts the blocks and the output head, not the input embedding.
"""

import textwrap
from typing import Any

from t2jax.plotting.answer import PICKS, RULES, answer_sentences, cautions, headline
from t2jax.plotting.labels import human_count, human_flops, human_loss, human_percent, human_ratio, whole_samples

WIDTH = 110
COLUMNS = ('rule', 'N', 'D', 'D/N', 'k', 'loss', 'NLL', 'pass@k')
NOTES = (
    'N: parameters of the blocks and the output head, without the input embedding. D: training tokens. '
    'k: samples that the inference budget buys at 2N FLOPs per token, rounded down. '
    'loss: of a single pass, nats. NLL (nats, lower is better) and pass@k are averages over the tasks, at k before '
    'rounding.'
)


def answer_lines(rows: list[dict]) -> str:
    """Write the answer and its table for a terminal, at most 110 columns wide."""
    rows = sorted(rows, key=lambda row: row['train_flops'])
    blocks = [headline(rows)]
    blocks += [f'- {sentence}' for sentence in answer_sentences(rows[-1])]
    blocks += [f'! {sentence}' for sentence in cautions(rows)]
    lines = [line for block in blocks for line in textwrap.wrap(block, WIDTH, subsequent_indent='  ')]
    return '\n'.join([*lines, '', *_text_table(rows), '', *textwrap.wrap(NOTES, WIDTH)])


def table_rows(rows: list[dict]) -> list[dict[str, Any]]:
    """Flatten allocation rows into one row per budget and rule, numbers still numbers, None where unknown."""
    flat = []
    for row in rows:
        for rule, name in RULES.items():
            choice = row['checkpoints'].get(rule) if rule in PICKS else row.get(rule)
            if choice:
                entry = {'train_flops': row['train_flops'], 'inference_flops': row['inference_flops']}
                entry |= {'rule': name, 'run': choice.get('run', '')}
                entry |= {column: choice[column] for column in ('params', 'tokens', 'tokens_per_param')}
                entry['samples'] = whole_samples(row['inference_flops'] / (2 * choice['params']))
                flat.append(entry | _values(rule, choice))
    return flat


def _values(rule: str, choice: dict) -> dict[str, float | None]:
    """Read the loss, and NLL and pass@k at k = C_inf / (2N); the best by loss has its loss as `nll`."""
    if rule not in PICKS:
        return {name: choice.get(name) for name in ('loss', 'nll', 'pass_at_k')}
    values = {'loss': None, 'nll': choice.get('nll_at_k'), 'pass_at_k': choice.get('pass_at_k')}
    return values | ({'loss': choice['nll']} if rule == 'single_pass' else {rule: choice['value']})


def written(entry: dict[str, Any]) -> tuple[str, ...]:
    """Write one flat row as text in the order of COLUMNS."""
    counts = (
        human_count(entry['params']),
        human_count(entry['tokens']),
        human_ratio(entry['tokens_per_param']),
    )
    samples = f'{entry["samples"]:,}' if entry['samples'] else '< 1'
    values = human_loss(entry['loss']), human_loss(entry['nll']), human_percent(entry['pass_at_k'])
    return entry['rule'], *counts, samples, *values


def _text_table(rows: list[dict]) -> list[str]:
    head = f'{"C (FLOPs)":<11}{COLUMNS[0]:<28}' + ''.join(f'{name:>10}' for name in COLUMNS[1:])
    lines, last = [head, '-' * len(head)], ''
    for entry in table_rows(rows):
        budget, cells = human_flops(entry['train_flops']), written(entry)
        numbers = ''.join(f'{cell:>10}' for cell in cells[1:])
        lines.append(f'{budget if budget != last else "":<11}{cells[0]:<28}{numbers}')
        last = budget
    return lines
