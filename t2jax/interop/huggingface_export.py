"""A model of ours as a folder that transformers loads, without code of its own: `t2jax export RUN --out FOLDER`.

transformers has no decoder with our LayerNorm. But with every gain kept, LayerNorm(x) = RMSNorm(x - mean x), and x is
only ever read through such norms. So the mean over the width is taken from all that writes to the residual stream: rows
of the embedding, output weights of attention and feed-forward; and, for QK-norm, the mean over all heads from the
weights of q and of k (the first part is in SliceGPT, arXiv 2401.15024). With RMSNorm in place of LayerNorm the function
is then the same. Without QK-norm that is Llama; with it, over the whole projected width, it is OLMoE (arXiv 2409.02060)
with one expert, to which a softmax over one gives the weight 1. The means are taken in float64.
"""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

from t2jax.config import read_json, write_json, write_text
from t2jax.data.tokenizers import FileVocabulary
from t2jax.interop.huggingface_import import ABOUT
from t2jax.interop.huggingface_tensors import list_tensors
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.models.llama import LlamaConfig
from t2jax.models.neox import NeoXConfig

_ARCHITECTURES = {
    'gpt_neox': 'GPTNeoXForCausalLM',
    'llama': 'LlamaForCausalLM',
    'mistral': 'MistralForCausalLM',
    'qwen2': 'Qwen2ForCausalLM',
    'qwen3': 'Qwen3ForCausalLM',
    'olmoe': 'OlmoeForCausalLM',
}
_OWN = 'The architecture is its own there: the same numbers under other names.'
_CENTRED = (
    'LayerNorm subtracts the mean of what it reads; here that mean has been taken from the rows of the embedding and '
    'from the output weights of attention and feed-forward, so that RMSNorm, with the same gains and epsilon, computes '
    'the same. '
)
_REASONS = {
    'olmoe': _CENTRED + 'QK-norm spans all heads, as in OLMoE, and the mean over them has been taken from the weights '
    'of q and k. The feed-forward is the one expert of an OLMoE, to which a softmax over one gives the weight 1.',
    'llama': _CENTRED + 'What is left is Llama.',
}


def export_huggingface(
    model: ModelConfig,
    params: transformer.Params,
    tokenizer: Path | None,
    folder: Path,
    context: int,
    bos: str | None = None,
    end: str | None = None,
    tokens: float | None = None,
    puts_bos: bool = False,
) -> str:
    """Write a model in float32, and its tokenizer, into a new folder; returns how it was mapped, in one sentence.

    context: tokens that it was trained on at once. bos, end: tokens that a text begins with and a document ends with;
    puts_bos: whether the tokenizer itself puts bos there in transformers, as it does here in `lm-eval`.
    Raises FileExistsError for a folder that is not empty, ValueError for what transformers has no architecture for.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f'{folder} is not empty; give a new folder')
    family = _family(model)
    vocabulary = None if tokenizer is None else _vocabulary(tokenizer, model, end)
    id_of = lambda token: vocabulary.id_of(token) if vocabulary and token else None
    ids = {'bos_token_id': id_of(bos), 'eos_token_id': id_of(end)}
    if vocabulary and bos and ids['bos_token_id'] is None:
        raise ValueError(f'{tokenizer} has no token {bos} for a text to begin with; name one of its tokens, or none')
    temporary = folder.with_name(f'.{folder.name}.{os.getpid()}.tmp')
    temporary.mkdir(parents=True)
    try:
        write_json(temporary / 'config.json', _config(model, family, context) | ids)
        _write_tensors(temporary / 'model.safetensors', model, family, params)
        if tokenizer is not None:
            _write_tokenizer(temporary, tokenizer, context, bos, end, puts_bos)
        reason = _OWN if type(model) in (LlamaConfig, NeoXConfig) else _REASONS[family]
        about = {'model_type': family, 'why': reason, 'bos': bos, 'end': end, 'tokens': tokens}
        write_json(temporary / ABOUT, about | {'model': dataclasses.asdict(model)})
        write_text(temporary / 'README.md', _readme(family, reason, tokenizer, bos, end, puts_bos))
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return f'{folder}: transformers loads it as {_ARCHITECTURES[family]}. {reason}'


def _family(model: ModelConfig) -> str:
    """Choose the architecture that computes a model's function; raises ValueError where transformers has none."""
    if isinstance(model, NeoXConfig):
        if model.d_rotary == 0:
            raise ValueError('model.rotary_share is 0, and GPT-NeoX in transformers turns some of every head')
        return 'gpt_neox'
    if not isinstance(model, LlamaConfig):
        return 'olmoe' if model.qk_norm else 'llama'
    if model.qk_norm and model.qkv_bias:
        raise ValueError('the model has both biases on q, k and v and a norm of each head; no architecture has')
    if model.qk_norm or model.qkv_bias:
        return 'qwen3' if model.qk_norm else 'qwen2'
    return 'mistral' if model.d_model % model.n_heads else 'llama'  # Llama refuses such widths, even with a head_dim


