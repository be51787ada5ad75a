"""A small checkpoint of each family of transformers, every parameter random, and what is asked of its logits."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax.models import transformer

torch = pytest.importorskip('torch', reason="torch is not installed; pip install '.[test]'")
transformers = pytest.importorskip('transformers', reason="transformers is not installed; pip install '.[test]'")

SHAPE = {
    'vocab_size': 64,
    'hidden_size': 32,
    'intermediate_size': 40,
    'num_hidden_layers': 3,
    'num_attention_heads': 4,
    'max_position_embeddings': 48,
    'bos_token_id': None,
    'eos_token_id': None,
    'pad_token_id': None,
}
LLAMA3 = {
    'rope_type': 'llama3',
    'rope_theta': 100.0,
    'factor': 8.0,
    'low_freq_factor': 1.0,
    'high_freq_factor': 4.0,
    'original_max_position_embeddings': 32,
}
HALF = {'rope_type': 'default', 'rope_theta': 500.0, 'partial_rotary_factor': 0.5}
FAMILIES = {
    'neox-parallel': ('GPTNeoX', {'rope_parameters': HALF}),
    'neox-sequential': ('GPTNeoX', {'use_parallel_residual': False, 'layer_norm_eps': 1e-3}),
    'llama-grouped-scaled': ('Llama', {'num_key_value_heads': 2, 'rope_parameters': LLAMA3, 'rms_norm_eps': 1e-3}),
    'llama-tied': ('Llama', {'tie_word_embeddings': True}),
    'mistral': ('Mistral', {'num_key_value_heads': 2, 'sliding_window': None, 'head_dim': 12}),
    'qwen2': ('Qwen2', {'num_key_value_heads': 2}),
    'qwen3': ('Qwen3', {'num_key_value_heads': 2, 'head_dim': 12}),
    'olmo': ('Olmo', {'num_key_value_heads': 2, 'intermediate_size': 96}),
    'olmo-whole': ('Olmo', {'intermediate_size': 128}),
}
TOKENS = np.random.default_rng(0).integers(0, 64, (2, 48))

forward = jax.jit(transformer.forward, static_argnums=0)


def make(family, seed=0, **more):
    """Return a model of transformers with every parameter random, gains and biases included."""
    name, options = FAMILIES[family]
    config = getattr(transformers, f'{name}Config')(**SHAPE | options | more)
    model = getattr(transformers, f'{name}ForCausalLM')(config).eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            at = 1.0 if 'norm' in name and name.endswith('weight') else 0.0
            parameter.copy_(torch.from_numpy(rng.normal(at, 0.25, parameter.shape)))
    return model


def their_logits(model, tokens=TOKENS):
    with torch.inference_mode():
        return model(torch.from_numpy(tokens)).logits.float().numpy()


def our_logits(model, params, tokens=TOKENS):
    return np.asarray(forward(model, jax.tree.map(jnp.array, params), jnp.array(tokens)))


def check_same(theirs, ours):
    """Logits within 1e-4 and KL(theirs || ours) below 1e-6 at every position; and they are not all alike."""
    assert np.std(theirs) > 0.5
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    p, q = (jax.nn.log_softmax(jnp.asarray(x, jnp.float32)) for x in (theirs, ours))
    assert float((jnp.exp(p) * (p - q)).sum(-1).max()) < 1e-6


def change(folder, **fields):
    """Change fields of config.json; an ellipsis takes one away."""
    config = json.loads((folder / 'config.json').read_text()) | fields
    (folder / 'config.json').write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))
