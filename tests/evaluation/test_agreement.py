"""The agreement report: nominal false alarms where all is well, and what is planted is found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from t2jax.evaluation.agreement import _sampled, _tails_of_sum, agreement
from t2jax.evaluation.passk import sampled_intervals
from t2jax.laws.passk import pass_at_k, unbiased_pass_at_k

TASKS = ['spatial'] * 120 + ['arithmetic'] * 80
NAMES = [f'q{i}' for i in range(200)]
KS = (1, 8, 32)


def draw(seed, scale=1.0, n=64):
    """Draw p, and c of n samples of 200 questions; n may be a list to choose from."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 2, 200) * scale
    n = rng.choice(np.atleast_1d(n), 200)
    return p, n, rng.binomial(n, p)


def report(p, n, c, **options):
    return agreement(TASKS, NAMES, -np.log(p), n, c, KS, **options)


@pytest.mark.parametrize(('scale', 'n'), [(1.0, 64), (0.03, 64), (1.0, (40, 100))])
def test_false_alarms_are_nominal(scale, n):
    """100 studies in which all is well: 20 % of verdicts and intervals at level 0.8, at most 1 % beyond chance."""
    trials = 100
    found = [report(*draw(seed, scale, n), level=0.8) for seed in range(trials)]
    alarms = np.mean([not one.agrees for one in found])
    assert 0.04 < alarms < 0.2 + 3 * (0.16 / trials) ** 0.5
    assert sum(bool(one.disagreements) for one in found) <= 5
    inside = np.mean([[row.agrees for row in one.pass_at_k] for one in found], axis=0)
    assert len(inside) == 9 and np.all(inside > 0.8 - 4 * (0.16 / trials) ** 0.5), inside
    p_values = np.array([[total.p_value for total in one.totals] for one in found])
    assert np.all(np.abs(np.mean(p_values < 0.3, axis=0) - 0.3) < 4 * (0.21 / trials) ** 0.5)
    z = np.array([[total.z for total in one.totals] for one in found])
    assert np.all(np.abs(z.std(axis=0) - 1) < 0.25) and np.all(np.abs(z.mean(axis=0)) < 0.35)


def test_a_planted_wrong_question_is_found_and_named_first():
    p, n, c = draw(0)
    told = p.copy()
    told[[7, 150]] = [0.9, 0.5]
    c[150] = 5
    found = report(told, n, c)
    first, second = found.disagreements
    assert (first.task, first.question, first.samples, first.seen) == ('spatial', 'q7', 64, c[7])
    assert first.expected == pytest.approx(57.6) and first.p_value == found.p_value_Q.min()
    assert (second.task, second.question) == ('arithmetic', 'q150') and not found.agrees
    assert report(p, n, np.random.default_rng(1).binomial(n, p)).disagreements == ()


@pytest.mark.parametrize('factor', [0.8, 1.2])
def test_a_bias_of_all_questions_is_found_though_no_question_is_surprising(factor):
    p, n, c = draw(1, scale=0.5)
    found = report(p / factor, n, c)
    assert not found.disagreements and not found.agrees
    over_all = found.totals[-1]
    assert over_all.task == 'all tasks' and np.sign(over_all.z) == np.sign(factor - 1) and abs(over_all.z) > 5
    assert not any(row.agrees for row in found.pass_at_k if row.k == 1 and row.task == 'all tasks')
    assert report(p, n, c).agrees


def test_a_bias_of_one_task_alone_is_found():
    p, n, c = draw(2, scale=0.5)
    told = np.where(np.arange(200) < 120, p * 1.3, p)
    found = report(told, n, c)
    assert not found.agrees and found.totals[0].p_value < 1e-4 < found.totals[1].p_value


