"""The generated world: answers checked by independent means, nothing of the test in the training text."""

import itertools
import re

import numpy as np
import pytest

from t2jax.data.families import make_families
from t2jax.data.vocabulary import WordVocabulary, load_vocabulary
from t2jax.data.world import World

WORLD = World(seed=3, questions_per_task=200)


@pytest.fixture(scope='module')
def questions():
    return WORLD.questions()


@pytest.fixture(scope='module')
def text():
    return '\n'.join(itertools.islice(WORLD.documents(0), 20_000))


def test_sums_are_right(questions):
    for prompt, answer in questions['arithmetic']:
        left, right = prompt.removesuffix(' =').split(' + ')
        number = lambda digits: int(''.join(reversed(digits.split())))
        assert number(answer.removesuffix(' .')) == (number(left) + number(right)) % 1000


def test_chains_of_things_are_right(questions):
    for prompt, answer in questions['spatial']:
        inside = dict(re.findall(r'(\w+) in (\w+) ,', prompt))
        thing = prompt.split()[-2]
        chain = []
        while thing in inside:
            thing = inside[thing]
            chain.append(thing)
        assert answer == ' '.join(chain) + ' .'


def test_two_hops_are_one_hop_twice():
    family = next(family for family in make_families(3) if family.name == 'causal')
    facts = dict(family.draw(np.random.default_rng(0), 20_000, 0.0))
    one_hop = {prompt: answer for prompt, answer in facts.items() if prompt.endswith('so')}
    two_hop = {prompt: answer for prompt, answer in facts.items() if prompt.endswith('later')}
    assert len(one_hop) == len(two_hop) == 128
    for prompt, answer in two_hop.items():
        weather = prompt.split()[0]
        middle = one_hop[prompt.removesuffix(' later')].removesuffix(' .')
        assert answer == one_hop[f'{weather} {middle} so']


def test_facts_of_the_questions_stand_in_the_text(questions, text):
    told = sum(f'{prompt} {answer}' in text for prompt, answer in questions['knowledge'])
    assert told > 0.9 * len(questions['knowledge'])


@pytest.mark.parametrize('task', ['arithmetic', 'spatial'])
def test_problems_of_the_test_never_stand_in_the_text(questions, text, task):
    (family,) = (family for family in make_families(3) if family.name == task)
    assert all(family.is_held_out(pair) for pair in questions[task])
    mark = {'arithmetic': '=', 'spatial': '?'}[task]
    told = {sentence.split(mark)[0] + mark for sentence in re.split(r'(?<=\.)\s', text) if mark in sentence}
    assert len(told) > 1000
    assert not told & {prompt for prompt, _ in questions[task]}


def test_no_chain_of_the_test_is_asked_for_in_the_text(questions, text):
    """Nor within a longer puzzle, nor in another order."""
    chains = {f'{prompt.split()[-2]} ? {answer}' for prompt, answer in questions['spatial']}
    told = re.findall(r'\w+ \? [\w ]+ \.', text)
    assert len(chains) > 50 and len(told) > 1000
    assert not chains & set(told)


@pytest.mark.parametrize('task', ['knowledge', 'arithmetic', 'causal', 'spatial'])
def test_questions_are_distinct_and_hard_to_guess(questions, task):
    prompts = [prompt for prompt, _ in questions[task]]
    assert len(set(prompts)) == len(prompts) == 200
    words = {len(answer.split()) - 1 for _, answer in questions[task]}
    assert words <= {2, 3}


def test_a_shard_is_a_function_of_seed_and_number():
    first = list(itertools.islice(WORLD.documents(1), 50))
    assert first == list(itertools.islice(WORLD.documents(1), 50))
    assert first != list(itertools.islice(WORLD.documents(2), 50))
    assert first != list(itertools.islice(World(seed=4).documents(1), 50))


def test_the_vocabulary_covers_the_text_and_comes_back(text, tmp_path):
    vocabulary = WORLD.vocabulary()
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == ' '.join(text.split())
    assert len(vocabulary) < 100
    vocabulary.save(tmp_path / 'words.json')
    assert load_vocabulary(tmp_path / 'words.json').fingerprint == vocabulary.fingerprint


def test_unknown_and_repeated_words_are_named():
    with pytest.raises(ValueError, match="word 'zebra' is not in the vocabulary of 3 words"):
        WordVocabulary(['a', 'b']).encode('a zebra b')
    with pytest.raises(ValueError, match='vocabulary repeats a'):
        WordVocabulary(['a', 'b', 'a'])


def test_more_questions_than_the_world_has_are_refused():
    """The causal family has 256 facts, and the default test set of 256 questions asks them all."""
    with pytest.raises(ValueError, match='questions_per_task is 257 and two million draws of causal gave 256'):
        World(questions_per_task=257).questions()
