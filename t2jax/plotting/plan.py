"""A plan as text for a terminal."""

import textwrap
from typing import Any

from t2jax.plotting.labels import human_count, human_flops, human_loss, human_percent, human_ratio, law_name

WIDTH = 88
_ROWS = (
    ('params', 'N, parameters', human_count),
    ('tokens', 'D, training tokens', human_count),
    ('tokens_per_param', 'D/N', human_ratio),
)


def plan_lines(plan: dict[str, Any]) -> str:
    """Write each law's choice with its bands, then its alternatives and warnings, at most 88 columns wide."""
    lines = _wrapped(
        f'With {_budget(plan["budget"], plan["price"])}; {plan["price"]["name"]}; {plan["selection"]}:', ''
    )
    for law, choice in plan['choices'].items():
        lines += ['', *_table(law_name(law), choice)]
        for sentence in _sentences(choice, law):
            lines += _wrapped(sentence, '  ')
        for warning in choice['warnings']:
            lines += _wrapped(f'! {warning}', '  ')
        if choice['chinchilla'] and choice['chinchilla']['warnings']:
            lines += _wrapped(f"! Chinchilla's pick: {'; '.join(choice['chinchilla']['warnings'])}", '  ')
    lines += [line for warning in plan['warnings'] for line in ['', *_wrapped(f'! {warning}', '')]]
    return '\n'.join(lines)


def _budget(budget: dict[str, float | None], price: dict[str, str]) -> str:
    served = price['served']
    if 'total' in budget:
        count = f'{human_count(budget["questions"])} {"served tokens" if served == "token" else "questions"}'
        return f'{_amount(budget["total"], price["unit"])} for training and {count} together'
    each = '' if budget['inference'] is None else f' and {_amount(budget["inference"], price["unit"])} per '
    each += '' if budget['inference'] is None else 'served token' if served == 'token' else 'question'
    return f'{_amount(budget["train"], price["train_unit"])} to train{each}'


def _amount(value: float, unit: str) -> str:
    return f'{human_flops(value) if unit.endswith("FLOPs") else human_count(value)} {unit}'


def _table(name: str, choice: dict[str, Any]) -> list[str]:
    """Write the optimum, a row for each of its numbers."""
    bands = choice['bands'] or {}
    levels = list(next(iter(bands.values()), {}))
    rows = [*_ROWS, ('samples', 'k, samples', _samples), ('value', *_target(choice, name))]
    lines = [f'{name:<24}{"":>12}' + ''.join(f'{level + " %":>24}' for level in levels)]
    for key, label, write in rows:
        between = [' to '.join(write(end) for end in ends) for ends in bands.get(key, {}).values()]
        lines.append(f'  {label:<22}{write(choice[key]):>12}' + ''.join(f'{text:>24}' for text in between))
    return [line.rstrip() for line in lines]


def _target(choice: dict[str, Any], law: str) -> tuple[str, Any]:
    if choice['target'] == 'nll':
        return ('loss' if law == law_name('chinchilla') else 'NLL'), human_loss
    return ('pass@k' if choice['target'] == 'pass_at_k' else 'success'), human_percent


def _sentences(choice: dict[str, Any], law: str) -> list[str]:
    label, write = _target(choice, law_name(law))
    bought, pick, second = choice['whole'], choice['chinchilla'], choice['second_best']
    said = []
    if pick is None:
        said.append(f'To buy: {_purchase(bought)}; {label} {write(bought["value"])} for one.')
    else:
        said.append(f'To buy: {_purchase(bought)}; {label} {write(bought["value"])}.')
        by = "Chinchilla's pick" + ('' if pick['by'] == 'chinchilla' else ' (this law for one sample)')
        said.append(f'{by}, at the same budgets: {_purchase(pick)}{_worse(pick, label, write)}.')
    if second is not None:
        said.append(f'Second best, of the sizes trained: {_purchase(second)}{_worse(second, label, write)}.')
    return said


def _purchase(choice: dict[str, Any]) -> str:
    k = choice['samples']
    samples = f'{k:,} sample{"s" if k > 1 else ""}' if k else 'for which the budget pays no sample'
    return f'{human_count(choice["params"])} parameters, {human_count(choice["tokens"])} tokens, {samples}'


def _worse(other: dict[str, Any], label: str, write: Any) -> str:
    """Say how much worse another choice is, with its bands."""
    if other['value'] is None:
        return ''
    text = f'; {label} {write(other["value"])}, worse by {write(other["worse_by"])}'
    if other['bands']:
        bands = [f'{level} %: {write(low)} to {write(high)}' for level, (low, high) in other['bands'].items()]
        text += f' ({"; ".join(bands)}), better in {100 * other["better_in"]:.0f} % of refits'
    return text


def _samples(k: float) -> str:
    return '< 1' if k < 1 - 1e-9 else human_count(k)


def _wrapped(text: str, indent: str) -> list[str]:
    """Break a sentence into lines, but not between a number and its %."""
    text, ends = text.replace(' %', '\xa0%'), {'initial_indent': indent, 'subsequent_indent': indent + '  '}
    lines = textwrap.wrap(text, WIDTH, break_on_hyphens=False, **ends)
    return [line.replace('\xa0', ' ') for line in lines]
