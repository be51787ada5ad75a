"""A job: the same files whatever devices, memory and interruptions; counts from footers; adaptive rounds."""

import dataclasses
from itertools import combinations

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
from made_run import QUESTIONS, WORDS

from t2jax.laws.sequential import Plan
from t2jax.mesh import make_mesh
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.sampling import job as jobs
from t2jax.sampling import store, work
from t2jax.sampling.job import Host, Job, Material, Sampling
from t2jax.tasks.boundaries import encode_questions
from t2jax.tasks.questions import Question

MODEL = ModelConfig(vocab=12, d_model=16, n_layers=2, n_heads=2, hidden_multiple=8)
END = int(WORDS.encode('.')[0])
SAMPLING = Sampling(max_tokens=4, stop_tokens=(END,), seed=3)
JOB = Job('r', 1, 2, 3, 4.0, 'count', 'q', 'v', 'exact', SAMPLING, Plan(40, 40))


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    """Rows of 16 samples, files of 3 rows: several of everything."""
    monkeypatch.setattr(work, 'ROW_SAMPLES', 16)
    monkeypatch.setattr(work, 'FILE_SAMPLES', (48, 48))


def make_material(devices=1, questions=QUESTIONS):
    params = transformer.init_params(MODEL, jax.random.key(0))
    mesh = make_mesh(jax.devices()[:devices])
    encoded = encode_questions(questions, WORDS, WORDS.end_id)
    params = jax.device_put(params, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))
    prompts = [ids[:n] for ids, n in zip(encoded.prompts, encoded.prompt_lengths)]
    answers = [ids[:n] for ids, n in zip(encoded.answers, encoded.answer_lengths)]
    return Material(MODEL, params, mesh, questions, prompts, answers, WORDS.spelling())


@pytest.fixture(scope='module')
def material():
    return make_material()


def contents(folder):
    return {path.name: path.read_bytes() for path in (folder / 'samples').iterdir()}


@pytest.fixture
def whole(material, tmp_path):
    counts = jobs.run(JOB, material, tmp_path / 'whole', 2**30)
    return tmp_path / 'whole', counts


def test_files_hold_every_sample_in_order_and_their_counts(material, whole):
    folder, counts = whole
    rows = [row for table in store.read_samples(folder, store.COLUMNS) for row in table.to_pylist()]
    assert sorted((row['question'], row['sample']) for row in rows) == [(q.id, s) for q in QUESTIONS for s in range(40)]
    right = {q.id: 0 for q in QUESTIONS}
    for row in rows:
        tokens, question = row['tokens'], QUESTIONS[int(row['question'][1:])]
        answer = WORDS.encode(question.answer).tolist()
        assert row['right'] == (tokens[: len(answer)] == answer)
        assert row['stopped'] == ('token' if tokens[-1] == END else 'length')
        assert row['text'] == ''.join(f' {WORDS.words[t]}' if t else '' for t in tokens if t != END)
        assert row['answer'] == (question.answer if row['right'] else row['text'])
        assert row['log_prob'] == row['model_log_prob'] < 0
        right[row['question']] += row['right']
    assert counts.right.tolist() == list(right.values()) and counts.drawn.tolist() == [40] * 5
    assert 0 < counts.busy <= counts.steps
    assert [c.tolist() for c in store.first_round(folder, 5)] == [[40] * 5, counts.right.tolist()]


@pytest.mark.parametrize(('devices', 'memory'), [(8, 2**30), (1, 600_000), (2, 2**30)])
def test_devices_and_memory_change_no_sample(whole, tmp_path, devices, memory):
    """The same files with the same samples; log-probabilities are the same but for rounding."""
    counts = jobs.run(JOB, make_material(devices), tmp_path / 'other', memory)
    assert counts.right.tolist() == whole[1].right.tolist()
    assert contents(whole[0]).keys() == contents(tmp_path / 'other').keys()
    for a, b in zip(*(store.read_samples(folder, store.COLUMNS) for folder in (whole[0], tmp_path / 'other'))):
        for name in ('log_prob', 'model_log_prob'):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5)
        assert all(a[name].equals(b[name]) for name in store.COLUMNS if 'log_prob' not in name)


def test_missing_files_alone_are_drawn_again(material, whole, tmp_path):
    folder, _ = whole
    before, lost = contents(folder), sorted((folder / 'samples').iterdir())[1]
    kept = sorted((folder / 'samples').iterdir())[0]
    stamp = kept.stat().st_mtime_ns
    lost.unlink()
    (folder / 'samples' / f'.{lost.name}.77.tmp').write_text('half')
    told = []
    jobs.run(JOB, material, folder, 2**30, lambda *news: told.append(news))
    assert contents(folder) == before and kept.stat().st_mtime_ns == stamp
    assert told == [(160, 200, True), (40, 200, False)]


