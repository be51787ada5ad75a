"""Picks are exact draws, log-probabilities those of their distributions, thresholds those of a sort."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from t2jax.sampling.choice import BLOCK, Rule, choose, sample_keys, shape


def rule(temperature=1.0, top_p=1.0, top_k=0):
    return Rule(jnp.float32(temperature), jnp.float32(top_p), jnp.int32(top_k))


def pick(logits_BXV, n, how, seed=0, position=0):
    keys = sample_keys(jax.random.key(seed), jnp.arange(len(logits_BXV)), jnp.tile(jnp.arange(n), (len(logits_BXV), 1)))
    return jax.jit(choose)(keys, jnp.full(keys.shape, position), jnp.asarray(logits_BXV, jnp.float32), how)


def kept_by_sorting(logits, how):
    """Softmax of what temperature, top-k and top-p leave, by sorting, in float64."""
    p = np.exp(np.float64(logits) / float(how.temperature))
    p /= p.sum()
    order = np.argsort(-p, kind='stable')
    if int(how.top_k):
        p[order[int(how.top_k) :]] = 0
        p /= p.sum()
    enough = np.searchsorted(np.cumsum(p[order]), float(how.top_p)) + 1
    p[order[enough:]] = 0
    return p / p.sum()


RULES = [rule(), rule(0.7), rule(1.0, 0.6), rule(1.0, 1.0, 7), rule(1.3, 0.8, 20)]


@pytest.mark.parametrize('how', RULES, ids=['plain', 'cool', 'top-p', 'top-k', 'all'])
@pytest.mark.parametrize('words', [11, 3 * BLOCK + 5])
def test_frequencies_and_log_probabilities_are_those_of_the_distribution(words, how):
    """Among 773 words in four blocks, a few are likely and the others are counted together."""
    logits = np.random.default_rng(words).normal(size=words) * 2
    n = 100_000
    picks = pick(logits[None, None], n, how, seed=words)
    tokens = np.asarray(picks.tokens[0])
    p = kept_by_sorting(logits, how)
    assert p[tokens].min() > 0
    common = n * p > 20
    seen, expected = np.bincount(tokens, minlength=words), n * p
    lump = lambda x: [*x[common], x[~common].sum()] if (p[~common] > 0).any() else x[common]
    assert stats.chisquare(lump(seen), lump(expected)).pvalue > 1e-3
    np.testing.assert_allclose(picks.log_probs[0], np.log(p[tokens]), atol=2e-5)
    plain = logits - np.log(np.exp(logits).sum())
    np.testing.assert_allclose(picks.model_log_probs[0], plain[tokens], atol=2e-5)


def test_zero_temperature_is_argmax_and_certain():
    logits = np.random.default_rng(0).normal(size=(2, 3, 700))
    picks = pick(logits, 3, rule(0.0, 0.5, 3))
    assert (np.asarray(picks.tokens) == logits.argmax(-1)).all()
    assert (np.asarray(picks.log_probs) == 0).all()
    np.testing.assert_allclose(picks.model_log_probs, logits.max(-1) - np.log(np.exp(logits).sum(-1)), rtol=1e-5)


def test_one_row_of_logits_for_all_samples_is_that_row_repeated():
    logits = np.random.default_rng(1).normal(size=(2, 1, 700))
    for how in RULES:
        a, b = pick(logits, 5, how), pick(np.repeat(logits, 5, axis=1), 5, how)
        assert (a.tokens == b.tokens).all()
        np.testing.assert_allclose(a.log_probs, b.log_probs, rtol=1e-6)


def test_noise_is_of_the_seed_question_sample_and_position():
    logits = np.zeros((2, 1, 700))
    tokens = [np.asarray(pick(logits, 500, rule(), *at).tokens) for at in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert (tokens[0] == tokens[1]).all()
    for other in (tokens[2], tokens[3], tokens[0][::-1], np.roll(tokens[0], 1, axis=1)):
        assert (tokens[0] == other).mean() < 0.02


@given(
    # XLA reads subnormals as 0 on a CPU
    st.lists(st.floats(-50, 50, width=32, allow_subnormal=False), min_size=1, max_size=40),
    st.floats(0.0078125, 1.0, width=32),
    st.integers(0, 45),
)
def test_thresholds_keep_what_sorting_keeps(logits, top_p, top_k):
    """The fewest likeliest words that reach top-p, of the top-k likeliest; ties with the last stay in."""
    x = np.array(logits, np.float32)
    kept = np.isfinite(np.asarray(jax.jit(shape)(jnp.array(x), rule(1.0, top_p, top_k))))
    lowest = x[kept].min()
    assert (x[~kept] < lowest).all()
    if top_k:
        of_k = x >= np.sort(x)[::-1][min(top_k, len(x)) - 1]
        assert not (kept & ~of_k).any()
    else:
        of_k = np.ones(len(x), bool)
    p = np.where(of_k, np.exp(np.float64(x) - x.max()), 0)
    p /= p.sum()
    if top_p < 1:
        assert p[kept].sum() >= top_p - 1e-6
        assert p[x > lowest].sum() < top_p + 1e-6
    else:
        assert (kept == of_k).all()
