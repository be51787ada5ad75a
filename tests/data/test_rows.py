"""Batches of whole rows: each row exactly as often as there are epochs, and marks that never come apart from tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax.data.feed import stream
from t2jax.data.rows import RowFeed, in_batches, mark, used_width


def rows(count, width=4):
    """Rows that begin with their own number."""
    tokens = np.arange(count)[:, None] * 10 + np.arange(width)
    return mark(tokens, np.broadcast_to(np.arange(width) >= 2, tokens.shape))


def test_a_mark_keeps_the_id_and_says_whether_it_counts():
    tokens, counts = np.array([[0, 5, 7]], np.uint16), np.array([[False, False, True]])
    marked = mark(tokens, counts)
    assert marked.dtype == np.int32 and marked.tolist() == [[-1, -6, 7]]
    assert np.where(marked < 0, ~marked, marked).tolist() == tokens.tolist()


@given(count=st.integers(1, 30), batch=st.integers(1, 9), epochs=st.integers(1, 4), seed=st.integers(0, 3))
def test_every_row_is_read_once_an_epoch_and_nothing_else_counts(count, batch, epochs, seed):
    feed = RowFeed(rows(count), batch, seed, epochs, {})
    read = feed.batches(0, feed.steps).reshape(-1, 4)
    real = read[(read >= 0).any(axis=1)]
    number = real[:, 2] // 10
    assert len(real) == epochs * count and feed.steps == -(-epochs * count // batch)
    for epoch in range(epochs):
        assert sorted(number[epoch * count : (epoch + 1) * count]) == list(range(count))
    filler = read[len(real) :]
    assert len(filler) < batch and (filler < 0).all()


def test_a_batch_is_a_function_of_seed_and_step():
    feed = RowFeed(rows(20), 8, 5, 3, {'end_id': 1})
    again = RowFeed(rows(20), 8, 5, 3, {})
    assert np.array_equal(feed.batches(0, feed.steps)[4], again.batches(4, 1)[0])
    assert np.array_equal(feed.read(4, np.array([2, 5])), again.batches(4, 1)[0][[2, 5]])
    blocks = list(stream(feed, 1, 6, 2))
    assert [len(block) for block in blocks] == [2, 2, 1]
    assert np.array_equal(np.concatenate(blocks), feed.batches(1, 5))
    other = RowFeed(rows(20), 8, 6, 3, {})
    assert not np.array_equal(feed.batches(0, 1), other.batches(0, 1))
    first, second = (feed.batches(0, feed.steps).reshape(-1, 4)[part, 2] for part in (slice(0, 20), slice(20, 40)))
    assert first.tolist() != second.tolist()  # each epoch has an order of its own
    assert feed.vocabulary == {'end_id': 1} and feed.sequence_length == 3


def test_rows_in_batches_are_filled_up():
    batches = in_batches(rows(5), 4)
    assert batches.shape == (2, 4, 4) and np.array_equal(batches.reshape(-1, 4)[:5], rows(5))
    assert (batches[1, 1:] < 0).all()
    assert in_batches(rows(4), 4).shape == (1, 4, 4)


@pytest.mark.parametrize(
    ('last', 'width'),
    [(1, 33), (32, 33), (33, 49), (48, 49), (49, 65), (64, 65), (65, 97), (97, 129), (150, 193), (195, 200)],
)
def test_a_block_is_cut_to_a_width_that_holds_all_that_counts(last, width):
    block = np.full((2, 3, 200), ~7, np.int32)
    block[1, 2, last] = 7
    assert used_width(block) == width
    block[0, 0, max(1, last - 5)] = 3
    assert used_width(block) == width
    assert used_width(np.zeros((2, 3, 200), np.uint16)) == 200


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match='there are no rows to train on'):
        RowFeed(rows(0), 8, 0, 1, {})
    nothing = rows(3)
    nothing[1] = ~np.abs(nothing[1])
    with pytest.raises(ValueError, match='row 1 has no token that counts; leave it out'):
        RowFeed(nothing, 8, 0, 1, {})
    with pytest.raises(ValueError, match='epochs is 0'):
        RowFeed(rows(3), 8, 0, 0, {})
    with pytest.raises(ValueError, match='step 3 is beyond the 2 steps of 2 epochs'):
        RowFeed(rows(8), 8, 0, 2, {}).batches(2, 1)
