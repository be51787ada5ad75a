"""The report as HTML: words, tables and figures in the order of a reader's questions, nothing fetched."""

import base64
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np

from t2jax.laws.bands import band
from t2jax.plotting.answer import answer_sentences, cautions, headline
from t2jax.plotting.checkpoint_tables import cells_of, compare_checkpoints, heads_of
from t2jax.plotting.explorer import explorer_html
from t2jax.plotting.figures import DRAWINGS
from t2jax.plotting.labels import LAW_NAMES, human_flops, human_percent, law_name, task_name
from t2jax.plotting.markup import bullets, cells, document, prose, row, section, table
from t2jax.plotting.posttraining_html import posttraining_html
from t2jax.plotting.published import HELD_OUT_ERRORS
from t2jax.plotting.questions import english_html, questions_html
from t2jax.plotting.results import NotDrawn, Results
from t2jax.plotting.style import DOTS_PER_INCH
from t2jax.plotting.table import COLUMNS, NOTES, table_rows, written

STALE = 'The fits are of earlier tables or of other settings: `t2jax fit WORKDIR` fits them anew.'
NOT_FITTED = 'No law is fitted yet, so there is no answer: `t2jax fit WORKDIR` fits them to the {} runs measured.'


def page(results: Results, pictures: Mapping[str, bytes], lacking: Mapping[str, str]) -> str:
    """Write the whole page; `pictures` are PNG bytes by drawing, `lacking` says why the others were not drawn."""
    show = lambda *names: _figures(pictures, names)
    rows = results.rows
    parts = [
        ('What the budget should buy', _answer(results) + show('figure_1_overview')),
        ('', _explorer(results)),
        ('The answer at every training budget', _answer_table(rows) + show('figure_2_allocation')),
        ('Model size at equal budgets', show('figure_3_isoflop', 'isoflop_loss')),
        ('How far off are the laws?', _errors(results) + show('figure_4_extrapolation')),
        ('The fitted laws', _fits(results)),
        ('Sampled against likelihood pass@k', _agreement(results) + show('pass_at_k_curves')),
        ('Task by task', show('figure_6_nll_by_task', 'figure_7_pass_at_k_by_task')),
        ('The runs behind all this', _runs(results) + show('figure_8_checkpoint_grid') + _table_1(results)),
        ('After fine-tuning', _after_fine_tuning(results) + show('figure_5_post_training', 'fine_tuning_curves')),
        ('What was asked', questions_html(results.asked) if results.asked.summaries else ''),
        ('What larger models are asked', english_html() if results.asked.summaries else ''),
        ('What is not in this report', bullets([f'{DRAWINGS[name].title} – {why}.' for name, why in lacking.items()])),
        ('Where this comes from', _provenance(results)),
    ]
    lead = headline(rows) if rows else NOT_FITTED.format(len(results.runs))
    return document(
        lead, [section(title, html) if title else html for title, html in parts if html not in ('', '<ul></ul>')]
    )


def _answer(results: Results) -> str:
    said = [STALE] if results.stale else []
    said += results.tables.said
    if results.missing:
        said.append(f'Not measured yet: {_listed(results.missing)}.')
    if not results.rows:
        return bullets(said)
    against = cautions(results.rows) + said
    against += [f'{law_name(law)} is not to be trusted: {fit.doubt}.' for law, fit in results.fits.items() if fit.doubt]
    whole = set(LAW_NAMES) <= set(results.fits)
    if against or not whole:
        against = against or ['Not all three laws are fitted.']
        care = f'<div class="caution"><p><strong>Read with care</strong></p>{bullets(against)}</div>'
    else:
        care = (
            '<p>At every budget both laws and the trained checkpoints put the T2 optimum at a smaller model '
            'than Chinchilla, and every best checkpoint has smaller and larger ones trained beside it.</p>'
        )
    return bullets(answer_sentences(results.rows[-1])) + care


def _listed(names: list[str]) -> str:
    return f'{len(names)} run{"s" if len(names) > 1 else ""} ({", ".join(names)})'


def _explorer(results: Results) -> str:
    if not results.fits:
        return ''
    return explorer_html(list(results.fits.values()), results.budgets[-1], results.inference_flops, results.budgets)


def _answer_table(rows: list[dict]) -> str:
    if not rows:
        return ''
    bodies, flat = [], table_rows(rows)
    texts = [written(entry) for entry in flat]
    kept = [at for at in range(len(COLUMNS)) if any(text[at] != '–' for text in texts)]
    for budget in dict.fromkeys(entry['train_flops'] for entry in flat):
        mine = [entry for entry in flat if entry['train_flops'] == budget]
        head = f'<th scope="rowgroup" rowspan="{len(mine)}">{human_flops(budget)}</th>'
        shown = [[written(entry)[at] for at in kept] for entry in mine]
        lines = [(head if line is shown[0] else '') + cells(line) for line in shown]
        bodies.append(''.join(f'<tr>{line}</tr>' for line in lines))
    note = f'Inference budget C_inf = {human_flops(rows[0]["inference_flops"])} FLOPs per served token. {NOTES}'
    return table(('C (FLOPs)', *(COLUMNS[at] for at in kept)), bodies, note, texts=2)


