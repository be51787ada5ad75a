"""The likelihood of each question's answer, and of text.

NLL_i = -sum over the answer's tokens of log p, p_i = exp(-NLL_i) (T2, "Metrics"), log p = logit - logsumexp(logits).

Rows of unlike length go through the model end to end, in batches of so many slots, and meet a padded shape in
attention alone. The head, most of a small model, sees only what answers are scored by.
"""

from bisect import bisect_right
from collections.abc import Container, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.tasks.boundaries import EncodedQuestions

BLOCK_BYTES = 2**24  # of a batch's activations in a layer, and of the logits made at a time: a CPU's cache holds them
LEAST_WIDTH = 32  # attention in a narrower shape saves less than it takes to compile


class Scores(NamedTuple):
    """Of rows: the summed negative log-likelihood of their targets in nats; whether each target is the likeliest."""

    nll_B: np.ndarray
    greedy_B: np.ndarray


def answer_nll(model: ModelConfig, params: transformer.Params, questions: EncodedQuestions) -> np.ndarray:
    """Compute the summed negative log-likelihood of every answer, [Q] in nats (float64)."""
    return score_rows(model, params, *join(questions)).nll_B


def text_loss(model: ModelConfig, params: transformer.Params, text_BT: np.ndarray) -> float:
    """Compute the mean loss of windows of text, ids [B, T + 1], in nats per token."""
    nll_B = score_rows(model, params, text_BT.astype(np.int32), np.ones(text_BT.shape, bool)).nll_B
    return float(nll_B.sum() / (text_BT.shape[0] * (text_BT.shape[1] - 1)))


def score_rows(
    model: ModelConfig, params: transformer.Params, tokens_BT: np.ndarray, is_target_BT: np.ndarray
) -> Scores:
    """Score the targets among ids [B, T], right-padded: float64 [B] and bool [B]; the first token cannot be one."""
    nll_B, greedy_B = np.zeros(len(tokens_BT)), np.ones(len(tokens_BT), bool)
    for rows, scores in score_batches(model, params, tokens_BT, is_target_BT):
        nll_B[rows], greedy_B[rows] = scores
    return Scores(nll_B, greedy_B)


def join(questions: EncodedQuestions) -> tuple[np.ndarray, np.ndarray]:
    """Lay each answer behind its prompt: ids [Q, P + S], and which of them belong to the answer."""
    rows, P = questions.prompts.shape
    S = questions.answers.shape[1]
    tokens = np.concatenate([questions.prompts, np.zeros((rows, S), np.int32)], axis=1)
    starts = questions.prompt_lengths[:, None]
    np.put_along_axis(tokens, starts + np.arange(S), questions.answers, axis=1)
    columns = np.arange(P + S)
    return tokens, (columns >= starts) & (columns < starts + questions.answer_lengths[:, None])


def batches(lengths: np.ndarray, slots: int, widest: int) -> Iterator[tuple[list[int], int, int]]:
    """Fill batches of so many slots with rows, longest first: the rows' indices, the shape (rows, width) of attention.

    Widths come two to an octave, and a width has one number of rows, so few shapes are compiled.
    """
    order = np.argsort(lengths, kind='stable')
    order, left = order.tolist(), lengths[order].tolist()
    while left:
        step = 2 ** max(left[-1].bit_length() - 2, 0)
        width = min(max(-(-left[-1] // step) * step, LEAST_WIDTH), widest)
        # half as many again as rows of the whole width would be: most of its rows are wider than two thirds of it
        rows = min(max(3 * slots // (2 * width), 1), _power_of_two(len(lengths)))
        batch, free = [], slots
        while left and left[0] <= free and len(batch) < rows:
            at = bisect_right(left, free) - 1
            free -= left.pop(at)
            batch.append(order.pop(at))
        yield batch, rows, width


def score_batches(
    model: ModelConfig,
    params: transformer.Params,
    tokens_BT: np.ndarray,
    is_target_BT: np.ndarray,
    done: Container[int] = (),
) -> Iterator[tuple[list[int], Scores]]:
    """Score rows as `score_rows` does, a batch at a time: the batch's rows, and their scores.

    Batches whose rows are all `done` are passed over; which rows make a batch does not depend on that.
    """
    inputs_BT, targets_BT, is_target_BT = tokens_BT[:, :-1], tokens_BT[:, 1:], is_target_BT[:, 1:]
    total, widest = inputs_BT.shape
    lengths_B = np.where(is_target_BT, np.arange(1, widest + 1), 1).max(axis=1)  # up to the last token's input
    floats = 3 * model.d_hidden + 6 * model.d_model  # of a slot in a layer
    slots = _power_of_two(max(min(BLOCK_BYTES // (4 * floats), total * widest), widest))
    for batch, rows, width in batches(lengths_B, slots, widest):
        if all(row in done for row in batch):
            continue
        lengths = lengths_B[batch]
        row = np.repeat(np.arange(len(batch)), lengths)
        starts = np.cumsum(lengths) - lengths
        column = np.arange(len(row)) - starts[row]
        of = np.array(batch)[row], column
        read = np.nonzero(is_target_BT[of])[0]
        pad = lambda x, size: np.pad(np.asarray(x, np.int32), (0, size - len(x)))
        parts = inputs_BT[of], row, column, read, targets_BT[of][read]
        packed = [pad(part, slots) for part in parts]
        scored = _score(params, *packed, pad(starts, rows), np.int32(len(read)), model=model, width=width)
        nll, greedy = (np.asarray(part)[: len(read)] for part in scored)
        missed = np.bincount(row[read], ~greedy, len(batch))
        yield batch, Scores(np.bincount(row[read], nll.astype(np.float64), len(batch)), missed == 0)


@partial(jax.jit, static_argnames=('model', 'width'))
def _score(
    params: transformer.Params,
    tokens_N: jax.Array,
    rows_N: jax.Array,
    columns_N: jax.Array,
    read_N: jax.Array,
    targets_N: jax.Array,
    starts_B: jax.Array,
    count: jax.Array,
    *,
    model: ModelConfig,
    width: int,
) -> tuple[jax.Array, jax.Array]:
    """Compute -log p of `count` targets, each after a slot that is read, and whether it is the likeliest; [N]."""
    N = len(tokens_N)
    slots_BT = jnp.minimum(starts_B[:, None] + jnp.arange(width), N - 1)
    states_ND = transformer.packed_states(model, params, tokens_N, columns_N, slots_BT, rows_N * width + columns_N)
    states_ND = states_ND[read_N]
    size = min(_power_of_two(BLOCK_BYTES // (4 * model.vocab)), N)

    def score(i: jax.Array, found: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        cut = lambda x: jax.lax.dynamic_slice_in_dim(x, i * size, size)
        logits = transformer.head(model, params, cut(states_ND))
        target = jnp.take_along_axis(logits, cut(targets_N)[:, None], axis=1)[:, 0]
        scores = jax.nn.logsumexp(logits, axis=1) - target, target >= logits.max(axis=1)
        put = lambda x, part: jax.lax.dynamic_update_slice_in_dim(x, part, i * size, 0)
        return jax.tree.map(put, found, scores)

    return jax.lax.fori_loop(0, -(-count // size), score, (jnp.zeros(N), jnp.zeros(N, bool)))


def _power_of_two(least: int) -> int:
    """Return the smallest power of two that is at least so much."""
    return 2 ** (least - 1).bit_length()
