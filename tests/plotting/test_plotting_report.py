"""The page as text: what it says, in which order, of whole studies and of studies that lack something."""

import csv
import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from t2jax.plotting import curves
from t2jax.plotting.figures import DRAWINGS
from t2jax.plotting.labels import human_percent
from t2jax.plotting.report import write_report
from t2jax.plotting.results import read_results

AFTER = {'figure_5_post_training', 'fine_tuning_curves', 'table_2_post_training'}
DRAWN = set(DRAWINGS) - AFTER  # of a study that fine-tuned nothing


class Page(HTMLParser):
    """Collects the text, the images and everything a browser would fetch."""

    def __init__(self, html):
        super().__init__()
        self.words, self.images, self.fetched, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        sources = [values[name] for name in ('src', 'href', 'srcset', 'data', 'poster') if name in values]
        self.fetched += [source for source in sources if not source.startswith('#')]
        if tag == 'img':
            self.images.append(values)
        if tag not in ('meta', 'img', 'input', 'br', 'link'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ('script', 'style'):
            self.words.append(data)

    @property
    def text(self):
        return ' '.join(' '.join(self.words).split())


def answer_of(page):
    """The page from its contents to the table of all budgets: what comes first."""
    return page.text.split('The answer at every training budget')[1]


def read_page(workdir):
    return Page(write_report(workdir).read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def index(study):
    return write_report(study)


@pytest.fixture(scope='module')
def page(index):
    return Page(index.read_text(encoding='utf-8'))


def test_it_lies_where_the_contract_says(study, index):
    assert index == study / 'report' / 'index.html'
    names = {path.name for path in index.parent.iterdir()}
    assert {f'{name}.{kind}' for name in DRAWN for kind in ('png', 'pdf', 'csv')} <= names
    assert {'answer.csv', 'answer.txt'} <= names
    assert not [name for name in names if 'tmp' in name or name.startswith(tuple(AFTER))]


def test_the_answer_comes_first_and_is_that_of_the_allocation(study, page):
    row = json.loads((study / 'allocation.json').read_text())[-1]
    first = answer_of(page)
    assert f'train {row["t2-nll"]["params"] / 1e3:.3g}k parameters' in first
    assert f'draw {int(row["t2-nll"]["samples"])} samples' in first
    assert f'{100 * row["t2-accuracy"]["pass_at_k"]:.1f} %' in first
    assert f'{row["chinchilla"]["nll"]:.3f}' in first
    assert row['checkpoints']['nll']['run'] in first


def test_it_needs_nothing_from_elsewhere(index, page):
    assert page.fetched and all(source.startswith('data:image/png;base64,') for source in page.fetched)
    html = index.read_text(encoding='utf-8')
    assert '@import' not in html and 'url(' not in html and 'fetch(' not in html and 'XMLHttpRequest' not in html
    assert page.open == []


def test_every_figure_has_its_picture_caption_and_alternative_text(page):
    pictured = DRAWN - {'table_1_checkpoints'}  # which the page writes as a table
    assert len(page.images) == len(pictured)
    assert all(len(image['alt']) > 80 for image in page.images)
    assert all(f'{name}.csv' in page.text for name in pictured)


def test_the_csv_holds_the_numbers_of_the_figure(study, index):
    _, numbers = curves.extrapolation(read_results(study))
    with open(index.parent / 'figure_4_extrapolation.csv') as file:
        back = list(csv.DictReader(file))
    assert [float(row['predicted']) for row in back] == [row['predicted'] for row in numbers]
    assert [row['run'] for row in back] == [row['run'] for row in numbers]


def test_errors_stand_beside_the_null_and_the_paper(study, page):
    scores = json.loads((study / 'fits' / 't2-nll.json').read_text())['held_out']['macro']['scores']
    errors = [
        part
        for side in ('in_sample', 'held_out')
        for part in (
            human_percent(scores[side]),
            human_percent(scores[f'null_{side}']),
            str(scores[f'n_{side}']),
        )
    ]
    assert ' '.join(['Approach 1 (NLL) mean over tasks', *errors, '2.80 % Approach 1 (NLL) knowledge']) in page.text
    assert '8.40 % Approach 2 (pass@k) knowledge' in page.text
    assert scores['held_out'] < scores['null_held_out'] and 'Approach 1 (NLL) beats its null' in page.text
    assert 'theta2 is at a made-up bound' in page.text


def test_agreement_is_the_share_of_likelihoods_inside_the_sampled_interval(study, page):
    with open(study / 'observations.csv') as file:
        rows = [row for row in csv.DictReader(file) if row['pass_at_k_sampled'] and row['task'] == 'spatial']
    inside = [
        float(row['pass_at_k_sampled_low']) <= float(row['pass_at_k']) <= float(row['pass_at_k_sampled_high'])
        for row in rows
    ]
    assert 0 < sum(inside) < len(inside)
    assert f'spatial {len(inside)} {100 * sum(inside) / len(inside):.1f} %' in page.text


def test_provenance_and_settings_are_shown_and_escaped(index, page):
    assert 'commit c0ffee' in page.text and 'wall_seconds.train 187.5' in page.text
    assert 'training.note <b>bold</b>' in page.text
    assert '<b>bold' not in index.read_text(encoding='utf-8')


def test_equal_inputs_give_equal_bytes(study, index):
    before = {path.name: path.read_bytes() for path in index.parent.iterdir()}
    write_report(study)
    assert {path.name: path.read_bytes() for path in index.parent.iterdir()} == before


def test_it_says_so_where_the_optimum_is_not_smaller_or_not_bracketed(make_study, unrendered):
    def bend(rows):
        rows[-1]['t2-accuracy']['params'] = 2 * rows[-1]['chinchilla']['params']
        rows[-1]['checkpoints']['nll']['bracketed'] = False

    workdir = make_study(bend_rows=bend, sampled=False, held_out=False)
    page = read_page(workdir)
    assert 'the laws disagree' in page.text
    assert "Approach 2's optimum is not a smaller model than Chinchilla's at 3.2e11 FLOPs (larger:" in page.text
    assert 'The best checkpoint by NLL is not bracketed at 3.2e11 FLOPs' in page.text
    # The same study has no samples and no extrapolation test, which the page says instead of drawing.
    assert 'drew no real samples' in page.text and 'No run was held out' in page.text
    assert 'figure_4_extrapolation.csv' not in page.text
    assert not (workdir / 'report' / 'figure_4_extrapolation.png').exists()


def test_runs_that_nobody_measured_are_listed_and_the_rest_is_drawn(make_study, unrendered):
    workdir = make_study(never_measured=('n9-lost', 'n8-preempted'))
    page = read_page(workdir)
    assert 'Not measured yet: 2 runs (n9-lost, n8-preempted).' in page.text
    assert (workdir / 'report' / 'figure_3_isoflop.png').exists()


def test_a_study_of_losses_says_what_it_cannot_tell(make_study, unrendered):
    workdir = make_study(answers=False)
    page = read_page(workdir)
    assert page.text.index('and each question answered once, train') < page.text.index('What the budget should buy')
    assert 'nothing is said of repeated sampling' in page.text
    assert 'Approach 1 (NLL) is not fitted: there are too few rows.' in page.text
    assert (workdir / 'report' / 'isoflop_loss.png').exists()
    assert not (workdir / 'report' / 'figure_7_pass_at_k_by_task.png').exists()
    assert 'Table 1 needs answers measured at several k' in page.text


def test_a_fit_that_did_not_converge_is_said_first(make_study, unrendered):
    page = read_page(make_study(bend_fit=lambda fit: replace(fit, converged=fit.law != 't2-nll')))
    first = answer_of(page)
    assert 'Approach 1 (NLL) is not to be trusted: its search had not converged' in first
    assert 'Chinchilla is not to be trusted' not in first


def test_fits_of_earlier_tables_are_said_first(make_study, unrendered):
    workdir = make_study()
    assert 'The fits are of earlier tables' not in read_page(workdir).text
    (workdir / 'fits.json').write_text(json.dumps({'made_from': {'observations.csv': 'another'}, 'refused': {}}))
    assert 'The fits are of earlier tables or of other settings: `t2jax fit' in answer_of(read_page(workdir))
    assert (workdir / 'report' / 'answer.txt').read_text().startswith('! The fits are of earlier tables')


def test_bands_say_how_sure_the_answer_is(make_study, unrendered):
    workdir = make_study(refits=True)
    low, high = json.loads((workdir / 'allocation.json').read_text())[-1]['t2-nll']['bands']['params']['80']
    first = answer_of(read_page(workdir))
    assert f'80 % of refits to redrawn runs choose {low / 1e3:.3g}k to {high / 1e3:.3g}k parameters' in first


def test_before_any_fit_there_is_a_page_without_an_answer(make_study, unrendered):
    workdir = make_study()
    for path in [*(workdir / 'fits').iterdir(), workdir / 'fits.json', workdir / 'allocation.json']:
        path.unlink()
    page = read_page(workdir)
    assert 'No law is fitted yet, so there is no answer: `t2jax fit WORKDIR` fits them to the 12 runs' in page.text
    assert (workdir / 'report' / 'figure_8_checkpoint_grid.png').exists()
    assert 'No law is fitted yet' in (workdir / 'report' / 'answer.txt').read_text()


def test_what_is_no_longer_drawn_is_taken_away(make_study, unrendered):
    workdir = make_study()
    write_report(workdir)
    for path in (workdir / 'fits').glob('t2-*.json'):
        path.unlink()
    (workdir / 'allocation.json').write_text(
        json.dumps([{k: v for k, v in row.items() if not k.startswith('t2-')} for row in _rows(workdir)])
    )
    write_report(workdir)
    assert not list((workdir / 'report').glob('figure_1_overview.*'))


def _rows(workdir):
    return json.loads((workdir / 'allocation.json').read_text())


@pytest.mark.parametrize(
    ('name', 'content', 'words'),
    [
        ('observations.csv', None, 'has no measured run yet: neither observations.csv nor losses.csv is there'),
        ('allocation.json', '[]', 'at least one allocation row'),
        ('allocation.json', '[{"train_flops": 1}]', 'lacks checkpoints, chinchilla'),
        ('allocation.json', '[{', 'is not readable JSON'),
        ('fits/t2-nll.json', '{"version": 2}', 't2-nll.json lacks'),
        ('study.json', None, 'study.json, which is not there'),
        ('study.json', '3', 'one JSON object'),
        ('study.json', '{}', 'says no inference_flops'),
    ],
)
def test_it_refuses_with_one_sentence_and_writes_nothing(make_study, name, content, words):
    workdir = make_study(sizes=(6e3, 24e3, 96e3), text=name != 'observations.csv')
    (workdir / name).unlink()
    if content is not None:
        (workdir / name).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=words) as refusal:
        write_report(workdir)
    assert '\n' not in str(refusal.value)
    assert not (workdir / 'report').exists()
