"""The answer in words, computed from allocation rows and never assumed; one text serves the terminal and the report.

A row has a choice of each law that is fitted: of all three, or of Chinchilla's alone where a study has only losses.
"""

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

RULES = {
    CHINCHILLA: 'Chinchilla (loss)',
    APPROACH_1: 'T2, Approach 1 (NLL)',
    APPROACH_2: 'T2, Approach 2 (pass@k)',
    'single_pass': 'best checkpoint by loss',
    'nll': 'best checkpoint by NLL',
    'pass_at_k': 'best checkpoint by pass@k',
}
PICKS = ('single_pass', 'nll', 'pass_at_k')
APPROACHES = {APPROACH_1: 'Approach 1', APPROACH_2: 'Approach 2'}
# What each approach is best at, and how its value is written.
AIMS = {
    APPROACH_1: ('lowest NLL', 'NLL', 'nll', human_loss),
    APPROACH_2: ('highest pass@k', 'pass@k', 'pass_at_k', human_percent),
}
BETTER = {APPROACH_1: 'a lower NLL', APPROACH_2: 'a higher pass@k'}
# Two law optima closer than this are the same size to any reader.
SAME = 0.01


def headline(rows: list[dict]) -> str:
    """Say in one sentence what the largest budget should buy, and how that compares with Chinchilla."""
    row = rows[-1]
    train, serve = human_flops(row['train_flops']), human_flops(row['inference_flops'])
    laws = [law for law in APPROACHES if law in row]
    if not laws:
        choice = row[CHINCHILLA]
        size, data = human_count(choice['params']), human_count(choice['tokens'])
        return (
            f'With {train} FLOPs to train, and each question answered once, train {size} parameters on {data} tokens.'
        )
    budgets = f'With {train} FLOPs to train and {serve} FLOPs per served token'
    if CHINCHILLA not in row:
        return f'{budgets}, {_ranges([row[law] for law in laws])}.'
    ratios = {law: row[CHINCHILLA]['params'] / row[law]['params'] for law in laws}
    smaller = [law for law, ratio in ratios.items() if ratio > 1 + SAME]
    if smaller == laws:
        low, high = (human_count(ratio, 2) for ratio in (min(ratios.values()), max(ratios.values())))
        times = f'{low} times' if low == high else f'{low} to {high} times'
        bought = _ranges([row[law] for law in laws])
        return f"{budgets}, train a model {times} smaller than Chinchilla's, for longer, and sample it more: {bought}."
    if not smaller:
        asks = 'neither law asks' if len(laws) > 1 else 'the law does not ask'
        return f'{budgets}, {asks} for a smaller model than Chinchilla does.'
    one, other = (APPROACHES[law] for law in (smaller[0], next(law for law in laws if law not in smaller)))
    times = human_count(ratios[smaller[0]], 2)
    return (
        f'{budgets}, the laws disagree: {one} asks for a model {times} times smaller than '
        f"Chinchilla's, {other} does not ask for a smaller one."
    )


def _ranges(choices: list[dict]) -> str:
    """Write what several laws would buy as ranges."""
    ends = []
    for name in ('params', 'tokens', 'samples'):
        values = sorted(choice[name] for choice in choices)
        write = (lambda k: f'{whole_samples(k):,}') if name == 'samples' else human_count
        low, high = write(values[0]), write(values[-1])
        ends.append(low if low == high else f'{low} to {high}')
    return f'{ends[0]} parameters on {ends[1]} tokens, {ends[2]} sample{"" if ends[2] == "1" else "s"}'


def answer_sentences(row: dict) -> list[str]:
    """Say what to train and how often to sample at one training budget, by laws and by checkpoints."""
    sentences = [_approach(law, row) for law in APPROACHES if law in row]
    if CHINCHILLA in row:
        choice, loss = row[CHINCHILLA], row[CHINCHILLA].get('loss')
        said = 'would have said: ' if sentences else 'says: '
        after = 'which leaves the inference budget' if sentences else ''
        expects = f'; it expects a loss of {human_loss(loss)}' if loss is not None else ''
        by = _loss_name(row)
        sentences.append(f'Chinchilla (lowest {by}) {said}train {purchase(choice, after)}{expects}.')
    return sentences + _checkpoint_sentences(row)


def _loss_name(row: dict) -> str:
    return 'NLL of one sample' if row.get('losses_of') == 'macro' else 'loss on text'


def _approach(law: str, row: dict) -> str:
    """Say what an approach would buy, what it expects, what Chinchilla's choice would cost, and how sure it is."""
    aim, label, column, write = AIMS[law]
    choice, chinchilla = row[law], row.get(CHINCHILLA)
    said = f'{APPROACHES[law]} ({aim}): train {purchase(choice)}. It expects {label} {write(choice[column])}'
    if chinchilla and whole_samples(chinchilla['samples']):
        said += f"; Chinchilla's choice would give {write(chinchilla[column])} for the same two budgets"
    elif chinchilla:
        said += "; Chinchilla's choice is too large to draw one sample"
    once = f'{human_count(choice["params_for_one_sample"])} parameters'
    once += ', far outside the runs' if choice.get('one_sample_outside_the_runs') else ''
    return f'{said}. {_how_sure(choice)}For a single sample it would take {once}.'