def _vocabulary(tokenizer: Path, model: ModelConfig, end: str | None) -> FileVocabulary:
    if tokenizer.suffix != '.json':
        raise ValueError(f'{tokenizer} is not a tokenizer.json, which is all that transformers loads as it is')
    vocabulary = FileVocabulary(tokenizer, end_token=end)
    if len(vocabulary) > model.vocab:
        raise ValueError(f'{tokenizer} has {len(vocabulary)} tokens and the model only {model.vocab}')
    return vocabulary


def _config(model: ModelConfig, family: str, context: int) -> dict[str, Any]:
    """Return config.json, with rotary positions and type as transformers 4 and 5 each want them."""
    rope: dict[str, Any] = {'rope_type': 'default', 'rope_theta': model.rotary_base}
    if isinstance(model, LlamaConfig) and model.rope_factor != 1:
        rope |= {
            'rope_type': 'llama3',
            'factor': model.rope_factor,
            'low_freq_factor': model.rope_low_factor,
            'high_freq_factor': model.rope_high_factor,
            'original_max_position_embeddings': int(model.rope_context),
        }
    config: dict[str, Any] = {
        'architectures': [_ARCHITECTURES[family]],
        'model_type': family,
        'dtype': 'float32',
        'torch_dtype': 'float32',
        'vocab_size': model.vocab,
        'hidden_size': model.d_model,
        'intermediate_size': model.d_hidden,
        'num_hidden_layers': model.n_layers,
        'num_attention_heads': model.n_heads,
        'max_position_embeddings': context,
        'tie_word_embeddings': False,
        'pad_token_id': None,
    }
    if isinstance(model, NeoXConfig):
        return config | {
            'rope_parameters': rope | {'partial_rotary_factor': model.rotary_share},
            'rotary_emb_base': model.rotary_base,
            'rotary_pct': model.rotary_share,
            'layer_norm_eps': model.norm_eps,
            'hidden_act': 'gelu',
            'use_parallel_residual': model.parallel_residual,
        }
    config |= {
        'num_key_value_heads': model.kv_heads,
        'rms_norm_eps': model.norm_eps,
        'hidden_act': 'silu',
        'rope_parameters': rope,
        'rope_theta': model.rotary_base,
        'rope_scaling': {k: v for k, v in rope.items() if k != 'rope_theta'} if len(rope) > 2 else None,
    }
    if family == 'olmoe':
        return config | {'num_experts': 1, 'num_experts_per_tok': 1, 'norm_topk_prob': False, 'clip_qkv': None}
    return config | {'head_dim': model.d_head} | ({'sliding_window': None} if family == 'mistral' else {})