def test_biases_of_two_tasks_that_make_up_for_one_another_are_found():
    rng = np.random.default_rng(0)
    p, n, first = rng.uniform(0.2, 0.3, 200), np.full(200, 64), np.arange(200) < 120
    c = rng.binomial(64, p)
    rest = (c.sum() / 64 - 1.1 * p[first].sum()) / p[~first].sum()
    found = report(p * np.where(first, 1.1, rest), n, c)
    assert found.totals[-1].p_value > 0.1 and not found.disagreements and not found.agrees


def test_rows_and_totals_are_those_of_their_questions():
    p, n, c = draw(3)
    found = report(p, n, c, level=0.9)
    assert [(row.task, row.k) for row in found.pass_at_k] == [
        (task, k) for task in ('spatial', 'arithmetic', 'all tasks') for k in KS
    ]
    for task, mine in (('spatial', slice(0, 120)), ('arithmetic', slice(120, 200)), ('all tasks', slice(0, 200))):
        (total,) = (total for total in found.totals if total.task == task)
        assert (total.samples, total.seen, total.questions) == (n[mine].sum(), c[mine].sum(), len(c[mine]))
        assert total.expected == pytest.approx(64 * p[mine].sum())
        assert total.z == pytest.approx((c[mine].sum() - 64 * p[mine].sum()) / (64 * p[mine] @ (1 - p[mine])) ** 0.5)
        for row, interval in zip(
            (row for row in found.pass_at_k if row.task == task), sampled_intervals(64, c[mine], KS, 0.9)
        ):
            assert row.likelihood == pytest.approx(pass_at_k(-np.log(p[mine]), row.k).mean())
            assert row.sampled == pytest.approx(unbiased_pass_at_k(64, c[mine], row.k).mean())
            assert (row.low, row.high) == pytest.approx(interval)


def test_one_task_is_not_listed_twice():
    found = agreement(['only'] * 3, 'abc', [1.0, 2.0, 3.0], [8, 8, 8], [3, 1, 0], (1,))
    assert [total.task for total in found.totals] == [row.task for row in found.pass_at_k] == ['only']


@given(st.data())
def test_a_questions_p_value_is_twice_the_smaller_tail(data):
    n = data.draw(st.integers(1, 30))
    c, p = data.draw(st.integers(0, n)), data.draw(st.floats(1e-6, 1 - 1e-6))
    chances = stats.binom.pmf(np.arange(n + 1), n, p)
    expected = min(1, 2 * min(chances[: c + 1].sum(), chances[c:].sum()))
    found = agreement(['t'], ['q'], [-np.log(p)], [n], [c], (1,))
    assert found.p_value_Q[0] == pytest.approx(expected, rel=1e-7)
    assert found.totals[0].p_value == pytest.approx(expected, rel=1e-7, abs=1e-12)  # its total is its own


def test_tiny_and_nearly_sure_answers_keep_their_p_values():
    """p = 1e-20 succeeds once in 100: 2e-18; 1 - p = 1e-12 fails once: 2e-10; neither surprises if it does not."""
    nll = np.array([-np.log(1e-20), 1e-12, -np.log(1e-20), 1e-12, np.inf, np.inf, 0.0])
    n, c = np.full(7, 100), np.array([1, 99, 0, 100, 0, 1, 100])
    found = agreement(['t'] * 7, range(7), nll, n, c, (1,))
    np.testing.assert_allclose(found.p_value_Q, [2e-18, 2e-10, 1, 1, 1, 0, 1], rtol=1e-6)
    assert [one.question for one in found.disagreements] == ['5', '0', '1'] and not found.agrees


