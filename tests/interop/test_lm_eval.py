"""The lm-evaluation-harness finds in a model of ours what it finds in the same weights by way of transformers."""

import json
import logging
import os
import sys
from functools import partial

import jax
import numpy as np
import pytest

os.environ.setdefault('HF_HUB_OFFLINE', '1')
os.environ.setdefault('HF_DATASETS_OFFLINE', '1')
for package in ('lm_eval', 'torch', 'transformers'):
    pytest.importorskip(package, reason=f"{package} is not installed; pip install '.[test]'")
import torch  # noqa: E402
from lm_eval import simple_evaluate  # noqa: E402
from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from t2jax.data.tokenizers import train_vocabulary  # noqa: E402
from t2jax.interop.huggingface_export import export_huggingface  # noqa: E402
from t2jax.interop.lm_eval import T2jaxLM, main  # noqa: E402
from t2jax.models import transformer  # noqa: E402
from t2jax.models.config import ModelConfig  # noqa: E402
from t2jax.training.trained import Imported, save_imported  # noqa: E402
from tests.made_run import make_run  # noqa: E402

MODEL = ModelConfig(vocab=320, d_model=32, n_layers=2, hidden_multiple=16)
CONTEXT = 48
FORWARD = jax.jit(partial(transformer.forward, MODEL))
TEXT = [
    'The river rose in the night, and by the morning the lower fields were under water.',
    'Nobody in the village had seen it so high since the year of the great frost.',
    'They moved the cattle to the hill; the old mill, which nobody used, was left to itself.',
    'In the evening the rain stopped. Two children found a boat tied to the church door.',
    "It was not anybody's boat, as far as anybody knew: a green one, with a name in gold.",
]
PAIRS = [
    ('The river rose in the', ' night'),
    ('The river rose in the ', 'morning'),  # the space goes to the answer
    ('Nobody in the village had seen', ' it so high since the year'),
    ('', 'In the evening the rain stopped.'),  # nothing before it
    (' '.join(TEXT), ' and nobody came back for it'),  # longer than the context
    ('a', 'bc'),
]


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp('tokenizer') / 'tokenizer.json'
    train_vocabulary(TEXT, 300, path, quiet=True)
    return path


@pytest.fixture(scope='module')
def params():
    """Random params, gains too, and sharper than at the start, so that the likeliest token is seldom a close call."""
    draw = np.random.default_rng(0)
    gain = lambda path, x: x * draw.uniform(0.5, 1.5, x.shape).astype('f4') if path[-1].key == 'gain' else x
    params = jax.tree_util.tree_map_with_path(gain, transformer.init_params(MODEL, jax.random.key(3)))
    return params | {'head': 2 * params['head']}


def save(folder, tokenizer, params, **about):
    what = {'name': 'tiny', 'model': MODEL, 'context': CONTEXT, 'tokens': None, 'source': 'test', 'bos': None}
    save_imported(folder, Imported(**{**what, 'end': None, **about}), params, tokenizer)
    return folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory, tokenizer, params):
    return save(tmp_path_factory.mktemp('models') / 'tiny', tokenizer, params)


@pytest.fixture(scope='module')
def ours(folder):
    return T2jaxLM(checkpoint=str(folder), batch_size=1, max_batch_size=None, device=None)


@pytest.fixture(scope='module')
def theirs(tmp_path_factory, tokenizer, params):
    """The harness's own adapter of transformers, on the same weights."""
    for package in ('accelerate', 'peft'):
        pytest.importorskip(package, reason=f"{package} is not installed; pip install '.[test]'")
    from lm_eval.models.huggingface import HFLM

    exported = tmp_path_factory.mktemp('exported') / 'tiny'
    export_huggingface(MODEL, params, tokenizer, exported, CONTEXT, end='<|endoftext|>')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for a busy core take longer than the work
    yield HFLM(pretrained=str(exported), dtype='float32', batch_size=8, device='cpu')
    torch.set_num_threads(threads)


