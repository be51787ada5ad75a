import csv
import json
from html.parser import HTMLParser

import pytest

from t2jax.plotting import curves
from t2jax.plotting.labels import human_percent
from t2jax.plotting.report import FIGURES, write_report
from t2jax.plotting.results import read_results


class Page(HTMLParser):
    """Collects the text, the images and everything a browser would fetch."""

    def __init__(self, html):
        super().__init__()
        self.words, self.images, self.fetched, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.fetched += [values[name] for name in ('src', 'href', 'srcset', 'data', 'poster') if name in values]
        if tag == 'img':
            self.images.append(values)
        if tag not in ('meta', 'img'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return ' '.join(' '.join(self.words).split())


@pytest.fixture(scope='module')
def index(study):
    return write_report(study)


@pytest.fixture(scope='module')
def page(index):
    return Page(index.read_text(encoding='utf-8'))


def test_it_lies_where_the_contract_says(study, index):
    assert index == study / 'report' / 'index.html'
    names = {path.name for path in index.parent.iterdir()}
    assert {f'{figure}.{kind}' for figure in FIGURES for kind in ('png', 'csv')} <= names
    assert {'answer.csv', 'answer.txt'} <= names
    assert not [name for name in names if 'unfinished' in name]


def test_the_answer_comes_first_and_is_that_of_the_allocation(study, page):
    row = json.loads((study / 'allocation.json').read_text())[-1]
    first = page.text.split('The answer at every training budget')[0]
    assert f'train {row["t2-nll"]["params"] / 1e3:.3g}k parameters' in first
    assert f'draw {int(row["t2-nll"]["samples"])} samples' in first
    assert f'{100 * row["t2-accuracy"]["pass_at_k"]:.1f} %' in first
    assert f'{row["chinchilla"]["nll"]:.3f}' in first
    assert row['checkpoints']['nll']['run'] in first


def test_it_needs_nothing_from_elsewhere(index, page):
    assert page.fetched and all(source.startswith('data:image/png;base64,') for source in page.fetched)
    html = index.read_text(encoding='utf-8')
    assert '<script' not in html and '@import' not in html and 'url(' not in html
    assert page.open == []


def test_every_figure_has_its_picture_caption_and_alternative_text(page):
    assert len(page.images) == len(FIGURES)
    assert all(len(image['alt']) > 80 for image in page.images)
    assert all(f'{figure}.csv' in page.text for figure in FIGURES)


def test_the_csv_holds_the_numbers_of_the_figure(study, index):
    _, numbers = curves.extrapolation(read_results(study))
    with open(index.parent / 'extrapolation.csv') as file:
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
    assert ' '.join(['Approach 1 (NLL) mean over tasks', *errors, '2.8 % Approach 1 (NLL) knowledge']) in page.text
    assert '8.4 % Approach 2 (pass@k) knowledge' in page.text
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


def test_light_dark_phone_and_print(index):
    html = index.read_text(encoding='utf-8')
    assert all(words in html for words in ('prefers-color-scheme: dark', 'width=device-width', '@media print'))


def test_equal_inputs_give_equal_bytes(study, index):
    before = {path.name: path.read_bytes() for path in index.parent.iterdir()}
    write_report(study)
    assert {path.name: path.read_bytes() for path in index.parent.iterdir()} == before


def test_it_says_so_where_the_optimum_is_not_smaller_or_not_bracketed(make_study):
    def bend(rows):
        rows[-1]['t2-accuracy']['params'] = 2 * rows[-1]['chinchilla']['params']
        rows[-1]['checkpoints']['nll']['bracketed'] = False

    workdir = make_study(bend_rows=bend, sampled=False, held_out=False)
    page = Page(write_report(workdir).read_text(encoding='utf-8'))
    assert 'the laws disagree' in page.text
    assert "Approach 2's optimum is not a smaller model than Chinchilla's at 3.2e11 FLOPs (larger:" in page.text
    assert 'The best checkpoint by NLL is not bracketed at 3.2e11 FLOPs' in page.text
    # The same study has no samples and no extrapolation test, which the page says instead of drawing.
    assert 'drew no real samples' in page.text and 'No run was held out' in page.text
    assert 'extrapolation.csv' not in page.text and not (workdir / 'report' / 'extrapolation.png').exists()


@pytest.mark.parametrize(
    ('name', 'content', 'words'),
    [
        ('observations.csv', None, 'observations.csv, which is not there'),
        ('fits/t2-nll.json', None, 't2-nll.json, which is not there'),
        ('allocation.json', None, 'allocation.json, which is not there'),
        ('study.json', None, 'study.json, which is not there'),
        ('allocation.json', '[]', 'at least one allocation row'),
        ('allocation.json', '[{"train_flops": 1}]', 'lacks checkpoints, chinchilla'),
        ('allocation.json', '[{', 'is not valid JSON'),
        ('fits/t2-nll.json', '{"version": 2}', 't2-nll.json lacks'),
        ('study.json', '3', 'one JSON object'),
    ],
)
def test_it_refuses_with_one_sentence_and_writes_nothing(make_study, name, content, words):
    workdir = make_study(sizes=(6e3, 24e3, 96e3))
    (workdir / name).unlink()
    if content is not None:
        (workdir / name).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=words) as refusal:
        write_report(workdir)
    assert '\n' not in str(refusal.value)
    assert not (workdir / 'report').exists()
