import hashlib

import matplotlib
import pytest
from matplotlib.text import Text

from t2jax.plotting import grid
from t2jax.plotting.figures import DRAWINGS, write_drawing
from t2jax.plotting.results import NotDrawn, read_results
from t2jax.plotting.style import budget_colours, label_ends, log_ticks, new_figure, png_bytes, spread


@pytest.fixture(scope='module')
def results(study):
    return read_results(study)


def test_grid_marks_overtrained_and_best_runs(results):
    _, cells = grid.checkpoint_grid(results)
    assert len(cells) == 12
    assert [cell['overtrained'] for cell in cells] == [cell['tokens_per_param'] > 150 for cell in cells]
    best = results.rows[-1]['checkpoints']['nll']['run']
    assert 't2-nll' in next(cell for cell in cells if cell['run'] == best)['picked_by']


def test_bytes_depend_on_neither_the_users_settings_nor_the_hour(results, monkeypatch):
    def fingerprint():
        return hashlib.sha256(png_bytes(grid.checkpoint_grid(results)[0])).hexdigest()

    before = fingerprint()
    monkeypatch.setenv('SOURCE_DATE_EPOCH', '1')
    with matplotlib.rc_context({'font.size': 23, 'axes.labelpad': 40, 'savefig.facecolor': 'red'}):
        assert fingerprint() == before
        assert matplotlib.rcParams['font.size'] == 23


UNTUNED = [
    name for name in DRAWINGS if name not in ('figure_5_post_training', 'fine_tuning_curves', 'table_2_post_training')
]


@pytest.mark.parametrize('name', UNTUNED)
def test_no_text_is_clipped_or_overlaps_another(results, name):
    figure, _ = DRAWINGS[name].draw(results)
    png_bytes(figure)
    drawing = figure.canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent(drawing).padded(-1.5)) for text in texts]
    assert len(boxes) > 9
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


@pytest.mark.parametrize('name', DRAWINGS)
def test_a_drawing_is_written_as_picture_vector_and_numbers_or_says_why_not(results, tmp_path, name):
    drawing = DRAWINGS[name]
    assert len(drawing.title) > 10 and len(drawing.caption) > 20
    if name not in UNTUNED:
        with pytest.raises(NotDrawn, match='fine-tuned'):
            write_drawing(drawing, results, tmp_path)
        assert not list(tmp_path.iterdir())
        return
    paths = write_drawing(drawing, results, tmp_path)
    assert [path.name for path in paths] == [f'{name}.png', f'{name}.pdf', f'{name}.csv']
    first = [path.read_bytes() for path in paths]
    assert first[0].startswith(b'\x89PNG') and first[1].startswith(b'%PDF') and first[2].count(b'\n') > 1
    assert [path.read_bytes() for path in write_drawing(drawing, results, tmp_path)] == first
