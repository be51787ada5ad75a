"""What the report says after fine-tuning: every sentence follows from the numbers, whatever they are."""

import math

import pytest
from made_up_posttraining import BUDGETS, RATES, after, at, make_jobs, make_rows, make_terms, sentence, words

from t2jax.plotting.labels import human_ratio
from t2jax.plotting.posttraining_html import posttraining_html


@pytest.mark.parametrize(
    ('ends', 'said'),
    [
        ([0.9, 2.1], ', 80 % interval 0.9 to 2.1): no clear shift.'),
        ([1.1, 2.1], ', 80 % interval 1.1 to 2.1): clearly more tokens per parameter.'),
        ([0.3, 0.996], ', 80 % interval 0.3 to 0.996): clearly fewer tokens per parameter.'),
        ([None, 2.1], '(ratio 1.9): how surely is not known.'),
    ],
)
def test_a_shift_is_clear_where_its_interval_excludes_one(tmp_path, ends, said):
    rows = make_rows()
    at(rows, 'sft', 'macro')['shift']['t2-nll']['bands']['80'] = ends
    values = [human_ratio(at(rows, stage, 'macro', 't2-nll')['tokens_per_param']) for stage in ('base', 'sft')]
    told = sentence(after(tmp_path, rows=rows), 'After SFT the T2 optimum by Approach 1')
    assert f'on the mean over tasks moves from D/N = {values[0]} to {values[1]} (ratio 1.9' in told
    assert told.endswith(said)


def test_it_counts_the_tasks_that_clearly_move(tmp_path):
    rows = make_rows()
    at(rows, 'sft', 'arithmetic')['shift']['t2-accuracy']['bands']['80'] = [0.2, 0.7]
    at(rows, 'sft', 'spatial')['shift']['t2-accuracy']['bands']['80'] = [0.2, 1.7]
    assert sentence(after(tmp_path, rows=rows), 'Task by task and approach by approach, SFT') == (
        'Task by task and approach by approach, SFT moves the optimum to clearly more tokens per parameter in 2 '
        '(Approach 1: arithmetic, spatial) and to clearly fewer tokens per parameter in 1 (Approach 2: arithmetic) '
        'of 4.'
    )


def test_it_compares_with_chinchilla_of_the_same_stage(tmp_path):
    rows = make_rows()
    chinchilla = at(rows, 'ft', 'macro', 'chinchilla')['tokens_per_param']
    # its lower end lies inside Chinchilla's band, of a factor 1.3
    at(rows, 'ft', 'macro', 't2-accuracy')['bands']['tokens_per_param']['80'] = [1.1 * chinchilla, 20 * chinchilla]
    told = sentence(after(tmp_path, rows=rows), 'After FT Chinchilla')
    assert f'asks for {human_ratio(chinchilla)} tokens per parameter on the mean over tasks; ' in told
    assert '(5 times as many; 80 % intervals apart), Approach 2' in told
    assert told.endswith('(7 times as many; 80 % intervals overlap).')


def test_checkpoints_are_compared_at_every_budget_and_ties_and_gaps_are_said(tmp_path):
    rows = make_rows()
    at(rows, 'sft', 'spatial')['checkpoints']['overtrained'] = None
    at(rows, 'base', 'spatial')['checkpoints']['overtrained']['pass_at_k'] = 0.3
    at(rows, 'base', 'arithmetic')['checkpoints']['chinchilla']['pass_at_k'] = None
    found = after(tmp_path, rows=rows)
    assert len(found.comparisons) == len(rows)
    better = {(line['stage'], line['task'], line['train_flops']): line['better'] for line in found.comparisons}
    assert (
        better['ft', 'spatial', BUDGETS[0]] == 'overtrained' and better['ft', 'arithmetic', BUDGETS[0]] == 'chinchilla'
    )
    assert better['sft', 'spatial', BUDGETS[-1]] == '' == better['base', 'arithmetic', BUDGETS[-1]]
    assert better['base', 'spatial', BUDGETS[-1]] == 'equal'
    html = words(posttraining_html(found))
    pairs = 'the best overtrained checkpoint is better in'
    assert f'{pairs} 3 of 6 pairs, the Chinchilla-optimal one in 3.' in html
    assert f'{pairs} 2 of 6 pairs, the Chinchilla-optimal one in 3; in 1 there is no overtrained checkpoint.' in html
    assert f'{pairs} 2 of 6 pairs, the Chinchilla-optimal one in 2, 1 are equal; 1 cannot be compared.' in html
    assert ' '.join('spatial SFT none 30.0 % (24k) –'.split()) in ' '.join(html.split())
    assert 'arithmetic FT 20.0 % (6k) 30.0 % (24k) Chinchilla-optimal' in ' '.join(html.split())


