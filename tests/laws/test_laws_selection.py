"""Selection: agreed values, enumeration of small cases, and quadrature against closed forms."""

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaincinv, betaln, gammaln

from t2jax.laws.forms import CHINCHILLA, LOG_BILINEAR, PER_K, T2_ACCURACY, T2_NLL, pass_at_k_of_beta
from t2jax.laws.selection import COVERAGE, Coverage, MajorityVote, Verifier, check_selection, mean_under_beta, predict

CHECK = Verifier(true_positive=1.0, false_positive=0.05)
SELECTIONS = (COVERAGE, CHECK, Verifier(0.7, 0.2), Verifier(0.0, 1.0), MajorityVote())
LOSS = {'E': 2.0, 'A': 400.0, 'B': 400.0, 'alpha': 0.34, 'beta': 0.28}
HARD = LOSS | {'theta0': 2.0, 'theta1': 1.5, 'theta2': 0.8, 'theta3': 1.0, 'theta4': -0.2}


def test_a_verifier_as_agreed():
    assert CHECK.chance(0.1, np.array([1, 5, 10, 100])) == pytest.approx([0.1, 0.3745, 0.5457, 0.6897], abs=5e-5)


@pytest.mark.parametrize(
    'verifier', [CHECK, Verifier(0.7, 0.2), Verifier(0.0, 1.0), Verifier(1.0, 0.0), Verifier(1, 1), Verifier(0, 0)]
)
@pytest.mark.parametrize('k', [1, 2, 4])
def test_a_verifier_by_enumeration(verifier, k):
    p, found = 0.3, 0.0
    for samples in itertools.product(itertools.product((True, False), repeat=2), repeat=k):  # (right, accepted)
        chance = 1.0
        for right, accepted in samples:
            rate = verifier.true_positive if right else verifier.false_positive
            chance *= (p if right else 1 - p) * (rate if accepted else 1 - rate)
        pool = [right for right, accepted in samples if accepted] or [right for right, _ in samples]
        found += chance * np.mean(pool)
    assert verifier.chance(p, k) == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize('k', range(1, 9))
def test_a_majority_by_its_binomial(k):
    p = np.array([0.0, 0.1, 0.5, 0.8, 1.0])
    votes = [(c, comb(k, c) * p**c * (1 - p) ** (k - c)) for c in range(k + 1)]
    exact = sum(chance * (1.0 if 2 * c > k else 0.5 if 2 * c == k else 0.0) for c, chance in votes)
    assert MajorityVote().chance(p, k) == pytest.approx(exact, rel=1e-12)


def test_half_a_sample_more_is_one_more_for_half_of_the_questions():
    now, later = (MajorityVote().chance(0.7, k) for k in (2, 3))
    assert MajorityVote().chance(0.7, 2.5) == pytest.approx((now + later) / 2)
    now, later = (MajorityVote().mean(0.7, 0.4, k) for k in (2, 3))
    assert MajorityVote().mean(0.7, 0.4, np.array([2.25]))[0] == pytest.approx(0.75 * now + 0.25 * later)


@pytest.mark.parametrize('selection', SELECTIONS, ids=lambda s: s.name)
@given(p=st.floats(0, 1), k=st.integers(1, 10**6))
def test_a_chance_is_a_chance_and_no_better_than_coverage(selection, p, k):
    chance = float(selection.chance(p, float(k)))
    assert 0 <= chance <= float(COVERAGE.chance(p, float(k))) * (1 + 1e-9)
    assert selection.chance(p, 1.0) == pytest.approx(p, rel=1e-9)
    assert selection.chance(0.0, float(k)) == 0
    assert selection.chance(1.0, float(k)) == pytest.approx(1, rel=1e-15)


def beta_draws(n, low=-6, high=6, top=6):
    rng = np.random.default_rng(0)
    return 10 ** rng.uniform(low, high, n), 10 ** rng.uniform(low, high, n), 10 ** rng.uniform(0, top, n)


def test_quadrature_finds_pass_at_k():
    a, b, k = beta_draws(3000)
    found = np.array([mean_under_beta(COVERAGE.chance, *one) for one in zip(a, b, k)])
    assert found == pytest.approx(pass_at_k_of_beta(a, b, k, np), rel=1e-6)
    assert mean_under_beta(COVERAGE.chance, a, b, k) == pytest.approx(found, rel=1e-6)  # all at once


