"""The plan: what every law buys, its bands against refits made one by one, its alternatives, and what it says."""

import json

import numpy as np
import pytest
from made_up import make_fit

from t2jax.laws.allocation import allocate
from t2jax.laws.bands import band
from t2jax.laws.budgets import EndToEnd, Separate
from t2jax.laws.forms import CHINCHILLA, T2_ACCURACY, T2_NLL
from t2jax.laws.hardware import BandwidthPrice, TransformerPrice
from t2jax.laws.plan import plan
from t2jax.laws.prices import MeasuredPrice, samples_cost
from t2jax.laws.record import Fit
from t2jax.laws.selection import MajorityVote, Verifier

LOSS = {'E': 2.0, 'A': 400.0, 'B': 400.0, 'alpha': 0.34, 'beta': 0.28}
THETAS = {'theta0': 2.0, 'theta1': 1.5, 'theta2': 0.8, 'theta3': 1.0, 'theta4': -0.2}
PARAMETERS = {CHINCHILLA: LOSS, T2_NLL: LOSS | {'G': 3.0, 'gamma': 0.3}, T2_ACCURACY: LOSS | THETAS}
SIZES = tuple(np.geomspace(5e6, 9e8, 16).tolist())
APART, TOGETHER = Separate(1e20, 2e9), EndToEnd(1e21, 1e12)


def fit_of(law, refits=40, noise=0.03, **changes):
    rng = np.random.default_rng(1)
    parameters = PARAMETERS[law]
    draw = lambda value: tuple((value * np.exp(noise * rng.normal(size=refits))).tolist())
    given = {'params_range': (5e6, 9e8), 'tokens_per_param_range': (1.0, 1e9), 'sizes': SIZES} | changes
    given['resampled'] = 'runs' if refits else ''
    given['replicates'] = {name: draw(value) for name, value in parameters.items()} if refits else {}
    return make_fit(law.name, parameters, **given)


@pytest.fixture(scope='module')
def fits():
    return [fit_of(law) for law in PARAMETERS]


def one_by_one(fit, budget):
    """Allocate under each refit."""
    rows = zip(*fit.replicates.values())
    refits = [Fit(**{**vars(fit), 'parameters': dict(zip(fit.replicates, row)), 'replicates': {}}) for row in rows]
    return [allocate(refit, budget) for refit in refits]


@pytest.mark.parametrize('budget', [APART, TOGETHER], ids=['apart', 'together'])
def test_every_law_buys_its_optimum_in_whole_samples_too(fits, budget):
    found = plan(fits, budget)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found['choices']) == [law.name for law in PARAMETERS] and found['warnings'] == []
    assert found['budget'] == vars(budget) and found['selection'] == 'coverage'
    for fit in fits[1:]:
        choice, best = found['choices'][fit.law], allocate(fit, budget)
        for name in ('params', 'tokens', 'tokens_per_param', 'samples', 'value', 'target'):
            assert choice[name] == best[name]
        whole = allocate(fit, budget, integer=True)
        assert {name: choice['whole'][name] for name in ('params', 'tokens', 'samples', 'value')} == {
            name: whole[name] for name in ('params', 'tokens', 'samples', 'value')
        }
        assert isinstance(choice['whole']['samples'], int) and choice['params_range'] == [5e6, 9e8]
        at = (choice['whole'][name] for name in ('params', 'tokens', 'samples'))
        assert choice['whole']['value'] == pytest.approx(float(fit.predict(*at)), rel=1e-12)


@pytest.mark.parametrize('budget', [APART, TOGETHER], ids=['apart', 'together'])
@pytest.mark.parametrize('law', [T2_NLL, T2_ACCURACY])
def test_bands_are_those_of_refits_made_one_by_one(law, budget):
    fit = fit_of(law)
    bands, singly = plan([fit], budget)['choices'][law.name]['bands'], one_by_one(fit, budget)
    assert set(bands) == {'params', 'tokens', 'tokens_per_param', 'samples', 'value'}
    best, refits = allocate(fit, budget), {name: np.array(values) for name, values in fit.replicates.items()}
    at_best = law.predict(refits, best['params'], best['tokens'], best['samples'], np)
    for name, found in bands.items():
        exact = band(at_best if name == 'value' else np.array([one[name] for one in singly]))
        # the samples of the refits are searched to about a percent in N
        tolerance = 1e-9 if name == 'value' else 0.05
        assert found['80'] == pytest.approx(exact['80'], rel=tolerance)
        assert found['95'] == pytest.approx(exact['95'], rel=tolerance)
        assert found['95'][0] <= found['80'][0] < found['80'][1] <= found['95'][1]


