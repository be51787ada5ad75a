"""Token shards and the feed: no token lost or doubled, order a function of (seed, step), damage named."""

import gzip
import json

import numpy as np
import pytest

from t2jax.data.feed import Feed
from t2jax.data.shards import Shards, open_shards, write_shards
from t2jax.data.sources import file_documents, seqio_documents
from t2jax.data.vocabulary import WordVocabulary

WORDS = WordVocabulary([f'w{i}' for i in range(300)])


def documents(shard):
    for i in range(20):
        yield ' '.join(f'w{(shard * 20 + i + j) % 300}' for j in range(i + 1))


@pytest.fixture
def folder(tmp_path):
    write_shards(tmp_path / 'tokens', documents, WORDS, 3, 10**6, {'test': True})
    return tmp_path / 'tokens'


def test_every_word_of_every_document_is_there_once_and_in_order(folder):
    shards = open_shards(folder, WORDS, verify=True)
    text = [' <end> '.join(documents(i)) for i in range(3)]
    assert [WORDS.decode(array) for array in shards.arrays] == [f'<end> {t} <end>' for t in text]
    assert [entry['documents'] for entry in shards.manifest['shards']] == [20, 20, 20]


def test_a_limit_cuts_each_shard(tmp_path):
    write_shards(tmp_path, documents, WORDS, 2, 50, {})
    assert [len(array) for array in open_shards(tmp_path, WORDS).arrays] == [50, 50]


def test_each_window_comes_once_an_epoch_across_shard_borders():
    arrays = np.split(np.arange(1001, dtype=np.uint16), [13, 14, 500])
    feed = Feed(Shards(tuple(arrays), {}), batch_sequences=4, sequence_length=10, seed=5)
    assert feed.steps == 25
    rows = feed.batches(0, 25).reshape(-1, 11)
    assert (np.diff(rows.astype(int), axis=1) == 1).all()  # windows are contiguous
    assert sorted(rows[:, 1:].ravel()) == list(range(1, 1001))  # every token is a target once
    np.testing.assert_array_equal(feed.batches(7, 3), feed.batches(0, 25)[7:10])
    again = Feed(Shards(tuple(arrays), {}), 4, 10, seed=6)
    assert (again.batches(0, 25) != feed.batches(0, 25)).any()


def test_more_steps_than_text_are_refused():
    feed = Feed(Shards((np.arange(100, dtype=np.uint16),), {}), 2, 9, seed=0)
    with pytest.raises(ValueError, match='step 6 needs more text than the 5 steps there are; tokenize more'):
        feed.batches(4, 2)
    with pytest.raises(ValueError, match='100 tokens do not fill one batch of 64 x 9'):
        Feed(Shards((np.arange(100, dtype=np.uint16),), {}), 64, 9, seed=0)


def test_another_tokenizer_is_refused(folder):
    with pytest.raises(ValueError, match='was tokenized with vocabulary .* use the vocabulary it was made with'):
        open_shards(folder, WordVocabulary(['other']))


def test_damage_is_named(folder):
    path = folder / 'tokens-00001.npy'
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b'\x07')
    open_shards(folder, WORDS)
    with pytest.raises(ValueError, match='tokens-00001.npy is not what its manifest says'):
        open_shards(folder, WORDS, verify=True)
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match='tokens-00001.npy is damaged'):
        open_shards(folder, WORDS)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='tokens-00001.npy is missing'):
        open_shards(folder, WORDS)
    (folder / 'manifest.json').unlink()
    with pytest.raises(FileNotFoundError, match='manifest.json; `t2jax train` writes it'):
        open_shards(folder, WORDS)


def test_plain_files_are_documents(tmp_path):
    (tmp_path / 'a.txt').write_text('one text')
    lines = [json.dumps({'text': f'line {i}'}) for i in range(2)]
    (tmp_path / 'b.jsonl.gz').write_bytes(gzip.compress('\n'.join(lines).encode()))
    paths = [tmp_path / 'a.txt', tmp_path / 'b.jsonl.gz']
    assert list(file_documents(paths)) == ['one text', 'line 0', 'line 1']
    assert list(file_documents(paths, shard=1, shards=2)) == ['line 0', 'line 1']
    (tmp_path / 'c.jsonl').write_text('{"text": "fine"}\n{"words": 1}\n')
    with pytest.raises(ValueError, match='c.jsonl line 2 is not a JSON object with a field "text"'):
        list(file_documents([tmp_path / 'c.jsonl']))
    (tmp_path / 'd.pdf').write_text('')
    with pytest.raises(ValueError, match='d.pdf is neither .txt nor .jsonl'):
        list(file_documents([tmp_path / 'd.pdf']))


def test_a_seqio_task_becomes_shards(tmp_path):
    """The real path: a registered seqio task over text files, tokenized into shards."""
    seqio = pytest.importorskip('seqio', reason='seqio and TensorFlow are not installed here')
    lines = ['w1 w2 w3', 'w4', 'w5 w6']
    (tmp_path / 'text.txt').write_text('\n'.join(lines))
    source = seqio.TextLineDataSource({'train': str(tmp_path / 'text.txt')})
    seqio.TaskRegistry.add('t2jax_test_lines', source=source, output_features={}, preprocessors=[])
    read = lambda shard: seqio_documents('t2jax_test_lines', 'train', shard, 1)
    assert list(read(0)) == lines
    write_shards(tmp_path / 'tokens', read, WORDS, 1, 1000, {'seqio': 't2jax_test_lines'})
    assert WORDS.decode(open_shards(tmp_path / 'tokens', WORDS).arrays[0]) == (
        '<end> w1 w2 w3 <end> w4 <end> w5 w6 <end>'
    )
