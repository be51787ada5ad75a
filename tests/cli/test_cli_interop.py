"""`t2jax convert`, `export` and `lm-eval` through the command line, from one to the other and back."""

import json

import jax
import numpy as np
import pytest

from t2jax.cli import main
from t2jax.data.feed import Feed
from t2jax.data.shards import open_shards, write_shards
from t2jax.data.tokenizers import train_vocabulary
from t2jax.mesh import make_mesh
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.tasks.questions import Question, write_questions
from t2jax.training import loop
from t2jax.training.recipe import Recipe
from t2jax.training.runs import RunConfig
from t2jax.training.trained import open_trained
from tests.made_run import WORDS, make_run

TEXT = ['the cat sat on the mat and the dog sat on the log', 'one two three four five six seven eight'] * 40


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """A small run on text, and its tokenizer."""
    folder = tmp_path_factory.mktemp('work')
    vocabulary = train_vocabulary(TEXT, 300, folder / 'tokenizer.json', quiet=True)
    write_shards(folder / 'tokens', lambda i: iter(TEXT), vocabulary, 1, 10**6, {'made': 'up'})
    model = ModelConfig(304, 16, 2, 2, 8)
    recipe = Recipe(batch_sequences=8, sequence_length=32, learning_rate=1e-2, warmup_tokens_per_param=0.1)
    run = RunConfig('text', model, 8 * 32 * 20, recipe, seed=0)
    feed = Feed(open_shards(folder / 'tokens', None), 8, 32, seed=0, epochs=20)
    loop.train(run, feed, folder / 'runs' / 'text', make_mesh(jax.devices()[:1]))
    return folder


def said(capsys, *arguments, code=0):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    return captured.out.strip() if code == 0 else captured.err.strip()


def logits(folder):
    found = open_trained(folder)
    tokens = np.random.default_rng(0).integers(0, 300, (2, 20))
    return transformer.forward(found.model, found.load(make_mesh(jax.devices()[:1])), tokens)


def test_a_run_goes_out_and_comes_back(work, tmp_path, capsys):
    run, hf = work / 'runs' / 'text', tmp_path / 'hf'
    how = json.loads(said(capsys, 'export', run, '--tokenizer', work / 'tokenizer.json', '--out', hf, '--json'))
    assert 'Olmoe' in how['how'] and (hf / 'model.safetensors').exists()
    back = json.loads(said(capsys, 'convert', 'huggingface', hf, '--out', tmp_path / 'back', '--json'))
    trained = open_trained(run)
    assert (back['name'], back['tokens'], back['bos']) == ('hf', trained.tokens, '<|endoftext|>')
    assert back['params'] == json.loads((run / 'result.json').read_text())['params']
    np.testing.assert_allclose(logits(tmp_path / 'back'), logits(run), atol=1e-4)
    write_questions(
        tmp_path / 'pets.jsonl', [Question('a', 'the cat sat on', ' the mat'), Question('b', 'one', ' two')]
    )
    score = ('score', '--task', tmp_path / 'pets.jsonl', '--out', tmp_path / 'scores', '--json')
    (ours,) = json.loads(said(capsys, *score, run, '--tokenizer', work / 'tokenizer.json'))
    (theirs,) = json.loads(said(capsys, *score, tmp_path / 'back'))
    assert theirs['nll'] == pytest.approx(ours['nll'], abs=1e-4) and ours['nll'] > 0.1


def test_an_openlm_checkpoint_is_converted_with_its_tokenizer(work, tmp_path, capsys):
    torch = pytest.importorskip('torch', reason="torch is not installed; pip install '.[test]'")
    draw = lambda *shape: torch.randn(shape) / 4
    state = {'tok_embeddings.weight': draw(304, 16), 'norm.weight': torch.ones(16), 'output.weight': draw(304, 16)}
    parts = {
        'attention.in_proj': (48, 16),
        'attention.out_proj': (16, 16),
        'feed_forward.w12': (512, 16),
        'feed_forward.w3': (16, 256),
        **dict.fromkeys(('attention_norm', 'ffn_norm', 'attention.q_norm', 'attention.k_norm'), (16,)),
    }
    state |= {f'module.layers.0.{part}.weight': draw(*shape) for part, shape in parts.items()}
    torch.save({'state_dict': state, 'epoch': 1}, tmp_path / 'epoch_1.pt')
    flags = ('--out', tmp_path / 'm', '--tokenizer', work / 'tokenizer.json', '--tokens', '3e9', '--heads', 2)
    convert = ('convert', 'openlm', tmp_path / 'epoch_1.pt', *flags)
    found = json.loads(said(capsys, *convert, '--name', '5M', '--bos', '<|endoftext|>', '--json'))
    assert (found['name'], found['tokens'], found['context']) == ('5M', 3e9, 2048)
    trained = open_trained(tmp_path / 'm')
    assert trained.model == ModelConfig(304, 16, 1, n_heads=2) and trained.imported.bos == '<|endoftext|>'
    said(capsys, 'score', tmp_path / 'm', '--task', 'spatial_reasoning', '--out', tmp_path / 's')
    about = json.loads((tmp_path / 's' / '5M' / 'about' / 'spatial_reasoning.json').read_text())
    assert about['bos'] == '<|endoftext|>' and about['straddling'] == 0
    state['layers.0.extra.weight'] = draw(3)
    torch.save(state, tmp_path / 'epoch_1.pt')
    flags = ('--out', tmp_path / 'n')
    assert 'layers.0.extra.weight' in said(capsys, 'convert', 'openlm', tmp_path / 'epoch_1.pt', *flags, code=2)
    assert not (tmp_path / 'n').exists()


