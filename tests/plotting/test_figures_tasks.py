"""Figures 4, 6 and 7 and the curves of pass@k: that they show the numbers of the study."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from t2jax.laws.allocation import best_allocation
from t2jax.laws.observations import value_at_k, where
from t2jax.plotting import curves, isoflop_tasks
from t2jax.plotting.results import NotDrawn, read_results


def of_kind(numbers, kind, column=None):
    return [row for row in numbers if row['kind'] == kind and (column is None or column in row)]


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


@pytest.mark.parametrize('law', ['t2-nll', 't2-accuracy'])
def test_tasks_have_their_own_points_curves_and_optima(results, law):
    column = 'nll' if law == 't2-nll' else 'pass_at_k'
    harder = {'spatial': replace(results.by_task[law]['spatial'], parameters=slower(results.by_task[law]['spatial']))}
    results = replace(results, by_task=results.by_task | {law: results.by_task[law] | harder})
    figure, numbers = (isoflop_tasks.nll_by_task if law == 't2-nll' else isoflop_tasks.pass_at_k_by_task)(results)
    assert [axis.get_ylabel() for axis in figure.axes[:6:3]] == ['knowledge', 'spatial']
    assert {row['inference_flops'] for row in numbers} == {None, 2.5e5, 1e6}
    for row in of_kind(numbers, 'measured'):
        mine = where(results.observations, results.observations.task == row['task'])
        assert row[column] == value_at_k(mine, row['run'], row['k'], column)
    for row in of_kind(numbers, 'choice'):
        fit = results.by_task[law][row['task']]
        asked = {'train_flops': row['train_flops'], 'inference_flops': row['inference_flops']}
        assert row['params'] == pytest.approx(best_allocation(fit, **asked)['params'])
    for row in of_kind(numbers, 'curve'):
        fit = results.by_task[law][row['task']]
        assert row[column] == pytest.approx(fit.predict(row['params'], row['tokens'], row['k']))
    optima = {task: [row['params'] for row in of_kind(numbers, 'choice') if row['task'] == task] for task in harder}
    assert len(optima['spatial']) == 6


def slower(fit):
    return fit.parameters | {'A': 2 * fit.parameters['A']}


def test_a_task_without_a_fit_has_points_only(results):
    fits = {
        law: {task: fit for task, fit in fits.items() if task != 'spatial'} for law, fits in results.by_task.items()
    }
    _, numbers = isoflop_tasks.nll_by_task(replace(results, by_task=fits))
    assert {row['kind'] for row in numbers if row['task'] == 'spatial'} == {'measured'}
    assert {row['kind'] for row in numbers if row['task'] == 'knowledge'} == {'measured', 'choice', 'curve'}


def test_the_third_column_is_the_inference_budget_best_measured(results):
    at = lambda budget: replace(results, rows=[row | {'inference_flops': budget} for row in results.rows])
    assert isoflop_tasks.inference_budgets(results, 'nll') == [None, 2.5e5, 1e6]
    assert isoflop_tasks.inference_budgets(at(2e5), 'nll') == [None, 2e5, 8e5]
    assert isoflop_tasks.inference_budgets(at(1e12), 'nll') == [None, 1e12]


def test_extrapolation_marks_exactly_the_overtrained_runs(results):
    _, numbers = curves.extrapolation(results)
    for row in numbers:
        assert row['held_out'] == (row['tokens'] / row['params'] > 150)
    for law in ('t2-nll', 't2-accuracy'):
        mine, test = [row for row in numbers if row['law'] == law], results.held_out[law]['macro']
        assert sum(row['held_out'] for row in mine) == test.scores['n_held_out'] > 0
        assert sum(not row['held_out'] for row in mine) == test.scores['n_in_sample'] > 0
        error = np.mean([abs(row['relative_error']) for row in mine if row['held_out']])
        assert error == pytest.approx(test.scores['held_out'])
        predicted = test.fit.predict(mine[0]['params'], mine[0]['tokens'], mine[0]['k'])
        assert mine[0]['predicted'] == pytest.approx(predicted)


def test_extrapolation_leaves_out_what_nothing_can_be_held_against(results):
    low = results.macro.pass_at_k.copy()
    low[:5] = 0.0
    macro = replace(results.macro, pass_at_k=low)
    _, numbers = curves.extrapolation(replace(results, tables=replace(results.tables, macro=macro)))
    assert len([row for row in numbers if row['law'] == 't2-accuracy']) == len(low) - 5
    unknown = results.macro.nll.copy()
    unknown[:9] = np.nan  # of one run at all k: at k = 1 Approach 2 is fitted without it
    macro = replace(results.macro, nll=unknown)
    _, numbers = curves.extrapolation(replace(results, tables=replace(results.tables, macro=macro)))
    assert len([row for row in numbers if row['law'] == 't2-accuracy']) == len(low) - 1
    assert len([row for row in numbers if row['law'] == 't2-nll']) == len(low) - 9
    nothing = replace(results.macro, pass_at_k=0 * low)
    with pytest.raises(NotDrawn, match='above 0'):
        curves.extrapolation(replace(results, tables=replace(results.tables, macro=nothing)))


def test_nothing_held_out_is_not_drawn(make_study):
    with pytest.raises(NotDrawn, match='held out'):
        curves.extrapolation(read_results(make_study(held_out=False)))


def test_curves_show_the_smallest_a_middling_and_the_largest_run(results, ladder):
    assert curves.three_runs(results) == ['n3000-3e+11', 'n24000-3e+11', 'n96000-3e+11']
    _, numbers = curves.pass_at_k_curves(results)
    row = next(row for row in numbers if row['k'] == 4 and row['task'] == 'spatial')
    assert row['pass_at_k_sampled_low'] < row['pass_at_k_sampled'] < row['pass_at_k_sampled_high']
    longest = {size: ladder.macro.tokens[ladder.macro.params == size].max() for size in (3e3, 24e3, 96e3)}
    for run, (size, tokens) in zip(curves.three_runs(ladder), longest.items(), strict=True):
        assert set(ladder.macro.params[ladder.macro.run == run]) == {size}
        assert set(ladder.macro.tokens[ladder.macro.run == run]) == {tokens}


def test_curves_say_how_pass_at_k_was_measured(results, make_study):
    figure, _ = curves.pass_at_k_curves(read_results(make_study(sampled=False)))
    assert not any('really sampled' in text for text in words(figure))
    counts = replace(results.observations, measure=np.full(len(results.observations), 'counts'))
    figure, _ = curves.pass_at_k_curves(replace(results, tables=replace(results.tables, observations=counts)))
    assert 'estimated from counts of right samples, named by size N' in words(figure)
