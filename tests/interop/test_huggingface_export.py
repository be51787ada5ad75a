"""Models of ours, every number of them random, are the same function in transformers, and come back as they were."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from a_checkpoint import TOKENS, check_same, our_logits

from t2jax.data.tokenizers import FileVocabulary, train_vocabulary
from t2jax.interop.huggingface_export import export_huggingface
from t2jax.interop.huggingface_import import import_huggingface
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.models.grouped_query import GroupedQueryConfig
from t2jax.models.llama import LlamaConfig
from t2jax.models.neox import NeoXConfig

torch = pytest.importorskip('torch', reason="torch is not installed; pip install '.[test]'")
transformers = pytest.importorskip('transformers', reason="transformers is not installed; pip install '.[test]'")
safetensors_numpy = pytest.importorskip('safetensors.numpy', reason="safetensors is missing; pip install '.[interop]'")

SHAPE = {'vocab': 64, 'd_model': 32, 'n_layers': 3, 'n_heads': 4, 'hidden_multiple': 24, 'rotary_base': 500.0}
LLAMA3 = {'rope_factor': 8.0, 'rope_context': 32.0, 'rope_low_factor': 1.5, 'rope_high_factor': 6.0}
MODELS = {
    'base': (ModelConfig(**SHAPE, norm_eps=1e-3), 'OlmoeForCausalLM'),
    'base-without-qk-norm': (ModelConfig(**SHAPE, qk_norm=False, norm_eps=1e-3), 'LlamaForCausalLM'),
    'grouped': (GroupedQueryConfig(**SHAPE, n_kv_heads=2), 'OlmoeForCausalLM'),
    'grouped-without-qk-norm': (GroupedQueryConfig(**SHAPE, n_kv_heads=1, qk_norm=False), 'LlamaForCausalLM'),
    'llama': (LlamaConfig(**SHAPE, n_kv_heads=2, hidden_width=40, **LLAMA3), 'LlamaForCausalLM'),
    'llama-of-odd-widths': (LlamaConfig(**SHAPE | {'d_model': 30}, head_width=10), 'MistralForCausalLM'),
    'qwen2': (LlamaConfig(**SHAPE, qkv_bias=True, head_width=12), 'Qwen2ForCausalLM'),
    'qwen3': (LlamaConfig(**SHAPE, qk_norm=True, n_kv_heads=2, head_width=12), 'Qwen3ForCausalLM'),
    'neox': (NeoXConfig(**SHAPE, rotary_share=0.25, hidden_width=40, norm_eps=1e-3), 'GPTNeoXForCausalLM'),
    'neox-sequential': (NeoXConfig(**SHAPE, parallel_residual=False), 'GPTNeoXForCausalLM'),
}
END = '<|endoftext|>'


pytestmark = pytest.mark.usefixtures('one_thread')


def draw_params(model):
    """Draw every array anew, gains and biases too; rows that a norm reads have means far from zero."""
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        at = 1.0 if path[-1].key == 'gain' else 0.1
        return rng.normal(at, 0.2, leaf.shape).astype(np.float32)

    shapes = jax.eval_shape(lambda: transformer.init_params(model, jax.random.key(0)))
    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope='module', params=MODELS)
def exported(request, tmp_path_factory):
    model, architecture = MODELS[request.param]
    params = draw_params(model)
    folder = tmp_path_factory.mktemp(request.param) / 'out'
    said = export_huggingface(model, params, None, folder, context=48, tokens=1e6)
    return model, params, folder, architecture, said


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp('tokenizer') / 'tokenizer.json'
    train_vocabulary(['a small text of few words, and of some more'] * 3, 270, path, quiet=True)
    return path


def test_transformers_computes_the_same_logits(exported):
    model, params, folder, architecture, said = exported
    theirs, loading = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert type(theirs).__name__ == architecture and theirs.dtype == torch.float32
    assert not any(loading.values()), loading
    with torch.inference_mode():
        logits = theirs.eval()(torch.from_numpy(TOKENS)).logits.numpy()
    check_same(logits, our_logits(model, params))
    assert said.startswith(f'{folder}: transformers loads it as {architecture}. ')


def test_the_reason_is_in_the_folder(exported):
    _, _, folder, architecture, said = exported
    about = json.loads((folder / 't2jax.json').read_text())
    assert said.endswith(about['why']) and about['why'] in (folder / 'README.md').read_text()
    assert architecture in (folder / 'README.md').read_text()


def test_an_export_comes_back(exported):
    """As the same model, but for what Llama stands for; the numbers as they were, but for the means taken from them."""
    model, params, folder, architecture, _ = exported
    about, back, _ = import_huggingface(folder, None)
    assert (about.context, about.tokens) == (48, 1e6)
    check_same(our_logits(model, params), our_logits(about.model, back))
    if architecture == 'OlmoeForCausalLM':
        assert type(about.model) is type(model) and about.model.qk_norm
    if not isinstance(model, LlamaConfig | NeoXConfig):
        assert about.model.d_hidden == model.d_hidden
        return
    jax.tree.map(np.testing.assert_array_equal, back, params)
    derived = ('hidden_multiple', 'hidden_width', 'rope_low_factor', 'rope_high_factor', 'rope_context')
    for field in dataclasses.fields(model):
        if field.name not in derived or getattr(model, 'rope_factor', 1) != 1 and field.name.startswith('rope'):
            assert getattr(about.model, field.name) == getattr(model, field.name), field.name
    assert about.model.d_hidden == model.d_hidden


@pytest.mark.parametrize('name', ['base', 'neox'])
def test_a_cached_generation_of_transformers_takes_our_likeliest_tokens(tmp_path, name):
    model = MODELS[name][0]
    params = draw_params(model)
    export_huggingface(model, params, None, tmp_path / 'out', 48)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / 'out').eval()
    ids = torch.from_numpy(TOKENS[:, :40])
    new = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0)
    likeliest = our_logits(model, params, new.numpy()).argmax(-1)
    np.testing.assert_array_equal(new[:, 40:], likeliest[:, 39:-1])


def test_olmoe_with_other_means_is_refused(tmp_path):
    """RMSNorm of what was never centred is no LayerNorm: each of the five places is looked at."""
    export_huggingface(MODELS['base'][0], draw_params(MODELS['base'][0]), None, tmp_path / 'out', 48)
    path = tmp_path / 'out' / 'model.safetensors'
    whole = safetensors_numpy.load_file(path)
    layer = 'model.layers.1'
    for name in ('self_attn.q_proj', 'self_attn.k_proj', 'self_attn.o_proj', 'mlp.experts.0.down_proj', 'embed'):
        name = 'model.embed_tokens.weight' if name == 'embed' else f'{layer}.{name}.weight'
        safetensors_numpy.save_file(whole | {name: whole[name] + np.float32(0.01)}, path)
        with pytest.raises(ValueError, match='OLMoE with weights whose rows have means other than zero'):
            import_huggingface(tmp_path / 'out', None)


TEXTS = ['a small text', f'text {END} of words{END}', '', ' \n\n  few\twords é 中']


@pytest.mark.parametrize('template', [False, True], ids=['plain', 'which adds tokens'])
def test_the_tokenizer_gives_the_same_ids(tmp_path, tokenizer, template):
    path = tmp_path / 'tokenizer.json'
    content = json.loads(tokenizer.read_text())
    if template:
        single = [{'SpecialToken': {'id': END, 'type_id': 0}}, {'Sequence': {'id': 'A', 'type_id': 0}}]
        named = {END: {'id': END, 'ids': [content['added_tokens'][0]['id']], 'tokens': [END]}}
        adds = {'type': 'TemplateProcessing', 'single': single, 'pair': [], 'special_tokens': named}
        bytes_ = {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': True}
        content['post_processor'] = {'type': 'Sequence', 'processors': [bytes_, adds | {'pair': single}]}
    path.write_text(json.dumps(content))
    model = ModelConfig(**SHAPE | {'vocab': 300})
    export_huggingface(model, draw_params(model), path, tmp_path / 'out', 48, bos=END, end=END)
    ours = FileVocabulary(path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / 'out')
    assert isinstance(theirs, transformers.PreTrainedTokenizerFast)
    for text in TEXTS:
        assert theirs(text)['input_ids'] == ours.encode(text).tolist(), text
        assert theirs.decode(ours.encode(text)) == text
    assert theirs.eos_token_id == theirs.bos_token_id == ours.end_id and theirs.eos_token == END
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / 'out')
    assert loaded.generation_config.eos_token_id == loaded.config.bos_token_id == ours.end_id
    about, _, found = import_huggingface(tmp_path / 'out', None)
    assert (about.bos, about.end) == (END, END) and found == tmp_path / 'out' / 'tokenizer.json'
    assert template or found.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'tokenizer': 'tokenizer.model'}, 'tokenizer.model is not a tokenizer.json'),
        ({'end': 'nowhere'}, 'has no token nowhere to end a document with'),
        ({'bos': 'nowhere'}, 'has no token nowhere for a text to begin with'),
        ({'model': ModelConfig(**SHAPE)}, 'tokenizer.json has .* tokens and the model only 64'),
        ({'model': LlamaConfig(**SHAPE, qk_norm=True, qkv_bias=True)}, 'both biases on q, k and v and a norm of each'),
        ({'model': NeoXConfig(**SHAPE, rotary_share=0.0)}, 'rotary_share is 0'),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path, tokenizer, change, sentence):
    model = change.get('model', ModelConfig(**SHAPE | {'vocab': 300}))
    file = tokenizer.with_name(change.get('tokenizer', 'tokenizer.json'))
    with pytest.raises(ValueError, match=sentence):
        export_huggingface(model, {}, file, tmp_path / 'out', 48, change.get('bos'), change.get('end'))
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_refused_and_an_empty_one_taken(tmp_path):
    model = ModelConfig(**SHAPE)
    params = draw_params(model)
    (tmp_path / 'out').mkdir()
    export_huggingface(model, params, None, tmp_path / 'out', 48)
    before = sorted(tmp_path.rglob('*'))
    assert list(tmp_path.iterdir()) == [tmp_path / 'out']
    with pytest.raises(FileExistsError, match='out is not empty; give a new folder'):
        export_huggingface(model, params, None, tmp_path / 'out', 48)
    assert sorted(tmp_path.rglob('*')) == before


def test_a_failed_export_leaves_nothing(tmp_path):
    model = ModelConfig(**SHAPE)
    params = draw_params(model)
    del params['layers']['feed_forward']['out']
    with pytest.raises(KeyError):
        export_huggingface(model, params, None, tmp_path / 'out', 48)
    assert not list(tmp_path.iterdir())
