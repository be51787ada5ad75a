"""The paper's grid: its 106 runs are those decoded from the paper, and every one can be built."""

import csv
from collections import Counter
from functools import partial
from pathlib import Path

import jax
import pytest

from configs import grid, ladder, layouts, recipe
from t2jax import costs
from t2jax.config import load_experiment
from t2jax.laws.shapes import PORIAN_LADDER
from t2jax.mesh import RULES
from t2jax.models import transformer
from t2jax.training.recipe import make_schedule
from t2jax.training.step import init_state

ROOT = Path(__file__).resolve().parents[1]
DECODED = ROOT.parent / 'shared' / 'data' / 't2_grid_106.csv'
GRID = load_experiment(ROOT / 'experiments' / 'paper.py', 'GRID')


def decoded_runs():
    """Rows of the decoded grid by name, e.g. 901M@2.56e19."""
    if not DECODED.exists():
        pytest.skip(f'the decoded grid {DECODED} is not here; it lies beside the repository where it was decoded')
    with DECODED.open() as file:
        return {
            f'{row["size_label"]}@{float(row["C_train"]):.3g}'.replace('+', ''): row for row in csv.DictReader(file)
        }


def test_the_106_runs_are_the_decoded_ones():
    decoded = decoded_runs()
    assert [cell.name for cell in GRID.runs] == list(decoded)
    for cell in GRID.runs:
        row = decoded[cell.name]
        assert costs.count_params(cell.model) == int(row['N'])
        assert (cell.model.d_model, cell.model.n_layers) == (int(row['width']), int(row['depth']))
        assert cell.tokens == pytest.approx(float(row['D']), rel=1e-7)
        assert cell.tokens / GRID.recipe.batch_tokens == pytest.approx(float(row['steps_256x2048']), rel=1e-7)
        assert cell.overtrained == (row['source'] == 'overtrained')
        printed = float(row['C_train']) / 6 / (int(row['size_label'][:-1]) * 1e6) ** 2
        assert printed == pytest.approx(float(row['fig8_ratio']), rel=1e-6)  # what the docstring says of figure 8


def test_85_runs_are_porians_and_21_are_overtrained():
    assert Counter(cell.overtrained for cell in GRID.runs) == {False: 85, True: 21}
    for cell in GRID.runs:
        budget = costs.train_flops(costs.count_params(cell.model), cell.tokens)
        assert budget == pytest.approx(float(cell.name.partition('@')[2]), rel=1e-9)


def test_the_sizes_are_the_papers_as_laws_know_them():
    models = ladder.porian()
    labels = '5M 7M 9M 15M 22M 28M 37M 57M 84M 108M 149M 220M 347M 455M 611M 901M'.split()
    assert list(models) == labels
    for model, shape in zip(models.values(), PORIAN_LADDER, strict=True):
        assert costs.count_params(model) == costs.count_params(shape) and model.d_hidden == shape.d_hidden
    assert costs.count_params(models['901M']) == 901_726_208
    assert set(ladder.porian(vocab=32_000)) == set(models)


def test_warmup_is_as_many_tokens_as_params_but_no_longer_than_the_run():
    for cell in GRID.runs:
        schedule = make_schedule(GRID.recipe, cell.model, cell.tokens)
        tokens = float(schedule.warmup_steps) * GRID.recipe.batch_tokens
        assert tokens == pytest.approx(min(costs.count_params(cell.model), cell.tokens), rel=1e-6)
        assert GRID.config(cell).steps == round(cell.tokens / 2**19)


@pytest.mark.parametrize('size', layouts.V5E_16)
def test_every_size_builds_and_has_a_layout(size):
    model = {**ladder.porian(), **ladder.grouped_query()}[size]
    state = jax.eval_shape(partial(init_state, model, recipe.PAPER), jax.random.key(0))
    stored = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert stored == costs.count_stored_params(model)
    assert set(jax.tree.leaves(transformer.logical_axes(model))) <= set(RULES) | {None}


def test_the_grouped_query_row_is_149m_with_a_cache_half_as_large():
    base, row = ladder.porian()['149M'], ladder.grouped_query()['140M-gqa']
    assert 2 * costs.cache_bytes(row, 1, 2) == costs.cache_bytes(base, 1, 2)
    assert costs.count_params(row) // 10**6 == 140
    assert len(grid.paper(layouts.V5E_16)) == 106
