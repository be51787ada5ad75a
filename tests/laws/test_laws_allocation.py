"""Allocation: closed forms, published numbers, brute force, whole samples, and what a budget cannot buy."""

import numpy as np
import pytest
from made_up import make_fit

from t2jax.laws.allocation import allocate, best_allocation, cheapest, problem_of, size_ceiling
from t2jax.laws.budgets import EndToEnd, Separate
from t2jax.laws.forms import CHINCHILLA, LOG_BILINEAR, T2_ACCURACY, T2_NLL
from t2jax.laws.hardware import BandwidthPrice, TransformerPrice
from t2jax.laws.prices import PAPER, MeasuredPrice, PaperPrice, samples_cost, samples_paid
from t2jax.laws.problem import EXACT, minimise
from t2jax.laws.selection import MajorityVote, Verifier

TOY = {'E': 2.0, 'A': 400.0, 'B': 400.0, 'alpha': 0.34, 'beta': 0.28, 'G': 3.0, 'gamma': 0.3}
# a task so hard that no budget below saturates it
HARD = {name: TOY[name] for name in ('E', 'A', 'B', 'alpha', 'beta')}
HARD |= {'theta0': 2.0, 'theta1': 1.5, 'theta2': 0.8, 'theta3': 1.0, 'theta4': -0.2}
# Sardana et al. (arXiv 2401.00448): Hoffmann et al.'s coefficients, with more digits
SARDANA = {'E': 1.69337368, 'A': 406.401018, 'B': 410.722827, 'alpha': 0.33917084, 'beta': 0.2849083}


def fit_of(law, parameters, **changes):
    return make_fit(law.name, parameters, **changes)


@pytest.mark.parametrize('train_flops, params', [(1e19, 2.631e7), (1e21, 3.646e7), (1e23, 4.039e7)])
def test_the_toy_law_allocates_as_agreed(train_flops, params):
    best = best_allocation(fit_of(T2_NLL, TOY), train_flops=train_flops, inference_flops=2e9)
    assert best['params'] == pytest.approx(params, rel=2e-4)
    assert best['samples'] == pytest.approx(1e9 / best['params'])
    assert best['tokens'] == pytest.approx(train_flops / 6 / best['params'])
    assert best['tokens_per_param'] == pytest.approx(best['tokens'] / best['params'])
    assert (best['train_flops'], best['inference_flops'], best['target']) == (train_flops, 2e9, 'nll')
    at = (best['params'], best['tokens'], best['samples'])
    assert best['value'] == pytest.approx(float(T2_NLL.predict(TOY, *at, np)), rel=1e-12)
    assert best['warnings'] == []


@pytest.mark.parametrize('law', [CHINCHILLA, T2_NLL])
@pytest.mark.parametrize('flops', [1e17, 1e20, 1e23])
def test_a_single_pass_has_a_closed_form(law, flops):
    a, b = TOY['alpha'], TOY['beta']
    exact = (a * TOY['A'] / (b * TOY['B'])) ** (1 / (a + b)) * (flops / 6) ** (b / (a + b))
    best = best_allocation(fit_of(law, TOY), train_flops=flops)
    assert best['params'] == pytest.approx(exact, rel=1e-6)
    assert best['samples'] == 1.0 and best['inference_flops'] is None


def test_accuracy_is_maximised(planted):
    fit = fit_of(T2_ACCURACY, planted['t2-accuracy'], params_range=(6e3, 1.6e5))
    best = best_allocation(fit, train_flops=3.2e11, inference_flops=1e6)
    assert best['target'] == 'pass_at_k'
    params = np.geomspace(best['params'] / 50, min(best['params'] * 50, 5e5), 20001)
    values = fit.predict(params, 3.2e11 / 6 / params, 1e6 / 2 / params)
    assert best['value'] >= values.max()
    assert best['params'] == pytest.approx(params[values.argmax()], rel=1e-3)


