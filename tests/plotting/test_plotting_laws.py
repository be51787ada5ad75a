"""The figures of fit, compare and plan: the numbers behind them, the marks in them, and their files."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import make_fit
from matplotlib.colors import to_rgba
from matplotlib.text import Text

from t2jax.laws.budgets import EndToEnd, Separate
from t2jax.laws.compare import Comparison, compare
from t2jax.laws.forms import LAWS, LOG_BILINEAR, T2_NLL
from t2jax.laws.observations import Observations, where
from t2jax.laws.plan import plan
from t2jax.laws.scores import score, split
from t2jax.laws.selection import Verifier
from t2jax.plotting.labels import human_error, human_value, law_name
from t2jax.plotting.laws import compare_figure, figure_kind, fit_figure, plan_figure, write_figure
from t2jax.plotting.style import LAW_COLOURS, figure_bytes, law_look, png_bytes

LOSS = {'E': 0.5, 'A': 1.2 * 3e4**0.4, 'B': 1.5e6**0.4, 'alpha': 0.4, 'beta': 0.4}
PLANTED = {
    'chinchilla': LOSS,
    't2-nll': LOSS | {'G': 1.5, 'gamma': 0.3},
    't2-accuracy': LOSS | {'theta0': 3.0, 'theta1': 1.2, 'theta2': 0.9, 'theta3': 0.2, 'theta4': -0.1},
    't2-nll-overtraining': LOSS | {'G': 1.5, 'gamma': 0.4, 'H': 0.002, 'eta': 0.7},
    'per-k': LOSS | {'e': 0.2, 'a': 0.1, 'b': 0.1, 'alpha_k': 0.01, 'beta_k': 0.01},
    'log-bilinear': {'c0': 3.0, 'c1': -0.1, 'c2': -0.2, 'c3': -0.002},
}
SIZES, BUDGETS, KS = np.geomspace(3e3, 2e5, 6), (8e10, 3.2e11, 1.28e12), (1.0, 4.0, 16.0, 64.0)


@pytest.fixture(scope='module')
def rows():
    """18 runs at four k, 2 % off the planted laws."""
    params, budget, k = (x.ravel() for x in np.meshgrid(SIZES, BUDGETS, KS, indexing='ij'))
    at = params, budget / (6 * params), k
    noise = np.exp(np.random.default_rng(0).normal(0, 0.02, len(k)))
    nll = planted_prediction('t2-nll', at) * noise
    return Observations(params=at[0], tokens=at[1], k=k, nll=nll, pass_at_k=planted_prediction('t2-accuracy', at))


def planted_prediction(law, at):
    return LAWS[law].predict(PLANTED[law], *at, np)


def planted(law, rows, replicates=0, **changes):
    names = {'params_range': rows.params, 'tokens_per_param_range': rows.tokens / rows.params}
    names |= {'train_flops_range': rows.train_flops, 'k_range': rows.k}
    rng = np.random.default_rng(1)
    draw = lambda value: tuple(value * np.exp(rng.normal(0, 0.02, replicates)))
    figures = {'objective_value': 0.4321, 'n_points': len(rows), 'n_runs': len(set(rows.run)), 'sizes': tuple(SIZES)}
    figures |= {name: (float(values.min()), float(values.max())) for name, values in names.items()}
    figures |= {'replicates': {name: draw(value) for name, value in PLANTED[law].items()} if replicates else {}}
    return make_fit(law, **{'parameters': PLANTED[law], 'task': 'all'} | figures | changes)


@pytest.fixture(scope='module')
def comparisons(rows):
    """All laws as planted, the last refused."""
    near, over = split(rows, 150.0)
    fits = {law: planted(law, near) for law in PLANTED}
    found = [Comparison(law, LAWS[law].target, fit, score(fit, near, over), None, '') for law, fit in fits.items()]
    return [*found[:-1], Comparison('log-bilinear', 'pass_at_k', None, None, None, 'it lacks a column')]


@pytest.fixture(scope='module')
def plans(rows):
    """A plan with bands and one without."""
    budget = Separate(6.4e11, 4e6)
    return [plan([planted(law, rows, replicates) for law in PLANTED], budget) for replicates in (20, 0)]


def texts_of(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


@pytest.mark.parametrize('law', LAWS)
def test_points_of_a_fit_are_what_it_predicts_of_its_rows(rows, law):
    fit = planted(law, rows)
    _, points = fit_figure(fit, rows)
    used = where(rows, rows.k == 1) if law == 'chinchilla' else rows
    assert [(p['params'], p['tokens'], p['k']) for p in points] == list(zip(used.params, used.tokens, used.k))
    observed = getattr(used, LAWS[law].target)
    predicted = fit.predict(used.params, used.tokens, used.k)
    np.testing.assert_array_equal([p['observed'] for p in points], observed)
    np.testing.assert_array_equal([p['predicted'] for p in points], predicted)
    np.testing.assert_allclose([p['relative_error'] for p in points], predicted / observed - 1, atol=1e-15)


def test_marks_of_a_fit_are_at_its_points_and_darken_with_k(rows):
    figure, points = fit_figure(planted('t2-nll', rows), rows)
    ratio = [p['predicted'] / p['observed'] for p in points]
    ends = [('observed', [p['predicted'] for p in points]), ('params', ratio), ('k', ratio)]
    for axis, (name, heights) in zip(figure.axes, ends):
        marks = axis.collections[-1]
        np.testing.assert_allclose(marks.get_offsets(), np.transpose([[p[name] for p in points], heights]))
    shades = {p['k']: colour[:3].sum() for p, colour in zip(points, marks.get_facecolor())}
    assert sorted(shades, key=shades.get) == sorted(KS, reverse=True)


def test_a_fit_says_its_law_objective_and_value(rows):
    figure, _ = fit_figure(planted('t2-nll', rows), rows)
    assert 'Approach 1 (NLL): sse 0.4321' in figure.get_suptitle()
    assert (
        'log-huber 0.001018'
        in fit_figure(planted('chinchilla', rows, objective='log-huber', objective_value=1.018e-3), rows)[
            0
        ].get_suptitle()
    )


def test_a_single_pass_law_is_shown_along_tokens_per_parameter_and_by_budget(rows):
    figure, points = fit_figure(planted('chinchilla', rows), rows)
    assert {point['k'] for point in points} == {1.0}
    assert {round(point['train_flops']) for point in points} == {round(budget) for budget in BUDGETS}
    said = texts_of(figure)
    assert 'Tokens per parameter D/N' in said and 'Training FLOPs C' in said and 'Samples k' not in said


def test_rows_without_a_value_above_0_are_left_out_and_counted(rows):
    holes = replace(rows, pass_at_k=np.where(rows.k == 1, 0.0, rows.pass_at_k))
    figure, points = fit_figure(planted('t2-accuracy', rows), holes)
    assert len(points) == 54 and '18 rows have no pass@k above 0' in figure.get_suptitle()
    with pytest.raises(ValueError, match='no row has a pass_at_k above 0'):
        fit_figure(planted('t2-accuracy', rows), replace(rows, pass_at_k=np.zeros(len(rows))))


def test_predictions_out_of_all_proportion_are_drawn_at_the_edge(rows):
    wild = planted('log-bilinear', rows, parameters=PLANTED['log-bilinear'] | {'c0': 12.0, 'c2': -2.0})
    figure, points = fit_figure(wild, rows)
    assert min(point['predicted'] for point in points) == 0.0
    for axis in figure.axes[:3]:
        low, high = axis.get_ylim()
        heights = axis.collections[-1].get_offsets()[:, 1]
        assert 0 < low < high < np.inf and np.all((heights >= low) & (heights <= high))
    assert any('off by over 100 times: at the edge' in text for text in texts_of(figure))
    assert not any('at the edge' in text for text in texts_of(fit_figure(planted('t2-accuracy', rows), rows)[0]))


def test_rows_of_one_k_and_one_size_are_drawn(rows):
    few = where(rows, (rows.k == 4) & (rows.params == SIZES[0]))
    figure, points = fit_figure(planted('t2-nll', few), few)
    assert len(points) == 3 and len(figure.axes) == 3 and len(png_bytes(figure)) > 1000


def test_points_of_a_comparison_have_the_errors_of_its_scores(rows, comparisons):
    _, points = compare_figure(comparisons, *split(rows, 150.0))
    assert {point['law'] for point in points} == set(PLANTED) - {'log-bilinear'}
    for comparison in comparisons[:-1]:
        mine = [point for point in points if point['law'] == comparison.law]
        assert all(point['held_out'] == (point['tokens'] / point['params'] > 150) for point in mine)
        for held_out, expected in ((False, comparison.scores.in_sample), (True, comparison.scores.held_out)):
            errors = [abs(point['relative_error']) for point in mine if point['held_out'] == held_out]
            assert np.mean(errors) == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_held_out_runs_are_hollow_and_each_panel_has_its_errors(rows, comparisons):
    figure, points = compare_figure(comparisons, *split(rows, 150.0))
    for axis, comparison in zip(figure.axes, comparisons[:-1]):
        _, filled, hollow = axis.lines[:3]
        mine = [point for point in points if point['law'] == comparison.law]
        for line, held_out in ((filled, False), (hollow, True)):
            expected = [(p['observed'], p['predicted']) for p in mine if p['held_out'] == held_out]
            np.testing.assert_allclose(np.transpose(line.get_data()), expected)
        assert hollow.get_markerfacecolor() == 'white' and filled.get_markerfacecolor() != 'white'
        scores = comparison.scores
        assert f'in the fit: {human_error(scores.in_sample)} (null {human_error(scores.null_in_sample)})' in (
            axis.texts[0].get_text()
        )
        assert f'held out: {human_error(scores.held_out)} (null {human_error(scores.null_held_out)})' in (
            axis.texts[0].get_text()
        )


def test_refused_laws_are_named_with_their_reason(rows, comparisons):
    near, over = split(rows, 150.0)
    figure, _ = compare_figure(comparisons, near, over)
    assert any('Log-bilinear (pass@k) was not fitted: it lacks a column.' in text for text in texts_of(figure))
    with pytest.raises(ValueError, match='no law could be fitted'):
        compare_figure(comparisons[-1:], near, over)


def test_what_compare_finds_can_be_drawn(rows):
    found = compare(replace(rows, nll=np.full(len(rows), np.nan)), 150.0, starts=2, laws=(T2_NLL, LOG_BILINEAR))
    figure, points = compare_figure(found, *split(rows, 150.0))
    assert {point['law'] for point in points} == {'log-bilinear'}
    assert any(text.startswith('Approach 1 (NLL) was not fitted: t2-nll needs nll') for text in texts_of(figure))


def test_rows_that_a_law_was_not_fitted_to_are_not_in_its_panel(rows, comparisons):
    lacks_nll = (rows.k == 1) & (rows.params == SIZES[0])
    some = replace(rows, nll=np.where(lacks_nll, np.nan, rows.nll))
    figure, points = compare_figure(comparisons[2:3], *split(some, 150.0))
    assert [point['law'] for point in points] == ['t2-accuracy'] * (len(rows) - 3)
    assert not any('not drawn' in text for text in texts_of(figure))


def test_a_plan_is_drawn_with_its_optimum_pick_and_bands(plans):
    figure, numbers = plan_figure(plans[0])
    for axis, (law, choice) in zip(figure.axes, plans[0]['choices'].items()):
        look = law_look(law)
        marks = [line for line in axis.lines if line.get_marker() == look['marker'] and line.get_markersize() == 9]
        assert [tuple(np.ravel(line.get_data())) for line in marks] == [(choice['params'], choice['value'])]
        picks = [line for line in axis.lines if line.get_color() == '#111111' and line.get_markersize() == 7]
        pick = choice['chinchilla']
        expected = [(pick['params'], pick['value'])] if pick else []
        assert [tuple(np.ravel(line.get_data())) for line in picks if len(line.get_xdata())] == expected
        spans = [line for line in axis.lines if line.get_marker() == '|']
        np.testing.assert_array_equal(spans[0].get_xdata(), choice['bands']['params']['80'])
        curve = [row for row in numbers if row['law'] == law and row['kind'] == 'curve']
        assert all([row[name] for row in curve] == choice['curve'][name] for name in ('params', 'value', 'low', 'high'))
        outline = axis.collections[-1].get_paths()[0].vertices
        assert {*choice['curve']['low'], *choice['curve']['high']} <= set(outline[:, 1])
    assert [row['law'] for row in numbers if row['kind'] == 'optimum'] == list(PLANTED)


def test_a_plan_says_its_budget(rows, plans):
    said = plan_figure(plans[1])[0].get_suptitle()
    assert said.startswith('6.4e11 FLOPs to train, 4e6 FLOPs per served token;') and said.endswith('coverage')
    together = plan([planted('t2-nll', rows)], EndToEnd(6.4e11, 1e4))
    assert plan_figure(together)[0].get_suptitle().startswith('6.4e11 FLOPs for training and 10k served tokens;')


def test_a_plan_without_refits_has_no_bands(plans):
    figure, numbers = plan_figure(plans[1])
    assert not any(axis.collections for axis in figure.axes)
    assert not any('80 %' in text for text in texts_of(figure) if 'optim' in text or 'refits' in text)
    assert {row['low'] for row in numbers if row['kind'] == 'curve'} == {None}
    assert '80 % of refits' in texts_of(plan_figure(plans[0])[0])


def test_a_pick_that_the_budget_pays_no_sample_is_not_on_the_curve(rows):
    tight = plan([planted(law, rows) for law in ('chinchilla', 't2-nll')], Separate(1e18, 4e5))
    pick = tight['choices']['t2-nll']['chinchilla']
    assert pick['value'] is None
    figure, _ = plan_figure(tight)
    assert not [line for line in figure.axes[1].lines if line.get_markersize() == 7]
    assert 'k < 1, NLL –' in figure.axes[1].texts[0].get_text()


def test_sizes_of_the_data_are_shaded(plans):
    figure, _ = plan_figure(plans[1])
    for axis in figure.axes[: len(PLANTED)]:
        shade = axis.patches[0].get_extents().transformed(axis.transData.inverted())
        assert shade.intervalx == pytest.approx((3e3, 2e5))


def all_figures(rows, comparisons, plans):
    everything = plan([planted(law, rows, 20) for law in PLANTED], EndToEnd(6.4e11, 1e4), selection=Verifier(0.9, 0.01))
    one = plan([planted('t2-nll', rows, 20)], Separate(6.4e11, 4e6))
    wild = planted('log-bilinear', rows, parameters=PLANTED['log-bilinear'] | {'c0': 12.0, 'c2': -2.0}, task='spatial')
    yield from (fit_figure(planted(law, rows), rows)[0] for law in PLANTED)
    yield fit_figure(wild, rows)[0]
    yield compare_figure(comparisons, *split(rows, 150.0))[0]
    yield compare_figure(comparisons[-2:], *split(rows, 150.0))[0]
    yield from (plan_figure(each)[0] for each in (*plans, everything, one))


def test_no_text_is_clipped_or_overlaps_another(rows, comparisons, plans):
    for figure in all_figures(rows, comparisons, plans):
        png_bytes(figure)
        drawing = figure.canvas.get_renderer()
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        boxes = [(text.get_text(), text.get_window_extent(drawing).padded(-1.5)) for text in texts]
        assert len(boxes) > 12
        for at, (words, box) in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, words
            assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, words
            for other, rival in boxes[at + 1 :]:
                assert not box.overlaps(rival), (words, other)


def test_equal_figures_give_equal_bytes(rows, comparisons, plans, monkeypatch):
    near, over = split(rows, 150.0)
    fit = planted('t2-nll', rows)
    draws = [
        (lambda: fit_figure(fit, rows), ('png', 'svg', 'pdf')),
        (lambda: compare_figure(comparisons, near, over), ('png',)),
        (lambda: plan_figure(plans[0]), ('png',)),
    ]
    for draw, kinds in draws:
        monkeypatch.delenv('SOURCE_DATE_EPOCH', raising=False)
        before = [figure_bytes(draw()[0], kind) for kind in kinds]
        monkeypatch.setenv('SOURCE_DATE_EPOCH', '1')
        assert [figure_bytes(draw()[0], kind) for kind in kinds] == before


@pytest.mark.parametrize(('name', 'start'), [('a.png', b'\x89PNG'), ('b.PDF', b'%PDF'), ('c.svg', b'<?xml')])
def test_a_figure_is_written_as_its_name_says(rows, tmp_path, name, start):
    figure, _ = fit_figure(planted('chinchilla', rows), rows)
    write_figure(tmp_path / 'new' / name, figure)
    assert (tmp_path / 'new' / name).read_bytes().startswith(start)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == [name]


@pytest.mark.parametrize('name', ['figure', 'figure.jpg', 'figure.png.txt'])
def test_a_name_that_is_no_figures_is_one_sentence_and_writes_nothing(rows, tmp_path, name):
    sentence = r'has to end in \.png, \.pdf or \.svg$'
    with pytest.raises(ValueError, match=sentence):
        figure_kind(tmp_path / name)
    with pytest.raises(ValueError, match=sentence):
        write_figure(tmp_path / name, fit_figure(planted('chinchilla', rows), rows)[0])
    assert not list(tmp_path.iterdir())


def test_the_figure_of_a_plan_loads_no_jax():
    code = 'import sys, t2jax.laws.plan, t2jax.plotting.laws; print("jax" in sys.modules)'
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == 'False'


def test_every_law_has_a_name_and_a_colour_of_its_own_and_a_forks_law_has_its_own_name():
    looks = [law_look(law) for law in LAWS]
    assert len({to_rgba(look['color']) for look in looks}) == len({look['marker'] for look in looks}) == len(LAWS)
    assert len({law_name(law) for law in LAWS} - set(LAWS)) == len(LAWS)
    assert law_name('mine') == 'mine' and to_rgba(law_look('mine')['color'])
    assert list(LAW_COLOURS) == ['chinchilla', 't2-nll', 't2-accuracy']  # those of a study's report


def test_values_and_errors_of_any_size():
    assert [human_value(value) for value in (100.0, 2.5, 0.05, 1e-6)] == ['100', '2.5', '0.05', '1e-6']
    assert [human_error(value) for value in (0.0131, 9.55, 1636.2)] == ['1.31 %', '955 %', '1.64e3 times']
