"""Figures 1, 2 and 8: what the laws would buy, the public models beside it, and the grid of runs."""

import copy
import hashlib
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from t2jax.laws.observations import where
from t2jax.plotting.allocation import PANELS, budgets_drawn, optimal_allocation
from t2jax.plotting.grid import checkpoint_grid
from t2jax.plotting.labels import human_count
from t2jax.plotting.overview import overview
from t2jax.plotting.public_models import PUBLIC_MODELS, PublicModel
from t2jax.plotting.results import NotDrawn, read_results
from t2jax.plotting.style import figure_bytes

LAWS = ('chinchilla', 't2-nll', 't2-accuracy')
DRAW = {'allocation': optimal_allocation, 'overview': overview, 'grid': checkpoint_grid}


@pytest.fixture(scope='module')
def results(study):
    return read_results(study)


@pytest.fixture(scope='module')
def refitted(make_study):
    return read_results(make_study(refits=True))


def without(results, runs):
    """Forget that these runs were measured."""
    keep = lambda table: where(table, ~np.isin(table.run, runs))
    tables = results.tables
    measured = {name: keep(getattr(tables, name)) for name in ('observations', 'macro', 'losses')}
    return replace(results, tables=replace(tables, **measured), missing=[*runs])


def ladder(results):
    """Give every run a training budget of its own."""
    scale = lambda table: replace(
        table,
        tokens=table.tokens * (1 + table.params / 1e4),
        train_flops=table.train_flops * (1 + table.params / 1e4),
    )
    tables = results.tables
    bent = {name: scale(getattr(tables, name)) for name in ('observations', 'macro', 'losses')}
    rows = [row | {'checkpoints': {}} for row in results.rows]
    return replace(results, tables=replace(tables, **bent), rows=rows)


def doubtful(results):
    return replace(results, fits={law: replace(fit, converged=False) for law, fit in results.fits.items()})


def test_lines_go_through_the_allocation_and_a_factor_four_past_the_runs(results):
    _, numbers = optimal_allocation(results)
    lines = {(row['law'], row['train_flops']): row for row in numbers if row['kind'] == 'law'}
    for row in results.rows:
        for law in LAWS:
            for name in (*PANELS, 'samples') if law != 'chinchilla' else PANELS:
                assert lines[law, row['train_flops']][name] == pytest.approx(row[law][name], rel=1e-6)
    assert max(budget for _, budget in lines) == pytest.approx(4 * results.budgets[-1])
    for (_, budget), line in lines.items():
        assert 6 * line['params'] * line['tokens'] == pytest.approx(budget)
        assert line['tokens_per_param'] == pytest.approx(line['tokens'] / line['params'])
    assert {name for row in numbers for name in row if name.endswith(('_low', '_high'))} == set()


def test_bands_hold_the_optimum_and_narrow_to_it_where_refits_agree(refitted):
    lines = [row for row in optimal_allocation(refitted)[1] if row['kind'] == 'law']
    for row in lines:
        for name in PANELS:
            assert row[f'{name}_low'] < row[name] < row[f'{name}_high']
    fits = {
        law: replace(fit, replicates={name: (value,) * 3 for name, value in fit.parameters.items()})
        for law, fit in refitted.fits.items()
    }
    for row in optimal_allocation(replace(refitted, fits=fits))[1]:
        for name in PANELS if row['kind'] == 'law' else ():
            assert row[f'{name}_low'] == pytest.approx(row[name], rel=2e-3)
            assert row[f'{name}_high'] == pytest.approx(row[name], rel=2e-3)


def test_bands_are_those_of_the_allocation(refitted):
    lines = {(row['law'], row['train_flops']): row for row in optimal_allocation(refitted)[1] if row['kind'] == 'law'}
    for row in refitted.rows:
        for law in LAWS:
            band = row[law]['bands']['params']['80']
            line = lines[law, row['train_flops']]
            assert [line['params_low'], line['params_high']] == pytest.approx(band, rel=0.03)


