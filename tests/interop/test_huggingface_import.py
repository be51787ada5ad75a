"""Checkpoints of transformers, every number of them random, are the same function here, from text to logits."""

import json
import shutil

import jax
import numpy as np
import pytest
from a_checkpoint import FAMILIES, TOKENS, change, check_same, make, our_logits, their_logits

from t2jax.data.tokenizers import train_vocabulary
from t2jax.interop.huggingface_import import import_huggingface
from t2jax.interop.huggingface_tokens import open_tokenizer
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.models.llama import LlamaConfig
from t2jax.models.neox import NeoXConfig

torch = pytest.importorskip('torch', reason="torch is not installed; pip install '.[test]'")
transformers = pytest.importorskip('transformers', reason="transformers is not installed; pip install '.[test]'")
safetensors_numpy = pytest.importorskip('safetensors.numpy', reason="safetensors is missing; pip install '.[interop]'")

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(scope='module', params=FAMILIES)
def saved(request, tmp_path_factory):
    model = make(request.param)
    folder = tmp_path_factory.mktemp(request.param) / request.param
    model.save_pretrained(folder)
    return request.param, model, folder


@pytest.fixture
def llama(tmp_path):
    make('llama-grouped-scaled').save_pretrained(tmp_path / 'llama')
    return tmp_path / 'llama'


def test_logits_are_those_of_transformers(saved):
    family, model, folder = saved
    about, params, tokenizer = import_huggingface(folder, 1e9)
    assert (about.name, about.context, about.tokens, tokenizer) == (family, 48, 1e9, None)
    check_same(their_logits(model), our_logits(about.model, params))


def test_params_have_the_tree_and_type_of_fresh_ones(saved):
    about, params, _ = import_huggingface(saved[2], None)
    fresh = jax.eval_shape(lambda: transformer.init_params(about.model, jax.random.key(0)))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), params) == jax.tree.map(lambda x: (x.shape, x.dtype), fresh)


def test_families_become_the_variants_that_have_what_they_need(saved):
    family, _, folder = saved
    model = import_huggingface(folder, None)[0].model
    expected = {'neox-parallel': NeoXConfig, 'neox-sequential': NeoXConfig, 'olmo-whole': ModelConfig}
    assert type(model) is expected.get(family, type(model))
    if family == 'qwen3':
        assert (model.d_head, model.d_q, model.d_kv, model.qk_norm) == (12, 48, 24, True)
    if family == 'llama-grouped-scaled':
        assert isinstance(model, LlamaConfig) and (model.rope_factor, model.rope_context) == (8.0, 32.0)


def test_configs_of_transformers_4_are_read_too(saved, tmp_path):
    """rope_theta, rope_scaling, rotary_emb_base, rotary_pct, torch_dtype in place of rope_parameters and dtype."""
    family, model, folder = saved
    old = tmp_path / 'old'
    shutil.copytree(folder, old)
    config = json.loads((folder / 'config.json').read_text())
    rope = config['rope_parameters']
    theta = rope.pop('rope_theta')
    if family.startswith('neox'):
        fields = {'rotary_emb_base': theta, 'rotary_pct': rope['partial_rotary_factor']}
    else:
        fields = {'rope_theta': theta, 'rope_scaling': rope if rope['rope_type'] == 'llama3' else None}
    change(old, rope_parameters=..., dtype=..., torch_dtype='float32', **fields)
    about, params, _ = import_huggingface(old, None)
    assert about.model == import_huggingface(folder, None)[0].model
    check_same(their_logits(model), our_logits(about.model, params))


def test_shards_are_the_whole(llama, tmp_path):
    whole = import_huggingface(llama, None)[1]
    make('llama-grouped-scaled').save_pretrained(tmp_path / 'shards', max_shard_size='20KB')
    assert len(list((tmp_path / 'shards').glob('*.safetensors'))) > 3
    jax.tree.map(np.testing.assert_array_equal, import_huggingface(tmp_path / 'shards', None)[1], whole)
    next((tmp_path / 'shards').glob('model-00002*')).unlink()
    with pytest.raises(FileNotFoundError, match='shards lacks model-00002-of-.*download it again'):
        import_huggingface(tmp_path / 'shards', None)


@pytest.mark.parametrize('kind', ['bfloat16', 'float16'])
def test_half_precision_weights_are_the_float32_function_of_those_numbers(tmp_path, kind):
    make('qwen2').to(getattr(torch, kind)).save_pretrained(tmp_path / 'half')
    stored = safetensors_numpy.load_file(tmp_path / 'half' / 'model.safetensors')['model.norm.weight'].dtype
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / 'half', dtype=torch.float32)
    about, params, _ = import_huggingface(tmp_path / 'half', None)
    assert (stored, params['embed'].dtype) == (kind, np.float32)
    check_same(their_logits(model), our_logits(about.model, params))


def test_bfloat16_compute_is_asked_for(llama):
    about, params, _ = import_huggingface(llama, None, 'short', 'bfloat16')
    assert (about.name, about.model.compute_dtype) == ('short', 'bfloat16')
    assert params['head'].dtype == np.float32


