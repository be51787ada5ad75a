"""Observations: what is read is what was written, and what is wrong is said."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax.laws.observations import (
    COLUMNS,
    Observations,
    macro_average,
    read_observations,
    training_budgets,
    value_at_k,
    where,
    write_observations,
)

GOOD = 'run,task,params,tokens,k,nll\na,x,1e6,2e7,1,2.5\na,x,1e6,2e7,2,2.0\n'


def make(**columns):
    n = len(next(iter(columns.values())))
    blank = {'run': ['a'] * n, 'task': ['x'] * n, 'params': [1e6] * n, 'tokens': [2e7] * n, 'k': [1.0] * n}
    blank |= {name: [np.nan] * n for name in COLUMNS if name not in blank}
    return Observations(**{name: np.array(value) for name, value in (blank | columns).items()})


def assert_same(a, b):
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


numbers = st.floats(1e-300, 1e300)
fractions = st.floats(0, 1)


@given(st.lists(st.tuples(numbers, numbers, fractions, st.none() | fractions), min_size=1, max_size=5))
def test_what_is_written_is_read_back_to_the_bit(tmp_path_factory, rows):
    params, nll, passed, sampled = zip(*rows)
    written = make(
        run=[f'r,"{i}' for i in range(len(rows))],
        params=params,
        train_flops=params,
        nll=nll,
        pass_at_k=passed,
        pass_at_k_sampled=[np.nan if value is None else value for value in sampled],
    )
    path = tmp_path_factory.mktemp('round') / 'observations.csv'
    write_observations(path, written)
    assert_same(read_observations(path), written)
    assert [file.name for file in path.parent.iterdir()] == ['observations.csv']


def test_the_header_is_the_agreed_one(tmp_path):
    write_observations(tmp_path / 'o.csv', make(k=[1.0], nll=[0.1 + 0.2], train_flops=[3e13]))
    header, row = (tmp_path / 'o.csv').read_text().splitlines()
    assert header == (
        'run,task,params,tokens,train_flops,k,nll,pass_at_k,'
        'n_samples,pass_at_k_sampled,pass_at_k_sampled_low,pass_at_k_sampled_high'
    )
    assert row == 'a,x,1000000,20000000,30000000000000,1,0.30000000000000004,,,,,'


def test_a_foreign_table_needs_four_columns(tmp_path):
    path = tmp_path / 'foreign.csv'
    path.write_text('loss curve, params ,tokens,k,pass_at_k\nc,1e6,2e7,1,0.5\n\nc,1e6,4e7,1,0.75\n')
    read = read_observations(path)
    assert read.run.tolist() == ['N1000000-D20000000', 'N1000000-D40000000']
    assert read.task.tolist() == ['all', 'all']
    assert read.train_flops.tolist() == [1.2e14, 2.4e14]
    assert read.pass_at_k.tolist() == [0.5, 0.75]
    assert np.isnan(read.nll).all()


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('', 'holds no observations; it needs a header and at least one row'),
        ('params,tokens,k,nll\n', 'holds no observations'),
        ('parms,tokens,k,nll\n1,1,1,1\n', "column params is missing; did you mean 'parms' to be it?"),
        ('params,k,nll\n1,1,1\n', 'column tokens is missing; the columns are params, k, nll'),
        ('params,tokens,nll\n1,1,1\n', 'column k is missing'),
        (
            'params,tokens,k,pas_at_k\n1,1,1,1\n',
            "column nll or pass_at_k is missing; did you mean 'pas_at_k'",
        ),
        (
            'params,tokens,k,nll,train_flop\n1,1,1,1,1\n',
            "'train_flop' is not known; rename it to 'train_flops'",
        ),
        ('params,tokens,k,nll,k\n1,1,1,1,1\n', "column 'k' appears twice"),
        ('params,tokens,k,nll\n1,1,,1\n', 'column k is empty'),
        ('params,tokens,k,nll,pass_at_k\n1,1,1,,\n', 'column nll or pass_at_k is empty'),
        (GOOD + 'a,x,1e6,2e7,4,\n', 'line 4: nll is empty; fill in every row or drop the column'),
        (GOOD + ',x,1e6,2e7,4,1\n', 'line 4: run is empty'),
        (GOOD + '\na,x,1e6,2e7,4,low\n', "line 5: nll is 'low'; it has to be a number"),
        (GOOD + 'a,x,1e6,2e7,4,nan\n', 'line 4: nll is nan; it has to be a finite number'),
        (GOOD + 'a,x,inf,2e7,4,1\n', 'line 4: params is inf; it has to be a finite number'),
        (GOOD + 'a,x,0,2e7,4,1\n', 'line 4: params is 0; it has to be above 0'),
        (GOOD + 'a,x,1e6,-1,4,1\n', 'line 4: tokens is -1; it has to be above 0'),
        (GOOD + 'a,x,1e6,2e7,0,1\n', 'line 4: k is 0; it has to be above 0'),
        (
            GOOD + 'a,x,1e6,2e7,4,-0.1\n',
            'line 4: nll is -0.1; a negative log-likelihood has to be at least 0',
        ),
        ('params,tokens,k,pass_at_k\n1,1,1,1.5\n', 'line 2: pass_at_k is 1.5; a chance of success has to be'),
        ('params,tokens,k,nll,pass_at_k_sampled\n1,1,1,1,-1\n', 'line 2: pass_at_k_sampled is -1; a chance'),
        (GOOD + 'a,x,1e6,2e7,2,1\n', "line 4: run 'a', task 'x', k = 2 is already on line 3; keep one"),
        (GOOD + 'a,x,2e6,2e7,4,1\n', "line 4: run 'a' has other params or tokens than on a line above"),
        (GOOD + 'a,x,1e6,2e7,4,1,7\n', 'line 4 has more cells than the header has columns'),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(tmp_path, text, sentence):
    path = tmp_path / 'bad.csv'
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        read_observations(path)
    assert str(caught.value).startswith(str(path))
    assert '\n' not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / 'o.csv').write_bytes(b'\x1f\x8b\xff\x00')
    with pytest.raises(ValueError, match='is not a CSV text file'):
        read_observations(tmp_path / 'o.csv')


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
