"""Measuring a model: likelihoods by hand, samples that agree with them, files that are reused or refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax.data.vocabulary import WordVocabulary
from t2jax.evaluation import runner
from t2jax.evaluation.likelihood import answer_nll, join, text_loss
from t2jax.models import transformer
from t2jax.tasks.boundaries import encode_questions
from t2jax.tasks.questions import Question

STOP = 10
QUESTIONS = [Question(f'q{i}', p, a) for i, (p, a) in enumerate([('1 2 3', ' 4 10'), ('5', ' 10'), ('7 8', ' 6 10')])]


@pytest.fixture(scope='module')
def task():
    words = WordVocabulary([str(i) for i in range(1, 12)])
    return runner.EncodedTask('digits', QUESTIONS, encode_questions(QUESTIONS, words, 0, prompt=5, answer=3), STOP)


TEXT = np.random.default_rng(0).integers(0, 11, (4, 9))


def test_answers_are_laid_behind_their_prompts(task):
    tokens, is_answer = join(task.encoded)
    assert tokens[0].tolist() == [0, 1, 2, 3, 4, 10, 0, 0]
    assert tokens[1].tolist() == [0, 5, 10, 0, 0, 0, 0, 0]
    assert is_answer[2].tolist() == [False] * 3 + [True] * 2 + [False] * 3


def test_an_answers_nll_is_the_sum_of_its_tokens(tiny, tiny_params, task):
    found = answer_nll(tiny, tiny_params, task.encoded)
    for question, nll in zip(QUESTIONS, found):
        prompt, answer = ([int(x) for x in text.split()] for text in (question.prompt, question.answer))
        log_p = jax.nn.log_softmax(transformer.forward(tiny, tiny_params, jnp.array([[0, *prompt, *answer]]))[0])
        by_hand = -sum(float(log_p[len(prompt) + i, token]) for i, token in enumerate(answer))
        assert nll == pytest.approx(by_hand, rel=1e-5)


def test_text_loss_is_the_mean_over_targets(tiny, tiny_params):
    log_p = jax.nn.log_softmax(transformer.forward(tiny, tiny_params, jnp.asarray(TEXT[:, :-1])))
    by_hand = -np.take_along_axis(np.asarray(log_p), TEXT[:, 1:, None], -1).mean()
    assert text_loss(tiny, tiny_params, TEXT) == pytest.approx(by_hand, rel=1e-5)


def test_samples_succeed_as_often_as_the_likelihood_says(tiny, tiny_params, task, one_device):
    n = 20_000
    settings = runner.Evaluation(samples=n)
    correct = runner.count_correct(tiny, tiny_params, task, settings, jax.random.key(3), one_device)
    p = np.exp(-answer_nll(tiny, tiny_params, task.encoded))
    assert (n * p > 3).all()
    assert (np.abs(correct - n * p) < 4 * np.sqrt(n * p * (1 - p))).all()


def test_files_are_reused_and_settings_compared(tiny, tiny_params, task, one_device, tmp_path):
    settings = runner.Evaluation(samples=8, k=(1, 4, 16))
    assert not runner.is_evaluated(tmp_path, [task])
    runner.evaluate(tiny, tiny_params, [task], TEXT, settings, tmp_path, one_device)
    assert runner.is_evaluated(tmp_path, [task])
    before = (tmp_path / 'digits.csv').stat().st_mtime_ns
    runner.evaluate(tiny, tiny_params, [task], TEXT, settings, tmp_path, one_device)
    assert (tmp_path / 'digits.csv').stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r'holds another config \(samples: 8 -> 16\)'):
        other = runner.Evaluation(samples=16, k=(1, 4, 16))
        runner.evaluate(tiny, tiny_params, [task], TEXT, other, tmp_path, one_device)
    table = runner.observe({'r': tmp_path}, {'r': (10.0, 100.0)}, ['digits'], settings.k)
    assert table.k.tolist() == [1, 4, 16] and table.train_flops[0] == 6000
    assert np.isnan(table.pass_at_k_sampled).tolist() == [False, False, True]
    head, row, *_ = (tmp_path / 'digits.csv').read_text().splitlines()
    assert head.split(',')[2:4] == ['n_tokens', 'n_bytes'] and row.split(',')[2:4] == ['2', '5']
    nll, n, correct = runner.read_evaluation(tmp_path / 'digits.csv')
    assert table.nll[0] == nll.mean() and table.pass_at_k_sampled[0] == pytest.approx(correct.mean() / n)
    losses = runner.observe_losses({'r': tmp_path}, {'r': (10.0, 100.0)})
    assert losses.nll.tolist() == [text_loss(tiny, tiny_params, TEXT)]


def test_a_damaged_or_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='x.csv; run the evaluate stage first'):
        runner.read_evaluation(tmp_path / 'x.csv')
    (tmp_path / 'x.csv').write_text('question,nll\nq,1.0\n')
    with pytest.raises(ValueError, match=r"x.csv is damaged \('n_samples'\); delete it"):
        runner.read_evaluation(tmp_path / 'x.csv')
