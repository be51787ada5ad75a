"""A made-up posttraining/ folder: small, consistent, and easily bent."""

import csv
import json
import math
import re
from html import unescape

from t2jax.plotting.posttraining_html import answer_sentences
from t2jax.plotting.posttraining_results import read_posttraining

SIZES, BUDGETS = (3e3, 6e3, 12e3, 24e3, 48e3, 96e3), (8e10, 1.6e11, 3.2e11)
TASKS, STAGES, RATES = ('arithmetic', 'spatial'), ('base', 'ft', 'sft'), (1e-4, 3e-4, 1e-3)
LAWS = ('chinchilla', 't2-nll', 't2-accuracy')
C_INF = 1e6
# D/N at a budget of 1e11 FLOPs, by law, and what each stage makes of it.
OPTIMA = dict(zip(LAWS, (60.0, 300.0, 420.0)))
MOVES = {'base': 1.0, 'ft': 1.15, 'sft': 1.9}


def make_rows(tasks=TASKS, stages=STAGES, budgets=BUDGETS, width=1.3):
    """Optima that grow with the budget, bands of a factor `width`, overtrained runs that win but on arithmetic."""
    rows = []
    for stage in stages:
        for task in (*tasks, 'macro'):
            for budget in budgets:
                row = {'stage': stage, 'task': task, 'train_flops': budget, 'shift': None}
                for law in LAWS:
                    ratio = OPTIMA[law] * MOVES[stage] * (budget / 1e11) ** 0.6 * (1.4 if task == 'spatial' else 1.0)
                    row[law] = make_choice(budget, ratio, width)
                if stage != 'base':
                    row['shift'] = {law: make_shift(MOVES[stage], width) for law in LAWS}
                over = 0.2 if task == 'arithmetic' else 0.5
                picks = {'chinchilla': make_pick(24e3, budget, 0.3), 'overtrained': make_pick(6e3, budget, over)}
                rows.append(row | {'checkpoints': picks})
    return rows


def make_choice(budget, ratio, width):
    params = math.sqrt(budget / (6 * ratio))
    ends = {'params': (params, width**0.5), 'tokens_per_param': (ratio, width)}
    bands = {name: {'80': [value / by, value * by]} for name, (value, by) in ends.items()}
    choice = {'params': params, 'tokens': ratio * params, 'tokens_per_param': ratio, 'samples': C_INF / (2 * params)}
    return choice | {'value': 1.0, 'bands': bands, 'at_edge': 0.0, 'warnings': []}


def make_shift(ratio, width):
    return {'ratio': ratio, 'bands': {'80': [ratio / width, ratio * width], '95': [ratio / width**2, ratio * width**2]}}


def make_pick(params, budget, pass_at_k):
    tokens = budget / (6 * params)
    run = {'run': f'n{params:g}-{budget:.0e}', 'params': params, 'tokens': tokens, 'tokens_per_param': tokens / params}
    return run | {'samples': C_INF / (2 * params), 'pass_at_k': pass_at_k, 'nll': -math.log(pass_at_k)}


def make_jobs(tasks=TASKS, stages=STAGES[1:], sizes=SIZES, budgets=BUDGETS, rates=RATES, final=None):
    """Jobs and curves; larger models are better, the middle rate is best, the largest rate diverges for the largest.

    `final(task, stage, params)` is what the chosen jobs' NLL is multiplied by in six epochs.
    """
    final = final or (lambda task, stage, params: 0.6 if stage == 'ft' else 0.4)
    jobs, curves = [], []
    for stage in stages:
        for task in tasks:
            for params in sizes:
                for budget in budgets:
                    tokens = budget / (6 * params)
                    job = {'run': f'n{params:g}-{budget:.0e}', 'params': params, 'tokens': tokens, 'task': task}
                    before = 4.0 * (params / 3e3) ** -0.25 * (budget / 8e10) ** -0.1
                    middle = rates[len(rates) // 2]
                    for rate in rates:
                        after = before * final(task, stage, params) * (1 if rate == middle else 1.2)
                        after = math.inf if rate == max(rates) != middle and params == max(sizes) else after
                        chosen = rate == middle
                        mine = job | {'stage': stage, 'learning_rate': rate}
                        text = {'text_loss_before': 2.0, 'text_loss': 2.5 if stage == 'ft' else 2.75}
                        text = text if chosen else dict.fromkeys(text, '')
                        nll = {'validation_nll_before': before, 'validation_nll': after}
                        jobs.append(mine | nll | text | {'chosen': int(chosen)})
                        for epoch in range(7):
                            nll = before * (after / before) ** (epoch / 6)
                            loss = {'training_loss': nll if epoch else '', 'validation_nll': nll}
                            curves.append(mine | {'epoch': epoch} | loss)
    return jobs, curves


def make_terms(tasks=TASKS, stages=STAGES):
    errors = {'held_out': 0.15, 'with_term': 0.16, 'null_held_out': 0.4, 'kept': False, 'parameters': {}}
    terms = [{'stage': stage, 'task': task} | errors for stage in stages for task in (*tasks, 'macro')]
    terms[-1] |= {'with_term': 0.1, 'kept': True}
    return terms


def fine_tune(workdir, rows=None, jobs=None, terms=None):
    """Write a posttraining/ folder into a study."""
    jobs, curves = jobs or make_jobs()
    stages = {'inference_flops': C_INF, 'refits': 50, 'rows': rows or make_rows(), 'terms': make_terms()}
    folder = workdir / 'posttraining'
    folder.mkdir(exist_ok=True)
    for name, table in (('jobs', jobs), ('curves', curves)):
        with open(folder / f'{name}.csv', 'w', newline='') as file:
            writer = csv.DictWriter(file, table[0])
            writer.writeheader()
            writer.writerows(table)
    (folder / 'stages.json').write_text(json.dumps(stages | ({} if terms is None else {'terms': terms})))
    return workdir


def after(folder, **changes):
    """Write and read back."""
    folder.mkdir(exist_ok=True)
    return read_posttraining(fine_tune(folder, **changes) / 'posttraining')


def words(html):
    return unescape(re.sub(r'<[^>]+>', ' ', html)).replace('\xa0', ' ')


def sentence(found, start):
    (said,) = [said for said in answer_sentences(found) if said.startswith(start)]
    return said


def at(rows, stage, task, law=None):
    (row,) = [row for row in rows if (row['stage'], row['task'], row['train_flops']) == (stage, task, BUDGETS[-1])]
    return row[law] if law else row