def test_a_refit_that_failed_is_left_out():
    fit = fit_of(T2_NLL)
    failed = {name: (*values, np.nan if name == 'G' else values[0]) for name, values in fit.replicates.items()}
    broken = Fit(**{**vars(fit), 'replicates': failed})
    with_it, without = (plan([one], APART)['choices']['t2-nll'] for one in (broken, fit))
    assert with_it == without and with_it['refits'] == 40


def test_a_band_is_a_central_interval():
    assert band(np.array([*range(1, 102), np.nan])) == {'80': [11, 91], '95': pytest.approx([3.5, 98.5])}
    assert band(np.array([np.nan])) == {}


def test_chinchilla_is_judged_at_equal_budgets(fits):
    found = plan(fits, Separate(1e20, 2e10))['choices']
    own = allocate(fits[0], Separate(1e20))
    assert found['chinchilla']['params'] == own['params'] and found['chinchilla']['chinchilla'] is None
    assert found['chinchilla']['samples'] == pytest.approx(2e10 / 2 / own['params'])
    k = int(2e10 / 2 / own['params'])
    assert found['chinchilla']['whole']['samples'] == k == 15
    assert set(found['chinchilla']['bands']) == {'params', 'tokens', 'tokens_per_param', 'value'}
    for fit, sign in zip(fits[1:], (1, -1)):
        choice = found[fit.law]
        pick, bought = choice['chinchilla'], choice['whole']
        assert (pick['by'], pick['params'], pick['samples']) == ('chinchilla', own['params'], k)
        assert pick['value'] == pytest.approx(float(fit.predict(own['params'], own['tokens'], k)))
        assert pick['worse_by'] == pytest.approx(sign * (pick['value'] - bought['value'])) and pick['worse_by'] > 0
        singly = []
        for row in zip(*fit.replicates.values()):
            refit = Fit(**{**vars(fit), 'parameters': dict(zip(fit.replicates, row))})
            values = [refit.predict(c['params'], c['tokens'], c['samples']) for c in (pick, bought)]
            singly.append(float(sign * (values[0] - values[1])))
        assert pick['bands'] == {level: pytest.approx(ends, rel=1e-9) for level, ends in band(np.array(singly)).items()}
        assert pick['better_in'] == np.mean(np.array(singly) < 0)


def test_without_chinchillas_fit_the_law_is_asked_for_one_sample(fits):
    pick = plan(fits[1:2], Separate(1e20, 2e10))['choices']['t2-nll']['chinchilla']
    assert pick['by'] == 't2-nll'
    assert pick['params'] == pytest.approx(allocate(fits[1], Separate(1e20))['params'])
    assert pick['samples'] == 15
    too_large = plan(fits, Separate(1e22, 2e9))['choices']['t2-nll']['chinchilla']
    assert too_large['samples'] == 0
    assert [too_large[name] for name in ('value', 'worse_by', 'bands', 'better_in')] == [None] * 4


def test_chinchilla_spends_one_budget_as_the_law_does(fits):
    choice = plan(fits, EndToEnd(1e21, 1e10))['choices']['t2-nll']
    bought, pick = choice['whole'], choice['chinchilla']
    spent = 6 * bought['params'] * bought['tokens']
    assert 6 * pick['params'] * pick['tokens'] == pytest.approx(spent)
    assert pick['samples'] == int((1e21 - spent) / 1e10 / (2 * pick['params'])) > 1
    single = plan(fits, EndToEnd(1e21, 1e10))['choices']['chinchilla']
    assert single['samples'] == single['whole']['samples'] == 1
    assert 6 * single['params'] * single['tokens'] + 1e10 * 2 * single['params'] == pytest.approx(1e21)


