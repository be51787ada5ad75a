"""A model's config.json of the Hugging Face hub as one of our configs; whatever we do not compute is refused by name.

transformers 5 writes `rope_parameters`, older ones `rope_theta` and `rope_scaling` (GPT-NeoX `rotary_emb_base` and
`rotary_pct`). A field that is absent has the default of the family's config class there; null is none: as many heads of
keys as of queries, heads of d_model / heads, no window, no scaling. Feed-forwards are SwiGLU (silu), and in GPT-NeoX
exact GELU: Pythia's, where the tanh approximation (gelu_new, gelu_fast) is another function.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from t2jax.models.config import ModelConfig
from t2jax.models.grouped_query import GroupedQueryConfig
from t2jax.models.llama import LlamaConfig
from t2jax.models.neox import NeoXConfig

# Heads of keys, and their width, where config.json is silent (None: as many as of queries, d_model / heads).
_LLAMA_LIKE: dict[str, tuple[int | None, int | None]] = {
    'llama': (None, None),
    'mistral': (8, None),
    'qwen2': (32, None),
    'qwen3': (32, 128),
}
FAMILIES = ('gpt_neox', *_LLAMA_LIKE, 'olmo', 'olmoe')

# Fields that change no logits of a model that is run, not trained.
_HARMLESS = frozenset(
    'architectures model_type torch_dtype dtype transformers_version use_cache initializer_range attention_dropout '
    'hidden_dropout classifier_dropout bos_token_id eos_token_id pad_token_id unk_token_id pretraining_tp is_decoder '
    'output_router_logits router_aux_loss_coef norm_topk_prob max_window_layers _name_or_path is_llama_config '
    'attn_implementation _attn_implementation _attn_implementation_internal _attn_implementation_autoset '
    'cache_implementation problem_type return_dict id2label label2id task_specific_params tokenizer_class '
    'transformers.js_config auto_map unsloth_fixed unsloth_version max_sequence_length model_max_length prefix '
    'finetuning_task output_attentions output_hidden_states chunk_size_feed_forward sep_token_id '
    # of generation
    'max_length min_length max_new_tokens min_new_tokens do_sample early_stopping num_beams num_beam_groups '
    'diversity_penalty temperature top_k top_p min_p typical_p repetition_penalty length_penalty '
    'no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores '
    'return_dict_in_generate forced_bos_token_id forced_eos_token_id remove_invalid_values '
    'exponential_decay_length_penalty suppress_tokens begin_suppress_tokens decoder_start_token_id'.split()
)
_LLAMA3 = ('factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings')


class Fields:
    """The fields of a config.json, and which of them were looked at."""

    def __init__(self, config: dict[str, Any], path: Path) -> None:
        self.config, self.path, self.seen = config, path, set(_HARMLESS)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, None where it is null, or the default where it is absent."""
        self.seen.add(name)
        return self.config.get(name, default)

    def size(self, name: str, default: int | None = None) -> int:
        """Return a field that is a size; raises ValueError where it is none."""
        found = self.get(name, default)
        if type(found) is not int or found < 1:
            raise ValueError(f'{self.path}: {name} is {found!r}; it has to be a whole number of at least 1')
        return found

    def number(self, name: str, default: float | None = None) -> float:
        """Return a field that is a finite number above 0; raises ValueError where it is none."""
        return _number(self.path, name, self.get(name, default))

    def flag(self, name: str, default: bool) -> bool:
        """Return a field that is true or false, as null is; raises ValueError for anything else."""
        found = self.get(name, default)
        if found is not None and not isinstance(found, bool):
            raise ValueError(f'{self.path}: {name} is {found!r}; it has to be true or false')
        return bool(found)

    def require(self, name: str, expected: Any, default: Any = None) -> None:
        """Raise ValueError where a field has another value than the only one that we compute."""
        found = self.get(name, default)
        if found != expected and not (found is None and expected is False):
            raise ValueError(
                f'{self.path}: {name} is {found!r}, which t2jax does not compute; it reads {expected!r} only'
            )

    def close(self) -> None:
        """Raise ValueError for a field that nobody looked at, unless it is null or false, or of dropout."""
        unknown = {k: v for k, v in self.config.items() if k not in self.seen and 'drop' not in k}
        odd = sorted(k for k, v in unknown.items() if v is not None and v is not False)
        if odd:
            raise ValueError(f'{self.path}: t2jax does not know {", ".join(odd)}, so it might compute another function')


