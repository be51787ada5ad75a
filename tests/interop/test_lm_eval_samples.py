"""What lm-eval itself logs is read as evidence about the answer; what has no single answer or verdict is refused."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_results import evidence, write

from t2jax.interop.collect import find_files
from t2jax.interop.results import read_results

ODD = 'arguments, resps or filtered_resps are not as lm-eval 0.4.13 writes them'


@pytest.fixture(scope='module')
def logs(tmp_path_factory):
    """The folder into which lm-eval logged the tasks of log_with_lm_eval.py."""
    if importlib.util.find_spec('lm_eval') is None:
        pytest.skip('lm-eval is not installed here')
    folder = tmp_path_factory.mktemp('logs')
    script = Path(__file__).with_name('log_with_lm_eval.py')
    offline = {'HF_HOME': str(folder / 'home'), 'HF_HUB_OFFLINE': '1', 'HF_DATASETS_OFFLINE': '1'}
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], env=os.environ | offline, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / 'out' / 'me__small'


def log_of(logs, task):
    (path,) = logs.glob(f'samples_{task}_2*.jsonl')
    return path


@pytest.mark.parametrize(
    ('task', 'wanted'),
    [
        ('last_word', [('0', 3.5), ('1', 6.5)]),  # -1.5, and the length of ' c' and of ' ef g'
        ('by_index', [('0', 4.5), ('1', 5.5)]),
        ('by_letter', [('0', 4.5), ('1', 3.5)]),
        ('mutual', [('0', 4.5), ('1', 3.5)]),
        ('filtered', [('0', 1, 1), ('1', 1, 1), ('2', 1, 0)]),
        ('verdicts', [('0', 4, 2), ('1', 4, 2), ('2', 4, 0)]),  # x0 x1 x2 x0, x1 x2 x0 x1, ...
        ('share', [('0', 4, 2), ('1', 4, 2), ('2', 4, 0)]),
    ],
)
def test_what_lm_eval_logs_is_read_as_evidence_about_the_answer(logs, task, wanted):
    metric = 'verdicts' if task == 'verdicts' else None
    results = read_results(log_of(logs, task), metric)
    assert evidence(results) == wanted
    assert {r.task for r in results} == {task}
    assert [r.where.rpartition(', ')[2] for r in results] == [f'line {i + 1}' for i in range(len(wanted))]


def test_a_filter_and_a_metric_can_be_chosen(logs):
    path = log_of(logs, 'filtered')
    assert evidence(read_results(path, filter_name='strict')) == evidence(read_results(path))
    assert evidence(read_results(path, filter_name='loose')) == [('0', 1, 0), ('1', 1, 0), ('2', 1, 1)]
    assert evidence(read_results(log_of(logs, 'share'), 'pass@1'))[0] == ('0', 4, 2)
    assert [r.n_correct for r in read_results(log_of(logs, 'last_word'))] == [None, None]


@pytest.mark.parametrize(
    ('task', 'choice', 'said'),
    [
        ('rolling', {}, 'line 1: loglikelihood_rolling scores whole documents, which have no right answer to sample'),
        ('first_of_four', {}, 'line 1: exact_match is one number for 4 responses; log a value each'),
        ('length', {}, r'no metric exact_match or acc; of those logged \(length\) choose one by --metric'),
        ('length', {'metric': 'length'}, 'line 1: length is 0.2; a sample is right or wrong'),
        ('share', {'metric': 'pass@10'}, 'pass@10 is one number for 4 responses'),
        ('last_word', {'metric': 'acc'}, 'the answer has a likelihood, and no responses that acc could grade; drop'),
        ('filtered', {'filter_name': 'lose'}, "has no filter 'lose'; it has loose, strict"),
        ('several', {}, r'the target is \[0, 1\], several choices; whose likelihood is the answer cannot be told'),
    ],
)
def test_what_has_no_single_answer_or_verdict_is_refused(logs, task, choice, said):
    with pytest.raises(ValueError, match=rf'samples_{task}_.*{said}'):
        read_results(log_of(logs, task), **choice)


def altered(logs, task, tmp_path, **changes):
    line = json.loads(log_of(logs, task).read_text().splitlines()[0]) | changes
    return write(tmp_path / 'altered.jsonl', [{k: v for k, v in line.items() if v is not None}])


@pytest.mark.parametrize(
    ('task', 'changes', 'said'),
    [
        (
            'last_word',
            {'resps': [[['nan', 'False']]]},
            'the log-likelihood of the answer is nan; it has to be a finite',
        ),
        ('last_word', {'resps': [[['-inf', 'False']]]}, 'the log-likelihood of the answer is -inf'),
        ('last_word', {'resps': [[['0.5', 'False']]]}, 'the log-likelihood of the answer is 0.5'),
        ('last_word', {'resps': [[['x', 'False']]]}, ODD),
        ('last_word', {'arguments': [[' a', ' b']]}, ODD),
        ('by_index', {'target': '3'}, "the target is '3', neither the index nor the text of one of the 3 choices"),
        ('by_index', {'target': '1'}, 'acc is 0.0, which choice 1 does not give; which one is right cannot be told'),
        ('share', {'pass@1': 0.3}, 'pass@1 is 0.3 of 4 responses, which is no whole number of right ones'),
        ('last_word', {'resps': [[[10**400, 'False']]]}, ODD),
        ('by_index', {'resps': [[['-1.0', 'False']]]}, ODD),
        ('by_index', {'resps': []}, ODD),
        ('by_index', {'resps': ['-1', '-2', '-3']}, ODD),
        ('by_index', {'arguments': {f'gen_args_{i}': {'arg_0': 'a', 'arg_1': None} for i in range(3)}}, ODD),
        ('by_index', {'arguments': {}}, ODD),
        ('by_index', {'target': [0, 1]}, r'the target is \[0, 1\], several choices'),
        ('by_index', {'target': {'a': 1}}, 'the target is .*neither the index nor the text of one of the 3 choices'),
        ('by_index', {'acc': [1, 0]}, r'acc is \[1, 0\], which choice 0 does not give'),
        ('by_index', {'filter': ['none']}, r"filter is \['none'\]; it has to be a name"),
        ('share', {'filtered_resps': []}, ODD),
        ('share', {'filtered_resps': {}}, ODD),
        ('share', {'resps': []}, ODD),
        ('share', {'resps': [[]]}, ODD),
        ('share', {'resps': ['abcd']}, ODD),
        ('share', {'pass@1': '0.5'}, 'pass@1 is 0.5 of 4 responses, which is no'),
        ('share', {'pass@1': float('nan')}, 'pass@1 is nan of 4 responses, which is no'),
        ('share', {'pass@1': 2}, 'pass@1 is 2 of 4 responses, which is no'),
        ('verdicts', {'exact_match': [1, 0]}, 'exact_match has 2 values for 4 responses'),
        ('verdicts', {'exact_match': [1, 0, 1, 0.5]}, 'exact_match is 0.5; a sample is right or wrong'),
    ],
)
def test_a_line_that_contradicts_itself_is_refused(logs, tmp_path, task, changes, said):
    with pytest.raises(ValueError, match=f'altered.jsonl, line 1: {said}'):
        read_results(altered(logs, task, tmp_path, **changes))


def test_a_target_that_is_a_number_is_an_index(logs, tmp_path):
    assert evidence(read_results(altered(logs, 'by_index', tmp_path, target=0))) == [('0', 4.5)]


def test_lines_met_twice_or_cut_short_are_refused(logs, tmp_path):
    line = json.loads(log_of(logs, 'last_word').read_text().splitlines()[0])
    with pytest.raises(ValueError, match='line 2: doc_id 0 is already in .*line 1; keep one'):
        read_results(write(tmp_path / 'twice.jsonl', [line, line]))
    with pytest.raises(ValueError, match='line 2: filter is missing; every record needs it'):
        read_results(write(tmp_path / 'cut.jsonl', [line, {k: v for k, v in line.items() if k != 'filter'}]))


def test_the_folder_of_lm_eval_stands_for_all_its_samples(logs):
    files = find_files(logs.parent)
    assert len(files) == 11 and files == sorted(logs.glob('samples_*.jsonl'))
