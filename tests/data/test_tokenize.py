"""Text to shards by the real path: files and tasks, worker processes, kills, full runs over, refusals."""

import contextlib
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('tokenizers', reason='the package tokenizers is not installed here')

from t2jax.data.shards import open_shards, shard_name, write_shard
from t2jax.data.sources import SeqioTask, deal, find_files
from t2jax.data.tokenize import tokenize
from t2jax.data.tokenizers import FileVocabulary, train_vocabulary

ROOT = Path(__file__).resolve().parents[2]
DICKENS = ROOT.parent / 'shared' / 'data' / 'text' / 'dickens.jsonl.gz'
DOCUMENTS = [' '.join(random.Random(i).choices(['the', 'a', 'fox', 'dog\n', 'jumps é'], k=i % 23)) for i in range(100)]


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp('tokenizer') / 'tok.json'
    train_vocabulary(DOCUMENTS, 280, path, quiet=True)
    return path


def write_jsonl(path, documents, field='text'):
    lines = ''.join(json.dumps({field: text, 'n': 1}) + '\n' for text in documents).encode()
    path.write_bytes(gzip.compress(lines) if path.suffix == '.gz' else lines)
    return str(path)


@pytest.fixture
def sources(tmp_path):
    """One hundred documents in a file of every kind."""
    (tmp_path / 'one.txt').write_bytes(DOCUMENTS[0].encode())
    (tmp_path / 'two.txt.gz').write_bytes(gzip.compress(DOCUMENTS[1].encode()))
    write_jsonl(tmp_path / 'lines.jsonl', DOCUMENTS[2:40])
    write_jsonl(tmp_path / 'packed.jsonl.gz', DOCUMENTS[40:70])
    table = pa.table({'text': DOCUMENTS[70:], 'id': list(range(30))})
    pq.write_table(table, tmp_path / 'rows.parquet', row_group_size=7)
    return [str(tmp_path / name) for name in ('*.txt', 'two.txt.gz', '*.jsonl', 'packed.jsonl.gz', 'rows.parquet')]


def ended(vocabulary, documents):
    """Return ids as shards have them, each document encoded by itself."""
    return [i for text in documents for i in (vocabulary.end_id, *vocabulary.encode(text).tolist())]


def cut(ids, end_id):
    """Split shards at end tokens, as sorted documents: what stands for all the text, whatever its order."""
    ends = np.flatnonzero(ids == end_id)
    assert len(ids) == 0 or ends[0] == 0
    return sorted(part.tolist() for part in np.split(ids, ends)[1:])


@given(pieces=st.integers(1, 40), shards=st.integers(1, 40))
def test_every_document_is_dealt_to_one_shard(pieces, shards):
    dealt = []
    for shard in range(shards):
        mine, part, parts = deal(pieces, shard, shards)
        dealt += [(piece, i) for piece in mine for i in range(part, 50, parts)]
    assert sorted(dealt) == [(piece, i) for piece in range(pieces) for i in range(50)]


@settings(max_examples=40)
@given(
    files=st.lists(st.lists(st.text(st.characters(exclude_categories=['Cs']), max_size=30), max_size=20), min_size=1),
    shards=st.integers(1, 9),
)
def test_no_token_is_lost_or_doubled(tokenizer, tmp_path_factory, files, shards):
    folder, vocabulary = tmp_path_factory.mktemp('dealt'), FileVocabulary(tokenizer)
    paths = [write_jsonl(folder / f'{i}.jsonl{".gz" * (i % 2)}', documents) for i, documents in enumerate(files)]
    source = find_files(paths)
    parts, written = [], []
    for shard in range(shards):
        told = []
        texts = (text for text, _ in source.documents(shard, shards))
        entry = write_shard(folder / shard_name(shard), texts, vocabulary, advance=lambda *n: told.append(n))  # noqa: B023
        parts.append(np.load(folder / shard_name(shard)))
        written.append((entry['documents'], entry['tokens']))
        assert written[-1] == tuple(map(sum, zip(*told))) if told else (0, 0)
    assert [len(part) for part in parts] == [tokens for _, tokens in written]
    everything = np.array(ended(vocabulary, sum(files, [])), int)
    assert cut(np.concatenate(parts), vocabulary.end_id) == cut(everything, vocabulary.end_id)
    if shards == 1:
        assert parts[0].tolist() == everything.tolist()


