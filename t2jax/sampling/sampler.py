"""Draw many samples of many questions, all rows at once, on the device until every row has ended.

The sampler knows no model: it takes the logits of the first token and a step function (carry, tokens [B, G], column)
-> (logits [B, G, V], carry). A sample's randomness is its own, key = fold_in(fold_in(fold_in(root, question), sample),
position), so it depends on neither batch, chunk, device nor host.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.sampling import cache as caches

Step = Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, Any]]


class Samples(NamedTuple):
    """tokens_BGS, padded with the stop token; lengths_BG counts the tokens up to and with the stop token;
    log_probs_BG is the summed log-probability of those tokens under the sampling distribution, in nats."""

    tokens_BGS: jax.Array
    lengths_BG: jax.Array
    log_probs_BG: jax.Array


def sample_keys(root: jax.Array, questions_B: jax.Array, samples_G: jax.Array) -> jax.Array:
    """Return the key of every (question, sample), [B, G]."""
    per_question = jax.vmap(partial(jax.random.fold_in, root))(questions_B)
    return jax.vmap(lambda key: jax.vmap(partial(jax.random.fold_in, key))(samples_G))(per_question)


def choose(
    keys_BG: jax.Array, position: jax.Array, logits_BGV: jax.Array, temperature: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Pick a token in every row; return tokens and their log-probabilities, both [B, G].

    Temperature 0 picks the most likely token.
    """
    scaled = logits_BGV / jnp.maximum(temperature, 1e-6)
    pick = lambda key, logits: jax.random.categorical(jax.random.fold_in(key, position), logits)
    tokens_BG = jax.vmap(jax.vmap(pick))(keys_BG, scaled)
    tokens_BG = jnp.where(temperature > 0, tokens_BG, logits_BGV.argmax(-1))
    log_probs = jnp.take_along_axis(scaled, tokens_BG[..., None], -1)[..., 0] - jax.nn.logsumexp(scaled, -1)
    return tokens_BG, log_probs


def draw(
    step: Step,
    carry: Any,
    logits_BV: jax.Array,
    keys_BG: jax.Array,
    max_tokens: int,
    stop_id: int,
    temperature: jax.Array,
) -> Samples:
    """Sample up to max_tokens tokens in each of B x G rows; a row ends with stop_id.

    All G samples of a question take their first token from its one row of logits. Raises ValueError if max_tokens < 1.
    """
    if max_tokens < 1:
        raise ValueError(f'max_tokens is {max_tokens}; a sample needs at least 1')
    rows = keys_BG.shape
    logits_BGV = jnp.broadcast_to(logits_BV[:, None], (*rows, logits_BV.shape[-1]))
    first_BG, log_probs_BG = choose(keys_BG, jnp.int32(0), logits_BGV, temperature)
    tokens_BGS = jnp.full((*rows, max_tokens), stop_id, jnp.int32).at[:, :, 0].set(first_BG)
    start = (jnp.int32(1), tokens_BGS, jnp.ones(rows, jnp.int32), log_probs_BG, first_BG == stop_id, carry)

    def unfinished(state: Any) -> jax.Array:
        return (state[0] < max_tokens) & ~state[4].all()

    def advance(state: Any) -> Any:
        s, tokens_BGS, lengths_BG, log_probs_BG, ended_BG, carry = state
        logits_BGV, carry = step(carry, tokens_BGS[:, :, s - 1], s - 1)
        next_BG, log_prob_BG = choose(keys_BG, s, logits_BGV, temperature)
        tokens_BGS = tokens_BGS.at[:, :, s].set(jnp.where(ended_BG, stop_id, next_BG))
        lengths_BG += ~ended_BG
        log_probs_BG += jnp.where(ended_BG, 0.0, log_prob_BG)
        return s + 1, tokens_BGS, lengths_BG, log_probs_BG, ended_BG | (next_BG == stop_id), carry

    _, tokens_BGS, lengths_BG, log_probs_BG, _, _ = jax.lax.while_loop(unfinished, advance, start)
    return Samples(tokens_BGS, lengths_BG, log_probs_BG)


@partial(jax.jit, static_argnames=('model', 'max_tokens', 'stop_id'))
def sample_model(
    params: transformer.Params,
    prompts_BP: jax.Array,
    lengths_B: jax.Array,
    questions_B: jax.Array,
    samples_G: jax.Array,
    root: jax.Array,
    temperature: jax.Array,
    *,
    model: ModelConfig,
    max_tokens: int,
    stop_id: int,
) -> Samples:
    """Sample a decoder: right-padded prompts [B, P] with lengths, ids of questions [B] and of samples [G]."""
    logits_BV, cache = caches.prefill(model, params, prompts_BP, lengths_B, len(samples_G), max_tokens - 1)
    step = partial(caches.decode_step, model, params)
    keys_BG = sample_keys(root, questions_B, samples_G)
    return draw(step, cache, logits_BV, keys_BG, max_tokens, stop_id, temperature)
