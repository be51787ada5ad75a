"""Overlap of questions with the training text: equal to sets of tuples, whatever the chunks, within documents only."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2jax.data.overlap import find_overlap
from t2jax.data.shards import Shards

END = 0


def shards_of(*arrays, size=1000, dtype=np.uint16):
    arrays = tuple(np.array(array, dtype) for array in arrays)
    return Shards(arrays, {'vocabulary_size': size, 'end_id': END})


def brute_force(arrays, row, start, n):
    n = min(n, len(row))
    there = {tuple(array[i : i + n]) for array in arrays for i in range(len(array) - n + 1)}
    grams = [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]
    hits = [i for i, gram in enumerate(grams) if gram in there]
    touching = [i for i in hits if any(start <= i + j for j in range(n))]
    return len(grams), len(hits), len(touching)


def counts(overlap):
    return list(zip(overlap.ngrams.tolist(), overlap.found.tolist(), overlap.found_with_answer.tolist()))


tokens = st.lists(st.integers(0, 3), max_size=60)
questions = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=9), min_size=1, max_size=6)


@settings(deadline=None, max_examples=150)
@given(st.lists(tokens, max_size=3), questions, st.integers(1, 6), st.integers(1, 70), st.data())
def test_counts_are_those_of_sets_of_tuples_for_any_chunk(arrays, rows, n, chunk, data):
    starts = [data.draw(st.integers(0, len(row) - 1)) for row in rows]
    got = find_overlap(shards_of(*arrays, size=4), [np.array(row) for row in rows], starts, n, chunk=chunk)
    assert counts(got) == [brute_force(arrays, row, start, n) for row, start in zip(rows, starts)]


@pytest.mark.parametrize('dtype', [np.uint16, np.uint32])
@pytest.mark.parametrize('at', [0, 43, 57, 64, 127, 180], ids=lambda at: f'at {at}')
def test_a_planted_question_is_found_wherever_it_stands(at, dtype):
    rng = np.random.default_rng(at)
    text, row = rng.integers(1, 1000, 200), rng.integers(1, 1000, 20)
    clean = find_overlap(shards_of(text, dtype=dtype), [row], [17], chunk=64)
    assert counts(clean) == [(8, 0, 0)]
    text[at : at + 20] = row
    for arrays in ([text], [rng.integers(1, 1000, 77), text], [text, text[:5]]):
        assert counts(find_overlap(shards_of(*arrays, dtype=dtype), [row], [17], chunk=64)) == [(8, 8, 3)]


def test_no_match_crosses_documents_or_shards():
    row = np.arange(1, 21)
    halves = row[:12], row[12:]
    for shards in (shards_of(*halves), shards_of([*halves[0], END, *halves[1]])):
        assert counts(find_overlap(shards, [row], [10])) == [(8, 0, 0)]
        assert counts(find_overlap(shards, [row], [10], n=4)) == [(17, 14, 5 + 2)]
    together = shards_of([END, *row, END])
    assert counts(find_overlap(together, [row], [10])) == [(8, 8, 8)]


def test_a_short_question_is_matched_whole():
    text = shards_of([END, 5, 6, 7, 8, 9, END, 1, 2, 3])
    rows = [np.array(row) for row in ([6, 7, 8], [6, 7, 9], [1, 2, 3], [2, 3, 4], [9], [7, 8, 9, 1])]
    assert counts(find_overlap(text, rows, [2] * 4 + [0, 3])) == [(1, hit, hit) for hit in (1, 0, 1, 0, 1, 0)]


def test_only_grams_that_reach_the_answer_count_as_its_own():
    text, row = shards_of(np.arange(1, 16)), np.array([*range(1, 16), *range(500, 505)])
    ends = {start: counts(find_overlap(text, [row], [start]))[0] for start in (12, 13, 14, 15, 19, 0)}
    assert ends == {12: (8, 3, 3), 13: (8, 3, 2), 14: (8, 3, 1), 15: (8, 3, 0), 19: (8, 3, 0), 0: (8, 3, 3)}


def test_order_matters_and_progress_counts_every_token_once():
    told, text = [], shards_of(np.arange(1, 101), np.arange(200, 230))
    assert counts(find_overlap(text, [np.arange(40, 20, -1)], [3], progress=told.append, chunk=32)) == [(8, 0, 0)]
    assert told == [32, 32, 32, 4, 30]
    assert counts(find_overlap(text, [], [])) == []


@pytest.mark.parametrize(
    ('row', 'start', 'n', 'said'),
    [
        (
            [1, 2, 1000],
            1,
            13,
            'row 1 has id 1000, which is not below 1000 in the shards; encode it with their tokenizer',
        ),
        ([1, -2], 1, 13, 'row 1 has id -2, which is not below'),
        ([1, END], 1, 13, 'row 1 has id 0, which ends documents in the shards'),
        ([], 0, 13, 'row 1 is empty; a question has tokens'),
        ([1, 2], 2, 13, 'the answer of row 1 starts at 2; it has to start within its 2 tokens'),
        ([1, 2], -1, 13, 'the answer of row 1 starts at -1'),
        ([1, 2], 1, 0, 'n is 0; an n-gram has at least 1 token'),
    ],
)
def test_rows_that_cannot_be_questions_are_refused(row, start, n, said):
    with pytest.raises(ValueError, match=said):
        find_overlap(shards_of([1, 2, 3]), [np.array([1]), np.array(row, int)], [0, start], n)
    with pytest.raises(ValueError, match='there are 1 rows and 2 answer starts; give one for each row'):
        find_overlap(shards_of([1, 2, 3]), [np.array([1])], [0, 0])
