"""The same weights in a stock transformers model, for the benchmarks: `python experiments/scoring_speed.py`.

With QK-norm off and every gain at 1 the decoder is OLMo's (arXiv 2402.00838): LayerNorm without gain or bias and with
eps 1e-5, rotate-half rotary positions, SwiGLU, no biases, untied head.
"""

from typing import Any

import jax
import numpy as np
import torch
from transformers import OlmoConfig, OlmoForCausalLM

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
    olmo.load_state_dict(state_dict(params))
    return olmo


def state_dict(params: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Give params OLMo's names and PyTorch's [out, in] order."""
    as_tensor = lambda x: torch.from_numpy(np.array(x, np.float32))
    state = {'model.embed_tokens.weight': as_tensor(params['embed']), 'lm_head.weight': as_tensor(params['head'].T)}
    attention, feed_forward = (params['layers'][name] for name in ('attention', 'feed_forward'))
    for i in range(len(attention['out'])):
        layer = f'model.layers.{i}'
        for part, name in enumerate(('q_proj', 'k_proj', 'v_proj')):
            state[f'{layer}.self_attn.{name}.weight'] = as_tensor(attention['qkv'][i, :, part].T)
        state[f'{layer}.self_attn.o_proj.weight'] = as_tensor(attention['out'][i].T)
        for part, name in enumerate(('gate_proj', 'up_proj')):
            state[f'{layer}.mlp.{name}.weight'] = as_tensor(feed_forward['in'][i, :, part].T)
        state[f'{layer}.mlp.down_proj.weight'] = as_tensor(feed_forward['out'][i].T)
    return state
