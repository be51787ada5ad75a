"""A plan as text for a terminal."""

import textwrap
from typing import Any

from t2jax.plotting.labels import LAW_NAMES, human_count, human_flops, human_loss, human_percent, human_ratio
from t2jax.plotting.table import WIDTH

HEAD = ('law', 'N', 'D', 'D/N', 'k', 'predicted')


def plan_lines(plan: dict[str, Any]) -> str:
    """Write each law's choice as a row, then Chinchilla's value at equal budgets, then the warnings."""
    budgets = f'{human_flops(plan["train_flops"])} FLOPs to train and {human_flops(plan["inference_flops"])} FLOPs'
    lines = [f'With {budgets} per served token:', '', _row(HEAD)]
    notes = []
    for law, choice in plan['choices'].items():
        counts = (
            human_count(choice['params']),
            human_count(choice['tokens']),
            human_ratio(choice['tokens_per_param']),
        )
        samples = f'{choice["samples"]:,}' if choice['samples'] else '< 1'
        once = 'at_equal_budgets' in choice
        value = f'loss {human_loss(choice["value"])}' if once else _value(choice['target'], choice['value'])
        lines.append(_row((LAW_NAMES.get(law, law), *counts, samples, value)))
        for other, value in choice.get('at_equal_budgets', {}).items():
            target = plan['choices'][other]['target']
            lines.append(f'  at equal budgets, by {LAW_NAMES.get(other, other)}: {_value(target, value)}')
        notes += [f'{LAW_NAMES.get(law, law)}: {warning}' for warning in choice['warnings']]
    lines.append('')
    for note in notes:
        lines += textwrap.wrap(f'! {note}', WIDTH, subsequent_indent='  ')
    return '\n'.join(lines).rstrip()


def _row(cells: tuple[str, ...]) -> str:
    name, *numbers, value = cells
    return f'{name:<22}' + ''.join(f'{number:>10}' for number in numbers) + f'   {value}'


def _value(target: str, value: float) -> str:
    return f'NLL {human_loss(value)}' if target == 'nll' else f'pass@k {human_percent(value)}'