def test_lines_reach_the_papers_end_of_a_large_study_or_beside_public_models():
    assert budgets_drawn([1e10, 1e11])[-1] == pytest.approx(4e11)
    assert budgets_drawn([1e17, 2e18])[-1] == 1e25
    assert budgets_drawn([1e10, 1e11], [1e23])[-1] == 1e25
    assert budgets_drawn([1e10, 1e11], [4e25])[-1] == 4e25
    assert budgets_drawn([1e24, 9e24])[-1] == 3.6e25
    chosen = budgets_drawn([1e10, 1e13])
    assert {1e10, 1e13} <= set(chosen) and chosen == sorted(chosen)
    assert max(np.diff(np.log(chosen))) <= np.log(2.5) + 1e-9


def test_an_optimum_that_the_edge_of_the_sizes_stopped_is_not_drawn(results):
    huge = 3 * 96e3 * 1e3  # beyond the largest size considered, a thousand times the largest trained
    _, numbers = optimal_allocation(results, [PublicModel('Huge', huge, 1e25 / (6 * huge), 'made up')])
    lines = [row for row in numbers if row['kind'] == 'law' and row['law'] == 'chinchilla']
    stopped = [row for row in lines if row['at_edge']]
    assert stopped and all(np.isnan(row['params']) for row in stopped)
    assert all(np.isfinite(row['params']) for row in lines if not row['at_edge'])
    assert not any(row['at_edge'] for row in lines if row['train_flops'] <= results.budgets[-1])


def test_the_largest_size_that_is_paid_a_sample_is_an_optimum(make_study):
    results = read_results(make_study(inference_flops=2 * 4e3))
    lines = [row for row in optimal_allocation(results)[1] if row['kind'] == 'law' and row['law'] == 't2-nll']
    assert any(row['params'] == pytest.approx(4e3) for row in lines)
    assert not any(row['at_edge'] for row in lines)


def test_marks_are_the_checkpoints_of_the_allocation(results):
    marks = [row for row in optimal_allocation(results)[1] if row['kind'] == 'checkpoint']
    picks = (('chinchilla', 'single_pass'), ('t2-nll', 'nll'), ('t2-accuracy', 'pass_at_k'))
    wished = {(law, row['train_flops'], row['checkpoints'][pick]['run']) for row in results.rows for law, pick in picks}
    assert {(mark['law'], mark['train_flops'], mark['run']) for mark in marks} == wished
    assert not any(row['kind'] == 'checkpoint' for row in optimal_allocation(ladder(results))[1])


def test_checkpoints_at_an_edge_size_are_hollow_and_the_key_says_so(results):
    for inner in (True, False):
        rows = copy.deepcopy(results.rows)
        for row in rows:
            for best in row['checkpoints'].values():
                best['bracketed'] = inner
        figure, _ = optimal_allocation(replace(results, rows=rows))
        faces = [line.get_markerfacecolor() for line in figure.axes[0].lines if line.get_marker() in 'Ds^']
        assert len(faces) == 6 and {face == 'white' for face in faces} == {not inner}
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert ('best checkpoint' in names, 'best, but an edge size' in names) == (inner, not inner)


def test_public_models_are_as_published():
    models = {model.name: model for model in PUBLIC_MODELS}
    assert len(models) == len(PUBLIC_MODELS) >= 20
    chinchilla, liquid = models['Chinchilla 70B'], models['LFM2.5 350M']
    assert (chinchilla.params, chinchilla.tokens, chinchilla.tokens_per_param) == (70e9, 1.4e12, 20)
    assert chinchilla.train_flops == pytest.approx(5.88e23)
    assert (liquid.params, liquid.tokens, liquid.tokens_per_param) == (350e6, 28e12, 80_000)
    pinned = {
        'Llama 1 65B': 1.4e12,
        'Llama 3.1 405B': 15.6e12,
        'Gemma 2 9B': 8e12,
        'Gemma 3 27B': 14e12,
        'Qwen3 8B': 36e12,
    }
    assert {name: models[name].tokens for name in pinned} == pinned
    for model in PUBLIC_MODELS:
        assert 1e8 < model.params < 1e12 and 1e12 <= model.tokens <= 4e13, model
        assert model.source.startswith(('arXiv 2', 'model card ')), model
        size = model.name.split()[-1]
        named = float(size[:-1]) * {'M': 1e6, 'B': 1e9}[size[-1]]
        assert 0.8 * named <= model.params <= 1.31 * named, model


