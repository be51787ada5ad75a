"""Prices: parity with exact counts, published formulas, units that agree, and tables that do not."""

import csv
from pathlib import Path

import numpy as np
import pytest

from t2jax import costs
from t2jax.chips import TPUS
from t2jax.laws.budgets import EndToEnd, Separate, largest_size, sizes_paid, whole
from t2jax.laws.hardware import BandwidthPrice, TransformerPrice
from t2jax.laws.prices import MeasuredPrice, MoneyPrice, PaperPrice, read_measured, samples_cost, samples_paid
from t2jax.laws.shapes import PORIAN_LADDER, Shape, shape_of
from t2jax.models.config import ModelConfig

DATA = Path(__file__).parents[2].parent / 'shared' / 'data'
SIZES = np.geomspace(5.2e6, 9e8, 57)
MEASURED = MeasuredPrice((1e6, 1e7, 1e8), (1000.0, 500.0, 50.0), (4e5, 4e4, 4e3), answer=10)
PRICES = {
    'paper': PaperPrice(50),
    'transformer': TransformerPrice(prompt=300, answer=50),
    'bandwidth': BandwidthPrice(TransformerPrice(prompt=300, answer=50), 'v5e', batch=64),
    'measured': MEASURED,
    'money': MoneyPrice(MEASURED, 1.2 / 3600),
}


@pytest.mark.parametrize('price', PRICES.values(), ids=PRICES)
def test_a_budget_pays_what_its_samples_cost(price):
    cost = samples_cost(price, SIZES, 7.0)
    assert samples_paid(price, SIZES, cost) == pytest.approx(np.full(len(SIZES), 7.0))
    assert np.all(np.diff(cost) > 0) and np.all(np.diff(price.per_training_token(SIZES)) > 0)
    assert np.all(samples_cost(price, SIZES, 8.0) > cost)
    assert price.served == 'question' and price.name


def test_the_papers_price():
    price = PaperPrice()
    assert (price.per_training_token(1e6), price.per_question(1e6), price.per_sample(1e6)) == (6e6, 0, 2e6)
    assert price.served == 'token' and price.unit == price.train_unit == 'FLOPs'
    assert PaperPrice(50).per_sample(1e6) == 1e8


def test_the_ladder_is_porians():
    path = DATA / 't2_grid_106.csv'
    if not path.exists():
        pytest.skip('the table of the 106 checkpoints is not beside this repository')
    with path.open() as file:
        known = {(int(row['width']), int(row['depth']), int(row['N'])) for row in csv.DictReader(file)}
    ours = {(shape.d_model, shape.n_layers, costs.count_params(shape)) for shape in PORIAN_LADDER}
    assert len(ours) == 16 and ours == known


def test_transformer_prices_are_the_exact_counts_at_the_sizes_of_the_ladder():
    price = TransformerPrice(prompt=300, answer=50, context=1024)
    for shape in PORIAN_LADDER:
        model = ModelConfig(vocab=50432, d_model=shape.d_model, n_layers=shape.n_layers)
        params = float(costs.count_params(model))
        assert samples_cost(price, params, 12) == pytest.approx(costs.sample_flops(model, 300, 50, 12), rel=1e-9)
        per_token = costs.train_step_flops(model, 8, 1024) / (8 * 1024)
        assert price.per_training_token(params) == pytest.approx(per_token, rel=1e-9)
        assert price.warnings(params) == []
    assert price.warnings(1e10) == [
        'the width and depth of 1e+10 parameters are guessed: the ladder has 5.173e+06 to 9.017e+08'
    ]


def test_between_and_beyond_its_sizes_a_ladder_stays_a_ladder():
    params = np.geomspace(1e4, 1e12, 400)
    shape = shape_of(params)
    assert costs.count_params(shape) == pytest.approx(params, rel=1e-9)
    assert np.all(np.diff(shape.d_model) > 0) and np.all(np.diff(shape.n_layers * shape.d_model) > 0)
    beyond = shape_of(np.array([1e10, 1e11]))  # all but the head grows as d^2 depth
    assert beyond.d_model[1] / beyond.d_model[0] == pytest.approx(10 ** (1 / 3), rel=0.01)
    below = shape_of(np.array([1e4, 1e5]))  # all but the head vanishes
    assert below.d_model[1] / below.d_model[0] == pytest.approx(10, rel=0.02)
    with pytest.raises(ValueError, match='they have to ascend and share one vocabulary'):
        shape_of(1e7, PORIAN_LADDER[::-1])
    with pytest.raises(ValueError, match='they have to ascend and share one vocabulary'):
        shape_of(1e7, (*PORIAN_LADDER, Shape(32000, 2048, 32, 5632)))


