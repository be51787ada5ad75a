"""The report after fine-tuning: its files and figures, and what it refuses."""

import math
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from made_up_posttraining import (
    BUDGETS,
    LAWS,
    MOVES,
    RATES,
    SIZES,
    STAGES,
    TASKS,
    after,
    at,
    fine_tune,
    make_jobs,
    make_rows,
    sentence,
    words,
)
from matplotlib.text import Text

from t2jax.plotting.labels import human_ratio
from t2jax.plotting.posttraining import fine_tuning_curves, post_training
from t2jax.plotting.posttraining_html import posttraining_html
from t2jax.plotting.posttraining_results import FILES, read_posttraining
from t2jax.plotting.report import write_report
from t2jax.plotting.style import LAW_COLOURS, png_bytes

DRAWINGS = {'figure_5_post_training': post_training, 'fine_tuning_curves': fine_tuning_curves}
NAMES = (*DRAWINGS, 'table_2_post_training')


def figures(found):
    return {name: draw(SimpleNamespace(posttraining=found)) for name, draw in DRAWINGS.items()}


@pytest.fixture
def tuned(study, tmp_path):
    """A copy of the finished study, to fine-tune."""
    shutil.rmtree(tmp_path)
    return shutil.copytree(study, tmp_path, ignore=shutil.ignore_patterns('report'))


def files(workdir):
    return {path.name: path.read_bytes() for path in (workdir / 'report').iterdir()}


def test_without_posttraining_the_report_is_as_it_was(tuned, unrendered):
    write_report(tuned)
    before = files(tuned)
    (tuned / 'posttraining' / 'runs').mkdir(parents=True)  # begun, nothing finished
    write_report(tuned)
    assert files(tuned) == before
    assert 'After fine-tuning' not in before['index.html'].decode()
    assert not {f'{name}.png' for name in NAMES} & set(before)


def test_the_report_gains_figures_tables_and_words_and_the_rest_is_left_alone(tuned, unrendered):
    write_report(tuned)
    before = files(tuned)
    write_report(fine_tune(tuned))
    now = files(tuned)
    new = {f'{name}.{kind}' for name in NAMES for kind in ('png', 'pdf', 'csv')} | {'post_training_table.csv'}
    assert set(now) == set(before) | new
    assert all(now[name] == before[name] for name in before if name != 'index.html')
    assert (
        now['post_training_table.csv'].decode().splitlines()[1].startswith('80000000000.0,1000000.0,macro,base,n24000')
    )
    assert len(now['post_training_table.csv'].splitlines()) == 1 + len(make_rows())
    html = now['index.html'].decode()
    assert html.count('>After fine-tuning</h2>') == 1
    assert html.count('<img') == before['index.html'].decode().count('<img') + len(DRAWINGS)
    write_report(tuned)
    assert files(tuned) == now


@pytest.mark.parametrize('name', FILES)
def test_a_missing_file_is_named_and_nothing_is_written(tuned, name):
    (fine_tune(tuned) / 'posttraining' / name).unlink()
    with pytest.raises(FileNotFoundError, match=f'{name}, which is not there') as refusal:
        write_report(tuned)
    assert '\n' not in str(refusal.value) and not (tuned / 'report').exists()


def replace_in(folder, name, old, new):
    text = (folder / 'posttraining' / name).read_text()
    assert old in text
    (folder / 'posttraining' / name).write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ('name', 'old', 'new', 'said'),
    [
        ('jobs.csv', 'chosen', 'picked', 'column chosen is missing'),
        ('jobs.csv', 'arithmetic,ft,', 'arithmetic,dpo,', "line 2: stage is 'dpo'"),
        ('jobs.csv', '0.0001', 'fast', "line 2: learning_rate is 'fast'; it has to be a number"),
        ('curves.csv', '0.0001,0,', '0.0001,,', "line 2: epoch is ''; it has to be a number"),
        ('stages.json', '{', '', 'not readable JSON'),
        ('stages.json', '"terms"', '"term"', 'should hold inference_flops, terms'),
        ('stages.json', '"shift"', '"move"', r'rows\[0\] of .*stages.json lacks shift'),
        ('stages.json', '"at_edge"', '"edge"', r'rows\[0\].chinchilla of .*stages.json lacks at_edge'),
        ('stages.json', '"overtrained"', '"over"', r'rows\[0\].checkpoints of .*stages.json lacks overtrained'),
        ('stages.json', '"base"', '"raw"', r"rows\[0\] of .*stages.json is of an unknown stage 'raw'"),
        ('stages.json', '"with_term"', '"term"', r'terms\[0\] of .*stages.json lacks with_term'),
    ],
)
def test_a_broken_file_is_one_sentence_that_says_where(tmp_path, name, old, new, said):
    fine_tune(tmp_path)
    replace_in(tmp_path, name, old, new)
    with pytest.raises(ValueError, match=said) as refusal:
        read_posttraining(tmp_path / 'posttraining')
    assert '\n' not in str(refusal.value)


