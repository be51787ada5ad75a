"""The report as HTML: words and tables computed from results, figures inlined, nothing fetched."""

import base64
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np

from t2jax.plotting.labels import (
    APPROACH_1,
    APPROACH_2,
    CHINCHILLA,
    LAW_NAMES,
    TASK_NAMES,
    human_flops,
    human_percent,
)
from t2jax.plotting.markup import bullets, cells, document, row, section, table
from t2jax.plotting.posttraining_html import posttraining_html
from t2jax.plotting.questions import english_html, questions_html
from t2jax.plotting.results import Results
from t2jax.plotting.table import (
    COLUMNS,
    NOTES,
    answer_sentences,
    cautions,
    headline,
    table_rows,
    written,
)

# Held-out errors that the paper (T2, figure 4) reports.
PAPER_ERRORS = {APPROACH_1: '2.8 %', APPROACH_2: '8.4 %'}
# What each law is about first of all; its fits to single tasks stand below.
MAIN_TASK = {CHINCHILLA: 'text', APPROACH_1: 'macro', APPROACH_2: 'macro'}

# Title of each figure, and one sentence that tells a stranger how to read it.
FIGURE_WORDS = {
    'isoflop_inference_corrected': (
        'Model size at equal training and inference budgets',
        'Each curve spends one training budget C on ever larger models, which can then draw fewer and fewer '
        'samples (top axis); dots are trained checkpoints, curves the fitted law, and the coloured mark '
        'where a curve is best is the T2 optimum, to be compared with the black diamond of Chinchilla.',
    ),
    'optimal_allocation': (
        'What each training budget should buy',
        'Lines are the best size (left) and tokens per parameter (right) by each fitted law, dashed beyond '
        'the runs; marks of the same colour, set side by side, are the best trained checkpoints by the same '
        'measure, hollow where the best is the smallest or largest size measured.',
    ),
    'isoflop_single_pass': (
        'Model size when each model answers once',
        'The setting of Chinchilla: dots are checkpoints, curves the fitted law (left the loss on held-out text by '
        'Chinchilla, right pass@1 by Approach 2), and black diamonds the size that Chinchilla chooses.',
    ),
    'extrapolation': (
        'Do the laws extrapolate to overtrained models?',
        'Each dot is one run at one k: a perfect law puts it on the diagonal, and the hollow dots are '
        'overtrained runs that the law was not fitted to.',
    ),
    'pass_at_k_curves': (
        'Does pass@k from the likelihood agree with real samples?',
        'Lines are pass@k computed from the likelihood of the correct answer, circles the share of questions '
        'really solved within k samples, for a small, a middling and a large run of the largest budget.',
    ),
    'checkpoint_grid': (
        'The runs behind all this',
        'Each cell is one trained model and holds its tokens per parameter; marks show the best run of each '
        'budget, dashed frames the overtrained runs that the extrapolation test kept from the laws.',
    ),
    'post_training': (
        'Optimal tokens per parameter after fine-tuning',
        'In colour the T2 optimum of each stage, in black that of Chinchilla fitted to the NLL of the same '
        "stage's answers in one try, each with its 80 % interval; marks stand side by side at one budget, and are "
        'hollow where the sizes trained or considered, and not the data, may have set the optimum or its interval.',
    ),
    'fine_tuning_curves': (
        'Fine-tuning, epoch by epoch',
        'Each line is one size at its longest pre-training, from its own NLL before (epoch 0) on; the dot is its '
        'lowest, so that a line which rises after its dot overfits, and a cross ends one that came out worse than '
        'before.',
    ),
}


