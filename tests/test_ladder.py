"""A ladder that somebody else trained, as a study: tables in, fits, allocation and report out."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from t2jax import fitting
from t2jax.cli import main
from t2jax.cli.studies import load_study
from t2jax.config import to_dict, write_json
from t2jax.fitting import fit_laws
from t2jax.ladder import Ladder, Source, tabulate, tabulate_scores
from t2jax.laws.forms import LAWS
from t2jax.laws.observations import Observations, concatenate, has_profiles, profile_budgets, where
from t2jax.laws.record import load_fit
from t2jax.laws.settings import LawSettings
from t2jax.laws.tables import read_observations, write_observations
from t2jax.laws.workdir import missing_runs, read_tables
from t2jax.plotting.results import read_results

PLANTED = {'E': 1.2, 'A': 60.0, 'B': 300.0, 'alpha': 0.3, 'beta': 0.3, 'G': 1.5, 'gamma': 0.4}
PLANTED |= {'theta0': 3.5, 'theta1': 1.1, 'theta2': 0.9, 'theta3': 0.3, 'theta4': -0.1}
QUICK = LawSettings(starts=24, refits=6, overtrained_from=300.0)


def grid(ks=(1, 2, 4, 8, 16, 32), task='made-up'):
    """Measure planted laws at three budgets of five sizes."""
    sizes, budgets = np.geomspace(1e7, 2e8, 5), (1e17, 4e17, 1.6e18)
    rows = [(n, c / (6 * n), k) for c in budgets for n in sizes for k in ks]
    params, tokens, k = np.array(rows).T
    at = (PLANTED, params, tokens, k, np)
    values = {law.target: law.predict(*at) for law in (LAWS['t2-nll'], LAWS['t2-accuracy'])}
    measure = np.full(len(k), 'likelihood')
    return Observations(params=params, tokens=tokens, k=k, task=np.full(len(k), task), measure=measure, **values)


def losses_of(rows):
    once = where(rows, rows.k == 1)
    law = LAWS['chinchilla']
    nll = law.predict(PLANTED, once.params, once.tokens, once.k, np)
    n = len(once)
    return Observations(params=once.params, tokens=once.tokens, k=once.k, nll=nll, task=np.full(n, 'text'))


@pytest.fixture(scope='module')
def fitted(tmp_path_factory):
    """The workdir of a ladder with answers and losses, fitted."""
    folder = tmp_path_factory.mktemp('ladder')
    write_observations(folder / 'answers.csv', grid())
    write_observations(folder / 'text.csv', losses_of(grid()))
    sources = {'observations': (Source(str(folder / 'answers.csv')),), 'losses': (Source(str(folder / 'text.csv')),)}
    ladder = Ladder(str(folder / 'out'), 2e9, **sources, laws=QUICK)
    tabulate(ladder, folder / 'out')
    fit_laws(ladder, folder / 'out', quiet=True)
    return ladder, folder / 'out'


def test_planted_laws_come_back_with_bands_about_them(fitted):
    _, workdir = fitted
    for law in ('chinchilla', 't2-nll', 't2-accuracy'):
        fit = load_fit(workdir / 'fits' / f'{law}.json')
        rows = read_observations(workdir / ('losses.csv' if law == 'chinchilla' else 'observations.csv'))
        predicted = fit.predict(rows.params, rows.tokens, rows.k)
        np.testing.assert_allclose(predicted, getattr(rows, LAWS[law].target), rtol=1e-4)
        assert fit.converged and len(fit.replicates['E']) == QUICK.refits and not fit.doubt
    rows = json.loads((workdir / 'allocation.json').read_text())
    assert [row['losses_of'] for row in rows] == ['text'] * 3
    low, high = rows[-1]['t2-nll']['bands']['params']['95']
    assert low <= rows[-1]['t2-nll']['params'] * 1.02 and high >= rows[-1]['t2-nll']['params'] * 0.98


def test_fitting_again_changes_nothing_and_other_settings_fit_anew(fitted, capsys):
    ladder, workdir = fitted
    path = workdir / 'fits' / 't2-nll.json'
    before, stamp = path.read_bytes(), path.stat().st_mtime_ns
    fit_laws(ladder, workdir, quiet=True)
    assert path.stat().st_mtime_ns == stamp
    assert json.loads((workdir / 'fits.json').read_text())['refused'] == {}
    for change in ({'seed': 1}, {'laws': replace(QUICK, refits=5)}, {'inference_flops': 4e9}):
        fit_laws(replace(ladder, **change), workdir, quiet=True)
        assert path.stat().st_mtime_ns != stamp, change
        stamp = path.stat().st_mtime_ns
    fit_laws(ladder, workdir, quiet=True)
    assert path.read_bytes() == before


def test_fits_of_other_tables_or_settings_are_said_to_be(fitted, tmp_path):
    ladder, workdir = fitted
    shutil.copytree(workdir, tmp_path / 'copy')
    workdir = tmp_path / 'copy'
    write_json(workdir / 'study.json', to_dict(ladder))
    assert not read_results(workdir).stale
    write_json(workdir / 'study.json', to_dict(replace(ladder, inference_flops=8e9)))
    results = read_results(workdir)
    assert results.stale and results.inference_flops == 2e9  # of the fits, as all that is drawn
    write_json(workdir / 'study.json', to_dict(ladder))
    rows = read_observations(workdir / 'observations.csv')
    write_observations(workdir / 'observations.csv', where(rows, rows.run != rows.run[0]))
    assert read_results(workdir).stale


def test_fits_that_a_kill_cut_short_are_not_taken_for_whole(fitted, tmp_path, monkeypatch):
    ladder, source = fitted
    workdir = shutil.copytree(source, tmp_path / 'copy')
    before = (workdir / 'fits' / 't2-nll.json').read_bytes()
    with monkeypatch.context() as killed:
        killed.setattr(fitting, 'allocation_rows', Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fit_laws(replace(ladder, laws=replace(QUICK, refits=5)), workdir, quiet=True)
    assert (workdir / 'fits' / 't2-nll.json').read_bytes() != before
    fit_laws(ladder, workdir, quiet=True)  # the settings before: its own fits again, not those cut short
    assert (workdir / 'fits' / 't2-nll.json').read_bytes() == before


def test_where_no_law_can_be_fitted_the_reasons_stay(tmp_path):
    few = where(grid(), grid().params < 1.5e7)
    write_observations(tmp_path / 'observations.csv', where(few, few.k < 3))
    (tmp_path / 'allocation.json').write_text('[]')
    ladder = Ladder(str(tmp_path), 2e9, observations=(Source('a.csv'),), laws=QUICK)
    with pytest.raises(ValueError, match='no law can be fitted to .*: chinchilla needs at least 5 rows'):
        fit_laws(ladder, tmp_path, quiet=True)
    assert set(json.loads((tmp_path / 'fits.json').read_text())['refused']) == {'chinchilla', 't2-nll', 't2-accuracy'}
    assert not (tmp_path / 'allocation.json').exists()


def test_tables_by_question_are_read_as_far_as_their_samples_go(tmp_path):
    lines = [f'{n},{d},t,{q},{12 + q},{q}' for n in (1e7, 2e7) for d in (1e9, 2e9) for q in range(1, 4)]
    (tmp_path / 'counts.csv').write_text('\n'.join(['params,tokens,task,question,n_samples,n_correct', *lines]) + '\n')
    ladder = Ladder(str(tmp_path), 2e9, observations=(Source(str(tmp_path / 'counts.csv')),))
    tabulate(ladder, tmp_path)
    rows = read_observations(tmp_path / 'observations.csv')
    assert sorted(set(rows.k.tolist())) == [1, 2, 4, 8] and set(rows.measure.tolist()) == {'counts'}


def test_tasks_measured_at_different_k_share_what_they_have(tmp_path):
    write_observations(tmp_path / 'observations.csv', concatenate([grid(task='one'), grid((1, 2, 4), 'other')]))
    tables = read_tables(tmp_path)
    assert set(tables.macro.k.tolist()) == {1, 2, 4} and len(tables.runs) == 15
    assert tables.said == ('Left out of the mean over tasks, since not every task was measured there: k = 8, 16, 32.',)


def test_losses_alone_are_chinchillas(tmp_path, capsys):
    write_observations(tmp_path / 'text.csv', losses_of(grid()))
    ladder = Ladder(str(tmp_path), 2e9, losses=(Source(str(tmp_path / 'text.csv')),), laws=QUICK)
    tabulate(ladder, tmp_path)
    fit_laws(ladder, tmp_path, quiet=True)
    assert {path.stem for path in (tmp_path / 'fits').iterdir()} == {'chinchilla'}
    refused = json.loads((tmp_path / 'fits.json').read_text())['refused']
    assert set(refused) == {'t2-nll', 't2-accuracy'} and 't2-nll is not fitted' in capsys.readouterr().err
    rows = json.loads((tmp_path / 'allocation.json').read_text())
    assert all(set(row) >= {'chinchilla', 'checkpoints'} and 't2-nll' not in row for row in rows)
    assert set(rows[0]['checkpoints']) == {'single_pass'}


def test_without_losses_chinchilla_is_of_the_answers_at_one_sample(tmp_path):
    write_observations(tmp_path / 'observations.csv', grid())
    tables = read_tables(tmp_path)
    assert set(tables.losses.k.tolist()) == {1.0} and set(tables.losses.task.tolist()) == {'macro'}
    np.testing.assert_allclose(tables.losses.nll, grid(ks=(1,)).nll)


def test_runs_that_lack_a_task_are_left_out_of_the_mean_and_said(tmp_path):
    whole, half = grid(task='one'), grid(task='other')
    half = where(half, half.params < 1.9e8)
    write_observations(tmp_path / 'observations.csv', concatenate([whole, half]))
    tables = read_tables(tmp_path)
    assert len(set(tables.macro.run.tolist())) == 12 and len(set(tables.observations.run.tolist())) == 15
    (said,) = tables.said
    assert said.startswith('Left out of the mean over tasks, since they lack a task at some k: N200000000-')
    assert missing_runs(tables, ['N1', tables.macro.run[0]]) == ['N1']
    apart = concatenate([where(whole, whole.params < 2e7), where(half, half.params > 2e7)])
    write_observations(tmp_path / 'observations.csv', apart)
    with pytest.raises(ValueError, match='has no run with every task at every k'):
        read_tables(tmp_path)


def test_budgets_are_those_of_the_profiles_or_spread_over_the_runs():
    rows = grid(ks=(1,))
    assert has_profiles(rows.params, rows.train_flops)
    assert profile_budgets(rows.params, rows.train_flops) == pytest.approx([1e17, 4e17, 1.6e18])
    params, tokens = np.repeat([1e7, 1e8], 40), np.geomspace(1e8, 1e11, 80)
    assert not has_profiles(params, 6 * params * tokens)
    budgets = profile_budgets(params, 6 * params * tokens)
    assert len(budgets) == 5 and budgets[-1] == pytest.approx((6 * params * tokens).max(), rel=0.05)
    assert np.ptp(np.diff(np.log(budgets))) < 0.1


def test_scores_of_a_grid_become_observations(tmp_path):
    for run, params in (('a', 1e7), ('b', 2e7)):
        folder = tmp_path / 'scores' / run
        folder.mkdir(parents=True)
        for task in ('lambada', 'sciq'):
            lines = [f'{run},{params},1e9,{task},{at},{0.5 * at},1,4,0' for at in range(1, 4)]
            (folder / f'{task}.csv').write_text(
                '\n'.join(['run,params,tokens,task,question,nll,n_tokens,n_bytes,greedy', *lines])
            )
    tabulate_scores(tmp_path, k=(1, 4))
    rows = read_observations(tmp_path / 'observations.csv')
    assert len(rows) == 8 and set(rows.measure.tolist()) == {'likelihood'}
    four = where(rows, (rows.run == 'a') & (rows.task == 'sciq') & (rows.k == 4))
    chance = np.exp(-0.5 * np.arange(1, 4))
    assert four.pass_at_k[0] == pytest.approx(np.mean(1 - (1 - chance) ** 4))


def test_a_table_is_reported_by_one_command(tmp_path, capsys):
    write_observations(tmp_path / 'mine.csv', grid(ks=(1, 4, 16)))
    out = tmp_path / 'study'
    assert main(['report', str(tmp_path / 'mine.csv'), '--inference-flops', '2e9', '--workdir', str(out)]) == 0
    html = (out / 'report' / 'index.html').read_text(encoding='utf-8')
    assert 'FLOPs per served token' in html and (out / 'report' / 'figure_3_isoflop.pdf').exists()
    assert isinstance(load_study(out), Ladder)
    assert main(['plan', str(out), '--train-flops', '1e18', '--inference-flops', '2e9']) == 0
    capsys.readouterr()
    # another table does not go into that folder
    write_observations(tmp_path / 'other.csv', grid(ks=(1, 4, 16)))
    assert main(['report', str(tmp_path / 'other.csv'), '--inference-flops', '2e9', '--workdir', str(out)]) == 2
    assert 'holds another config (observations' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['report', '{}/mine.csv'], 'give --inference-flops, the budget of all samples per served token'),
        (['report', '{}', '--inference-flops', '1e9'], '--inference-flops is for a table'),
        (['report', '{}'], 'study.json, which is not there'),
        (['study', '{}/study.py', '--stage', 'train'], "a Ladder has no stage 'train'; it has data, fit, report"),
        (['study', '{}/study.py'], 'there is no table nowhere.csv; give the path of a CSV or Parquet file'),
        (['study', '{}/study.py', '--workdir', 'gs://bucket/x'], 'is in a bucket; copy its scores to a folder'),
        (['study', '{}/none.py'], "no reader 'excel'; there are table, porian"),
        (['study', '{}/odd.py'], "choice is () for reader 'pythia'; it takes benchmark"),
        (['study', '{}/study.py', '--inference-flops', 'inf'], 'a budget has to be above 0 and finite'),
        (['study', '{}/study.py', '--stage', 'fit'], 'is not the workdir of this study yet; run its first stage'),
        (['study', '{}/two.py'], 'texts.csv has losses of c4 and rw; Chinchilla is fitted to those of one text'),
        (['study', '{}/twice.py'], 'has nll at k = 1 alone, as losses have'),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, arguments, words):
    write_observations(tmp_path / 'mine.csv', grid(ks=(1, 4)))
    head = 'from t2jax.ladder import Ladder, Source\n'
    work = tmp_path / 'work'
    (tmp_path / 'study.py').write_text(f"{head}STUDY = Ladder({str(work)!r}, 1e9, losses=(Source('nowhere.csv'),))\n")
    (tmp_path / 'none.py').write_text(f"{head}STUDY = Ladder('x', 1e9, losses=(Source('a.xls', 'excel'),))\n")
    (tmp_path / 'odd.py').write_text(f"{head}STUDY = Ladder('x', 1e9, losses=(Source('a.csv', 'pythia'),))\n")
    one = losses_of(grid())
    texts = [replace(one, task=np.full(len(one), text)) for text in ('c4', 'rw')]
    write_observations(tmp_path / 'texts.csv', concatenate(texts))
    write_observations(tmp_path / 'once.csv', one)
    texts, once = (f'(Source({str(tmp_path / name)!r}),)' for name in ('texts.csv', 'once.csv'))
    ladders = {'two': f'losses={texts}', 'twice': f'observations={once}, losses={once}'}
    for name, tables in ladders.items():
        (tmp_path / f'{name}.py').write_text(f'{head}STUDY = Ladder({str(work)!r}, 1e9, {tables})\n')
    assert main([argument.format(tmp_path) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count('\n') == 1
    assert not (tmp_path / 'report').exists() and not work.exists() and not Path('out/mine').exists()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'observations': (), 'losses': ()}, 'a ladder needs a table'),
        ({'inference_flops': 0.0}, 'a budget has to be above 0'),
        ({'laws': {'refits': -1}}, 'laws.refits is -1'),
    ],
)
def test_what_a_ladder_cannot_be(change, words):
    given = {'workdir': 'x', 'inference_flops': 1.0, 'losses': (Source('a.csv'),)} | change
    with pytest.raises(ValueError, match=words):
        Ladder(**given | ({'laws': LawSettings(**given['laws'])} if 'laws' in given else {}))


GRID = """
from t2jax.laws.settings import LawSettings
from t2jax.models.config import ModelConfig
from t2jax.pretraining import Cell, Grid
from t2jax.training.recipe import Recipe

