"""A model's config.json of the Hugging Face hub as one of our configs; whatever we do not compute is refused by name.

transformers 5 writes `rope_parameters`, older ones `rope_theta` and `rope_scaling` (GPT-NeoX `rotary_emb_base` and
`rotary_pct`). A field that is absent has the default of the family's config class there.
"""

import dataclasses
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
    'attn_implementation _attn_implementation cache_implementation problem_type return_dict id2label label2id '
    'task_specific_params tokenizer_class transformers.js_config'.split()
)
_LLAMA3 = ('factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings')


class Fields:
    """The fields of a config.json, and which of them were looked at."""

    def __init__(self, config: dict[str, Any], path: Path) -> None:
        self.config, self.path, self.seen = config, path, set(_HARMLESS)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default where it is absent or null."""
        self.seen.add(name)
        found = self.config.get(name)
        return default if found is None else found

    def size(self, name: str, default: int | None = None) -> int:
        """Return a field that is a size; raises ValueError where it is none."""
        found = self.get(name, default)
        if type(found) is not int or found < 1:
            raise ValueError(f'{self.path}: {name} is {found!r}; it has to be a whole number of at least 1')
        return found

    def require(self, name: str, expected: Any, default: Any = None) -> None:
        """Raise ValueError where a field has another value than the only one that we compute."""
        found = self.get(name, default)
        if found != expected:
            raise ValueError(
                f'{self.path}: {name} is {found!r}, which t2jax does not compute; it reads {expected!r} only'
            )

    def close(self) -> None:
        """Raise ValueError for a field that nobody looked at, unless it is null or false."""
        odd = sorted(k for k, v in self.config.items() if k not in self.seen and v is not None and v is not False)
        if odd:
            raise ValueError(f'{self.path}: t2jax does not know {", ".join(odd)}, so it might compute another function')


def read_model(config: dict[str, Any], path: Path, compute_dtype: str) -> tuple[ModelConfig, bool]:
    """Return the model that a config.json describes, and whether its head is tied to the embedding.

    Raises ValueError, naming the field, for a family or a function that t2jax does not have.
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
    tied = bool(fields.get('tie_word_embeddings', False))
    fields.size('max_position_embeddings')
    fields.close()
    return model, tied


def _sizes(fields: Fields) -> dict[str, Any]:
    names = {'vocab': 'vocab_size', 'd_model': 'hidden_size', 'n_layers': 'num_hidden_layers'}
    return {ours: fields.size(name) for ours, name in (names | {'n_heads': 'num_attention_heads'}).items()}


def _neox(fields: Fields) -> NeoXConfig:
    fields.require('hidden_act', 'gelu', 'gelu')
    fields.require('attention_bias', True, True)
    share, rope = fields.get('rotary_pct', 0.25), _rope(fields)
    if 'rope_factor' in rope:
        raise ValueError(f'{fields.path}: rope_type is llama3, which t2jax computes for Llama, Mistral and Qwen only')
    return NeoXConfig(
        **_sizes(fields),
        rotary_base=rope['rotary_base'],
        rotary_share=float(rope.get('share', share)),
        norm_eps=float(fields.get('layer_norm_eps', 1e-5)),
        hidden_width=fields.size('intermediate_size'),
        parallel_residual=bool(fields.get('use_parallel_residual', True)),
    )


def _llama(fields: Fields, family: str) -> LlamaConfig:
    keys, width = _LLAMA_LIKE[family]
    sizes = _sizes(fields)
    fields.require('hidden_act', 'silu', 'silu')
    fields.require('attention_bias', False, False)
    fields.require('mlp_bias', False, False)
    _require_full_attention(fields, family)
    heads, head_width = sizes['n_heads'], fields.get('head_dim', width)
    keys = fields.size('num_key_value_heads', keys or heads)
    plain = head_width is None or head_width * heads == sizes['d_model']
    return LlamaConfig(
        **sizes,
        **_whole_rope(fields),
        norm_eps=float(fields.get('rms_norm_eps', 1e-6)),
        qk_norm=family == 'qwen3',
        n_kv_heads=None if keys == heads else keys,
        head_width=None if plain else fields.size('head_dim', width),
        hidden_width=fields.size('intermediate_size'),
        qkv_bias=family == 'qwen2',
    )


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
    fields.require('head_dim', sizes['d_model'] // sizes['n_heads'], sizes['d_model'] // sizes['n_heads'])
    keys, hidden = fields.size('num_key_value_heads', sizes['n_heads']), fields.size('intermediate_size')
    eps = 1e-5 if family == 'olmo' else float(fields.get('rms_norm_eps', 1e-5))
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
    context = fields.size('max_position_embeddings')
    if family == 'mistral':
        fields.seen.add('sliding_window')
        window = fields.config.get('sliding_window', 4096)  # its class has one unless told
        if window is not None and window < context:
            raise ValueError(
                f'{fields.path}: sliding_window is {window}, below max_position_embeddings {context}, and t2jax has no '
                'window; a model without one, or with max_position_embeddings of the window, can be read'
            )
    else:
        if family in ('qwen2', 'qwen3'):
            fields.seen.add('sliding_window')  # not used unless the next one says so
        fields.require('use_sliding_window', False, False)
        kinds = sorted(set(fields.get('layer_types', ())) - {'full_attention'})
        if kinds:
            raise ValueError(f'{fields.path}: layer_types has {", ".join(kinds)}; t2jax computes full_attention only')


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
        part = fields.get(name, {})
        if not isinstance(part, dict):
            raise ValueError(f'{fields.path}: {name} is {part!r}; it has to be an object')
        part = dict(part)
        kind = part.pop('type', None)  # as the oldest files call rope_type
        said |= ({'rope_type': kind} if kind else {}) | part
    old = fields.get('rope_theta', fields.get('rotary_emb_base', 10_000.0))
    found: dict[str, Any] = {'rotary_base': float(said.pop('rope_theta', None) or old)}
    share = said.pop('partial_rotary_factor', fields.get('partial_rotary_factor'))
    if share is not None:
        found['share'] = float(share)
    kind = said.pop('rope_type', 'default')
    if kind not in ('default', 'llama3'):
        raise ValueError(
            f'{fields.path}: rope_type is {kind!r}, which t2jax does not compute; it knows default and llama3'
        )
    odd = sorted(set(said) - set(_LLAMA3 if kind == 'llama3' else ()))
    if odd:
        raise ValueError(f'{fields.path}: t2jax does not know {", ".join(odd)} of rotary positions of type {kind}')
    if kind == 'llama3':
        missing = [name for name in _LLAMA3 if not isinstance(said.get(name), int | float)]
        if missing:
            raise ValueError(f'{fields.path}: rotary positions of type llama3 lack {", ".join(missing)}')
        ours = ('rope_factor', 'rope_low_factor', 'rope_high_factor', 'rope_context')
        found |= {name: float(said[theirs]) for name, theirs in zip(ours, _LLAMA3)}
    return found
