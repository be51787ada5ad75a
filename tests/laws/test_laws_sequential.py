"""Sequential sampling: the rule, and an estimate without bias, summed exactly over every way a plan can end."""

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from t2jax.laws import passk
from t2jax.laws.sequential import Plan, unbiased_pass_at_k

TINY = Plan(first=3, most=10, k=4, band=0.6)
PLANS = [TINY, Plan(4, 16, k=8, band=0.5), Plan(8, 100, k=16, band=0.3), Plan(16, 128, k=1, band=0.15)]


def width_by_scipy(plan, n, c):
    """Compute the width of the band directly; too coarse for p near 0 or 1, which these plans do not need."""
    low, high = stats.beta(c + 0.5, n - c + 0.5).interval(plan.level)
    low, high = low if c else 0, high if c < n else 1
    return (1 - low) ** plan.k - (1 - high) ** plan.k


def ends(plan, p):
    """List every (n, c) at which a plan ends with its probability, going forward in p, one sample at a time."""
    done, alive, n, sizes = [], {0: 1.0}, 0, plan.sizes()
    while alive:
        later = {}
        for c, chance in alive.items():
            later[c] = later.get(c, 0) + chance * (1 - p)
            later[c + 1] = later.get(c + 1, 0) + chance * p
        alive, n = later, n + 1
        if n in sizes:
            stops = {c for c in alive if n == sizes[-1] or width_by_scipy(plan, n, c) <= plan.band}
            done += [(n, c, alive.pop(c)) for c in sorted(stops)]
    return (np.array(column) for column in zip(*done))


@pytest.mark.parametrize('plan', PLANS, ids=lambda plan: f'{plan.first}-{plan.most}')
@pytest.mark.parametrize('p', [1e-9, 1e-3, 0.05, 0.3, 0.5, 0.8, 0.99])
def test_the_estimate_has_no_bias_at_all(plan, p):
    n, c, chance = ends(plan, p)
    assert chance.sum() == pytest.approx(1, abs=1e-12) and len(set(n)) > 2
    for k in range(1, plan.first + 1):
        truth = -np.expm1(k * np.log1p(-p))
        assert chance @ unbiased_pass_at_k(plan, n, c, k) == pytest.approx(truth, rel=1e-11, abs=0)


@pytest.mark.parametrize('plan', PLANS, ids=lambda plan: f'{plan.first}-{plan.most}')
def test_without_the_plan_there_is_a_bias(plan):
    n, c, chance = ends(plan, 0.1)
    for k in (1, 2):
        assert abs(chance @ passk.unbiased_pass_at_k(n, c, k) / (1 - 0.9**k) - 1) > 0.05


def test_the_estimate_is_the_mean_over_all_sequences_that_end_there():
    """All 2^10 sequences of a tiny plan, counted one by one in whole numbers."""
    ways, first_fail = {}, {}
    for sequence in product((0, 1), repeat=TINY.most):
        n = next(n for n in TINY.sizes() if not TINY.wants_more(n, np.array(sum(sequence[:n]))))
        if any(sequence[n:]):
            continue  # each end once: what would come after it is no part of the sequence
        end = n, sum(sequence[:n])
        ways[end] = ways.get(end, 0) + 1
        for k in (1, 2, 3):
            first_fail[*end, k] = first_fail.get((*end, k), 0) + (not any(sequence[:k]))
    assert {n for n, _ in ways} == set(TINY.sizes())
    for (n, c), count in ways.items():
        for k in (1, 2, 3):
            exact = float(1 - Fraction(first_fail[n, c, k], count))
            assert unbiased_pass_at_k(TINY, n, np.array([c]), k)[0] == pytest.approx(exact, rel=1e-12, abs=1e-14)