def test_the_words_of_a_study_go_out_as_a_tokenizer(tmp_path, capsys):
    transformers = pytest.importorskip('transformers', reason="transformers is not installed; pip install '.[test]'")
    run = make_run(tmp_path / 'study')
    said(capsys, 'export', run, '--out', tmp_path / 'hf')
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / 'hf')
    assert tokenizer('1 2 3 .').input_ids == WORDS.encode('1 2 3 .').tolist()
    said(capsys, 'convert', 'huggingface', tmp_path / 'hf', '--out', tmp_path / 'back')
    write_questions(tmp_path / 'q.jsonl', [Question('a', '1 2', ' 3 .')])
    score = ('score', run, tmp_path / 'back', '--task', tmp_path / 'q.jsonl', '--out', tmp_path / 's', '--json')
    ours, theirs = json.loads(said(capsys, *score))
    assert theirs['nll'] == pytest.approx(ours['nll'], abs=1e-4)


def test_lm_eval_takes_its_own_flags(work, tmp_path, capsys, monkeypatch):
    pytest.importorskip('lm_eval', reason="lm_eval is not installed; pip install '.[test]'")
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setenv('HF_DATASETS_OFFLINE', '1')
    monkeypatch.setenv('HF_HOME', str(tmp_path / 'home'))
    rows = [{'q': 'the cat sat on', 'a': 'the mat'}, {'q': 'one two', 'a': 'three four'}]
    (tmp_path / 'rows.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    (tmp_path / 'mats.yaml').write_text(
        'task: mats\ndataset_path: json\ndataset_kwargs: {data_files: {test: %s}}\ntest_split: test\n'
        'output_type: loglikelihood\ndoc_to_text: "{{q}}"\ndoc_to_target: "{{a}}"\n'
        'metric_list: [{metric: acc}]\n' % (tmp_path / 'rows.jsonl')
    )
    given = f'checkpoint={work / "runs" / "text"},tokenizer={work / "tokenizer.json"}'
    flags = ('--model', 't2jax', '--model_args', given, '--tasks', 'mats', '--include_path', tmp_path)
    out = ('--output_path', tmp_path / 'out', '--log_samples')
    try:
        code = main([str(flag) for flag in ('lm-eval', *flags, *out)])
    except SystemExit as stop:
        code = stop.code
    assert not code and 'mats' in capsys.readouterr().out
    (samples,) = (tmp_path / 'out').rglob('samples_mats_*.jsonl')
    trained = open_trained(work / 'runs' / 'text')
    size = ('--params', '1e4', '--tokens', str(trained.tokens))
    assert 'mats' in said(capsys, 'collect', samples, *size, '--out', tmp_path / 'table.csv')


def test_bad_input_is_one_sentence_and_nothing_is_written(work, tmp_path, capsys):
    out = ('--out', tmp_path / 'o')
    run = work / 'runs' / 'text'
    (tmp_path / 'empty').mkdir()
    assert 'give a folder with config.json' in said(capsys, 'convert', 'huggingface', tmp_path / 'empty', *out, code=2)
    assert 'no checkpoint file' in said(capsys, 'convert', 'openlm', tmp_path / 'no.pt', *out, code=2)
    assert '--tokens is -1' in said(capsys, 'convert', 'openlm', tmp_path / 'no.pt', *out, '--tokens=-1', code=2)
    flags = ('--tokenizer', work / 'tokenizer.json')
    for odd in (flags, ('--heads', 0), ('--context', 9)):
        assert 'are for openlm' in said(capsys, 'convert', 'huggingface', tmp_path, *out, *odd, code=2)
    convert = ('convert', 'openlm', tmp_path / 'no.pt', *out)
    assert '--tokens is inf' in said(capsys, *convert, '--tokens', 'inf', code=2)
    assert '--context is -5' in said(capsys, *convert, '--context=-5', code=2)
    assert "the name '../up' of a model" in said(capsys, *convert, '--name', '../up', code=2)
    train_vocabulary(TEXT[:1], 280, tmp_path / 'other.json', quiet=True)
    other = ('--tokenizer', tmp_path / 'other.json')
    assert 'is not the tokenizer' in said(capsys, 'export', run, *out, *other, code=2)
    assert 'is no run' in said(capsys, 'export', tmp_path / 'empty', *out, code=2)
    assert 'has no checkpoint of step 3' in said(capsys, 'export', run, *out, '--step', 3, code=2)
    hf = tmp_path / 'hf'
    said(capsys, 'export', run, '--out', hf, *flags)
    assert 'is not empty; give a new folder' in said(capsys, 'export', run, '--out', hf, code=2)
    assert "'<s>', and" in said(capsys, 'convert', 'huggingface', hf, *out, '--bos', '<s>', code=2)
    assert not (tmp_path / 'o').exists()
    said(capsys, 'convert', 'huggingface', hf, *out, '--bos', 'none')
    assert open_trained(tmp_path / 'o').imported.bos is None
