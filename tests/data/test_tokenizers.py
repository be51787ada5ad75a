"""Tokenizer files: text comes back from its ids, training repeats itself, and what cannot serve is refused by name."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('tokenizers', reason='the package tokenizers is not installed here')
pytest.importorskip('sentencepiece', reason='the package sentencepiece is not installed here')

from t2jax.data.tokenizers import FileVocabulary, train_vocabulary

WORDS = 'It was the best of times, it was the worst of times:\n\n\tthe age of wisdom; the “age” of foolishness.'.split(
    ' '
)
SIZE = 300


def text(n, seed=0):
    return ' '.join(random.Random(seed).choices(WORDS, k=n))


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('vocabularies')
    for name in ('tok.json', 'tok.model'):
        train_vocabulary([text(2000), text(2000, seed=1)], SIZE, folder / name, quiet=True)
    return folder


@pytest.fixture(scope='module', params=['tok.json', 'tok.model'])
def path(files, request):
    return files / request.param


@settings(max_examples=200)
@given(st.lists(st.text(st.characters(exclude_categories=['Cs'], exclude_characters='▁')), max_size=4))
def test_any_text_comes_back_and_no_text_forges_an_end(path, texts):
    """The sign ▁ is SentencePiece's own for a space."""
    vocabulary = FileVocabulary(path)
    texts = [*texts, '  a\n\n b\r\n<|endoftext|></s> ', text(20)]
    encoded = vocabulary.encode_batch(texts)
    assert [vocabulary.decode(ids) for ids in encoded] == texts
    spelling = vocabulary.spelling()
    assert [b''.join(spelling[i] for i in ids).decode() for ids in encoded] == texts
    assert not any(vocabulary.end_id in ids for ids in encoded)
    assert [ids.tolist() for ids in encoded] == [vocabulary.encode(one).tolist() for one in texts]
    assert max((ids.max() for ids in encoded if len(ids)), default=0) < len(vocabulary)


def test_training_repeats_itself_and_shortens_text(path, tmp_path):
    again = tmp_path / path.name
    train_vocabulary(iter([text(2000), text(2000, seed=1)]), SIZE, again, quiet=True)
    assert again.read_bytes() == path.read_bytes()
    unseen = text(1000, seed=2)
    assert len(FileVocabulary(path).encode(unseen)) < 0.6 * len(unseen)


def test_padding_and_end_token_are_part_of_the_fingerprint(path):
    plain, padded = FileVocabulary(path), FileVocabulary(path, pad_to=512)
    assert padded.spelling() == plain.spelling() + [b''] * (512 - len(plain))
    assert plain.spelling()[plain.end_id] == b'' and plain.id_of('no such token') is None
    assert (len(plain), len(padded)) == (SIZE, 512)
    other = FileVocabulary(path, end_token=plain._library.decode(plain.encode('the')[:1].tolist()) or None)
    assert other.end_id != plain.end_id
    assert len({one.fingerprint for one in (plain, padded, other)}) == 3
    assert plain.fingerprint == FileVocabulary(path, pad_to=SIZE).fingerprint


def test_a_tokenizer_file_may_not_cut_pad_or_frame_the_text(files, tmp_path):
    """As files from elsewhere do: truncation, padding, and a template that adds special tokens."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(files / 'tok.json'))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    end = '<|endoftext|>'
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(f'{end} $A {end}', special_tokens=[(end, 0)])
    tokenizer.save(str(tmp_path / 'framed.json'))
    ids = FileVocabulary(tmp_path / 'framed.json').encode(text(50))
    assert ids.tolist() == FileVocabulary(files / 'tok.json').encode(text(50)).tolist()


def test_what_cannot_serve_is_refused_by_name(path, tmp_path):
    with pytest.raises(ValueError, match=f'{path.name} has 300 tokens, and cannot be padded to 256'):
        FileVocabulary(path, pad_to=256)
    with pytest.raises(ValueError, match=f'{path.name} has no token <end> to end a document with; .* --end-token'):
        FileVocabulary(path, end_token='<end>')
    with pytest.raises(FileExistsError, match=f'{path.name} exists'):
        train_vocabulary([text(10)], SIZE, path)
    bad = tmp_path / path.name
    with pytest.raises(FileNotFoundError, match=f'no tokenizer file .*{path.name}; `t2jax vocabulary` trains one'):
        FileVocabulary(bad)
    with pytest.raises(ValueError, match='there is no text to train a vocabulary from'):
        train_vocabulary([''], SIZE, bad, quiet=True)
    with pytest.raises(ValueError, match='--size is 200; a vocabulary of all bytes needs more than 25'):
        train_vocabulary([text(10)], 200, bad)
    bad.write_text(json.dumps({'words': ['a']}))
    with pytest.raises(ValueError, match=f'{path.name} is not a tokenizer'):
        FileVocabulary(bad)
    with pytest.raises(ValueError, match='tok.bin is neither .json .* nor .model'):
        FileVocabulary(tmp_path / 'tok.bin')


def test_text_too_short_for_a_vocabulary(tmp_path):
    assert len(train_vocabulary(['ab ab'], 4096, tmp_path / 'short.json', quiet=True)) < 300
    with pytest.raises(ValueError, match='SentencePiece cannot train 4096 tokens .*too high'):
        train_vocabulary(['ab ab'], 4096, tmp_path / 'short.model', quiet=True)
    assert not (tmp_path / 'short.model').exists()