@pytest.mark.parametrize('budget', [APART, TOGETHER], ids=['apart', 'together'])
@pytest.mark.parametrize('law', [T2_NLL, T2_ACCURACY])
def test_the_second_best_is_the_best_other_size_trained(law, budget):
    fit, sign = fit_of(law), 1 if law is T2_NLL else -1
    choice = plan([fit], budget)['choices'][law.name]
    second, values = choice['second_best'], {}
    for size in SIZES:
        for k in range(1, 3000):
            left = 1e20 if budget is APART else 1e21 - 1e12 * 2 * size * k
            if left <= 0 or (budget is APART and 2 * size * k > 2e9):
                break
            values[size, k] = sign * float(fit.predict(size, left / (6 * size), k))
    assert (second['params'], second['samples']) == min(values, key=values.get)
    assert second['value'] == pytest.approx(sign * min(values.values()))
    assert (
        second['worse_by'] == pytest.approx(sign * (second['value'] - choice['whole']['value']))
        and second['worse_by'] > 0
    )
    assert 0 <= second['better_in'] < 1 and second['bands']['80'][0] < second['worse_by'] < second['bands']['80'][1]


def test_a_size_really_trained_is_not_its_own_second_best():
    best = plan([fit_of(T2_NLL)], APART)['choices']['t2-nll']['whole']['params']
    beside = fit_of(T2_NLL, sizes=(5e6, best * 1.001, 9e8))
    assert plan([beside], APART)['choices']['t2-nll']['second_best']['params'] in (5e6, 9e8)
    assert plan([fit_of(T2_NLL, sizes=(best,))], APART)['choices']['t2-nll']['second_best'] is None
    assert plan([fit_of(T2_NLL, sizes=(5e9,))], APART)['choices']['t2-nll']['second_best'] is None  # pays no sample


@pytest.mark.parametrize('budget', [APART, TOGETHER], ids=['apart', 'together'])
def test_the_curve_is_the_best_that_each_size_can_do(budget):
    fit = fit_of(T2_NLL)
    choice = plan([fit], budget)['choices']['t2-nll']
    curve = {name: np.array(values) for name, values in choice['curve'].items()}
    assert 90 <= len(curve['params']) <= 100 and np.all(np.diff(curve['params']) > 0)
    assert np.all(curve['low'] < curve['value']) and np.all(curve['value'] < curve['high'])
    assert np.all(curve['value'] >= choice['value'])
    assert curve['params'][curve['value'].argmin()] == pytest.approx(choice['params'], rel=0.1)
    for i in range(0, len(curve['params']), 20):
        size = curve['params'][i]
        k = np.geomspace(1, 0.999 * 5e8 / size, 20001) if budget is TOGETHER else np.array([1e9 / size])
        left = 1e21 - 1e12 * 2 * size * k if budget is TOGETHER else 1e20
        assert curve['value'][i] == pytest.approx(fit.predict(size, left / (6 * size), k).min(), rel=1e-6)


def test_warnings_say_what_is_not_known():
    said = plan([fit_of(T2_NLL, refits=0)], APART)['choices']['t2-nll']
    assert said['bands'] is None and said['refits'] == 0 and said['curve']['low'] is None
    assert said['second_best']['bands'] is None and said['chinchilla']['better_in'] is None
    assert said['warnings'] == [
        'the fit holds no bootstrap refits, so there are no bands: `t2jax fit TABLE --law t2-nll --out fit.json` gives '
        'bands; for a study TABLE is WORKDIR/observations.csv'
    ]
    best = said['params']
    narrow = {'params_range': (best, 9e8), 'k_range': (1.0, 2.0), 'tokens_per_param_range': (1.0, 20.0)}
    told = plan([fit_of(T2_NLL, train_flops_range=(1e16, 1e19), warnings=('made up',), **narrow)], APART)
    told = told['choices']['t2-nll']['warnings']
    assert told[0] == 'made up'
    assert [sentence.split(' is outside')[0].rsplit(' ', 1)[0] for sentence in told[1:4]] == [
        'tokens per parameter',
        'training FLOPs',
        'samples',
    ]
    assert told[4] == f'the optimum is the smallest size trained, {best:.4g}: nothing measured lies beyond it'
    torn = plan([fit_of(T2_NLL, noise=1.0)], APART)['choices']['t2-nll']['warnings']
    assert any('of the refits choose a size at the edge of those considered' in sentence for sentence in torn)
    once = plan([fit_of(T2_NLL)], EndToEnd(1e20, 3e13))['choices']['t2-nll']
    assert once['whole']['samples'] == 1 and 'the optimum draws one sample: the law predicts' in once['warnings'][-1]


