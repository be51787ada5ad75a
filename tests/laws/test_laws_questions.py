"""Questions: both roads to observations against closed forms, real data against itself, and redrawn questions."""

import re

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from t2jax.laws.observations import Observations
from t2jax.laws.questions import Questions, derive, read_any, read_questions, resampled, select, without_success
from t2jax.laws.tables import read_observations, write_observations

COUNTS = 'params,tokens,task,question,n_samples,n_correct\n1e6,2e7,x,q1,10,3\n1e6,2e7,x,q2,20,0\n'
LIKELY = 'run,params,tokens,question,nll\na,1e6,2e7,q1,0.5\na,1e6,2e7,q2,3\n'


def make(groups, **columns):
    """Build questions q0, q1, ... of each (run, task) of a mapping to how many; a run's size is its name's code."""
    names = [(run, task, f'q{i}') for (run, task), n in groups.items() for i in range(n)]
    run, task, question = zip(*names)
    params = [1e6 * ord(name) for name in run]
    return Questions(run=run, task=task, question=question, params=params, tokens=[2e7] * len(run), **columns)


@given(st.lists(st.floats(0, 30), min_size=2, max_size=8), st.integers(1, 1000))
def test_likelihoods_give_the_papers_metrics(nll, k):
    rows = derive(make({('a', 'x'): len(nll)}, nll=nll), [1, k] if k > 1 else [1])
    p = np.exp(-np.array(nll))
    assert rows.nll[0] == pytest.approx(np.mean(nll), abs=1e-12)
    assert rows.pass_at_k[-1] == pytest.approx(np.mean(1 - (1 - p) ** k), rel=1e-6)
    assert set(rows.measure) == {'likelihood'} and rows.k.tolist() == ([1, k] if k > 1 else [1])