def page(results: Results, pictures: Mapping[str, bytes]) -> str:
    """Write the whole page; `pictures` are PNG bytes by figure name."""
    rows = results.rows
    sections = [
        section('What the budget should buy', _answer(rows)),
        section('The answer at every training budget', _answer_table(rows)),
        _figures(pictures, ('isoflop_inference_corrected', 'optimal_allocation', 'isoflop_single_pass')),
        section('How far off are the laws?', _errors(results)),
        _figures(pictures, ('extrapolation',)),
        section('The fitted laws', _fits(results)),
        section('Sampled against likelihood pass@k', _agreement(results)),
        _figures(pictures, ('pass_at_k_curves', 'checkpoint_grid')),
        *_after_fine_tuning(results, pictures),
        section('What was asked', questions_html(results.asked)),
        section('What larger models are asked', english_html()),
        section('Where this comes from', _provenance(results)),
    ]
    return document(headline(rows), sections)


def _after_fine_tuning(results: Results, pictures: Mapping[str, bytes]) -> list[str]:
    """Write what fine-tuning changes, if the study fine-tuned."""
    if results.posttraining is None:
        return []
    figures = _figures(pictures, ('post_training', 'fine_tuning_curves'))
    return [section('After fine-tuning', posttraining_html(results.posttraining)), figures]


def _answer(rows: list[dict]) -> str:
    against = cautions(rows)
    if against:
        care = f'<div class="caution"><p><strong>Read with care</strong></p>{bullets(against)}</div>'
    else:
        care = (
            '<p>At every budget both laws and the trained checkpoints put the T2 optimum at a smaller model '
            'than Chinchilla, and every best checkpoint has smaller and larger ones trained beside it.</p>'
        )
    return bullets(answer_sentences(rows[-1])) + care


def _answer_table(rows: list[dict]) -> str:
    bodies, flat = [], table_rows(rows)
    for budget in dict.fromkeys(entry['train_flops'] for entry in flat):
        mine = [entry for entry in flat if entry['train_flops'] == budget]
        head = f'<th scope="rowgroup" rowspan="{len(mine)}">{human_flops(budget)}</th>'
        lines = [(head if entry is mine[0] else '') + cells(written(entry)) for entry in mine]
        bodies.append(''.join(f'<tr>{line}</tr>' for line in lines))
    note = f'Inference budget C_inf = {human_flops(rows[0]["inference_flops"])} FLOPs per served token. {NOTES}'
    return table(('C (FLOPs)', *COLUMNS), bodies, note, texts=2)


def _errors(results: Results) -> str:
    if not results.has_held_out:
        return '<p>No run was held out of a fit, so nothing is known about how the laws extrapolate.</p>'
    lines, verdicts = [], []
    for law, by_task in results.held_out.items():
        for task, held in by_task.items():
            lines.append(_error_line(law, task, held.scores))
            if task == MAIN_TASK[law]:
                error, null = held.scores['held_out'], held.scores['null_held_out']
                beats = 'beats' if error < null else 'does not beat'
                verdicts.append(
                    f'{LAW_NAMES[law]} {beats} its null on the overtrained runs it never saw: it is off by '
                    f'{human_percent(error)} on average, the null by {human_percent(null)}.'
                )
    head = ('law', 'task', 'in the fit', 'its null', 'points', 'held out', 'its null', 'points', 'paper')
    note = (
        'Mean of |predicted / observed − 1| of laws fitted without the overtrained runs. The null predicts, '
        'at each k, the mean of the runs fitted to; a law that does not beat it explains nothing. Paper: the '
        'held-out error that arXiv 2604.01411 reports for its own models.'
    )
    return bullets(verdicts) + table(head, [''.join(lines)], note, texts=2)


def _error_line(law: str, task: str, scores: Mapping[str, Any]) -> str:
    main = task == MAIN_TASK[law]
    values = [LAW_NAMES[law], TASK_NAMES.get(task, task)]
    for side in ('in_sample', 'held_out'):
        values += [
            human_percent(scores[side]),
            human_percent(scores[f'null_{side}']),
            f'{scores[f"n_{side}"]:,}',
        ]
    paper = PAPER_ERRORS.get(law) if main else None
    return row([*values, paper or '–'], texts=2, strong=main)