def test_workers_resume_and_repair(sources, tokenizer, tmp_path, capfd):
    """Two processes write what direct encoding gives; what is damaged, and nothing else, is made again."""
    source, out, vocabulary = find_files(sources), tmp_path / 'out', FileVocabulary(tokenizer, 50432)
    result = tokenize(source, tokenizer, out, shards=3, workers=2, pad_to=50432)
    assert (result['documents'], result['kept'], result['vocabulary_size']) == (100, 0, 50432)
    said = capfd.readouterr().err
    assert 'tokenize: 100%' in said and '100 docs' in said and 'tokens/s' in said
    shards = open_shards(out, vocabulary, verify=True)
    for number, array in enumerate(shards.arrays):
        assert array.tolist() == ended(vocabulary, [text for text, _ in source.documents(number, 3)])
    assert cut(np.concatenate(shards.arrays), 0) == cut(np.array(ended(vocabulary, DOCUMENTS)), 0)
    names = {path.name for path in out.iterdir()}
    assert names == {'tokenize.json', 'manifest.json', *map(shard_name, range(3))}
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / shard_name(0)).write_bytes(whole[shard_name(0)][:-1] + b'\x07')
    (out / shard_name(2)).unlink()
    (out / '.tokens-00002.npy.77.tmp').write_bytes(b'left by a kill')
    again = tokenize(source, tokenizer, out, shards=3, workers=1, pad_to=50432, quiet=True)
    assert again == {**result, 'kept': 1}
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_a_folder_belongs_to_one_config(sources, tokenizer, tmp_path):
    source, out = find_files(sources[:1]), tmp_path / 'out'
    with pytest.raises(ValueError, match='not a JSON object with text in the field "body"'):
        tokenize(find_files(sources[2:3], 'body'), tokenizer, out, 1, 1, quiet=True)
    tokenize(source, tokenizer, out, 1, 1, quiet=True)  # an attempt that left nothing binds nobody
    with pytest.raises(ValueError, match=r'holds another config \(shards: 1 -> 2\)'):
        tokenize(source, tokenizer, out, 2, 1)
    with pytest.raises(ValueError, match=r'holds another config \(vocabulary: .*vocabulary_size: .* -> 50432'):
        tokenize(source, tokenizer, out, 1, 1, pad_to=50432)
    (tmp_path / 'one.txt').write_text('changed since')
    with pytest.raises(ValueError, match=r'holds another config \(source.bytes'):
        tokenize(find_files(sources[:1]), tokenizer, out, 1, 1)
    (out / 'tokenize.json').unlink()
    with pytest.raises(ValueError, match='holds shards that `t2jax tokenize` did not write'):
        tokenize(source, tokenizer, out, 1, 1)
    with pytest.raises(ValueError, match='not one document in the source'):
        tokenize(find_files([write_jsonl(tmp_path / 'none.jsonl', [])]), tokenizer, tmp_path / 'none', 1, 1, quiet=True)
    with pytest.raises(ValueError, match='--shards is 0 and --workers None; both have to be at least 1'):
        tokenize(source, tokenizer, out, 0)