def test_public_models_lie_over_the_panels_and_the_best_known_are_named(results):
    figure, numbers = optimal_allocation(results, PUBLIC_MODELS)
    drawn = [row for row in numbers if row['kind'] == 'model']
    assert [row['name'] for row in drawn] == [model.name for model in PUBLIC_MODELS]
    for axis in figure.axes[:3]:
        assert axis.get_xlim()[1] >= max(row['train_flops'] for row in drawn)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert 'Chinchilla 70B' in texts and 'LFM2.5 350M' in texts
    assert len(texts) < len(PUBLIC_MODELS)


def test_the_overview_shows_the_choices_of_the_largest_budget(results):
    figure, numbers = overview(results)
    row = results.rows[-1]
    for choice in (number for number in numbers if number['kind'] == 'choice'):
        for name in (*PANELS, 'samples'):
            assert choice[name] == row[choice['law']][name]
    assert {number['law'] for number in numbers if number['kind'] == 'choice'} == set(LAWS)
    for owner in ('chinchilla', 't2-accuracy'):
        curve = [number for number in numbers if number['kind'] == 'curve' and number['choice_of'] == owner]
        assert curve[0]['k'] == 1 and curve[-1]['k'] == pytest.approx(row[owner]['samples'])
        assert curve[-1]['pass_at_k'] == pytest.approx(row[owner]['pass_at_k'])
        measured = [number for number in numbers if number['kind'] == 'checkpoint' and number['choice_of'] == owner]
        assert measured and max(point['k'] for point in measured) <= row[owner]['samples']
    texts = [text.get_text() for text in figure.findobj(Text)]
    for law in LAWS:
        assert {human_count(row[law]['params']), human_count(row[law]['tokens'])} <= set(texts)


def test_the_overview_is_by_nll_where_approach_2_is_not_fitted(make_study):
    results = read_results(make_study(laws=('chinchilla', 't2-nll')))
    _, numbers = overview(results)
    curve = [number for number in numbers if number['kind'] == 'curve' and number['choice_of'] == 't2-nll']
    assert curve[-1]['nll'] == pytest.approx(results.rows[-1]['t2-nll']['nll'])


def test_the_overview_says_where_the_budget_pays_chinchilla_no_sample(make_study):
    figure, numbers = overview(read_results(make_study(inference_flops=2 * 6e3)))
    assert {number['choice_of'] for number in numbers if number['kind'] == 'curve'} == {'t2-accuracy'}
    assert any('pays no sample' in text.get_text() for text in figure.findobj(Text))


def test_a_choice_outside_the_runs_is_hollow(results):
    row = results.rows[-1]
    law = 't2-accuracy'
    inside, outside = row[law] | {'warnings': []}, row[law] | {'warnings': ['model size 1 is outside the 2 to 3 ...']}
    for choice, hollow in ((inside, False), (outside, True)):
        bent = replace(results, rows=[row | {law: choice}])
        figure, numbers = overview(bent)
        found = {number['law']: number['outside_the_runs'] for number in numbers if number['kind'] == 'choice'}
        assert found[law] == hollow
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert ('hollow: outside the runs' in names) == any(found.values())


@pytest.mark.parametrize(
    ('options', 'name', 'why'),
    [
        ({'answers': False}, 'overview', 'needs observations at several k'),
        ({'laws': ('chinchilla',)}, 'overview', 'there are too few rows'),
        ({'laws': ('t2-nll', 't2-accuracy')}, 'overview', 'Chinchilla is not fitted'),
    ],
)
def test_what_cannot_be_drawn_says_so(make_study, options, name, why):
    with pytest.raises(NotDrawn, match=why):
        DRAW[name](read_results(make_study(**options)))


def test_without_fits_only_the_grid_is_drawn(results):
    bare = replace(results, fits={}, by_task={}, held_out={}, rows=[], refused={})
    for name in ('allocation', 'overview'):
        with pytest.raises(NotDrawn, match='t2jax fit WORKDIR'):
            DRAW[name](bare)
    _, cells = checkpoint_grid(bare)
    assert [cell['tokens_per_param'] for cell in cells] == [run['tokens_per_param'] for run in results.runs]
    with pytest.raises(NotDrawn, match='needs the allocation'):
        overview(replace(results, rows=[]))