MODEL = ModelConfig(12, 16, 2, 4, 8)
GRID = Grid(
    workdir='gs://bucket/grid',
    tokens='gs://bucket/tokens',
    seed=0,
    recipe=Recipe(batch_sequences=8, sequence_length=8, learning_rate=1e-2, warmup_tokens_per_param=0.1),
    runs=tuple(Cell(f'r{at}', MODEL, 1e6 + at) for at in range(16)),
    laws=LawSettings(starts=24, refits=0, overtrained_from=300.0),
)
"""


def test_a_grid_goes_on_from_its_scores_and_is_redrawn_alone(tmp_path, capsys):
    """The later stages of a grid: scores of `t2jax score` in, fits and report out; the run without scores is listed."""
    (tmp_path / 'grid.py').write_text(GRID)
    out, chances = tmp_path / 'out', np.random.default_rng(0).uniform(-1, 1, 12)
    command = ['study', str(tmp_path / 'grid.py'), '--workdir', str(out)]
    assert main([*command, '--stage', 'report']) == 2 and not out.exists()
    assert main(command) == 2 and not out.exists()
    assert 'has no scores; `t2jax score' in capsys.readouterr().err
    once = grid(ks=(1,))
    for at, (params, tokens, nll) in enumerate(zip(once.params, once.tokens, once.nll)):
        (out / 'scores' / f'r{at}').mkdir(parents=True)
        rows = [f'r{at},{params},{tokens},sciq,{q},{nll + one:.6f}' for q, one in enumerate(chances)]
        text = '\n'.join(['run,params,tokens,task,question,nll', *rows]) + '\n'
        (out / 'scores' / f'r{at}' / 'sciq.csv').write_text(text)
    assert main(command) == 0
    page = out / 'report' / 'index.html'
    assert 'Not measured yet: 1 run (r15).' in page.read_text(encoding='utf-8')
    assert {path.stem for path in (out / 'fits').iterdir()} == {'chinchilla', 't2-nll', 't2-accuracy'}
    before = page.read_bytes()
    page.unlink()
    fits = [path.stat().st_mtime_ns for path in (out / 'fits').iterdir()]
    assert main([*command, '--stage', 'report']) == 0
    assert [path.stat().st_mtime_ns for path in (out / 'fits').iterdir()] == fits
    assert page.read_bytes() == before and load_study(out).slice == 'v5e:4x4'
