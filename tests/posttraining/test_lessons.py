"""Questions as rows of a batch: what counts in each stage, and what cannot be trained on."""

import numpy as np
import pytest
from made_run import WORDS

from t2jax.posttraining.lessons import Lesson, check_lesson, encode_lesson, mark_questions, takes, widths_of
from t2jax.tasks.boundaries import encode_questions
from t2jax.tasks.questions import Question

QUESTIONS = [Question('a', '1 2 3', ' 4 .'), Question('b', '7', ' 8 9 .')]
END = WORDS.end_id


def ids(text):
    return WORDS.encode(text).tolist()


def test_ft_counts_prompt_and_answer_and_sft_the_answer():
    encoded = encode_questions(QUESTIONS, WORDS, END)
    width = 7
    for stage, counted in (('ft', ['1 2 3 4 .', '7 8 9 .']), ('sft', ['4 .', '8 9 .'])):
        marked = mark_questions(encoded, stage, width)
        assert marked.shape == (2, width) and marked.dtype == np.int32
        assert [row[row >= 0].tolist() for row in marked] == [ids(text) for text in counted]
        plain = np.where(marked < 0, ~marked, marked)
        assert plain[0, :6].tolist() == [END, *ids('1 2 3 4 .')] and plain[1, :5].tolist() == [END, *ids('7 8 9 .')]
        assert (marked[:, 0] < 0).all()  # nothing comes before the first token


def test_ft_with_an_empty_prompt_is_sft():
    empty = encode_questions([Question('a', '', '4 .'), Question('b', '', '8 9 .')], WORDS, END)
    assert np.array_equal(mark_questions(empty, 'ft', 5), mark_questions(empty, 'sft', 5))
    full = encode_questions(QUESTIONS, WORDS, END)
    assert not np.array_equal(mark_questions(full, 'ft', 7), mark_questions(full, 'sft', 7))


VALIDATION = [Question('v', '5', ' 6 .')]


def lesson(train=QUESTIONS, validation=VALIDATION):
    return Lesson('count', train, validation, 'train.jsonl', 'validation.jsonl')


def test_a_lesson_is_as_wide_as_its_longest_question():
    encoded, wide = encode_lesson(lesson(), WORDS, END, 16), lesson(validation=[Question('w', '1 2 3 4 5', ' 6')])
    assert takes(QUESTIONS, WORDS, END) == [6, 5] and takes(QUESTIONS, WORDS, None) == [5, 4]
    assert widths_of([encoded]) == (6, 4) and widths_of([encode_lesson(wide, WORDS, END, 16), encoded]) == (6, 7)
    assert len(encoded.train.prompts) == 2 and len(encoded.validation.prompts) == 1


def test_what_cannot_be_trained_on_is_refused():
    with pytest.raises(
        ValueError, match="train.jsonl: question 'a' takes 6 tokens, 2 of them its answer, and the model"
    ):
        encode_lesson(lesson(), WORDS, END, 4)
    assert encode_lesson(lesson(), WORDS, END, 5)
    long = Question('long', '1', ' 2 3 4 5 6 7 8 9 .')
    with pytest.raises(ValueError, match="validation.jsonl: question 'long' takes 11 tokens, 9 of them its answer"):
        encode_lesson(lesson(validation=[long]), WORDS, END, 6)
    with pytest.raises(ValueError, match='train.jsonl leaves no question to train on'):
        check_lesson(lesson(train=[]))
    same = Question('v', '7', '  8 9 .')
    with pytest.raises(ValueError, match=r"train.jsonl shares 1 of its 2 questions with validation.jsonl.*'b'.*'v'"):
        check_lesson(lesson(validation=[same]))
    with pytest.raises(ValueError, match='shares 1 of its 2 questions with exam.jsonl'):
        check_lesson(lesson(), [same], 'exam.jsonl')
    check_lesson(lesson(), [Question('t', '7', ' 8 .')], 'exam.jsonl')