def test_hosts_share_the_files(material, whole, tmp_path):
    """Two hosts, one after the other: each draws every second file; the last to come counts all."""
    meeting = lambda index: Host(index, 2)
    with pytest.raises(FileNotFoundError):
        jobs.run(JOB, material, tmp_path / 'two', 2**30, host=meeting(0))  # the other is not there yet
    assert len(contents(tmp_path / 'two')) == 3
    counts = jobs.run(JOB, material, tmp_path / 'two', 2**30, host=meeting(1))
    assert contents(tmp_path / 'two').keys() == contents(whole[0]).keys()
    pairs = zip(*(store.read_samples(folder, ['tokens', 'sample']) for folder in (whole[0], tmp_path / 'two')))
    assert all(a.equals(b) for a, b in pairs)
    assert counts.right.tolist() == whole[1].right.tolist()


def test_other_seeds_tasks_and_questions_give_other_samples(material, whole, tmp_path):
    texts = lambda folder: [t for table in store.read_samples(folder, ['text']) for t in table['text'].to_pylist()]
    seen = [texts(whole[0])]
    for name, job in (
        ('seed', dataclasses.replace(JOB, sampling=dataclasses.replace(SAMPLING, seed=4))),
        ('task', dataclasses.replace(JOB, task='other')),
    ):
        jobs.run(job, material, tmp_path / name, 2**30)
        seen.append(texts(tmp_path / name))
    assert all(np.mean([x == y for x, y in zip(a, b)]) < 0.5 for a, b in combinations(seen, 2))
    twins = [Question('a', '7', ' 8 .'), Question('b', '7', ' 8 .')]
    jobs.run(JOB, make_material(1, twins), tmp_path / 'twins', 2**30)
    both = texts(tmp_path / 'twins')
    assert np.mean([x == y for x, y in zip(both[:40], both[40:])]) < 0.5  # one prompt, two questions


def test_an_adaptive_plan_draws_more_of_what_is_uncertain(material, tmp_path):
    plan = Plan(32, 256, k=32, band=0.4)
    job = dataclasses.replace(JOB, plan=plan)
    counts = jobs.run(job, material, tmp_path / 'a', 2**30)
    assert set(counts.drawn) <= set(plan.sizes()) and len(set(counts.drawn)) > 1
    assert not plan.wants_more(counts.drawn, counts.right).any()
    widest = plan.band_width(*store.first_round(tmp_path / 'a', 5)).argmax()
    second_round = pq.read_table(tmp_path / 'a' / 'samples' / '01-000000.parquet')
    assert second_round['question'][0].as_py() == f'q{widest}'
    # the first round is the fixed plan's, and a job that lost files ends with the same ones
    fixed = jobs.run(dataclasses.replace(JOB, plan=Plan(32, 32)), material, tmp_path / 'b', 2**30)
    first = store.first_round(tmp_path / 'a', 5)
    assert first[1].tolist() == fixed.right.tolist() and first[0].tolist() == [32] * 5
    before = contents(tmp_path / 'a')
    for name in list(before)[::2]:
        (tmp_path / 'a' / 'samples' / name).unlink()
    again = jobs.run(job, material, tmp_path / 'a', 2**30)
    assert contents(tmp_path / 'a') == before and again.drawn.tolist() == counts.drawn.tolist()


def test_nothing_recompiles_for_another_number_of_questions(material, tmp_path):
    jobs.run(JOB, material, tmp_path / 'five', 2**30)
    before = jobs.compiled_sample_rows._cache_size()
    four = dataclasses.replace(
        material, questions=QUESTIONS[1:], prompts=material.prompts[1:], answers=material.answers[1:]
    )
    jobs.run(JOB, four, tmp_path / 'four', 2**30)
    assert jobs.compiled_sample_rows._cache_size() == before


def test_a_folder_of_another_job_and_damaged_files_are_named(material, whole):
    folder, _ = whole
    before = contents(folder)
    with pytest.raises(ValueError, match=r'holds another config \(sampling.seed: 3 -> 9\)'):
        jobs.run(dataclasses.replace(JOB, sampling=dataclasses.replace(SAMPLING, seed=9)), material, folder, 2**30)
    assert contents(folder) == before
    first, second, *_ = sorted((folder / 'samples').iterdir())
    first.write_bytes(before[second.name])
    with pytest.raises(ValueError, match=f'{first.name} holds other samples than this job draws; delete it'):
        jobs.run(JOB, material, folder, 2**30)
    first.write_bytes(before[first.name][:100])
    with pytest.raises(ValueError, match=f'{first.name} is damaged .*; delete it'):
        jobs.run(JOB, material, folder, 2**30)


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'temperature': -0.1}, r'temperature is -0.1; use 0 \(the likeliest token\) or more'),
        ({'temperature': float('nan')}, 'temperature is nan'),
        ({'top_p': 0.0}, 'top-p is 0; use a share above 0 and at most 1'),
        ({'top_p': 1.1}, 'top-p is 1.1; use a share above 0 and at most 1'),
        ({'top_k': -1}, 'top-k is -1; use a number of tokens'),
        ({'max_tokens': 0}, 'max-tokens is 0; a sample needs at least 1'),
        ({'cache_dtype': 'int8'}, "cache-dtype is 'int8'; use float32 or bfloat16"),
    ],
)
def test_impossible_settings_are_refused_in_words(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(SAMPLING, **change)
