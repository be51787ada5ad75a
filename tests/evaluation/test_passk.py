"""Intervals and curves of pass@k cover what is planted, keep the digits of p = 1e-20, and refuse in a sentence."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax.evaluation.passk import likelihood_curve, predicted_curve, sampled_curve, sampled_intervals
from t2jax.laws.forms import pass_at_k_of_beta
from t2jax.laws.passk import fit_beta_binomial
from t2jax.laws.sequential import Plan


@pytest.mark.parametrize('spread', [(0.05, 0.5), (0.4, 0.6), (5, 0.3), (0.02, 8.0)])
def test_the_interval_covers_the_questions_own_mean(spread):
    """Fixed questions, fresh samples: the mean of the true pass@k lies inside at least nine times in ten."""
    rng = np.random.default_rng(0)
    p, ks, inside, trials = rng.beta(*spread, 256), (1, 8, 64), 0, 60
    truth = [np.mean(1 - (1 - p) ** k) for k in ks]
    for _ in range(trials):
        bounds = sampled_intervals(64, rng.binomial(64, p), ks)
        inside += sum(low <= value <= high for (low, high), value in zip(bounds, truth))
    assert inside / trials / len(ks) > 0.9


def test_no_success_and_no_failure_still_have_a_bound():
    (low, high), _ = sampled_intervals(64, np.zeros(100, int), (1, 64))
    assert low == 0 and 3.689 / 6400 < high < 4.5 / 6400  # the exact bound of a Poisson count of none is 3.689
    (low, high), _ = sampled_intervals(64, np.full(100, 64), (1, 64))
    assert high == 1 and 0.9 < low < 1


def exact_pass_at_k(nll, k):
    """Compute 1 - (1 - exp(-nll))^k in 80 digits."""
    with localcontext() as context:
        context.prec = 80
        return 1 - (1 - (-Decimal(float(nll))).exp()) ** Decimal(float(k))


def test_likelihood_curves_keep_the_digits_of_any_p():
    nll = np.array([46.05, 47.3, 1e-9, 0.4, 3.0, 200.0])  # from p = 1e-87 over 1e-20 to 1 - 1e-9
    ks = [1, 2.5, 64, 1e6]
    for some in (nll[:2], nll[[0, 5]], nll):
        exact = [float(sum(exact_pass_at_k(x, k) for x in some) / len(some)) for k in ks]
        np.testing.assert_allclose(likelihood_curve(some, ks, replicates=2).value, exact, rtol=1e-13)
    tiny = likelihood_curve(nll[:2], ks)
    assert np.all(tiny.low > 0) and np.all(tiny.low < tiny.value) and np.all(tiny.high < 1e-13)


@given(st.lists(st.floats(0, 60), min_size=1, max_size=6), st.lists(st.floats(1, 1e5), min_size=2, max_size=6))
def test_likelihood_curves_are_probabilities_that_rise_from_the_mean(nll, ks):
    curve = likelihood_curve(nll, [1, *sorted(ks)], replicates=20)
    for values in (curve.value, curve.low, curve.high):
        assert np.all(values >= 0) and np.all(values <= 1) and np.all(np.diff(values) >= -1e-14)
    assert curve.value[0] == pytest.approx(np.mean(np.exp(-np.array(nll))), rel=1e-12)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(20, 25)), min_size=1, max_size=8))
def test_sampled_curves_are_probabilities_that_rise_from_the_share_of_right_samples(counts):
    c, n = np.array(counts).T
    curve = sampled_curve(n, c, range(1, 21), replicates=20)
    for values in (curve.value, curve.low, curve.high):
        assert np.all(values >= 0) and np.all(values <= 1) and np.all(np.diff(values) >= -1e-14)
    assert curve.value[0] == pytest.approx(np.mean(c / n), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize('with_mass', [False, True])
def test_predicted_curves_are_those_of_the_fit_at_any_k(with_mass):
    rng = np.random.default_rng(0)
    c, ks = rng.binomial(64, rng.beta(0.3, 5, 200)), [1, 1.5, 64, 1e5]
    curve = predicted_curve(64, c, ks, with_mass, replicates=30)
    a, b, mass = fit_beta_binomial(np.full(200, 64), c, with_mass)
    np.testing.assert_allclose(curve.value, (1 - mass) * pass_at_k_of_beta(a, b, np.array(ks), np), rtol=1e-4)
    assert curve.kind == ('zero-inflated' if with_mass else 'beta-binomial')
    for values in (curve.value, curve.low, curve.high):
        assert np.all(values >= 0) and np.all(values <= 1) and np.all(np.diff(values) > 0)
    assert curve.value[0] == pytest.approx(np.mean(c) / 64, rel=0.05)


def grow(plan, p, rng):
    """Sample questions by a plan."""
    n, c = np.zeros(len(p), int), np.zeros(len(p), int)
    while (more := plan.wants_more(n, c)).any():
        size = np.array([plan.next_size(x) for x in n[more]])
        c[more] += rng.binomial(size - n[more], p[more])
        n[more] = size
    return n, c


PLAN = Plan(32, 512, k=64, band=0.3)
DRAWS = {
    'likelihood': lambda p, rng: likelihood_curve(-np.log(p), (1, 8, 32), 0.8, 200),
    'samples': lambda p, rng: sampled_curve(32, rng.binomial(32, p), (1, 8, 32), 0.8, 200),
    'sequential': lambda p, rng: sampled_curve(*grow(PLAN, p, rng), (1, 8, 32), 0.8, 200, plan=PLAN),
    'beta-binomial': lambda p, rng: predicted_curve(32, rng.binomial(32, p), (1, 32, 1000, 1e5), False, 0.8, 40),
    'extrapolated sequential': lambda p, rng: predicted_curve(*grow(PLAN, p, rng), (1, 32, 1000, 1e5), False, 0.8, 40),
}


@pytest.mark.parametrize('draw', DRAWS.values(), ids=DRAWS)
def test_bands_of_80_percent_cover_the_planted_beta_in_80_percent_of_trials(draw):
    """At each k, predictions beyond the samples drawn included; three standard errors to either side."""
    trials, hits = 60, 0
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        curve = draw(rng.beta(0.4, 3, 200), rng)
        truth = pass_at_k_of_beta(0.4, 3, curve.k, np)
        hits = hits + ((curve.low <= truth) & (truth <= curve.high))
    assert np.all(np.abs(hits / trials - 0.8) < 3 * (0.16 / trials) ** 0.5), hits / trials


def test_a_mass_of_impossible_questions_is_planted_and_predicted():
    rng = np.random.default_rng(3)
    p = rng.beta(1.5, 30, 400) * (rng.random(400) >= 0.4)
    curve = predicted_curve(128, rng.binomial(128, p), [1, 1000, 1e5], with_mass=True)
    truth = 0.6 * pass_at_k_of_beta(1.5, 30, curve.k, np)
    assert np.all((curve.low < truth) & (truth < curve.high)) and curve.high[-1] < 0.75


def test_sampling_noise_is_in_the_band():
    """Questions all alike differ by their samples alone: the band is that of their counts' standard error."""
    rng = np.random.default_rng(0)
    c = rng.binomial(64, 0.3, 500)
    curve = sampled_curve(64, c, [1], level=0.9, replicates=4000)
    assert curve.high[0] - curve.low[0] == pytest.approx(2 * 1.645 * np.std(c / 64) / 500**0.5, rel=0.05)


