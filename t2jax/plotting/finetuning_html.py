"""How fine-tuning itself went, as HTML: rates chosen, jobs that came out worse, what was forgotten, what it costs."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from t2jax.plotting.labels import (
    STAGE_NAMES,
    human_count,
    human_error,
    human_flops,
    human_loss,
    human_percent,
    task_name,
)
from t2jax.plotting.markup import bullets, row, table
from t2jax.plotting.posttraining_results import PostTraining

# A curve whose last NLL is above its lowest by more than this share has turned up.
TURNED = 0.01


def fine_tuning_html(after: PostTraining) -> str:
    """Write the tables of learning rates and of losses before and after, and what they say of the grid and the jobs."""
    stages = [stage for stage in STAGE_NAMES if any(job['stage'] == stage for job in after.jobs)]
    sentences = [sentence for stage in stages for sentence in _sentences(after, stage)]
    title = '<h3>How fine-tuning went</h3>'
    return title + bullets(sentences) + _losses(after, stages) + _rates(after, stages)


def _grids(after: PostTraining, stage: str) -> list[tuple[float, list[float]]]:
    """Pair the chosen learning rate of each (run, task) with the rates tried for it."""
    tried: dict[tuple, list[float]] = {}
    for job in after.jobs:
        tried.setdefault((job['run'], job['task'], job['stage']), []).append(job['learning_rate'])
    mine = [job for job in after.chosen if job['stage'] == stage]
    return [(job['learning_rate'], tried[job['run'], job['task'], stage]) for job in mine]


def _sentences(after: PostTraining, stage: str) -> list[str]:
    name, grids = STAGE_NAMES[stage], _grids(after, stage)
    if not grids:
        return [f'{name}: no learning rate was chosen for any run.']
    wide = [(rate, rates) for rate, rates in grids if len(set(rates)) > 1]
    if not wide:
        said = f'{name}: one learning rate was tried, so it is not known whether another is better.'
    else:
        low, high = (sum(rate == end(rates) for rate, rates in wide) for end in (min, max))
        said = (
            f'{name}: of {len(wide):,} choices of a learning rate {low:,} ({human_percent(low / len(wide))}) are the '
            f'lowest of the grid and {high:,} ({human_percent(high / len(wide))}) the highest'
        )
        said += _too_narrow(low, high)
    turned, last = _turned(after, stage)
    if not last:
        return [said]
    curves = (
        f'{name}: {_share(turned, last)} of the jobs at the chosen rate end more than {100 * TURNED:g} % above the '
        f'lowest validation NLL that they had (they overfit), and {_share(last, last)} are at their lowest at the last '
        'epoch (more epochs might help).'
    )
    return [said, curves]


def _too_narrow(low: int, high: int) -> str:
    ends = [word for word, count in (('below', low), ('above', high)) if count]
    if not ends:
        return ': the grid was wide enough.'
    return f': there the grid was too narrow, a better rate may lie {" or ".join(ends)} it.'


def _turned(after: PostTraining, stage: str) -> tuple[list[bool], list[bool]]:
    """Tell of each chosen job whether its validation NLL ends above an earlier one, and whether below all of them."""
    key = ('run', 'task', 'stage', 'learning_rate')
    curves: dict[tuple, list[tuple[float, float]]] = {}
    for point in after.curves:
        curves.setdefault(tuple(point[name] for name in key), []).append((point['epoch'], point['validation_nll']))
    turned, last = [], []
    for job in after.chosen:
        curve = [math.inf if nll != nll else nll for _, nll in sorted(curves.get(tuple(job[name] for name in key), ()))]
        if job['stage'] == stage and curve:
            lowest = min(curve[:-1], default=math.inf)
            turned.append(not curve[-1] <= (1 + TURNED) * lowest)
            last.append(curve[-1] < lowest)
    return turned, last


def _losses(after: PostTraining, stages: Sequence[str]) -> str:
    lines = []
    for stage in stages:
        every = [job for job in after.jobs if job['stage'] == stage]
        chosen = [job for job in after.chosen if job['stage'] == stage]
        diverged = sum(not math.isfinite(job['validation_nll']) for job in every)
        values = [f'{len(every):,}', f'{len(chosen):,}', f'{diverged:,}', _share(map(_is_worse, chosen), chosen)]
        values.append(_share(map(_is_worse, every), every))
        nll = _means(chosen, 'validation_nll_before', 'validation_nll')
        text = _means(chosen, 'text_loss_before', 'text_loss')
        change = f'{text[1] - text[0]:+.3f}' if all(map(math.isfinite, text)) else '–'
        lines.append(row([STAGE_NAMES[stage], *values, *map(human_loss, (*nll, *text)), change]))
    head = ('after', 'jobs', 'chosen', 'diverged', 'worse than base', 'of all jobs')
    head += ('NLL before', 'NLL after', 'text loss before', 'text loss after', 'change')
    note = (
        'A job is one run, task and learning rate; worse than base: its validation NLL ends above that of the run '
        'before, among the chosen jobs and among all. NLL: mean over the chosen jobs of the validation NLL per '
        'question (nats); text loss: of the loss on held-out pre-training text (nats per token), whose change is what '
        'was forgotten. Jobs that diverged are left out of the means.'
    )
    return table(head, [''.join(lines)], note)


def _is_worse(job: dict) -> bool:
    return not job['validation_nll'] <= job['validation_nll_before']  # nan is worse, too


def _means(jobs: Sequence[dict], *names: str) -> list[float]:
    """Average each column over the jobs that have all of them."""
    whole = [job for job in jobs if all(math.isfinite(job[name]) for name in names)]
    return [float(np.mean([job[name] for job in whole])) if whole else math.nan for name in names]


def _rates(after: PostTraining, stages: Sequence[str]) -> str:
    rates = sorted({job['learning_rate'] for job in after.jobs})
    sizes = sorted({job['params'] for job in after.jobs})
    bodies = []
    for stage in stages:
        mine = [job for job in after.chosen if job['stage'] == stage]
        lines = [row(_rate_cells(stage, human_count(size), rates, mine, lambda job, size=size: job['params'] == size))
                 for size in sizes]  # fmt: skip
        bodies.append(''.join(lines) + row(_rate_cells(stage, 'all', rates, mine, lambda job: True), strong=True))
    head = ('after', 'N', *map(human_flops, rates))
    note = (
        'Learning rates chosen, by validation NLL: in how many runs and tasks of a size, with their share. '
        'A size whose choices stand in the first or last column wants a wider grid.'
    )
    return table(head, bodies, note)


def _rate_cells(
    stage: str, name: str, rates: Sequence[float], jobs: Sequence[dict], is_mine: Callable[[dict], bool]
) -> list[str]:
    mine = [job['learning_rate'] for job in jobs if is_mine(job)]
    counts = [sum(chosen == rate for chosen in mine) for rate in rates]
    shown = [f'{count:,} ({human_percent(count / len(mine))})' if count else '–' for count in counts]
    return [STAGE_NAMES[stage], name, *shown]


def _share(which: Iterable[bool], of: Sequence) -> str:
    return human_percent(sum(which) / len(of)) if of else '–'


def terms_html(after: PostTraining) -> str:
    """Say whether a term by which overtraining costs something after fine-tuning predicts unseen runs better."""
    title = '<h3>Does overtraining cost something after fine-tuning?</h3>'
    if not after.terms:
        return title + '<p>A term for it was not tested: no run was held out of the laws.</p>'
    kept = [f'{STAGE_NAMES[term["stage"]]}, {task_name(term["task"])}' for term in after.terms if term['kept']]
    tested = [term for term in after.terms if None not in (term['held_out'], term['null_held_out'])]
    beaten = sum(term['held_out'] < term['null_held_out'] for term in tested)
    where = f' ({"; ".join(kept)})' if kept else ''
    sentences = [
        'A term by which overtraining makes fine-tuned models worse (after arXiv 2503.19206) was added to Approach 1 '
        f'and tested on overtrained runs held out: it is kept in {len(kept)} of {len(after.terms)} fits{where}.',
        f'Without the term Approach 1 beats its null on the held-out runs in {beaten} of {len(tested)} fits.',
    ]
    lines = []
    for term in after.terms:
        errors = [_error(term[name]) for name in ('held_out', 'with_term', 'null_held_out')]
        verdict = 'yes' if term['kept'] else 'no'
        lines.append(row([STAGE_NAMES[term['stage']], task_name(term['task']), *errors, verdict], texts=2))
    head = ('after', 'task', 'held out, without', 'held out, with', 'null', 'kept')
    note = (
        'Mean relative error of the NLL on the overtrained runs, of laws fitted to the others; the term is kept where '
        'it lowers that error. A law that does not beat its null explains nothing.'
    )
    return title + bullets(sentences) + table(head, [''.join(lines)], note, texts=2)


def _error(value: float | None) -> str:
    return '–' if value is None or not math.isfinite(value) else human_error(value)
