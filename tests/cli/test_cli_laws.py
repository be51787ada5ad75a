"""The commands about laws: what they print and write, and that a bad input is one sentence, exit code 2, no file."""

import json

import numpy as np
import pytest

from t2jax.cli import main
from t2jax.laws.forms import LAWS, T2_ACCURACY, T2_NLL
from t2jax.laws.observations import Observations
from t2jax.laws.tables import write_observations

PLANTED = {'E': 2.0, 'A': 400.0, 'B': 400.0, 'alpha': 0.34, 'beta': 0.28, 'G': 3.0, 'gamma': 0.3}
THETAS = {'theta0': 4.0, 'theta1': 1.1, 'theta2': 0.8, 'theta3': 2.0, 'theta4': -0.35}
QUICK = ['--starts', '40', '--bootstrap', '20']


@pytest.fixture(scope='module', autouse=True)
def no_compile_cache():
    """Leave the cache of whoever runs the tests, and the settings of this process, alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('t2jax.cli.laws.use_compile_cache', lambda: None)
        yield


@pytest.fixture(scope='module')
def table(tmp_path_factory):
    """A CSV of 24 runs, near-Chinchilla and overtrained, with both laws planted and 1 % of noise."""
    size, ratio = (x.ravel() for x in np.meshgrid([1e7, 2e7, 4e7, 8e7, 1.6e8, 3.2e8], [5, 20, 80, 320], indexing='ij'))
    size, ratio, k = (np.repeat(x, 6) for x in (size, ratio, np.ones(24)))
    k = np.tile(4.0 ** np.arange(6), 24)
    at, noise = (size, size * ratio, k, np), np.exp(0.01 * np.random.default_rng(0).normal(size=len(k)))
    nll = T2_NLL.predict(PLANTED, *at) * noise
    passed = np.minimum(T2_ACCURACY.predict(PLANTED | THETAS, *at) * noise, 1)
    path = tmp_path_factory.mktemp('table') / 'table.csv'
    write_observations(path, Observations(params=size, tokens=size * ratio, k=k, nll=nll, pass_at_k=passed))
    return path


@pytest.fixture(scope='module')
def fitted(table):
    path = table.with_name('fit.json')
    assert main(['fit', str(table), *QUICK, '--out', str(path)]) == 0
    return path


def run_json(capsys, *arguments):
    assert main([*map(str, arguments), '--json']) == 0
    return json.loads(capsys.readouterr().out)


def test_fit_prints_parameters_with_intervals_as_json(table, capsys):
    fit = run_json(capsys, 'fit', table, *QUICK)
    assert fit['law'] == 't2-nll' and fit['objective_value'] > 0
    assert set(fit['parameters']) == set(PLANTED)
    assert fit['parameters']['gamma'] == pytest.approx(0.3, rel=0.02)
    for name in PLANTED:
        low, high = fit['intervals'][name]['95']
        assert low < fit['parameters'][name] < high
        assert low <= fit['intervals'][name]['80'][0] < fit['intervals'][name]['80'][1] <= high


def test_fit_prints_a_table_and_what_the_objective_changes(table, capsys):
    assert main(['fit', str(table), '--law', 'chinchilla', '--objectives', *QUICK]) == 0
    out = capsys.readouterr().out
    assert 'sse' in out and 'log-huber' in out and '95 %' in out
    assert all(f'\n  {name:8}' in out for name in ('E', 'A', 'B', 'alpha', 'beta'))
    assert max(map(len, out.splitlines())) <= 110


def test_compare_ranks_the_planted_law_first(table, capsys):
    rows = run_json(capsys, 'compare', table, '--starts', '40')
    held_out = {row['law']: row['scores']['held_out'] for row in rows if row['target'] == 'nll'}
    assert {row['law'] for row in rows} == set(LAWS)
    assert min((law for law in held_out if law != 'chinchilla'), key=held_out.get) == 't2-nll'
    assert held_out['t2-nll'] < 0.01
    assert main(['compare', str(table), '--starts', '40']) == 0
    assert 'held out' in capsys.readouterr().out


def test_figures_are_written_where_told(table, fitted, tmp_path, capsys):
    files = [tmp_path / name for name in ('fit.png', 'compare.svg', 'plan.pdf')]
    assert main(['fit', str(table), *QUICK, '--plot', str(files[0])]) == 0
    assert main(['compare', str(table), '--starts', '40', '--plot', str(files[1])]) == 0
    budgets = ['--train-flops', '1e18', '--inference-flops', '2e9']
    assert main(['plan', str(fitted), *budgets, '--plot', str(files[2])]) == 0
    assert [path.read_bytes()[:4] for path in files] == [b'\x89PNG', b'<?xm', b'%PDF']


HEADER = 'params,tokens,k,nll,pass_at_k\n'
ROW = '1e7,2e8,1,3.1,0.05\n'
QUESTIONS = 'params,tokens,task,question,n_samples,n_correct\n'


@pytest.mark.parametrize(
    'content, sentence',
    [
        ('', 'holds no observations'),
        (HEADER, 'holds no observations'),
        ('params,token,k,nll\n1e7,2e8,1,3\n', "column tokens is missing; did you mean 'token'"),
        (HEADER + '1e7,2e8,1,three,0.05\n', "nll is 'three'; it has to be a number"),
        (HEADER + '0,2e8,1,3.1,0.05\n', 'params is 0'),
        (HEADER + '1e7,-2e8,1,3.1,0.05\n', 'tokens is -2e8'),
        (HEADER + '1e7,2e8,1,nan,0.05\n', 'nll is nan'),
        (HEADER + '1e7,2e8,1,3.1,1.5\n', 'pass_at_k is 1.5'),
        (HEADER + '1e7,2e8,0.5,3.1,0.05\n', 'k is 0.5'),
        (HEADER + ROW + ROW, 'is already on line 2'),
        (HEADER + ROW, 't2-nll needs at least 7 rows, there are 1'),
        (QUESTIONS + '1e7,2e8,qa,1,10,11\n', 'n_correct is 11; it has to be at most n_samples, 10'),
        (QUESTIONS + '1e7,2e8,qa,1,10,1\n1e7,2e8,qa,1,10,1\n', 'is already on line 2'),
    ],
)
def test_a_bad_table_is_one_sentence_and_writes_nothing(tmp_path, capsys, content, sentence):
    path, out = tmp_path / 'bad.csv', tmp_path / 'fit.json'
    path.write_text(content)
    for command in (['fit', str(path), '--out', str(out), '--plot', str(tmp_path / 'a.png')], ['compare', str(path)]):
        if command[0] == 'compare' and 'needs at least' in sentence:
            sentence = 'no run is overtrained'
        assert main(command) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.startswith(f't2jax {command[0]}: ') and error.count('\n') == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    'flags, sentence',
    [
        (['--law', 'kaplan'], "no law 'kaplan'; there are chinchilla"),
        (['--objective', 'mse'], "objective 'mse' is not known"),
        (['--task', 'gsm8k'], "has no task 'gsm8k'"),
        (['--bootstrap', '-1'], '--bootstrap is -1'),
        (['--resample', 'tasks'], "--resample is 'tasks'"),
        (['--resample', 'questions'], 'has no questions to redraw; use --resample runs'),
        (['--k', '1,2'], '--k is for a table with one row per question'),
        (['--plot', 'figure.jpeg2'], '.png'),
        (['--starts', '0'], 'starts is 0'),
        (['--plot', '.'], 'cannot write a figure to'),
    ],
)
def test_a_bad_flag_is_one_sentence_and_writes_nothing(table, tmp_path, capsys, flags, sentence, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['fit', str(table), *QUICK[:2], *flags, '--out', 'fit.json']) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count('\n') == 1
    assert not list(tmp_path.iterdir())


def test_k_beyond_the_samples_is_refused_and_questions_are_redrawn(tmp_path, capsys):
    rng, rows = np.random.default_rng(0), []
    for size in (1e7, 3e7, 1e8, 3e8):
        for ratio in (2, 10, 50):
            p = rng.beta(0.5 * (size * ratio) ** 0.1, 10, 30)
            rows += [f'{size},{size * ratio},qa,{i},64,{rng.binomial(64, x)}' for i, x in enumerate(p)]
    path = tmp_path / 'questions.csv'
    path.write_text(QUESTIONS + '\n'.join(rows) + '\n')
    assert main(['fit', str(path), '--k', '1,128']) == 2
    assert 'n_samples 64; without bias k = 128 needs as many' in capsys.readouterr().err
    intervals = []
    for resample in ('runs', 'questions', 'both'):
        fit = run_json(capsys, 'fit', path, *QUICK, '--resample', resample, '--k', '1,4,16')
        assert fit['measure'] == 'counts' and fit['resampled'] == resample
        intervals.append(fit['intervals']['gamma']['80'])
    assert len({tuple(interval) for interval in intervals}) == 3


def test_plan_refuses_what_it_cannot_plan(fitted, tmp_path, capsys):
    old = tmp_path / 'old.json'
    old.write_text(json.dumps(json.loads(fitted.read_text()) | {'version': 1}))
    budgets = ['--train-flops', '1e18', '--inference-flops', '2e9']
    for arguments, sentence in (
        ([str(old), *budgets], 'is of version 1; this t2jax reads 2'),
        ([str(tmp_path / 'none.json'), *budgets], 'there is no fit at'),
        ([str(fitted), '--train-flops', '1e18', '--inference-flops', '100'], 'pays no'),
        ([str(fitted), '--train-flops', '-1', '--inference-flops', '2e9'], 'train_flops is -1'),
        ([str(fitted), '--train-flops', '1e18'], 'inference'),
        ([str(fitted), *budgets, '--select', 'verifier:1,0.05'], 'fit t2-accuracy to plan with a verifier'),
        ([str(fitted), *budgets, '--select', 'oracle'], '--select'),
        ([str(fitted), *budgets, '--price', 'v9'], '--price'),
        ([str(fitted), *budgets, '--price', 'v5e'], 'give --prompt-tokens of at least 1'),
        ([str(fitted), *budgets, '--prompt-tokens', '9'], 'paper does not count prompts'),
        ([str(fitted), *budgets, '--batch', '9'], '--batch is for the price of a TPU'),
        ([str(fitted), *budgets, '--dollars-per-hour', '2'], '--dollars-per-hour is for measured speeds'),
        ([str(fitted), *budgets, '--total-flops', '1e20'], 'one pair, whole'),
    ):
        assert main(['plan', *arguments]) == 2, arguments
        error = capsys.readouterr().err
        assert sentence in error and error.count('\n') == 1, error


def test_plan_answers_for_every_kind_of_budget_and_price(fitted, tmp_path, capsys):
    speeds = tmp_path / 'speeds.csv'
    speeds.write_text('params,tokens_per_second,train_tokens_per_second\n1e7,1e6,2e5\n1e9,2e4,3e3\n')
    two = ['--train-flops', '1e18', '--inference-flops', '2e9']
    for arguments in (
        two,
        ['--total-flops', '1e19', '--questions', '1e9'],
        ['--train-flops', '1e18', '--inference-flops', '1e12', '--price', 'transformer', *'--prompt-tokens 100'.split()]
        + ['--answer-tokens', '20'],
        ['--train-flops', '1e18', '--inference-flops', '1e14', '--price', 'v5e', '--prompt-tokens', '100']
        + ['--answer-tokens', '20', '--batch', '8'],
        ['--train-flops', '1e6', '--inference-flops', '0.01', '--price', str(speeds)],
        ['--train-flops', '300', '--inference-flops', '1e-5', '--price', str(speeds), '--dollars-per-hour', '1.2'],
    ):
        choice = run_json(capsys, 'plan', fitted, *arguments)['choices']['t2-nll']
        assert choice['whole']['samples'] == int(choice['whole']['samples']) >= 1
        low, high = choice['bands']['params']['95']
        assert low <= choice['params'] <= high
        assert set(choice['bands']) >= {'params', 'tokens', 'tokens_per_param', 'samples', 'value'}
        assert main(['plan', str(fitted), *arguments]) == 0
        assert 'To buy: ' in capsys.readouterr().out


def test_a_place_where_nothing_can_be_written_is_said_before_the_work(table, tmp_path, capsys):
    assert main(['fit', str(table), '--out', str(tmp_path), '--plot', str(tmp_path / 'a.png')]) == 2
    assert f'--out {tmp_path} is a folder; name a file' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_comparison_of_no_law_is_an_error(tmp_path, capsys):
    path = tmp_path / 'two.csv'
    path.write_text('params,tokens,k,nll\n1e7,1e8,1,3\n1e7,1e10,1,2\n')
    assert main(['compare', str(path)]) == 2
    error = capsys.readouterr().err
    assert 'no law could be fitted: chinchilla needs at least 5 rows' in error


def test_a_wrong_flag_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(['plan', 'fit.json', '--train-flops', '1e18x'])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count('\n') == 1
