"""A fit on disk: what is saved is loaded, and another file is refused."""

import json

import numpy as np
import pytest

from t2jax.laws.forms import T2_NLL
from t2jax.laws.record import Fit, fit_from_dict, fit_to_dict, load_fit, save_fit


@pytest.fixture
def fit(planted):
    return Fit(
        law='t2-nll',
        task='macro',
        objective='sse',
        objective_value=0.1 + 0.2,
        parameters=planted['t2-nll'],
        n_points=192,
        n_runs=24,
        starts=500,
        share_at_best=0.98,
        gradient_norm=1e-12,
        params_range=(6036.0, 155072.0),
        tokens_per_param_range=(0.55, 2928.0),
        train_flops_range=(8e10, 6.4e11),
        k_range=(1.0, 128.0),
        warnings=('one.', 'two.'),
    )


def test_a_saved_fit_is_loaded_whole(tmp_path, fit):
    path = tmp_path / 'fits' / 't2-nll.json'
    save_fit(path, fit, {'by_task': {'spatial': fit_to_dict(fit)}})
    assert load_fit(path) == fit
    stored = json.loads(path.read_text())
    assert stored['version'] == 1
    assert fit_from_dict(stored['by_task']['spatial']) == fit
    assert [file.name for file in path.parent.iterdir()] == ['t2-nll.json']


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
        ({'version': 2}, 'is of version 2; this t2jax reads 1: fit it again'),
        ({'version': None}, 'is of version None'),
        ({'k_range': None, 'task': None}, 'lacks task, k_range; fit it again'),
        ({'law': 'kaplan'}, "is of the unknown law 'kaplan'; the laws are chinchilla, t2-nll, t2-accuracy"),
        ({'law': 'chinchilla'}, 'chinchilla has E, A, B, alpha, beta'),
    ],
)
def test_another_record_is_refused(tmp_path, fit, change, sentence):
    stored = {name: value for name, value in (fit_to_dict(fit) | change).items() if value is not None}
    path = tmp_path / 'fit.json'
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=sentence) as caught:
        load_fit(path)
    assert str(caught.value).startswith(str(path))


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