def test_leaving_the_data_is_said():
    narrow = {'params_range': (1e7, 2e7), 'tokens_per_param_range': (1.0, 20.0), 'k_range': (64.0, 256.0)}
    fit = fit_of(T2_NLL, TOY, train_flops_range=(1e17, 1e18), **narrow)
    said = best_allocation(fit, train_flops=1e21, inference_flops=2e9)['warnings']
    assert [sentence.split(' is outside')[0].rsplit(' ', 1)[0] for sentence in said] == [
        'model size',
        'tokens per parameter',
        'training FLOPs',
        'samples',
    ]
    assert said[0].endswith('is outside the 1e+07 to 2e+07 that t2-nll was fitted to')
    single = best_allocation(fit, train_flops=1e18)['warnings']
    assert not any(sentence.startswith(('samples', 'training')) for sentence in single)


def test_an_optimum_at_the_edge_is_said():
    worse_when_small = TOY | {'B': 0.0, 'G': 0.0}
    free = best_allocation(fit_of(T2_NLL, worse_when_small), train_flops=1e20)
    assert free['params'] == pytest.approx(1e12)
    assert 'the optimum lies at the edge of the sizes considered, 1e+12 parameters' in free['warnings']
    bound = best_allocation(fit_of(T2_NLL, worse_when_small), train_flops=1e20, inference_flops=2e9)
    assert bound['params'] == pytest.approx(1e9) and bound['samples'] == pytest.approx(1.0)
    assert 'the optimum is the largest size of which the budget pays a sample, 1e+09 parameters' in bound['warnings']
    assert not any('at the edge' in sentence for sentence in bound['warnings'])


def test_a_budget_that_buys_nothing_is_refused():
    fit = fit_of(T2_NLL, TOY)
    with pytest.raises(
        ValueError,
        match=r'inference_flops 2000 pays no sample .* \(100000 parameters\) but at most one of 1000 .* than 2e\+05',
    ):
        best_allocation(fit, train_flops=1e20, inference_flops=2e3)
    for flops in (0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match='train_flops is .*; a budget has to be a finite number above 0'):
            best_allocation(fit, train_flops=flops)
        with pytest.raises(ValueError, match='inference_flops is .*; a budget has to be'):
            best_allocation(fit, train_flops=1e20, inference_flops=flops)


def test_the_ceiling_is_where_training_stops_to_matter():
    fit = fit_of(T2_NLL, TOY)
    ceiling = size_ceiling(fit, 2e9)
    assert ceiling == pytest.approx(4.206e7, rel=2e-4)
    a, g = TOY['alpha'], TOY['gamma']
    exact = (a * TOY['A'] / (g * TOY['G'] * (2 / 2e9) ** g)) ** (1 / (a + g))
    assert ceiling == pytest.approx(exact, rel=1e-6)
    reached = [best_allocation(fit, train_flops=c, inference_flops=2e9)['params'] for c in (1e21, 1e25, 1e29)]
    assert reached == sorted(reached) and reached[-1] < ceiling


def chinchilla_optimal_tokens(params):
    """D where 13e9 parameters are what their own training budget should buy."""
    ratio = SARDANA['beta'] * SARDANA['B'] / (SARDANA['alpha'] * SARDANA['A'])
    return (ratio * params ** SARDANA['alpha']) ** (1 / SARDANA['beta'])


def test_sardanas_13b_model_is_cheaper_at_7b():
    """A model as good as a Chinchilla-optimal 13B one, for 2T tokens served."""
    fit, tokens = fit_of(CHINCHILLA, SARDANA, params_range=(1e8, 1e11)), chinchilla_optimal_tokens(13e9)
    assert allocate(fit, Separate(6 * 13e9 * tokens))['params'] == pytest.approx(13e9, rel=1e-6)
    quality, spent = float(fit.predict(13e9, tokens, 1.0)), 6 * 13e9 * tokens + 2 * 13e9 * 2e12
    found = cheapest(fit, quality, 2e12)
    assert found['params'] == pytest.approx(7.12e9, rel=5e-3)
    assert spent - found['cost'] == pytest.approx(1.635e22, rel=5e-3)
    assert found['value'] == pytest.approx(quality, rel=1e-12) and found['samples'] == 1
    # the dual: what that much money buys best
    back = allocate(fit, EndToEnd(found['cost'], 2e12))
    assert back['params'] == pytest.approx(found['params'], rel=1e-6)
    assert back['value'] == pytest.approx(quality, rel=1e-9)


