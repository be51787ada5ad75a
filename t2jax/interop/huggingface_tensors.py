"""The tensors of a Hugging Face checkpoint, and where their numbers are in our params.

PyTorch stores a product as [out, in]; ours are [in, out], with q, k and v, k and v, or the halves of SwiGLU side by
side as [in, parts, out]. GPT-NeoX's fused product is [heads, q k v, width of a head] by input.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from t2jax.models.config import ModelConfig
from t2jax.models.llama import LlamaConfig
from t2jax.models.neox import NeoXConfig

Change = Callable[[np.ndarray], np.ndarray]


class Tensor(NamedTuple):
    """A stored tensor: its name and shape, the array of params that holds it, where in it, and how they differ."""

    name: str
    shape: tuple[int, ...]
    path: tuple[str, ...]
    index: tuple[Any, ...] = ()
    read: Change = np.asarray  # as stored -> as in params
    write: Change = np.asarray  # and back


def _product(name: str, inputs: int, outputs: int, path: tuple[str, ...], index: tuple[Any, ...] = ()) -> Tensor:
    return Tensor(f'{name}.weight', (outputs, inputs), path, index, np.transpose, np.transpose)


def head_name(family: str) -> str:
    """Return the name of the head's weight."""
    return 'embed_out.weight' if family == 'gpt_neox' else 'lm_head.weight'


def list_tensors(model: ModelConfig, family: str) -> list[Tensor]:
    """List every tensor of a checkpoint of this family; a tied head is listed too."""
    if isinstance(model, NeoXConfig):
        return _neox(model)
    D = model.d_model
    tensors = [
        Tensor('model.embed_tokens.weight', (model.vocab, D), ('embed',)),
        _product('lm_head', D, model.vocab, ('head',)),
    ]
    layers = [tensor for i in range(model.n_layers) for tensor in _llama_layer(model, family, i)]
    gains = [] if family == 'olmo' else [Tensor('model.norm.weight', (D,), ('norm', 'gain'))]
    return tensors + gains + layers


def _llama_layer(model: ModelConfig, family: str, i: int) -> list[Tensor]:
    """List the tensors of layer i of Llama, Mistral, Qwen, OLMo or OLMoE with one expert."""
    D, F, prefix = model.d_model, model.d_hidden, f'model.layers.{i}'
    tensors = []
    for part, (letter, width) in enumerate({'q': model.d_q, 'k': model.d_kv, 'v': model.d_kv}.items()):
        name = f'{prefix}.self_attn.{letter}'
        if type(model) is ModelConfig:
            place, index = 'qkv', (part,)
        else:
            place, index = ('q', ()) if letter == 'q' else ('kv', (part - 1,))
        spot = (i, slice(None), *index) if index else (i,)
        tensors.append(_product(f'{name}_proj', D, width, _attention(place), spot))
        if isinstance(model, LlamaConfig) and model.qkv_bias:
            tensors.append(Tensor(f'{name}_proj.bias', (width,), _attention(f'{place}_bias'), (i, *index)))
        if model.qk_norm and letter != 'v':
            normed = model.d_head if isinstance(model, LlamaConfig) else width
            tensors.append(Tensor(f'{name}_norm.weight', (normed,), (*_attention(f'{letter}_norm'), 'gain'), (i,)))
    tensors.append(_product(f'{prefix}.self_attn.o_proj', model.d_q, D, _attention('out'), (i,)))
    mlp = f'{prefix}.mlp.experts.0' if family == 'olmoe' else f'{prefix}.mlp'
    for part, name in enumerate(('gate_proj', 'up_proj')):
        tensors.append(_product(f'{mlp}.{name}', D, F, _feed_forward('in'), (i, slice(None), part)))
    tensors.append(_product(f'{mlp}.down_proj', F, D, _feed_forward('out'), (i,)))
    if family != 'olmo':
        for name, ours in (('input', 'attention_norm'), ('post_attention', 'feed_forward_norm')):
            tensors.append(Tensor(f'{prefix}.{name}_layernorm.weight', (D,), ('layers', ours, 'gain'), (i,)))
    return tensors


def _attention(name: str) -> tuple[str, ...]:
    return 'layers', 'attention', name


def _feed_forward(name: str) -> tuple[str, ...]:
    return 'layers', 'feed_forward', name


def _neox(model: NeoXConfig) -> list[Tensor]:
    """List the tensors of GPT-NeoX."""
    D = model.d_model
    tensors = [
        Tensor('gpt_neox.embed_in.weight', (model.vocab, D), ('embed',)),
        _product('embed_out', D, model.vocab, ('head',)),
        *_norm('gpt_neox.final_layer_norm', D, ('norm',)),
    ]
    return tensors + [tensor for i in range(model.n_layers) for tensor in _neox_layer(model, i)]


def _norm(name: str, width: int, path: tuple[str, ...], index: tuple[Any, ...] = ()) -> list[Tensor]:
    both = (('weight', 'gain'), ('bias', 'bias'))
    return [Tensor(f'{name}.{theirs}', (width,), (*path, ours), index) for theirs, ours in both]


def _neox_layer(model: NeoXConfig, i: int) -> list[Tensor]:
    D, F, H, K, prefix = model.d_model, model.d_hidden, model.n_heads, model.d_head, f'gpt_neox.layers.{i}'
    qkv, dense = f'{prefix}.attention.query_key_value', f'{prefix}.attention.dense'
    wide, narrow = f'{prefix}.mlp.dense_h_to_4h', f'{prefix}.mlp.dense_4h_to_h'
    return [
        *_norm(f'{prefix}.input_layernorm', D, ('layers', 'attention_norm'), (i,)),
        *_norm(f'{prefix}.post_attention_layernorm', D, ('layers', 'feed_forward_norm'), (i,)),
        Tensor(
            f'{qkv}.weight',
            (3 * D, D),
            _attention('qkv'),
            (i,),
            lambda w: w.reshape(H, 3, K, D).transpose(3, 1, 0, 2).reshape(D, 3, D),
            lambda w: w.reshape(D, 3, H, K).transpose(2, 1, 3, 0).reshape(3 * D, D),
        ),
        Tensor(
            f'{qkv}.bias',
            (3 * D,),
            _attention('qkv_bias'),
            (i,),
            lambda b: b.reshape(H, 3, K).transpose(1, 0, 2).reshape(3, D),
            lambda b: b.reshape(3, H, K).transpose(1, 0, 2).reshape(3 * D),
        ),
        _product(dense, D, D, _attention('out'), (i,)),
        Tensor(f'{dense}.bias', (D,), _attention('out_bias'), (i,)),
        _product(wide, D, F, _feed_forward('in'), (i,)),
        Tensor(f'{wide}.bias', (F,), _feed_forward('in_bias'), (i,)),
        _product(narrow, F, D, _feed_forward('out'), (i,)),
        Tensor(f'{narrow}.bias', (D,), _feed_forward('out_bias'), (i,)),
    ]