def instances(kind, arguments):
    return [Instance(kind, {}, args, i) for i, args in enumerate(arguments)]


def write_task(folder, name, rows, settings):
    data = folder / f'{name}.jsonl'
    data.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    task = {
        'task': name,
        'dataset_path': 'json',
        'dataset_kwargs': {'data_files': {'test': str(data)}, 'cache_dir': str(folder / 'cache')},
        'test_split': 'test',
        'doc_to_text': '{{context}}',
        'doc_to_target': '{{target}}',
        'target_delimiter': '',
        **settings,
    }
    (folder / f'{name}.yaml').write_text(json.dumps(task))  # JSON is YAML


@pytest.fixture(scope='module')
def tasks(tmp_path_factory):
    """A task of each kind that a question can be."""
    folder = tmp_path_factory.mktemp('tasks')
    rows = [{'context': context, 'target': target} for context, target in PAIRS]
    metrics = [{'metric': name, 'aggregation': way} for name, way in (('perplexity', 'perplexity'), ('acc', 'mean'))]
    write_task(folder, 'made_pairs', rows, {'output_type': 'loglikelihood', 'metric_list': metrics})
    generation = {'until': ['e', '\n\n'], 'max_gen_toks': 16, 'do_sample': False, 'temperature': 0.0}
    settings = {'output_type': 'generate_until', 'generation_kwargs': generation}
    write_task(folder, 'made_texts', [row for row in rows if row['context']], settings)
    write_task(folder, 'made_answers', rows[:2], {'output_type': 'loglikelihood', 'metric_list': metrics[1:]})
    return folder


def evaluate(lm, tasks):
    """Run both tasks: the results of each, and the answers in the order of its questions."""
    names = ['made_pairs', 'made_texts']
    manager = TaskManager(include_path=str(tasks), include_defaults=False)  # thousands, which take seconds to list
    found = simple_evaluate(lm, tasks=names, task_manager=manager, bootstrap_iters=0)
    samples = {name: sorted(found['samples'][name], key=lambda sample: sample['doc_id']) for name in names}
    return found['results'], {name: [sample['resps'][0][0] for sample in samples[name]] for name in names}


def test_tasks_come_out_as_through_transformers(ours, theirs, tasks):
    our_results, our_answers = evaluate(ours, tasks)
    their_results, their_answers = evaluate(theirs, tasks)
    our_scores, their_scores = our_answers['made_pairs'], their_answers['made_pairs']
    assert len(our_scores) == len(PAIRS)
    np.testing.assert_allclose([score for score, _ in our_scores], [score for score, _ in their_scores], atol=1e-3)
    assert [greedy for _, greedy in our_scores] == [greedy for _, greedy in their_scores]
    ours, theirs = our_results['made_pairs'], their_results['made_pairs']
    assert ours['perplexity,none'] == pytest.approx(theirs['perplexity,none'], rel=1e-3)
    assert ours['acc,none'] == theirs['acc,none']
    texts = our_answers['made_texts']
    assert texts == their_answers['made_texts'] and any(texts) and len(set(texts)) > 2
    assert not any('e' in text for text in texts)


def likeliest(lm, params, context, length):
    """Continue greedily by the whole model, a token at a time."""
    ids = lm.tok_encode(context)
    for _ in range(length):
        row = np.zeros((1, 16), np.int32)
        row[0, : len(ids)] = ids
        ids.append(int(FORWARD(params, row)[0, len(ids) - 1].argmax()))
    return ids[-length:]


def test_the_greedy_flag_says_whether_every_token_is_the_likeliest(ours, theirs, params):
    context = ours.tok_encode('The river rose')
    best = likeliest(ours, params, 'The river rose', 3)
    others = [best[:2] + [best[2] ^ 1], [best[0] ^ 1] + best[1:], best[:1], best]
    requests = [(None, context, continuation) for continuation in others]
    assert [greedy for _, greedy in ours._loglikelihood_tokens(requests)] == [False, False, True, True]
    assert [greedy for _, greedy in theirs._loglikelihood_tokens(requests)] == [False, False, True, True]