@given(n=st.integers(1, 300), data=st.data())
def test_a_fixed_plan_is_the_estimate_for_fixed_n(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    for plan in (Plan(n, n, band=0.1), Plan(n, 5 * n)):
        assert plan.sizes() == (n,) and not plan.wants_more(n, np.array([c])).any()
        expected = passk.unbiased_pass_at_k(n, np.array([c]), k)
        np.testing.assert_allclose(unbiased_pass_at_k(plan, n, np.array([c]), k), expected, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(first=st.integers(1, 20), rounds=st.floats(1, 8), k=st.floats(1, 500), band=st.floats(0.05, 0.9), data=st.data())
def test_estimates_of_any_plan_are_probabilities_that_rise_with_k(first, rounds, k, band, data):
    plan = Plan(first, int(first * rounds), k, band)
    n, c, _ = ends(plan, data.draw(st.floats(0.01, 0.99)))
    values = np.array([unbiased_pass_at_k(plan, n, c, j) for j in range(1, first + 1)])
    assert np.all(values >= 0) and np.all(values <= 1) and np.all(np.diff(values, axis=0) >= -1e-12)
    assert not np.any(plan.wants_more(n, c))


def sample(plan, p, seed):
    """Sample questions by the plan alone, as a caller would."""
    rng = np.random.default_rng(seed)
    n, c = np.zeros(len(p), int), np.zeros(len(p), int)
    while (more := plan.wants_more(n, c)).any():
        size = np.array([plan.next_size(x) for x in n[more]])
        c[more] += rng.binomial(size - n[more], p[more])
        n[more] = size
    return n, c


def test_tens_of_thousands_of_samples_stay_unbiased_and_finite():
    """Mean of 20,000 questions against the truth, within four standard errors, which the naive one is far outside."""
    plan, rng = Plan(64, 20_000, k=1000, band=0.5), np.random.default_rng(0)
    p = rng.beta(0.2, 5, 20_000)
    n, c = sample(plan, p, 1)
    assert n.max() > 8000 and n.mean() < 3000
    apart = unbiased_pass_at_k(plan, n, c, 64) + np.expm1(64 * np.log1p(-p))
    assert abs(apart.mean()) < 4 * apart.std() / len(p) ** 0.5 < 0.01
    naive = passk.unbiased_pass_at_k(n, c, 64) + np.expm1(64 * np.log1p(-p))
    assert naive.mean() > 0.05


def test_large_plans_are_exact(monkeypatch):
    """Against whole numbers of any length, by the recursion in its plainest form; computed in parts and at once."""
    plan = Plan(500, 2000, k=300, band=0.2)
    going = [int(c) for c in np.flatnonzero(plan.wants_more(500, np.arange(501)))]
    ends = [c for c in range(500 + len(going)) if not plan.wants_more(1000, np.array(c))]
    assert len(going) > 3 and len(ends) > 480
    for c in ends[:3] + ends[100:102] + ends[-1:]:
        all_ways = sum(comb(500, x) * comb(500, c - x) for x in going if x <= c)
        fails = sum(comb(500 - 7, x) * comb(500, c - x) for x in going if x <= c)
        for entries in (1, 4_000_000):
            monkeypatch.setattr('t2jax.laws.sequential._AT_ONCE', entries)
            value = unbiased_pass_at_k(plan, 1000, np.array([c]), 7)[0]
            assert value == pytest.approx(float(1 - Fraction(fails, all_ways)), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize('k', [1, 10])
def test_the_band_is_jeffreys_of_the_question_alone(k):
    plan = Plan(8, 1000, k, band=0.2, level=0.8)
    n, c = np.array([8, 8, 16, 512, 1000]), np.array([0, 3, 16, 20, 500])
    expected = [width_by_scipy(plan, *one) for one in zip(n, c)]
    np.testing.assert_allclose(plan.band_width(n, c), expected, rtol=1e-9, atol=1e-14)
    assert plan.wants_more(n, c).tolist() == [w > 0.2 and x < 1000 for w, x in zip(expected, n)]
    order = [3, 0, 4, 1, 2]
    assert plan.wants_more(n[order], c[order]).tolist() == plan.wants_more(n, c)[order].tolist()


def test_the_band_of_p_near_nothing_keeps_its_digits():
    """There the width of pass@1 is that of p itself, and p n is from a gamma distribution."""
    widths = Plan(1, 2, k=1).band_width(10**15, np.array([0, 3])) * 1e15
    none, three = stats.gamma(0.5).ppf(0.95), stats.gamma(3.5).ppf([0.05, 0.95])
    assert widths == pytest.approx([none, three[1] - three[0]], rel=1e-9)


@pytest.mark.parametrize('k', [1e3, 1e6, 1e12])
def test_a_question_never_solved_is_not_sure_to_be_solved_in_many_tries(k):
    plan = Plan(64, 1024, k, band=0.3)
    assert plan.wants_more(np.array([64, 512]), np.array([0, 0])).all()
    assert not plan.wants_more(64, np.array([20]))


def test_rounds_double_and_end_with_most():
    plan = Plan(64, 1000, k=100, band=0.3)
    assert plan.sizes() == (64, 128, 256, 512, 1000)
    assert [plan.next_size(n) for n in (0, 64, 100, 512)] == [64, 128, 128, 1000]
    # in the midst of a round, before the first, at the last
    assert plan.wants_more(np.array([0, 10, 100, 1000, 1200]), np.array([0, 10, 100, 0, 0])).tolist() == (
        [True, True, True, False, False]
    )
    with pytest.raises(ValueError, match='a question has 1000 samples; the plan ends with 1000'):
        plan.next_size(1000)


@pytest.mark.parametrize(('k', 'n'), [(0, 8), (5, 8), (9, 8), (2.5, 8), (float('nan'), 8)])
def test_more_tries_than_the_first_round_are_refused(k, n):
    with pytest.raises(
        ValueError, match=f'k = {k} cannot be .* its first 4 samples for certain; use whole k from 1 to 4'
    ):
        unbiased_pass_at_k(PLANS[1], n, np.array([8]), k)


@pytest.mark.parametrize(('n', 'c'), [(4, 1), (8, 0), (5, 5), (32, 0), (8, 9), (8, -1), (16, 16), (0, 0)])
def test_counts_that_the_plan_cannot_end_with_are_named(n, c):
    """Among others one that goes on, one in the midst of a round, and one that would have ended before."""
    with pytest.raises(
        ValueError, match=f'a question has {c} of {n} samples right, where the plan of 4, 8, 16 samples'
    ):
        unbiased_pass_at_k(PLANS[1], np.array([4, n]), np.array([4, c]), 1)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'first': 0}, 'first 0 and most 8'),
        ({'most': 3}, 'first 4 and most 3'),
        ({'k': 0.5}, 'k 0.5'),
        ({'band': 0.0}, 'band 0.0'),
        ({'band': 1.5}, 'band 1.5'),
        ({'level': 1.0}, 'level 1.0'),
    ],
)
def test_plans_that_make_no_sense_are_one_sentence(change, said):
    with pytest.raises(ValueError, match=f'a plan has {said}; '):
        Plan(**{'first': 4, 'most': 8, 'k': 2, 'band': 0.3} | change)
