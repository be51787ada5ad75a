"""Figures 3, 4, 6 and 7 and the curves of pass@k: that they show the numbers of the study, and can be read."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from t2jax.laws.observations import value_at_k, where
from t2jax.plotting import curves, isoflop, isoflop_panel, isoflop_tasks
from t2jax.plotting.results import NotDrawn, read_results
from t2jax.plotting.style import LAW_MARKERS, budget_colours, figure_bytes

DRAWN = {
    'profiles': isoflop.isoflop_profiles,
    'loss': isoflop.isoflop_loss,
    'nll by task': isoflop_tasks.nll_by_task,
    'pass@k by task': isoflop_tasks.pass_at_k_by_task,
    'extrapolation': curves.extrapolation,
    'curves': curves.pass_at_k_curves,
}
BEST = {'nll': min, 'pass_at_k': max}


def doubtful(results):
    doubt = lambda fit: replace(fit, converged=False)
    return replace(
        results,
        fits={law: doubt(fit) for law, fit in results.fits.items()},
        by_task={law: {task: doubt(fit) for task, fit in fits.items()} for law, fits in results.by_task.items()},
        held_out={
            law: {task: replace(test, fit=doubt(test.fit)) for task, test in tests.items()}
            for law, tests in results.held_out.items()
        },
    )


def of_kind(numbers, kind, column=None):
    return [row for row in numbers if row['kind'] == kind and (column is None or column in row)]


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


@pytest.mark.parametrize('column', ['nll', 'pass_at_k'])
def test_points_are_measured_at_their_own_k(results, column):
    _, numbers = isoflop.isoflop_profiles(results)
    measured = of_kind(numbers, 'measured', column)
    assert [row['inference_flops'] for row in measured] == [None] * 12 + [1e6] * 12
    for row in measured:
        assert row['k'] == (1 if row['inference_flops'] is None else pytest.approx(1e6 / (2 * row['params'])))
        assert row[column] == value_at_k(results.macro, row['run'], row['k'], column)


def test_curves_are_the_law_along_its_budget(results):
    _, numbers = isoflop.isoflop_profiles(results)
    drawn = of_kind(numbers, 'curve')
    assert {(row['law'], row['train_flops'], row['inference_flops']) for row in drawn} == {
        (law, budget, inference)
        for law in ('t2-nll', 't2-accuracy')
        for budget in results.budgets
        for inference in (None, 1e6)
    }
    for row in drawn:
        assert 6 * row['params'] * row['tokens'] == pytest.approx(row['train_flops'])
        assert row['k'] == (1 if row['inference_flops'] is None else pytest.approx(1e6 / (2 * row['params'])))
        column = 'nll' if row['law'] == 't2-nll' else 'pass_at_k'
        assert row[column] == pytest.approx(results.fits[row['law']].predict(row['params'], row['tokens'], row['k']))


def test_what_is_drawn_is_what_is_told(results):
    figure, numbers = isoflop.isoflop_profiles(results)
    drawn = [line for line in figure.axes[1].lines if line.get_linestyle() == '-' and len(line.get_xdata()) > 100]
    told = [row for row in of_kind(numbers, 'curve', 'nll') if row['inference_flops'] == 1e6]
    for line, budget in zip(drawn, results.budgets, strict=True):
        mine = [row for row in told if row['train_flops'] == budget]
        np.testing.assert_allclose(line.get_xdata()[::8], [row['params'] for row in mine])
        np.testing.assert_allclose(line.get_ydata()[::8], [row['nll'] for row in mine])
    dots = [line for line in figure.axes[1].lines if line.get_marker() == 'o' and line.get_markersize() == 6]
    dots = [line for line in dots if len(line.get_xdata())]
    told = [row for row in of_kind(numbers, 'measured', 'nll') if row['inference_flops'] == 1e6]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [(r['params'], r['nll']) for r in told]


def test_choices_are_those_of_the_allocation(results):
    _, numbers = isoflop.isoflop_profiles(results)
    for column, law in (('nll', 't2-nll'), ('pass_at_k', 't2-accuracy')):
        chosen = {
            (row['law'], row['train_flops'], row['inference_flops']): row for row in of_kind(numbers, 'choice', column)
        }
        assert len(chosen) == 8
        for row in results.rows:
            at = row['train_flops']
            assert chosen[law, at, 1e6]['params'] == row[law]['params']
            assert chosen[law, at, 1e6][column] == pytest.approx(row[law][column])
            assert chosen[law, at, None]['params'] == row[law]['params_for_one_sample']
            assert chosen['chinchilla', at, 1e6][column] == pytest.approx(row['chinchilla'][column])
            for inference in (None, 1e6):
                assert chosen['chinchilla', at, inference]['params'] == row['chinchilla']['params']


@pytest.mark.parametrize('column', ['nll', 'pass_at_k'])
def test_the_frontier_is_the_optimum_of_the_drawn_curves(results, column):
    _, numbers = isoflop.isoflop_profiles(results)
    sizes = np.geomspace(1e3, 5e5, 4001)
    for row in of_kind(numbers, 'choice', column):
        if row['law'] != 'chinchilla':
            k = np.ones_like(sizes) if row['inference_flops'] is None else 1e6 / (2 * sizes)
            values = results.fits[row['law']].predict(sizes, row['train_flops'] / (6 * sizes), k)
            best = sizes[(np.argmin if column == 'nll' else np.argmax)(values)]
            assert row['params'] == pytest.approx(best, rel=3e-3)
            drawn = [point[column] for point in of_kind(numbers, 'curve', column) if same_curve(point, row)]
            assert len(drawn) > 10
            assert BEST[column](row[column], *drawn) == row[column]


def same_curve(one, other):
    return all(one[name] == other[name] for name in ('law', 'train_flops', 'inference_flops'))


def test_each_panel_marks_the_choices_it_tells(results):
    for draw, per_panel in ((isoflop.isoflop_profiles, 2), (isoflop_tasks.nll_by_task, 1)):
        figure, numbers = draw(results)
        drawn = []
        for axis in figure.axes:
            drawn += [
                (size, height)
                for line in axis.lines
                if line.get_marker() in LAW_MARKERS.values() and line.get_linestyle() == 'None'
                for size, height in zip(line.get_xdata(), line.get_ydata())
            ]
        told = of_kind(numbers, 'choice')
        assert len(drawn) == len(told) == (4 if per_panel == 2 else 6) * per_panel * len(results.budgets)
        assert sorted(drawn) == sorted((row['params'], row.get('nll', row.get('pass_at_k'))) for row in told)


def test_rings_are_about_the_best_checkpoints(results):
    figure, _ = isoflop.isoflop_profiles(results)
    for axis, pick in ((figure.axes[1], 'nll'), (figure.axes[3], 'pass_at_k')):
        rings = [line.get_xdata()[0] for line in axis.lines if line.get_markersize() == 12 and len(line.get_xdata())]
        assert rings == [row['checkpoints'][pick]['params'] for row in results.rows]


def test_sizes_that_cannot_draw_one_sample_are_off_the_corrected_panels(make_study):
    results = read_results(make_study(inference_flops=2 * 14e3))
    figure, numbers = isoflop.isoflop_profiles(results)
    corrected = [row for row in numbers if row['inference_flops'] is not None]
    assert max(row['params'] for row in corrected) <= 14e3 * (1 + 1e-6)
    assert figure.axes[1].get_xlim()[1] < 15e3 < figure.axes[0].get_xlim()[1]


def test_intervals_of_refits_lie_about_the_optima_they_belong_to(results, refits):
    figure, numbers = isoflop.isoflop_profiles(refits)
    for row in of_kind(numbers, 'choice', 'nll'):
        allocated = next(each for each in refits.rows if each['train_flops'] == row['train_flops'])[row['law']]
        if row['law'] == 't2-nll' and row['inference_flops'] is None:
            assert row['params_low'] is row['params_high'] is None
        else:
            assert [row['params_low'], row['params_high']] == allocated['bands']['params']['80']
    assert '80 % of refits' in words(figure)
    assert '80 % of refits' not in words(isoflop.isoflop_profiles(results)[0])


def test_one_approach_has_one_row_of_panels(make_study):
    figure, numbers = isoflop.isoflop_profiles(read_results(make_study(laws=('t2-accuracy',))))
    assert [axis.get_title('left') for axis in figure.axes] == [
        'Approach 2 (pass@k), single pass',
        'Approach 2 (pass@k), k = C_inf / 2N',
    ]
    assert {row['law'] for row in numbers} == {'', 't2-accuracy'}
    assert 'Chinchilla’s choice' not in words(figure)


def test_points_are_drawn_before_any_fit(bare):
    for draw, count in (
        (isoflop.isoflop_profiles, 48),
        (isoflop.isoflop_loss, 12),
        (isoflop_tasks.nll_by_task, 72),
        (isoflop_tasks.pass_at_k_by_task, 72),
    ):
        figure, numbers = draw(bare)
        assert [row['kind'] for row in numbers] == ['measured'] * count
        assert 'checkpoint' in words(figure)
    with pytest.raises(NotDrawn, match='not fitted yet'):
        curves.extrapolation(bare)


def test_losses_alone_have_the_loss_and_its_extrapolation(losses_alone):
    figure, numbers = isoflop.isoflop_loss(losses_alone)
    assert {row['law'] for row in numbers} == {'', 'chinchilla'}
    assert figure.axes[0].get_title('left') == 'Loss on held-out text'
    for row, choice in zip(losses_alone.rows, of_kind(numbers, 'choice'), strict=True):
        assert choice['params'] == row['chinchilla']['params']
        assert choice['nll'] == pytest.approx(row['chinchilla']['loss'])
    figure, numbers = curves.extrapolation(losses_alone)
    assert {row['law'] for row in numbers} == {'chinchilla'} and len(numbers) == 12
    for draw in (isoflop.isoflop_profiles, isoflop_tasks.nll_by_task, curves.pass_at_k_curves):
        with pytest.raises(NotDrawn, match='answer|task'):
            draw(losses_alone)


def test_without_a_mean_over_tasks_tasks_alone_are_drawn(results):
    tables = replace(results.tables, macro=where(results.macro, results.macro.k < 0))
    with pytest.raises(NotDrawn, match='every task at every k'):
        isoflop.isoflop_profiles(replace(results, tables=tables))
    assert isoflop_tasks.nll_by_task(replace(results, tables=tables))[1]


def test_without_text_the_loss_is_that_of_answers(make_study):
    figure, _ = isoflop.isoflop_loss(read_results(make_study(text=False)))
    assert figure.axes[0].get_title('left') == 'NLL of answers, mean over tasks'


def test_runs_without_profiles_take_the_shade_of_what_they_spent(ladder):
    assert not ladder.has_profiles
    figure, numbers = isoflop.isoflop_profiles(ladder)
    measured = [row for row in of_kind(numbers, 'measured', 'nll') if row['inference_flops'] is None]
    dots = [line for line in figure.axes[0].lines if line.get_markersize() == 6 and len(line.get_xdata())]
    shades = [sum(line.get_color()[:3]) for line in dots]
    spent = [row['own_train_flops'] for row in measured]
    assert len(set(spent)) == 12
    assert np.all(np.diff(np.array(shades)[np.argsort(spent)]) <= 1e-9)
    assert len({to_hex(line.get_color()) for line in dots}) > 5
    assert not [line for line in figure.axes[0].lines if line.get_markersize() == 12 and len(line.get_xdata())]
    assert 'best checkpoint' not in words(figure)
    assert 'Training budget C (FLOPs)' in words(figure)
    assert {row['train_flops'] for row in of_kind(numbers, 'curve')} <= set(ladder.budgets)


def test_shades_of_budgets_are_those_of_other_figures():
    budgets = [1e10, 5e10, 1e11]
    for budget, colour in budget_colours(budgets).items():
        assert isoflop_panel.shade(budgets, budget) == colour
    assert isoflop_panel.shade([3e9], 3e9) == budget_colours([3e9])[3e9]


def test_a_law_that_runs_away_does_not_stretch_the_axes(results):
    """Curves a thousand times off, and optima at no size that was ever trained, leave the panel."""
    wild = {law: dict(fit.parameters) for law, fit in results.fits.items()}
    wild['t2-nll']['A'] *= 1e3
    fits = {law: replace(fit, parameters=wild[law]) for law, fit in results.fits.items()}
    rows = [row | {'t2-nll': row['t2-nll'] | {'params': 4e5 + 4e3 * at}} for at, row in enumerate(results.rows)]
    rows = [row | {'chinchilla': row['chinchilla'] | {'params': 1.0}} for row in rows]
    figure, numbers = isoflop.isoflop_profiles(replace(results, fits=fits, rows=rows))
    for axis, inference_flops in zip(figure.axes[:2], (None, 1e6)):
        mine = [row['nll'] for row in of_kind(numbers, 'measured', 'nll') if row['inference_flops'] == inference_flops]
        low, high = min(mine), max(mine)
        assert low / 5 < axis.get_ylim()[0] < low and high < axis.get_ylim()[1] < 5 * high
        assert axis.get_xlim()[0] > 3e3 / 7 and axis.get_xlim()[1] < 7 * 96e3
        assert 'not shown: Chinchilla’s choice at 2 of 2 budgets' in axis.get_xlabel()
        assert any(line.get_markersize() == 6 for line in axis.lines)


def test_samples_that_nobody_measured_leave_a_panel_to_the_law(results):
    huge = {'inference_flops': 1e12}
    rows = [row | {'chinchilla': row['chinchilla'] | {'params': 1.0}} | huge for row in results.rows]
    figure, numbers = isoflop.isoflop_profiles(replace(results, rows=rows))
    corrected = [row['nll'] for row in of_kind(numbers, 'curve', 'nll') if row['inference_flops'] == 1e12]
    assert corrected and not [row for row in of_kind(numbers, 'measured') if row['inference_flops'] == 1e12]
    assert figure.axes[1].get_ylim()[1] < 2 * max(corrected)
    assert 'no checkpoint was measured at so many samples' in figure.axes[1].get_xlabel()


def test_next_to_no_nll_does_not_squeeze_the_others(results):
    nll = np.where((results.macro.params == 3e3) & (results.macro.k > 100), 1e-12, results.macro.nll)
    tables = replace(results.tables, macro=replace(results.macro, nll=nll))
    figure, _ = isoflop.isoflop_profiles(replace(results, tables=tables))
    assert figure.axes[1].get_ylim()[0] > 1e-4


@pytest.mark.parametrize('name', [name for name in DRAWN if name != 'curves'])
def test_an_unconverged_fit_is_drawn_with_a_warning(results, name):
    figure, _ = DRAWN[name](results)
    assert not any('converged' in text for text in words(figure))
    figure, _ = DRAWN[name](doubtful(results))
    said = [text for text in words(figure) if 'had not converged' in text.replace('\n', ' ')]
    assert len(said) == 1
    laws = {'loss': 'Chinchilla', 'nll by task': 'Approach 1', 'pass@k by task': 'Approach 2'}
    assert laws.get(name, 'Approach 2') in said[0].replace('\n', ' ')


@pytest.mark.parametrize('name', DRAWN)
@pytest.mark.parametrize('state', ['refits', 'doubtful', 'without profiles', 'bare', 'losses alone'])
def test_no_text_is_clipped_or_overlaps_another(results, refits, bare, losses_alone, ladder, name, state):
    made = {'refits': refits, 'bare': bare, 'losses alone': losses_alone, 'without profiles': ladder}
    made |= {'doubtful': doubtful(results)}
    try:
        figure, _ = DRAWN[name](made[state])
    except NotDrawn:
        assert state in ('bare', 'losses alone')
        return
    figure_bytes(figure, 'png')
    drawing = figure.canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent(drawing).padded(-1.5)) for text in texts]
    assert len(boxes) > 10
    for at, (said, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, said
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, said
        for other, rival in boxes[at + 1 :]:
            assert not box.overlaps(rival), (said, other)


@pytest.mark.parametrize('name', DRAWN)
def test_equal_studies_give_equal_bytes(results, name):
    once, again = (DRAWN[name](results)[0] for _ in range(2))
    for kind in ('png', 'pdf'):
        assert figure_bytes(once, kind) == figure_bytes(again, kind)


@pytest.mark.parametrize('name', DRAWN)
def test_rows_are_plain_values(results, name):
    _, numbers = DRAWN[name](results)
    assert numbers
    assert {type(value) for row in numbers for value in row.values()} <= {str, float, bool, type(None)}