def test_the_figure_has_every_optimum_and_its_band(tmp_path):
    rows = make_rows()
    figure, numbers = figures(after(tmp_path, rows=rows))['figure_5_post_training']
    assert len(numbers) == 3 * len(rows) == 3 * 3 * 3 * 3
    for point in numbers:
        (row,) = [row for row in rows if all(row[name] == point[name] for name in ('stage', 'task', 'train_flops'))]
        best = row[point['law']]
        assert point['tokens_per_param'] == best['tokens_per_param'] and point['params'] == best['params']
        ends = best['bands']['tokens_per_param']['80']
        assert [point['tokens_per_param_low'], point['tokens_per_param_high']] == ends
        assert math.isnan(point['shift']) if point['stage'] == 'base' else point['shift'] == MOVES[point['stage']]
    # macro first; both approaches beside each other, each with Chinchilla
    assert [axis.get_title(loc='left') for axis in figure.axes[:4]] == [
        f'Approach {n}: {task}' for task in ('mean over tasks', 'arithmetic') for n in (1, 2)
    ]
    for axis, law in zip(figure.axes, ('t2-nll', 't2-accuracy')):
        for drawn in ('chinchilla', law):
            lines = [
                line for line in axis.lines if line.get_color() == LAW_COLOURS[drawn] and len(line.get_xdata()) == 3
            ]
            heights = [
                [p['tokens_per_param'] for p in numbers if (p['task'], p['stage'], p['law']) == ('macro', stage, drawn)]
                for stage in STAGES
            ]
            assert [list(line.get_ydata()) for line in lines] == heights
            assert len({str(line._dash_pattern) for line in lines}) == 3  # told apart without colour
        whiskers = sorted(part[:, 1].tolist() for lines in axis.collections for part in lines.get_segments())
        mine = [point for point in numbers if point['task'] == 'macro' and point['law'] in ('chinchilla', law)]
        assert whiskers == sorted([point['tokens_per_param_low'], point['tokens_per_param_high']] for point in mine)


def marks(axis, law):
    return [
        line for line in axis.lines if line.get_marker() in 'ovP' and line.get_markeredgecolor() == LAW_COLOURS[law]
    ]


def test_optima_at_an_edge_are_hollow_and_starred(tmp_path):
    rows = make_rows()
    at(rows, 'base', 'macro', 't2-nll')['params'] = SIZES[0]
    at(rows, 'ft', 'macro', 't2-nll')['params'] = SIZES[-1] * 1.2
    at(rows, 'sft', 'macro', 't2-nll')['at_edge'] = 0.11
    at(rows, 'sft', 'macro', 't2-accuracy')['at_edge'] = 0.1
    found = after(tmp_path, rows=rows)
    figure, numbers = figures(found)['figure_5_post_training']
    for axis, law, hollow in zip(figure.axes, ('t2-nll', 't2-accuracy'), (3, 0)):
        faces = [line.get_markerfacecolor() for line in marks(axis, law)]
        assert faces.count('white') == hollow and len(faces) == 9
    assert sum(point['at_edge_of_sizes'] for point in numbers) == 2 and sum(point['band_cut'] for point in numbers) == 1
    assert sentence(found, 'Of the 27 optima at this budget 3 (starred below)')
    html = words(posttraining_html(found))
    assert html.count(f'{human_ratio(at(rows, "sft", "macro", "t2-nll")["tokens_per_param"])}*') == 1
    assert 'clearly more tokens per parameter, but one of the two is starred' in sentence(
        found, 'After SFT the T2 optimum by Approach 1'
    )
    assert 'starred' not in sentence(found, 'After SFT the T2 optimum by Approach 2')