def test_a_bad_line_stops_the_workers_and_is_named(tokenizer, tmp_path):
    good, bad = write_jsonl(tmp_path / 'a.jsonl', DOCUMENTS), tmp_path / 'b.jsonl'
    bad.write_text('{"text": "fine"}\n{"text": 1}\n')
    with pytest.raises(ValueError, match='b.jsonl line 2 is not a JSON object with text in the field "text"'):
        tokenize(find_files([good, str(bad)]), tokenizer, tmp_path / 'out', 2, 2, quiet=True)
    assert not any('tmp' in path.name or path.name == 'manifest.json' for path in (tmp_path / 'out').iterdir())


def read_files(*paths, **how):
    return list(find_files([str(path) for path in paths], **how).documents())


def test_files_of_every_kind_are_dealt_and_positions_add_up(sources):
    source = find_files(sources)
    for shards in (1, 2, 12):
        texts = []
        for shard, amount in enumerate(source.amounts(shards)):
            read = list(source.documents(shard, shards))
            at = [0, *(at for _, at in read), amount]
            assert at == sorted(at)
            texts += [text for text, _ in read]
        assert sorted(texts) == sorted(DOCUMENTS)
    assert list(source.documents())[-1][1] == sum(source.amounts(1)) == sum(source.bytes)


def test_bad_text_is_named_with_its_place(tmp_path):
    def write(name, content):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    for line in (b'{"words": "a"}', b'["text"]', b'{"text": null}', b'{"text": "\xff"}', b'{"text": "a', b'7'):
        with pytest.raises(ValueError, match='a.jsonl line 3 is not a JSON object with text in the field "text"'):
            read_files(write('a.jsonl', b'{"text": "fine"}\n\n' + line + b'\n'))
    with pytest.raises(ValueError, match='a.jsonl has text that is not Unicode'):
        read_files(write('a.jsonl', b'{"text": "\\ud800"}'))
    with pytest.raises(ValueError, match='a.txt is not UTF-8 .*position 2'):
        read_files(write('a.txt', b'ab\xff'))
    lines = gzip.compress(b'{"text": "fine"}\n' * 9999)
    for damaged in (lines[:-30], lines[:40] + b'xxxxx' + lines[45:], b'{"text": "not packed"}'):
        with pytest.raises(ValueError, match=r'a.jsonl.gz is damaged after line \d+'):
            read_files(write('a.jsonl.gz', damaged))
    with pytest.raises(ValueError, match='a.parquet cannot be read as Parquet'):
        read_files(write('a.parquet', b'PAR1'))
    pq.write_table(pa.table({'content': ['a', None]}), tmp_path / 'a.parquet')
    with pytest.raises(ValueError, match='a.parquet .* no column "text", but content; name the text by --field'):
        read_files(tmp_path / 'a.parquet')
    with pytest.raises(ValueError, match='a.parquet .* row 2 has no text in the column "content"'):
        read_files(tmp_path / 'a.parquet', field='content')


def test_bad_sources_are_refused_by_name(tmp_path):
    (tmp_path / 'a.pdf').touch()
    (tmp_path / 'a.txt').touch()
    with pytest.raises(ValueError, match='a.pdf is not .txt, .jsonl .* or .parquet; convert it'):
        read_files(tmp_path / 'a.*')
    with pytest.raises(FileNotFoundError, match='no text file .*b.txt; give'):
        read_files(tmp_path / 'b.txt')
    with pytest.raises(ValueError, match='is a folder; give its files'):
        read_files(tmp_path)
    with pytest.raises(ValueError, match='a.txt: the same file is given twice'):
        read_files(tmp_path / '*.txt', tmp_path / 'a.txt')


MODULE = """
import seqio
source = seqio.TfdsDataSource('t2jax_tiny:1.0.0', tfds_data_dir={folder!r})
seqio.TaskRegistry.add('tiny', source=source, preprocessors=[], output_features={{}})
"""