def test_a_fit_counts_repeated_questions_and_leaves_out_those_of_none():
    n, c, times = np.array([64, 64, 128, 64]), np.array([0, 5, 9, 60]), np.array([30, 4, 6, 0])
    written_out = fit_beta_binomial(np.repeat(n, times), np.repeat(c, times))
    assert fit_beta_binomial(n, c, times_Q=times) == pytest.approx(written_out, rel=1e-12)
    with pytest.raises(ValueError, match='no sample of any question is right'):
        fit_beta_binomial(n, c, times_Q=np.array([30, 0, 0, 0]))


def test_replicates_without_any_success_predict_nothing():
    curve = predicted_curve(64, np.array([1] + [0] * 19), [1, 100], level=0.9)
    assert np.all(curve.low == 0) and np.all(curve.high > curve.value) and np.all(curve.value > 0)
    with pytest.raises(ValueError, match='no sample of any question is right'):
        predicted_curve(64, np.zeros(20, int), [1])


def test_thousands_of_questions_and_samples_are_quick_and_seeded():
    """200 fits of up to 1,300 different counts, a second or two: repeated questions are fitted once."""
    rng = np.random.default_rng(0)
    c = rng.binomial(10_000, rng.beta(0.2, 5, 5000))
    first, again, other = (predicted_curve(10_000, c, [1, 1e6], seed=seed) for seed in (0, 0, 1))
    assert first.low.tolist() == again.low.tolist() != other.low.tolist()
    few = sampled_curve(10, np.array([1, 2, 3, 3]), [1, 2], seed=5)
    assert few.high.tolist() == sampled_curve(10, np.array([3, 1, 3, 2]), [1, 2], seed=5).high.tolist()


@pytest.mark.parametrize(
    ('call', 'said'),
    [
        (lambda: likelihood_curve([1.0], [0.5, 2]), 'k is 0.5, 2; list numbers of tries, each at least 1'),
        (lambda: likelihood_curve([1.0], []), 'k is empty; list'),
        (lambda: likelihood_curve([1.0, -0.1], [1]), 'NLL of 2 answers has to be at least 0'),
        (lambda: likelihood_curve([np.nan], [1]), 'NLL of 1 answers has to be at least 0'),
        (lambda: likelihood_curve([1.0], [1], level=95), 'level of a band is 95; use one between 0 and 1'),
        (lambda: sampled_curve(10, [1, 2], [1, 11]), 'k = 11 cannot be estimated from 10 samples without bias'),
        (lambda: sampled_curve([10, 8], [1, 2], [9]), 'k = 9 cannot be estimated from 8 samples without bias'),
        (lambda: sampled_curve(10, [1, 2], [1, 2.5]), 'k is 1, 2.5; from samples without bias k has to be whole'),
        (lambda: sampled_curve([4, 4], [4, 5], [1]), 'question 1 has 5 of 4 samples right; give'),
        (lambda: sampled_curve(4, [], [1]), 'no question; give'),
        (lambda: predicted_curve(0, [0], [1]), 'question 0 has 0 of 0 samples right; give'),
        (lambda: sampled_curve(32, [0, 32], [1], plan=PLAN), '0 of 32 samples right, where the plan of 32, 64, '),
        (lambda: sampled_curve(32, [32], [33], plan=PLAN), 'use whole k from 1 to 32'),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(call, said):
    with pytest.raises(ValueError, match=said):
        call()
