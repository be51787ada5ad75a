"""The summary of a task's questions."""

import numpy as np

from t2jax.tasks.boundaries import EncodedQuestions
from t2jax.tasks.questions import Question
from t2jax.tasks.summary import summarize

QUESTIONS = [Question(f'q{i}', 'p' * (i + 1), ' a' if i % 4 else ' bc') for i in range(100)]


def test_lengths_answers_and_a_sample():
    lengths = [np.array([2 * len(getattr(q, part)) for q in QUESTIONS]) for part in ('prompt', 'answer')]
    encoded = EncodedQuestions(None, lengths[0], None, lengths[1], None)
    found = summarize(QUESTIONS, encoded)
    assert found.questions == 100 and found.distinct_answers == 2
    assert (found.commonest_answer, found.commonest_share) == (' a', 0.75)
    assert found.lengths['prompt, characters'] == (1, 50.5, 95.05, 100)
    assert found.lengths['prompt, tokens'] == (2, 101, 190.1, 200)
    assert found.lengths['answer, characters'] == (2, 2, 3, 3)
    assert len(found.sample) == len({q.id for q in found.sample}) == 10
    assert found == summarize(QUESTIONS, encoded)


def test_fewer_than_ten_are_all_shown():
    assert {q.id for q in summarize(QUESTIONS[:3]).sample} == {'q0', 'q1', 'q2'}
    assert 'prompt, tokens' not in summarize(QUESTIONS[:3]).lengths