def test_a_stored_head_that_is_tied_has_to_be_the_embedding(tmp_path):
    make('llama-tied').save_pretrained(tmp_path)
    tensors = safetensors_numpy.load_file(tmp_path / 'model.safetensors')
    assert 'lm_head.weight' not in tensors
    tensors['lm_head.weight'] = tensors['model.embed_tokens.weight'].copy()
    safetensors_numpy.save_file(tensors, tmp_path / 'model.safetensors')
    params = import_huggingface(tmp_path, None)[1]
    np.testing.assert_array_equal(params['head'], params['embed'].T)
    tensors['lm_head.weight'][3] += 1
    safetensors_numpy.save_file(tensors, tmp_path / 'model.safetensors')
    with pytest.raises(ValueError, match='tie_word_embeddings is true, but lm_head.weight is not the embedding'):
        import_huggingface(tmp_path, None)


def test_computed_buffers_of_old_files_are_not_weights(tmp_path):
    model = make('neox-parallel')
    model.save_pretrained(tmp_path)
    tensors = safetensors_numpy.load_file(tmp_path / 'model.safetensors')
    for i in range(3):
        layer = f'gpt_neox.layers.{i}.attention'
        tensors[f'{layer}.bias'] = np.tri(48, dtype=bool)[None, None]
        tensors[f'{layer}.masked_bias'] = np.full(1, -1e9, np.float32)
        tensors[f'{layer}.rotary_emb.inv_freq'] = np.ones(1, np.float32)
    safetensors_numpy.save_file(tensors, tmp_path / 'model.safetensors')
    about, params, _ = import_huggingface(tmp_path, None)
    check_same(their_logits(model), our_logits(about.model, params))


@pytest.mark.parametrize('window', [64, 48, 20])
def test_within_the_window_it_is_the_same_function(tmp_path, window):
    model = make('mistral', sliding_window=window)
    model.save_pretrained(tmp_path)
    about, params, _ = import_huggingface(tmp_path, None)
    assert about.context == min(window, 48)
    tokens = TOKENS[:, : about.context]
    check_same(their_logits(model, tokens), our_logits(about.model, params, tokens))


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp('tokenizer') / 'tokenizer.json'
    train_vocabulary(['a small text of few words, and of some more'] * 3, 270, path, quiet=True)
    return path


TEMPLATE = {
    'type': 'TemplateProcessing',
    'single': [{'SpecialToken': {'id': '<|endoftext|>', 'type_id': 0}}, {'Sequence': {'id': 'A', 'type_id': 0}}],
    'pair': [{'Sequence': {'id': 'A', 'type_id': 0}}, {'Sequence': {'id': 'B', 'type_id': 1}}],
    'special_tokens': {'<|endoftext|>': {'id': '<|endoftext|>', 'ids': [0], 'tokens': ['<|endoftext|>']}},
}
BYTES = {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': True}
END = '<|endoftext|>'
ROBERTA = {
    'type': 'RobertaProcessing',
    'sep': ['b', 66],
    'cls': ['a', 65],
    'trim_offsets': True,
    'add_prefix_space': True,
}


@pytest.mark.parametrize(
    ('family', 'settings', 'processor', 'bos', 'end'),
    [
        ('llama-tied', {'add_bos_token': True, 'bos_token': 'a', 'eos_token': END}, None, 'a', END),
        ('llama-tied', {'add_bos_token': True, 'bos_token': {'content': 'a'}}, None, 'a', None),
        ('llama-tied', {'add_bos_token': False, 'bos_token': 'a', 'eos_token': END}, TEMPLATE, None, END),
        ('llama-tied', {'bos_token': 'a', 'eos_token': {'content': 'b'}}, TEMPLATE, END, 'b'),
        ('llama-tied', None, {'type': 'Sequence', 'processors': [BYTES, TEMPLATE]}, END, None),
        ('llama-tied', {'bos_token': END}, BYTES, None, None),
        ('llama-tied', None, ROBERTA, 'a', None),
        ('llama-tied', None, ROBERTA | {'type': 'BertProcessing'}, 'a', None),
        ('llama-tied', None, {'type': 'Sequence', 'processors': [BYTES, ROBERTA]}, 'a', None),
        ('qwen2', {'bos_token': None, 'eos_token': END}, None, None, END),
        ('neox-parallel', None, None, None, None),
        ('neox-parallel', {'bos_token': 'a', 'eos_token': 'b'}, None, None, 'b'),
    ],
)
def test_what_a_text_begins_and_ends_with_comes_from_the_tokenizer(
    tmp_path, tokenizer, family, settings, processor, bos, end
):
    make(family, vocab_size=300).save_pretrained(tmp_path)
    content = json.loads(tokenizer.read_text()) | {'post_processor': processor}
    (tmp_path / 'tokenizer.json').write_text(json.dumps(content))
    if settings is not None:
        (tmp_path / 'tokenizer_config.json').write_text(json.dumps(settings))
    about, _, found = import_huggingface(tmp_path, None)
    assert (about.bos, about.end, found) == (bos, end, tmp_path / 'tokenizer.json')


def test_an_end_that_only_its_id_tells_is_found(tmp_path, tokenizer):
    make('qwen2', vocab_size=300).save_pretrained(tmp_path)
    shutil.copyfile(tokenizer, tmp_path / 'tokenizer.json')
    assert import_huggingface(tmp_path, None)[0].end is None
    (tmp_path / 'generation_config.json').write_text('{"eos_token_id": [66, 0]}')
    vocab = json.loads(tokenizer.read_text())['model']['vocab']
    assert vocab[import_huggingface(tmp_path, None)[0].end] == 66
    (tmp_path / 'special_tokens_map.json').write_text('{"eos_token": "<|endoftext|>"}')
    assert import_huggingface(tmp_path, None)[0].end == END


@pytest.mark.parametrize(('vocab', 'is_refused'), [(1294, False), (1295, True)])
def test_a_tokenizer_much_smaller_than_the_model_is_refused(tmp_path, tokenizer, vocab, is_refused):
    size = len(json.loads(tokenizer.read_text())['model']['vocab'])
    make('qwen2', vocab_size=vocab - 270 + size).save_pretrained(tmp_path)
    shutil.copyfile(tokenizer, tmp_path / 'tokenizer.json')
    if is_refused:
        with pytest.raises(ValueError, match='tokens and the model in .* more than padding adds; they do not belong'):
            import_huggingface(tmp_path, None)
    else:
        assert import_huggingface(tmp_path, None)[0].model.vocab == vocab - 270 + size


@pytest.mark.parametrize(('size', 'is_refused'), [(42_000, False), (42_200, True)])
def test_a_large_model_may_have_a_twentieth_of_its_tokens_as_padding(tmp_path, size, is_refused):
    words = {f't{i}': i for i in range(40_000)}
    content = {'version': '1.0', 'model': {'type': 'WordLevel', 'vocab': words, 'unk_token': 't0'}}
    (tmp_path / 'tokenizer.json').write_text(json.dumps(content))
    if is_refused:
        with pytest.raises(ValueError, match='has 40000 tokens and the model in .* 42200, more than padding adds'):
            open_tokenizer(tmp_path, size)
    else:
        assert len(open_tokenizer(tmp_path, size)) == 40_000


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('tokenizer.json', '{"model": null}'),
        ('tokenizer.json', '[1]'),
        ('tokenizer.json', '[' * 100_000),
        ('tokenizer_config.json', '[' * 100_000),
        ('special_tokens_map.json', '[1]'),
        ('t2jax.json', '{"bos": 5}'),
        ('t2jax.json', '{"bos": null, "end": ["b"]}'),
    ],
)
def test_damaged_files_of_a_tokenizer_are_named(tmp_path, tokenizer, name, content):
    make('qwen2', vocab_size=300).save_pretrained(tmp_path)
    shutil.copyfile(tokenizer, tmp_path / 'tokenizer.json')
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=name):
        import_huggingface(tmp_path, None)