def _errors(results: Results) -> str:
    if not results.fits:
        return ''
    if not any(results.held_out.values()):
        return '<p>No run was held out of a fit, so nothing is known about how the laws extrapolate.</p>'
    lines, verdicts = [], []
    for law, by_task in results.held_out.items():
        for task, held in by_task.items():
            main = task == results.fits[law].task
            lines.append(_error_line(law, task, held.scores, main))
            if main:
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


def _error_line(law: str, task: str, scores: Mapping[str, Any], main: bool) -> str:
    values = [LAW_NAMES[law], task_name(task)]
    for side in ('in_sample', 'held_out'):
        values += [human_percent(scores[side]), human_percent(scores[f'null_{side}']), f'{scores[f"n_{side}"]:,}']
    paper = HELD_OUT_ERRORS.get(law) if main else None
    return row([*values, human_percent(paper)], texts=2, strong=main)


def _fits(results: Results) -> str:
    """Write what each law was fitted to and how well, its parameters with intervals, and its warnings."""
    lines, values, sentences = [], [], []
    for law, fit in results.fits.items():
        found = f'{human_percent(fit.share_at_best)} of {fit.starts:,}'
        error = human_percent(fit.residuals.get('mean_relative'))
        numbers = f'{fit.n_points:,}', f'{fit.n_runs:,}', error, found, f'{fit.gradient_norm:.1g}'
        lines.append(row((law_name(law), task_name(fit.task), *numbers, f'{fit.condition_number:.3g}'), texts=2))
        for name, value in fit.parameters.items():
            between = band(np.array(fit.replicates[name])) if fit.replicates else {}
            ends = [' to '.join(_value(float(f'{end:.3g}')) for end in between[level]) for level in between]
            values.append(row((law_name(law), name, _value(float(f'{value:.4g}')), *(ends or ('–', '–'))), texts=2))
        sentences += [f'{law_name(law)}: {warning.rstrip(".")}.' for warning in fit.warnings]
    sentences += [f'{law_name(law)} is not fitted: {reason}.' for law, reason in results.refused.items()]
    head = ('law', 'of', 'points', 'runs', 'mean error', 'starts at the best', 'gradient', 'condition')
    fits = table(head, [''.join(lines)], texts=2) if lines else ''
    named = table(('law', 'parameter', 'fitted', '80 %', '95 %'), [''.join(values)], texts=2) if values else ''
    return bullets(sentences) + fits + (f'<details><summary>Parameters</summary>{named}</details>' if named else '')


def _agreement(results: Results) -> str:
    observations = results.observations
    if not np.isfinite(observations.pass_at_k).any():
        return ''
    sampled = np.isfinite(observations.pass_at_k_sampled)
    if not sampled.any():
        counted = set(observations.measure.tolist()) & {'counts', 'beta-binomial'}
        if counted:
            return '<p>There are no likelihoods here: every pass@k comes from counts of real samples.</p>'
        if 'likelihood' in observations.measure:
            return '<p>This study drew no real samples: every pass@k is computed from the likelihood.</p>'
        return '<p>The table does not say whether its pass@k is of likelihoods or of samples.</p>'
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


def _runs(results: Results) -> str:
    return f'<p>Not measured: {escape(_listed(results.missing))}.</p>' if results.missing else ''


def _table_1(results: Results) -> str:
    try:
        rows = compare_checkpoints(results)
    except NotDrawn:
        return ''
    heads, drawing = heads_of(rows), DRAWINGS['table_1_checkpoints']
    lines = ''.join(row([cells_of(line).get(name, '–') for name in heads]) for line in rows)
    return f'<h3>{drawing.title}</h3>' + table(tuple(heads.values()), [lines], drawing.caption)


def _after_fine_tuning(results: Results) -> str:
    return '' if results.posttraining is None else posttraining_html(results.posttraining)


def _provenance(results: Results) -> str:
    parts = []
    sources = {
        'How it was made (provenance.json)': results.provenance,
        'Settings (study.json)': dict(results.study) | _names_alone(results.study),
    }
    for title, values in sources.items():
        if values:
            lines = ''.join(row(pair, texts=2) for pair in _flat(values))
            settings = table(('name', 'value'), [lines], texts=2)
            parts.append(f'<details><summary>{title}</summary>{settings}</details>')
    return ''.join(parts) or '<p>Nothing was recorded.</p>'


def _names_alone(study: Mapping[str, Any]) -> dict[str, Any]:
    """List the runs of a study by name: with all that is in study.json, they would fill pages."""
    return {'runs': [run['name'] for run in study['runs']]} if 'runs' in study else {}


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


def _width(png: bytes) -> int:
    """Return the width of a picture in CSS pixels, 96 an inch, beyond which it is not to be blown up."""
    return round(int.from_bytes(png[16:20], 'big') * 96 / DOTS_PER_INCH)


def _figures(pictures: Mapping[str, bytes], names: Iterable[str]) -> str:
    parts = []
    for name in names:
        if name in pictures:
            title, caption = escape(DRAWINGS[name].title), prose(DRAWINGS[name].caption)
            source = base64.b64encode(pictures[name]).decode()
            alt = f'{title}. {escape(DRAWINGS[name].caption)}'
            image = (
                f'<img src="data:image/png;base64,{source}" style="max-width: {_width(pictures[name])}px" alt="{alt}">'
            )
            parts.append(
                f'<figure id="{name}"><h3>{title}</h3><div class="wide" tabindex="0">{image}</div>'
                f'<figcaption>{caption} <span class="file">{name}.csv</span></figcaption></figure>'
            )
    return '\n'.join(parts)
