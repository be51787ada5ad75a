"""Where answers begin: tokens of the whole text, parted by characters, for every kind of tokenizer."""

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax.data.tokenizers import FileVocabulary, train_vocabulary
from t2jax.data.vocabulary import WordVocabulary
from t2jax.tasks.boundaries import encode_questions
from t2jax.tasks.questions import Question

WORDS = WordVocabulary('a b c d .'.split())
TEXT = ['the cat sat on the mat\n\nQuestion: who sat? Answer: the cat, naïve 漢字 12 + 30 = 42.\n' * 20]


@pytest.fixture(scope='module')
def vocabularies(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tokenizers')
    return {end: train_vocabulary(TEXT, 300, folder / f'tok{end}', quiet=True) for end in ('.json', '.model')}


@pytest.fixture(params=['.json', '.model'])
def vocabulary(request, vocabularies):
    return vocabularies[request.param]


class Letters:
    """A tokenizer of given pieces: the longest that fits, else a letter."""

    end_id = 0

    def __init__(self, *pieces):
        self.pieces = ['<end>', *sorted(pieces, key=len, reverse=True), *string.printable]

    def encode_with_ends(self, texts):
        found = []
        for text in texts:
            ids, ends = [], [0]
            while ends[-1] < len(text):
                ids.append(next(i for i, p in enumerate(self.pieces) if i and text.startswith(p, ends[-1])))
                ends.append(ends[-1] + len(self.pieces[ids[-1]]))
            found.append((np.array(ids, int), np.array(ends[1:], int)))
        return found

    def spell(self, ids):
        return [self.pieces[i] for i in ids]


def parts(encoded, i=0):
    return (
        encoded.prompts[i, : encoded.prompt_lengths[i]].tolist(),
        encoded.answers[i, : encoded.answer_lengths[i]].tolist(),
    )


def test_words_are_padded_right_behind_the_token_that_texts_begin_with():
    questions = [Question('q-0', 'a b c', ' d .'), Question('q-1', 'c', ' a b .')]
    encoded = encode_questions(questions, WORDS, 0, prompt=5, answer=3)
    assert encoded.prompts.tolist() == [[0, 1, 2, 3, 0], [0, 3, 0, 0, 0]]
    assert encoded.prompt_lengths.tolist() == [4, 2]
    assert encoded.answers.tolist() == [[4, 5, 0], [1, 2, 5]]
    assert encoded.answer_lengths.tolist() == [2, 3]
    assert parts(encode_questions(questions, WORDS, None)) == ([1, 2, 3], [4, 5])


@pytest.mark.parametrize(
    ('prompt', 'answer', 'tokens'),
    [
        ('the', ' cat', [' cat']),  # a space before the word is the word's
        ('the ', 'cat', [' cat']),  # and it stays the word's where the prompt ends in it
        ('the\n', 'cat', ['cat']),
        ('the\n', '\ncat', ['\n\n', 'cat']),  # one token of both lines: the answer's
        ('the c', 'at', [' cat']),
        ('the', '\ncat', ['\n', 'cat']),
        ('the', '', []),
    ],
)
def test_a_token_with_a_character_of_the_answer_is_the_answers(prompt, answer, tokens):
    vocabulary = Letters('the', 'cat', ' cat', '\n\n')
    question = Question('q', prompt, answer)
    if not tokens:
        with pytest.raises(ValueError, match="question 'q' has an answer that tokenizes to nothing"):
            encode_questions([question], vocabulary, 0)
        return
    encoded = encode_questions([question], vocabulary, 0)
    before, after = map(vocabulary.spell, parts(encoded))
    assert after == tokens and ''.join(before[1:] + after) == prompt + answer
    assert encoded.straddling.tolist() == [not answer.startswith(tokens[0])]


def test_the_end_of_a_prompt_is_tokenized_as_it_is_before_its_answer():
    """`ab` alone is one token, but before `cd` the text is `a`, `bc`, `d`: what a model meets in a text."""

    class Late(Letters):
        def encode_with_ends(self, texts):
            return [(np.array([1, 2, 3]), np.array([1, 3, 4])) for _ in texts]

    encoded = encode_questions([Question('q', 'ab', 'cd')], Late(), 0)
    assert parts(encoded) == ([0, 1], [2, 3]) and encoded.straddling.all()


@given(st.text('ab é漢\n .,12', max_size=12), st.text('ab é漢\n .,12', min_size=1, max_size=12))
def test_every_token_is_on_the_side_of_its_last_character(vocabularies, prompt, answer):
    for vocabulary in vocabularies.values():
        spelling = vocabulary.spelling()
        encoded = encode_questions([Question('q', prompt, answer)], vocabulary, vocabulary.end_id)
        before, after = parts(encoded)
        assert before[0] == vocabulary.end_id
        assert before[1:] + after == vocabulary.encode(prompt + answer).tolist()
        spelled = b''.join(spelling[i] for i in before[1:])
        whole = (prompt + answer).encode()
        assert whole.startswith(spelled) and len(spelled) <= len(prompt.encode())
        first = len(spelling[after[0]])
        begun = whole[: len(spelled) + first]
        # the answer's first token reaches into the answer: no token of the prompt was given away
        assert len(begun.decode(errors='ignore')) > len(prompt) or len(begun) > len(prompt.encode())


def test_answers_after_a_space_are_the_tokens_of_the_answer_alone(vocabulary):
    for answer in (' cat', ' 42', ' naïve', ' 漢字', '\nQuestion'):
        before, after = parts(encode_questions([Question('q', 'who sat? Answer:', answer)], vocabulary, None))
        assert (before, after) == (vocabulary.encode('who sat? Answer:').tolist(), vocabulary.encode(answer).tolist())


def test_a_space_that_a_model_puts_before_a_text_is_no_character_of_it(tmp_path):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT[0].splitlines()),
        model_prefix=str(tmp_path / 'llama'),
        model_type='bpe',
        vocab_size=320,
        byte_fallback=True,
        normalization_rule_name='identity',
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        eos_id=2,
        minloglevel=2,
    )
    vocabulary = FileVocabulary(tmp_path / 'llama.model')
    ids, ends = vocabulary.encode_with_ends(['the cat\né'])[0]
    spelled = [vocabulary.spelling()[i] for i in ids]
    assert b''.join(spelled) == ' the cat\né'.encode() and ends[-1] == 9
    before, after = parts(encode_questions([Question('q', 'the', ' cat')], vocabulary, None))
    assert [vocabulary.spelling()[i] for i in before + after][-1] == b' cat' and len(after) == 1


