"""What fine-tuning does to the allocation, as HTML: sentences and tables computed from results and never assumed.

A shift is the optimal D/N of a stage over that of the base at the same task and budget; it is clear where its 80 %
interval excludes 1.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from t2jax.plotting.finetuning_html import fine_tuning_html, terms_html
from t2jax.plotting.labels import (
    APPROACH_1,
    APPROACH_2,
    CHINCHILLA,
    LAW_NAMES,
    STAGE_NAMES,
    TASK_NAMES,
    human_count,
    human_flops,
    human_percent,
    human_ratio,
    task_name,
)
from t2jax.plotting.markup import bullets, row, table
from t2jax.plotting.posttraining_results import PostTraining, is_beyond

NAMES = {APPROACH_1: 'Approach 1', APPROACH_2: 'Approach 2'}
INTRODUCTION = (
    "Every run was fine-tuned on each task's training questions and measured on its test questions: FT takes the loss "
    'on prompt and answer, SFT on the answer alone, base is the run itself. N and D are those of pre-training, and '
    'Chinchilla is fitted here to the NLL of answers in one try. The question is whether fine-tuning moves the optimum.'
)


def posttraining_html(after: PostTraining) -> str:
    """Write the section: shifts, checkpoints, learning rates and forgetting, the term for overtraining."""
    return ''.join(
        (
            f'<p>{INTRODUCTION}</p>',
            bullets(answer_sentences(after)),
            _warnings(after),
            _optima(after),
            _checkpoints(after),
            fine_tuning_html(after),
            terms_html(after),
        )
    )


def answer_sentences(after: PostTraining) -> list[str]:
    """Say at the largest budget where the optima of the mean over tasks go, and in how many tasks they clearly move."""
    points = [point for point in after.optima if point['train_flops'] == after.largest_budget]
    at = {(point['task'], point['stage'], point['law']): point for point in points}
    first = after.tasks[0]
    sentences = [
        _moved(at.get((first, 'base', law)), at[first, stage, law])
        for stage in after.stages
        for law in NAMES
        if stage != 'base' and (first, stage, law) in at
    ]
    sentences += [_against_chinchilla(at, first, stage) for stage in after.stages]
    sentences += [_by_task(points, stage) for stage in after.stages if stage != 'base']
    if len(after.stages) > 1:
        sentences.append(
            'One in five such 80 % intervals would exclude 1 by chance, and they know of other runs alone, not of '
            'other questions, seeds or learning rates.'
        )
    doubtful = sum(map(is_beyond, points))
    if doubtful:
        sentences.append(
            f'Of the {len(points)} optima at this budget {doubtful} (starred below) are outside the sizes trained or '
            'at their edge, or have refits enough at an edge of the sizes considered to cut their intervals: the grid, '
            'and not the data, may have set them.'
        )
    return [sentence for sentence in sentences if sentence]


def verdict(low: float, high: float) -> str:
    """Say what an 80 % interval of a ratio tells."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return 'how surely is not known'
    if low > 1:
        return 'clearly more tokens per parameter'
    return 'clearly fewer tokens per parameter' if high < 1 else 'no clear shift'


def _moved(base: dict | None, point: dict) -> str:
    start = f'After {STAGE_NAMES[point["stage"]]} the T2 optimum by {NAMES[point["law"]]} on {_the(point["task"])}'
    known = base and all(map(math.isfinite, (base['tokens_per_param'], point['tokens_per_param'], point['shift'])))
    if base is None or not known:
        return f'{start} cannot be compared with that of the base: one of them is not known.'
    within = _between(point['shift_low'], point['shift_high'], _times)
    interval = f', 80 % interval {within}' if within else ''
    ends = [human_ratio(each['tokens_per_param']) for each in (base, point)]
    doubt = ', but one of the two is starred below and may be the doing of the grid'
    judged = verdict(point['shift_low'], point['shift_high']) + (doubt if is_beyond(base) or is_beyond(point) else '')
    return f'{start} moves from D/N = {ends[0]} to {ends[1]} (ratio {_times(point["shift"])}{interval}): {judged}.'


def _against_chinchilla(at: Mapping[tuple, dict], task: str, stage: str) -> str:
    """Compare both approaches with Chinchilla of the same stage, and say whether their intervals are apart."""
    theirs = at.get((task, stage, CHINCHILLA))
    if theirs is None or not math.isfinite(theirs['tokens_per_param']):
        return ''
    said = []
    for law, name in NAMES.items():
        ours = at[task, stage, law]
        if math.isfinite(ours['tokens_per_param']):
            ratio = ours['tokens_per_param'] / theirs['tokens_per_param']
            times = f'{_times(ratio)} times as many{_apart(ours, theirs)}'
            said.append(f'{name} for {human_ratio(ours["tokens_per_param"])} ({times})')
    when = 'Before fine-tuning' if stage == 'base' else f'After {STAGE_NAMES[stage]}'
    asked = f'{human_ratio(theirs["tokens_per_param"])} tokens per parameter'
    return f'{when} Chinchilla asks for {asked} on {_the(task)}; {", ".join(said)}.' if said else ''


def _apart(ours: dict, theirs: dict) -> str:
    ends = [each[f'tokens_per_param_{end}'] for each in (ours, theirs) for end in ('low', 'high')]
    if not all(map(math.isfinite, ends)):
        return ''
    return '; 80 % intervals apart' if ends[0] > ends[3] or ends[1] < ends[2] else '; 80 % intervals overlap'