@pytest.mark.parametrize('price', [PaperPrice(), PaperPrice(50), TransformerPrice(prompt=200, answer=50)])
@pytest.mark.parametrize('law', [T2_NLL, T2_ACCURACY])
def test_one_budget_is_spent_best_by_brute_force(law, price):
    fit = fit_of(law, TOY if law is T2_NLL else HARD, params_range=(5e6, 9e8))
    budget = EndToEnd(1e20, 1e9)
    best = allocate(fit, budget, price=price)
    params, k = np.geomspace(5e5, 2e9, 1201)[:, None], np.geomspace(1, 1e4, 1201)
    tokens = (1e20 - 1e9 * samples_cost(price, params, k)) / price.per_training_token(params)
    sign = 1 if law is T2_NLL else -1
    values = np.where(tokens > 0, sign * fit.predict(params, np.maximum(tokens, 1.0), k), np.inf)
    i, j = np.unravel_index(values.argmin(), values.shape)
    assert sign * best['value'] <= values.min()
    assert best['params'] == pytest.approx(params[i, 0], rel=0.05)
    assert best['samples'] == pytest.approx(k[j], rel=0.05)
    spent = price.per_training_token(best['params']) * best['tokens']
    assert spent + 1e9 * samples_cost(price, best['params'], best['samples']) == pytest.approx(1e20)
    # two budgets split as the one was, with the same N, D and k to choose from, choose the same
    apart = allocate(fit, Separate(spent, (1e20 - spent) / 1e9), price=price)
    assert apart['value'] == pytest.approx(best['value'], rel=1e-6)


def test_one_budget_for_a_rare_question_draws_many_samples_and_for_a_frequent_one_a_single():
    rare, often = (allocate(fit_of(T2_NLL, TOY), EndToEnd(1e20, q)) for q in (1e3, 1e13))
    assert rare['samples'] > 1e6 and 1 <= often['samples'] < 2
    useless = fit_of(T2_NLL, TOY | {'G': 0.0})
    assert allocate(useless, EndToEnd(1e20, 1e10))['samples'] == pytest.approx(1.0, abs=1e-4)


def test_the_cheapest_way_to_a_value_undoes_the_best_value_for_a_budget():
    fit = fit_of(T2_NLL, TOY)
    best = allocate(fit, EndToEnd(1e21, 1e12))
    back = cheapest(fit, best['value'], 1e12)
    assert back['cost'] == pytest.approx(1e21, rel=1e-9)
    assert (back['params'], back['samples']) == pytest.approx((best['params'], best['samples']), rel=1e-4)
    with pytest.raises(ValueError, match='no model of 1e[+]05 to 1e[+]12 parameters reaches nll 2, however long'):
        cheapest(fit, 2.0, 1e12)
    for value, questions in ((4.0, 0.0), (np.nan, 1e12), (4.0, np.inf)):
        with pytest.raises(ValueError, match='both have to be finite, questions above 0'):
            cheapest(fit, value, questions)


