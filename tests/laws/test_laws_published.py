"""Published numbers come back from the published runs: Chinchilla's law, Porian's optima, Gadre's extrapolation."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import curve_fit

from experiments import chinchilla_refit, gadre_extrapolation, porian_isoflop
from t2jax.laws import forms
from t2jax.laws.forms import CHINCHILLA
from t2jax.laws.isoflop import fit_power_law
from t2jax.laws.ladders import read_gadre, read_porian
from t2jax.laws.observations import where


@pytest.fixture(scope='module')
def data():
    folder = Path(__file__).resolve().parents[2].parent / 'shared' / 'data'
    if not folder.is_dir():
        pytest.skip('needs the published runs, in ../shared/data beside the repository')
    return folder


@pytest.fixture(scope='module')
def refit(data):
    return chinchilla_refit.refit(data, kept_240=True)


def test_the_chinchilla_data_give_the_published_refit(refit):
    """Besiroglu et al.'s 240 runs: the objective is the sum over runs of the Huber losses; the mean is 4.2428e-6."""
    rows, fit = refit
    assert len(rows) == fit.n_points == 240
    assert fit.objective_value == pytest.approx(1.018274e-3, rel=1e-6)
    assert fit.objective_value == pytest.approx(chinchilla_refit.log_huber(fit.parameters, rows), rel=1e-9)
    assert fit.parameters['alpha'] == pytest.approx(0.3473, abs=5e-5)
    assert fit.parameters['beta'] == pytest.approx(0.3672, abs=5e-5)
    assert fit.parameters['E'] == pytest.approx(1.8172, abs=5e-5)
    assert fit.share_at_best > 0.9 and all('bracketed' in warning for warning in fit.warnings)


def test_so_do_all_245(data):
    rows, fit = chinchilla_refit.refit(data, kept_240=False)
    assert len(rows) == fit.n_points == 245
    assert fit.objective_value == pytest.approx(1.82601e-3, rel=1e-6)
    assert fit.share_at_best > 0.9


def test_resampled_runs_give_the_published_standard_errors(refit):
    """Besiroglu et al.: E 0.03, A 124.58, B 1293.23, alpha, beta and the exponent of N* 0.02."""
    found = chinchilla_refit.standard_errors(*refit)
    within = [0.4 if published < 1 else 0.15 for published in chinchilla_refit.BESIROGLU_ERRORS]  # 0.02 is rounded
    for value, published, rel in zip(found, chinchilla_refit.BESIROGLU_ERRORS, within, strict=True):
        assert value == pytest.approx(published, rel=rel)


def test_the_closed_form_of_the_optimal_size_is_the_minimum(refit):
    parameters = refit[1].parameters
    best = chinchilla_refit.optimal_size(parameters, 1e21)
    sizes = best * np.array([0.999, 1, 1.001])
    loss = CHINCHILLA.predict(parameters, sizes, 1e21 / 6 / sizes, 1.0, np)
    assert np.argmin(loss) == 1
    ratio = chinchilla_refit.optimal_size(parameters, 2e21) / best
    assert np.log2(ratio) == pytest.approx(chinchilla_refit.size_exponent(parameters))


@pytest.mark.parametrize(
    'setting, exponent',
    [
        (('base', 'long', 'kaplan', 'kaplan'), 0.835),
        (('base', 'long', 'kaplan', 'standard'), 0.706),
        (('base', 'short', 'kaplan', 'standard'), 0.602),
        (('base', 'short', 'chinchilla', 'standard'), 0.5714),
        (('tuned', 'short', 'const', 'standard'), 0.497),
    ],
)
def test_porians_steps_have_the_published_exponents(data, setting, exponent):
    _, _, law = porian_isoflop.find_optima(data, ('rw', *setting))
    assert law.exponent == pytest.approx(exponent, abs=2e-3)
    low, high = law.interval()
    assert low < exponent < high < low + 0.04