@pytest.mark.parametrize('length', [CONTEXT - 1, CONTEXT, CONTEXT + 1, CONTEXT + 2, 3 * CONTEXT])
def test_long_contexts_are_cut_as_through_transformers(ours, theirs, length):
    draw = np.random.default_rng(length)  # all unlike: of one text split in two ways HFLM confuses the scores
    rows = [(draw.integers(1, 300, length).tolist(), split) for split in (1, 5, CONTEXT - 2)]
    requests = [(None, ids[:-split], ids[-split:]) for ids, split in rows]
    our_scores, their_scores = (lm._loglikelihood_tokens(requests, disable_tqdm=True) for lm in (ours, theirs))
    np.testing.assert_allclose(*([score for score, _ in part] for part in (our_scores, their_scores)), atol=1e-3)


def test_rolling_likelihoods_are_those_through_transformers(ours, theirs):
    texts = [(text,) for text in ['a', TEXT[0], ' '.join(TEXT), ' '.join(TEXT * 2)]]
    requests = instances('loglikelihood_rolling', texts)
    assert len(ours.tok_encode(texts[2][0])) > 2 * CONTEXT
    np.testing.assert_allclose(ours.loglikelihood_rolling(requests), theirs.loglikelihood_rolling(requests), atol=1e-3)


def test_a_text_shorter_than_the_context_rolls_as_it_is_scored(ours):
    rolled = ours.loglikelihood_rolling(instances('loglikelihood_rolling', [('a boat',), ('',)]))
    scored = ours.loglikelihood(instances('loglikelihood', [('', 'a boat')]))
    assert rolled == [pytest.approx(scored[0][0], abs=1e-4), 0.0]


def test_scores_do_not_depend_on_what_is_scored_beside_them(ours, monkeypatch):
    monkeypatch.setattr('t2jax.interop.lm_eval.SCORED_ROWS', 2)
    cut = ours.loglikelihood(instances('loglikelihood', PAIRS))
    monkeypatch.undo()
    together = ours.loglikelihood(instances('loglikelihood', PAIRS))
    assert [greedy for _, greedy in cut] == [greedy for _, greedy in together]
    np.testing.assert_allclose([score for score, _ in cut], [score for score, _ in together], atol=1e-4)


GREEDY = {'max_gen_toks': 16, 'until': []}


def generate(lm, contexts, **how):
    return lm.generate_until(instances('generate_until', [(context, {**GREEDY, **how}) for context in contexts]))


def test_generations_are_the_likeliest_tokens(ours, params):
    (text,) = generate(ours, ['The river'])
    ids = likeliest(ours, params, 'The river', 4)
    assert ours.eot_token_id not in ids and text.startswith(ours._vocabulary.decode(ids))


def test_a_generation_ends_before_the_first_stop_string_wherever_tokens_part(ours):
    (whole,) = generate(ours, ['It was not'])
    for start, stop in [(0, 1), (3, 4), (3, 7), (5, 9)]:
        string = whole[start:stop]
        assert generate(ours, ['It was not'], until=[string]) == [whole[: whole.index(string)]]
        assert generate(ours, ['It was not'], until=['never there', string]) == [whole[: whole.index(string)]]
        assert generate(ours, ['It was not'], until=string) == [whole[: whole.index(string)]]
    assert generate(ours, ['It was not'], until=[whole + '?']) == [whole]


def test_the_end_of_a_document_ends_a_generation_and_is_no_text(tmp_path, tokenizer, params, ours):
    second = likeliest(ours, params, 'In the', 2)[1]
    swapped = np.arange(MODEL.vocab)
    swapped[[ours.eot_token_id, second]] = second, ours.eot_token_id
    folder = save(tmp_path / 'swapped', tokenizer, params | {'head': params['head'][:, swapped]})
    assert generate(T2jaxLM(str(folder)), ['In the']) == [ours._vocabulary.decode(likeliest(ours, params, 'In the', 1))]