def make_tfds(folder, shards=3):
    """Build a TFDS dataset of the documents, from nothing; return a module that registers it."""
    tfds = pytest.importorskip('tensorflow_datasets', reason='TensorFlow Datasets is not installed here')

    class T2jaxTiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version('1.0.0')

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict({'body': tfds.features.Text()})
            )

        def _split_generators(self, _):
            return {'train': ((i, {'body': text}) for i, text in enumerate(DOCUMENTS))}

        def _generate_examples(self):
            raise NotImplementedError

    config = tfds.download.DownloadConfig(num_shards=shards)
    T2jaxTiny(data_dir=folder).download_and_prepare(download_config=config)
    (folder / 'my_tasks.py').write_text(MODULE.format(folder=str(folder)))
    return str(folder / 'my_tasks.py')


def test_a_seqio_task_over_tfds_is_dealt_like_files(tmp_path):
    """A TFDS dataset built here, in three files, read through a seqio task that a user's module registers."""
    pytest.importorskip('seqio', reason='seqio and TensorFlow are not installed here')
    module = make_tfds(tmp_path)
    task = SeqioTask('tiny', field='body', module=module)
    task.prepare()
    assert len({str(path) for path in tmp_path.rglob('*.tfrecord*')}) == 3
    for shards in (2, 5):
        dealt = [[text for text, _ in task.documents(shard, shards)] for shard in range(shards)]
        assert sorted(sum(dealt, [])) == sorted(DOCUMENTS)
        assert sum(map(bool, dealt)) == shards
    assert task.amounts(2) == [50, 50]
    with pytest.raises(ValueError, match='task tiny has fields body, and no text in .text.; name it by --field'):
        list(SeqioTask('tiny', module=module).documents())
    with pytest.raises(ValueError, match='task tiny cannot be read .*no split test, but train'):
        SeqioTask('tiny', 'test', module=module).prepare()
    record = next(tmp_path.rglob('*.tfrecord*'))
    record.write_bytes(record.read_bytes()[:-40])
    with pytest.raises(ValueError, match='seqio task tiny cannot be read .DataLossError'):
        list(task.documents())
    with pytest.raises(ValueError, match="no seqio task 'none'; there are .*c4.*refinedweb.*tiny.*--module"):
        SeqioTask('none', module=module).prepare()


def run(*args, **how):
    command = [sys.executable, '-m', 't2jax', *map(str, args)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True, **how)


def wait_until_gone(group):
    """Wait for every process of a group to end, of itself."""
    with contextlib.suppress(ProcessLookupError):
        for _ in range(600):
            os.killpg(group, 0)
            time.sleep(0.05)
        pytest.fail('processes live on')


@pytest.fixture
def slow_job(tokenizer, tmp_path):
    """Return the flags of a job of some seconds on two workers."""
    source = write_jsonl(tmp_path / 'big.jsonl', ['the fox jumps é ' * 40000] * 32)
    return ['tokenize', source, '--tokenizer', tokenizer, '--shards', 8, '--workers', 2, '--out']


def wait_for(folder, count, process):
    while len(list(folder.glob('tokens-*.json'))) < count:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_and_run_again_it_writes_the_same(slow_job, tmp_path):
    whole, out = tmp_path / 'whole', tmp_path / 'out'
    assert run(*slow_job, whole).wait() == 0
    for finished in (1, 4):
        process = run(*slow_job, out)
        wait_for(out, finished, process)
        os.kill(process.pid, signal.SIGKILL)  # the main process alone: its workers have to notice
        process.wait()
        wait_until_gone(process.pid)
        assert not (out / 'manifest.json').exists()
    assert run(*slow_job, out).wait() == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {p.name: p.read_bytes() for p in whole.iterdir()}


def workers_of(process):
    """Wait for two worker processes, and return their ids."""
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children')
    if not children.exists():
        pytest.skip('this system does not list child processes')
    while True:
        assert process.poll() is None, process.stderr.read()
        found = [int(pid) for pid in children.read_text().split()]
        found = [pid for pid in found if b'spawn_main' in Path(f'/proc/{pid}/cmdline').read_bytes()]
        if len(found) == 2:
            return found


