"""The answer in words and in a table, computed from allocation rows and never assumed.

One text serves the terminal and the report. N counts the blocks and the output head, not the input embedding.
"""

import textwrap
from typing import Any

from t2jax.plotting.labels import (
    APPROACH_1,
    APPROACH_2,
    CHINCHILLA,
    human_count,
    human_flops,
    human_loss,
    human_percent,
    human_ratio,
    whole_samples,
)

WIDTH = 110
COLUMNS = ('rule', 'N', 'D', 'D/N', 'k', 'NLL', 'pass@k')
NOTES = (
    'N: parameters of the blocks and the output head, without the input embedding. D: training tokens. '
    'k: samples that the inference budget buys at 2N FLOPs per token, rounded down. '
    'NLL (nats, lower is better) and pass@k are averages over the tasks, at k before rounding.'
)
RULES = {
    CHINCHILLA: 'Chinchilla (loss)',
    APPROACH_1: 'T2, Approach 1 (NLL)',
    APPROACH_2: 'T2, Approach 2 (pass@k)',
    'single_pass': 'best checkpoint by loss',
    'nll': 'best checkpoint by NLL',
    'pass_at_k': 'best checkpoint by pass@k',
}
PICKS = ('single_pass', 'nll', 'pass_at_k')
# Two law optima closer than this are the same size to any reader.
SAME = 0.01


def answer_lines(rows: list[dict]) -> str:
    """Write the answer and its table for a terminal, at most 110 columns wide."""
    rows = sorted(rows, key=lambda row: row['train_flops'])
    blocks = [headline(rows)]
    blocks += [f'- {sentence}' for sentence in answer_sentences(rows[-1])]
    blocks += [f'! {sentence}' for sentence in cautions(rows)]
    lines = [line for block in blocks for line in textwrap.wrap(block, WIDTH, subsequent_indent='  ')]
    return '\n'.join([*lines, '', *_text_table(rows), '', *textwrap.wrap(NOTES, WIDTH)])


def headline(rows: list[dict]) -> str:
    """Say in one sentence what the largest budget should buy compared with Chinchilla."""
    row = rows[-1]
    train, serve = human_flops(row['train_flops']), human_flops(row['inference_flops'])
    budgets = f'With {train} FLOPs to train and {serve} FLOPs per served token'
    ratios = {law: row[CHINCHILLA]['params'] / row[law]['params'] for law in (APPROACH_1, APPROACH_2)}
    smaller = [law for law, ratio in ratios.items() if ratio > 1 + SAME]
    if len(smaller) == 2:
        low, high = (human_count(ratio, 2) for ratio in sorted(ratios.values()))
        times = f'{low} times' if low == high else f'{low} to {high} times'
        return f"{budgets}, train a model {times} smaller than Chinchilla's, for longer, and sample it more."
    if not smaller:
        return f'{budgets}, neither law asks for a smaller model than Chinchilla does.'
    one, other = ('Approach 1', 'Approach 2') if smaller == [APPROACH_1] else ('Approach 2', 'Approach 1')
    times = human_count(ratios[smaller[0]], 2)
    return (
        f'{budgets}, the laws disagree: {one} asks for a model {times} times smaller than '
        f"Chinchilla's, {other} does not ask for a smaller one."
    )


def answer_sentences(row: dict) -> list[str]:
    """Say what to train and how often to sample at one training budget, by laws and by checkpoints."""
    first, second, chinchilla = row[APPROACH_1], row[APPROACH_2], row[CHINCHILLA]
    pays = whole_samples(chinchilla['samples']) > 0
    instead = [
        f"Chinchilla's choice would give {value} for the same two budgets"
        if pays
        else "Chinchilla's choice is too large to draw one sample"
        for value in (human_loss(chinchilla['nll']), human_percent(chinchilla['pass_at_k']))
    ]
    sentences = [
        f'Approach 1 (lowest NLL): train {_purchase(first)}. '
        f'It expects NLL {human_loss(first["nll"])}; {instead[0]}. {_once(first)}',
        f'Approach 2 (highest pass@k): train {_purchase(second)}. '
        f'It expects pass@k {human_percent(second["pass_at_k"])}; {instead[1]}. {_once(second)}',
        'Chinchilla (lowest loss on text) would have said: '
        f'train {_purchase(chinchilla, "which leaves the inference budget")}.',
    ]
    return sentences + _checkpoint_sentences(row)


