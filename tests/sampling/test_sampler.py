"""Sampling: a scripted three-token model with known answers, and a real decoder against its own full forward."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from t2jax.models import transformer
from t2jax.sampling import cache as caches
from t2jax.sampling.sampler import Samples, draw, sample_keys, sample_model

STOP = 0
# Row i: probabilities of the next of three tokens after token i; token 0 stops.
CHAIN = jnp.array([[1.0, 0.0, 0.0], [0.5, 0.2, 0.3], [0.1, 0.6, 0.3]])
FIRST = jnp.array([[0.2, 0.5, 0.3]])


def scripted(carry, tokens_BG, column):
    return jnp.log(CHAIN)[tokens_BG], carry


def sample_chain(root, samples, max_tokens=3, temperature=1.0) -> Samples:
    keys = sample_keys(root, jnp.array([0]), samples)
    return draw(scripted, (), jnp.log(FIRST), keys, max_tokens, STOP, jnp.float32(temperature))


def exact_distribution(max_tokens=3):
    """Enumerate the scripted model's outputs, padded with the stop token, and their probabilities."""
    grown = {(): 1.0}
    for position in range(max_tokens):
        longer = {}
        for text, p in grown.items():
            row = FIRST[0] if not position else CHAIN[text[-1]]
            for token in (0,) if text and text[-1] == STOP else range(3):
                longer[(*text, token)] = longer.get((*text, token), 0) + p * float(row[token])
        grown = longer
    return {text: p for text, p in grown.items() if p > 0}


def test_sampled_frequencies_are_the_exact_distribution():
    n = 100_000
    out = np.asarray(sample_chain(jax.random.key(1), jnp.arange(n)).tokens_BGS[0])
    exact = exact_distribution()
    texts, counts = np.unique(out, axis=0, return_counts=True)
    seen = {tuple(text): count for text, count in zip(texts.tolist(), counts.tolist())}
    assert seen.keys() <= exact.keys()
    found = [seen.get(text, 0) for text in exact]
    expected = np.array(list(exact.values()))
    assert stats.chisquare(found, n * expected / expected.sum()).pvalue > 1e-3


def test_log_probabilities_and_lengths_are_those_of_the_text():
    samples = sample_chain(jax.random.key(2), jnp.arange(200))
    exact = exact_distribution()
    for text, length, log_prob in zip(*(np.asarray(part)[0].tolist() for part in samples)):
        assert np.exp(log_prob) == pytest.approx(exact[tuple(text)], rel=1e-5)
        assert length == (text.index(STOP) + 1 if STOP in text else 3)


def test_any_chunking_gives_the_same_samples():
    whole = sample_chain(jax.random.key(3), jnp.arange(64)).tokens_BGS
    parts = [sample_chain(jax.random.key(3), jnp.arange(a, b)).tokens_BGS for a, b in ((0, 5), (5, 40), (40, 64))]
    assert (whole == jnp.concatenate(parts, axis=1)).all()
    assert len(np.unique(np.asarray(whole[0]), axis=0)) > 5  # and chunks do not repeat one another
    other = sample_chain(jax.random.key(4), jnp.arange(64)).tokens_BGS
    assert (whole != other).any()


def test_zero_temperature_is_argmax():
    tokens = sample_chain(jax.random.key(5), jnp.arange(4), temperature=0.0).tokens_BGS
    assert (tokens == jnp.array([1, 0, 0])).all()  # 1 is the likeliest first, then 0 after 1


def test_no_room_for_a_token_is_refused():
    with pytest.raises(ValueError, match='max_tokens is 0; a sample needs at least 1'):
        sample_chain(jax.random.key(0), jnp.arange(2), max_tokens=0)


PROMPTS = np.array([[3, 5, 2, 7, 0], [4, 0, 0, 0, 0], [6, 6, 1, 0, 0]])
LENGTHS = np.array([4, 1, 3])


@pytest.fixture(scope='module')
def drawn(tiny, tiny_params):
    return sample_tiny(tiny, tiny_params, np.arange(3), np.arange(6))