def test_a_vote_that_does_harm_is_not_taken(fits):
    for budget in (Separate(1e20, 2e10), EndToEnd(1e21, 1e10)):
        choice = plan([fits[0], fits[2]], budget, selection=MajorityVote())['choices']['t2-accuracy']
        assert choice['whole']['samples'] == choice['second_best']['samples'] == 1
        assert choice['chinchilla']['samples'] == int(isinstance(budget, Separate))  # else it is not paid one
        assert any(said.startswith('the optimum draws one sample') for said in choice['warnings'])
    free = plan(fits[2:], Separate(1e20), selection=MajorityVote())['choices']['t2-accuracy']
    assert free['samples'] == 1 and not any('one sample' in said for said in free['warnings'])


@pytest.mark.parametrize(('selection', 'most'), [(Verifier(1.0, 0.05), 100), (MajorityVote(), 20)])
def test_a_slow_selection_is_chosen_by_fewer_refits_and_says_so(selection, most):
    fit = fit_of(T2_ACCURACY, refits=101)
    first = Fit(**{**vars(fit), 'replicates': {name: values[:most] for name, values in fit.replicates.items()}})
    slow, same = (plan([one], APART, selection=selection)['choices']['t2-accuracy'] for one in (fit, first))
    assert slow['refits'] == most and slow['bands'] == same['bands']
    sentence = f'the bands are of the first {most} of 101 refits, so that the answer comes at once'
    assert sentence in slow['warnings'] and not any('of the first' in said for said in same['warnings'])
    assert plan([fit], APART)['choices']['t2-accuracy']['refits'] == 101


def test_a_pick_beyond_the_data_is_said():
    narrow = [fit_of(law, params_range=(5e6, 2e8)) for law in (CHINCHILLA, T2_NLL)]
    pick = plan(narrow, Separate(1e20, 2e10))['choices']['t2-nll']['chinchilla']
    assert pick['warnings'] == [
        f'model size {pick["params"]:.4g} is outside the 5e+06 to 2e+08 that chinchilla was fitted to'
    ]


@pytest.mark.parametrize(
    'price',
    [
        TransformerPrice(prompt=500, answer=100),
        BandwidthPrice(TransformerPrice(prompt=500, answer=100), 'v5e', batch=32),
        MeasuredPrice((1e6, 1e8, 1e9), (5e4, 5e3, 5e2), answer=100),
    ],
    ids=lambda price: price.unit,
)
def test_other_prices_plan_too(price, fits):
    budget = Separate(1e20, float(samples_cost(price, 3e8, 8)))
    found = plan(fits, budget, price=price)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found['price']['unit'] == price.unit and found['price']['served'] == 'question'
    whole = found['choices']['t2-nll']['whole']
    assert samples_cost(price, whole['params'], whole['samples']) <= budget.inference * (1 + 1e-6)
    assert price.per_training_token(whole['params']) * whole['tokens'] == pytest.approx(1e20)


def test_a_selection_leaves_out_the_laws_that_cannot_predict_it(fits):
    found = plan([fits[0], fits[1], fits[2]], APART, selection=Verifier(1.0, 0.05))
    assert list(found['choices']) == ['chinchilla', 't2-accuracy']
    assert found['choices']['t2-accuracy']['target'] == 'success'
    assert len(found['warnings']) == 1 and found['warnings'][0].startswith('t2-nll does not say how success is spread')
    with pytest.raises(ValueError, match='t2-nll does not say how success is spread'):
        plan(fits[:2], APART, selection=MajorityVote())


def test_what_cannot_be_planned_is_refused(fits):
    with pytest.raises(ValueError, match='there is no fit to plan with; give at least one'):
        plan([], APART)
    with pytest.raises(ValueError, match='the fits are of t2-nll, t2-nll; give one fit of each law'):
        plan([fits[1], fits[1]], APART)
    with pytest.raises(ValueError, match='inference_flops 2 pays no sample of even the smallest model considered'):
        plan(fits, Separate(1e20, 2.0))
    alone = plan(fits[:1], Separate(1e20, 2.0))['choices']['chinchilla']
    assert alone['whole']['samples'] == 0
