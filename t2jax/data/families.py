"""The four families of a generated world: knowledge, arithmetic, causal, spatial.

Each family writes sentences `prompt answer .` for training text, and questions for tests. Everything is drawn with
Zipfian weights, rank^-a, so that rare facts, digits and long chains need a larger or longer-trained model and
accuracy grows smoothly. A family whose problems are computed rather than remembered keeps one problem in eight (by a
hash) out of all training text; tests are drawn from those alone. After T2 section 4 (task families).
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NAMES = 'ann bob cat dan eve fay gus hal ida jim kay leo mia ned oda pam'.split()
KINDS = 'black brown green grey young long small short rich wise swift strong wild sharp white old'.split()
VERBS = 'owns sells paints hides wants finds keeps brings'.split()
THINGS = 'lamp cup box bag coin ring book key bell bowl chest jar drum boat cart rope'.split()
PLACES = THINGS[:8]
EVENTS = 'falls opens rings burns spins sinks melts shakes'.split()
WEATHERS = 'sun rain'.split()
DIGITS = '0123456789'
MARKS = '. , + = ? in so later'.split()
WORDS = (*NAMES, *KINDS, *VERBS, *THINGS, *EVENTS, *WEATHERS, *DIGITS, *MARKS)

Pair = tuple[str, str]  # prompt, answer; the answer ends in ' .'


@dataclass(frozen=True)
class Family:
    """One kind of text. `draw(rng, n, skew)` gives n (prompt, answer) pairs; higher skew favours the common."""

    name: str
    share: float  # of all sentences of the training text
    draw: Callable[[np.random.Generator, int, float], list[Pair]]
    problem: Callable[[str, str], str] | None  # of a computed pair: what makes it the same as another one
    train_skew: float
    test_skew: float
    test_words: int  # tests ask only for answers of at least so many words: a shorter one could be guessed

    def is_held_out(self, pair: Pair) -> bool:
        """Tell whether a problem is kept for tests and out of all text: one in eight; facts never are."""
        return self.problem is not None and self.fold(pair) == 0

    def fold(self, pair: Pair) -> int:
        """Number the eighth of all problems that a computed pair's is of: 0 is kept for tests."""
        return zlib.crc32(self.problem(*pair).encode()) % 8


def ranks(rng: np.random.Generator, size: int, skew: float, n: int) -> np.ndarray:
    """Draw n ranks below `size` with weights (rank + 1)^-skew."""
    cumulative = np.cumsum((np.arange(size) + 1.0) ** -skew)
    return np.searchsorted(cumulative / cumulative[-1], rng.random(n), side='right')


def facts(pairs: list[Pair]) -> Callable[[np.random.Generator, int, float], list[Pair]]:
    """Draw from a fixed list of facts, the first ones most often."""

    def draw(rng: np.random.Generator, n: int, skew: float) -> list[Pair]:
        return [pairs[i] for i in ranks(rng, len(pairs), skew, n).tolist()]

    return draw


def knowledge_facts(rng: np.random.Generator) -> list[Pair]:
    """Make 1,024 facts, `ann young owns` -> `wild lamp .`, in random order: 256 possible answers each."""
    subjects = [f'{name} {kind} {verb}' for name in NAMES for kind in KINDS[:8] for verb in VERBS]
    answers = [f'{kind} {thing} .' for kind in KINDS for thing in THINGS]
    chosen = rng.integers(len(answers), size=len(subjects))
    return [(subjects[i], answers[chosen[i]]) for i in rng.permutation(len(subjects))]


def causal_facts(rng: np.random.Generator) -> list[Pair]:
    """Make chains of events: 128 one-hop, `rain lamp falls so` -> `cup opens .`, and 128 two-hop, `so later`.

    What follows an event depends on the weather; `so later` asks for what follows what follows. One-hop facts come
    at even ranks, so a two-hop fact is about as common as a one-hop one.
    """
    events = [f'{thing} {event}' for thing in PLACES for event in EVENTS]
    one, two = [], []
    for weather in WEATHERS:
        follows = rng.permutation(len(events))
        for i, event in enumerate(events):
            one.append((f'{weather} {event} so', f'{events[follows[i]]} .'))
            two.append((f'{weather} {event} so later', f'{events[follows[follows[i]]]} .'))
    mixed: list[Pair | None] = [None] * (2 * len(one))
    mixed[0::2] = [one[i] for i in rng.permutation(len(one))]
    mixed[1::2] = [two[i] for i in rng.permutation(len(two))]
    return [pair for pair in mixed if pair is not None]


def draw_arithmetic(rng: np.random.Generator, n: int, skew: float) -> list[Pair]:
    """Draw sums of two numbers of three digits, units first, worked column by column with carries.

    `3 7 1 + 4 5 2 =` -> `7 2 4 .`: 173 + 254 = 427; a last carry is dropped. Low digits are commoner, so that most
    columns carry nothing and the full table of columns takes long to learn.
    """
    digits = (ranks(rng, 10, skew, 6 * n).reshape(n, 2, 3) + 1) % 10  # 1 is the commonest digit, 0 the rarest
    sums = (digits @ np.array([1, 10, 100])).sum(axis=1)
    pairs = []
    for ((a, b, c), (d, e, f)), total in zip(digits.tolist(), sums.tolist()):
        pairs.append((f'{a} {b} {c} + {d} {e} {f} =', f'{total % 10} {total // 10 % 10} {total // 100 % 10} .'))
    return pairs


def draw_spatial(rng: np.random.Generator, n: int, skew: float) -> list[Pair]:
    """Draw containment puzzles of up to four links; the answer is the chain outwards from the thing asked for.

    `cup in box , box in bag , cup ?` -> `box bag .`; half are told in order, half shuffled; two links in one chain
    are commonest, four links rarest.
    """
    shapes = ((2, 2), (1, 1), (3, 3), (2, 1), (3, 2), (4, 3))  # links, hops of the chain asked for
    shape = ranks(rng, len(shapes), skew, n)
    things = rng.random((n, len(PLACES))).argsort(axis=1)
    order = np.where(rng.random((n, 1)) < 0.5, rng.random((n, 4)).argsort(axis=1), np.arange(4))
    pairs = []
    for which, row, places in zip(shape.tolist(), things.tolist(), order.tolist()):
        links, hops = shapes[which]
        names = [PLACES[i] for i in row]
        chain, rest = names[: hops + 1], names[hops + 1 :]
        told = [f'{a} in {b} ,' for a, b in zip(chain, chain[1:])]
        told += [f'{rest[2 * i]} in {rest[2 * i + 1]} ,' for i in range(links - hops)]
        told = [told[i] for i in places if i < links]
        pairs.append((f'{" ".join(told)} {chain[0]} ?', f'{" ".join(chain[1:])} .'))
    return pairs


def chain_asked(prompt: str, answer: str) -> str:
    """Name a puzzle by its chain: told with other links around it, or in another order, it is the same puzzle."""
    return f'{prompt.split()[-2]} {answer}'


def make_families(seed: int) -> tuple[Family, ...]:
    """Make the world of this seed: its facts are random, everything else is the same in all worlds."""
    rng = np.random.default_rng((seed, 0))
    return (
        Family('knowledge', 0.30, facts(knowledge_facts(rng)), None, 1.2, 0.7, 2),
        Family('arithmetic', 0.25, draw_arithmetic, lambda prompt, answer: prompt, 1.7, 0.8, 3),
        Family('causal', 0.25, facts(causal_facts(rng)), None, 1.2, 0.7, 2),
        Family('spatial', 0.20, draw_spatial, chain_asked, 1.5, 0.5, 2),
    )
