"""Votes and scores against enumeration of every subset, and the unbiased pass@k."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax.evaluation.voting import best_of, majority
from t2jax.laws.passk import unbiased_pass_at_k
from t2jax.laws.selection import MajorityVote

RIGHT = {'7', '7.0'}
ANSWERS = st.lists(st.sampled_from(['7', '7.0', '3', '5', '']), min_size=1, max_size=8)


def vote(answers):
    """Count the chance of one subset by hand."""
    votes = {answer: answers.count(answer) for answer in answers if answer}
    first = [answer for answer in votes if votes[answer] == max(votes.values())]
    return sum(answer in RIGHT for answer in first) / len(first) if first else 0.0


def by_enumeration(answers, k):
    return np.mean([vote([answers[i] for i in subset]) for subset in combinations(range(len(answers)), k)])


@given(ANSWERS)
def test_votes_of_one_and_of_all_are_exact(answers):
    right = [answer in RIGHT for answer in answers]
    for k in (1, len(answers)):
        assert majority(answers, right, k, draws=1) == pytest.approx(by_enumeration(answers, k), abs=1e-12)


@pytest.mark.parametrize('answers', ['7 7 3 3 3 5', '7 7.0 3 3 5 - -', '7 3 5 - - - -', '3 3 - - 5 5', '7 - - - -'])
@pytest.mark.parametrize('k', [2, 3, 4])
def test_votes_of_random_subsets_have_the_mean_of_all_subsets(answers, k):
    answers = ['' if answer == '-' else answer for answer in answers.split()]
    right = [answer in RIGHT for answer in answers]
    exact = by_enumeration(answers, k)
    assert majority(answers, right, k, draws=20_000) == pytest.approx(exact, abs=4 * 0.5 / 20_000**0.5)


def test_votes_where_wrong_answers_agree_are_those_of_the_law():
    """Many samples of a question: a subset of k is as good as k fresh samples, and the worst case is the law's."""
    answers = ['7'] * 6000 + ['3'] * 4000
    for k in (3, 15):
        chance = majority(answers, [a == '7' for a in answers], k, draws=20_000)
        assert chance == pytest.approx(float(MajorityVote().chance(0.6, k)), abs=0.015)


def test_votes_are_seeded():
    answers, right = (
        ['7', '3', '7', '5', '3', '7', '', '5'] * 3,
        [True, False, True, False, False, True, False, False] * 3,
    )
    values = [majority(answers, right, 9, seed=seed) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


@given(st.lists(st.tuples(st.sampled_from([-np.inf, 0.0, 0.5, 2.0, 9.0]), st.booleans()), min_size=1, max_size=8))
def test_the_best_of_k_is_that_of_all_subsets(samples):
    scores, right = zip(*samples)
    for k in range(1, len(samples) + 1):
        chances = []
        for subset in combinations(samples, k):
            tied = [is_right for score, is_right in subset if score == max(subset)[0]]
            chances.append(np.mean(tied))
        assert best_of(scores, right, k) == pytest.approx(np.mean(chances), abs=1e-12)


@given(n=st.integers(1, 200), data=st.data())
def test_scores_that_say_what_is_right_give_pass_at_k(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    right = np.random.default_rng(n).permutation(np.arange(n) < c)
    expected = unbiased_pass_at_k(n, np.array([c]), k)[0]
    assert best_of(right.astype(float), right, k) == pytest.approx(expected, rel=1e-9, abs=1e-13)
    assert best_of(-right.astype(float), right, k) == pytest.approx(comb(c, k) / comb(n, k), rel=1e-9, abs=1e-13)
    assert best_of(np.zeros(n), right, k) == pytest.approx(c / n, rel=1e-9)


def test_tens_of_thousands_of_samples_stay_finite():
    rng = np.random.default_rng(0)
    right = rng.random(50_000) < 1e-3
    value = best_of(right.astype(float), right, 1000)
    assert value == pytest.approx(unbiased_pass_at_k(50_000, np.array([right.sum()]), 1000)[0], rel=1e-9)
    assert best_of(np.arange(50_000), np.full(50_000, True), 20_000) == pytest.approx(1, abs=1e-12)
    assert best_of(np.arange(50_000), np.arange(50_000) == 49_999, 1) == pytest.approx(1 / 50_000)


@pytest.mark.parametrize(
    ('call', 'said'),
    [
        (lambda: majority(['7'], [True], 2), 'k = 2 cannot be drawn from 1 samples; use whole k from 1 to 1'),
        (
            lambda: best_of([1.0, 2.0], [True, False], 0),
            'k = 0 cannot be drawn from 2 samples; use whole k from 1 to 2',
        ),
        (lambda: best_of([1.0, 2.0], [True, False], 1.5), 'k = 1.5 cannot be drawn'),
        (lambda: majority(['7', '3'], [True], 1), 'there are 2 samples, and 1 are marked right or wrong; mark each'),
        (lambda: best_of([1.0], [True, False], 1), 'there are 1 samples, and 2 are marked'),
        (lambda: best_of([1.0, np.nan], [True, False], 1), 'the score of sample 1 is no number; use -inf'),
        (lambda: majority(['7', '7'], [True, False], 1), "answer '7' is right in one sample and wrong in another"),
    ],
)
def test_what_cannot_be_chosen_is_one_sentence(call, said):
    with pytest.raises(ValueError, match=said):
        call()