def test_counts_give_minus_log_of_the_mean():
    questions = make({('a', 'x'): 2, ('b', 'x'): 1}, n_samples=[10, 200, 8], n_correct=[3, 1, 0])
    rows = derive(questions, [5, 1])
    assert rows.run.tolist() == ['a', 'a', 'b', 'b'] and rows.k.tolist() == [5, 1, 5, 1]
    np.testing.assert_allclose(rows.pass_at_k, [(11 / 12 + 0.025) / 2, (0.3 + 0.005) / 2, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(rows.nll[:2], -np.log(rows.pass_at_k[:2]), rtol=1e-15)
    assert np.isnan(rows.nll[2:]).all() and set(rows.measure) == {'counts'}
    assert without_success(questions) == [('b', 'x')]


def test_groups_need_not_lie_together_in_the_table():
    mixed = make({('a', 'x'): 3, ('b', 'x'): 2, ('a', 'y'): 3}, nll=np.arange(8.0))
    order = [7, 0, 3, 1, 5, 4, 2, 6]
    rows = derive(select(mixed, np.array(order)), [1])
    assert list(zip(rows.run, rows.task, rows.nll)) == [('a', 'y', 6), ('a', 'x', 1), ('b', 'x', 3.5)]
    assert rows.params.tolist() == [97e6, 97e6, 98e6]


@pytest.mark.parametrize('estimator', ['beta-binomial', 'zero-inflated'])
def test_a_beta_binomial_answers_for_any_k(estimator):
    rng = np.random.default_rng(0)
    mass = 0.4 if estimator == 'zero-inflated' else 0.0
    p = rng.beta(1.5, 60.0, 3000) * (rng.random(3000) >= mass)
    right = np.concatenate([rng.binomial(64, p), [0, 0]])
    questions = make({('a', 'x'): 3000, ('b', 'x'): 2}, n_samples=[64] * 3002, n_correct=right)
    rows = derive(questions, [1, 64, 10_000], estimator)
    assert rows.run.tolist() == ['a', 'a', 'a'] and without_success(questions) == [('b', 'x')]
    assert rows.pass_at_k == pytest.approx([np.mean(1 - (1 - p) ** k) for k in (1, 64, 10_000)], rel=0.04)
    np.testing.assert_allclose(rows.nll, -np.log(rows.pass_at_k))
    assert set(rows.measure) == {'beta-binomial'}


def test_likelihoods_come_before_counts_where_there_are_both():
    both = make({('a', 'x'): 1}, nll=[0.5], n_samples=[10], n_correct=[3])
    assert derive(both, [1]).measure.tolist() == ['likelihood']
    assert derive(both, [1], 'unbiased').pass_at_k == pytest.approx([0.3])


@pytest.mark.parametrize(
    ('ks', 'estimator', 'sentence'),
    [
        ([1, 16], None, "run 'a', task 'x', question 'q0' has n_samples 10; without bias k = 16 needs as many: use"),
        ([1], 'likelihood', 'likelihood needs nll of every question'),
        ([1], 'guess', "there is no estimator 'guess'; there are likelihood, unbiased, beta-binomial, zero-inflated"),
        ([0, 1], None, 'k is 0, 1; list numbers from 1 on, each once'),
        ([2, 2.0], None, 'k is 2, 2; list numbers from 1 on, each once'),
        ([], None, 'k is empty; list numbers'),
        ([np.nan], None, 'k is nan; list numbers'),
    ],
)
def test_what_cannot_be_derived_is_refused(ks, estimator, sentence):
    questions = make({('a', 'x'): 2}, n_samples=[10, 20], n_correct=[1, 2])
    with pytest.raises(ValueError, match=re.escape(sentence)):
        derive(questions, ks, estimator)


def test_beta_binomials_need_counts_and_a_success():
    with pytest.raises(ValueError, match='beta-binomial needs n_samples and n_correct of every question'):
        derive(make({('a', 'x'): 1}, nll=[1.0]), [1], 'beta-binomial')
    with pytest.raises(ValueError, match='no sample of any run is right'):
        derive(make({('a', 'x'): 1}, n_samples=[5], n_correct=[0]), [1], 'beta-binomial')


def test_replicates_average_the_questions_that_were_drawn():
    """With one question's value a power of 10, the digits of a replicate's sum tell how often each was drawn."""
    n = 5
    likely = make(
        {('a', 'x'): n, ('b', 'x'): n, ('c', 'y'): n, ('d', 'x'): 2}, nll=[10.0**i for i in range(n)] * 3 + [1, 10]
    )
    rows = derive(likely, [1])
    seen = set()
    for replicate in resampled(likely, [1], 50, seed=3):
        assert replicate.run.tolist() == rows.run.tolist() and replicate.k.tolist() == rows.k.tolist()
        x, same, y, part = replicate.nll
        assert x == same  # runs share the draw of a task
        digits = [int(d) for d in f'{round(x * n):0{n}d}'[::-1]]
        assert sum(digits) == n
        drawn = digits[0] + digits[1]
        if drawn:  # a run that has some of the questions averages those of them that were drawn
            assert part == pytest.approx((digits[0] + 10 * digits[1]) / drawn)
        else:
            assert np.isnan(part)
        seen.add((x, y))
    assert len(seen) > 40 and any(x != y for x, y in seen)  # another task has a draw of its own


def test_replicates_of_counts_spread_as_the_mean_of_questions_does():
    rng = np.random.default_rng(1)
    right = rng.binomial(50, rng.beta(0.5, 5.0, 200))
    questions = make({('a', 'x'): 200}, n_samples=[50] * 200, n_correct=right)
    replicates = list(resampled(questions, [1, 10], 2000, seed=0))
    one = np.array([replicate.pass_at_k[0] for replicate in replicates])
    assert one.std() == pytest.approx(np.std(right / 50) / np.sqrt(200), rel=0.05)
    assert one.mean() == pytest.approx(np.mean(right / 50), rel=0.01)
    np.testing.assert_allclose(replicates[0].nll, -np.log(replicates[0].pass_at_k))
    again = next(iter(resampled(questions, [1, 10], 1, seed=0)))
    assert again.pass_at_k.tolist() == replicates[0].pass_at_k.tolist()


def test_a_replicate_without_success_has_no_nll():
    questions = make({('a', 'x'): 3}, n_samples=[4] * 3, n_correct=[1, 0, 0])
    none = [r for r in resampled(questions, [1], 50) if r.pass_at_k[0] == 0]
    assert none and all(np.isnan(r.nll[0]) for r in none)


def test_beta_binomials_are_not_redrawn():
    with pytest.raises(ValueError, match='questions are not redrawn for beta-binomial; use likelihood or unbiased'):
        resampled(make({('a', 'x'): 1}, n_samples=[5], n_correct=[1]), [1], 1, estimator='beta-binomial')


def test_questions_are_read_from_csv_and_parquet(tmp_path):
    (tmp_path / 'q.csv').write_text(COUNTS)
    columns = {'params': [1e6, 1e6], 'tokens': [2e7, 2e7], 'task': ['x', 'x'], 'question': ['q1', 'q2']}
    columns |= {'n_samples': [10, 20], 'n_correct': [3, 0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / 'q.parquet')
    for read in (read_questions(tmp_path / 'q.csv'), read_any(tmp_path / 'q.parquet')):
        assert isinstance(read, Questions) and read.run.tolist() == ['N1000000-D20000000'] * 2
        assert read.n_correct.tolist() == [3, 0] and np.isnan(read.nll).all() and read.task.tolist() == ['x', 'x']
    (tmp_path / 'q.csv').write_text(LIKELY)
    assert read_any(tmp_path / 'q.csv').nll.tolist() == [0.5, 3]
    write_observations(tmp_path / 'o.csv', derive(read_any(tmp_path / 'q.csv'), [1, 2]))
    assert isinstance(read_any(tmp_path / 'o.csv'), Observations)


def test_derived_observations_can_be_written_where_nothing_was_right(tmp_path):
    rows = derive(make({('a', 'x'): 1, ('b', 'x'): 1}, n_samples=[10, 8], n_correct=[3, 0]), [1, 2])
    write_observations(tmp_path / 'o.csv', rows)
    read = read_observations(tmp_path / 'o.csv')
    assert read.pass_at_k[2:].tolist() == [0, 0] and np.isnan(read.nll[2:]).all()
    assert read.measure.tolist() == ['counts'] * 4


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('params,tokens,question,nll,k\n1,1,q,1,1\n', 'has columns question and k; a row by question is about one'),
        ('params,tokens,qestion,nll\n1,1,q,1\n', "column question is missing; did you mean 'qestion' to be it?"),
        ('params,tokens,n_samples,n_correct\n1,1,1,1\n', 'column question is missing; the columns are params,'),
        ('params,question,nll\n1,q,1\n', 'column tokens is missing'),
        ('params,tokens,question\n1,1,q\n', 'column nll or n_correct is missing'),
        ('params,tokens,question,n_correct\n1,1,q,1\n', 'column n_samples is missing'),
        ('params,tokens,question,n_samples,n_corect\n1,1,q,1,1\n', "n_correct is missing; did you mean 'n_corect'"),
        ('params,tokens,question,nll,n_correct\n1,1,q,1,1\n', 'column n_samples is missing'),
        (COUNTS + '1e6,2e7,x,q3,10,11\n', 'line 4: n_correct is 11; it has to be at most n_samples, 10'),
        (COUNTS + '1e6,2e7,x,q3,10,-1\n', 'line 4: n_correct is -1; it has to be a whole number of at least 0'),
        (COUNTS + '1e6,2e7,x,q3,0,0\n', 'line 4: n_samples is 0; it has to be a whole number of at least 1'),
        (COUNTS + '1e6,2e7,x,q3,10,2.5\n', 'line 4: n_correct is 2.5; it has to be a whole number'),
        (COUNTS + '1e6,2e7,x,q3,10,\n', 'line 4: n_correct is empty'),
        (COUNTS + '1e6,0,x,q3,10,1\n', 'line 4: tokens is 0; it has to be above 0'),
        (
            COUNTS + '1e6,2e7,x,q1,10,1\n',
            "line 4: run 'N1000000-D20000000', task 'x', question 'q1' is already on line 2",
        ),
        (LIKELY + 'a,1e6,2e7,q3,-1\n', 'line 4: nll is -1; a negative log-likelihood has to be at least 0'),
        (LIKELY + 'a,1e6,2e7,q3,many\n', "line 4: nll is 'many'; it has to be a number"),
        (LIKELY + 'a,2e6,2e7,q3,1\n', "line 4: run 'a' has other params or tokens than on a line above"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(tmp_path, text, sentence):
    (tmp_path / 'bad.csv').write_text(text)
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        read_any(tmp_path / 'bad.csv')
    assert str(caught.value).startswith(str(tmp_path / 'bad.csv')) and '\n' not in str(caught.value)


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match='questions have 2 values of nll for 1 rows'):
        make({('a', 'x'): 1}, nll=[1.0, 2.0])