@pytest.mark.parametrize('options', [{'answers': False}, {'laws': ('t2-nll',)}, {'held_out': False, 'text': False}])
def test_what_there_is_is_drawn(make_study, options):
    results = read_results(make_study(**options))
    _, numbers = optimal_allocation(results)
    assert {row['law'] for row in numbers if row['kind'] == 'law'} == set(results.fits)
    _, cells = checkpoint_grid(results)
    assert len(cells) == 12


def test_the_grid_marks_missing_runs_where_the_plan_tells_their_size(results):
    model = {'vocab': 64, 'd_model': 16, 'n_layers': 2, 'n_heads': 2, 'hidden_multiple': 8}
    size = (4 * 16 + 3 * 48) * 16 * 2 + 64 * 16
    budget, gone = results.budgets[0], results.runs[2]['run']
    planned = [
        {'name': 'placed', 'model': model, 'tokens': budget / (6 * size)},
        {'name': 'of no budget', 'model': model, 'tokens': 2 * budget / (6 * size)},
        {'name': 'of another kind', 'model': {'layers': 3}, 'tokens': 1e6},
        {'name': gone},
    ]
    names = [run['name'] for run in planned]
    lacking = replace(without(results, [gone]), missing=names, study=results.study | {'runs': planned})
    figure, cells = checkpoint_grid(lacking)
    marked = [cell for cell in cells if not cell['measured']]
    assert [(cell['run'], cell['params'], cell['train_flops']) for cell in marked] == [('placed', size, budget)]
    assert gone not in [cell['run'] for cell in cells] and len(cells) == 12
    label = figure.axes[0].get_xlabel()
    assert all(name in label for name in names[1:]) and 'placed' not in label


def test_a_ladder_that_shares_no_budgets_is_drawn_as_points(results):
    bent = ladder(results)
    assert not bent.has_profiles
    figure, cells = checkpoint_grid(bent)
    points = figure.axes[0].collections[0].get_offsets()
    assert sorted(map(tuple, points)) == sorted((cell['params'], cell['tokens']) for cell in cells)
    assert 'share no training budgets' in figure.axes[0].get_title(loc='left')


def check_texts(figure):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figure_bytes(figure, 'png')
    drawing = figure.canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent(drawing).padded(-1.5)) for text in texts]
    assert len(boxes) > 12
    for at, (words, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, words
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, words
        for other, rival in boxes[at + 1 :]:
            assert not box.overlaps(rival), (words, other)


@pytest.mark.parametrize('name', DRAW)
@pytest.mark.parametrize('bend', [lambda results: results, doubtful], ids=['trusted', 'doubtful'])
def test_no_text_is_clipped_or_overlaps_another(refitted, name, bend):
    figure, _ = DRAW[name](bend(refitted))
    check_texts(figure)


def test_no_text_collides_in_a_ladder_or_beside_public_models(refitted):
    check_texts(checkpoint_grid(ladder(refitted))[0])
    large = [model for model in PUBLIC_MODELS if model.params > 1e9]
    figure, _ = optimal_allocation(refitted, large)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figure_bytes(figure, 'png')
    names = {model.name for model in large}
    for axis in figure.axes[:3]:
        boxes = [text.get_window_extent() for text in axis.texts if text.get_text() in names]
        assert all(not box.overlaps(other) for at, box in enumerate(boxes) for other in boxes[at + 1 :])
        assert all(axis.bbox.x0 <= box.x0 and box.x1 <= axis.bbox.x1 for box in boxes)


def test_doubts_about_fits_are_said_over_allocation_and_overview(results):
    for name in ('allocation', 'overview'):
        assert DRAW[name](results)[0]._suptitle is None
        assert 'Not to be trusted' in DRAW[name](doubtful(results))[0].get_suptitle()


@pytest.mark.parametrize('name', DRAW)
def test_equal_inputs_give_equal_bytes_and_rows_for_a_table(refitted, name):
    rows, prints = [], []
    for _ in range(2):
        figure, numbers = DRAW[name](refitted)
        rows.append(json.dumps(numbers))
        prints.append([hashlib.sha256(figure_bytes(figure, kind)).hexdigest() for kind in ('png', 'pdf')])
    assert rows[0] == rows[1] and prints[0] == prints[1]
    for row in json.loads(rows[0]):
        assert all(value is None or isinstance(value, str | float | int) for value in row.values())
