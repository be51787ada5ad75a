"""Examples of TFDS datasets as plain values, from real builders of which nothing is downloaded."""

import pytest

from t2jax.data.examples import read_examples
from t2jax.tasks.catalogue import TASKS, questions_of

tfds = pytest.importorskip('tensorflow_datasets', reason='TensorFlow Datasets is not installed')


@pytest.mark.parametrize('name', ['arc_easy', 'openbookqa', 'gsm8k'])
def test_examples_as_tfds_shapes_them_are_read(name, tmp_path, monkeypatch):
    """TFDS's own builders, their files written by themselves from what their generators would yield."""
    text = {'question': 'What melts?', 'answer': 'so\n#### 2', 'annotation': 'so', 'short_answer': '2'}
    examples = {
        'arc_easy': {
            'id': 'q1',
            'question': 'What melts?',
            'choices': {'text': ['mud', 'ice'], 'label': ['A', 'B']},
            'answerKey': 'B',
        },
        'openbookqa': {
            'question': {'stem': 'Frost is', **{f'choice_{c}': c.lower() for c in 'ABCD'}},
            'fact1': '',
            'humanScore': 1.0,
            'clarity': 1.0,
            'turkIdAnonymized': '',
            'answerKey': 'C',
        },
        'gsm8k': text,
    }
    builder = type(tfds.builder(TASKS[name].tfds, data_dir=tmp_path))
    monkeypatch.setattr(builder, '_split_generators', lambda self, dl, *_: {'test': iter([('0', examples[name])])})
    monkeypatch.setattr(tfds.core.constants, 'DATA_DIR', str(tmp_path))
    rows = list(read_examples(TASKS[name].tfds, 'test'))
    (question,) = questions_of(TASKS[name], enumerate(rows, 1), 'TFDS')
    assert (question.prompt, question.answer) == {
        'arc_easy': ('Question: What melts?\nAnswer:', ' ice'),
        'openbookqa': ('Frost is', ' c'),
        'gsm8k': ('Question: What melts?\nAnswer:', ' so\n#### 2'),
    }[name]


def test_what_tfds_cannot_read_is_one_sentence():
    with pytest.raises(ValueError, match='TFDS cannot read no_such_set, split test .*; give a file of its rows'):
        list(read_examples('no_such_set', 'test'))
