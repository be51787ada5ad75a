"""The figure of pass@k and its tables: what is drawn is what was computed, and where it leaves the samples drawn."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.text import Text

from t2jax.evaluation.agreement import agreement
from t2jax.evaluation.passk import likelihood_curve, predicted_curve, sampled_curve
from t2jax.plotting.passk import COLOURS, agreement_lines, curve_lines, passk_figure
from t2jax.plotting.style import figure_bytes

FAR = [1.0, 4.0, 16.0, 64.0, 300.0, 1e3, 1e4]


def four_curves(scale=1.0):
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 5, 120) * scale
    c = rng.binomial(64, p)
    predicted = [predicted_curve(64, c, FAR, with_mass, replicates=20) for with_mass in (False, True)]
    return [likelihood_curve(-np.log(p), FAR), sampled_curve(64, c, [1, 4, 16, 64]), *predicted]


@pytest.fixture(scope='module')
def curves():
    return four_curves()


def lines_of(figure, kind):
    colour = to_rgba(COLOURS[kind])
    return [line for line in figure.axes[0].lines if to_rgba(line.get_color()) == colour]


def texts_of(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def test_every_curve_is_drawn_with_its_band_and_is_in_the_rows(curves):
    figure, rows = passk_figure(curves, 'a title', 64)
    assert len(rows) == sum(len(curve.k) for curve in curves)
    bands = figure.axes[0].collections
    for curve, band in zip(curves, bands, strict=True):
        mine = [row for row in rows if row['kind'] == curve.kind]
        for name in ('k', 'value', 'low', 'high'):
            assert [row[name] for row in mine] == getattr(curve, name).tolist()
        assert {row['level'] for row in mine} == {curve.level}
        assert to_rgba(band.get_facecolor()[0])[:3] == to_rgba(COLOURS[curve.kind])[:3]
        assert {*curve.low, *curve.high} <= set(band.get_paths()[0].vertices[:, 1])
        drawn = {point for line in lines_of(figure, curve.kind) for point in zip(*line.get_data())}
        assert drawn == set(zip(curve.k, curve.value))


def test_predictions_alone_are_dashed_and_only_beyond_the_samples(curves):
    figure, _ = passk_figure(curves, 'a title', 64)
    for curve in curves:
        lines = lines_of(figure, curve.kind)
        dashed = [line for line in lines if line.is_dashed()]
        assert len(lines) - len(dashed) == 1
        if curve.kind in ('likelihood', 'samples'):
            assert not dashed
        else:
            assert dashed[0].get_xdata().tolist() == [64, 300, 1000, 10000]
            (solid,) = (line for line in lines if not line.is_dashed())
            assert solid.get_xdata().tolist() == [1, 4, 16, 64]
    assert {'64 samples drawn', 'predicted beyond', '95 % band'} <= set(texts_of(figure))
    (mark,) = (line for line in figure.axes[0].lines if line.get_linestyle() == ':')
    assert list(mark.get_xdata()) == [64, 64]


@pytest.mark.parametrize('n', [None, 10_000, 20_000])
def test_nothing_is_dashed_where_no_k_is_beyond_the_samples(curves, n):
    figure, _ = passk_figure(curves, 'a title', n)
    dashed = [line for line in figure.axes[0].lines if line.is_dashed() and len(line.get_xdata()) > 1]
    assert [list(line.get_xdata()) for line in dashed] == ([[n, n]] if n == 10_000 else [])
    assert 'predicted beyond' not in texts_of(figure)


def test_the_longest_curves_are_named_at_their_ends_and_the_others_in_the_key(curves):
    figure, _ = passk_figure(curves, 'a title', 64)
    beside = {text.get_text(): text for text in figure.axes[0].texts}
    assert set(beside) == {'likelihood', 'beta-binomial', 'zero-inflated'}
    assert all(to_rgba(text.get_color()) == to_rgba(COLOURS[kind]) for kind, text in beside.items())
    assert [text.get_text() for text in figure.legends[0].get_texts()][0] == 'samples'
    assert figure.get_suptitle() == 'a title'


def test_values_far_apart_are_on_a_logarithmic_axis(curves):
    assert passk_figure(curves, '', 64)[0].axes[0].get_yscale() == 'linear'
    axis = passk_figure(four_curves(0.03), '', 64)[0].axes[0]
    assert axis.get_yscale() == 'log'
    assert all(label.get_text().endswith(' %') for label in axis.get_yticklabels())


def odd_figures(curves):
    likelihood, samples, *predicted = curves
    none = sampled_curve(64, np.zeros(50, int), [1, 8, 64])
    yield passk_figure(
        curves, 'gsm8k, 149M: 120 questions, a long title that has to be broken into two lines ' * 2, 64
    )[0]
    yield passk_figure(four_curves(0.03), 'tiny', 64)[0]
    yield passk_figure([likelihood], 'alone')[0]
    yield passk_figure([samples], 'samples alone', 64)[0]
    yield passk_figure([none], 'nothing right', 64)[0]
    yield passk_figure([none, likelihood], 'nothing right, and likelihoods', 64)[0]
    yield passk_figure([likelihood_curve([1.0, 2.0], [4])], 'one k')[0]
    yield passk_figure([replace(likelihood, level=0.8), *predicted], 'two levels', 2)[0]


def test_no_text_is_clipped_or_overlaps_another(curves):
    for figure in odd_figures(curves):
        figure_bytes(figure, 'png')
        drawing = figure.canvas.get_renderer()
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        boxes = [(text.get_text(), text.get_window_extent(drawing).padded(-1.5)) for text in texts]
        assert len(boxes) > 7
        for at, (words, box) in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, words
            assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, words
            for other, rival in boxes[at + 1 :]:
                assert not box.overlaps(rival), (words, other)


def test_equal_curves_give_equal_bytes(curves):
    assert len({figure_bytes(passk_figure(curves, 'a title', 64)[0], 'png') for _ in range(2)}) == 1


def test_a_figure_without_curves_is_refused():
    with pytest.raises(ValueError, match='there is no curve to draw; give at least one'):
        passk_figure([], 'nothing')


def test_curves_are_written_with_digits_at_any_size(curves):
    tables = curve_lines(curves).split('\n\n')
    assert [table.split(',')[0].strip() for table in tables] == [curve.kind for curve in curves]
    for table, curve in zip(tables, curves):
        assert len(table.splitlines()) == 1 + len(curve.k) and '95 % band' in table
    tiny = curve_lines([likelihood_curve([46.0, 46.0], [1, 10.5, 1e6], level=0.9)]).splitlines()
    assert tiny[0].split() == ['likelihood,', 'k', 'pass@k', '90', '%', 'band']
    assert tiny[1].split() == '1 1.05e-18 % 1.05e-18 % to 1.05e-18 %'.split()
    assert [line.split()[0] for line in tiny[2:]] == ['10.5', '1,000,000']
    assert max(map(len, tiny)) == min(map(len, tiny)) <= 110


def test_an_agreement_is_written_with_its_verdict_and_its_surprises():
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 2, 60)
    c = rng.binomial(64, p)
    tasks, names = ['gsm8k'] * 30 + ['a task with a very long name'] * 30, [f'question-{i}' for i in range(60)]
    well = agreement(tasks, names, -np.log(p), np.full(60, 64), c, (1, 64))
    said = agreement_lines(well)
    assert said.startswith('Likelihoods and samples agree: 0 of 60 questions are beyond chance, and ')
    assert f'and {sum(row.agrees for row in well.pass_at_k)} of 6 pass@k' in said and 'beyond chance, of' not in said
    told = p.copy()
    told[:14] = 0.97
    ill = agreement(tasks, names, -np.log(told), np.full(60, 64), c, (1, 64))
    lines = agreement_lines(ill).splitlines()
    assert lines[0].startswith(f'Likelihoods and samples DISAGREE: {len(ill.disagreements)} of 60 questions')
    assert max(map(len, lines)) <= 110 and lines[-1] == f'and {len(ill.disagreements) - 10} more'
    first = ill.disagreements[0]
    assert lines[-11].split() == [first.task, first.question, '64', '62.1', str(first.seen), f'{first.p_value:.2g}']
    total = ill.totals[0]
    row = next(line for line in lines if line.startswith('gsm8k')).split()
    assert row[1:5] == ['30', '1,920', f'{total.expected:,.1f}', f'{total.seen:,}'] and row[5] == f'{total.z:.2f}'
    table = lines.index(next(line for line in lines if line.startswith('pass@k of')))
    written = [line.endswith('outside') for line in lines[table + 1 : table + 7]]
    assert written == [not row.agrees for row in ill.pass_at_k] and 0 < sum(written) < 6
    assert lines[table + 3].startswith('a task with a very lon… ')