def test_impossible_and_sure_answers_alone_have_a_total():
    nll, n = [np.inf, 0.0], [10, 10]
    for c, z, p_value in (([0, 10], 0, 1), ([1, 10], np.inf, 0), ([0, 9], -np.inf, 0)):
        (total,) = agreement(['t'] * 2, 'ab', nll, n, c, (1,)).totals
        assert (total.z, total.p_value) == (z, pytest.approx(p_value, abs=1e-12))


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.one_of(st.floats(1e-12, 1), st.floats(1e-12, 1e-3), st.just(1.0))),
        min_size=1,
        max_size=6,
    )
)
def test_tails_of_a_sum_are_those_of_the_convolution(questions):
    n, p = (np.array(column) for column in zip(*questions))
    chances = np.ones(1)
    for each in zip(n, p):
        chances = np.convolve(chances, stats.binom.pmf(np.arange(each[0] + 1), *each))
    for seen in range(n.sum() + 1):
        expected = chances[seen:].sum(), chances[: seen + 1].sum()
        assert _tails_of_sum(n, seen, p, 1 - p) == pytest.approx(expected, abs=1e-12)


def test_tails_of_a_large_sum_are_those_of_a_binomial():
    n, p = np.array([10_000, 300_000]), np.array([0.3, 0.3])
    for seen in (92_000, 92_900, 93_000, 93_500):
        expected = stats.binom.sf(seen - 1, 310_000, 0.3), stats.binom.cdf(seen, 310_000, 0.3)
        assert _tails_of_sum(n, seen, p, 1 - p) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_intervals_of_unequal_n_add_the_noise_of_their_parts():
    """In squares, each by its share of the questions."""
    rng = np.random.default_rng(0)
    n = np.repeat([32, 64], [150, 50])
    c = rng.binomial(n, rng.beta(0.4, 3, 200))
    value, low, high = _sampled(n, c, KS, 0.8)
    for at, k in enumerate(KS):
        parts = [
            (share, *sampled_intervals(m, c[n == m], [k], 0.8)[0], unbiased_pass_at_k(m, c[n == m], k).mean())
            for m, share in ((32, 0.75), (64, 0.25))
        ]
        assert value[at] == pytest.approx(sum(share * own for share, _, _, own in parts))
        assert (value - low)[at] ** 2 == pytest.approx(
            sum((share * (own - below)) ** 2 for share, below, _, own in parts)
        )
        assert (high - value)[at] ** 2 == pytest.approx(sum((share * (top - own)) ** 2 for share, _, top, own in parts))


def test_intervals_of_unequal_n_cover_the_questions_own_mean():
    rng = np.random.default_rng(0)
    p = rng.beta(0.4, 3, 200)
    n = rng.choice([32, 64], 200)
    truth, inside, trials = np.array([np.mean(1 - (1 - p) ** k) for k in KS]), 0, 80
    for _ in range(trials):
        value, low, high = _sampled(n, rng.binomial(n, p), KS, 0.8)
        assert np.all((low >= 0) & (low <= value) & (value <= high) & (high <= 1))
        inside = inside + ((low <= truth) & (truth <= high))
    assert np.all(np.abs(inside / trials - 0.8) < 3.5 * (0.16 / trials) ** 0.5), inside


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'c_Q': [3]}, 'have 2, 2, 2, 2, 1 values; give one of each per question'),
        ({'task_Q': [], 'question_Q': [], 'nll_Q': [], 'n_Q': [], 'c_Q': []}, 'have 0, 0, 0, 0, 0 values'),
        ({'c_Q': [3, 9]}, "task 't', question 'b' has an NLL of 2 and 9 of 8 samples right"),
        ({'nll_Q': [-1.0, 2.0]}, "task 't', question 'a' has an NLL of -1 and 3 of 8"),
        ({'nll_Q': [np.nan, 2.0]}, "question 'a' has an NLL of nan"),
        ({'ks': (1, 9)}, 'k = 9 cannot be estimated from 8 samples without bias; use k from 1 to 8'),
    ],
)
def test_columns_that_cannot_be_are_one_sentence(change, said):
    given = {'task_Q': ['t', 't'], 'question_Q': 'ab', 'nll_Q': [1.0, 2.0], 'n_Q': [8, 8], 'c_Q': [3, 1], 'ks': (1, 8)}
    with pytest.raises(ValueError, match=said):
        agreement(**given | change)
