"""t2jax collect: a planted ladder, logged as lm-eval does, is fitted; a fault is a sentence, exit code 2, no file."""

import json

import numpy as np
import pytest

from t2jax.cli import main
from t2jax.laws.forms import CHINCHILLA
from t2jax.laws.questions import read_questions

PLANTED = {'E': 2.0, 'A': 400.0, 'B': 400.0, 'alpha': 0.34, 'beta': 0.28}


@pytest.fixture(scope='module', autouse=True)
def no_compile_cache():
    """Leave the cache of whoever runs the tests, and the settings of this process, alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('t2jax.cli.laws.use_compile_cache', lambda: None)
        yield


def logged(doc_id, nll):
    """A line of lm-eval for LAMBADA; that lm-eval does write such lines is tested in tests/interop/test_results.py."""
    response = [str(-nll), 'False']
    return {
        'doc_id': doc_id,
        'doc': {'text': 'a b'},
        'target': ' b',
        'arguments': {'gen_args_0': {'arg_0': 'a', 'arg_1': ' b'}},
        'resps': [[response]],
        'filtered_resps': [response],
        'filter': 'none',
        'metrics': ['perplexity', 'acc'],
        'perplexity': -nll,
        'acc': 0,
    }


@pytest.fixture(scope='module')
def ladder(tmp_path_factory):
    """runs.csv of 16 runs with folders as lm-eval leaves them; the mean NLL of each is Chinchilla's law, planted."""
    folder, rng = tmp_path_factory.mktemp('ladder'), np.random.default_rng(0)
    rows = ['path,params,tokens,run']
    for params in (1e7, 4e7, 1.6e8, 6.4e8):
        for ratio in (5, 20, 80, 320):
            name, out = f'{params:.0e}-{ratio}', folder / 'out' / f'{params:.0e}-{ratio}' / 'me__model'
            nll = rng.exponential(size=25)
            nll *= CHINCHILLA.predict(PLANTED, params, params * ratio, 1.0, np) / nll.mean()
            out.mkdir(parents=True)
            lines = ''.join(json.dumps(logged(i, value)) + '\n' for i, value in enumerate(nll.tolist()))
            (out / 'samples_lambada_openai_2026-11-25T19-09-07.110833.jsonl').write_text(lines)
            (out / 'results_2026-11-25T19-09-07.110833.json').write_text('{}')
            rows.append(f'out/{name},{params},{params * ratio},{name}')
    (folder / 'runs.csv').write_text('\n'.join(rows) + '\n')
    return folder / 'runs.csv'


@pytest.mark.parametrize('kind', ['csv', 'parquet'])
def test_a_ladder_logged_by_lm_eval_is_fitted_to_the_planted_law(ladder, tmp_path, capsys, kind):
    table = tmp_path / f'table.{kind}'
    assert main(['collect', '--runs', str(ladder), '--out', str(table)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith('1e+07-5, lambada_openai: 25 questions, mean nll ') and len(out) == 17
    assert out[-1] == f'400 rows: {table}'
    flags = ['--law', 'chinchilla', '--k', '1', '--starts', '40', '--bootstrap', '0', '--json']
    assert main(['fit', str(table), *flags]) == 0
    fitted = json.loads(capsys.readouterr().out)['parameters']
    assert fitted == pytest.approx(PLANTED, rel=1e-4)


def test_one_run_of_counts_is_printed_as_json(tmp_path, capsys):
    source, table = tmp_path / 'gsm8k.jsonl', tmp_path / 'table.csv'
    rows = [{'task_id': i % 4, 'passed': i % 4 < 1, 'strict': False} for i in range(12)]
    source.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    about = ['--params', '1.6e8', '--tokens', '3e11', '--run', 'mine', '--json', '--out', str(table)]
    assert main(['collect', str(source), *about]) == 0
    said = json.loads(capsys.readouterr().out)
    group = {'run': 'mine', 'task': 'gsm8k', 'questions': 4, 'params': 1.6e8, 'tokens': 3e11, 'pass_at_1': 0.25}
    assert said == {'out': str(table), 'rows': 4, 'groups': [group]}
    assert table.read_text().splitlines()[:2] == [
        'run,params,tokens,task,question,n_samples,n_correct',
        'mine,160000000,300000000000,gsm8k,0,3,3',
    ]
    assert main(['collect', str(source), *about, '--task', 'math', '--metric', 'strict']) == 0
    assert json.loads(capsys.readouterr().out)['groups'][0] == group | {'task': 'math', 'pass_at_1': 0.0}
    assert main(['collect', str(table), '--out', str(tmp_path / 'again.csv')]) == 0
    assert 'mine, math: 4 questions, mean pass@1 0\n' in capsys.readouterr().out
    assert read_questions(tmp_path / 'again.csv').n_correct.tolist() == [0, 0, 0, 0]


def test_a_filter_is_handed_on(ladder, tmp_path, capsys):
    source = ladder.parent / 'out' / '1e+07-5'
    about = ['collect', str(source), '--params', '1e7', '--tokens', '5e7', '--out', str(tmp_path / 'table.csv')]
    assert main([*about, '--filter', 'none']) == 0
    capsys.readouterr()
    assert main([*about, '--filter', 'strict']) == 2
    assert "has no filter 'strict'; it has none" in capsys.readouterr().err


SIZES = ['--params', '1e6', '--tokens', '1e8']


@pytest.mark.parametrize(
    ('flags', 'said'),
    [
        (['SOURCE'], 'source.csv, line 2 does not say params; give it by --params'),
        (['TWICE', *SIZES], "twice.csv, line 4: question 'b' is already in"),
        (['SOURCE', '--params', '0', '--tokens', '1'], '--params is 0.0; it has to be a number above 0'),
        (['SOURCE', '--params', '1', '--tokens', 'nan'], '--tokens is nan; it has to be a number above 0'),
        (['SOURCE', '--runs', 'runs.csv'], 'give files or folders of one run, or --runs FILE: one of the two'),
        ([], 'give files or folders of one run, or --runs FILE: one of the two'),
        (['--runs', 'runs.csv', '--run', 'a'], '--run is for one run; with --runs give a column run of that file'),
        (['--runs', 'absent.csv'], 'absent.csv cannot be read'),
        (['absent', *SIZES], 'there is no absent; give a file of results'),
    ],
)
def test_a_fault_is_one_sentence_and_leaves_no_file(tmp_path, capsys, flags, said):
    files = {'SOURCE': tmp_path / 'source.csv', 'TWICE': tmp_path / 'twice.csv'}
    files['SOURCE'].write_text('question,nll\na,1\nb,2\n')
    files['TWICE'].write_text('question,nll\na,1\nb,2\nb,3\n')
    flags = [str(files.get(flag, flag)) for flag in flags]
    assert main(['collect', *flags, '--out', str(tmp_path / 'table.csv')]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count('\n') == 1
    assert sorted(tmp_path.iterdir()) == list(files.values())


def test_a_table_that_is_there_survives_a_fault(tmp_path, capsys):
    source, table = tmp_path / 'source.jsonl', tmp_path / 'table.csv'
    source.write_text('{"id": 1, "correct": true}\n{"id": 2, "cor')
    table.write_text('mine')
    assert main(['collect', str(source), *SIZES, '--out', str(table)]) == 2
    assert 'source.jsonl, line 2 is not JSON' in capsys.readouterr().err
    assert table.read_text() == 'mine'
    assert main(['collect', str(source), *SIZES, '--out', str(tmp_path / 'table.txt')]) == 2
    assert 'table.txt is named as no table; give --out a file .csv or .parquet' in capsys.readouterr().err
