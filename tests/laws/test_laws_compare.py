"""Model choice: a law wins on its own data, each is scored on what it can be asked, and refusals are kept."""

import dataclasses

import numpy as np
import pytest

from t2jax.laws.compare import LOG_OF_MEAN, compare
from t2jax.laws.forms import CHINCHILLA, LAWS, LOG_BILINEAR, PER_K, T2_ACCURACY, T2_NLL
from t2jax.laws.observations import COLUMNS, MEASURES, Observations, where

LIMIT = 3000
OF_COUNTS = (T2_NLL, PER_K, LOG_BILINEAR)
STARTS = 50


@pytest.fixture(scope='module')
def runs(mini_rows, empty_rows):
    """The mini study's 24 runs, and four that are trained on more tokens than LIMIT times their parameters."""
    over = empty_rows(np.array([6036.0, 11120.0]), [4e12, 8e12], 2.0 ** np.arange(8))
    ratio = (mini_rows.tokens / mini_rows.params).max(), (over.tokens / over.params).min()
    assert ratio[0] < LIMIT < ratio[1]
    both = {name: np.concatenate([getattr(mini_rows, name), getattr(over, name)]) for name in COLUMNS}
    return Observations(**both)


def counted(rows, passed):
    """Say that the rows come from counts, whose nll is -log of the mean pass@k."""
    columns = {'pass_at_k': passed, 'nll': -np.log(passed), 'measure': np.full(len(rows), 'counts')}
    return dataclasses.replace(rows, **columns)


def by_law(rows, **options):
    return {one.law: one for one in compare(rows, LIMIT, starts=STARTS, **options)}


@pytest.mark.parametrize('law', OF_COUNTS, ids=lambda law: law.name)
def test_a_planted_law_wins_on_its_own_data(runs, plant, law):
    """Counts with a little noise: of the laws that know k, the one planted errs least on the overtrained runs."""
    planted = plant(runs, law.name if law.target == 'nll' else 't2-nll', law.name)
    exact = np.exp(-planted.nll) if law.target == 'nll' else planted.pass_at_k
    noise = np.exp(0.001 * np.random.default_rng(0).normal(size=len(runs)))
    found = by_law(counted(runs, np.exp(np.log(exact) * noise)), laws=OF_COUNTS)
    errors = sorted((one.log_errors[1], one.log_errors[3], name) for name, one in found.items())
    (best, null, name), (second, *_), _ = errors
    assert name == law.name
    assert best < second / 1.5 and best < null / 50
    scores = {other.name: found[other.name].scores for other in OF_COUNTS if other.target == law.target}
    assert min(scores, key=lambda other: scores[other].held_out) == law.name
    assert scores[law.name].held_out < scores[law.name].null_held_out / 50


def test_approach_2_wins_on_its_own_data(runs, plant):
    """Its loss is that of likelihoods."""
    rows = plant(runs, 'chinchilla', noise=0.002)
    found = by_law(dataclasses.replace(rows, measure=np.full(len(rows), 'likelihood')))
    errors = {name: one.scores.held_out for name, one in found.items() if one.target == 'pass_at_k'}
    assert set(errors) == {'t2-accuracy', 'log-bilinear'}
    assert errors['t2-accuracy'] < errors['log-bilinear'] / 5
    assert found['chinchilla'].scores.held_out < 0.01


@pytest.mark.parametrize('measure', MEASURES)
def test_log_errors_are_for_measures_that_are_a_log_of_a_mean(runs, plant, measure):
    rows = plant(runs, noise=0.01)
    rows = dataclasses.replace(rows, pass_at_k=np.exp(-rows.nll), measure=np.full(len(rows), measure))
    mean_of_logs = dataclasses.replace(rows, nll=1.1 * rows.nll)  # as of a mean over tasks
    for table, logs in ((rows, measure in ('counts', 'beta-binomial')), (mean_of_logs, False)):
        found = by_law(table, laws=(CHINCHILLA, T2_NLL, LOG_BILINEAR))
        known = {name for name, one in found.items() if one.log_errors is not None}
        assert known == ({'t2-nll', 'log-bilinear'} if logs else set())
    assert set(LOG_OF_MEAN) <= set(MEASURES)


