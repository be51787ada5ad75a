"""What is not the checkpoint of a model that t2jax computes is refused, and the sentence names what is wrong."""

import json
import re
import shutil

import ml_dtypes
import numpy as np
import pytest
from a_checkpoint import LLAMA3, change, make

from t2jax.interop.huggingface_import import import_huggingface

safetensors_numpy = pytest.importorskip('safetensors.numpy', reason="safetensors is missing; pip install '.[interop]'")
pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def llama(tmp_path):
    make('llama-grouped-scaled').save_pretrained(tmp_path / 'llama')
    return tmp_path / 'llama'


def edit(folder, **tensors):
    """Add tensors, or with None take them away."""
    path = folder / 'model.safetensors'
    kept = safetensors_numpy.load_file(path) | tensors
    safetensors_numpy.save_file({k: v for k, v in kept.items() if v is not None}, path)


@pytest.mark.parametrize(
    ('tensors', 'sentence'),
    [
        ({'model.norm.weight': None}, '1 tensors do not fit .*model.norm.weight is missing'),
        ({'lm_head.weight': None}, 'lm_head.weight is missing'),
        ({'model.norm.bias': np.zeros(32, np.float32)}, 'model.norm.bias is not known'),
        ({'model.layers.1.self_attn.q_proj.bias': np.zeros(32, np.float32)}, 'q_proj.bias is not known'),
        ({'lm_head.weight': np.zeros((63, 32), np.float32)}, r'lm_head.weight is \(63, 32\), not \(64, 32\)'),
        ({'model.norm.weight': np.zeros(32, np.int8)}, 'model.norm.weight is I8, not one of F64, F32, F16, BF16'),
        ({'model.norm.weight': np.zeros(32, ml_dtypes.float8_e4m3fn)}, 'model.norm.weight is F8_E4M3, not one of'),
        (
            {f'model.norm.{i}': np.zeros(1, np.float32) for i in range(11)},
            r'11 tensors .*\(model.norm.0-10 is not known\)',
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(llama, tensors, sentence):
    edit(llama, **tensors)
    with pytest.raises(ValueError, match=sentence):
        import_huggingface(llama, None)


@pytest.mark.parametrize(
    ('family', 'fields', 'sentence'),
    [
        ('qwen2', {'model_type': 'gpt2'}, "model_type is 'gpt2'; t2jax knows gpt_neox, llama, mistral, qwen2, qwen3"),
        ('qwen2', {'model_type': ...}, 'model_type is None'),
        ('llama-tied', {'attention_bias': True}, 'attention_bias is True, which t2jax does not compute'),
        ('llama-tied', {'mlp_bias': True}, 'mlp_bias is True'),
        ('llama-tied', {'hidden_act': 'gelu'}, "hidden_act is 'gelu', which .*it reads 'silu' only"),
        ('llama-tied', {'final_logit_softcapping': 30.0}, 'does not know final_logit_softcapping, so'),
        ('llama-tied', {'quantization_config': {'bits': 4}}, 'does not know quantization_config'),
        ('llama-tied', {'sliding_window': 16}, 'does not know sliding_window'),
        ('llama-tied', {'partial_rotary_factor': 0.5}, 'partial_rotary_factor is 0.5; t2jax computes 1'),
        ('llama-tied', {'rope_scaling': {'type': 'linear', 'factor': 2.0}}, "rope_type is 'linear'"),
        ('llama-tied', {'rope_scaling': {'rope_type': 'yarn', 'factor': 2.0}}, "rope_type is 'yarn', .*default and"),
        ('llama-tied', {'rope_scaling': {'rope_type': 'llama3', 'factor': 2.0}}, 'lack low_freq_factor, high_freq'),
        ('llama-tied', {'rope_scaling': {'rope_type': 'default', 'mrope_section': [2]}}, 'does not know mrope_section'),
        ('llama-tied', {'num_attention_heads': 3}, 'n_kv_heads 4 does not divide 3 heads'),
        ('llama-tied', {'rope_scaling': 'linear'}, "rope_scaling is 'linear'; it has to be an object"),
        ('olmo', {'num_attention_heads': 3}, 'does not split into 3 heads of even width'),
        ('llama-tied', {'hidden_size': '32'}, "hidden_size is '32'; it has to be a whole number"),
        ('llama-tied', {'max_position_embeddings': ...}, 'max_position_embeddings is None'),
        ('mistral', {'sliding_window': 'a'}, "sliding_window is 'a'; it has to be a whole number of at least 1"),
        ('mistral', {'sliding_window': 0}, 'sliding_window is 0; it has to be'),
        ('llama-tied', {'rms_norm_eps': [1]}, r'rms_norm_eps is \[1\]; it has to be a finite number above 0'),
        ('llama-tied', {'rms_norm_eps': -1}, 'rms_norm_eps is -1; it has to be a finite number above 0'),
        ('llama-tied', {'rms_norm_eps': float('nan')}, 'rms_norm_eps is nan'),
        ('llama-tied', {'rms_norm_eps': 10**400}, 'rms_norm_eps is 1000'),
        ('llama-tied', {'rms_norm_eps': None}, 'rms_norm_eps is None'),
        ('llama-tied', {'rms_norm_eps': True}, 'rms_norm_eps is True'),
        ('llama-tied', {'rope_parameters': ..., 'rope_theta': [1]}, r'rope_theta is \[1\]; it has to be a finite'),
        ('llama-tied', {'rope_parameters': ..., 'rope_theta': -5}, 'rope_theta is -5; it has to be a finite'),
        ('llama-tied', {'rope_parameters': {'rope_theta': 0}}, 'rope_theta is 0; it has to be a finite'),
        ('llama-tied', {'rope_parameters': LLAMA3 | {'factor': float('nan')}}, 'factor is nan; it has to be a finite'),
        ('llama-tied', {'partial_rotary_factor': [1]}, r'partial_rotary_factor is \[1\]; it has to be a finite'),
        ('llama-tied', {'tie_word_embeddings': 'false'}, "tie_word_embeddings is 'false'; it has to be true or false"),
        ('llama-tied', {'attention_bias': 'false'}, "attention_bias is 'false'"),
        ('qwen3', {'layer_types': 5}, 'layer_types has 5; t2jax computes full_attention only'),
        ('qwen3', {'layer_types': [[1]]}, r'layer_types has \[1\]; t2jax'),
        ('neox-parallel', {'layer_norm_eps': float('inf')}, 'layer_norm_eps is inf'),
        ('neox-parallel', {'use_parallel_residual': 'false'}, "use_parallel_residual is 'false'; it has to be true"),
        ('neox-parallel', {'rotary_pct': 'a'}, "rotary_pct is 'a'; it has to be a finite number above 0"),
        ('qwen2', {'use_sliding_window': True}, 'use_sliding_window is True'),
        ('qwen3', {'layer_types': ['full_attention', 'sliding_attention']}, 'layer_types has sliding_attention'),
        ('qwen3', {'attention_bias': True}, 'attention_bias is True'),
        ('neox-parallel', {'hidden_act': 'gelu_fast'}, "hidden_act is 'gelu_fast', .* it reads 'gelu' only"),
        ('neox-parallel', {'hidden_act': 'gelu_new'}, "hidden_act is 'gelu_new'"),
        ('neox-parallel', {'attention_bias': False}, 'attention_bias is False'),
        ('neox-parallel', {'rope_parameters': LLAMA3 | {'partial_rotary_factor': 0.25}}, 'rope_type is llama3'),
        ('olmo', {'clip_qkv': 8.0}, 'clip_qkv is 8.0'),
        ('olmo', {'intermediate_size': 64}, 'intermediate_size is 64; .*at least 8/3 hidden_size'),
        ('olmo', {'model_type': 'olmoe'}, 'num_experts is 64, which'),
    ],
)
def test_what_is_not_computed_is_refused_by_name(tmp_path, family, fields, sentence):
    make(family).save_pretrained(tmp_path)
    change(tmp_path, **fields)
    with pytest.raises(ValueError, match=sentence) as refusal:
        import_huggingface(tmp_path, None)
    assert str(tmp_path / 'config.json') in str(refusal.value)


def test_pickled_weights_are_refused(llama):
    (llama / 'model.safetensors').rename(llama / 'pytorch_model.bin')
    with pytest.raises(ValueError, match='weights in .bin files, which are pickled programs .* save it as safetensors'):
        import_huggingface(llama, None)


def test_a_cut_file_is_refused(llama):
    whole = (llama / 'model.safetensors').read_bytes()
    for length in (4, 400, len(whole) - 10):
        (llama / 'model.safetensors').write_bytes(whole[:length])
        with pytest.raises(ValueError, match='model.safetensors is damaged .*download it again'):
            import_huggingface(llama, None)


@pytest.mark.parametrize('name', ['config.json', 'model.safetensors'])
def test_a_missing_file_is_named(llama, name):
    (llama / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        import_huggingface(llama, None)


def test_an_unreadable_config_is_refused(llama):
    for text in ('{', '[1]'):
        (llama / 'config.json').write_text(text)
        with pytest.raises(ValueError, match='config.json .*download it again'):
            import_huggingface(llama, None)


def test_all_tensors_that_do_not_fit_are_named_and_layers_as_runs(llama):
    path = llama / 'model.safetensors'
    tensors = safetensors_numpy.load_file(path)
    named = {name: re.sub(r'(layers\.[12])\.mlp', r'\1.ffn', name) for name in tensors}
    safetensors_numpy.save_file({named[name]: value for name, value in tensors.items()}, path)
    with pytest.raises(ValueError, match='12 tensors do not fit') as refusal:
        import_huggingface(llama, None)
    for part in ('down', 'gate', 'up'):
        assert f'model.layers.1-2.mlp.{part}_proj.weight is missing' in str(refusal.value)
        assert f'model.layers.1-2.ffn.{part}_proj.weight is not known' in str(refusal.value)


@pytest.mark.parametrize('value', [np.float32('nan'), np.float32('-inf'), np.float64(1e300), ml_dtypes.bfloat16('nan')])
def test_weights_that_are_not_finite_in_float32_are_refused_by_name(llama, value):
    for name in ('model.norm.weight', 'model.layers.2.input_layernorm.weight'):
        edit(llama, **{name: np.full(32, value)})
    said = r'not finite in float32: model.layers.2.input_layernorm.weight, model.norm.weight; download it again'
    with pytest.raises(ValueError, match=said):
        import_huggingface(llama, None)


@pytest.mark.parametrize(
    'name',
    [
        'model.layers.0.cross_attention.bias',
        'model.layers.0.self_attention.bias',
        'x.rotary_emb.inv_freq',
        'x.model.rotary_emb.inv_freq',
        'model.rotary_emb.inv_freq2',
    ],
)
def test_a_weight_named_almost_like_a_buffer_is_a_weight(llama, name):
    edit(llama, **{name: np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=f'{name} is not known'):
        import_huggingface(llama, None)


@pytest.mark.parametrize(
    'name', [5, None, ['model.safetensors'], '../other/model.safetensors', '/model.safetensors', '..']
)
def test_weights_outside_the_folder_are_not_read(llama, name):
    shutil.copytree(llama, llama.with_name('other'))
    (llama / 'model.safetensors.index.json').write_text(json.dumps({'weight_map': {'lm_head.weight': name}}))
    with pytest.raises(ValueError, match='index.json has weights in .*, which is no .safetensors file beside it'):
        import_huggingface(llama, None)
