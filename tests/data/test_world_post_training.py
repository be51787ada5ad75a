"""Questions of the generated world for fine-tuning: apart from the test's, and apart from each other."""

import hashlib
import itertools
import json

import numpy as np
import pytest

from t2jax.data.families import make_families
from t2jax.data.world import World

WORLD = World(seed=3)
FAMILIES = {family.name: family for family in make_families(3)}
TASKS = ['knowledge', 'arithmetic', 'spatial']


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.fixture(scope='module')
def tests():
    return WORLD.questions()


@pytest.fixture(scope='module')
def parts():
    return {task: WORLD.post_training_questions(task, 512, 128) for task in TASKS}


def test_the_text_and_the_test_of_this_edition_stay_as_they_are():
    """Whoever changes what a seed gives has to change World.edition, and then these."""
    assert World().edition == 2
    assert sha(json.dumps(World().questions())) == '7552d0aa4642b30b'
    assert sha('\n'.join(itertools.islice(World().documents(0), 3000))) == '2e3bf748a6526335'
    assert sha('\n'.join(itertools.islice(World().documents(5), 3000))) == 'be6fe3389d93cd40'


@pytest.mark.parametrize('task', TASKS)
def test_no_prompt_comes_twice_in_training_validation_and_test(parts, tests, task):
    train, validation = parts[task]
    assert (len(train), len(validation)) == (512, 128)
    prompts = [prompt for prompt, _ in [*train, *validation, *tests[task]]]
    assert len(set(prompts)) == len(prompts) == 512 + 128 + 256


@pytest.mark.parametrize('task', ['arithmetic', 'spatial'])
def test_no_problem_is_in_two_of_training_validation_and_test(parts, tests, task):
    """Nor is any kept out of the text in either: a puzzle told otherwise is the same problem."""
    family = FAMILIES[task]
    train, validation, test = ({family.problem(*pair) for pair in pairs} for pairs in (*parts[task], tests[task]))
    assert not train & validation and not train & test and not validation & test
    assert not any(family.is_held_out(pair) for pairs in parts[task] for pair in pairs)


@pytest.mark.parametrize('task', TASKS)
def test_answers_are_as_long_as_the_tests(parts, tests, task):
    lengths = {answer.count(' ') for _, answer in tests[task]}
    for pairs in parts[task]:
        assert {answer.count(' ') for _, answer in pairs} == lengths


@pytest.mark.parametrize('part', [0, 1])
def test_digits_are_as_common_as_in_the_test(parts, tests, part):
    """With the skew of the training text, more than half would be 1; with none, one in ten."""
    share = lambda pairs: np.mean([digit == '1' for prompt, _ in pairs for digit in prompt.split() if digit.isdigit()])
    test = share(tests['arithmetic'])
    assert 0.2 < test < 0.32
    assert share(parts['arithmetic'][part]) == pytest.approx(test, abs=0.04)


def test_facts_of_training_are_no_commoner_than_those_of_validation(parts):
    """Common facts are drawn first: unshuffled, their mean rank among the 1,024 would be over 100 lower."""
    drawn = FAMILIES['knowledge'].draw(np.random.default_rng(0), 200_000, 1.2)
    prompts, counts = np.unique([prompt for prompt, _ in drawn], return_counts=True)
    rank = {prompts[i]: place for place, i in enumerate(np.argsort(-counts))}
    train, validation = (np.mean([rank[prompt] for prompt, _ in pairs]) for pairs in parts['knowledge'])
    assert abs(train - validation) < 75


def test_questions_are_a_function_of_the_seed(parts):
    for task in TASKS:
        assert WORLD.post_training_questions(task, 512, 128) == parts[task]
        others = World(seed=4).post_training_questions(task, 512, 128)
        assert all(other != part for other, part in zip(others, parts[task]))


def test_all_facts_that_the_test_leaves_can_be_asked_and_no_more(tests):
    train, validation = WORLD.post_training_questions('knowledge', 512, 256)
    facts = set(FAMILIES['knowledge'].draw(np.random.default_rng(0), 50_000, 0.0))
    assert {*train, *validation} == facts - set(tests['knowledge'])
    with pytest.raises(
        ValueError,
        match='asks for 512 training and 257 validation questions of knowledge, and the test leaves 768 of its facts; '
        'ask for fewer',
    ):
        WORLD.post_training_questions('knowledge', 512, 257)


def test_a_task_whose_facts_are_all_asked_is_refused():
    with pytest.raises(ValueError, match='causal, and the test leaves 0 of its facts; ask for fewer, or leave causal'):
        WORLD.post_training_questions('causal', 512, 128)
    train, validation = World(seed=3, questions_per_task=100).post_training_questions('causal', 100, 56)
    assert len({*train, *validation}) == 156


def test_asking_for_more_computed_questions_keeps_the_first(parts):
    for task in ('arithmetic', 'spatial'):
        for asked in ((600, 128), (512, 200), (64, 16)):
            for more, less in zip(WORLD.post_training_questions(task, *asked), parts[task]):
                assert more[: len(less)] == less[: len(more)]


def test_problems_that_run_out_are_counted(monkeypatch):
    """A family of fewer than fifty sums."""
    family = FAMILIES['arithmetic']
    few = [pair for pair in family.draw(np.random.default_rng(0), 50, 0.8) if not family.is_held_out(pair)]
    train = sum(family.fold(pair) > 1 for pair in few)
    changed = [*make_families(3)]
    changed[1] = type(family)('arithmetic', 0.25, lambda rng, n, skew: few, family.problem, 1.7, 0.8, 3)
    monkeypatch.setattr('t2jax.data.world.make_families', lambda seed: tuple(changed))
    with pytest.raises(ValueError, match=f'two million draws gave {train} and {len(few) - train}; ask for fewer'):
        WORLD.post_training_questions('arithmetic', 100, 10)


def test_tasks_that_are_not_there_and_numbers_below_one_are_refused():
    with pytest.raises(ValueError, match="no task 'sums'; post-training can have knowledge, arithmetic, causal, spat"):
        WORLD.post_training_questions('sums', 5, 5)
    for train, validation in ((0, 5), (5, 0), (5, -1)):
        with pytest.raises(ValueError, match=f'asks for {train} training and {validation} validation questions'):
            WORLD.post_training_questions('spatial', train, validation)