def sample_tiny(tiny, params, rows, samples, temperature=1.0, prompts=PROMPTS):
    return sample_model(
        params,
        prompts[rows],
        LENGTHS[rows],
        rows,
        samples,
        jax.random.key(7),
        jnp.float32(temperature),
        model=tiny,
        max_tokens=5,
        stop_id=10,
    )


def test_cached_decode_equals_the_full_forward(tiny, tiny_params, drawn):
    """Score every sampled text by a forward pass over prompt and text: same log-probability as while sampling."""
    for b in range(3):
        for g in range(6):
            text = np.asarray(drawn.tokens_BGS[b, g])[: int(drawn.lengths_BG[b, g])]
            prompt = PROMPTS[b, : LENGTHS[b]]
            logits = transformer.forward(tiny, tiny_params, jnp.array([*prompt, *text])[None])[0]
            log_p = jax.nn.log_softmax(logits)[len(prompt) - 1 : -1]
            total = log_p[np.arange(len(text)), text].sum()
            np.testing.assert_allclose(drawn.log_probs_BG[b, g], total, rtol=1e-4)


def test_a_sample_does_not_depend_on_its_batch_or_padding(tiny, tiny_params, drawn):
    alone = sample_tiny(tiny, tiny_params, np.array([2]), np.array([4]))
    assert (alone.tokens_BGS[0, 0] == drawn.tokens_BGS[2, 4]).all()
    wider = np.pad(PROMPTS, [(0, 0), (0, 4)], constant_values=9)
    padded = sample_tiny(tiny, tiny_params, np.arange(3), np.arange(6), prompts=wider)
    assert (padded.tokens_BGS == drawn.tokens_BGS).all()


def test_a_shared_prefix_equals_a_copied_one(tiny, tiny_params):
    """One question with four samples decodes like four questions with one sample each."""
    logits, shared = caches.prefill(tiny, tiny_params, PROMPTS[:1], LENGTHS[:1], 4, 3)
    _, copied = caches.prefill(tiny, tiny_params, PROMPTS[[0] * 4], LENGTHS[[0] * 4], 1, 3)
    tokens = jnp.array([[1, 5, 9, 2]])
    for column in range(3):
        a, shared = caches.decode_step(tiny, tiny_params, shared, tokens, jnp.int32(column))
        b, copied = caches.decode_step(tiny, tiny_params, copied, tokens.T, jnp.int32(column))
        np.testing.assert_allclose(a[0], b[:, 0], rtol=1e-5, atol=1e-5)


def test_greedy_samples_follow_the_argmax_of_the_full_forward(tiny, tiny_params):
    out = sample_tiny(tiny, tiny_params, np.arange(3), np.arange(1), temperature=0.0)
    for b in range(3):
        text = list(PROMPTS[b, : LENGTHS[b]])
        for token in np.asarray(out.tokens_BGS[b, 0])[: int(out.lengths_BG[b, 0])]:
            assert token == int(transformer.forward(tiny, tiny_params, jnp.array(text)[None])[0, -1].argmax())
            text.append(token)


def test_temperature_seed_and_questions_do_not_recompile(tiny, tiny_params, drawn):
    before = sample_model._cache_size()
    sample_tiny(tiny, tiny_params, np.array([1, 0, 2]), np.arange(6, 12), temperature=0.5)
    assert sample_model._cache_size() == before


def test_eight_devices_sample_like_one(tiny, tiny_params, drawn):
    """Questions and samples split over a mesh: the same tokens."""
    mesh = jax.make_mesh((8,), ('x',), axis_types=(jax.sharding.AxisType.Auto,))
    split = lambda *axes: jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
    samples = jax.device_put(np.arange(16), split('x'))
    place = partial(jax.device_put, device=split())
    out = sample_model(
        jax.tree.map(place, tiny_params),
        *(place(x) for x in (PROMPTS, LENGTHS, np.arange(3))),
        samples,
        place(jax.random.key(7)),
        place(jnp.float32(1.0)),
        model=tiny,
        max_tokens=5,
        stop_id=10,
    )
    assert (np.asarray(out.tokens_BGS)[:, :6] == np.asarray(drawn.tokens_BGS)).all()
