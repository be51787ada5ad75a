"""What a tokenizer puts before a text is put there on every road: here in lm-eval, and in transformers after export."""

import json

import jax
import pytest

from t2jax.cli import main
from t2jax.data.tokenizers import train_vocabulary
from t2jax.interop.special_tokens import first_of_template, puts_bos
from t2jax.models import transformer
from t2jax.models.llama import LlamaConfig
from t2jax.training.trained import Imported, save_imported

START = {'SpecialToken': {'id': '!', 'type_id': 0}}
TEMPLATE = {
    'type': 'TemplateProcessing',
    'single': [START, {'Sequence': {'id': 'A', 'type_id': 0}}],
    'pair': [START, {'Sequence': {'id': 'A', 'type_id': 0}}, {'Sequence': {'id': 'B', 'type_id': 1}}],
    'special_tokens': {'!': {'id': '!', 'ids': [1], 'tokens': ['!']}},
}


@pytest.mark.parametrize(
    ('processor', 'token'),
    [
        (None, None),
        ({'type': 'ByteLevel'}, None),
        (TEMPLATE, '!'),
        ({'type': 'Sequence', 'processors': [{'type': 'ByteLevel'}, TEMPLATE]}, '!'),
        ({'type': 'RobertaProcessing', 'sep': ['</s>', 2], 'cls': ['<s>', 0]}, '<s>'),
        (TEMPLATE | {'single': [{'Sequence': {'id': 'A', 'type_id': 0}}, START]}, None),  # behind the text
    ],
)
def test_the_first_token_of_a_post_processor(processor, token):
    assert first_of_template(processor) == token


@pytest.fixture(params=[True, False])
def tokenizer(request, tmp_path):
    train_vocabulary(['the cat sat on the mat! '] * 20, 280, tmp_path / 'tok.json', quiet=True)
    content = json.loads((tmp_path / 'tok.json').read_text())
    assert content['model']['vocab']['!'] == 1
    content['post_processor'] = TEMPLATE if request.param else None
    (tmp_path / 'tok.json').write_text(json.dumps(content))
    assert puts_bos(tmp_path / 'tok.json') == request.param and not puts_bos(None)
    return tmp_path / 'tok.json'


def test_lm_eval_here_and_transformers_there_begin_texts_alike(tokenizer, tmp_path):
    transformers = pytest.importorskip('transformers', reason="transformers is not installed; pip install '.[test]'")
    pytest.importorskip('lm_eval', reason="lm_eval is not installed; pip install '.[test]'")
    from t2jax.interop.lm_eval import T2jaxLM

    model = LlamaConfig(280, 16, 1, 2, 8)
    params = transformer.init_params(model, jax.random.key(0))
    save_imported(tmp_path / 'm', Imported('m', model, 64, 1e6, 'made up', '!', None), params, tokenizer)
    assert main(['export', str(tmp_path / 'm'), '--out', str(tmp_path / 'hf')]) == 0
    there = transformers.AutoTokenizer.from_pretrained(tmp_path / 'hf')('the cat').input_ids
    here = T2jaxLM(str(tmp_path / 'm')).tok_encode('the cat')
    assert here == there and (here[0] == 1) == puts_bos(tokenizer)
    assert T2jaxLM(str(tmp_path / 'm'), bos=True).tok_encode('the cat')[0] == 1
    assert T2jaxLM(str(tmp_path / 'm'), bos=False).tok_encode('the cat')[0] != 1
    assert main(['convert', 'huggingface', str(tmp_path / 'hf'), '--out', str(tmp_path / 'back')]) == 0
    assert T2jaxLM(str(tmp_path / 'back')).tok_encode('the cat') == here
