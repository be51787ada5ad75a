"""Published ladders: their rows, their ways of counting, and our pass@k against the one published with the counts."""

import csv
from pathlib import Path

import numpy as np
import pytest

from t2jax.laws.ladders import read_epoch, read_gadre, read_grid, read_porian, read_pythia
from t2jax.laws.questions import derive, resampled, select, without_success

DATA = Path(__file__).parents[2].parent / 'shared' / 'data'


@pytest.fixture
def data():
    """Return the folder of the published tables, or skip."""
    if not DATA.is_dir():
        pytest.skip('the published tables (../shared/data) are not beside this repository')
    return DATA


SETTINGS = [  # of Porian et al., and how many runs their tables have
    ({'warmup': 'long', 'decay': 'kaplan', 'param_count': 'kaplan'}, 107),
    ({'warmup': 'long', 'decay': 'kaplan'}, 131),
    ({'decay': 'kaplan'}, 132),
    ({}, 88),
    ({'hparams': 'tuned', 'decay': 'const'}, 121),
    ({'dataset': 'owt2'}, 88),
    ({'param_count': 'attention'}, 106),
]


@pytest.mark.parametrize(('setting', 'rows'), SETTINGS)
def test_porian_gives_one_run_a_row(data, setting, rows):
    ladder = read_porian(data / 'porian_all_settings.csv', **setting)
    assert len(ladder) == len(set(ladder.run.tolist())) == rows
    budgets = np.array([float(run.split('-', 1)[1]) for run in ladder.run])
    np.testing.assert_allclose(ladder.train_flops, budgets, rtol=1e-9)  # flops = 6 N D by the setting's own N
    assert (ladder.k == 1).all() and np.isfinite(ladder.nll).all()


def test_porian_counts_parameters_as_the_setting_does(data):
    by_count = {}
    for count, warmup, decay in (('kaplan', 'long', 'kaplan'), ('standard', 'short', 'chinchilla')):
        ladder = read_porian(data / 'porian_all_settings.csv', warmup=warmup, decay=decay, param_count=count)
        by_count[count] = {str(run).split('-')[0]: n for run, n in zip(ladder.run, ladder.params)}
    assert by_count['kaplan']['5M'] == 331776
    assert by_count['standard']['5M'] == 331776 + 50432 * 96  # blocks and head


def test_porian_says_what_settings_there_are(data):
    with pytest.raises(ValueError, match="no row has decay 'cosine' beside the rest; it can be kaplan, chinchilla"):
        read_porian(data / 'porian_all_settings.csv', decay='cosine')


def test_the_grid_is_porians_short_runs_and_21_more(data):
    grid, porian = read_grid(data / 't2_grid_106.csv'), read_porian(data / 'porian_all_settings.csv')
    measured = np.isfinite(grid.nll)
    assert len(grid) == 106 and measured.sum() == 85
    losses = {(n, round(np.log(d), 4)): loss for n, d, loss in zip(porian.params, porian.tokens, porian.nll)}
    for n, d, loss in zip(grid.params[measured], grid.tokens[measured], grid.nll[measured]):
        assert losses[n, round(np.log(d), 4)] == loss
    budgets = np.array([float(run.split('-', 1)[1]) for run in grid.run])
    np.testing.assert_allclose(grid.train_flops, budgets, rtol=1e-3)


def test_gadre_counts_as_asked(data):
    theirs = read_gadre(data / 'gadre_testbed.csv', 'rpj', 'loss_c4_val')
    ours = read_gadre(data / 'gadre_testbed.csv', 'rpj', 'loss_c4_val', params='params_no_embed')
    assert len(theirs) == 35
    large = int(np.argmax(theirs.params))
    assert theirs.params[large] == 6889410560 and theirs.tokens[large] == 20 * theirs.params[large]
    assert (theirs.params - ours.params)[large] == 50432 * 4096  # the input embedding
    with pytest.raises(ValueError, match='column loss_c4 is missing; the columns are name, dataset,'):
        read_gadre(data / 'gadre_testbed.csv', loss='loss_c4')


def test_epoch_keeps_240(data):
    kept, every = (read_epoch(data / 'chinchilla_epoch.csv', keep) for keep in (True, False))
    assert len(kept) == 240 and len(every) == len(set(every.run.tolist())) == 245
    assert set(kept.run.tolist()) < set(every.run.tolist())


def test_pythia_counts_give_the_pass_at_k_published_beside_them(data):
    """The published table loses digits where millions of samples hold one success: 0.3 % there, 1e-6 elsewhere."""
    with open(data / 'pythia_passk_ladder.csv') as file:
        rows = list(csv.DictReader(file))
    for benchmark, runs, silent in (('gsm8k', 81, 2), ('math', 72, 34)):
        questions = read_pythia(data / 'pythia_passk_counts.csv.gz', benchmark)
        derived = derive(questions, [1, 16, 128])
        assert len(derived) == 3 * runs and len(without_success(questions)) == silent
        published = {(row['model'], float(row['k'])): row for row in rows if row['benchmark'] == benchmark}
        for run, n, k, value in zip(derived.run, derived.params, derived.k, derived.pass_at_k):
            row = published[run, k]
            assert n == float(row['params_head'])
            plenty = float(row['pass_at_k']) > 1e-4
            assert value == pytest.approx(float(row['pass_at_k']), rel=1e-6 if plenty else 3e-3)


def test_pythia_counts_can_be_redrawn(data):
    questions = read_pythia(data / 'pythia_passk_counts.csv.gz', 'gsm8k')
    rows = derive(questions, [1, 16, 128])
    replicates = np.array([replicate.pass_at_k for replicate in resampled(questions, [1, 16, 128], 200)])
    large = rows.pass_at_k > 0.1
    assert abs(replicates.mean(0)[large] / rows.pass_at_k[large] - 1).max() < 0.02
    assert np.isfinite(replicates[:, rows.run != 'Pythia_12B_2M']).all()


def test_a_beta_binomial_of_real_counts_agrees_with_them(data):
    """Where many questions have been answered, both estimators say the same up to the fewest samples of any."""
    questions = read_pythia(data / 'pythia_passk_counts.csv.gz', 'gsm8k')
    questions = select(questions, np.char.endswith(questions.run, '00B'))  # the last two checkpoints of each size
    by_counts, by_beta = derive(questions, [1, 16, 128]), derive(questions, [1, 16, 128], 'beta-binomial')
    assert by_counts.run.tolist() == by_beta.run.tolist()
    large = by_counts.pass_at_k > 0.05
    assert large.sum() > 25
    np.testing.assert_allclose(by_beta.pass_at_k[large], by_counts.pass_at_k[large], rtol=0.1)