def test_a_tokenizer_that_changes_the_text_is_refused(tmp_path):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT[0].splitlines()), model_prefix=str(tmp_path / 'nfkc'), vocab_size=38, minloglevel=2
    )
    vocabulary = FileVocabulary(tmp_path / 'nfkc.model')
    with pytest.raises(ValueError, match=r"question 'b': the tokenizer reads 'the  cat' as ' the cat'"):
        encode_questions([Question('a', 'the', ' cat'), Question('b', 'the ', ' cat')], vocabulary, None)


def test_questions_that_do_not_fit_or_cannot_be_encoded_are_named():
    questions = [Question('q-0', 'a b c', ' d .'), Question('q-1', 'c', ' a b .')]
    with pytest.raises(ValueError, match="question 'q-0' has a prompt of 4 tokens where up to 3 fit"):
        encode_questions(questions, WORDS, 0, prompt=3, answer=3)
    with pytest.raises(ValueError, match="question 'q-1' has an answer of 3 tokens where up to 2 fit"):
        encode_questions(questions, WORDS, 0, answer=2)
    with pytest.raises(ValueError, match="question 'q-2' has a prompt that tokenizes to nothing"):
        encode_questions([Question('q-2', '', 'a')], WORDS, None)
    with pytest.raises(ValueError, match="question 'q-3': word 'ca' is not in the vocabulary"):
        encode_questions([*questions, Question('q-3', 'c', 'a')], WORDS, 0)


def test_a_text_of_nothing_has_no_tokens(vocabulary):
    (found,) = vocabulary.encode_with_ends([''])
    assert [part.tolist() for part in found] == [[], []]
    with pytest.raises(ValueError, match="question 'q' has an answer that tokenizes to nothing"):
        encode_questions([Question('q', '', '')], vocabulary, vocabulary.end_id)


def test_answers_that_only_a_grader_reads_get_no_tokens():
    encoded = encode_questions([Question('q', 'a b', 'assert f() == 1')], WORDS, 0, scored=False)
    assert parts(encoded) == ([0, 1, 2], [])