def test_a_verifier_that_accepts_all_or_every_right_sample_alone_has_a_closed_form():
    a, b, k = beta_draws(500)
    assert Verifier(1.0, 0.0).mean(a, b, k) == pytest.approx(pass_at_k_of_beta(a, b, k, np), rel=1e-6)
    assert Verifier(1.0, 1.0).mean(a, b, k) == pytest.approx(a / (a + b), rel=1e-6)


def test_a_verifiers_mean_is_that_of_many_questions():
    for a, b, k in ((0.3, 5.0, 20.0), (0.05, 2.0, 300.0), (40.0, 60.0, 3.0)):
        p = betaincinv(a, b, (np.arange(2**16) + 0.5) / 2**16)
        assert CHECK.mean(a, b, k) == pytest.approx(CHECK.chance(p, k).mean(), rel=1e-4)


def test_a_majoritys_mean_is_beta_binomial():
    a, b, k = beta_draws(200, -2, 3, 3)
    k = np.floor(k)
    exact = []
    for one_a, one_b, one_k in zip(a, b, k):
        c = np.arange(one_k + 1)
        ways = gammaln(one_k + 1) - gammaln(c + 1) - gammaln(one_k - c + 1)
        chance = np.exp(ways + betaln(one_a + c, one_b + one_k - c) - betaln(one_a, one_b))
        exact.append(np.sum(chance * ((2 * c > one_k) + 0.5 * (2 * c == one_k))))
    assert MajorityVote().mean(a, b, k) == pytest.approx(np.array(exact), abs=1e-7)
    assert MajorityVote().mean(a, b, 1.0) == pytest.approx(a / (a + b), abs=1e-7)


@pytest.mark.parametrize('selection', SELECTIONS, ids=lambda s: s.name)
def test_a_point_of_a_distribution_is_its_mean(selection):
    for nu in (1e9, 1e13, 1e60):
        assert selection.mean(0.3 * nu, 0.7 * nu, 9.0) == pytest.approx(float(selection.chance(0.3, 9.0)), rel=1e-6)


def test_a_law_predicts_under_a_selection():
    at = np.array([[1e7, 1e8]]), np.array([[1e10, 1e9]]), np.array([[50.0, 5.0]])
    perfect = predict(T2_ACCURACY, HARD, Verifier(1.0, 0.0), *at)
    covered = predict(T2_ACCURACY, HARD, COVERAGE, *at)
    assert covered == pytest.approx(T2_ACCURACY.predict(HARD, *at, np))
    assert perfect == pytest.approx(covered, rel=1e-6)
    refits = {name: np.array([[value], [value]]) for name, value in HARD.items()}
    for selection in SELECTIONS:
        many = predict(T2_ACCURACY, refits, selection, *at)
        assert many == pytest.approx(np.repeat(predict(T2_ACCURACY, HARD, selection, *at), 2, 0))
        assert np.all(many <= covered * (1 + 1e-6))
        assert predict(CHINCHILLA, LOSS, selection, *at) == pytest.approx(CHINCHILLA.predict(LOSS, *at, np))
    missing = predict(T2_ACCURACY, HARD, CHECK, np.array([1e7, 1e7]), np.array([1e10, np.nan]), np.array([5.0, 5.0]))
    assert np.isfinite(missing).tolist() == [True, False]


@pytest.mark.parametrize('law', [T2_NLL, PER_K, LOG_BILINEAR], ids=lambda law: law.name)
def test_laws_without_a_distribution_refuse_all_but_coverage(law):
    check_selection(law, Coverage())
    for selection in (CHECK, MajorityVote()):
        with pytest.raises(
            ValueError, match=f'{law.name} does not say how success is spread .* can plan with coverage'
        ):
            check_selection(law, selection)
        with pytest.raises(ValueError, match='fit t2-accuracy to plan with a'):
            predict(law, {}, selection, 1e7, 1e9, 2.0)


@pytest.mark.parametrize('selection', [*SELECTIONS, Verifier(0.5, 0.5)], ids=lambda s: s.name)
def test_more_samples_are_better_where_it_is_said(selection):
    p, k = np.linspace(0.01, 0.99, 99)[:, None], np.arange(1.0, 60.0)
    worse = np.diff(selection.chance(p, k)) < -1e-12
    assert np.any(worse) != selection.more_is_better


@pytest.mark.parametrize('rates', [(1.1, 0.0), (0.5, -0.1), (np.nan, 0.0)])
def test_a_rate_that_is_none_is_refused(rates):
    with pytest.raises(ValueError, match='a verifier accepts with a chance from 0 to 1'):
        Verifier(*rates)