def test_log_errors_are_of_predicted_chances(runs, plant):
    """By hand, also for a law of the nll; a row without a right sample has no log and is left out."""
    rows = counted(runs, plant(runs, passed='log-bilinear', noise=0.02).pass_at_k)
    none = (rows.run == rows.run[-1]) & (rows.k < 4)
    rows = dataclasses.replace(rows, pass_at_k=np.where(none, 0, rows.pass_at_k), nll=np.where(none, np.nan, rows.nll))
    found = by_law(rows, laws=(T2_NLL, LOG_BILINEAR))
    over = rows.tokens / rows.params > LIMIT
    for name, sign in (('t2-nll', -1), ('log-bilinear', 0)):
        for i, side in enumerate((~over, over)):
            kept = where(rows, side & ~none)
            predicted = found[name].fit.predict(kept.params, kept.tokens, kept.k)
            chance = np.exp(-predicted) if sign else predicted
            expected = np.mean(np.abs(np.log(chance / kept.pass_at_k)))
            assert found[name].log_errors[i] == pytest.approx(expected, rel=1e-9)
            near = where(rows, ~over & ~none)
            null = np.array([np.log(near.pass_at_k[near.k == k]).mean() for k in kept.k])
            expected = np.mean(np.abs(null - np.log(kept.pass_at_k)))
            assert found[name].log_errors[2 + i] == pytest.approx(expected, rel=1e-9)


def test_a_table_of_nll_alone_has_no_log_errors(runs, plant):
    rows = counted(runs, plant(runs, passed='log-bilinear').pass_at_k)
    found = by_law(dataclasses.replace(rows, pass_at_k=rows.nll * np.nan))
    assert list(found) == list(LAWS)
    assert found['t2-nll'].log_errors is None and found['t2-nll'].scores.held_out > 0
    for name in ('t2-accuracy', 'log-bilinear'):
        assert found[name].refused == f'{name} needs pass_at_k and some rows have none; fill in the column'


def test_a_law_that_cannot_be_fitted_or_scored_keeps_its_sentence(runs, plant):
    rows = plant(runs, noise=0.01)
    asked = []
    rows = dataclasses.replace(rows, k=np.where(rows.k == 1, 3, rows.k))
    found = by_law(rows, advance=lambda: asked.append(1), laws=(CHINCHILLA, T2_NLL, T2_ACCURACY))
    assert list(found) == ['chinchilla', 't2-nll', 't2-accuracy'] and len(asked) == 3
    for name in ('chinchilla', 't2-accuracy'):
        one = found[name]
        assert (one.fit, one.scores, one.log_errors) == (None, None, None)
        assert one.refused == f'{name} needs at least 5 rows at k = 1, there are 0'
    assert found['t2-nll'].refused == '' and found['t2-nll'].scores.n_held_out == 4 * 8


def test_a_law_that_cannot_be_scored_is_refused_too(runs, plant):
    rows = plant(runs, noise=0.01)
    over = rows.tokens / rows.params > LIMIT
    found = by_law(dataclasses.replace(rows, nll=np.where(over, 0.0, rows.nll)), laws=(T2_NLL,))
    assert found['t2-nll'].refused == 't2-nll cannot be scored on the overtrained rows: none has a nll above 0'
    assert found['t2-nll'].fit is None


def test_all_runs_on_one_side_are_refused(runs, plant):
    with pytest.raises(ValueError, match='no run is overtrained when over 1e.09 tokens per parameter'):
        compare(plant(runs), 1e9)


def test_fits_are_of_the_near_runs_and_scores_of_both(runs, plant):
    rows = counted(runs, plant(runs, passed='log-bilinear', noise=0.01).pass_at_k)
    for one in compare(rows, LIMIT, starts=STARTS, laws=(CHINCHILLA, T2_NLL, LOG_BILINEAR)):
        assert one.fit.n_runs == 24
        assert one.fit.tokens_per_param_range[1] < LIMIT
        assert one.scores.n_held_out == (4 if one.law == 'chinchilla' else 32)
        assert (one.fit.measure, one.target) == ('counts', LAWS[one.law].target)