def test_added_tokens_that_are_none_are_refused(tmp_path, tokenizer):
    make('qwen2', vocab_size=300).save_pretrained(tmp_path)
    content = json.loads(tokenizer.read_text()) | {'added_tokens': [1]}
    (tmp_path / 'tokenizer.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='tokenizer.json is not a tokenizer'):
        import_huggingface(tmp_path, None)


@pytest.mark.parametrize('ids', [[[1]], [], 'a', -1, 299, 10**30, True])
def test_ids_of_no_token_end_nothing(tmp_path, tokenizer, ids):
    make('qwen2', vocab_size=300).save_pretrained(tmp_path)
    shutil.copyfile(tokenizer, tmp_path / 'tokenizer.json')
    change(tmp_path, eos_token_id=ids)
    assert import_huggingface(tmp_path, None)[0].end is None


@pytest.mark.parametrize(
    ('name', 'said', 'sentence'),
    [
        ('tokenizer_config.json', {'eos_token': '<eos>'}, 'no token <eos> .* as eos_token in .*tokenizer_config.json'),
        ('t2jax.json', {'end': '<eos>'}, 'no token <eos> to end a document with; .* as end in .*t2jax.json'),
    ],
)
def test_an_end_that_the_tokenizer_lacks_is_refused(tmp_path, tokenizer, name, said, sentence):
    make('qwen2', vocab_size=300).save_pretrained(tmp_path)
    shutil.copyfile(tokenizer, tmp_path / 'tokenizer.json')
    (tmp_path / name).write_text(json.dumps(said))
    with pytest.raises(ValueError, match=sentence):
        import_huggingface(tmp_path, None)


def test_the_source_tells_revisions_apart(tmp_path):
    sources = []
    for seed in (0, 0, 1):
        folder = tmp_path / 'model'
        make('qwen2', seed).save_pretrained(folder)
        sources.append(import_huggingface(folder, None)[0].source)
        shutil.rmtree(folder)
    assert sources[0] == sources[1] != sources[2]


def test_a_tokenizer_larger_than_the_model_is_refused(llama, tokenizer):
    shutil.copyfile(tokenizer, llama / 'tokenizer.json')
    with pytest.raises(ValueError, match='tokens and the model in .*config.json only 64; they do not belong together'):
        import_huggingface(llama, None)