def test_long_prompts_are_cut_on_the_left_so_that_the_generation_fits(ours, theirs):
    contexts = [' '.join(TEXT), ' '.join(TEXT * 2), 'In']
    assert generate(ours, contexts) == generate(theirs, contexts)
    kept = ours.tok_encode(contexts[0])[-(CONTEXT - 16) :]
    assert generate(ours, [ours._vocabulary.decode(kept)]) == generate(ours, contexts[:1])


def test_requests_of_other_arguments_are_answered_each_by_its_own(ours):
    (whole,) = generate(ours, ['In the'])
    asked = [('In the', GREEDY), ('In the', {**GREEDY, 'until': whole[4:6]}), ('They', {**GREEDY, 'until': whole[4:6]})]
    together = ours.generate_until(instances('generate_until', asked))
    assert together == [ours.generate_until(instances('generate_until', [one]))[0] for one in asked]
    assert together[:2] == [whole, whole[: whole.index(whole[4:6])]] != together[2:]


def test_samples_are_drawn_where_they_are_asked_for(ours, folder):
    sampled = generate(ours, ['In the'] * 8, do_sample=True)
    assert len(set(sampled)) == 8 and generate(ours, ['In the'] * 8, do_sample=True, temperature=1.0) == sampled
    assert generate(ours, ['In the'] * 8, temperature=1.0) == sampled
    assert generate(T2jaxLM(str(folder), seed=1), ['In the'] * 8, do_sample=True) != sampled
    greedy = generate(ours, ['In the'])
    assert set(generate(ours, ['In the'] * 8, do_sample=True, top_k=1)) == set(greedy)
    assert set(generate(ours, ['In the'] * 8, do_sample=True, top_p=1e-6)) == set(greedy)
    assert set(generate(ours, ['In the'] * 8, do_sample=True, temperature=0.0)) == set(greedy)
    assert set(generate(ours, ['In the'] * 8, do_sample=False, temperature=1.0)) == set(greedy)


def test_an_empty_prompt_goes_on_from_the_end_of_a_document(ours):
    assert len(generate(ours, [''])[0]) > 0 and ours.prefix_token_id == ours.eot_token_id


def test_texts_begin_with_what_the_model_was_imported_with_where_told_to(tmp_path, tokenizer, params, ours):
    folder = save(tmp_path / 'begun', tokenizer, params, bos='a', end='<|endoftext|>')
    begun, plain = T2jaxLM(str(folder), bos=True), T2jaxLM(str(folder))  # its tokenizer.json puts nothing there
    (first,) = ours.tok_encode('a')
    assert begun.tok_encode('boat') == [first, *ours.tok_encode('boat')] and begun.prefix_token_id == first
    assert begun.tok_encode('boat', add_special_tokens=False) == plain.tok_encode('boat') == ours.tok_encode('boat')
    requests = instances('loglikelihood', [('In the', ' evening')])
    ids = [(None, [first, *ours.tok_encode('In the')], ours.tok_encode(' evening'))]
    assert begun.loglikelihood(requests) == ours._loglikelihood_tokens(ids) != plain.loglikelihood(requests)
    assert len({lm.tokenizer_name for lm in (begun, plain)}) == 2


def test_a_run_begins_its_texts_with_the_end_of_a_document_where_it_is_told_to(tmp_path):
    folder = make_run(tmp_path)
    plain, begun = T2jaxLM(str(folder)), T2jaxLM(str(folder), bos=True)
    assert plain.tok_encode('1 2') == [1, 2] and begun.tok_encode('1 2') == [0, 1, 2] and plain.max_length == 16
    ((score, greedy),) = plain.loglikelihood(instances('loglikelihood', [('2 3 4', ' 5')]))
    assert greedy and score > -0.5  # it was taught to count
    assert plain.generate_until(instances('generate_until', [('3 4', {'max_gen_toks': 3, 'until': []})])) == ['5 6 7']


