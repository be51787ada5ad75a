"""Likelihoods of real questions are those of an independent decoder in PyTorch, question by question."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from t2jax.data.tokenizers import train_vocabulary
from t2jax.evaluation.likelihood import answer_nll
from t2jax.evaluation.questions import find_questions
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.tasks.boundaries import encode_questions

torch = pytest.importorskip('torch', reason="torch is not installed; pip install '.[test]'")
from experiments.torch_decoder import load  # noqa: E402

DATA = Path(__file__).resolve().parents[2].parent / 'shared' / 'data' / 'tasks'
FILES = {
    'lambada': 'lambada_openai_test',
    'arc_easy': 'arc_easy_test',
    'openbookqa': 'openbookqa_test',
    'sciq': 'sciq_validation',
}
COUNT = 200


def by_hand(name, row):
    """Write prompt and answer as T2 does, from its description alone."""
    if name == 'lambada':
        return row['context'], ' ' + row['target']
    answer = ' ' + row['choices'][row['answer']]
    if name == 'openbookqa':
        return row['question'], answer
    support = row['support'] + '\n' if row.get('support') else ''
    return support + 'Question: ' + row['question'] + '\nAnswer:', answer


@pytest.mark.parametrize('name', FILES)
def test_200_real_questions_score_the_same(name, tmp_path):
    path = DATA / f'{FILES[name]}.jsonl'
    if not path.exists():
        pytest.skip(f'no {path.name} beside this checkout; the test needs real questions')
    questions = find_questions(f'{name}:{path}').questions
    chosen = np.random.default_rng(0).permutation(len(questions))[:COUNT].tolist()
    rows = [json.loads(line) for line in path.read_text(encoding='utf-8').split('\n') if line]
    texts = [by_hand(name, rows[i]) for i in chosen]
    assert [(questions[i].prompt, questions[i].answer) for i in chosen] == texts
    vocabulary = train_vocabulary((p + a for p, a in texts), 2000, tmp_path / 'tokenizer.json', quiet=True)
    model = ModelConfig(len(vocabulary), 32, 2, hidden_multiple=16)
    params = transformer.init_params(model, jax.random.key(0))
    params = jax.tree.map(lambda x: 2 * x, params)  # far from uniform
    encoded = encode_questions([questions[i] for i in chosen], vocabulary, vocabulary.end_id)
    found = answer_nll(model, params, encoded)
    theirs = torch_nll(model, params, tmp_path / 'tokenizer.json', texts)
    assert np.std(theirs) > 1 and not encoded.straddling.any()
    np.testing.assert_allclose(found, theirs, rtol=0, atol=1e-3)


def torch_nll(model, params, tokenizer, texts):
    """Tokenize with the library itself, text whole; score each in a row of its own, summed in float64."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
    end = tokenizer.token_to_id('<|endoftext|>')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = []
    for prompt, answer in texts:
        before, whole = tokenizer.encode(prompt).ids, tokenizer.encode(prompt + answer).ids
        assert whole[: len(before)] == before
        ids = torch.tensor([[end, *whole]])
        with torch.inference_mode():
            log_p = load(model, ids.shape[1], params)(ids)[0].double().log_softmax(-1)
        targets = range(1 + len(before), 1 + len(whole))
        found.append(-sum(log_p[at - 1, ids[0, at]].item() for at in targets))
    torch.set_num_threads(threads)
    return np.array(found)
