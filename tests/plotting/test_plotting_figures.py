import hashlib

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

from t2jax.laws.observations import value_at_k
from t2jax.plotting import curves, grid, isoflop
from t2jax.plotting.report import FIGURES
from t2jax.plotting.results import read_results
from t2jax.plotting.style import budget_colours, label_ends, log_ticks, new_figure, png_bytes, spread


@pytest.fixture(scope='module')
def results(study):
    return read_results(study)


def test_inference_corrected_points_are_measured_at_their_own_k(results):
    _, numbers = isoflop.isoflop_inference_corrected(results)
    measured = [row for row in numbers if row['kind'] == 'measured' and 'nll' in row]
    assert len(measured) == 12
    for row in measured:
        assert row['k'] == pytest.approx(1e6 / (2 * row['params']))
        assert row['nll'] == value_at_k(results.macro, row['run'], row['k'], 'nll')
    choices = {(row['law'], row['train_flops']): row for row in numbers if row['kind'] == 'choice' and 'nll' in row}
    for row in results.rows:
        assert choices['t2-nll', row['train_flops']]['nll'] == pytest.approx(row['t2-nll']['nll'])
        assert choices['chinchilla', row['train_flops']]['nll'] == pytest.approx(row['chinchilla']['nll'])


def test_single_pass_is_at_one_sample(results):
    _, numbers = isoflop.isoflop_single_pass(results)
    assert {row['k'] for row in numbers if row['kind'] in ('measured', 'choice')} == {1.0}


def test_sizes_that_cannot_draw_one_sample_are_off_the_corrected_panels(make_study):
    results = read_results(make_study(inference_flops=2 * 20e3))
    figure, numbers = isoflop.isoflop_inference_corrected(results)
    assert max(row['params'] for row in numbers) <= 20e3 * (1 + 1e-9)
    assert figure.axes[0].get_xlim()[1] < 21e3


def test_optimal_allocation_goes_through_the_rows_and_past_them(results):
    _, numbers = grid.optimal_allocation(results)
    lines = {(row['law'], row['train_flops']): row['params'] for row in numbers if row['kind'] == 'law'}
    for row in results.rows:
        for law in ('chinchilla', 't2-nll', 't2-accuracy'):
            near = [budget for name, budget in lines if name == law and np.isclose(budget, row['train_flops'])]
            assert lines[law, near[0]] == pytest.approx(row[law]['params'], rel=1e-6)
    assert max(budget for _, budget in lines) == pytest.approx(4 * 3.2e11)


def test_extrapolation_marks_exactly_the_overtrained_runs(results):
    _, numbers = curves.extrapolation(results)
    for row in numbers:
        assert row['held_out'] == (row['tokens'] / row['params'] > 150)
    assert {row['held_out'] for row in numbers} == {True, False}


def test_grid_marks_overtrained_and_best_runs(results):
    _, cells = grid.checkpoint_grid(results)
    assert len(cells) == 12
    assert [cell['overtrained'] for cell in cells] == [cell['tokens_per_param'] > 150 for cell in cells]
    best = results.rows[-1]['checkpoints']['nll']['run']
    assert 't2-nll' in next(cell for cell in cells if cell['run'] == best)['picked_by']


def test_curves_show_the_smallest_a_middling_and_the_largest_run_of_the_largest_budget(results):
    assert curves.three_runs(results) == ['n3000-3e+11', 'n24000-3e+11', 'n96000-3e+11']
    _, numbers = curves.pass_at_k_curves(results)
    row = next(row for row in numbers if row['k'] == 4 and row['task'] == 'spatial')
    assert row['pass_at_k_sampled_low'] < row['pass_at_k_sampled'] < row['pass_at_k_sampled_high']


def test_bytes_depend_on_neither_the_users_settings_nor_the_hour(results, monkeypatch):
    def fingerprint():
        return hashlib.sha256(png_bytes(grid.checkpoint_grid(results)[0])).hexdigest()

    before = fingerprint()
    monkeypatch.setenv('SOURCE_DATE_EPOCH', '1')
    with matplotlib.rc_context({'font.size': 23, 'axes.labelpad': 40, 'savefig.facecolor': 'red'}):
        assert fingerprint() == before
        assert matplotlib.rcParams['font.size'] == 23


@pytest.mark.parametrize('name', FIGURES)
def test_no_text_is_clipped_or_overlaps_another(results, name):
    figure, _ = FIGURES[name](results)
    png_bytes(figure)
    drawing = figure.canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent(drawing).padded(-1.5)) for text in texts]
    assert len(boxes) > 15
    for at, (words, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, words
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, words
        for other, rival in boxes[at + 1 :]:
            assert not box.overlaps(rival), (words, other)


def test_names_of_crowded_line_ends_do_not_touch():
    figure, axes = new_figure(1, 1)
    axes[0, 0].set_ylim(0, 1)
    label_ends(axes[0, 0], [(1, 0.5 + 0.01 * at, f'line {at}', 'black') for at in range(5)], 'header')
    png_bytes(figure)
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in axes[0, 0].texts]
    assert len(boxes) == 6
    tops = sorted((box.y0, box.y1) for box in boxes)
    assert all(upper[0] > lower[1] - 2 for lower, upper in zip(tops, tops[1:]))


def test_labels_spread_by_as_little_as_needed():
    assert spread([0.0, 50.0, 100.0], 10) == [0.0, 50.0, 100.0]
    assert spread([50.0, 52.0, 10.0], 10) == [46.0, 56.0, 10.0]
    assert spread([1.0, 0.0], 10, top=100) == [10.0, 0.0]
    crowded = spread([99.0, 98.0, 97.0], 10, top=100)
    assert crowded == [100.0, 90.0, 80.0]


def test_log_ticks_are_round_and_few():
    assert log_ticks(5e3, 2e5) == [5e3, 1e4, 2e4, 5e4, 1e5, 2e5]
    assert log_ticks(1.9, 2.6) == [2, 2.5]
    assert log_ticks(2.05, 2.35) == [2.05, 2.35]
    assert len(log_ticks(1e-3, 1e20)) <= 7


def test_larger_budgets_are_darker():
    colours = budget_colours([8e10, 6.4e11, 1.6e11])
    shades = [sum(colours[budget][:3]) for budget in (8e10, 1.6e11, 6.4e11)]
    assert shades == sorted(shades, reverse=True)
