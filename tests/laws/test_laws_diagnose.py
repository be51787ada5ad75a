"""What data cannot tell: the sentence names the column, and good data get none."""

import dataclasses

import numpy as np
import pytest

from t2jax.laws.diagnose import describe_residuals, unidentified
from t2jax.laws.forms import CHINCHILLA, LAWS, T2_ACCURACY, T2_NLL
from t2jax.laws.observations import Observations, where


@pytest.fixture(scope='module')
def good(empty_rows, plant):
    """Five sizes about the optimum of each of three budgets, at four k."""
    sizes, budgets = np.geomspace(4e3, 3e5, 7), np.array([3e10, 1.2e11, 4.8e11])
    rows = empty_rows(sizes, budgets, [1, 4, 16, 64], batch=1)
    return plant(rows, 'chinchilla')


def said(law, rows):
    return list(unidentified(law, rows))


def change(rows, **columns):
    return dataclasses.replace(rows, **columns)


def test_good_data_get_no_sentence(good):
    for law in LAWS.values():
        rows = where(good, good.k == 1) if law.single_pass else good
        if law.name != 'log-bilinear':
            assert said(law, rows) == []


def test_one_k_is_said_of_laws_that_know_k(good):
    rows = where(good, good.k == 16)
    sentence = 'column k holds only 16: what samples do in t2-nll cannot be told from the rest; measure at several k'
    assert said(T2_NLL, rows) == [sentence]
    assert said(CHINCHILLA, where(good, good.k == 1)) == []


@pytest.mark.parametrize('ratio', [20.0, np.linspace(20, 20.39, 84)])
def test_one_ratio_is_said_also_where_it_is_within_two_percent(good, ratio):
    rows = change(good, tokens=ratio * good.params, train_flops=6 * ratio * good.params**2)
    sentence = (
        'columns params and tokens stand in one ratio, 20 tokens per parameter: the effects of N and D cannot be told '
        'apart; train some sizes on more tokens'
    )
    assert said(T2_NLL, rows) == [sentence]


def test_ratios_further_apart_are_two(good):
    ratio = np.linspace(20, 20.5, len(good))
    rows = change(good, tokens=ratio * good.params, train_flops=6 * ratio * good.params**2)
    assert said(T2_NLL, rows) == []


@pytest.mark.parametrize('column, what', [('params', 'size'), ('tokens', 'amount of data')])
def test_one_size_or_one_amount_of_data_is_said(good, column, what):
    rows = change(good, **{column: np.full(len(good), 123456.0)})
    rows = change(rows, train_flops=6 * rows.params * rows.tokens)
    assert said(T2_NLL, rows) == [f'column {column} holds one value, 1.235e+05: the data show no effect of {what}']


def test_a_single_run_lacks_both_and_its_ratio_is_not_at_fault(good):
    sentences = said(T2_NLL, where(good, good.run == good.run[0]))
    assert [sentence.split()[1] for sentence in sentences] == ['params', 'tokens']


@pytest.mark.parametrize('law, loss', [(T2_NLL, 1.0), (CHINCHILLA, 1.0), (T2_ACCURACY, -1.0)])
def test_budgets_without_a_bracketed_minimum_are_named(good, law, loss):
    """Two budgets cut at the optimum, from below and from above; pass@k has a maximum there."""
    rows = where(good, good.k == 1) if law.single_pass else good
    best = {}
    for budget in np.unique(rows.train_flops.round(-9)):
        mine = (rows.train_flops.round(-9) == budget) & (rows.k == 1)
        best[budget] = rows.params[mine][np.argmin(loss * getattr(rows, law.target)[mine])]
    small, middle, large = sorted(best)
    budgets = rows.train_flops.round(-9)
    keep = np.select(
        [budgets == small, budgets == large], [rows.params >= best[small], rows.params <= best[large]], True
    )
    smallest, largest = said(law, where(rows, keep))
    assert smallest == (
        f'at train_flops 3e+10, {law.target} is best at the smallest params: the optimum of a single sample is not '
        'bracketed there; train a smaller model'
    )
    assert largest == (
        f'at train_flops 4.8e+11, {law.target} is best at the largest params: the optimum of a single sample is not '
        'bracketed there; train a larger model'
    )


def test_two_sizes_bracket_nothing_and_are_not_blamed():
    rows = Observations(
        params=[1e6, 2e6, 4e6, 1e6, 2e6],
        tokens=[4e8, 2e8, 1e8, 8e8, 4e8],
        k=np.ones(5),
        nll=[3, 2, 2.5, 2, 1.9],
    )
    assert said(CHINCHILLA, rows) == []
    assert len(said(CHINCHILLA, change(rows, nll=np.array([3, 2, 1.5, 2, 1.9])))) == 1


def test_the_bracket_is_that_of_one_sample(good):
    """At k = 64 the best model is smaller; what is looked at is k = 1, or the smallest there is."""
    shifted = change(good, nll=np.where(good.k == 1, good.nll, 1e-9 * good.params))
    assert said(T2_NLL, shifted) == []
    sentences = said(T2_NLL, where(shifted, good.k > 1))
    assert len(sentences) == 1 and 'best at the smallest params' in sentences[0]
    assert sentences[0].startswith('at train_flops 3e+10, 1.2e+11, 4.8e+11, nll')


def test_residuals_name_the_worst_row_and_leave_out_rows_of_0():
    rows = Observations(params=[1, 2, 3, 4], tokens=[1, 1, 1, 1], k=[1, 2, 4, 8], run=['a', 'b', 'c', 'd'])
    found = describe_residuals(rows, np.array([1.0, 2.0, 0.0, 4.0]), np.array([1.1, 1.0, 0.3, 4.0]))
    assert found == {
        'rms': pytest.approx(np.sqrt((0.01 + 1 + 0.09) / 4)),
        'mean_relative': pytest.approx((0.1 + 0.5) / 3),
        'largest_relative': pytest.approx(0.5),
        'largest_at': 'run b, k = 2',
    }
    nothing = describe_residuals(rows, np.zeros(4), np.ones(4))
    assert (nothing['mean_relative'], nothing['rms']) == (0.0, 1.0)
