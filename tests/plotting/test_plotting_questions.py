"""The section about a study's questions: lengths, difficulty by size, overlap, ten to read."""

import json

import numpy as np
import pytest

from t2jax.plotting.questions import english_html, questions_html, read_asked
from t2jax.tasks.questions import Question, write_questions

SIZES = {'small': 1e3, 'large': 1e5}
HARD = {'small': [0.9, 0.2, 1e-4, 1e-6], 'large': [0.95, 0.8, 0.6, 1e-5]}  # p of four questions


@pytest.fixture
def workdir(tmp_path):
    questions = [Question(f'q{i}', f'What is <{i}>?', f' {i % 2}') for i in range(4)]
    write_questions(tmp_path / 'data' / 'questions' / 'sums.jsonl', questions)
    lines = ['run,params,tokens,task,question,nll']
    for run, params in SIZES.items():
        for tokens, worse in ((1e6, 3.0), (2e6, 0.0)):  # the longest training is shown
            rows = [-np.log(p) + worse for p in HARD[run]]
            lines += [f'{run}-{tokens},{params},{tokens},sums,q{i},{nll}' for i, nll in enumerate(rows)]
    (tmp_path / 'questions.csv').write_text('\n'.join(lines))
    overlap = {'task': 'sums', 'questions': 4, 'n': 13, 'tokens': 5000, 'any': 2, 'nearly_all': 0, 'with_answer': 1}
    (tmp_path / 'data' / 'contamination.json').write_text(json.dumps([overlap]))
    return tmp_path


def test_everything_is_said_of_each_task(workdir):
    html = questions_html(read_asked(workdir)).replace('&nbsp;', ' ')
    assert 'sums: from 27.5 % for N = 1k to 58.8 % for N = 100k' in html
    # q0 is solved by both long runs but by no short one, q3 by none, so none by all
    assert '75.0 % of the questions are solved by some runs and not by others' in html
    assert '<td class="n">0.0 %</td><td class="n">25.0 %</td>' in html
    assert '<th scope="col" class="n">1k</th><th scope="col" class="n">100k</th>' in html
    assert '2 (50.0 %)' in html and '1 (25.0 %)' in html and '5,000 tokens' in html
    assert '4 questions of sums' in html and 'What is &lt;3&gt;?' in html and '<3>' not in html
    assert '12 to 12, median 12' in html


def test_the_tasks_for_models_of_english_are_shown_too():
    html = english_html()
    for name in ('simple_knowledge', 'multi_step_arithmetic', 'commonsense_causal', 'spatial_reasoning'):
        assert f'10 questions of {name}' in html
    assert html.count('<td class="n">1,000</td>') == 4 and html == english_html()


def test_a_study_of_another_time_says_what_it_has(workdir):
    (workdir / 'questions.csv').unlink()
    (workdir / 'data' / 'contamination.json').unlink()
    html = questions_html(read_asked(workdir))
    assert 'along the ladder' not in html and 'training text' not in html and '4 questions of sums' in html
    (workdir / 'data' / 'questions' / 'sums.jsonl').unlink()
    assert 'are not beside it' in questions_html(read_asked(workdir))


def test_a_damaged_file_is_named(workdir):
    (workdir / 'questions.csv').write_text('run,params\nx,1\n')
    with pytest.raises(ValueError, match='questions.csv'):
        read_asked(workdir)


@pytest.mark.parametrize('text', ['[{"task": ', '[{"task": "sums"}]', '{}'])
def test_damaged_counts_are_named(workdir, text):
    (workdir / 'data' / 'contamination.json').write_text(text)
    with pytest.raises(ValueError, match='contamination.json is not .*; delete it and run the data stage again'):
        read_asked(workdir)
