"""Token shards and the feed: no token lost or doubled, order a function of (seed, step), damage named."""

from pathlib import Path

import numpy as np
import pytest

from t2jax.data.shards import ShardWriter, open_shards, write_shards
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
    assert [WORDS.decode(array) for array in shards.arrays] == [f'<end> {t}' for t in text]
    assert [entry['documents'] for entry in shards.manifest['shards']] == [20, 20, 20]


def test_a_limit_cuts_each_shard(tmp_path):
    write_shards(tmp_path, documents, WORDS, 2, 50, {})
    assert [len(array) for array in open_shards(tmp_path, WORDS).arrays] == [50, 50]


def test_another_tokenizer_is_refused(folder):
    """A reader says what it expects: a vocabulary, a fingerprint, or nothing."""
    other = WordVocabulary(['other'])
    for expected in (other, other.fingerprint):
        with pytest.raises(ValueError, match='was tokenized with vocabulary .* use the vocabulary it was made with'):
            open_shards(folder, expected)
    opened = open_shards(folder, WORDS.fingerprint)
    assert opened.tokens == open_shards(folder, None).tokens == opened.manifest['tokens']
    assert (opened.vocabulary_size, opened.end_id) == (301, 0)


def test_damage_is_named(folder):
    path = folder / 'tokens-00001.npy'
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b'\x07')
    open_shards(folder, WORDS)
    with pytest.raises(ValueError, match='tokens-00001.npy does not have the checksum .* run `t2jax tokenize` again'):
        open_shards(folder, WORDS, verify=True)
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match='tokens-00001.npy is damaged'):
        open_shards(folder, WORDS)
    with open(path, 'wb') as file:
        np.save(file, np.zeros(7, np.uint16))
    with pytest.raises(ValueError, match='tokens-00001.npy has 7 tokens and its manifest says 230'):
        open_shards(folder, WORDS)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='tokens-00001.npy is missing'):
        open_shards(folder, WORDS)
    (folder / 'manifest.json').unlink()
    with pytest.raises(FileNotFoundError, match='manifest.json; `t2jax tokenize` writes it, or, .* `t2jax train`'):
        open_shards(folder, WORDS)


def test_a_damaged_study_is_sent_to_train(tmp_path):
    write_shards(tmp_path, documents, WORDS, 1, 50, {'world': {}})
    (tmp_path / 'tokens-00000.npy').unlink()
    with pytest.raises(FileNotFoundError, match='tokens-00000.npy is missing; delete .* and run `t2jax train`'):
        open_shards(tmp_path, WORDS)


def test_a_shard_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    """/dev/full stands for a full disk: it takes every write and has no room for it."""
    path = tmp_path / 'tokens-00000.npy'
    with pytest.raises(KeyError), ShardWriter(path, 300) as shard:
        shard.write(np.arange(5))
        raise KeyError
    assert not list(tmp_path.iterdir())
    if not Path('/dev/full').exists():
        pytest.skip('this system has no /dev/full')
    for count in (5, 10**6):  # fails at the end, or in the middle
        shard = ShardWriter(path, 300)
        shard._temporary.symlink_to('/dev/full')
        with pytest.raises(OSError, match='00000.npy cannot be written .No space left on device.; make room'), shard:
            shard.write(np.zeros(count))
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('size', 'dtype'), [(2**16, np.uint16), (2**16 + 1, np.uint32)])
def test_ids_are_as_wide_as_the_vocabulary_needs(tmp_path, size, dtype):
    with ShardWriter(tmp_path / 'a.npy', size) as shard:
        for ids in ([1, size - 1], [], [3]):
            shard.write(np.array(ids, np.int64))
    array = np.load(tmp_path / 'a.npy')
    assert array.dtype == dtype and array.tolist() == [1, size - 1, 3]


def test_shards_of_a_bucket_are_copied_and_checked(folder, tmp_path, monkeypatch):
    """fsspec's memory file system stands for a bucket: the same calls, no network."""
    fsspec = pytest.importorskip('fsspec')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    bucket = fsspec.filesystem('memory')
    bucket.put(str(folder), '/bucket/tokens', recursive=True)
    here, there = open_shards(folder, WORDS, verify=True), open_shards('memory://bucket/tokens', WORDS, verify=True)
    assert [a.tolist() for a in there.arrays] == [a.tolist() for a in here.arrays]
    copies = sorted((tmp_path / 'cache').rglob('tokens-*.npy'))
    times = [path.stat().st_mtime_ns for path in copies]
    copies[1].write_bytes(b'cut')
    open_shards('memory://bucket/tokens', WORDS, verify=True)  # copies again what is not whole, nothing else
    assert [path.stat().st_mtime_ns == time for path, time in zip(copies, times)] == [True, False, True]
    bucket.rm('/bucket/tokens/tokens-00002.npy')
    with pytest.raises(FileNotFoundError, match='shard memory://bucket/tokens/tokens-00002.npy is missing'):
        open_shards('memory://bucket/tokens', WORDS)
    with pytest.raises(FileNotFoundError, match='no memory://bucket/none/manifest.json; copy there'):
        open_shards('memory://bucket/none', WORDS)
    with pytest.raises(ValueError, match='nosuch://bucket/none cannot be read here'):
        open_shards('nosuch://bucket/none', WORDS)
