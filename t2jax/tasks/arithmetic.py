"""Multi-step arithmetic: ten kinds of problem in words and symbols, of one to four steps each.

A kind is a function of (rng, level) to a prompt and its answer, where level is the number of steps. Every number on
the way is a non-negative integer. Answers are in digits, as all numbers of the prompts, but for days of the week.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np

from t2jax.tasks.questions import Question, make_id
from t2jax.tasks.task import Task

NAMES = 'Anna Ben Carla David Emma Frank Grace Henry Julia Kevin Laura Mark Nina Oscar Paula Robert Sarah Tom'.split()
THINGS = 'apple book coin cookie marble sticker pencil shell stamp button balloon card candle key'.split()
GOODS = 'notebook pencil sandwich ticket muffin candle lamp mug ball pen toy plant'.split()
DAYS = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split()
PLURALS = {'box': 'boxes', 'sandwich': 'sandwiches'}
EACH = 25  # questions of each kind and level
COMMONEST = 25  # questions that may have the same answer


class Item(NamedTuple):
    """A question and its level, the number of steps."""

    level: int
    prompt: str
    answer: str


def pick(rng: np.random.Generator, things: list[str], count: int) -> list[str]:
    """Draw different things."""
    return [things[i] for i in rng.permutation(len(things))[:count].tolist()]


def number(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw a number from low to high, both included."""
    return int(rng.integers(low, high + 1))


def plural(thing: str) -> str:
    """Name several of a thing."""
    return PLURALS.get(thing, f'{thing}s')


def many(count: int, thing: str) -> str:
    """Count a thing: '1 apple', '2 apples'."""
    return f'{count} {thing if count == 1 else plural(thing)}'


def brackets(rng: np.random.Generator, level: int) -> tuple[str, int]:
    """Write operations around each other: '5 + 2 * (3 + 4) ='."""
    value, sum_outside = number(rng, 2, 12), False
    text = str(value)
    for _ in range(level):
        n, sign = number(rng, 2, 9), '+-*'[number(rng, 0, 2)]
        if (sign == '-' and n > value) or (sign == '*' and value > 60):
            sign = '+'
        inner = f'({text})' if sign == '*' and sum_outside else text
        text = f'{n} {sign} {inner}' if sign != '-' and number(rng, 0, 1) else f'{inner} {sign} {n}'
        value = {'+': value + n, '-': value - n, '*': value * n}[sign]
        sum_outside = sign != '*'
    return f'{text} =', value


def spoken(rng: np.random.Generator, level: int) -> tuple[str, int]:
    """Tell operations in words: 'Start with 5, add 3, double the result, and you get'."""
    value = number(rng, 2, 30)
    text = f'Start with {value}'
    for _ in range(level):
        n, kind = number(rng, 2, 12), number(rng, 0, 4)
        if kind == 1 and n <= value:
            text, value = f'{text}, subtract {n}', value - n
        elif kind == 2 and 0 < value < 60:
            text, value = f'{text}, double the result' if ',' in text else f'{text}, double it', value * 2
        elif kind == 3 and value > 0 and value % 2 == 0:
            text, value = f'{text}, divide by 2', value // 2
        elif kind == 4 and 0 < value < 30:
            text, value = f'{text}, multiply by {n}', value * n
        else:
            text, value = f'{text}, add {n}', value + n
    return f'{text}, and the number you get is', value


def belongings(rng: np.random.Generator, level: int) -> tuple[str, int]:
    """Tell how somebody gets and loses things."""
    (who, friend), (thing,), value = pick(rng, NAMES, 2), pick(rng, THINGS, 1), number(rng, 1, 20)
    text = f'{who} has {many(value, thing)}.'
    for _ in range(level):
        n, kind = number(rng, 1, 9), number(rng, 0, 4)
        if kind <= 1 and n <= value:
            text += (
                f' Then {who} {f"gives {n} of them to {friend}" if kind and n < value else f"loses {many(n, thing)}"}.'
            )
            value -= n
        elif kind == 2 and 0 < value < 40:
            text += f' Then {who} buys more {thing}s until there are twice as many.'
            value *= 2
        else:
            text += f' Then {who} {"buys" if kind == 3 else "finds"} {n} more {thing if n == 1 else plural(thing)}.'
            value += n
    return f'{text} The number of {thing}s that {who} has now is', value


