"""Bootstrap: each replicate is the fit of what was drawn, seeds fix the draws, and intervals hold the truth."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from t2jax.laws import bootstrap as bootstrap_module
from t2jax.laws.bootstrap import bootstrap
from t2jax.laws.fit import fit_law
from t2jax.laws.forms import CHINCHILLA, LAWS, T2_ACCURACY, T2_NLL
from t2jax.laws.observations import where
from t2jax.laws.questions import Questions, derive, resampled

STARTS = 50
CHUNK = 25


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Search fewer replicates at once; all tests share the executables of this size."""
    monkeypatch.setattr(bootstrap_module, '_CHUNK', CHUNK)


def replicate(fit, i):
    return {name: values[i] for name, values in fit.replicates.items()}


def draws_of(rows, n, seed=0):
    runs, of_row = np.unique(rows.run, return_inverse=True)
    return bootstrap_module._draw_runs(len(runs), of_row, n, seed)


def rows_for(law, rows):
    return where(rows, rows.k == 1) if law.single_pass else rows


def of_law(law, rows, plant, seed=4):
    """Plant the law itself, with noise as runs have it, and with a floor that no draw of runs takes for 0."""
    accuracy = law.name if law.target == 'pass_at_k' else 't2-accuracy'
    loss = law.name if law.target == 'nll' else 'chinchilla'
    return plant(rows, loss, accuracy, noise=0.005, by_run=0.01, seed=seed, E=1.5)


def test_a_draw_of_runs_is_a_multinomial_of_whole_runs(mini_rows):
    drawn = draws_of(mini_rows, 2000)
    assert drawn.shape == (2000, 192)
    by_run = drawn.reshape(2000, 24, 8)
    assert (by_run == by_run[..., :1]).all()
    assert (by_run[..., 0].sum(1) == 24).all()
    assert by_run[..., 0].mean(0) == pytest.approx(np.ones(24), abs=0.12)  # 5 standard errors
    assert by_run[..., 0].var() == pytest.approx(23 / 24, rel=0.05)


@pytest.mark.parametrize(
    'law, objective',
    [
        ('chinchilla', 'sse'),
        ('chinchilla', 'log-huber'),
        ('t2-nll', 'sse'),
        ('t2-nll', 'log-huber'),
        ('t2-accuracy', 'sse'),
        ('per-k', 'sse'),
        ('log-bilinear', 'sse'),
    ],
)
def test_a_replicate_is_a_fresh_fit_of_the_runs_drawn(mini_rows, plant, law, objective):
    law = LAWS[law]
    rows = rows_for(law, of_law(law, mini_rows, plant))
    fit = bootstrap(fit_law(law, rows, objective=objective, starts=STARTS), rows, n=5, seed=1)
    assert set(fit.replicates) == set(law.parameters)
    drawn = draws_of(rows, 5, seed=1)
    for i in (0, 3):
        fresh = fit_law(law, dataclasses.replace(rows, weight=drawn[i]), objective=objective, starts=STARTS)
        assert replicate(fit, i) == pytest.approx(fresh.parameters, rel=1e-6, abs=1e-8)


def test_the_weights_of_rows_and_of_draws_multiply(mini_rows, plant):
    rows = rows_for(CHINCHILLA, of_law(CHINCHILLA, mini_rows, plant))
    rows = dataclasses.replace(rows, weight=np.random.default_rng(3).uniform(0.5, 2, len(rows)))
    fit = bootstrap(fit_law(CHINCHILLA, rows, starts=STARTS), rows, n=2, seed=1)
    weight = rows.weight * draws_of(rows, 2, seed=1)[1]
    fresh = fit_law(CHINCHILLA, dataclasses.replace(rows, weight=weight), starts=STARTS)
    assert replicate(fit, 1) == pytest.approx(fresh.parameters, rel=1e-6)


def test_seeds_fix_the_replicates_and_chunks_do_not_matter(mini_rows, plant, monkeypatch):
    rows = of_law(CHINCHILLA, mini_rows, plant)
    fit = fit_law(CHINCHILLA, rows, starts=STARTS)
    first = bootstrap(fit, rows, n=CHUNK + 5, seed=7)
    assert bootstrap(fit, rows, n=CHUNK + 5, seed=7) == first
    assert dataclasses.replace(first, resampled='', replicates={}) == fit
    assert all(len(set(values)) == CHUNK + 5 for values in first.replicates.values())
    other = bootstrap(fit, rows, n=CHUNK + 5, seed=8)
    assert not set(other.replicates['alpha']) & set(first.replicates['alpha'])
    monkeypatch.setattr(bootstrap_module, '_CHUNK', 12)
    again = bootstrap(fit, rows, n=CHUNK + 5, seed=7)
    for name, values in first.replicates.items():
        assert again.replicates[name] == pytest.approx(values, rel=1e-6)


