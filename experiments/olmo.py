"""The same weights in a stock transformers model, for the benchmarks: `python experiments/scoring_speed.py`.

With QK-norm off and every gain at 1 the decoder is OLMo's (arXiv 2402.00838): LayerNorm without gain or bias and with
eps 1e-5, rotate-half rotary positions, SwiGLU, no biases, untied head.
"""

from functools import reduce
from operator import getitem
from typing import Any

import jax
import numpy as np
import torch
from transformers import OlmoConfig, OlmoForCausalLM

from t2jax.interop.huggingface_tensors import list_tensors
from t2jax.models.config import ModelConfig

NORM_EPS = 1e-5  # OlmoLayerNorm's, not in its config


def to_olmo(model: ModelConfig, params: dict[str, Any]) -> OlmoForCausalLM:
    """Make an OlmoForCausalLM of these params, float32 and in eval mode.

    Raises ValueError for what OLMo does not have: QK-norm, gains other than 1, another eps, fewer heads of keys.
    """
    if type(model) is not ModelConfig or model.qk_norm or model.norm_eps != NORM_EPS:
        raise ValueError(f'{model} is not OLMo; use a ModelConfig with qk_norm=False and norm_eps={NORM_EPS}')
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if path[-1].key == 'gain' and (np.asarray(leaf) != 1).any():
            raise ValueError(f'{jax.tree_util.keystr(path)} is not 1 everywhere, and OLMo has no gains')
    config = OlmoConfig(
        vocab_size=model.vocab,
        hidden_size=model.d_model,
        intermediate_size=model.d_hidden,
        num_hidden_layers=model.n_layers,
        num_attention_heads=model.n_heads,
        rope_parameters={'rope_type': 'default', 'rope_theta': model.rotary_base},
        pad_token_id=None,
        eos_token_id=None,
        tie_word_embeddings=False,
        dtype='float32',
    )
    olmo = OlmoForCausalLM(config).eval()
    olmo.load_state_dict(state_dict(model, params))
    return olmo


def state_dict(model: ModelConfig, params: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Give params OLMo's names and PyTorch's [out, in] order."""
    state = {}
    for tensor in list_tensors(model, 'olmo'):
        array = reduce(getitem, tensor.path, params)
        state[tensor.name] = torch.from_numpy(np.array(tensor.write(np.asarray(array)[tensor.index]), np.float32))
    return state