def _number(path: Path, name: str, found: Any) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found <= sys.float_info.max:
        raise ValueError(f'{path}: {name} is {found!r}; it has to be a finite number above 0')
    return float(found)


def read_model(config: dict[str, Any], path: Path, compute_dtype: str) -> tuple[ModelConfig, bool, int]:
    """Return the model that a config.json describes, whether its head is tied to the embedding, and its context.

    The context is what it sees whole: max_position_embeddings, or Mistral's window where that is shorter. Raises
    ValueError, naming the field, for a family or a function that t2jax does not have.
    """
    family = config.get('model_type')
    if family not in FAMILIES:
        raise ValueError(f'{path}: model_type is {family!r}; t2jax knows {", ".join(FAMILIES)}')
    fields = Fields(config, path)
    try:
        if family == 'gpt_neox':
            model = _neox(fields)
        elif family in _LLAMA_LIKE:
            model = _llama(fields, family)
        else:
            model = _olmo(fields, family)
        model = dataclasses.replace(model, compute_dtype=compute_dtype)
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f'{path}: {error}') from None
    tied, context = fields.flag('tie_word_embeddings', False), fields.size('max_position_embeddings')
    if family == 'mistral' and fields.get('sliding_window', 4096) is not None:  # its class has one unless told
        context = min(context, fields.size('sliding_window', 4096))
    fields.close()
    return model, tied, context


def _sizes(fields: Fields) -> dict[str, Any]:
    names = {'vocab': 'vocab_size', 'd_model': 'hidden_size', 'n_layers': 'num_hidden_layers'}
    return {ours: fields.size(name) for ours, name in (names | {'n_heads': 'num_attention_heads'}).items()}


def _neox(fields: Fields) -> NeoXConfig:
    fields.require('hidden_act', 'gelu', 'gelu')
    fields.require('attention_bias', True, True)
    share, rope = fields.number('rotary_pct', 0.25), _rope(fields)
    if 'rope_factor' in rope:
        raise ValueError(f'{fields.path}: rope_type is llama3, which t2jax computes for Llama, Mistral and Qwen only')
    return NeoXConfig(
        **_sizes(fields),
        rotary_base=rope['rotary_base'],
        rotary_share=rope.get('share', share),
        norm_eps=fields.number('layer_norm_eps', 1e-5),
        hidden_width=fields.size('intermediate_size'),
        parallel_residual=fields.flag('use_parallel_residual', True),
    )


def _llama(fields: Fields, family: str) -> LlamaConfig:
    default_keys, default_width = _LLAMA_LIKE[family]
    sizes = _sizes(fields)
    fields.require('hidden_act', 'silu', 'silu')
    fields.require('attention_bias', False, False)
    fields.require('mlp_bias', False, False)
    if family != 'mistral':
        _require_full_attention(fields, family)
    heads, keys = sizes['n_heads'], _heads_of_keys(fields, sizes, default_keys)
    silent = fields.get('head_dim', default_width) is None
    head_width = sizes['d_model'] // heads if silent else fields.size('head_dim', default_width)
    plain = silent or head_width * heads == sizes['d_model']
    return LlamaConfig(
        **sizes,
        **_whole_rope(fields),
        norm_eps=fields.number('rms_norm_eps', 1e-6),
        qk_norm=family == 'qwen3',
        n_kv_heads=None if keys == heads else keys,
        head_width=None if plain else head_width,
        hidden_width=fields.size('intermediate_size'),
        qkv_bias=family == 'qwen2',
    )


def _heads_of_keys(fields: Fields, sizes: dict[str, Any], default: int | None = None) -> int:
    silent = fields.get('num_key_value_heads', default) is None
    return sizes['n_heads'] if silent else fields.size('num_key_value_heads', default)


