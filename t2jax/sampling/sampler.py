"""Draw many samples of many questions, on the device until the last one has ended.

A call has B rows, each a question and up to N of its samples, and G slots a row in which samples are decoded. All first
tokens are drawn from the row's one set of logits; a slot whose sample ends takes the row's next one, so that few steps
are spent on rows that have ended. The randomness of a token is fold_in(fold_in(fold_in(root, question), sample),
position): it depends on neither batch, slot, chunk, device nor host, and neither do samples, but where two tokens tie
within rounding.

The loop knows no model: it takes the logits of the first token and a step function (carry, tokens [B, G], ages [B, G],
column) -> (logits [B, G, V], carry), where age is how many tokens of its sample a slot has read before this one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.sampling import cache as caches
from t2jax.sampling.choice import Picks, Rule, choose, sample_keys

Step = Callable[[Any, jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]
NO_TOKEN = -1  # what tokens are padded with


class Rows(NamedTuple):
    """What to draw: of each row its question, the first of its samples and how many (at most N) there are, all [B]."""

    questions: jax.Array
    firsts: jax.Array
    counts: jax.Array


class Samples(NamedTuple):
    """The samples of each row in the order of their ids; of those beyond its count, nothing is to be read.

    tokens [B, N, S], padded with NO_TOKEN, and with `lengths` tokens up to and with what ended them; ends [B, N]: a
    stops.REASONS; log_probs [B, N] of those tokens as they were drawn, and under the plain model at temperature 1, in
    nats. steps and busy [B]: decoding steps that a row's slots took, and how many slots of how many steps had a sample.
    """

    tokens: jax.Array
    lengths: jax.Array
    ends: jax.Array
    log_probs: jax.Array
    model_log_probs: jax.Array
    steps: jax.Array
    busy: jax.Array


class _Slots(NamedTuple):
    """What is in each slot [B, G]: index of its sample (N: none), last token, how many it has read, state of stops."""

    sample: jax.Array
    token: jax.Array
    age: jax.Array
    state: jax.Array


class _Queue(NamedTuple):
    """Each row's samples [B, N] in the order they get slots, their first tokens and states; how many need one [B]."""

    order: jax.Array
    token: jax.Array
    state: jax.Array
    size: jax.Array


def draw(
    step: Step,
    carry: Any,
    logits_BV: jax.Array,
    rows: Rows,
    root: jax.Array,
    rule: Rule,
    stops_SV: jax.Array,
    *,
    samples: int,
    slots: int,
    max_tokens: int,
    columns: int,
) -> Samples:
    """Draw up to `samples` samples of up to max_tokens tokens in each row, `slots` at a time.

    stops_SV: stops.Stops.table. columns: of the ring that step's column counts through. Raises ValueError if
    max_tokens, samples or slots is below 1.
    """
    for name, value in (('max_tokens', max_tokens), ('samples', samples), ('slots', slots)):
        if value < 1:
            raise ValueError(f'{name} is {value}; it has to be at least 1')
    ids_BN = rows.firsts[:, None] + jnp.arange(samples)
    first = choose(sample_keys(root, rows.questions, ids_BN), jnp.zeros_like(ids_BN), logits_BV[:, None], rule)
    state_BN = stops_SV[0, first.tokens]
    wanted_BN = jnp.arange(samples) < rows.counts[:, None]
    going_BN = wanted_BN & (state_BN >= 0) & (max_tokens > 1)
    queue = _Queue(jnp.argsort(~going_BN, stable=True), first.tokens, state_BN, going_BN.sum(-1))
    tokens_BNS = jnp.full((*ids_BN.shape, max_tokens), NO_TOKEN, jnp.int32).at[:, :, 0].set(first.tokens)
    zeros_B, lengths_BN = jnp.zeros_like(rows.counts), jnp.ones_like(ids_BN)
    drawn = Samples(tokens_BNS, lengths_BN, jnp.minimum(state_BN, 0), *first[1:], zeros_B, zeros_B)
    none_BG = jnp.full((len(ids_BN), slots), samples)
    held, taken_B = _refill(_Slots(none_BG, *(jnp.zeros_like(none_BG),) * 3), queue, zeros_B)

    def advance(loop: Any) -> Any:
        count, held, taken_B, drawn, carry = loop
        logits_BGV, carry = step(carry, held.token, held.age, count % columns)
        keys_BG = sample_keys(root, rows.questions, rows.firsts[:, None] + held.sample)
        picks = choose(keys_BG, held.age + 1, logits_BGV, rule)
        busy_BG = held.sample < samples
        state_BG = stops_SV[held.state, picks.tokens]
        drawn = _record(drawn, held, picks, state_BG, busy_BG)
        ended_BG = (state_BG < 0) | (held.age + 2 >= max_tokens)
        sample_BG = jnp.where(ended_BG, samples, held.sample)
        held, taken_B = _refill(_Slots(sample_BG, picks.tokens, held.age + 1, state_BG), queue, taken_B)
        return count + 1, held, taken_B, drawn, carry

    unfinished = lambda loop: (loop[1].sample < samples).any()
    start = (jnp.int32(0), held, taken_B, drawn, carry)
    return jax.lax.while_loop(unfinished, advance, start)[3]