def test_another_process_finds_the_same_digits(mini_rows, plant, tmp_path):
    """One of a single CPU device that computes in float64 everywhere, where this one has eight and does not."""
    rows = rows_for(CHINCHILLA, of_law(CHINCHILLA, mini_rows, plant))
    columns = ('run', 'params', 'tokens', 'k', 'nll')
    np.savez(tmp_path / 'rows.npz', **{name: getattr(rows, name) for name in columns})
    code = f"""
import json, jax, numpy as np
from t2jax.laws import bootstrap
from t2jax.laws.fit import fit_law
from t2jax.laws.forms import CHINCHILLA
from t2jax.laws.observations import Observations
bootstrap._CHUNK = {CHUNK}
rows = Observations(**np.load({str(tmp_path / 'rows.npz')!r}))
fit = bootstrap.bootstrap(fit_law(CHINCHILLA, rows, starts={STARTS}), rows, n=5)
print(json.dumps([len(jax.devices()), bool(jax.config.jax_enable_x64), fit.parameters, fit.replicates]))
"""
    environment = os.environ | {
        'JAX_ENABLE_X64': '1',
        'JAX_NUM_CPU_DEVICES': '1',
        'PYTHONPATH': os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, env=environment)
    n_devices, x64, parameters, replicates = json.loads(done.stdout)
    assert (n_devices, x64) == (1, True)
    assert (len(jax.devices()), jax.config.jax_enable_x64) == (8, False)
    here = bootstrap(fit_law(CHINCHILLA, rows, starts=STARTS), rows, n=5)
    assert parameters == here.parameters
    assert {name: tuple(values) for name, values in replicates.items()} == here.replicates


def test_the_interval_of_an_exponent_holds_the_truth_as_often_as_it_says(mini_rows, plant, planted):
    """Noise of whole runs, 40 sets of data, 80 % intervals; drawn as if rows were independent, a third of them do."""
    held = 0
    for seed in range(40):
        rows = plant(mini_rows, noise=0.002, by_run=0.02, seed=seed)
        fit = bootstrap(fit_law(T2_NLL, rows, starts=STARTS), rows, n=4 * CHUNK, seed=seed)
        low, high = np.quantile(fit.replicates['alpha'], [0.1, 0.9])
        held += low < planted['t2-nll']['alpha'] < high
    assert 25 <= held <= 38


def test_replicates_spread_as_fits_of_new_data_do(mini_rows, plant):
    """The standard error of gamma and E from one set of data, against the spread over 100 sets."""
    sets = [fit_law(T2_NLL, plant(mini_rows, by_run=0.02, seed=seed), starts=STARTS) for seed in range(100)]
    true = {name: np.std([fit.parameters[name] for fit in sets]) for name in ('beta', 'gamma')}
    found = {name: [] for name in true}
    for seed in range(6):
        rows = plant(mini_rows, by_run=0.02, seed=seed)
        fit = bootstrap(sets[seed], rows, n=4 * CHUNK)
        for name in true:
            found[name].append(np.std(fit.replicates[name]))
    for name in true:
        assert np.median(found[name]) == pytest.approx(true[name], rel=0.4)


@pytest.mark.parametrize('law', [T2_NLL, T2_ACCURACY])
@pytest.mark.parametrize('resample', ['questions', 'both'])
def test_a_replicate_of_questions_is_a_fresh_fit_of_the_table_redrawn(mini_rows, plant, law, resample):
    rows, *redrawn = (of_law(law, mini_rows, plant, seed) for seed in range(5))
    fit = fit_law(law, rows, starts=STARTS)
    fit = bootstrap(fit, rows, n=4, seed=5, resample=resample, redrawn=iter(redrawn))
    assert fit.resampled == resample
    drawn = draws_of(rows, 4, seed=5) if resample == 'both' else np.ones((4, len(rows)))
    fresh = fit_law(law, dataclasses.replace(redrawn[3], weight=drawn[3]), starts=STARTS)
    assert replicate(fit, 3) == pytest.approx(fresh.parameters, rel=1e-6)


