"""Sampling: a scripted three-token model with known answers, and a real decoder against its own full forward."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from t2jax.evaluation.passk import sampled_intervals
from t2jax.laws.passk import unbiased_pass_at_k
from t2jax.mesh import make_mesh
from t2jax.models import transformer
from t2jax.sampling import cache as caches
from t2jax.sampling.choice import Rule
from t2jax.sampling.sampler import NO_TOKEN, Rows, compiled_sample_rows, draw
from t2jax.sampling.stops import ON_STRING, ON_TOKEN, REASONS, Stops

STOP = 0
# Row i: probabilities of the next of three tokens after token i; token 0 stops.
CHAIN = jnp.array([[1.0, 0.0, 0.0], [0.5, 0.2, 0.3], [0.1, 0.6, 0.3]])
FIRST = jnp.array([[0.2, 0.5, 0.3]])
ONE_STOP = Stops((STOP,))
PLAIN = Rule(np.float32(1), np.float32(1), np.int32(0))


def scripted(carry, tokens_BG, ages_BG, column):
    return jnp.log(CHAIN)[tokens_BG], carry


@partial(jax.jit, static_argnames=('samples', 'slots', 'max_tokens', 'stops'))
def sample_chain(root, first, count, rule=PLAIN, *, samples, slots, max_tokens=3, stops=ONE_STOP):
    rows = Rows(jnp.array([0]), jnp.array([first]), jnp.array([count]))
    sizes = {'samples': samples, 'slots': slots, 'max_tokens': max_tokens, 'columns': max(max_tokens - 1, 1)}
    table = jnp.array(stops.table(3, [b'', b'a', b'b']))
    return draw(scripted, (), jnp.log(FIRST), rows, root, rule, table, **sizes)


def texts(samples, row=0):
    pairs = zip(np.asarray(samples.tokens)[row].tolist(), np.asarray(samples.lengths)[row].tolist())
    return [tuple(tokens[:length]) for tokens, length in pairs]


def exact_distribution(max_tokens=3):
    """Enumerate the scripted model's outputs, up to the stop token, and their probabilities."""
    grown = {(): 1.0}
    for _ in range(max_tokens):
        longer = {}
        for text, p in grown.items():
            if STOP in text:
                longer[text] = p
                continue
            row = CHAIN[text[-1]] if text else FIRST[0]
            for token in range(3):
                longer[(*text, token)] = p * float(row[token])
        grown = longer
    return {text: p for text, p in grown.items() if p > 0}


N = 100_000


@pytest.fixture(scope='module')
def many():
    return sample_chain(jax.random.key(1), 0, N, samples=N, slots=1000)


def test_sampled_frequencies_are_the_exact_distribution(many):
    exact, seen = exact_distribution(), {}
    for text in texts(many):
        seen[text] = seen.get(text, 0) + 1
    assert seen.keys() <= exact.keys()
    expected = np.array(list(exact.values()))
    assert stats.chisquare([seen.get(text, 0) for text in exact], N * expected / expected.sum()).pvalue > 1e-3


def test_pass_at_k_is_the_closed_form(many):
    """100 questions of 1,000 samples each; right is `2 0`, of probability 0.03."""
    right = np.array([text == (2, STOP) for text in texts(many)]).reshape(100, 1000)
    p = exact_distribution()[2, STOP]
    assert p == pytest.approx(0.03)
    for k, (low, high) in zip((1, 10, 100), sampled_intervals(1000, right.sum(1), (1, 10, 100), level=0.999)):
        estimate = unbiased_pass_at_k(1000, right.sum(1), k).mean()
        assert low < 1 - (1 - p) ** k < high and high - low < 0.07
        assert estimate == pytest.approx(1 - (1 - p) ** k, abs=0.02)


def test_log_probabilities_ends_and_padding_are_those_of_the_text():
    samples = sample_chain(jax.random.key(2), 0, 200, samples=200, slots=9)
    exact = exact_distribution()
    whole = np.asarray(samples.tokens)[0]
    for i, text in enumerate(texts(samples)):
        assert np.exp(samples.log_probs[0, i]) == pytest.approx(exact[text], rel=1e-5)
        assert samples.model_log_probs[0, i] == samples.log_probs[0, i]
        assert samples.ends[0, i] == (ON_TOKEN if text[-1] == STOP else 0)
        assert (whole[i, len(text) :] == NO_TOKEN).all()
    assert REASONS[int(samples.ends[0, 0])] in ('token', 'length')


def test_a_cooler_draw_reports_both_log_probabilities():
    rule = Rule(jnp.float32(0.5), jnp.float32(1), jnp.int32(2))
    samples = sample_chain(jax.random.key(2), 0, 50, rule, samples=50, slots=7)
    for i, text in enumerate(texts(samples)):
        ours = plain = 0.0
        for before, token in zip((None, *text), text):
            p = np.array(FIRST[0] if before is None else CHAIN[before], float)
            plain += np.log(p[token])
            shaped = np.where(p >= np.sort(p)[1], p, 0) ** 2
            ours += np.log(shaped[token] / shaped.sum())
        assert samples.log_probs[0, i] == pytest.approx(ours, abs=1e-5)
        assert samples.model_log_probs[0, i] == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize('slots', [1, 5, 64])