def _olmo(fields: Fields, family: str) -> ModelConfig:
    """Return the base decoder, or the one with grouped queries, that OLMo or OLMoE with one expert is."""
    sizes = _sizes(fields)
    fields.require('hidden_act', 'silu', 'silu')
    fields.require('attention_bias', False, False)
    fields.require('clip_qkv', None)
    if family == 'olmoe':
        fields.require('num_experts', 1, 64)
        fields.require('num_experts_per_tok', 1, 8)
    rope = _whole_rope(fields)
    if 'rope_factor' in rope:
        raise ValueError(f'{fields.path}: rope_type is llama3, which t2jax computes for Llama, Mistral and Qwen only')
    if fields.get('head_dim') is not None:
        fields.require('head_dim', sizes['d_model'] // sizes['n_heads'])
    keys, hidden = _heads_of_keys(fields, sizes), fields.size('intermediate_size')
    eps = 1e-5 if family == 'olmo' else fields.number('rms_norm_eps', 1e-5)
    same = sizes | rope | {'norm_eps': eps, 'qk_norm': family == 'olmoe'}
    grouped = keys != sizes['n_heads']
    make = (
        (lambda **more: GroupedQueryConfig(**same, n_kv_heads=keys, **more))
        if grouped
        else (lambda **more: ModelConfig(**same, **more))
    )
    model = make()
    model = model if model.d_hidden == hidden else make(hidden_multiple=hidden)
    if model.d_hidden != hidden:
        raise ValueError(
            f'{fields.path}: intermediate_size is {hidden}; t2jax computes {family} of at least 8/3 hidden_size only'
        )
    return model


def _require_full_attention(fields: Fields, family: str) -> None:
    """Raise ValueError where a token sees less than all before it."""
    if family in ('qwen2', 'qwen3'):
        fields.seen.add('sliding_window')  # not used unless the next one says so
    fields.require('use_sliding_window', False, False)
    kinds = fields.get('layer_types')
    kinds = [] if kinds is None else kinds if isinstance(kinds, list) else [kinds]
    odd = sorted({str(kind) for kind in kinds} - {'full_attention'})
    if odd:
        raise ValueError(f'{fields.path}: layer_types has {", ".join(odd)}; t2jax computes full_attention only')


def _whole_rope(fields: Fields) -> dict[str, Any]:
    """Return rotary fields of a model whose whole heads turn."""
    rope = _rope(fields)
    share = rope.pop('share', 1.0)
    if share != 1:
        raise ValueError(f'{fields.path}: partial_rotary_factor is {share}; t2jax computes 1 for this family')
    return rope


def _rope(fields: Fields) -> dict[str, Any]:
    """Return rotary_base, the share of a head that turns where it is said, and the four fields of llama3 scaling."""
    said: dict[str, Any] = {}
    for name in ('rope_parameters', 'rope_scaling'):
        part = fields.get(name)
        part = {} if part is None else part
        if not isinstance(part, dict):
            raise ValueError(f'{fields.path}: {name} is {part!r}; it has to be an object')
        part = dict(part)
        kind = part.pop('type', None)  # as the oldest files call rope_type
        said |= ({'rope_type': kind} if kind else {}) | part
    old = fields.get('rope_theta', fields.get('rotary_emb_base', 10_000.0))
    found: dict[str, Any] = {'rotary_base': _number(fields.path, 'rope_theta', said.pop('rope_theta', old))}
    share = said.pop('partial_rotary_factor', fields.get('partial_rotary_factor'))
    if share is not None:
        found['share'] = _number(fields.path, 'partial_rotary_factor', share)
    kind = said.pop('rope_type', 'default')
    if kind not in ('default', 'llama3'):
        raise ValueError(
            f'{fields.path}: rope_type is {kind!r}, which t2jax does not compute; it knows default and llama3'
        )
    odd = sorted(set(said) - set(_LLAMA3 if kind == 'llama3' else ()))
    if odd:
        raise ValueError(f'{fields.path}: t2jax does not know {", ".join(odd)} of rotary positions of type {kind}')
    if kind == 'llama3':
        missing = [name for name in _LLAMA3 if name not in said]
        if missing:
            raise ValueError(f'{fields.path}: rotary positions of type llama3 lack {", ".join(missing)}')
        ours = ('rope_factor', 'rope_low_factor', 'rope_high_factor', 'rope_context')
        found |= {name: _number(fields.path, theirs, said[theirs]) for name, theirs in zip(ours, _LLAMA3)}
    return found