def test_the_curves_are_those_of_the_chosen_rate_at_the_longest_training(tmp_path):
    jobs, curves = make_jobs(final=lambda task, stage, params: 1.3 if params == 3e3 else 0.5)
    figure, numbers = figures(after(tmp_path, jobs=(jobs, curves)))['fine_tuning_curves']
    assert len(numbers) == 2 * 2 * len(SIZES) * 7
    for point in numbers:
        assert point['learning_rate'] == RATES[1]
        assert point['tokens'] == pytest.approx(BUDGETS[-1] / (6 * point['params']))
    assert [axis.get_title(loc='left') for axis in figure.axes] == ['arithmetic', 'spatial'] * 2
    for axis in figure.axes:
        crosses = [line for line in axis.lines if line.get_marker() == 'x' and len(line.get_xdata())]
        lowest = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == 'o' and len(line.get_xdata())]
        assert [line.get_xdata()[0] for line in crosses] == [6]  # the smallest ends worse than it began
        assert lowest == [0, 6, 6, 6, 6, 6]


def test_of_many_sizes_a_few_are_named_the_smallest_and_the_largest_among_them(tmp_path):
    sizes = tuple(np.geomspace(5e6, 1e9, 16))
    figure, _ = figures(after(tmp_path, jobs=make_jobs(sizes=sizes, budgets=BUDGETS[:1])))['fine_tuning_curves']
    for axis in figure.axes:
        named = [text.get_text() for text in axis.texts]
        assert {'5M', '1B', 'N'} < set(named) and len(named) == 7


def wild(rows):
    for at_row, row in enumerate(rows):
        law = LAWS[at_row % 3]
        odd = ({'tokens_per_param': 1e9, 'params': 1.0}, {'bands': {'tokens_per_param': {'80': [1e-9, 1e15]}}},
               {'bands': {}}, {'bands': None, 'at_edge': None}, {'tokens_per_param': None, 'params': None})  # fmt: skip
        row[law] = None if at_row % 7 == 6 else row[law] | odd[at_row % 5]
        if at_row % 4 == 1:
            row['shift'] = None
    return rows


CASES = {
    'wild': lambda: (wild(make_rows()), make_jobs(final=lambda task, stage, n: {3e3: math.inf, 6e3: 1e-7}.get(n, 9.0))),
    'no optimum known': lambda: ([row | dict.fromkeys(LAWS) for row in make_rows()], None),
    'one size, one task, one stage, one rate, one budget': lambda: (
        make_rows(TASKS[:1], ('base', 'sft'), BUDGETS[:1]),
        make_jobs(TASKS[:1], ('sft',), SIZES[:1], BUDGETS[:1], RATES[:1]),
    ),
    'six long tasks, sixteen sizes': lambda: (
        make_rows(tuple(f'multi_step_arithmetic_{n}' for n in range(6))),
        make_jobs(tuple(f'multi_step_arithmetic_{n}' for n in range(6)), sizes=tuple(np.geomspace(5e6, 1e9, 16)),
                  budgets=BUDGETS[:1]),
    ),
    'four long tasks': lambda: (
        make_rows(('simple_knowledge', 'multi_step_arithmetic', 'commonsense_causal', 'spatial_reasoning')),
        make_jobs(('simple_knowledge', 'multi_step_arithmetic', 'commonsense_causal', 'spatial_reasoning')),
    ),
    'nothing chosen': lambda: (None, tuple([row | {'chosen': 0} for row in table] if at == 0 else table
                                           for at, table in enumerate(make_jobs()))),
}  # fmt: skip


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('case', CASES)
def test_odd_numbers_break_nothing_and_no_text_is_clipped_or_overlaps(tmp_path, case):
    rows, jobs = CASES[case]()
    found = after(tmp_path, rows=rows, jobs=jobs)
    html = posttraining_html(found)
    assert not re.search(r'\b(nan|inf|None)\b', words(html))
    for figure, _ in figures(found).values():
        png_bytes(figure)
        drawing = figure.canvas.get_renderer()
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        boxes = [(text.get_text(), text.get_window_extent(drawing).padded(-1.5)) for text in texts]
        for place, (said, box) in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, said
            assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, said
            for other, rival in boxes[place + 1 :]:
                assert not box.overlaps(rival), (said, other)