def _fits(results: Results) -> str:
    """List the parameters behind the answer, how surely they are the best ones, and each fit's warnings."""
    sentences = []
    for law, fit in results.fits.items():
        values = ', '.join(f'{name} {_value(float(f"{value:.4g}"))}' for name, value in fit.parameters.items())
        sentences.append(
            f'{LAW_NAMES[law]}, fitted to {fit.n_points:,} points of {fit.n_runs:,} runs: {values}. '
            f'{human_percent(fit.share_at_best)} of {fit.starts:,} starts found it.'
        )
        sentences += [f'{LAW_NAMES[law]}: {warning.rstrip(".")}.' for warning in fit.warnings]
    return bullets(sentences)


def _agreement(results: Results) -> str:
    observations = results.observations
    sampled = np.isfinite(observations.pass_at_k_sampled)
    if not sampled.any():
        return '<p>This study drew no real samples: every pass@k is computed from the likelihood.</p>'
    exact, drawn = observations.pass_at_k, observations.pass_at_k_sampled
    inside = (observations.pass_at_k_sampled_low <= exact) & (exact <= observations.pass_at_k_sampled_high)
    lines = []
    for task in (*results.tasks, None):
        mine = sampled & (observations.task == task) if task else sampled
        if mine.any():
            share, gap = inside[mine].mean(), 100 * np.median(np.abs(exact - drawn)[mine])
            values = task or 'all tasks', f'{mine.sum():,}', human_percent(share), f'{gap:.2f} points'
            lines.append(row(values, strong=task is None))
    note = (
        'Share of (run, task, k) cells whose likelihood pass@k lies inside the 95 % interval of the sampled '
        'one, and the median distance between the two in percentage points. The cells of one run share their '
        'samples, so they are not independent.'
    )
    head = ('task', 'cells sampled', 'inside the interval', 'median distance')
    return table(head, [''.join(lines)], note)


def _provenance(results: Results) -> str:
    parts = []
    sources = {
        'How it was made (provenance.json)': results.provenance,
        'Settings (study.json)': results.study,
    }
    for title, values in sources.items():
        if values:
            lines = ''.join(row(pair, texts=2) for pair in _flat(values))
            settings = table(('name', 'value'), [lines], texts=2)
            parts.append(f'<details open><summary>{title}</summary>{settings}</details>')
    return ''.join(parts) or '<p>Nothing was recorded.</p>'


def _flat(values: Any, prefix: str = '') -> list[tuple[str, str]]:
    """Turn nested settings into (dotted name, value) pairs; lists of plain values stay on one line."""
    if isinstance(values, Mapping) and values:
        named = [(f'{prefix}.{name}' if prefix else str(name), value) for name, value in values.items()]
    elif isinstance(values, list) and any(isinstance(value, Mapping | list) for value in values):
        named = [(f'{prefix}[{at}]', value) for at, value in enumerate(values)]
    else:
        return [(prefix, ', '.join(map(_value, values)) if isinstance(values, list) else _value(values))]
    return [pair for name, value in named for pair in _flat(value, name)]


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.10g}'.replace('e+', 'e')
    return value if isinstance(value, str) else json.dumps(value)


def _figures(pictures: Mapping[str, bytes], names: Iterable[str]) -> str:
    parts = []
    for name in names:
        if name in pictures:
            title, caption = (escape(text) for text in FIGURE_WORDS[name])
            source = base64.b64encode(pictures[name]).decode()
            image = f'<img src="data:image/png;base64,{source}" alt="{title}. {caption}">'
            legend = f'{caption} <span class="file">{name}.csv</span>'
            parts.append(
                f'<figure id="{name}"><h2>{title}</h2><div class="wide" tabindex="0">{image}</div>'
                f'<figcaption>{legend}</figcaption></figure>'
            )
    return '\n'.join(parts)
