"""The stock transformers model of the benchmarks has t2jax's weights: its logits are t2jax's."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax.models import transformer
from t2jax.models.config import ModelConfig

torch = pytest.importorskip('torch', reason="torch is not installed; pip install '.[test]'")
pytest.importorskip('transformers', reason='transformers is not installed; only benchmarks need it')
from experiments.olmo import to_olmo  # noqa: E402

MODEL = ModelConfig(vocab=64, d_model=32, n_layers=3, hidden_multiple=16, rotary_base=500.0, qk_norm=False)


@pytest.fixture
def params():
    return transformer.init_params(MODEL, jax.random.key(0))


def test_logits_agree(params):
    tokens = np.random.default_rng(0).integers(0, 64, (3, 40))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for a busy core take longer than the work
    with torch.inference_mode():
        theirs = to_olmo(MODEL, params)(torch.from_numpy(tokens)).logits
    torch.set_num_threads(threads)
    ours = transformer.forward(MODEL, params, jnp.asarray(tokens))
    assert theirs.dtype == torch.float32 and np.std(ours) > 0.5
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize('change', [{'qk_norm': True}, {'norm_eps': 1e-6}])
def test_another_architecture_is_refused(params, change):
    with pytest.raises(ValueError, match='is not OLMo; use a ModelConfig with qk_norm=False and norm_eps=1e-05'):
        to_olmo(dataclasses.replace(MODEL, **change), params)


def test_a_gain_is_refused(params):
    params['layers']['feed_forward_norm']['gain'] = params['layers']['feed_forward_norm']['gain'].at[1, 4].set(0.9)
    with pytest.raises(ValueError, match="feed_forward_norm'.*is not 1 everywhere"):
        to_olmo(MODEL, params)