def _record(drawn: Samples, held: _Slots, picks: Picks, state_BG: jax.Array, busy_BG: jax.Array) -> Samples:
    """Add a token to every sample that has a slot; an empty slot's sample is one beyond the last, which is dropped."""
    b, _ = jnp.indices(held.sample.shape, sparse=True)
    at = lambda x: x.at[b, held.sample]
    return Samples(
        drawn.tokens.at[b, held.sample, held.age + 1].set(picks.tokens, mode='drop'),
        at(drawn.lengths).set(held.age + 2, mode='drop'),
        at(drawn.ends).set(jnp.minimum(state_BG, 0), mode='drop'),
        at(drawn.log_probs).add(picks.log_probs, mode='drop'),
        at(drawn.model_log_probs).add(picks.model_log_probs, mode='drop'),
        drawn.steps + busy_BG.shape[1],
        drawn.busy + busy_BG.sum(-1),
    )


def _refill(held: _Slots, queue: _Queue, taken_B: jax.Array) -> tuple[_Slots, jax.Array]:
    """Give each empty slot the next sample of its row, if there is one."""
    B, N = queue.order.shape
    empty_BG = held.sample == N
    place_BG = taken_B[:, None] + jnp.cumsum(empty_BG, axis=1) - 1
    new_BG = empty_BG & (place_BG < queue.size[:, None])
    b = jnp.arange(B)[:, None]
    sample_BG = queue.order[b, jnp.where(new_BG, place_BG, 0)]
    new = _Slots(sample_BG, queue.token[b, sample_BG], jnp.zeros_like(sample_BG), queue.state[b, sample_BG])
    kept = held._replace(state=jnp.maximum(held.state, 0))  # an empty slot's automaton runs idle
    return jax.tree.map(lambda a, b: jnp.where(new_BG, a, b), new, kept), taken_B + new_BG.sum(-1)


def rows_spec(mesh: Mesh) -> PartitionSpec:
    """Return how rows lie on a mesh: split over all its devices."""
    return PartitionSpec(mesh.axis_names)


def sample_rows(
    params: transformer.Params,
    prompts_BP: jax.Array,
    lengths_B: jax.Array,
    rows: Rows,
    root: jax.Array,
    rule: Rule,
    stops_SV: jax.Array,
    *,
    model: ModelConfig,
    mesh: Mesh,
    samples: int,
    slots: int,
    max_tokens: int,
    cache_dtype: str | None = None,
) -> Samples:
    """Sample a decoder from right-padded prompts [B, P] with lengths; `rows` says what.

    The rows are split over the devices of the mesh, each of which has all params and runs its own loop to its own end.
    Raises ValueError as `draw`.
    """

    def on_device(
        params: transformer.Params, prompts: jax.Array, lengths: jax.Array, rows: Rows, *rest: Any
    ) -> Samples:
        columns = max(max_tokens - 1, 1)
        logits_BV, cache = caches.prefill(model, params, prompts, lengths, slots, columns, cache_dtype)
        step = partial(caches.decode_step, model, params)
        sizes = {'samples': samples, 'slots': slots, 'max_tokens': max_tokens, 'columns': columns}
        return draw(step, cache, logits_BV, rows, *rest, **sizes)

    whole, split = PartitionSpec(), rows_spec(mesh)
    specs = (whole, split, split, split, whole, whole, whole)
    run = jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)
    return run(params, prompts_BP, lengths_B, rows, root, rule, stops_SV)


compiled_sample_rows = partial(
    jax.jit, static_argnames=('model', 'mesh', 'samples', 'slots', 'max_tokens', 'cache_dtype')
)(sample_rows)