def _by_task(points: Sequence[dict], stage: str) -> str:
    """Count the tasks, by approach, whose optimum clearly moves."""
    mine = [p for p in points if p['stage'] == stage and p['task'] != 'macro' and p['law'] in NAMES]
    mine = [point for point in mine if math.isfinite(point['shift'])]
    if not mine:
        return ''
    said = []
    for way, is_so in (('more', lambda p: p['shift_low'] > 1), ('fewer', lambda p: p['shift_high'] < 1)):
        found = [point for point in mine if is_so(point)]
        named = {name: ', '.join(p['task'] for p in found if p['law'] == law) for law, name in NAMES.items()}
        where = '; '.join(f'{name}: {tasks}' for name, tasks in named.items() if tasks)
        said.append(f'to clearly {way} tokens per parameter in {len(found)}' + (f' ({where})' if where else ''))
    moves = ' and '.join(said)
    return f'Task by task and approach by approach, {STAGE_NAMES[stage]} moves the optimum {moves} of {len(mine)}.'


def _warnings(after: PostTraining) -> str:
    said = []
    for line in after.rows:
        for law, name in LAW_NAMES.items():
            if line['train_flops'] == after.largest_budget and line[law]:
                who = f'{name}, {STAGE_NAMES[line["stage"]]}, {task_name(line["task"])}'
                said += [f'{who}: {str(warning).rstrip(".")}.' for warning in line[law]['warnings']]
    if not said:
        return ''
    return (
        f'<details><summary>Warnings of the laws at the largest budget: {len(said)}</summary>{bullets(said)}</details>'
    )


def _optima(after: PostTraining) -> str:
    bodies = []
    for task in after.tasks:
        lines = []
        for stage in after.stages:
            for point in after.optima:
                if (point['task'], point['stage'], point['train_flops']) == (task, stage, after.largest_budget):
                    lines.append(row(_optimum_cells(point), texts=3, strong=task == 'macro'))
        bodies.append(''.join(lines))
    head = ('task', 'after', 'law', 'N', '80 %', 'D/N', '80 %', 'D/N over base', '80 %')
    note = (
        f'At the largest training budget, {human_flops(after.largest_budget)} FLOPs, and C_inf = '
        f'{human_flops(after.inference_flops)} FLOPs per served token. *: at or beyond the smallest or largest size '
        'trained, or more than a tenth of the refits end at an edge of the sizes considered, so that an interval may '
        'be cut there. All budgets: post_training.csv.'
    )
    return '<h3>The optimum at every stage</h3>' + table(head, bodies, note, texts=3)


def _optimum_cells(point: dict) -> list[str]:
    star = '*' if is_beyond(point) and math.isfinite(point['params']) else ''
    cells = [task_name(point['task']), STAGE_NAMES[point['stage']], LAW_NAMES[point['law']]]
    for name, write in (('params', human_count), ('tokens_per_param', human_ratio), ('shift', _times)):
        value = write(point[name]) + (star if name != 'shift' else '')
        cells += [value, _between(point[f'{name}_low'], point[f'{name}_high'], write) or '–']
    return cells


def _checkpoints(after: PostTraining) -> str:
    bodies, sentences = [], []
    largest = [line for line in after.comparisons if line['train_flops'] == after.largest_budget]
    for task in after.tasks:
        mine = sorted((line for line in largest if line['task'] == task), key=lambda x: after.stages.index(x['stage']))
        bodies.append(''.join(row(_comparison_cells(line), texts=2, strong=task == 'macro') for line in mine))
    for stage in after.stages:
        mine = [line for line in after.comparisons if line['stage'] == stage and line['task'] != 'macro']
        counts = {kind: sum(line['better'] == kind for line in mine) for kind in ('overtrained', 'chinchilla', 'equal')}
        without = sum(line['overtrained_run'] is None for line in mine)
        unknown = len(mine) - without - sum(counts.values())
        more = f', {counts["equal"]} are equal' if counts['equal'] else ''
        more += f'; in {without} there is no overtrained checkpoint' if without else ''
        more += f'; {unknown} cannot be compared' if unknown else ''
        sentences.append(
            f'{STAGE_NAMES[stage]}: over all tasks and training budgets the best overtrained checkpoint is better in '
            f'{counts["overtrained"]} of {len(mine)} pairs, the Chinchilla-optimal one in {counts["chinchilla"]}{more}.'
        )
    head = ('task', 'after', 'best overtrained', 'Chinchilla-optimal', 'better')
    note = (
        f'pass@k at k = C_inf / (2N) of trained checkpoints of {human_flops(after.largest_budget)} FLOPs, size in '
        'brackets. Chinchilla-optimal: the lowest NLL of answers in one try. Overtrained: of the runs with more tokens '
        'per parameter the one with the highest pass@k, picked by the number it is compared by, so that a small lead '
        'is no evidence. All budgets: post_training_table.csv.'
    )
    return '<h3>Checkpoints at equal budgets</h3>' + bullets(sentences) + table(head, bodies, note, texts=2)


def _comparison_cells(line: dict) -> list[str]:
    cells = [task_name(line['task']), STAGE_NAMES[line['stage']]]
    for pick in ('overtrained', 'chinchilla'):
        size = line[f'{pick}_params']
        cells.append('none' if size is None else f'{human_percent(line[f"{pick}_pass_at_k"])} ({human_count(size)})')
    names = {'overtrained': 'overtrained', 'chinchilla': 'Chinchilla-optimal', 'equal': 'equal', '': '–'}
    return [*cells, names[line['better']]]


def _the(task: str) -> str:
    return f'the {task_name(task)}' if task in TASK_NAMES else task


def _times(ratio: float) -> str:
    return human_count(ratio)  # three digits, so that 0.996 is not read as 1


def _between(low: float, high: float, write: Callable[[float], str]) -> str:
    return f'{write(low)} to {write(high)}' if math.isfinite(low) and math.isfinite(high) else ''
