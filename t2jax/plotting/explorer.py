"""The part of a report in which a reader asks for a budget of their own: a form, its answer by law, two charts.

The mathematics of `t2jax.laws.plan`, ported, runs in the reader's browser on the fits inlined here. Without scripts,
and on paper, the section shows the answer for the study's own budgets, which Python computes.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

from t2jax.chips import TPUS
from t2jax.laws.budgets import Separate
from t2jax.laws.forms import LAWS
from t2jax.laws.plan import plan
from t2jax.laws.record import Fit, fit_to_dict
from t2jax.plotting.labels import (
    APPROACH_1,
    APPROACH_2,
    CHINCHILLA,
    LAW_NAMES,
    human_count,
    human_flops,
    human_loss,
    human_percent,
    human_ratio,
    law_name,
)
from t2jax.plotting.markup import asset, cells, prose, section, table
from t2jax.plotting.planner import constants, planner_script

REFITS = 200  # of each fit that the page holds at most: bands come at once, and the file stays small
MOST_BUDGETS = 8  # in the static answer
TITLE = 'Ask for your own budget'
LEADING = (APPROACH_2, APPROACH_1, CHINCHILLA)  # which law the one sentence is by: the first there is
COLUMNS = ('C (FLOPs)', 'law', 'N', 'D', 'D/N', 'k', 'predicted', '80 % of N', "Chinchilla's N", 'which loses')
_PRICES = {
    'paper': 'As in the paper: 6 N D to train, 2 N a token',
    'transformer': 'Exact FLOPs, with attention and prompt',
    **{chip: f'TPU {chip}: FLOPs and reading memory (eFLOPs)' for chip in TPUS},
}
_SELECTIONS = {
    'coverage': 'Any right sample counts (pass@k)',
    'verifier': 'A verifier that errs accepts one',
    'majority': 'A majority vote, at its worst',
}


def explorer_html(
    fits: Sequence[Fit], train_flops: float, inference_flops: float, budgets: Sequence[float] = ()
) -> str:
    """Write the section, for `document`: at first it asks for `train_flops` and `inference_flops` per served token.

    `budgets` are further training budgets, FLOPs, of the static answer. Needs no network; equal fits give equal text.
    """
    if not fits:
        raise ValueError('there is no fit to plan with; give at least one')
    order = list(LAW_NAMES)
    fits = sorted(fits, key=lambda fit: order.index(fit.law) if fit.law in order else len(order))
    alone = all(LAWS[fit.law].single_pass for fit in fits)
    train, inference = _as_said(train_flops), _as_said(inference_flops)
    asked = _some(sorted({train, *map(_as_said, budgets)}))
    settings = {
        'train': train,
        'inference': inference,
        'refits': REFITS,
        'leading': _leading([fit.law for fit in fits]),
        'names': {fit.law: law_name(fit.law) for fit in fits},
        'constants': constants(),
        'fits': [_inlined(fit) for fit in fits],
    }
    scripts = (planner_script(), *map(asset, ('words.js', 'charts.js', 'form.js', 'explorer.js')))
    body = [
        '<p>What should another budget buy? The laws fitted to this study answer here, in your browser. Far from the '
        'runs behind them they extrapolate, and say so.</p>',
        f'<div class="static">{_static_answer(fits, asked, inference)}</div>',
        '<noscript><p class="note">Scripts are off: this is the answer for the budgets of the study.</p></noscript>',
        '<output class="say live" aria-live="polite" hidden></output>',
        f'<form class="ask live" aria-label="Budget" novalidate hidden>{_form(alone)}</form>',
        _ANSWER,
        f'<script type="application/json" id="explorer-data">{_json(settings)}</script>',
        *(f'<script>\n{script}</script>' for script in scripts),
    ]
    return section(TITLE, '\n'.join(body), 'explorer', 'explorer')


def _as_said(budget: float) -> float:
    """Round a budget as it is written, so that what a reader types again gives the same answer."""
    return float(human_flops(budget))


def _some(budgets: Sequence[float]) -> list[float]:
    """Keep at most so many budgets as a table shows at a glance, evenly spread, the last among them."""
    step = -(-len(budgets) // MOST_BUDGETS)
    return list(budgets[::-1][::step][::-1])


def _leading(laws: Sequence[str]) -> str:
    return next((law for law in LEADING if law in laws), laws[0])


def _inlined(fit: Fit) -> dict[str, Any]:
    """Keep of a fit the first refits that are whole, as `t2jax.laws.bands` does."""
    whole = [values for values in zip(*fit.replicates.values()) if all(map(math.isfinite, values))][:REFITS]
    kept = dict(zip(fit.replicates, zip(*whole))) if whole else {}
    return fit_to_dict(replace(fit, replicates=kept))


def _json(values: Any) -> str:
    """Write JSON that can stand inside a script element; what is not finite becomes null."""
    return json.dumps(_finite(values), allow_nan=False, separators=(',', ':')).replace('<', '\\u003c')


def _finite(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _finite(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def _static_answer(fits: Sequence[Fit], budgets: Sequence[float], inference_flops: float) -> str:
    """Write one sentence for the largest of the study's budgets and a table of them all."""
    sentence, bodies = '', []
    for budget in budgets:
        head = human_flops(budget)
        try:
            choices = plan(fits, Separate(budget, inference_flops))['choices']
        except ValueError as error:
            bodies.append(
                f'<tr><th scope="row">{head}</th><td colspan="{len(COLUMNS) - 1}">{escape(str(error))}</td></tr>'
            )
            continue
        sentence = _purchase(choices[_leading(list(choices))], head)
        lines = [_line(law, choice) for law, choice in choices.items()]
        lines[0] = f'<th scope="rowgroup" rowspan="{len(lines)}">{head}</th>{lines[0]}'
        bodies.append(''.join(f'<tr>{line}</tr>' for line in lines))
    note = (
        f'With {human_flops(inference_flops)} FLOPs per served token: 6 N D to train, 2 N a sample. N is parameters, D '
        'training tokens, k the samples that are paid; for Chinchilla the prediction is for one.'
    )
    return f'<p>{prose(sentence)}</p>' * bool(sentence) + table(COLUMNS, bodies, note, texts=2)


