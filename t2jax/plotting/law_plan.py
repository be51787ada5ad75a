"""What a budget should buy: by each law, the predicted value of every model size that the budget pays."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from t2jax.plotting.labels import CHINCHILLA, human_count, human_flops, human_loss, human_percent, human_ratio, law_name
from t2jax.plotting.style import (
    FAINT,
    INK,
    LAW_MARKERS,
    house_style,
    key_below,
    law_look,
    log_axis,
    new_figure,
    share_axis,
    title_above,
)

COLUMNS = 3
TARGETS = {
    'nll': 'NLL (nats), lower is better',
    'pass_at_k': 'pass@k, higher is better',
    'success': 'success, higher is better',
}
PICK = {'marker': LAW_MARKERS[CHINCHILLA], 'color': '#111111', 'ls': 'none', 'ms': 7, 'mec': 'white', 'mew': 0.8}
SPAN = {'marker': '|', 'color': INK, 'lw': 1.2, 'ms': 8}
DATA = {'color': '#f1f3f5', 'lw': 0, 'zorder': 0}
PARTS = ('params', 'tokens', 'tokens_per_param', 'samples', 'value')


@house_style
def plan_figure(plan: dict[str, Any]) -> tuple[Figure, list[dict]]:
    """Draw the value against N at the plan's budgets, by law: 80 % bands, optimum, Chinchilla's pick.

    `plan` is what `t2jax.laws.plan.plan` returns. Returns the figure and its curves, optima and picks as rows.
    """
    choices = plan['choices']
    columns = min(COLUMNS, len(choices))
    lines, width = -(-len(choices) // columns), max(4.3 * columns, 9.0)
    figure, axes = new_figure(lines, columns, width=width, height=0.9 + 3.7 * lines)
    for axis in axes.flat[len(choices) :]:
        axis.set_visible(False)
    numbers = []
    for axis, (law, choice) in zip(axes.flat, choices.items()):
        numbers += _panel(axis, law, choice)
    title_above(figure, _title(plan))
    _add_key(figure, list(choices.values()))
    return figure, numbers


def _panel(axis: Axes, law: str, choice: dict[str, Any]) -> list[dict]:
    """Draw one law; return its numbers."""
    look, curve, pick = law_look(law), choice['curve'], choice['chinchilla']
    sizes, shown = [*curve['params'], choice['params']], [*curve['value'], choice['value']]
    axis.axvspan(*choice['params_range'], **DATA)
    if curve['low'] is not None:
        axis.fill_between(curve['params'], curve['low'], curve['high'], color=look['color'], alpha=0.18, lw=0, zorder=1)
        shown += [*curve['low'], *curve['high']]
    axis.plot(curve['params'], curve['value'], color=look['color'], zorder=2)
    between = (choice['bands'] or {}).get('params', {}).get('80')
    if between:
        axis.plot(between, [0.03] * 2, **SPAN, transform=axis.get_xaxis_transform(), zorder=3)
        axis.axvline(choice['params'], color=INK, lw=0.9, ls=':', zorder=1)
    axis.plot(choice['params'], choice['value'], **look, ls='none', ms=9, mec='white', mew=0.8, zorder=5)
    if pick and pick['value'] is not None:
        axis.plot(pick['params'], pick['value'], **PICK, zorder=4)
        sizes.append(pick['params'])
        shown.append(pick['value'])
    log_axis(axis, 'x', min(sizes) / 1.2, max(sizes) * 1.2, lambda value: human_count(value, 2), most=6)
    axis.set_xlabel('Parameters N')
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if choice['target'] == 'nll':
        air = (high / low) ** 0.08 * 1.001
        log_axis(axis, 'y', low / air, high * air, lambda value: f'{value:g}')
    else:
        share_axis(axis, low, high)
    axis.set_ylabel(TARGETS[choice['target']])
    axis.set_title(law_name(law) + ('' if pick else ', k = 1'), color=look['color'], pad=30)
    axis.text(0, 1.02, _note(choice), transform=axis.transAxes, fontsize=8.5, color='#444444').set_in_layout(False)
    numbers = [
        {'law': law, 'kind': 'curve', **{name: values and values[at] for name, values in curve.items()}}
        for at in range(len(curve['params']))
    ]
    numbers.append({'law': law, 'kind': 'optimum', **{name: choice[name] for name in PARTS}})
    return numbers + ([{'law': law, 'kind': 'chinchilla', **{name: pick[name] for name in PARTS}}] if pick else [])


def _note(choice: dict[str, Any]) -> str:
    """Say in two lines what the optimum and Chinchilla's pick are."""
    pick = choice['chinchilla']
    if pick is None:
        return f'optimum: {_purchase(choice, "")}'
    by = "Chinchilla's" if pick['by'] == CHINCHILLA else 'for one sample'
    return '\n'.join(f'{name}: {_purchase(each, choice["target"])}' for name, each in (('optimum', choice), (by, pick)))


def _purchase(choice: dict[str, Any], target: str) -> str:
    """Write N, D/N, the value, and k unless it is one sample's law."""
    said = f'N {human_count(choice["params"])}, D/N {human_ratio(choice["tokens_per_param"])}, '
    if not target:
        return f'{said}NLL {human_loss(choice["value"])}'
    k = human_count(choice['samples']) if choice['samples'] >= 1 - 1e-9 else '< 1'
    value = f'NLL {human_loss(choice["value"])}' if target == 'nll' else human_percent(choice['value'])
    return f'{said}k {k}, {value}'


def _title(plan: dict[str, Any]) -> str:
    """Say the budget, the price and the selection."""
    budget, price = plan['budget'], plan['price']
    served = 'served token' if price['served'] == 'token' else price['served']
    if 'total' in budget:
        budgets = f'{human_flops(budget["total"])} {price["unit"]} for training and '
        budgets += f'{human_count(budget["questions"])} {served}s'
    else:
        budgets = f'{human_flops(budget["train"])} {price["train_unit"]} to train'
        if budget['inference'] is not None:
            budgets += f', {human_flops(budget["inference"])} {price["unit"]} per {served}'
    return f'{budgets}; {price["name"]}; {plan["selection"]}'


def _add_key(figure: Figure, choices: list[dict[str, Any]]) -> None:
    """Name the marks, as far as any panel has them."""
    faint = {'color': FAINT, 'alpha': 0.35}
    picks = [choice['chinchilla'] for choice in choices if choice['chinchilla']]
    pick_name = "Chinchilla's pick" if any(pick['by'] == CHINCHILLA for pick in picks) else 'pick for one sample'
    marks = [
        (Line2D([], [], color=FAINT, marker='o', ms=8, mec='white'), 'prediction and optimum', True),
        (Patch(**faint, lw=0), '80 % of refits', any(choice['curve']['low'] is not None for choice in choices)),
        (Line2D([], [], **SPAN), '80 % of their optima', any(c['bands'] for c in choices)),
        (Line2D([], [], **PICK), pick_name, bool(picks)),
        (Patch(**DATA), 'sizes in the data', True),
    ]
    kept = [(handle, name) for handle, name, shown in marks if shown]
    key_below(figure, *zip(*kept))