def test_eflops_are_those_of_kinetics():
    """arXiv 2506.05333: 2 N T + (2 P + T) T kv of computing a sample, I (2 P + n T) T kv of reading, for long T."""
    prompt, answer, n = 4096, 8192, 16
    shape = PORIAN_LADDER[-1]
    params, kv = float(costs.count_params(shape)), 2 * shape.d_model * shape.n_layers  # kv: numbers cached per token
    price = BandwidthPrice(TransformerPrice(prompt=prompt, answer=answer), 'v5p', batch=10**9)
    intensity = 459e12 / 2.765e12
    reading = samples_cost(price, params, n) - samples_cost(price.work, params, n)
    assert reading == pytest.approx(intensity * (2 * prompt + n * answer) * answer * kv, rel=1e-3)
    # our step looks at its whole cache, Kinetics' at what is written: T where they have T / 2
    computing = price.work.per_sample(params)
    assert computing == pytest.approx(2 * params * answer + (2 * prompt + 2 * answer) * answer * kv, rel=1e-3)


def test_the_params_are_read_once_for_a_batch():
    work = TransformerPrice(prompt=100, answer=33)
    alone, shared = (BandwidthPrice(work, 'v4', batch=batch) for batch in (1, 8))
    saved = alone.per_sample(1e8) - shared.per_sample(1e8)
    assert saved == pytest.approx(32 * 2 * 1e8 * (1 - 1 / 8) * 275e12 / 1.2e12)
    wide = BandwidthPrice(work, 'v4', batch=8, width=4)
    assert wide.per_sample(1e8) - work.per_sample(1e8) == pytest.approx(
        2 * (shared.per_sample(1e8) - work.per_sample(1e8))
    )
    assert shared.per_training_token(1e8) == work.per_training_token(1e8)
    assert set(TPUS) == {'v4', 'v5e', 'v5p', 'v6e'}
    assert all(150 < chip.flops / chip.bandwidth < 600 for chip in TPUS.values())


def test_measured_seconds_go_through_the_table_and_beyond_it_only_with_a_word():
    assert MEASURED.per_sample(np.array([1e6, 1e7, 1e8])) == pytest.approx([0.01, 0.02, 0.2])
    assert MEASURED.per_sample(10**6.5) == pytest.approx(10 / np.sqrt(1000 * 500))
    assert MEASURED.per_training_token(1e7) == pytest.approx(1 / 4e4)
    assert MEASURED.per_sample(1e9) == pytest.approx(2.0)  # ten times slower than the largest
    assert MEASURED.per_sample(1e3) == pytest.approx(0.01)  # no faster than the smallest
    assert MEASURED.warnings(1e6) == MEASURED.warnings(3e7) == []
    for params in (9e5, 2e8):
        assert MEASURED.warnings(params)[0].endswith('is guessed: measured were 1e+06 to 1e+08')
    assert MEASURED.unit == MEASURED.train_unit == 'seconds'
    untrained = MeasuredPrice((1e6, 1e7), (1000.0, 500.0))
    assert untrained.train_unit == 'FLOPs' and untrained.per_training_token(1e7) == 6e7
    assert untrained.served == 'token'


def test_money_is_another_price_times_its_rate():
    price, of = PRICES['money'], MEASURED
    assert price.unit == price.train_unit == 'dollars'
    assert price.per_sample(1e7) == pytest.approx(of.per_sample(1e7) * 1.2 / 3600)
    assert price.per_training_token(1e7) == pytest.approx(of.per_training_token(1e7) * 1.2 / 3600)
    assert price.warnings(1e9) == of.warnings(1e9) != []
    prompt = TransformerPrice(prompt=30, answer=5)
    assert MoneyPrice(prompt, 1e-17).per_question(1e7) == pytest.approx(1e-17 * prompt.per_question(1e7))
    with pytest.raises(ValueError, match='samples cost seconds but training costs FLOPs'):
        MoneyPrice(MeasuredPrice((1e6, 1e7), (1000.0, 500.0)), 1.0)


