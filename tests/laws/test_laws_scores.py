"""Scores: errors by hand, the null beside them, and splits that leave something on both sides."""

import dataclasses

import numpy as np
import pytest

from t2jax.laws.forms import CHINCHILLA, T2_ACCURACY, T2_NLL
from t2jax.laws.observations import where
from t2jax.laws.scores import Scores, score, split


def test_a_split_keeps_every_row_once(mini_rows):
    near, over = split(mini_rows, 150)
    assert len(near) + len(over) == len(mini_rows)
    assert (near.tokens / near.params).max() <= 150 < (over.tokens / over.params).min()
    limit = (mini_rows.tokens / mini_rows.params).max()
    assert len(split(mini_rows, limit * 0.999)[1]) == 8
    with pytest.raises(ValueError, match='no run is overtrained when over .* the observations span 0.5.* to 29'):
        split(mini_rows, limit)
    with pytest.raises(ValueError, match='no run is near-Chinchilla when over 0.1 tokens'):
        split(mini_rows, 0.1)
    with pytest.raises(ValueError, match='span nothing'):
        split(where(mini_rows, mini_rows.k < 0), 1)


def test_scores_are_mean_relative_errors(mini_rows, planted, fit_of):
    """Observations 25 % above the law near, 20 % below it over: errors 0.2 and 0.25."""
    law = T2_NLL.predict(planted['t2-nll'], mini_rows.params, mini_rows.tokens, mini_rows.k, np)
    ratio = mini_rows.tokens / mini_rows.params
    rows = dataclasses.replace(mini_rows, nll=np.where(ratio > 150, 0.8, 1.25) * law)
    near, over = split(rows, 150)
    scores = score(fit_of('t2-nll'), near, over)
    assert (scores.in_sample, scores.held_out) == pytest.approx((0.2, 0.25))
    assert (scores.n_in_sample, scores.n_held_out) == (len(near), len(over))


def test_the_null_is_the_mean_of_the_near_runs_at_each_k(mini_rows, fit_of):
    keep = np.isin(mini_rows.run, ['n6036-8.0e+10', 'n22440-8.0e+10', 'n155072-8.0e+10']) & (mini_rows.k < 3)
    rows = where(mini_rows, keep)
    assert rows.run[::2].tolist() == ['n6036-8.0e+10', 'n22440-8.0e+10', 'n155072-8.0e+10']
    rows = dataclasses.replace(rows, nll=np.array([6.0, 5.0, 3.0, 1.0, 1.0, 5.0]))  # null: 2 at k = 1, 3 at k = 2
    near, over = split(rows, 150)
    nothing = dict.fromkeys(T2_NLL.parameters, 0.0)
    scores = score(fit_of('t2-nll', parameters=nothing), near, over)
    assert scores == Scores(
        in_sample=1.0,
        held_out=1.0,
        null_in_sample=pytest.approx((1 / 3 + 2 + 1 + 2 / 5) / 4),
        null_held_out=pytest.approx((4 / 6 + 2 / 5) / 2),
        n_in_sample=4,
        n_held_out=2,
    )


def test_a_single_pass_law_is_scored_at_k_1(mini_rows, planted, fit_of):
    exact = CHINCHILLA.predict(planted['chinchilla'], mini_rows.params, mini_rows.tokens, mini_rows.k, np)
    rows = dataclasses.replace(mini_rows, nll=exact / mini_rows.k)
    scores = score(fit_of('chinchilla'), *split(rows, 150))
    assert scores.in_sample == scores.held_out == 0
    assert scores.n_in_sample + scores.n_held_out == 24


def test_rows_of_0_have_no_relative_error_and_are_left_out(mini_rows, planted, fit_of):
    exact = T2_ACCURACY.predict(planted['t2-accuracy'], mini_rows.params, mini_rows.tokens, mini_rows.k, np)
    rows = dataclasses.replace(mini_rows, pass_at_k=np.where(mini_rows.k < 8, 0.0, exact))
    scores = score(fit_of('t2-accuracy'), *split(rows, 150))
    assert scores.in_sample == scores.held_out == 0
    assert scores.n_in_sample + scores.n_held_out == 24 * 5


def test_rows_that_cannot_be_scored_are_refused(mini_rows, fit_of):
    fit = fit_of('t2-nll')
    near, over = split(dataclasses.replace(mini_rows, nll=np.ones(len(mini_rows))), 150)
    with pytest.raises(ValueError, match='no near-Chinchilla run was measured at k = 128; drop it from the overtr'):
        score(fit, where(near, near.k < 128), over)
    nothing = 't2-nll cannot be scored on the overtrained rows: none has a nll above 0'
    with pytest.raises(ValueError, match=nothing):
        score(fit, near, dataclasses.replace(over, nll=0 * over.nll))
    with pytest.raises(ValueError, match='t2-nll cannot be scored on the near-Chinchilla rows: none has a nll'):
        score(fit, where(near, near.k < 0), over)
    with pytest.raises(ValueError, match='near-Chinchilla rows'):
        score(fit, dataclasses.replace(near, nll=np.nan * near.nll), over)