def _purchase(choice: Mapping[str, Any], budget: str) -> str:
    whole = choice['whole']
    bought = f'{human_count(whole["params"])} parameters on {human_count(whole["tokens"])} tokens'
    drawn = f'draw {whole["samples"]:,} sample{"" if whole["samples"] == 1 else "s"} of each question'
    return f'With {budget} FLOPs, train {bought}' + (f' and {drawn}.' if whole['samples'] else '.')


def _line(law: str, choice: Mapping[str, Any]) -> str:
    write = human_loss if choice['target'] == 'nll' else human_percent
    between = (choice['bands'] or {}).get('params', {}).get('80')
    pick = choice['chinchilla']
    worse = '' if pick is None else 'pays no sample' if pick['value'] is None else write(pick['worse_by'])
    values = (
        law_name(law),
        human_count(choice['params']),
        human_count(choice['tokens']),
        human_ratio(choice['tokens_per_param']),
        human_count(choice['samples']) if choice['samples'] >= 1 - 1e-9 else '< 1',
        write(choice['value']),
        ' to '.join(map(human_count, between)) if between else '–',
        human_count(pick['params']) if pick else '–',
        worse or '–',
    )
    return cells(values)


def _form(alone: bool) -> str:
    """Write the controls. A budget has a field for exact numbers and a slider for its order of magnitude."""
    kinds = {'separate': 'training, and each answer', 'total': 'all at once, for its whole life'}
    radios = ''.join(
        f'<label><input type="radio" name="kind" value="{kind}">{words}</label>' for kind, words in kinds.items()
    )
    budgets = (
        f'<div class="fields" data-kind="separate">{_budget("train", "Training budget (FLOPs)")}'
        f'{_budget("inference", "Inference budget (FLOPs)")}</div>'
        f'<div class="fields" data-kind="total" hidden>{_budget("total", "Total budget (FLOPs)")}'
        f'{_budget("questions", "Questions it will answer")}</div>'
    )
    price = _choice('price', 'What an answer costs', _PRICES) + (
        f'<div class="fields small">{_field("answer", "Answer, tokens")}'
        f'{_field("prompt", "Prompt, tokens")}{_field("batch", "Rows at once")}</div>'
    )
    select = _choice('select', 'How one sample is picked', _SELECTIONS) + (
        f'<div class="fields small">{_field("tp", "Right ones accepted")}{_field("fp", "Wrong ones accepted")}</div>'
    )
    one_sample = (
        '<p class="note">The only law here is of losses, so the plan is for one sample of each question; k is what the '
        'inference budget would pay.</p>'
    )
    return (
        f'<fieldset><legend>A budget for</legend><div class="radios">{radios}</div>{budgets}</fieldset>'
        f'<fieldset class="fields"><legend>Price and choice</legend><div>{price}</div>'
        f'<div{" hidden" if alone else ""}>{select}</div></fieldset>{one_sample if alone else ""}'
        '<p class="error" id="ask-error" role="alert"></p>'
        '<button type="button" name="back">Back to the study\'s budgets</button>'
    )


def _budget(name: str, label: str) -> str:
    slider = f'<input type="range" name="{name}-slider" aria-label="{label}, order of magnitude" step="0.05">'
    return f'<div>{_field(name, label)}{slider}</div>'


def _field(name: str, label: str) -> str:
    return (
        f'<div data-field="{name}"><label for="ask-{name}">{label}</label>'
        f'<input type="text" id="ask-{name}" name="{name}" autocomplete="off" spellcheck="false" '
        f'aria-describedby="{name}-error"><p class="error" id="{name}-error" role="alert"></p></div>'
    )


def _choice(name: str, label: str, options: Mapping[str, str]) -> str:
    listed = ''.join(f'<option value="{value}">{escape(words)}</option>' for value, words in options.items())
    return f'<label for="ask-{name}">{label}</label><select id="ask-{name}" name="{name}">{listed}</select>'


_ANSWER = """<div class="live" hidden>
<div class="laws"></div>
<p class="unable"></p>
<div class="charts">
<figure id="sizes-chart"><h3>What each model size would give</h3>
<fieldset class="radios"><legend>By the law</legend></fieldset>
<div class="drawing"></div><figcaption></figcaption></figure>
<figure id="frontier-chart"><h3>The best size as the budget grows</h3>
<div class="drawing"></div><figcaption></figcaption></figure>
</div>
<div class="command"><p class="note">The same in a terminal, WORKDIR being the folder of the study:</p>
<code></code><button type="button">Copy</button></div>
</div>"""