def _write_tensors(path: Path, model: ModelConfig, family: str, params: transformer.Params) -> None:
    from safetensors.numpy import save_file

    params = jax.tree.map(np.asarray, params)
    if not isinstance(model, LlamaConfig | NeoXConfig):
        params = _centre(model, params)
    tensors = {}
    for tensor in list_tensors(model, family):
        array: Any = params
        for key in tensor.path:
            array = array[key]
        tensors[tensor.name] = np.ascontiguousarray(tensor.write(array[tensor.index]), np.float32)
    if family == 'olmoe':  # a router that says nothing, of one
        for i in range(model.n_layers):
            tensors[f'model.layers.{i}.mlp.gate.weight'] = np.zeros((1, model.d_model), np.float32)
    save_file(tensors, path, metadata={'format': 'pt'})


def _centre(model: ModelConfig, params: transformer.Params) -> transformer.Params:
    """Take the mean from all that LayerNorm would take it from, in float64."""
    layers = params['layers']
    attention = {**layers['attention'], 'out': _without_mean(layers['attention']['out'])}
    if model.qk_norm and 'qkv' in attention:
        q, k, v = (attention['qkv'][:, :, part] for part in range(3))
        attention['qkv'] = np.stack([_without_mean(q), _without_mean(k), v], axis=2)
    elif model.qk_norm:
        k, v = (attention['kv'][:, :, part] for part in range(2))
        attention['q'], attention['kv'] = _without_mean(attention['q']), np.stack([_without_mean(k), v], axis=2)
    feed_forward = {**layers['feed_forward'], 'out': _without_mean(layers['feed_forward']['out'])}
    layers = {**layers, 'attention': attention, 'feed_forward': feed_forward}
    return {**params, 'embed': _without_mean(params['embed']), 'layers': layers}


def _without_mean(array: np.ndarray) -> np.ndarray:
    """Subtract the mean over the last axis, the outputs of a product."""
    exact = array.astype(np.float64)
    return (exact - exact.mean(-1, keepdims=True)).astype(np.float32)


def _write_tokenizer(
    folder: Path, tokenizer: Path, context: int, bos: str | None, end: str | None, puts_bos: bool
) -> None:
    """Copy tokenizer.json, without what it would add to a text if it may not, and say how it has to be loaded."""
    content = read_json(tokenizer, 'it has to be a tokenizer.json')
    kept = content.get('post_processor') if puts_bos else _without_template(content.get('post_processor'))
    if kept == content.get('post_processor'):
        shutil.copyfile(tokenizer, folder / 'tokenizer.json')
    else:
        write_text(folder / 'tokenizer.json', json.dumps(content | {'post_processor': kept}, ensure_ascii=False))
    settings = {
        'tokenizer_class': 'PreTrainedTokenizerFast',
        'model_max_length': context,
        'bos_token': bos,
        'eos_token': end,
        'add_bos_token': puts_bos,
        'add_eos_token': False,
        'clean_up_tokenization_spaces': False,
        'split_special_tokens': True,  # text is only text, as in training: one that spells a token does not hold it
    }
    write_json(folder / 'tokenizer_config.json', settings)


def _without_template(processor: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a post-processor without the parts that add tokens."""
    if processor is None or processor['type'] in ('TemplateProcessing', 'BertProcessing', 'RobertaProcessing'):
        return None
    if processor['type'] == 'Sequence':
        parts = [part for part in map(_without_template, processor['processors']) if part is not None]
        return {**processor, 'processors': parts} if parts else None
    return processor


def _readme(family: str, reason: str, tokenizer: Path | None, bos: str | None, end: str | None, puts_bos: bool) -> str:
    load = "AutoModelForCausalLM.from_pretrained('.')"
    lines = [f'A model of t2jax as `{_ARCHITECTURES[family]}`: `{load}` of transformers loads it.', reason]
    if tokenizer is not None:
        lines.append(
            f'The tokenizer adds {bos if puts_bos else "no token"} by itself. Texts in training began with '
            f'{bos or "their first word"}{f", documents ended with {end}" if end else ""}; '
            'a text that spells such a token does not hold it.'
        )
    return '\n\n'.join(lines) + '\n'
