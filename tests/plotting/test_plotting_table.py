import copy

import pytest

from t2jax.plotting.answer import cautions, headline
from t2jax.plotting.table import answer_lines, table_rows


def choice(params, **more):
    tokens = 6.4e11 / (6 * params)
    return {
        'params': params,
        'tokens': tokens,
        'tokens_per_param': tokens / params,
        'samples': 5e5 / params,
    } | more


def checkpoint(run, params, bracketed=True, **more):
    return choice(params, run=run, bracketed=bracketed) | more


def one_row(budget=6.4e11):
    return {
        'train_flops': budget,
        'inference_flops': 1e6,
        'chinchilla': choice(48_000.0, nll=1.75, pass_at_k=0.601, warnings=[]),
        't2-nll': choice(10_300.0, nll=1.321, params_for_one_sample=30_000.0, warnings=[]),
        't2-accuracy': choice(20_000.0, pass_at_k=0.64, params_for_one_sample=40_000.0, warnings=[]),
        'checkpoints': {
            'single_pass': checkpoint('d32-6.4e11', 39_904.0, nll=2.5),
            'nll': checkpoint('d16-6.4e11', 11_120.0, value=1.33),
            'pass_at_k': checkpoint('d24-6.4e11', 22_440.0, value=0.636),
        },
    }


@pytest.fixture
def rows():
    return [one_row(3.2e11), one_row()]


def test_the_answer_is_the_largest_budget_whatever_the_order(rows):
    rows[0]['t2-nll']['params'] = 7_000.0
    text = answer_lines(rows[::-1])
    assert '6.4e11 FLOPs to train and 1e6 FLOPs per served token' in text.splitlines()[0]
    assert 'train 10.3k parameters on 10.4M tokens (1,005 per parameter), and draw 48 samples' in flat(text)
    assert "It expects NLL 1.321; Chinchilla's choice would give 1.750" in flat(text)
    assert "It expects pass@k 64.0 %; Chinchilla's choice would give 60.1 %" in flat(text)
    assert 'train a model 2.4 to 4.7 times smaller' in flat(text)
    assert 'For a single sample it would take 30k parameters.' in flat(text)


def flat(text):
    return ' '.join(text.split())


def test_a_terminal_of_110_columns_holds_it_even_with_long_names(rows):
    for row in rows:
        row['checkpoints']['nll']['run'] = 'a-run-' + 'with-a-long-name-' * 12
        row['t2-nll']['warnings'] = ['model size 9 is outside the 6036 to 155072 that t2-nll was fitted to'] * 4
        row['chinchilla'] |= choice(1.23e13)
    lines = answer_lines(rows).splitlines()
    assert max(map(len, lines)) <= 110
    assert len(lines) > 20


def test_nothing_to_caution_about(rows):
    assert cautions(rows) == []


def test_table_has_every_rule_of_every_budget_and_no_value_at_another_k(rows):
    table = table_rows(rows)
    assert len(table) == 12
    single = next(entry for entry in table if entry['rule'] == 'best checkpoint by loss')
    # Its nll is the loss; the table's column is at k = C_inf / (2N).
    assert single['nll'] is None and single['samples'] == 12
    assert [entry['pass_at_k'] for entry in table if entry['rule'] == 'best checkpoint by pass@k'] == [0.636] * 2


@pytest.mark.parametrize(
    ('law', 'params', 'words'),
    [
        (
            't2-nll',
            48_000.0,
            "Approach 1's optimum is not a smaller model than Chinchilla's at {} (the same size: 48k).",
        ),
        (
            't2-accuracy',
            60_000.0,
            "Approach 2's optimum is not a smaller model than Chinchilla's at {} (larger: 60k against 48k).",
        ),
    ],
)
def test_says_so_where_a_law_does_not_choose_smaller(rows, law, params, words):
    rows[1][law]['params'] = params
    words = words.format('6.4e11 FLOPs')
    assert words in cautions(rows)
    assert f'! {words}' in flat(answer_lines(rows))
    assert 'the laws disagree' in headline(rows)


def test_says_so_where_neither_law_chooses_smaller(rows):
    for name in ('t2-nll', 't2-accuracy'):
        rows[1][name]['params'] = 50_000.0
    assert 'neither law asks for a smaller model' in headline(rows)


def test_says_so_where_a_checkpoint_is_not_smaller(rows):
    rows[0]['checkpoints']['pass_at_k'] = checkpoint('d32', 39_904.0, value=0.6)
    rows[1]['checkpoints']['pass_at_k'] = checkpoint('d48', 86_352.0, value=0.7)
    (sentence,) = cautions(rows)
    assert sentence == (
        'The best checkpoint by pass@k is not a smaller model than the best by loss at '
        '3.2e11 FLOPs (the same size: 39.9k) and 6.4e11 FLOPs (larger: 86.4k against 39.9k).'
    )


def test_says_so_where_the_best_checkpoint_is_not_bracketed(rows):
    rows[0]['checkpoints']['nll']['bracketed'] = False
    (sentence,) = cautions(rows)
    assert sentence.startswith('The best checkpoint by NLL is not bracketed at 3.2e11 FLOPs (11.1k):')


def test_repeats_the_warnings_of_the_largest_budget_and_names_the_others(rows):
    rows[0]['t2-nll']['warnings'] = ['samples 300 is outside 1 to 128']
    rows[1]['t2-nll']['warnings'] = ['samples 400 is outside 1 to 128']
    (sentence,) = cautions(rows)
    assert 'samples 400 is outside 1 to 128' in sentence and 'at 3.2e11 FLOPs too' in sentence


def test_a_budget_that_buys_no_sample_or_measured_no_checkpoint_is_said(rows):
    rows[1]['chinchilla'] |= choice(6e5) | {'nll': None, 'pass_at_k': None}
    rows[1]['checkpoints'] = {'single_pass': None, 'nll': None, 'pass_at_k': None}
    text = flat(answer_lines(rows))
    assert 'less than one sample' in text and '< 1' in text
    assert "Chinchilla's choice is too large to draw one sample" in text and ' give –' not in text
    assert 'At 6.4e11 FLOPs no checkpoint was measured' in text


def test_the_rows_are_left_alone(rows):
    before = copy.deepcopy(rows)
    answer_lines(rows)
    assert rows == before