@pytest.mark.slow
def test_ctrl_c_stops_cleanly(slow_job, tmp_path):
    """While workers start, which leaves nothing, and while they work, which leaves finished shards."""
    out = tmp_path / 'out'
    for finished in (0, 1):
        process = run(*slow_job, out)
        workers_of(process)
        wait_for(out, finished, process)
        time.sleep(0.1 * (1 - finished))  # until Python itself has started, and would hear it
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to every process
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert said.splitlines()[-1] == 'stopped; the same command goes on from here' and 'Traceback' not in said
        wait_until_gone(process.pid)
        assert not list(out.glob('.*')) and bool(list(out.glob('tokens-*'))) == bool(finished)
    done = run(*slow_job, out, '--json', stdout=subprocess.PIPE)
    assert json.loads(done.communicate()[0])['kept'] >= 1


@pytest.mark.slow
def test_a_worker_killed_for_memory_is_one_sentence(slow_job, tmp_path):
    process = run(*slow_job, tmp_path / 'out')
    os.kill(workers_of(process)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.splitlines()[-1].startswith('t2jax tokenize: a worker was killed, perhaps for want of memory')


@pytest.mark.slow
def test_ctrl_c_ends_the_training_of_a_vocabulary(tmp_path):
    """Neither library listens to it, and training may take an hour: the signal ends the process itself."""
    source = tmp_path / 'text.jsonl'
    os.mkfifo(source)
    process = run('vocabulary', source, '--out', tmp_path / 'tok.json')
    with open(source, 'w'):  # opens when the library begins to read
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT  # which a shell reports as 130
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.slow
@pytest.mark.parametrize('name', ['tok.json', 'tok.model'])
def test_real_text_by_the_command_line(tmp_path, name):
    """Ten megabytes of Dickens: vocabulary, shards by one and by three workers, and every novel back again."""
    if not DICKENS.exists():
        pytest.skip(f'{DICKENS} is not here')
    tokenizer = tmp_path / name
    assert run('vocabulary', DICKENS, '--size', 2000, '--out', tokenizer).wait() == 0
    outs = tmp_path / 'one', tmp_path / 'three'
    for out, workers in zip(outs, (1, 3)):
        flags = ['--shards', 5, '--pad-vocab', 50432, '--workers', workers]
        assert run('tokenize', DICKENS, '--tokenizer', tokenizer, '--out', out, *flags).wait() == 0
    one, three = ({path.name: path.read_bytes() for path in out.iterdir()} for out in outs)
    assert one == three
    vocabulary = FileVocabulary(tokenizer, 50432)
    shards = open_shards(outs[0], vocabulary, verify=True)
    novels = [json.loads(line)['text'] for line in gzip.decompress(DICKENS.read_bytes()).splitlines()]
    found = [text for array in shards.arrays for text in _decoded(vocabulary, array)]
    assert sorted(found) == sorted(novels)


def _decoded(vocabulary, array):
    return [vocabulary.decode(part[1:]) for part in np.split(array, np.flatnonzero(array == vocabulary.end_id))[1:]]


@pytest.mark.slow
def test_a_seqio_task_by_the_command_line(tokenizer, tmp_path):
    """Every worker registers the user's tasks for itself."""
    pytest.importorskip('seqio', reason='seqio and TensorFlow are not installed here')
    flags = ['--seqio-task', 'tiny', '--module', make_tfds(tmp_path), '--field', 'body', '--tokenizer', tokenizer]
    process = run('tokenize', *flags, '--shards', 4, '--workers', 2, '--out', tmp_path / 'out')
    _, said = process.communicate()
    assert process.returncode == 0, said
    shards = open_shards(tmp_path / 'out', FileVocabulary(tokenizer), verify=True)
    assert cut(np.concatenate(shards.arrays), 0) == cut(np.array(ended(FileVocabulary(tokenizer), DOCUMENTS)), 0)