def purchase(rng: np.random.Generator, level: int) -> tuple[str, int]:
    """Price several of one good, with one or two of another, and the change."""
    (who,), (good, other) = pick(rng, NAMES, 1), pick(rng, GOODS, 2)
    price, second, n, extra = number(rng, 2, 9), number(rng, 1, 9), number(rng, 2, 9), (0, 1, 2, 2)[level - 1]
    total = price * n + second * extra
    prices, basket = f'A {good} costs {many(price, "dollar")}', f'{who} buys {many(n, good)}'
    if level > 1:
        prices, basket = f'{prices} and a {other} costs {many(second, "dollar")}', f'{basket} and {many(extra, other)}'
    if level < 4:
        return f'{prices}. {basket}. The total price in dollars is', total
    paid = 10 * (total // 10 + number(rng, 1, 2))
    return f'{prices}. {basket}. {who} pays with {paid} dollars. The change in dollars is', paid - total


def sharing(rng: np.random.Generator, level: int) -> tuple[str, int]:
    """Share things equally, after keeping some and before getting and losing some."""
    (who,), (thing,), people, each = pick(rng, NAMES, 1), pick(rng, THINGS, 1), number(rng, 2, 9), number(rng, 3, 12)
    kept, gain, loss = number(rng, 1, 9) if level > 1 else 0, number(rng, 1, 9), number(rng, 1, each)
    text = f'{who} has {many(people * each + kept, thing)}'
    text += f', keeps {kept} of them and shares the rest' if kept else ' and shares them'
    text += f' equally among {people} children.'
    if level > 2:
        text, each = f'{text} Then each child finds {gain} more {thing if gain == 1 else plural(thing)}.', each + gain
    if level > 3:
        text, each = f'{text} Later each child loses {many(loss, thing)}.', each - loss
    return f'{text} The number of {thing}s that each child has {"now" if level > 2 else "got"} is', each


def sequence(rng: np.random.Generator, level: int) -> tuple[str, int]:
    """Continue a sequence: equal steps, a constant factor, growing steps, sums of the last two."""
    start, step = number(rng, 1, 9), number(rng, 2, 9)
    terms = [start, start * (2 + step % 2) if level == 2 else start + step]
    while len(terms) < 6 - (level < 3):
        last = terms[-1]
        terms.append(
            {1: last + step, 2: last * (2 + step % 2), 3: last + step + len(terms) - 1, 4: last + terms[-2]}[level]
        )
    lead = ('Continue the sequence: ', 'Here is a sequence of numbers: ', '')[number(rng, 0, 2)]
    return f'{lead}{", ".join(map(str, terms[:-1]))},', terms[-1]


def ages(rng: np.random.Generator, level: int) -> tuple[str, int]:
    """Compare ages along a row of people; from level 3 on, years pass at the end."""
    names, age = pick(rng, NAMES, 4), number(rng, 3, 14)
    text, compared = f'{names[0]} is {many(age, "year")} old.', level - (level > 2)
    for last, name in zip(names, names[1 : compared + 1]):
        n, kind = number(rng, 1, 9), number(rng, 0, 2)
        if kind == 0 and n < age:
            text, age = f'{text} {name} is {many(n, "year")} younger than {last}.', age - n
        elif kind == 1 and age < 30:
            text, age = f'{text} {name} is twice as old as {last}.', age * 2
        else:
            text, age = f'{text} {name} is {many(n, "year")} older than {last}.', age + n
    if level < 3:
        return f'{text} So the age of {names[compared]} in years is', age
    later = number(rng, 2, 9)
    return f'{text} In {later} years, the age of {names[compared]} in years will be', age + later


def clock(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Add up the minutes of a way to work: 'Anna leaves home at 7:15. The walk to ...'."""
    (who,), time = pick(rng, NAMES, 1), 5 * number(rng, 12, 108)
    show = lambda minutes: f'{minutes // 60}:{minutes % 60:02d}'
    text = f'{who} leaves home at {show(time)}.'
    for leg in ('walk to the station', 'wait for the train', 'train ride', 'walk to the office')[:level]:
        minutes = 5 * number(rng, 1, 9)
        text, time = f'{text} The {leg} takes {minutes} minutes.', time + minutes
    ends = (
        f'{who} reaches the station at',
        'The train leaves at',
        'The train ride ends at',
        f'{who} is at the office at',
    )
    return f'{text} {ends[level - 1]}', show(time)


def weekday(rng: np.random.Generator, level: int) -> tuple[str, str]:
    """Count days from today on, along a row of events: 'The party is 2 days after the test.'"""
    today, events = number(rng, 0, 6), pick(rng, 'test party match trip concert wedding'.split(), level)
    text, day, last = f'Today is {DAYS[today]}.', today, ''
    for event in events:
        n = number(rng, 1, 6)
        ahead = day - n <= today or number(rng, 0, 1) > 0
        where = f'{many(n, "day")} {"after" if ahead else "before"} the {last}' if last else f'in {many(n, "day")}'
        text, day, last = f'{text} The {event} is {where}.', day + (n if ahead else -n), event
    return f'{text} So the day of the {last} is a', DAYS[day % 7]


def holders(rng: np.random.Generator, level: int) -> tuple[str, int]:
    """Count things in equal holders, some of which are taken away, with others added and removed."""
    (thing,), (holder,) = pick(rng, THINGS, 1), pick(rng, ['box', 'bag', 'jar', 'basket'], 1)
    n, each, gone, more = number(rng, 3, 9), number(rng, 2, 12), number(rng, 1, 2), number(rng, 1, 9)
    text, total = f'There are {many(n, holder)} with {many(each, thing)} in each {holder}.', n * each
    steps = (
        (f'{gone} of the {plural(holder)} {"is" if gone == 1 else "are"} taken away.', -gone * each),
        (f'Then {more} more {many(more, thing).split()[1]} {"is" if more == 1 else "are"} brought in.', more),
        (f'Later 2 {thing}s get lost.', -2),
    )
    for sentence, change in steps[: level - 1]:
        text, total = f'{text} {sentence}', total + change
    return f'{text} In all, the number of {thing}s there is', total


KINDS = (brackets, spoken, belongings, purchase, sharing, sequence, ages, clock, weekday, holders)


def items() -> list[Item]:
    """Draw as many questions of every kind and level, no prompt twice and no answer too often."""
    rng, chosen, answers = np.random.default_rng(0), {}, Counter()
    for level in (1, 2, 3, 4):
        for kind in KINDS:
            wanted = len(chosen) + EACH
            for _ in range(1000 * EACH):
                prompt, answer = kind(rng, level)
                if prompt not in chosen and answers[answer] < COMMONEST:
                    chosen[prompt] = Item(level, prompt, f' {answer}')
                    answers[answer] += 1
                if len(chosen) == wanted:
                    break
            else:
                raise ValueError(f'{kind.__name__} gives fewer than {EACH} different questions of level {level}')
    return list(chosen.values())


def questions() -> list[Question]:
    """Make the 1,000 questions."""
    return [Question(make_id(prompt, answer), prompt, answer) for _, prompt, answer in items()]


TASK = Task(
    name='multi_step_arithmetic',
    about='sums in symbols, stories, prices, ages, times and sequences, of one to four steps',
    generate=questions,
)
