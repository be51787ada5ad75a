"""Observations: what was left out is filled in, averages and interpolations are what they say, and faults are said."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax.laws.observations import Observations, macro_average, training_budgets, value_at_k, where


def make(**columns):
    n = len(next(iter(columns.values())))
    blank = {'run': ['a'] * n, 'task': ['x'] * n, 'params': [1e6] * n, 'tokens': [2e7] * n, 'k': [1.0] * n}
    return Observations(**{name: np.array(value) for name, value in (blank | columns).items()})


fractions = st.floats(0, 1)


def test_what_is_left_out_is_filled_in():
    rows = Observations(params=[1e6, 1e6], tokens=[2e7, 3.5e7], k=[1, 4], pass_at_k=[0.5, 0.25])
    assert rows.run.tolist() == ['N1000000-D20000000', 'N1000000-D35000000']
    assert rows.task.tolist() == ['all', 'all'] and rows.measure.tolist() == ['unknown', 'unknown']
    assert rows.train_flops.tolist() == [1.2e14, 2.1e14] and rows.weight.tolist() == [1, 1]
    assert np.isnan([rows.nll, rows.se, rows.n_samples]).all()
    with pytest.raises(ValueError, match='observations lack params, k; give params, tokens and k for every row'):
        Observations(tokens=[1.0], nll=[1.0])


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match='columns of unequal length'):
        dataclasses.replace(make(k=[1.0, 2.0]), nll=np.ones(3))


def test_where_keeps_every_column_aligned():
    rows = make(run=['a', 'b', 'c'], k=[1.0, 2.0, 4.0])
    kept = where(rows, rows.k > 1)
    assert kept.run.tolist() == ['b', 'c'] and kept.k.tolist() == [2.0, 4.0] and len(kept) == 2


@given(st.lists(st.tuples(fractions, fractions, fractions), min_size=1, max_size=6), st.randoms())
def test_the_macro_average_is_the_mean_over_tasks(values, random):
    cells = [(f'r{i}', task, value) for i, row in enumerate(values) for task, value in zip('xyz', row)]
    random.shuffle(cells)
    run, task, value = zip(*cells)
    average = macro_average(make(run=run, task=task, nll=value, pass_at_k=value))
    by_run = dict(zip(average.run.tolist(), average.nll.tolist()))
    assert by_run == pytest.approx({f'r{i}': sum(row) / 3 for i, row in enumerate(values)})
    assert set(average.task.tolist()) == {'macro'}
    np.testing.assert_array_equal(average.nll, average.pass_at_k)


def test_sampled_columns_average_with_independent_errors():
    tasks = make(
        task=['x', 'y', 'x', 'y'],
        k=[1.0, 1.0, 2.0, 2.0],
        n_samples=[64.0, 32.0, 64.0, 32.0],
        pass_at_k_sampled=[0.2, 0.6, 0.5, np.nan],
        pass_at_k_sampled_low=[0.17, 0.56, 0.4, np.nan],
        pass_at_k_sampled_high=[0.26, 0.68, 0.6, np.nan],
    )
    average = macro_average(tasks)
    np.testing.assert_allclose(average.pass_at_k_sampled, [0.4, np.nan])
    np.testing.assert_allclose(average.pass_at_k_sampled_low, [0.4 - 0.05 / 2, np.nan])
    np.testing.assert_allclose(average.pass_at_k_sampled_high, [0.4 + 0.1 / 2, np.nan])
    assert average.n_samples.tolist() == [32.0, 32.0]


def test_weights_and_standard_errors_average_as_such():
    one = make(task=['x', 'y'], nll=[1.0, 2.0], weight=[1.0, 4.0], se=[0.3, 0.4], measure=['counts', 'counts'])
    average = macro_average(one)
    assert average.weight.tolist() == [2.5] and average.measure.tolist() == ['counts']
    assert average.se == pytest.approx(0.5 / 2)
    assert np.isnan(macro_average(dataclasses.replace(one, se=[0.3, np.nan])).se).all()


def test_a_macro_average_of_two_measures_is_refused():
    mixed = make(task=['x', 'y'], measure=['counts', 'likelihood'])
    with pytest.raises(ValueError, match='nll is of counts and likelihood .column measure., which do not average'):
        macro_average(mixed)


def test_a_macro_average_with_a_gap_is_refused():
    gap = make(task=['x', 'y', 'x'], k=[1.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="task 'y' lacks run 'a' at k = 2"):
        macro_average(gap)
    with pytest.raises(ValueError, match='no observations to average'):
        macro_average(where(gap, gap.k > 5))


def test_a_value_between_two_k_is_linear_in_logs():
    rows = make(k=[4.0, 1.0], nll=[2.0, 8.0], pass_at_k=[0.5, 0.0])
    assert value_at_k(rows, 'a', 1, 'nll') == 8.0
    assert value_at_k(rows, 'a', 4, 'nll') == 2.0
    assert value_at_k(rows, 'a', 2, 'nll') == pytest.approx(4.0)
    assert value_at_k(rows, 'a', 1, 'pass_at_k') == 0.0
    assert value_at_k(rows, 'a', 2, 'pass_at_k') == 0.0
    assert np.isnan(value_at_k(rows, 'a', 0.99, 'nll')) and np.isnan(value_at_k(rows, 'a', 4.01, 'nll'))


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=6), st.floats(0, 1), st.floats(0, 1))
def test_values_between_k_stay_monotone(values, one, other):
    ks = 2.0 ** np.arange(len(values))
    rows = make(k=ks, pass_at_k=sorted(values))
    low, high = sorted(ks[-1] ** share for share in (one, other))
    assert value_at_k(rows, 'a', low, 'pass_at_k') <= value_at_k(rows, 'a', high, 'pass_at_k') * (1 + 1e-12)


def test_a_value_needs_one_run_of_one_task():
    with pytest.raises(ValueError, match="no run 'b' in the observations"):
        value_at_k(make(k=[1.0]), 'b', 1, 'nll')
    with pytest.raises(ValueError, match="run 'a' has several tasks"):
        value_at_k(make(task=['x', 'y']), 'a', 1, 'nll')


def test_budgets_forgive_whole_batches():
    flops = np.array([1.6e11, 8.01e10, 8e10, 1.61e11, 7.99e10])
    assert training_budgets(flops).tolist() == [1.605e11, 8e10, 8e10, 1.605e11, 8e10]
