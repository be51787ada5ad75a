"""Cutting a job: every sample once, by the config alone; tiles that fit the memory they are given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax import costs
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.sampling import work
from t2jax.sampling.choice import Rule
from t2jax.sampling.sampler import Rows, compiled_sample_rows


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=30),
    st.integers(0, 500),
    st.integers(1, 5000),
    st.integers(1, 256),
)
def test_every_sample_is_in_one_row_of_one_file(lengths, first, count, row):
    files = work.cut(2, first, first + count, range(len(lengths)), lengths, row)
    seen = [(q, s) for file in files for q, start, n in file.rows for s in range(start, start + n)]
    assert sorted(seen) == [(q, s) for q in range(len(lengths)) for s in range(first, first + count)]
    for file in files:
        assert 1 <= sum(r.count for r in file.rows) <= max(work.FILE_SAMPLES[1], row)
        assert all(r.count <= row and lengths[r.question] <= file.width for r in file.rows)
        assert {work.padded_width(lengths[r.question]) for r in file.rows} == {file.width}
    assert len({file.name for file in files}) == len(files)
    assert [file.width for file in files] == sorted(file.width for file in files)


def test_large_jobs_have_larger_files_not_more():
    count = lambda questions, samples: len(
        work.cut(0, 0, samples, range(questions), [9] * questions, min(samples, 256))
    )
    assert count(50, 40) == 50  # 2,000 samples: a kill loses little
    assert 1000 < count(5000, 1000) <= 4000
    assert 4000 < count(5000, 10_000) < 8000  # 50 million


def test_prompts_are_padded_to_few_widths():
    widths = [work.padded_width(length) for length in range(1, 4000)]
    assert all(length <= width <= max(32, 1.5 * length + 1) for length, width in enumerate(widths, 1))
    assert len(set(widths)) < 18


MODEL = ModelConfig(vocab=5000, d_model=64, n_layers=3, n_heads=4, hidden_multiple=64)


@pytest.mark.parametrize('memory', [2**26, 2**27, 2**28])
def test_a_tile_fits_the_memory_that_it_was_given(memory, one_device):
    """By what XLA allocates for the compiled program, arguments and results included; and no more than half is idle."""
    tile = work.fit_tile(MODEL, 128, 33, 256, 10**6, memory, 'gpu')
    assert tile.slots >= 1 and tile.rows >= 1
    of_rows = lambda *shape: jax.ShapeDtypeStruct((tile.rows, *shape), jnp.int32)
    params = jax.eval_shape(lambda: transformer.init_params(MODEL, jax.random.key(0)))
    compiled = compiled_sample_rows.lower(
        params,
        of_rows(128),
        of_rows(),
        Rows(of_rows(), of_rows(), of_rows()),
        jax.random.key(0),
        Rule(np.float32(1), np.float32(1), np.int32(0)),
        np.zeros((1, 5000), np.int32),
        model=MODEL,
        mesh=one_device,
        samples=256,
        slots=tile.slots,
        max_tokens=33,
    ).compile()
    used = compiled.memory_analysis()
    total = used.temp_size_in_bytes + used.argument_size_in_bytes + used.output_size_in_bytes
    assert total <= memory
    print(f'{tile}: {total / memory:.0%} of {memory / 2**20:.0f} MiB')
    assert total > 0.3 * memory


def test_fewer_rows_and_slots_where_there_is_little_work_or_memory():
    wide = work.fit_tile(MODEL, 128, 33, 256, 10**6, 2**31, 'gpu')
    assert wide.slots == work.SLOTS_A_ROW[1] and wide.rows > 8
    assert work.fit_tile(MODEL, 128, 33, 256, 5, 2**31, 'gpu').rows == 8
    assert [work.fit_tile(MODEL, 128, 33, n, 10**6, 2**31, 'gpu').slots for n in (5, 10, 100)] == [5, 8, 25]
    assert work.fit_tile(MODEL, 128, 33, 100, 1, 2**31, 'gpu') == (1, 100)  # nobody has to wait for a slot
    on_cpu = work.fit_tile(MODEL, 128, 33, 256, 10**6, 2**34, 'cpu')
    assert on_cpu.rows * on_cpu.slots * 4 * 5000 <= work.MOST_LOGITS['cpu']
    params = 4 * costs.count_stored_params(MODEL)
    small = work.fit_tile(MODEL, 128, 33, 256, 10**6, params + 2**22, 'gpu')
    assert small.rows == 1 and small.slots < work.SLOTS_A_ROW[1]
    with pytest.raises(ValueError, match=r'one sample at a time takes 0.\d+ GiB and the memory to use is 0.00; allow'):
        work.fit_tile(MODEL, 128, 33, 256, 1, params, 'gpu')