@pytest.mark.parametrize('inference', [2e9, 1e8, 6e7, 2.5e7])
def test_whole_samples_are_the_best_by_brute_force(inference):
    """The last budgets pay few samples of models whose best size for one sample is below the limit."""
    fit = fit_of(T2_NLL, TOY, params_range=(1e6, 1e9))
    best = allocate(fit, Separate(1e17, inference), integer=True)
    values = {}
    for k in range(1, 121):
        if inference / (2 * k) > 1e5:
            params = np.geomspace(1e5, inference / (2 * k), 20001)
            values[k] = fit.predict(params, 1e17 / (6 * params), float(k)).min()
    k = min(values, key=values.get)
    assert best['samples'] == k
    assert best['value'] <= values[k] and best['value'] == pytest.approx(values[k], rel=1e-6)
    assert 2 * best['params'] * best['samples'] <= inference * (1 + 1e-6)


def test_whole_samples_of_one_budget_are_the_best_by_brute_force():
    fit = fit_of(T2_NLL, TOY)
    best = allocate(fit, EndToEnd(1e19, 1e11), integer=True)
    values = {}
    for k in range(1, 40):
        params = np.geomspace(1e5, 1e19 / 1e11 / (2 * k) * 0.999, 20001)
        values[k] = fit.predict(params, (1e19 - 1e11 * 2 * params * k) / (6 * params), float(k)).min()
    assert best['samples'] == min(values, key=values.get)
    assert best['value'] == pytest.approx(min(values.values()), rel=1e-6)


def test_no_model_of_less_than_a_sample_is_chosen_where_prices_rise_and_fall():
    """1.5M parameters cost more than the budget, 2M are measured to be cheaper, 4M cost more again."""
    price = MeasuredPrice((1e6, 1.5e6, 2e6, 4e6), (10.0, 0.5, 10.0, 0.5))
    fit = fit_of(T2_NLL, TOY | {'G': 0.0})
    for train in np.geomspace(1e14, 1e16, 21):
        for integer in (False, True):
            best = allocate(fit, Separate(train, 1.0), price=price, integer=integer)
            assert samples_paid(price, best['params'], 1.0) >= best['samples'] * (1 - 1e-8) >= 1 - 1e-8


def test_whole_samples_of_each_size_are_the_best_by_brute_force():
    fit, sizes = fit_of(T2_NLL, TOY), np.geomspace(5e6, 4e8, 23)
    problem = problem_of(fit, EndToEnd(1e21, 1e12))
    found = problem.whole_at_sizes(sizes)
    for size, k, value in zip(sizes, found.samples, found.value):
        ks = np.arange(1, np.ceil(5e8 / size))
        values = fit.predict(size, (1e21 - 1e12 * 2 * size * ks) / (6 * size), ks)
        assert k == ks[values.argmin()] and value == pytest.approx(values.min())


def test_a_guessed_price_is_said():
    price = MeasuredPrice((2e8, 1e9), (1e4, 1e3))
    found = allocate(fit_of(T2_NLL, TOY), Separate(1e19, 1e-2), price=price)
    assert 'is guessed: measured were 2e+08' in found['warnings'][-1]


def test_a_selection_moves_the_optimum_to_larger_models():
    fit = fit_of(T2_ACCURACY, HARD)
    budget = Separate(1e19, 2e9)
    perfect, by_check, by_vote = (
        allocate(fit, budget, selection=selection)
        for selection in (Verifier(1.0, 0.0), Verifier(1.0, 0.2), MajorityVote())
    )
    covered = allocate(fit, budget)
    assert perfect['params'] == pytest.approx(covered['params'], rel=1e-3)
    assert covered['params'] < by_check['params'] < by_vote['params']
    assert covered['value'] > by_check['value'] > by_vote['value']
    with pytest.raises(ValueError, match='t2-nll does not say how success is spread over questions'):
        allocate(fit_of(T2_NLL, TOY), budget, selection=MajorityVote())