def _once(choice: dict) -> str:
    """Say what the same law would buy for one sample, so that samples are not credited with a change of metric."""
    return f'For a single sample it would take {human_count(choice["params_for_one_sample"])} parameters.'


def _checkpoint_sentences(row: dict) -> list[str]:
    """Compare the checkpoint that Chinchilla's rule would keep with the best ones at equal budgets."""
    best = row['checkpoints']
    if not all(best.get(pick) for pick in PICKS):
        return []
    single = {'samples': row['inference_flops'] / (2 * best['single_pass']['params'])} | best['single_pass']
    kept = "Of the checkpoints trained, Chinchilla's rule (lowest loss on text) keeps "
    kept += _checkpoint(single)
    if whole_samples(single['samples']) and 'nll_at_k' in single:
        values = human_loss(single['nll_at_k']), human_percent(single['pass_at_k'])
        kept += f': NLL {values[0]} and pass@k {values[1]}'
    sentences = [kept + '.']
    for pick, better, best_value in (
        ('nll', 'a lower NLL', human_loss(best['nll']['value'])),
        ('pass_at_k', 'a higher pass@k', human_percent(best['pass_at_k']['value'])),
    ):
        if best[pick]['run'] == single['run']:
            sentences.append(f'No other checkpoint gives {better} than its {best_value}.')
        else:
            sentences.append(f'{_checkpoint(best[pick])} gives {better} for the same budgets: {best_value}.')
    return sentences


def cautions(rows: list[dict]) -> list[str]:
    """List what stands against the answer: optima not smaller, edges of the grid, warnings of the laws."""
    return _not_smaller(rows) + _not_bracketed(rows) + _not_measured(rows) + _warnings(rows)


def _not_smaller(rows: list[dict]) -> list[str]:
    sentences = []
    for law, pick, name in ((APPROACH_1, 'nll', 'Approach 1'), (APPROACH_2, 'pass_at_k', 'Approach 2')):
        laws = [(row['train_flops'], row[law]['params'], row[CHINCHILLA]['params']) for row in rows]
        found = _at_least(laws, SAME)
        if found:
            sentences.append(f"{name}'s optimum is not a smaller model than Chinchilla's at {found}.")
        pairs = [(row['train_flops'], *(row['checkpoints'].get(p) for p in (pick, PICKS[0]))) for row in rows]
        runs = [(budget, best['params'], single['params']) for budget, best, single in pairs if best and single]
        found = _at_least(runs, 0.0)
        if found:
            sentences.append(f'The {RULES[pick]} is not a smaller model than the best by loss at {found}.')
    return sentences


def _at_least(sizes: list[tuple[float, float, float]], same: float) -> str:
    """List the (budget, ours, theirs) where ours is not smaller than theirs."""
    found = []
    for budget, ours, theirs in sizes:
        if ours >= theirs * (1 - same):
            larger = f'larger: {human_count(ours)} against {human_count(theirs)}'
            verdict = larger if ours > theirs * (1 + same) else f'the same size: {human_count(theirs)}'
            found.append(f'{human_flops(budget)} FLOPs ({verdict})')
    return _join(found)


def _not_bracketed(rows: list[dict]) -> list[str]:
    sentences = []
    for pick in PICKS:
        bests = [(row['train_flops'], row['checkpoints'].get(pick)) for row in rows]
        edges = [(budget, best['params']) for budget, best in bests if best and not best['bracketed']]
        if edges:
            named = _join([f'{human_flops(budget)} FLOPs ({human_count(params)})' for budget, params in edges])
            sentences.append(
                f'The {RULES[pick]} is not bracketed at {named}: '
                'it is the smallest or largest size measured there, so a better one may lie beyond it.'
            )
    return sentences


