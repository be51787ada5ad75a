"""Tables 1 and 2: which checkpoints they compare, and what the paper printed beside them on its own grid."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_posttraining import fine_tune

from t2jax.laws.observations import Observations, macro_average, where
from t2jax.laws.workdir import Tables
from t2jax.plotting.checkpoint_tables import cells_of, compare_checkpoints, heads_of, table_1, table_2
from t2jax.plotting.published import HELD_OUT_ERRORS, TABLE_1, TABLE_2, at_the_papers_budgets
from t2jax.plotting.results import NotDrawn, read_results

SIZES = (37e6, 149e6, 455e6)
KS = (1, 2, 4, 8, 16, 32)


@pytest.fixture
def papers(results):
    """A study at the paper's budgets: of one sample the largest is best, at equal budgets the smallest."""
    rows = []
    for task, ease in (('lambada', 1.0), ('a_task_of_ours', 0.5)):
        for at, params in enumerate(SIZES):
            for k in KS:
                chance = ease * (0.02 + 0.01 * at)
                passed = 1 - (1 - chance) ** k
                rows.append((f'{params:g}', task, params, 2.56e19 / (6 * params), k, -np.log(passed), passed))
    names = ('run', 'task', 'params', 'tokens', 'k', 'nll', 'pass_at_k')
    columns = dict(zip(names, map(np.array, zip(*rows))))
    observations = Observations(**columns)
    macro = macro_average(observations)
    tables = Tables(observations, macro, where(macro, macro.k == 1), of_answers=True)
    return replace(results, tables=tables, rows=[], study={'inference_flops': 2e9})


def test_the_best_overtrained_stands_against_the_best_of_one_sample(papers):
    ours, _ = compare_checkpoints(papers)
    assert (ours['task'], ours['chinchilla_params'], ours['overtrained_params']) == ('lambada', 455e6, 37e6)
    k = 2e9 / (2 * 37e6)
    assert ours['overtrained_samples'] == pytest.approx(k)
    assert ours['overtrained_pass_at_k'] == pytest.approx(1 - 0.98**k, rel=0.01)
    assert cells_of(ours)['overtrained'].endswith('(37M)') and cells_of(ours)['chinchilla'].endswith('(455M)')


def test_what_the_paper_printed_stands_beside_its_tasks_at_its_budgets_only(papers):
    lambada, other = compare_checkpoints(papers)
    assert cells_of(lambada)['paper_overtrained'] == '49.9 % (37M)'
    assert cells_of(lambada)['paper_chinchilla'] == '27.3 % (455M)'
    assert 'paper_overtrained' not in cells_of(other)
    assert list(heads_of([lambada, other])) == [
        'task',
        'overtrained',
        'chinchilla',
        'paper_overtrained',
        'paper_chinchilla',
    ]
    elsewhere = replace(papers, study={'inference_flops': 4e9})
    assert not any('paper_overtrained' in cells_of(row) for row in compare_checkpoints(elsewhere))
    assert at_the_papers_budgets(2.5600000001e19, 2e9) and not at_the_papers_budgets(1.28e19, 2e9)


def test_the_better_of_each_pair_is_bold(papers):
    figure, rows = table_1(papers)
    bold = {text.get_text() for text in figure.axes[0].texts if text.get_fontweight() == 'bold'}
    assert {cells_of(rows[0])['overtrained'], '49.9 % (37M)'} <= bold
    assert not {cells_of(rows[0])['chinchilla'], '27.3 % (455M)'} & bold


def test_published_numbers_are_shares_and_overtrained_wins_throughout():
    pairs = [*TABLE_1.values(), *TABLE_2.values()]
    assert len(pairs) == 14 and all(0 < pair.chinchilla < pair.overtrained < 1 for pair in pairs)
    assert (TABLE_1['spatial_reasoning'].overtrained, TABLE_2['sft', 'sciq'].chinchilla_size) == (0.06, '347M')
    assert set(HELD_OUT_ERRORS.values()) == {0.028, 0.084}


def test_table_2_has_the_stages_after_the_base_of_the_largest_budget(make_study):
    results = read_results(fine_tune(make_study()))
    _, rows = table_2(results)
    assert {row['stage'] for row in rows} == {'ft', 'sft'} and 'macro' not in {row['task'] for row in rows}
    assert {row['train_flops'] for row in rows} == {results.posttraining.largest_budget}
    assert [row['stage'] for row in rows] == sorted(row['stage'] for row in rows)
    assert list(heads_of(rows)) == ['task', 'stage', 'overtrained', 'chinchilla']


def test_what_there_is_no_table_of_is_said(losses_alone, ladder, results):
    for study, words in ((losses_alone, 'losses alone'), (ladder, 'share none')):
        with pytest.raises(NotDrawn, match=words):
            table_1(study)
    with pytest.raises(NotDrawn, match='did not'):
        table_2(results)
