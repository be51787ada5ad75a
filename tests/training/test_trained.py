"""Trained models in folders: a run and an import alike, whole or refused."""

import json
import shutil

import jax
import numpy as np
import pytest

from t2jax.mesh import Layout, make_mesh
from t2jax.models import transformer
from t2jax.training.trained import Imported, open_trained, save_imported
from tests.made_run import RUN, make_run


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp('study'))


def about(model, **changes):
    facts = {'name': 'x', 'model': model, 'context': 128, 'tokens': 1e9, 'source': 'made up', 'bos': None, 'end': '.'}
    return Imported(**facts | changes)


def same(a, b):
    return jax.tree.all(jax.tree.map(lambda x, y: (np.asarray(x) == np.asarray(y)).all(), a, b))


def test_an_import_comes_back_on_any_mesh_with_its_tokenizer(variant, tmp_path):
    params = transformer.init_params(variant, jax.random.key(0))
    (tmp_path / 'some.json').write_text('{}')
    save_imported(tmp_path / 'model', about(variant), jax.tree.map(np.asarray, params), tmp_path / 'some.json')
    found = open_trained(tmp_path / 'model')
    assert found.model == variant and type(found.model) is type(variant)
    assert (found.name, found.context, found.tokens) == ('x', 128, 1e9) and found.imported == about(variant)
    assert found.tokenizer.name == 'tokenizer.json' and found.tokenizer.exists()
    assert same(found.load(make_mesh(jax.devices()[:1])), params)
    split = found.load(make_mesh(jax.devices()[:2], Layout(fsdp=2)))
    assert same(split, params) and len(split['embed'].sharding.device_set) == 2


def test_a_run_is_opened_as_it_was_trained(run):
    found = open_trained(run)
    assert (found.name, found.context, found.step, found.tokens) == ('small', 16, RUN.steps, RUN.tokens)
    assert found.imported is None and found.tokenizer is None
    assert found.load(make_mesh(jax.devices()[:1]))['embed'].shape == (12, 16)


def test_what_is_no_model_or_not_whole_is_refused(run, variant, tmp_path):
    with pytest.raises(FileNotFoundError, match='is no run: it has no config.json'):
        open_trained(tmp_path)
    shutil.copytree(run, tmp_path / 'unfinished')
    (tmp_path / 'unfinished' / 'result.json').unlink()
    with pytest.raises(FileNotFoundError, match='is not finished; train it first'):
        open_trained(tmp_path / 'unfinished')
    params = transformer.init_params(variant, jax.random.key(0))
    save_imported(tmp_path / 'model', about(variant), params)
    with pytest.raises(ValueError, match='is an imported model, which has no steps; leave --step out'):
        open_trained(tmp_path / 'model', step=3)
    with pytest.raises(FileExistsError, match='is not empty; give a new folder'):
        save_imported(tmp_path / 'model', about(variant), params)
    for name in ('', '../up', '.hidden', 'a/b'):
        with pytest.raises(ValueError, match='has to do as the name of a folder'):
            save_imported(tmp_path / 'other', about(variant, name=name), params)
    assert not (tmp_path / 'other').exists()
    other = json.loads((tmp_path / 'model' / 'model.json').read_text()) | {'kind': 'strange'}
    (tmp_path / 'model' / 'model.json').write_text(json.dumps(other))
    with pytest.raises(ValueError, match=r"model.json does not fit Imported: \['kind'\]"):
        open_trained(tmp_path / 'model')


def test_an_interrupted_import_is_done_again(variant, tmp_path):
    params = transformer.init_params(variant, jax.random.key(0))
    save_imported(tmp_path / 'model', about(variant), params)
    (tmp_path / 'model' / 'model.json').unlink()  # as a kill before the last line leaves it
    with pytest.raises(FileNotFoundError):
        open_trained(tmp_path / 'model')
    other = transformer.init_params(variant, jax.random.key(1))
    save_imported(tmp_path / 'model', about(variant), other)
    assert same(open_trained(tmp_path / 'model').load(make_mesh(jax.devices()[:1])), other)


def test_damaged_params_are_noticed(variant, tmp_path):
    params = transformer.init_params(variant, jax.random.key(0))
    save_imported(tmp_path / 'model', about(variant), params)
    position = next((tmp_path / 'model' / 'checkpoints').rglob('position/metadata'))
    position.write_text(json.dumps(json.loads(position.read_text()) | {'sum': 1}))
    with pytest.raises(ValueError, match='cannot be read .its arrays are not those that were saved'):
        open_trained(tmp_path / 'model').load(make_mesh(jax.devices()[:1]))