def test_slots_chunks_and_ids_change_no_sample(slots):
    """Any number of slots, whatever a slot held before, and any chunking: token for token, in the order of ids."""
    whole = texts(sample_chain(jax.random.key(3), 0, 64, samples=64, slots=64, max_tokens=6))
    parts = []
    for first, count in ((0, 5), (5, 35), (40, 24)):
        part = sample_chain(jax.random.key(3), first, count, samples=40, slots=min(slots, 40), max_tokens=6)
        parts += texts(part)[:count]
    assert whole == parts
    assert len(set(whole)) > 10  # and chunks do not repeat one another
    assert whole != texts(sample_chain(jax.random.key(4), 0, 64, samples=64, slots=64, max_tokens=6))


def test_refilled_slots_are_seldom_empty():
    """4,000 samples of 1 to 12 tokens in 40 slots: nearly every slot of every step draws; 12 steps a wave do not."""
    refilled = sample_chain(jax.random.key(5), 0, 4000, samples=4000, slots=40, max_tokens=12)
    drawn = int((np.asarray(refilled.lengths) - 1).sum())  # first tokens take no slot
    assert int(refilled.busy[0]) == drawn
    assert drawn / int(refilled.steps[0]) > 0.95
    wave = sample_chain(jax.random.key(5), 0, 4000, samples=4000, slots=4000, max_tokens=12)
    assert int(wave.busy[0]) == drawn and drawn / int(wave.steps[0]) < 0.3


def test_a_row_draws_no_more_than_its_count():
    samples = sample_chain(jax.random.key(6), 0, 3, samples=8, slots=8)
    assert int(samples.busy[0]) == int((np.asarray(samples.lengths)[0, :3] - 1).sum())
    nothing = sample_chain(jax.random.key(6), 0, 0, samples=8, slots=8)
    assert int(nothing.steps[0]) == 0


def test_a_stop_string_ends_a_sample_across_tokens():
    """Token 1 is spelt a and token 2 b: `ba` and `aab` end it, and nothing else does."""
    stops = Stops((), (b'ba', b'aab'))
    samples = sample_chain(jax.random.key(7), 0, 500, samples=500, slots=20, max_tokens=8, stops=stops)
    seen = set()
    for i, text in enumerate(texts(samples)):
        spelt = ''.join(' ab'[token] for token in text if token)
        found = 'ba' in spelt or 'aab' in spelt
        seen.add(found)
        assert (samples.ends[0, i] == ON_STRING) == found
        assert len(text) == 8 or found
        shorter = ''.join(' ab'[token] for token in text[:-1] if token)
        assert 'ba' not in shorter and 'aab' not in shorter
    assert seen == {True, False}


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'max_tokens': 0}, 'max_tokens is 0; it has to be at least 1'),
        ({'slots': 0}, 'slots is 0; it has to be at least 1'),
    ],
)
def test_no_room_for_a_token_or_sample_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        sample_chain(jax.random.key(0), 0, 2, **{'samples': 2, 'slots': 2} | change)


PROMPTS = np.array([[3, 5, 2, 7, 0], [4, 0, 0, 0, 0], [6, 6, 1, 0, 0]], np.int32)
LENGTHS = np.array([4, 1, 3], np.int32)
ENDS = Stops((10,)).table(12)


def sample_tiny(tiny, params, mesh, questions, first, count, *, prompts=PROMPTS, rule=PLAIN, seed=7, **sizes):
    sizes = {'samples': 6, 'slots': 2, 'max_tokens': 5} | sizes
    of_all = lambda value: np.full(len(questions), value, np.int32)
    rows = Rows(np.array(questions, np.int32), of_all(first), of_all(count))
    key = jax.random.key(seed)
    return compiled_sample_rows(
        params, prompts[questions], LENGTHS[questions], rows, key, rule, ENDS, model=tiny, mesh=mesh, **sizes
    )


@pytest.fixture(scope='module')
def drawn(tiny, tiny_params, one_device):
    return sample_tiny(tiny, tiny_params, one_device, [0, 1, 2], 0, 6)


def test_cached_decode_equals_the_full_forward(tiny, tiny_params, drawn):
    """Score every sampled text by a forward pass over prompt and text: same log-probability as while sampling."""
    forward = jax.jit(lambda tokens: jax.nn.log_softmax(transformer.forward(tiny, tiny_params, tokens)[0]))
    for b in range(3):
        for g, text in enumerate(texts(drawn, b)):
            prompt = PROMPTS[b, : LENGTHS[b]].tolist()
            padded = np.zeros((1, 9), np.int32)
            padded[0, : len(prompt) + len(text)] = [*prompt, *text]
            log_p = np.asarray(forward(padded))[len(prompt) - 1 :]
            total = log_p[np.arange(len(text)), list(text)].sum()
            np.testing.assert_allclose(drawn.log_probs[b, g], total, rtol=1e-4)