def _not_measured(rows: list[dict]) -> list[str]:
    gaps = [human_flops(row['train_flops']) for row in rows if not all(map(row['checkpoints'].get, PICKS))]
    words = 'FLOPs no checkpoint was measured at the samples that the inference budget buys.'
    return [f'At {_join(gaps)} {words}'] if gaps else []


def _warnings(rows: list[dict]) -> list[str]:
    """Repeat each law's warnings at the largest budget, and name the other budgets it warns at."""
    sentences = []
    for law in (CHINCHILLA, APPROACH_1, APPROACH_2):
        said = '; '.join(str(warning).rstrip('.') for warning in rows[-1][law].get('warnings', ()))
        others = _join([human_flops(row['train_flops']) for row in rows[:-1] if row[law].get('warnings')])
        if said:
            budget = human_flops(rows[-1]['train_flops'])
            also = f'; there are warnings at {others} FLOPs too' if others else ''
            sentences.append(f'{RULES[law]} at {budget} FLOPs: {said}{also}.')
        elif others:
            sentences.append(f'{RULES[law]} leaves the data it was fitted to at {others} FLOPs.')
    return sentences


def table_rows(rows: list[dict]) -> list[dict[str, Any]]:
    """Flatten allocation rows into one row per budget and rule, numbers still numbers, None where unknown."""
    flat = []
    for row in rows:
        for rule, name in RULES.items():
            choice = row['checkpoints'].get(rule) if rule in PICKS else row[rule]
            if choice:
                entry = {'train_flops': row['train_flops'], 'inference_flops': row['inference_flops']}
                entry |= {'rule': name, 'run': choice.get('run', '')}
                entry |= {column: choice[column] for column in ('params', 'tokens', 'tokens_per_param')}
                entry['samples'] = whole_samples(row['inference_flops'] / (2 * choice['params']))
                flat.append(entry | _values(rule, choice))
    return flat


def _values(rule: str, choice: dict) -> dict[str, float | None]:
    """Read NLL and pass@k at k = C_inf / (2N); the best by loss has its loss as `nll`: not that."""
    if rule not in PICKS:
        return {'nll': choice.get('nll'), 'pass_at_k': choice.get('pass_at_k')}
    values = {'nll': choice.get('nll_at_k'), 'pass_at_k': choice.get('pass_at_k')}
    return values if rule == 'single_pass' else values | {rule: choice['value']}


def written(entry: dict[str, Any]) -> tuple[str, ...]:
    """Write one flat row as text in the order of COLUMNS."""
    counts = (
        human_count(entry['params']),
        human_count(entry['tokens']),
        human_ratio(entry['tokens_per_param']),
    )
    samples = f'{entry["samples"]:,}' if entry['samples'] else '< 1'
    return entry['rule'], *counts, samples, human_loss(entry['nll']), human_percent(entry['pass_at_k'])


def _text_table(rows: list[dict]) -> list[str]:
    head = f'{"C (FLOPs)":<11}{COLUMNS[0]:<31}' + ''.join(f'{name:>11}' for name in COLUMNS[1:])
    lines, last = [head, '-' * len(head)], ''
    for entry in table_rows(rows):
        budget, cells = human_flops(entry['train_flops']), written(entry)
        numbers = ''.join(f'{cell:>11}' for cell in cells[1:])
        lines.append(f'{budget if budget != last else "":<11}{cells[0]:<31}{numbers}')
        last = budget
    return lines


def _purchase(choice: dict, then: str = 'and draw') -> str:
    return (
        f'{human_count(choice["params"])} parameters on {human_count(choice["tokens"])} tokens '
        f'({human_ratio(choice["tokens_per_param"])} per parameter), {then} {_samples(choice["samples"])}'
    )


def _checkpoint(best: dict) -> str:
    shape = f'N {human_count(best["params"])}, D/N {human_ratio(best["tokens_per_param"])}'
    return f'{best["run"]} ({shape}, {_samples(best["samples"])})'


def _samples(samples: float) -> str:
    whole = whole_samples(samples)
    return f'{whole:,} sample{"s" if whole > 1 else ""}' if whole else 'less than one sample'


def _join(names: list[str]) -> str:
    return ', '.join(names[:-1]) + ' and ' + names[-1] if len(names) > 1 else ''.join(names)