def test_speeds_are_read_from_a_table(tmp_path):
    path = tmp_path / 'speeds.csv'
    path.write_text('params,tokens_per_second,note\n1e8,50,large\n1e6,1000,small\n')
    assert read_measured(path, 10) == MeasuredPrice((1e6, 1e8), (1000.0, 50.0), answer=10)
    path.write_text('params,tokens_per_second,train_tokens_per_second\n1e6,1000,9\n1e8,50,8\n')
    assert read_measured(path).train_tokens_per_second == (9.0, 8.0)


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('params,speed\n1e6,3\n', 'column tokens_per_second is missing'),
        ('params,tokens_per_second\n1e6,fast\n1e7,3\n', "line 2: tokens_per_second is 'fast'; it has to be a number"),
        ('params,tokens_per_second\n1e6,0\n1e7,3\n', 'holds a number that is not finite and above 0'),
        ('params,tokens_per_second\n1e6,\n1e7,3\n', 'holds a number that is not finite and above 0'),
        ('params,tokens_per_second\n1e6,3\n', 'needs at least two sizes and a speed for each'),
        ('params,tokens_per_second\n1e6,3\n1e6,4\n', 'have to ascend, each of them once'),
    ],
)
def test_a_table_of_speeds_that_is_none_is_refused(tmp_path, text, sentence):
    path = tmp_path / 'speeds.csv'
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence) as error:
        read_measured(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ('make', 'sentence'),
    [
        (lambda: PaperPrice(0), 'answer is 0; it has to be a finite number above 0'),
        (lambda: TransformerPrice(prompt=10, answer=1), 'the first comes with the prompt: give at least 2'),
        (lambda: TransformerPrice(prompt=0, answer=9), 'prompt is 0; it has to be'),
        (lambda: BandwidthPrice(TransformerPrice(9, 9), 'v9', 1), "no constants for chip 'v9'; choose one of v4, v5e"),
        (lambda: BandwidthPrice(TransformerPrice(9, 9), 'v4', 0), 'batch is 0; it has to be'),
        (lambda: MoneyPrice(PaperPrice(), -1.0), 'dollars is -1; it has to be'),
    ],
)
def test_a_price_of_nothing_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_what_budgets_pay():
    apart, together = Separate(6e18, 2e9), EndToEnd(6e18, 1e9)
    assert apart.tokens(PaperPrice(), 1e8, 3.0) == pytest.approx(1e10)
    assert apart.most_samples(PaperPrice(), 1e8) == pytest.approx(10)
    assert Separate(6e18).most_samples(PaperPrice(), 1e8) == 1
    assert together.most_samples(PaperPrice(), 1e8) == pytest.approx(30)
    assert together.tokens(PaperPrice(), 1e8, 10.0) == pytest.approx((6e18 - 1e9 * 2e9) / 6e8)
    assert together.tokens(PaperPrice(), 1e8, 30.0) == pytest.approx(0)
    largest = np.exp(largest_size(apart, PaperPrice(), [1, 10, 1e3, 1e5], 1e5, 1e8))
    assert largest == pytest.approx([1e8, 1e8, 1e6, 0])
    assert whole([2.9999999999, 2.999, 3.0]).tolist() == [3, 2, 3]


@pytest.mark.parametrize(
    ('budget', 'price', 'sentence'),
    [
        (
            Separate(1e20, 2e3),
            PaperPrice(),
            r'inference_flops 2000 .* but at most one of 1000 parameters; .* than 2e\+05',
        ),
        (EndToEnd(2e9, 1e6), PaperPrice(), r'total_flops 2e\+09 .* but at most one of 1000 parameters; .* than 2e\+11'),
        (Separate(1e20, 1e-3), MEASURED, r'inference_seconds 0.001 .* \(100000 parameters\); give more than 0.01'),
        (Separate(5.0, 1e9), PaperPrice(), 'less than one training token for the smallest model considered, 100000'),
        (EndToEnd(2e11 + 1, 1e6), PaperPrice(), 'less than one training token'),
        (Separate(np.nan, 1.0), MEASURED, 'train_seconds is nan; a budget has to be a finite number above 0'),
        (EndToEnd(1e20, 0), PaperPrice(), 'questions is 0; a budget has to be'),
        (EndToEnd(-1, 5), PRICES['money'], 'total_dollars is -1; a budget has to be'),
    ],
)
def test_a_budget_that_no_model_meets_is_refused(budget, price, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        sizes_paid(budget, price, 1e5, 1e12)
    assert '\n' not in str(error.value)