def test_a_sample_does_not_depend_on_its_batch_slots_or_padding(tiny, tiny_params, one_device, drawn):
    alone = sample_tiny(tiny, tiny_params, one_device, [2], 4, 1, samples=1, slots=1)
    assert texts(alone) == [texts(drawn, 2)[4]]
    wider = np.pad(PROMPTS, [(0, 0), (0, 4)], constant_values=9)
    padded = sample_tiny(tiny, tiny_params, one_device, [0, 1, 2], 0, 6, prompts=wider, slots=6)
    assert (padded.tokens == drawn.tokens).all()


def test_a_shared_prefix_equals_a_copied_one(tiny, tiny_params):
    """One question with four slots decodes like four questions with one slot each, at any place of the ring."""
    logits, shared = caches.prefill(tiny, tiny_params, PROMPTS[:1], LENGTHS[:1], 4, 3)
    _, copied = caches.prefill(tiny, tiny_params, PROMPTS[[0] * 4], LENGTHS[[0] * 4], 1, 3)
    tokens = jnp.array([[1, 5, 9, 2]])
    step = jax.jit(partial(caches.decode_step, tiny))
    for count in range(5):
        age = jnp.full((1, 4), min(count, 3))
        a, shared = step(tiny_params, shared, tokens, age, jnp.int32(count % 3))
        b, copied = step(tiny_params, copied, tokens.T, age.T, jnp.int32(count % 3))
        np.testing.assert_allclose(a[0], b[:, 0], rtol=1e-5, atol=1e-5)


def test_an_extra_slot_costs_its_suffix_alone(tiny, tiny_params):
    """Bytes of the cache: the prompt once, and 2 L S J K numbers for each slot."""
    size = lambda slots: sum(
        x.size * x.dtype.itemsize
        for x in jax.tree.leaves(
            jax.eval_shape(lambda p: caches.prefill(tiny, p, PROMPTS, LENGTHS, slots, 7)[1], tiny_params)
        )
    )
    suffix = 3 * 4 * 2 * tiny.n_layers * 7 * tiny.d_kv
    assert size(5) - size(4) == size(100) - size(99) == suffix
    half = jax.eval_shape(lambda p: caches.prefill(tiny, p, PROMPTS, LENGTHS, 4, 7, 'bfloat16')[1], tiny_params)
    assert half.suffix_k.dtype == half.prefix_v.dtype == jnp.bfloat16


def test_a_bfloat16_cache_changes_little(tiny, tiny_params, one_device, drawn):
    half = sample_tiny(tiny, tiny_params, one_device, [0, 1, 2], 0, 6, cache_dtype='bfloat16')
    same = np.asarray((half.tokens == drawn.tokens).all(-1))
    assert same.mean() > 0.8
    np.testing.assert_allclose(np.asarray(half.log_probs)[same], np.asarray(drawn.log_probs)[same], atol=0.05)
    assert (half.log_probs != drawn.log_probs).any()


def test_greedy_samples_follow_the_argmax_of_the_full_forward(tiny, tiny_params, one_device):
    rule = PLAIN._replace(temperature=jnp.float32(0))
    out = sample_tiny(tiny, tiny_params, one_device, [0, 1, 2], 0, 1, rule=rule)
    forward = jax.jit(lambda tokens: transformer.forward(tiny, tiny_params, tokens)[0])
    for b in range(3):
        text = PROMPTS[b, : LENGTHS[b]].tolist()
        for token in texts(out, b)[0]:
            assert token == int(forward(np.array([text + [0] * (9 - len(text))]))[len(text) - 1].argmax())
            text.append(token)


def test_nothing_recompiles_for_other_rules_seeds_prompts_and_counts(tiny, tiny_params, one_device, drawn):
    before = compiled_sample_rows._cache_size()
    for rule in (Rule(*map(np.float32, (0.5, 0.9)), np.int32(3)), PLAIN._replace(temperature=np.float32(0))):
        sample_tiny(tiny, tiny_params, one_device, [1, 0, 2], 6, 4, rule=rule, seed=8, prompts=PROMPTS[::-1])
    assert compiled_sample_rows._cache_size() == before


def test_eight_devices_sample_like_one(tiny, tiny_params, drawn):
    """Questions and samples split over a mesh, each device with a row of its own: the same tokens."""
    mesh = make_mesh(jax.devices())
    rows = [(question, first) for question in range(3) for first in (0, 3)] + [(0, 0), (0, 0)]
    questions, firsts = np.array(rows, np.int32).T
    out = compiled_sample_rows(
        jax.device_put(tiny_params, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())),
        PROMPTS[questions],
        LENGTHS[questions],
        Rows(questions, firsts, np.array([3] * 6 + [0, 0], np.int32)),
        jax.random.key(7),
        PLAIN,
        ENDS,
        model=tiny,
        mesh=mesh,
        samples=3,
        slots=2,
        max_tokens=5,
    )
    assert (np.asarray(out.tokens)[:6].reshape(3, 6, 5) == np.asarray(drawn.tokens)).all()
    assert out.steps[6:].tolist() == [0, 0]
