"""Records in a bucket: one of two writers wins, lost answers are no lost writes, old versions are not read."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cloud import Cloud, Rule

from launch.bucket import ABSENT, GcloudBucket
from launch.gcloud import Gcloud, GcloudError


@pytest.fixture
def open_bucket(tmp_path, monkeypatch):
    """Return a folder of a bucket of a fake cloud."""
    clouds = []

    def open_bucket(*rules):
        clouds.append(Cloud(tmp_path / 'cloud', rules=rules).__enter__())
        for name in ('PATH', 'FAKE_CLOUD'):
            monkeypatch.setenv(name, clouds[0].environment()[name])
        return GcloudBucket(Gcloud(), 'gs://bucket/sweep')

    yield open_bucket
    clouds[0].__exit__(None, None, None)


def test_of_many_writers_one_wins(open_bucket):
    bucket = open_bucket()
    assert bucket.read('a.json') == (None, ABSENT)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: bucket.write('a.json', {'by': i}, ABSENT), range(8)))
    record, generation = bucket.read('a.json')
    assert won.count(True) == 1 and won[record['by']]
    assert not bucket.write('a.json', {'by': 'late'}, ABSENT)
    assert bucket.write('a.json', {'by': 'next'}, generation) and not bucket.write('a.json', {}, generation)


def test_a_write_whose_answer_was_lost_and_that_gcloud_repeats_is_no_defeat(open_bucket):
    bucket = open_bucket(Rule('error', 'storage cp', every=1, times=1, after=True))
    with pytest.raises(GcloudError):  # whoever asked does not know
        bucket.write('a.json', {'by': 'me'}, ABSENT)
    assert bucket.write('a.json', {'by': 'me'}, ABSENT)  # the same again: it is there, and it is ours
    assert not bucket.write('a.json', {'by': 'you'}, ABSENT)
    attempts = {'attempts': ({'slice': 'me'},)}  # tuples, which JSON has none of
    assert bucket.write('b.json', attempts, ABSENT) and bucket.write('b.json', attempts, ABSENT)


def test_a_folder_is_read_by_two_commands_and_unchanged_records_by_one(open_bucket, tmp_path):
    bucket = open_bucket()
    assert bucket.scan('runs') == {}
    for i in range(3):
        bucket.write(f'runs/{i}@x.json', {'i': i}, ABSENT)
    assert [record['i'] for record, _ in bucket.scan('runs').values()] == [0, 1, 2]
    calls = []
    bucket.gcloud.ask = lambda *words, ask=bucket.gcloud.ask, **how: (calls.append(words[1]), ask(*words, **how))[1]
    bucket.write('runs/1@x.json', {'i': 7}, bucket.read('runs/1@x.json')[1])
    calls.clear()
    assert [record['i'] for record, _ in bucket.scan('runs').values()] == [0, 7, 2] and calls == ['objects', 'cat']
    calls.clear()
    assert len(bucket.scan('runs')) == 3 and calls == ['objects']


@pytest.mark.parametrize(
    'text',
    [
        '{"object": "runs/a.json"}\n',
        '',
        '{"object": "runs/b.json"',
        '[]',
        '{"object": "runs/a.json"}\n{"object": "x"}',
        '\x80',
    ],
)
def test_a_damaged_record_is_named_beside_whole_ones(open_bucket, tmp_path, text):
    bucket = open_bucket()
    bucket.write('runs/a.json', {}, ABSENT)
    path = tmp_path / 'cloud' / 'bucket' / 'bucket' / 'sweep' / 'runs' / 'b.json'
    path.write_text(text)
    with pytest.raises(ValueError, match='gs://bucket/sweep/runs/b.json.* delete it'):
        bucket.scan('runs')


def test_old_versions_of_a_bucket_that_keeps_them_are_not_read(monkeypatch):
    rows = [
        {'name': 'sweep/runs/a.json', 'generation': '5', 'noncurrent_time': '2026-01-01T00:00:00+0000'},
        {'name': 'sweep/runs/a.json', 'generation': '9'},
        {'name': 'sweep/runs/deleted.json', 'generation': '3', 'noncurrent_time': '2026-01-01T00:00:00+0000'},
        {'name': 'sweep/runs/a.json', 'generation': '7', 'noncurrent_time': '2026-01-01T00:00:00+0000'},
    ]
    asked = []

    def ask(self, *words, **how):
        asked.append(words)
        return json.dumps(rows) if words[1] == 'objects' else '{"object": "runs/a.json", "i": 1}\n'

    monkeypatch.setattr(Gcloud, 'ask', ask)
    found = GcloudBucket(Gcloud(), 'gs://bucket/sweep').scan('runs')
    assert found == {'runs/a.json': ({'object': 'runs/a.json', 'i': 1}, 9)}
    assert asked[1] == ('storage', 'cat', 'gs://bucket/sweep/runs/a.json#9')


def test_a_gcloud_that_hangs_is_stopped_with_its_children(open_bucket):
    bucket = open_bucket(Rule('hang', 'storage cat'))
    bucket.write('a.json', {}, ABSENT)
    before = set(os.listdir('/proc'))
    with pytest.raises(GcloudError, match='did not end within 1 s; it was stopped'):
        bucket.gcloud.ask('storage', 'cat', 'gs://bucket/sweep/a.json', timeout=1)
    left = [pid for pid in set(os.listdir('/proc')) - before if pid.isdecimal()]
    lines = [path.read_text() for pid in left if (path := Path(f'/proc/{pid}/cmdline')).exists()]
    assert not [line for line in lines if 'storage\0cat' in line]


@pytest.mark.parametrize(
    ('said', 'advice'),
    [
        ('ERROR: (gcloud.x) You do not currently have an active account selected.', 'log in: gcloud auth login'),
        ('ERROR: (gcloud.x) There was a problem refreshing your current auth tokens: x', 'log in again'),
        ("ERROR: (gcloud.x) Permission denied on 'locations/us-x' (or it may not exist).", 'a zone of'),
        ("ERROR: (gcloud.x) RESOURCE_EXHAUSTED: Quota 'TPUV5s' exhausted. Limit 0 in region x", 'ask for quota'),
        ('ERROR: (gcloud.x) PERMISSION_DENIED: Cloud TPU API has not been used in project 1 before', 'gcloud services'),
        ('ERROR: (gcloud.x) [me@x] does not have permission to access b instance [c]', 'the role that is missing'),
        ('ERROR: (gcloud.x) HTTPError 403: me does not have storage.objects.create access', 'the role that is missing'),
        ('ERROR: gs://nobucket not found: 404.', 'buckets create'),
        ('ERROR: (gcloud.x) INVALID_ARGUMENT: a bad request. Accelerator type not found', 'choose one of'),
    ],
)  # fmt: skip
def test_what_gcloud_refuses_is_one_sentence_with_what_to_do(said, advice):
    from launch.gcloud import explain

    sentence = explain('gcloud compute tpus', said, 1)
    assert sentence.startswith('gcloud compute tpus failed: ') and advice in sentence and '\n' not in sentence
