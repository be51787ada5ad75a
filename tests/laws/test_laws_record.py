"""A fit on disk: what is saved is loaded, and another file is refused."""

import dataclasses
import json

import numpy as np
import pytest

from t2jax.laws.bootstrap import bootstrap
from t2jax.laws.diagnose import condition
from t2jax.laws.fit import fit_law
from t2jax.laws.forms import CHINCHILLA, T2_NLL
from t2jax.laws.observations import where
from t2jax.laws.record import fit_from_dict, fit_to_dict, load_fit, save_fit


@pytest.fixture
def fit(fit_of, planted):
    replicates = {name: (value, 1.1 * value, 0.1 + 0.2) for name, value in planted['t2-nll'].items()}
    return fit_of('t2-nll', warnings=('one.', 'two.'), resampled='runs', replicates=replicates)


def read_strictly(path):
    """Read JSON as its standard has it: without NaN and Infinity."""

    def refuse(name):
        raise AssertionError(f'{name} is not JSON')

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_saved_fit_is_loaded_whole(tmp_path, fit):
    path = tmp_path / 'fits' / 't2-nll.json'
    save_fit(path, fit, {'by_task': {'spatial': fit_to_dict(fit)}})
    loaded = load_fit(path)
    assert loaded == fit
    assert all(isinstance(drawn, tuple) for drawn in loaded.replicates.values())
    stored = read_strictly(path)
    assert stored['version'] == 2
    assert fit_from_dict(stored['by_task']['spatial']) == fit
    assert [file.name for file in path.parent.iterdir()] == ['t2-nll.json']


def test_a_real_fit_of_data_that_say_little_is_json(tmp_path, plant, mini_rows):
    """One D/N, one size and zeros: whatever number comes of that, the file holds it."""
    rows = plant(mini_rows, 'chinchilla')
    rows = where(rows, rows.k == 1)
    rows = dataclasses.replace(rows, params=np.full(24, 1e5), tokens=np.full(24, 2e6), nll=rows.nll * (rows.nll < 4))
    fit = fit_law(CHINCHILLA, rows, starts=50)
    fit = bootstrap(fit, rows, n=10)
    save_fit(tmp_path / 'fit.json', fit)
    read_strictly(tmp_path / 'fit.json')
    assert load_fit(tmp_path / 'fit.json') == fit
    assert fit.residuals['largest_relative'] < 100


def test_a_singular_jacobian_has_a_condition_number_that_json_can_hold(tmp_path, fit_of):
    number = condition(np.ones((3, 3)))
    assert 1e7 < number <= 1e16
    assert condition(np.diag([1.0, 0.0])) == 1e16
    assert condition(np.array([[1, -0.5], [-0.5, 1.0]])) == pytest.approx(np.sqrt(3))
    fit = fit_of('t2-nll', condition_number=number)
    save_fit(tmp_path / 'fit.json', fit)
    read_strictly(tmp_path / 'fit.json')
    assert load_fit(tmp_path / 'fit.json') == fit


def test_a_fit_predicts_by_broadcasting(fit):
    params, k = np.array([[1e4], [1e5]]), np.array([1.0, 2.0, 4.0])
    expected = T2_NLL.predict(fit.parameters, params, 1e7, k, np)
    assert fit.predict(params, 1e7, k).shape == (2, 3)
    np.testing.assert_array_equal(fit.predict(params, 1e7, k), expected)
    assert fit.predict(10**4, 10**7, 2) == expected[0, 1]


def test_extra_keys_do_not_replace_the_fit(tmp_path, fit):
    with pytest.raises(ValueError, match='a fit has its own law, task; give what is saved beside it another name'):
        save_fit(tmp_path / 'fit.json', fit, {'law': 1, 'task': 2, 'more': 3})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'change, sentence',
    [
        ({'version': 1}, 'is of version 1; this t2jax reads 2: fit it again'),
        ({'version': 3}, 'is of version 3; this t2jax reads 2: fit it again'),
        ({'version': None}, 'is of version None'),
        ({'k_range': None, 'task': None}, 'lacks task, k_range; fit it again'),
        ({'replicates': None, 'condition_number': None}, 'lacks condition_number; fit it again'),
        (
            {'law': 'kaplan'},
            "is of the unknown law 'kaplan'; the laws are chinchilla, t2-nll, t2-accuracy, t2-nll-overtraining, per-k, "
            'log-bilinear',
        ),
        ({'law': 'chinchilla'}, 'chinchilla has E, A, B, alpha, beta'),
        ({'parameters': [1]}, 'is damaged: its parameters have to be finite numbers by name'),
        ({'parameters': {'E': 'x'}}, 'is damaged: its parameters have to be finite numbers by name'),
        ({'replicates': {'E': ['x']}}, 'is damaged: its replicates have to be numbers by parameter'),
    ],
)
def test_another_record_is_refused(tmp_path, fit, change, sentence):
    stored = {name: value for name, value in (fit_to_dict(fit) | change).items() if value is not None}
    path = tmp_path / 'fit.json'
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=sentence) as caught:
        load_fit(path)
    assert str(caught.value).startswith(str(path))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'content, sentence',
    [(b'{"law"', 'is not a JSON file'), (b'\xff', 'is not a JSON file'), (b'[]', 'not list')],
)
def test_another_file_is_refused(tmp_path, content, sentence):
    (tmp_path / 'fit.json').write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        load_fit(tmp_path / 'fit.json')
    with pytest.raises(FileNotFoundError, match='there is no fit at .*none.json; fit the law first'):
        load_fit(tmp_path / 'none.json')