def test_every_published_optimum_is_found_and_no_other(data):
    assert len(porian_isoflop.SETTINGS) == 15
    for setting in porian_isoflop.SETTINGS:
        _, optima, law = porian_isoflop.find_optima(data, setting)
        theirs = porian_isoflop.published_optima(data, setting)
        assert law.exponent == pytest.approx(fit_power_law(theirs).exponent, abs=2e-3)
        for mine, other in zip(optima, theirs, strict=True):
            assert mine.train_flops == pytest.approx(other.train_flops)
            assert np.log(mine.params) == pytest.approx(np.log(other.params), abs=0.4 * other.log_std, nan_ok=True)
            assert mine.loss == pytest.approx(other.loss, rel=5e-4, nan_ok=True)
            assert mine.log_std == pytest.approx(other.log_std, rel=0.1, nan_ok=True)


@pytest.mark.parametrize('objective, exponent', [('sse', 0.523), ('log-huber', 0.609)])
def test_the_85_runs_are_the_isoflop_runs_above_065_tokens_per_parameter(data, objective, exponent):
    """No published number: the exponents of N* are our own, which the experiment's docstring discusses."""
    fit = porian_isoflop.fit_85(data, objective)
    rows = read_porian(data / 'porian_all_settings.csv')
    kept = where(rows, rows.tokens > 0.65 * rows.params)
    assert (len(rows), len(kept), fit.n_points) == (88, 85, 85)
    predicted = fit.predict(kept.params, kept.tokens, kept.k)
    of_kept = {
        'sse': np.sum((predicted - kept.nll) ** 2),
        'log-huber': chinchilla_refit.log_huber(fit.parameters, kept),
    }
    assert fit.objective_value == pytest.approx(of_kept[objective], rel=1e-5)
    assert chinchilla_refit.size_exponent(fit.parameters) == pytest.approx(exponent, abs=1e-3)
    assert fit.share_at_best > 0.9


def test_the_figure_has_an_optimum_for_each_budget(data):
    curves, power_laws = porian_isoflop.draw(data).axes
    assert sum(line.get_marker() == '*' for line in curves.lines) == 12
    assert [text.get_text()[-5:] for text in power_laws.get_legend().get_texts()][0] == '0.835'


@pytest.fixture
def gadre(monkeypatch):
    monkeypatch.setitem(forms.LAWS, 'gadre', gadre_extrapolation.GADRE)


def test_gadres_five_runs_predict_the_large_ones(data, gadre):
    """0.71 % at 1.4B and D/N = 640, 0.73 % at 6.9B and D/N = 20."""
    rows = read_gadre(data / 'gadre_testbed.csv', 'rpj')
    five, every, large = gadre_extrapolation.masks(rows)
    assert (five.sum(), every.sum(), large.sum()) == (5, 24, 3)
    errors = gadre_extrapolation.extrapolate(gadre_extrapolation.GADRE, rows, five, large)
    of_run = dict(zip(rows.run[large], np.abs(errors)))
    assert of_run['rpj-open_lm_1b-32.0'] == pytest.approx(0.007103, abs=1e-6)
    assert of_run['rpj-open_lm_7b-1.0'] == pytest.approx(0.007320, abs=1e-6)


def test_their_form_of_the_law_fitted_by_scipy_predicts_the_same(data, gadre):
    """L = E + (a M^eta + b M^-eta) C^-eta, M = D / N."""
    rows = read_gadre(data / 'gadre_testbed.csv', 'c4_original')
    five, _, large = gadre_extrapolation.masks(rows)

    def law(row, E, log_a, log_b, eta):
        flops, ratio = row
        return E + (np.exp(log_a) * ratio**eta + np.exp(log_b) * ratio**-eta) * flops**-eta

    x = np.stack([rows.train_flops, rows.tokens / rows.params])
    found, _ = curve_fit(law, x[:, five], rows.nll[five], p0=[1.8, 5, 5, 0.13], maxfev=100000)
    errors = gadre_extrapolation.extrapolate(gadre_extrapolation.GADRE, rows, five, large)
    assert law(x[:, large], *found) / rows.nll[large] - 1 == pytest.approx(errors, abs=1e-5)


@pytest.mark.parametrize('experiment', [chinchilla_refit, porian_isoflop, gadre_extrapolation])
def test_absent_data_are_said_in_one_sentence(experiment, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        experiment.main([str(tmp_path / 'nowhere')])
    said = capsys.readouterr()
    assert stopped.value.code == 2
    assert said.err.count('\n') == 1 and str(tmp_path / 'nowhere') in said.err
    assert said.out == ''