@pytest.mark.parametrize('inference', [2e10, 2e9])
@pytest.mark.parametrize(
    ('selection', 'theta0'),
    [(MajorityVote(), 2.0), (Verifier(0.3, 0.6), 2.0), (MajorityVote(), 4.5)],
    ids=['vote', 'bad check', 'vote on an easy task'],
)
def test_where_more_samples_may_hurt_their_number_is_the_best_by_brute_force(selection, theta0, inference):
    fit = fit_of(T2_ACCURACY, HARD | {'theta0': theta0})
    problem = problem_of(fit, Separate(1e19, inference), selection=selection)
    best = allocate(fit, problem.budget, selection=selection, integer=True)
    k = np.arange(1.0, 160.0, 2.0)[:, None]  # a vote of one sample more is no better
    params = np.geomspace(1e6, inference / (2 * k[:, 0]), 301, axis=1)
    values = problem.value(params, 1e19 / (6 * params), k).max(1)
    assert best['samples'] == k[values.argmax(), 0] and best['value'] >= values.max() * (1 - 1e-9)
    assert best['value'] == pytest.approx(values.max(), rel=1e-4)
    fractional = allocate(fit, problem.budget, selection=selection)
    assert fractional['samples'] == pytest.approx(best['samples'], abs=1) and fractional['samples'] >= 1
    if theta0 == 2.0:
        assert best['samples'] == 1 and best['value'] == pytest.approx(0.1039, abs=5e-5)


def test_more_samples_than_rows_at_once_are_said():
    for batch in (8, 10_000):
        price = BandwidthPrice(TransformerPrice(prompt=500, answer=100), 'v5e', batch=batch)
        best = allocate(fit_of(T2_NLL, TOY), Separate(1e19, float(samples_cost(price, 3e7, 50.0))), price=price)
        assert 8 < best['samples'] < 10_000
        said = any('samples are more than the 8 rows decoded at once' in text for text in best['warnings'])
        assert said == (batch == 8) == any('decoded at once' in text for text in best['warnings'])


def test_a_law_of_compute_alone_goes_to_the_edge_and_says_so():
    fit = fit_of(LOG_BILINEAR, {'c0': 6.0, 'c1': -0.1, 'c2': -0.1, 'c3': 0.0})
    best = allocate(fit, Separate(1e19, 2e9))
    assert best['params'] == pytest.approx(1e5)
    assert any('at the edge' in sentence for sentence in best['warnings'])


def test_one_budget_needs_one_unit():
    price = MeasuredPrice((1e6, 1e9), (1e4, 1e2))
    sentence = 'training is priced in FLOPs and samples in seconds, so one budget cannot pay both'
    with pytest.raises(ValueError, match=sentence):
        allocate(fit_of(T2_NLL, TOY), EndToEnd(1e6, 1e3), price=price)
    with pytest.raises(ValueError, match=sentence):
        cheapest(fit_of(T2_NLL, TOY), 4.0, 1e3, price=price)


def test_a_search_finds_the_floor_of_a_slanted_valley():
    rng = np.random.default_rng(0)
    floors = rng.uniform(-8, 8, (50, 2))
    x0, y0 = floors.T[:, :, None]
    valley = lambda x, y: 100 * (x - x0 + y - y0) ** 2 + (x - x0) ** 2
    low, high = np.full((50, 2), -10.0), np.full((50, 2), 10.0)
    assert minimise(valley, low, high, EXACT) == pytest.approx(floors, abs=1e-6)
    assert minimise(valley, low, high, 6) == pytest.approx(floors, abs=0.1)


def test_refits_are_chosen_for_all_at_once_as_one_at_a_time():
    rng = np.random.default_rng(0)
    many = {name: value * np.exp(0.05 * rng.normal(size=(20, 1))) for name, value in TOY.items()}
    for budget in (Separate(1e20, 2e9), EndToEnd(1e20, 1e11)):
        problem = problem_of(fit_of(T2_NLL, TOY), budget, PAPER)
        together = type(problem)(problem.law, many, budget, PAPER, problem.selection, problem.low, problem.high)
        for i, params in enumerate(together.optimum().params):
            alone = fit_of(T2_NLL, {name: float(values[i, 0]) for name, values in many.items()})
            assert params == pytest.approx(allocate(alone, budget)['params'], rel=1e-6)
