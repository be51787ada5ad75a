"""Published config.json files, as the hub has them, become the models that they describe."""

from pathlib import Path

import pytest

from t2jax.costs import count_stored_params
from t2jax.interop.huggingface_config import read_model
from t2jax.models.llama import LlamaConfig
from t2jax.models.neox import NeoXConfig

PATH = Path('config.json')
LLAMA3 = {
    'factor': 32.0,
    'high_freq_factor': 4.0,
    'low_freq_factor': 1.0,
    'original_max_position_embeddings': 8192,
    'rope_type': 'llama3',
}


def sizes(vocab, width, hidden, layers, heads, context, **more):
    names = 'vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads max_position_embeddings'
    return dict(zip(names.split(), (vocab, width, hidden, layers, heads, context))) | more


def llama(*shape, kv, eps=1e-5, **more):
    same = {'hidden_act': 'silu', 'initializer_range': 0.02, 'use_cache': True, 'torch_dtype': 'bfloat16'}
    same |= {'model_type': 'llama', 'architectures': ['LlamaForCausalLM'], 'transformers_version': '4.45.0.dev0'}
    return same | sizes(*shape, num_key_value_heads=kv, rms_norm_eps=eps) | more


PUBLISHED = {
    'EleutherAI/pythia-160m': sizes(
        *(50304, 768, 3072, 12, 12, 2048),
        architectures=['GPTNeoXForCausalLM'],
        bos_token_id=0,
        eos_token_id=0,
        hidden_act='gelu',
        initializer_range=0.02,
        layer_norm_eps=1e-5,
        model_type='gpt_neox',
        rotary_emb_base=10000,
        rotary_pct=0.25,
        tie_word_embeddings=False,
        torch_dtype='float16',
        transformers_version='4.24.0',
        use_cache=True,
        use_parallel_residual=True,
    ),
    'meta-llama/Llama-3.2-1B': llama(
        *(128256, 2048, 8192, 16, 32, 131072),
        kv=8,
        attention_bias=False,
        attention_dropout=0.0,
        bos_token_id=128000,
        eos_token_id=128001,
        head_dim=64,
        mlp_bias=False,
        pretraining_tp=1,
        rope_scaling=LLAMA3,
        rope_theta=500000.0,
        tie_word_embeddings=True,
    ),
    'Qwen/Qwen2.5-0.5B': llama(
        *(151936, 896, 4864, 24, 14, 32768),
        kv=2,
        eps=1e-6,
        architectures=['Qwen2ForCausalLM'],
        attention_dropout=0.0,
        bos_token_id=151643,
        eos_token_id=151643,
        max_window_layers=24,
        model_type='qwen2',
        rope_theta=1000000.0,
        sliding_window=32768,
        tie_word_embeddings=True,
        use_mrope=False,
        use_sliding_window=False,
    ),
    'Qwen/Qwen3-0.6B': llama(
        *(151936, 1024, 3072, 28, 16, 40960),
        kv=8,
        eps=1e-6,
        architectures=['Qwen3ForCausalLM'],
        attention_bias=False,
        attention_dropout=0.0,
        bos_token_id=151643,
        eos_token_id=151645,
        head_dim=128,
        max_window_layers=28,
        model_type='qwen3',
        rope_scaling=None,
        rope_theta=1000000,
        sliding_window=None,
        tie_word_embeddings=True,
        use_sliding_window=False,
    ),
    'mistralai/Mistral-7B-v0.1': llama(
        *(32000, 4096, 14336, 32, 32, 32768),
        kv=8,
        architectures=['MistralForCausalLM'],
        bos_token_id=1,
        eos_token_id=2,
        model_type='mistral',
        rope_theta=10000.0,
        sliding_window=4096,
        tie_word_embeddings=False,
    ),
    'TinyLlama/TinyLlama-1.1B': llama(
        *(32000, 2048, 5632, 22, 32, 2048),
        kv=4,
        attention_bias=False,
        bos_token_id=1,
        eos_token_id=2,
        pretraining_tp=1,
        rope_scaling=None,
        rope_theta=10000.0,
        tie_word_embeddings=False,
    ),
    'HuggingFaceTB/SmolLM2-135M': llama(
        *(49152, 576, 1536, 30, 9, 8192),
        kv=3,
        attention_bias=False,
        attention_dropout=0.0,
        bos_token_id=0,
        eos_token_id=0,
        is_llama_config=True,
        mlp_bias=False,
        pretraining_tp=1,
        rope_interleaved=False,
        rope_scaling=None,
        rope_theta=100000,
        tie_word_embeddings=True,
    ),
}
SCALED = {'rope_factor': 32.0, 'rope_low_factor': 1.0, 'rope_high_factor': 4.0, 'rope_context': 8192.0}
# The config, whether the head is tied, the context, and parameters as published (a tied head counted once).
READ = {
    'EleutherAI/pythia-160m': (
        NeoXConfig(50304, 768, 12, 12, hidden_width=3072, rotary_share=0.25),
        (False, 2048, 162_322_944),
    ),
    'meta-llama/Llama-3.2-1B': (
        LlamaConfig(128256, 2048, 16, 32, hidden_width=8192, n_kv_heads=8, rotary_base=5e5, **SCALED),
        (True, 131072, 1_235_814_400),
    ),
    'Qwen/Qwen2.5-0.5B': (
        LlamaConfig(
            151936, 896, 24, 14, hidden_width=4864, n_kv_heads=2, rotary_base=1e6, norm_eps=1e-6, qkv_bias=True
        ),
        (True, 32768, 494_032_768),
    ),
    'Qwen/Qwen3-0.6B': (
        LlamaConfig(
            *(151936, 1024, 28, 16),
            hidden_width=3072,
            n_kv_heads=8,
            head_width=128,
            rotary_base=1e6,
            norm_eps=1e-6,
            qk_norm=True,
        ),
        (True, 40960, 596_049_920),
    ),
    'mistralai/Mistral-7B-v0.1': (
        LlamaConfig(32000, 4096, 32, 32, hidden_width=14336, n_kv_heads=8),
        (False, 4096, 7_241_732_096),
    ),
    'TinyLlama/TinyLlama-1.1B': (
        LlamaConfig(32000, 2048, 22, 32, hidden_width=5632, n_kv_heads=4),
        (False, 2048, 1_100_048_384),
    ),
    'HuggingFaceTB/SmolLM2-135M': (
        LlamaConfig(49152, 576, 30, 9, hidden_width=1536, n_kv_heads=3, rotary_base=1e5),
        (True, 8192, 134_515_008),
    ),
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_a_published_config_is_read(name):
    model, tied, context = read_model(PUBLISHED[name], PATH, 'float32')
    expected, (is_tied, length, params) = READ[name]
    assert (model, tied, context) == (expected, is_tied, length)
    assert count_stored_params(model) - (model.vocab * model.d_model if tied else 0) == params


HARMLESS = {
    '_attn_implementation_autoset': True,
    'max_length': 20,
    'max_sequence_length': 2048,
    'temperature': 0.6,
    'top_p': 0.9,
    'top_k': 50,
    'do_sample': True,
    'num_beams': 1,
    'repetition_penalty': 1.0,
    'auto_map': {'AutoModelForCausalLM': 'modeling.Model'},
    'unsloth_fixed': True,
    'attention_probs_dropout_prob': 0,
    'hidden_dropout_prob': 0.0,
    'resid_pdrop': 0.1,
}


@pytest.mark.parametrize('name', ['EleutherAI/pythia-160m', 'TinyLlama/TinyLlama-1.1B', 'Qwen/Qwen3-0.6B'])
def test_fields_of_training_and_generation_change_nothing(name):
    read = read_model(PUBLISHED[name] | HARMLESS, PATH, 'float32')
    assert read == read_model(PUBLISHED[name], PATH, 'float32')


@pytest.mark.parametrize('family', ['llama', 'mistral', 'qwen2', 'qwen3', 'olmo'])
def test_null_is_as_many_heads_of_keys_as_of_queries_of_the_width_over_the_heads(family):
    eps = None if family == 'olmo' else 1e-5  # OLMo has no such field
    config = llama(64, 96, 256, 2, 4, 32, kv=None, eps=eps, head_dim=None, model_type=family, attention_bias=None)
    model = read_model(config, PATH, 'float32')[0]
    assert (model.kv_heads, model.d_head) == (4, 24)


@pytest.mark.parametrize(
    ('family', 'keys', 'width'), [('llama', 32, 6), ('mistral', 8, 6), ('qwen2', 32, 6), ('qwen3', 32, 128)]
)
def test_absent_fields_have_the_default_of_the_family(family, keys, width):
    config = llama(64, 192, 256, 2, 32, 32, kv=1, model_type=family)
    del config['num_key_value_heads']
    model = read_model(config, PATH, 'float32')[0]
    assert (model.kv_heads, model.d_head) == (keys, width)


@pytest.mark.parametrize(('window', 'context'), [(None, 32768), (..., 4096), (100, 100), (50_000, 32768)])
def test_a_window_bounds_the_context_of_mistral(window, context):
    config = PUBLISHED['mistralai/Mistral-7B-v0.1'] | {'sliding_window': window}
    assert read_model({k: v for k, v in config.items() if v is not ...}, PATH, 'float32')[2] == context