def chosen_rates(rates):
    """Choose these rates for the first runs of every task and stage, the middle one for the others."""
    jobs, curves = make_jobs()
    for job in jobs:
        which = rates.get(job['run'], RATES[1])
        job['chosen'] = int(job['learning_rate'] == which)
    return jobs, curves


def test_it_says_where_the_grid_of_rates_was_too_narrow(tmp_path):
    html = words(posttraining_html(after(tmp_path)))
    assert 'FT: of 36 choices of a learning rate 0 (0.0 %) are the lowest of the grid and 0 (0.0 %) the highest' in html
    assert html.count('the grid was wide enough') == 2 and 'too narrow' not in html
    rates = {'n3000-8e+10': RATES[0], 'n6000-8e+10': RATES[0], 'n12000-8e+10': RATES[2]}
    html = words(posttraining_html(after(tmp_path, jobs=chosen_rates(rates))))
    assert 'of 36 choices of a learning rate 4 (11.1 %) are the lowest of the grid and 2 (5.56 %) the highest: ' in html
    assert html.count('the grid was too narrow, a better rate may lie below or above it') == 2
    assert 'SFT 3k 2 (33.3 %) 4 (66.7 %) –' in ' '.join(html.split())
    assert 'SFT all 4 (11.1 %) 30 (83.3 %) 2 (5.56 %)' in ' '.join(html.split())
    html = words(posttraining_html(after(tmp_path, jobs=make_jobs(rates=(1e-3,)))))
    assert html.count('one learning rate was tried') == 2 and 'wide enough' not in html


def test_it_counts_jobs_that_came_out_worse_and_what_was_forgotten(tmp_path):
    def final(task, stage, params):
        return {3e3: 1.5, 6e3: math.inf}.get(params, 0.5) if stage == 'ft' else 0.5

    html = ' '.join(words(posttraining_html(after(tmp_path, jobs=make_jobs(final=final)))).split())
    # worse: 2 of 6 sizes of the chosen; of all also the largest, one rate in three; diverged: 3 + 1 of 18
    assert ' FT 108 36 24 33.3 % 38.9 % ' in html and ' SFT 108 36 6 0.0 % 5.56 % ' in html
    assert ' 2.000 2.500 +0.500 ' in html and ' 2.000 2.750 +0.750 ' in html
    assert 'FT: 33.3 % of the jobs at the chosen rate end more than 1 % above the lowest validation NLL' in html
    assert 'SFT: 0.0 % of the jobs at the chosen rate end more than 1 % above' in html
    assert '(they overfit), and 66.7 % are at their lowest at the last epoch' in html


def test_the_term_for_overtraining_is_kept_or_not(tmp_path):
    html = ' '.join(words(posttraining_html(after(tmp_path))).split())
    assert 'arXiv 2503.19206' in html and 'it is kept in 1 of 9 fits (SFT, mean over tasks).' in html
    assert 'beats its null on the held-out runs in 9 of 9 fits' in html
    assert 'SFT spatial 15.0 % 16.0 % 40.0 % no SFT mean over tasks 15.0 % 10.0 % 40.0 % yes' in html
    terms = make_terms()
    terms[0] |= {'held_out': 0.5, 'with_term': None}
    terms[1] |= {'held_out': math.inf}
    html = ' '.join(words(posttraining_html(after(tmp_path, terms=terms))).split())
    assert 'in 7 of 9 fits' in html and 'base arithmetic 50.0 % – 40.0 % no base spatial – 16.0 %' in html
    assert 'was not tested' in posttraining_html(after(tmp_path, terms=[]))


def test_warnings_of_the_largest_budget_are_repeated(tmp_path):
    rows = make_rows()
    at(rows, 'sft', 'spatial', 't2-nll')['warnings'] = ['k = 9 is <beyond> the samples.']
    rows[0]['chinchilla']['warnings'] = ['of another budget']
    html = posttraining_html(after(tmp_path, rows=rows))
    assert 'Warnings of the laws at the largest budget: 1<' in html and 'another budget' not in html
    assert 'Approach 1 (NLL), SFT, spatial: k = 9 is &lt;beyond&gt; the samples.' in html