def test_answers_are_kept_for_the_harnesss_cache(ours, monkeypatch):
    kept = []
    monkeypatch.setattr(ours.cache_hook, 'add_partial', lambda *what: kept.append(what))
    score = ours.loglikelihood(instances('loglikelihood', PAIRS[:1]))[0]
    rolled = ours.loglikelihood_rolling(instances('loglikelihood_rolling', [('a',)]))[0]
    (text,) = generate(ours, ['In'])
    assert kept == [
        ('loglikelihood', PAIRS[0], score),
        ('loglikelihood_rolling', ('a',), rolled),
        ('generate_until', ('In', GREEDY), text),
    ]


def test_the_harnesss_own_command_line_knows_the_model(folder, tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(logging.root, 'handlers', logging.root.handlers[:])
    before = list(sys.argv)
    flags = ['--model', 't2jax', '--model_args', f'checkpoint={folder},max_length=40', '--tasks', 'made_answers']
    main([*flags, '--include_path', str(tasks), '--output_path', str(tmp_path / 'out')])
    assert sys.argv == before
    (results,) = (tmp_path / 'out').rglob('results_*.json')
    found = json.loads(results.read_text())
    assert found['results']['made_answers']['acc,none'] == 0 and found['n-samples']['made_answers']['effective'] == 2
    assert found['config']['model'] == 't2jax' and found['config']['model_revision'] == '0'
    assert found['config']['model_num_parameters'] > 0


def test_the_harness_keeps_its_other_models():
    from lm_eval.api.registry import get_model

    with pytest.raises(SystemExit):
        main(['--help'])
    assert get_model('t2jax') is T2jaxLM and get_model('dummy').__name__ == 'DummyLM'


def test_an_unknown_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        T2jaxLM(checkpoint=str(tmp_path / 'nowhere'))
    with pytest.raises(ValueError, match='say --model_args checkpoint=FOLDER'):
        T2jaxLM()


def test_another_tokenizer_than_the_models_own_is_refused(folder, tmp_path):
    path = tmp_path / 'big.json'
    train_vocabulary(TEXT + [f'{i:04d}x{i * i}' for i in range(400)], 400, path, quiet=True)
    with pytest.raises(ValueError, match=r'big\.json is not the tokenizer in .*tiny; leave --tokenizer out'):
        T2jaxLM(str(folder), tokenizer=str(path))


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ({'bos': True}, 'imported without a token that texts begin with'),
        ({'max_length': CONTEXT + 1}, 'max_length is 49; give 1 to 48'),
        ({'max_length': 0}, 'max_length is 0'),
        ({'step': 3}, 'has no steps'),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit_the_model_are_refused(folder, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        T2jaxLM(str(folder), **arguments)


@pytest.mark.parametrize(
    ('how', 'sentence'),
    [
        ({'max_gen_toks': CONTEXT}, 'max_gen_toks is 48 and the model sees 48 tokens at once'),
        ({'num_beams': 4, 'num_return_sequences': 1}, 'generation with num_beams=4 is not supported'),
        ({'do_sample': True, 'temperature': -1.0}, 'temperature is -1'),
        ({'do_sample': True, 'top_p': 2.0}, 'top-p is 2'),
    ],
    ids=str,
)
def test_generation_that_there_is_not_is_refused(ours, how, sentence):
    with pytest.raises(ValueError, match=sentence):
        generate(ours, ['In'], **how)


@pytest.mark.parametrize(('context', 'continuation'), [([], [3]), ([3], []), ([3], [4] * (CONTEXT + 1))])
def test_what_cannot_be_scored_is_refused(ours, context, continuation):
    with pytest.raises(ValueError, match='at least one of each, and at most 48 of continuation'):
        ours._loglikelihood_tokens([(('text', 'answer'), context, continuation)])
