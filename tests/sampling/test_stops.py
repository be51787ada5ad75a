"""Stop strings are found wherever they fall across tokens, exactly when a search of the text would find them."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from t2jax.sampling.stops import ON_STRING, ON_TOKEN, Stops

LETTERS = st.binary(max_size=3).map(lambda text: bytes(b'ab'[byte % 2] for byte in text))
STRINGS = st.lists(LETTERS.filter(len), min_size=1, max_size=3)


@example([b'b', b'aba'], [b'a', b'b', b'', b'', b''], [0, 1])  # one string ends within another
@example([b'ab', b'b'], [b'ab', b'', b'', b'', b''], [0])  # two strings end with one token
@given(STRINGS, st.lists(LETTERS, min_size=5, max_size=5), st.lists(st.integers(0, 5), max_size=12))
def test_a_sample_ends_with_the_token_that_completes_a_string(strings, spelling, tokens):
    """Six tokens, five of up to three letters, and a stop token; two letters, so that strings overlap."""
    stops = Stops((5,), tuple(strings))
    table, state, text = stops.table(6, [*spelling, b'a']), 0, b''
    for token in tokens:
        state = table[state, token]
        if token == 5:
            assert state == ON_TOKEN
            break
        text += spelling[token]
        found = any(string in text for string in strings)
        assert (state == ON_STRING) == found
        if found:
            assert stops.cut(text) == min((text.partition(string)[0] for string in strings), key=len)
            break
        assert state >= 0
    else:
        assert stops.cut(text) == text


def test_without_strings_there_is_one_state_and_no_spelling_is_needed():
    assert Stops((2, 0)).table(4).tolist() == [[ON_TOKEN, 0, ON_TOKEN, 0]]


def test_tokens_beyond_the_spelling_add_no_text():
    table = Stops((), (b'ab',)).table(4, [b'a', b'b'])
    assert (table[:, 2:] == np.arange(len(table))[:, None]).all()
    assert table[table[0, 0], 1] == ON_STRING


@pytest.mark.parametrize(
    ('stops', 'spelling', 'sentence'),
    [
        (Stops((4,)), None, 'stop token 4 is not in the vocabulary; its ids go from 0 to 3'),
        (Stops((), (b'',)), [b'a'], 'a stop string is empty'),
        (Stops((), (b'a',)), None, 'stop strings need the spelling of every token'),
    ],
)
def test_impossible_stops_are_refused_in_words(stops, spelling, sentence):
    with pytest.raises(ValueError, match=sentence):
        stops.table(4, spelling)