def test_questions_are_redrawn_from_their_table(mini_rows, planted):
    """Questions differ far more than runs do: the interval of the loss is that of a mean over 40 questions."""
    single = where(mini_rows, mini_rows.k == 1)
    rng = np.random.default_rng(6)
    hardness = np.exp(rng.normal(0, 0.5, 40))
    loss = CHINCHILLA.predict(planted['chinchilla'] | {'E': 1.5}, single.params, single.tokens, single.k, np)
    nll = loss[:, None] * hardness * np.exp(0.01 * rng.normal(size=(24, 40)))
    columns = {'params': np.repeat(single.params, 40), 'tokens': np.repeat(single.tokens, 40)}
    questions = Questions(question=np.tile([f'q{i}' for i in range(40)], 24), nll=nll.ravel(), **columns)
    rows = derive(questions, [1])
    redrawn = list(resampled(questions, [1], 200, seed=2))
    fit = fit_law(CHINCHILLA, rows, starts=STARTS)
    fit = bootstrap(fit, rows, n=200, resample='questions', redrawn=redrawn)
    fresh = fit_law(CHINCHILLA, redrawn[199], starts=STARTS)
    assert replicate(fit, 199) == pytest.approx(fresh.parameters, rel=1e-6)
    at = (single.params[11], single.tokens[11], 1.0, np)
    values = CHINCHILLA.predict({name: np.array(drawn) for name, drawn in fit.replicates.items()}, *at)
    error = np.std(hardness) / np.mean(hardness) / np.sqrt(40)
    assert np.std(values) / np.mean(values) == pytest.approx(error, rel=0.15)


@pytest.mark.parametrize(
    'law, objective', [(CHINCHILLA, 'sse'), (CHINCHILLA, 'log-huber'), (LAWS['log-bilinear'], 'sse')]
)
def test_a_row_without_a_right_sample_has_no_say_in_its_replicate(mini_rows, plant, law, objective):
    """It has no nll; its pass@k, 0, is a value like any other."""
    rows = rows_for(law, of_law(law, mini_rows, plant))
    none = np.arange(len(rows)) % 7 == 2
    change = {'nll': np.where(none, np.nan, rows.nll * 1.01), 'pass_at_k': np.where(none, 0.0, rows.pass_at_k)}
    drawn = dataclasses.replace(rows, **change)
    fit = fit_law(law, rows, objective=objective, starts=STARTS)
    fit = bootstrap(fit, rows, n=2, resample='questions', redrawn=[rows, drawn])
    assert replicate(fit, 0) == pytest.approx(fit.parameters, rel=1e-6)
    weight = np.where(none, 0.0, 1.0) if law is CHINCHILLA else None
    fresh = dataclasses.replace(drawn, nll=np.where(none, 1.0, drawn.nll), weight=weight)
    expected = fit_law(law, fresh, objective=objective, starts=STARTS).parameters
    assert replicate(fit, 1) == pytest.approx(expected, rel=1e-6)


def test_log_huber_leaves_a_chance_of_0_out_of_its_replicate(mini_rows, plant):
    law = LAWS['log-bilinear']
    rows = of_law(law, mini_rows, plant)
    none = np.arange(len(rows)) % 7 == 2
    fit = fit_law(law, rows, objective='log-huber', starts=STARTS)
    drawn = dataclasses.replace(rows, pass_at_k=np.where(none, 0.0, 0.99 * rows.pass_at_k))
    fit = bootstrap(fit, rows, n=1, resample='questions', redrawn=[drawn])
    fresh = dataclasses.replace(rows, pass_at_k=0.99 * rows.pass_at_k, weight=np.where(none, 0.0, 1.0))
    expected = fit_law(law, fresh, objective='log-huber', starts=STARTS).parameters
    assert replicate(fit, 0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    'change, options, sentence',
    [
        (lambda r: r, {'resample': 'rows'}, "cannot resample 'rows'; choose runs, questions, both$"),
        (lambda r: r, {'resample': 'both'}, 'resampling both takes a table with one row per question$'),
        (lambda r: r, {'redrawn': []}, 'redrawn questions are for resampling questions or both$'),
        (lambda r: where(r, r.run == r.run[0]), {}, 'there is one run; its uncertainty needs several$'),
        (lambda r: where(r, r.k < 0), {}, 't2-nll needs at least 7 rows, there are 0$'),
        (lambda r: r, {'n': 0}, 'n is 0; a bootstrap needs at least 1 refit$'),
    ],
)
def test_what_cannot_be_resampled_is_refused(mini_rows, plant, fit_of, change, options, sentence):
    with pytest.raises(ValueError, match='^' + sentence):
        bootstrap(fit_of('t2-nll'), change(plant(mini_rows)), **{'n': 5} | options)


def test_redrawn_tables_have_to_be_enough_and_of_the_same_rows(mini_rows, plant, fit_of):
    rows = plant(mini_rows)
    options = {'n': 3, 'resample': 'questions'}
    with pytest.raises(ValueError, match='^3 replicates need as many redrawn tables; there are 2$'):
        bootstrap(fit_of('t2-nll'), rows, redrawn=[rows, rows], **options)
    for other in (where(rows, rows.k < 100), where(rows, np.arange(len(rows))[::-1])):
        with pytest.raises(ValueError, match='^a redrawn table has other rows than the observations; give the same'):
            bootstrap(fit_of('t2-nll'), rows, redrawn=[rows, other, rows], **options)
