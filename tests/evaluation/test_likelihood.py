"""Answers' likelihoods: what a plain forward pass gives, whatever the batches; few shapes compiled, few logits made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax.evaluation import likelihood
from t2jax.evaluation.likelihood import answer_nll, batches, join
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.tasks.boundaries import EncodedQuestions


def draw(prompt_lengths, answer_lengths, vocab=12, seed=0, widths=(0, 0)):
    """Draw questions of these lengths, padded with token 7 up to the longest or to `widths`."""
    rng = np.random.default_rng(seed)

    def pad(lengths, width):
        columns = np.arange(max(lengths.max(), width))
        return np.where(columns < lengths[:, None], rng.integers(0, vocab, (len(lengths), len(columns))), 7)

    P, S = (np.array(lengths, np.int32) for lengths in (prompt_lengths, answer_lengths))
    prompts, answers = pad(P, widths[0]).astype(np.int32), pad(S, widths[1]).astype(np.int32)
    return EncodedQuestions(prompts, P, answers, S, np.zeros(len(P), bool))


def by_hand(model, params, questions):
    """Score every question in a row of its own, padded with random tokens, all logits at once, summed in float64."""
    tokens, _ = join(questions)
    starts, ends = questions.prompt_lengths, questions.prompt_lengths + questions.answer_lengths
    behind = np.arange(tokens.shape[1]) >= ends[:, None]
    rows = np.where(behind, np.random.default_rng(9).integers(0, model.vocab, tokens.shape), tokens)
    logits = np.asarray(jax.jit(transformer.forward, static_argnums=0)(model, params, jnp.asarray(rows)), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return [-log_p[i, range(a - 1, b - 1), rows[i, a:b]].sum() for i, (a, b) in enumerate(zip(starts, ends))]


@pytest.fixture
def small_blocks(monkeypatch):
    """Batches of 64 slots for the tiny models, and logits of 16 of them at a time."""
    likelihood._score.clear_cache()
    monkeypatch.setattr(likelihood, 'BLOCK_BYTES', 2**10)
    yield
    likelihood._score.clear_cache()


RAGGED = draw(*np.random.default_rng(1).integers(1, (41, 10), (60, 2)).T)


def test_ragged_answers_equal_a_plain_forward_pass(variant):
    params = transformer.init_params(variant, jax.random.key(0))
    found = answer_nll(variant, params, RAGGED)
    assert found.dtype == np.float64 and found.shape == (60,)
    np.testing.assert_allclose(found, by_hand(variant, params, RAGGED), rtol=1e-5)


def test_many_batches_equal_one(variant, small_blocks):
    params = transformer.init_params(variant, jax.random.key(0))
    np.testing.assert_allclose(answer_nll(variant, params, RAGGED), by_hand(variant, params, RAGGED), rtol=1e-5)


def test_a_question_is_scored_alike_in_any_company(tiny, tiny_params, small_blocks):
    order = np.random.default_rng(2).permutation(60)[:37]
    some = EncodedQuestions(*(part[order] for part in vars(RAGGED).values()))
    np.testing.assert_allclose(
        answer_nll(tiny, tiny_params, some), answer_nll(tiny, tiny_params, RAGGED)[order], rtol=1e-5
    )


@pytest.mark.parametrize(
    ('prompts', 'answers'),
    [
        ([1], [1]),
        ([5, 3, 1], [1, 1, 1]),
        ([150, *[1] * 70], [8, *[1] * 70]),
        ([1] * 3, [120, 1, 1]),
    ],
    ids=['one of one token', 'one token each', 'one long among short', 'one long answer'],
)
def test_extreme_lengths(prompts, answers, tiny, tiny_params, small_blocks):
    questions = draw(prompts, answers)
    np.testing.assert_allclose(
        answer_nll(tiny, tiny_params, questions), by_hand(tiny, tiny_params, questions), rtol=1e-5
    )


def test_batches_hold_every_row_once_and_no_more_than_fits():
    lengths = np.random.default_rng(3).integers(1, 300, 2000)
    made = list(batches(lengths, 512, 299))
    assert sorted(row for batch, _, _ in made for row in batch) == list(range(2000))
    for batch, rows, width in made:
        assert len(batch) <= rows and lengths[batch].sum() <= 512 and lengths[batch].max() <= width
    assert 512 * len(made) < 1.1 * lengths.sum()  # of slots, few are empty


def test_widths_come_two_to_an_octave():
    lengths = np.random.default_rng(3).integers(1, 257, 4000)
    shapes = {(rows, width) for _, rows, width in batches(lengths, 512, 256)}
    assert {width for _, width in shapes} == {32, 48, 64, 96, 128, 192, 256} and len(shapes) == 7


def test_tasks_of_one_padded_shape_share_an_executable(tiny, tiny_params):
    """As in the mini study: 256 questions a task, prompts of 4 to 19 tokens padded to 19, answers of 3 or 4 to 4."""
    likelihood._score.clear_cache()
    rng = np.random.default_rng(4)
    for least, most in ((4, 4), (9, 9), (5, 6), (11, 19)):
        questions = draw(rng.integers(least, most + 1, 256), rng.integers(3, 5, 256), widths=(19, 4))
        answer_nll(tiny, tiny_params, questions)
    assert likelihood._score._cache_size() == 1


def test_few_shapes_are_compiled_however_many_questions(tiny, tiny_params):
    """One for each half of an octave that the lengths span, here 3 from 20 to 64 tokens."""
    likelihood._score.clear_cache()
    rng = np.random.default_rng(5)
    for count in (3000, 2900):
        answer_nll(tiny, tiny_params, draw(rng.integers(19, 61, count), rng.integers(1, 5, count), widths=(200, 8)))
    assert likelihood._score._cache_size() == 3


def test_logits_are_made_a_block_at_a_time():
    model = ModelConfig(vocab=50_000, d_model=16, n_layers=1, hidden_multiple=8)
    params = jax.eval_shape(lambda: transformer.init_params(model, jax.random.key(0)))
    slots = [jax.ShapeDtypeStruct((2048,), np.int32)] * 5
    rows, count = (jax.ShapeDtypeStruct(shape, np.int32) for shape in ((64,), ()))
    compiled = likelihood._score.lower(params, *slots, rows, count, model=model, width=48).compile()
    whole = 4 * 2048 * model.vocab
    assert compiled.memory_analysis().temp_size_in_bytes < whole / 4