def _how_sure(choice: dict) -> str:
    bands = choice.get('bands')
    if not bands:
        return ''
    ends = {
        name: [write(end) for end in bands[name]['80']]
        for name, write in (('params', human_count), ('tokens_per_param', human_ratio))
    }
    size, ratio = (f'{low} to {high}' for low, high in ends.values())
    return f'80 % of refits to redrawn runs choose {size} parameters, {ratio} tokens for each. '


def _checkpoint_sentences(row: dict) -> list[str]:
    """Compare the checkpoint that Chinchilla's rule would keep with the best ones at equal budgets."""
    best = row['checkpoints']
    if not best.get('single_pass'):
        return []
    single = {'samples': row['inference_flops'] / (2 * best['single_pass']['params'])} | best['single_pass']
    kept = f"Of the checkpoints trained, Chinchilla's rule (lowest {_loss_name(row)}) keeps {_checkpoint(single)}"
    if set(best) == {'single_pass'}:
        return [f'{kept}: {human_loss(single["nll"])}.']
    others = [(law, best[AIMS[law][2]]) for law in APPROACHES if best.get(AIMS[law][2])]
    at_k = [
        (label, write(single[f'{name}_at_k']))
        for _, label, name, write in AIMS.values()
        if best.get(name) and f'{name}_at_k' in single
    ]
    if whole_samples(single['samples']) and at_k:
        kept += ': ' + ' and '.join(' '.join(pair) for pair in at_k)
    sentences = [kept + '.']
    for law, other in others:
        better, value = BETTER[law], AIMS[law][3](other['value'])
        if other['run'] == single['run']:
            sentences.append(f'No other checkpoint gives {better} than its {value}.')
        else:
            sentences.append(f'{_checkpoint(other)} gives {better} for the same budgets: {value}.')
    return sentences


def cautions(rows: list[dict]) -> list[str]:
    """List what stands against the answer: optima not smaller, edges of the grid, warnings of the laws."""
    return [*_not_asked(rows), *_not_smaller(rows), *_not_bracketed(rows), *_not_measured(rows), *_warnings(rows)]


def _not_asked(rows: list[dict]) -> list[str]:
    said = []
    if not any(law in rows[-1] for law in APPROACHES):
        said.append('There are losses alone, so nothing is said of repeated sampling; that needs answers at several k.')
    if not any(row['checkpoints'] for row in rows):
        said.append('The runs share no training budgets, so that no checkpoints are compared at equal ones.')
    return said


def _not_smaller(rows: list[dict]) -> list[str]:
    sentences = []
    for law, name in APPROACHES.items():
        pick = AIMS[law][2]
        if law in rows[-1] and CHINCHILLA in rows[-1]:
            laws = [(row['train_flops'], row[law]['params'], row[CHINCHILLA]['params']) for row in rows]
            if found := _at_least(laws, SAME):
                sentences.append(f"{name}'s optimum is not a smaller model than Chinchilla's at {found}.")
        pairs = [(row['train_flops'], *(row['checkpoints'].get(p) for p in (pick, PICKS[0]))) for row in rows]
        runs = [(budget, best['params'], single['params']) for budget, best, single in pairs if best and single]
        if found := _at_least(runs, 0.0):
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
    gaps = [
        human_flops(row['train_flops']) for row in rows if row['checkpoints'] and not all(row['checkpoints'].values())
    ]
    words = 'FLOPs no checkpoint was measured at the samples that the inference budget buys.'
    return [f'At {_join(gaps)} {words}'] if gaps else []


def _warnings(rows: list[dict]) -> list[str]:
    """Repeat each law's warnings at the largest budget, and name the other budgets it warns at."""
    sentences = []
    for law in (CHINCHILLA, *APPROACHES):
        if law not in rows[-1]:
            continue
        said = '; '.join(str(warning).rstrip('.') for warning in rows[-1][law].get('warnings', ()))
        others = _join([human_flops(row['train_flops']) for row in rows[:-1] if row[law].get('warnings')])
        if said:
            budget = human_flops(rows[-1]['train_flops'])
            also = f'; there are warnings at {others} FLOPs too' if others else ''
            sentences.append(f'{RULES[law]} at {budget} FLOPs: {said}{also}.')
        elif others:
            sentences.append(f'{RULES[law]} leaves the data it was fitted to at {others} FLOPs.')
    return sentences


def purchase(choice: dict, then: str = 'and draw') -> str:
    """Write N, D, D/N and, unless `then` is empty, the samples of a choice."""
    bought = (
        f'{human_count(choice["params"])} parameters on {human_count(choice["tokens"])} tokens '
        f'({human_ratio(choice["tokens_per_param"])} per parameter)'
    )
    return f'{bought}, {then} {_samples(choice["samples"])}' if then else bought


def _checkpoint(best: dict) -> str:
    shape = f'N {human_count(best["params"])}, D/N {human_ratio(best["tokens_per_param"])}'
    return f'{best["run"]} ({shape}, {_samples(best["samples"])})'


def _samples(samples: float) -> str:
    whole = whole_samples(samples)
    return f'{whole:,} sample{"s" if whole > 1 else ""}' if whole else 'less than one sample'


def _join(names: list[str]) -> str:
    return ', '.join(names[:-1]) + ' and ' + names[-1] if len(names) > 1 else ''.join(names)
