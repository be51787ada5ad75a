"""What ends a sample: stop tokens, and stop strings wherever they fall across tokens.

Stop strings are found on the device, by an automaton over bytes (Aho and Corasick 1975) composed into one over tokens:
a table [states, V] of what state a token leads to. One look-up a step and row, no text on the host, and no stop string
is missed because the model spelt it in other tokens.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ON_TOKEN, ON_STRING = -1, -2  # in place of a next state: the sample has ended
REASONS = {ON_TOKEN: 'token', ON_STRING: 'string', 0: 'length'}  # a sample that did not end was cut at its length


@dataclass(frozen=True)
class Stops:
    """Stop tokens by id, and stop strings as bytes."""

    tokens: tuple[int, ...] = ()
    strings: tuple[bytes, ...] = ()

    def table(self, vocab: int, spelling: Sequence[bytes] | None = None) -> np.ndarray:
        """Build the automaton, int32 [states, vocab]: the next state, ON_TOKEN or ON_STRING; state 0 begins.

        spelling: the bytes of every token, where there are stop strings; tokens beyond it are spelt empty.
        Raises ValueError for a token outside the vocabulary and for an empty string.
        """
        for token in self.tokens:
            if not 0 <= token < vocab:
                raise ValueError(f'stop token {token} is not in the vocabulary; its ids go from 0 to {vocab - 1}')
        if any(not string for string in self.strings):
            raise ValueError('a stop string is empty; leave it out or give it characters')
        table = np.zeros((1, vocab), np.int32)
        if self.strings:
            if spelling is None:
                raise ValueError('stop strings need the spelling of every token; this vocabulary has none')
            bytewise = _automaton(self.strings)
            states = np.arange(len(bytewise) - 1)
            table = np.repeat(states[:, None].astype(np.int32), vocab, axis=1)
            for token, text in enumerate(spelling[:vocab]):
                at = states
                for byte in text:
                    at = bytewise[at, byte]
                table[:, token] = np.where(at == len(states), ON_STRING, at)
        table[:, list(self.tokens)] = ON_TOKEN
        return table

    def cut(self, text: bytes) -> bytes:
        """Return the text before the first stop string."""
        return text[: min((at for string in self.strings if (at := text.find(string)) >= 0), default=len(text))]


def _automaton(strings: Sequence[bytes]) -> np.ndarray:
    """Return, for each state and byte, the next state; the last state, which nothing leaves, is a match."""
    children: list[dict[int, int]] = [{}]
    ends = set()
    for string in strings:
        at = 0
        for byte in string:
            if byte not in children[at]:
                children[at][byte] = len(children)
                children.append({})
            at = children[at][byte]
        ends.add(at)
    match = len(children)
    moves = np.zeros((match + 1, 256), np.int64)
    moves[match] = match
    back = np.zeros(match, np.int64)  # the longest proper suffix of a state that is itself a state
    waiting = deque([0])
    while waiting:
        at = waiting.popleft()
        if at in ends or back[at] in ends:
            ends.add(at)
        moves[at] = moves[back[at]] if at else 0
        for byte, child in children[at].items():
            back[child] = moves[back[at], byte] if at else 0
            moves[at, byte] = child
            waiting.append(child)
    moves[:match] = np.where(np.isin(moves[:match], list(ends)), match, moves[:match])
    return moves
