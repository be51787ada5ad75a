import math

import pytest

from t2jax.plotting.labels import (
    human_count,
    human_flops,
    human_loss,
    human_percent,
    human_ratio,
    whole_samples,
)


@pytest.mark.parametrize(
    ('value', 'digits', 'text'),
    [
        (6036, 3, '6.04k'),
        (6036, 2, '6k'),
        (155_072, 3, '155k'),
        (999_960, 3, '1M'),
        (2.21e6, 3, '2.21M'),
        (901e6, 3, '901M'),
        (1.5e12, 3, '1.5T'),
        (200, 2, '200'),
        (0.25, 3, '0.25'),
        (0, 3, '0'),
        (math.nan, 3, '–'),
    ],
)
def test_counts(value, digits, text):
    assert human_count(value, digits) == text


@pytest.mark.parametrize(('value', 'text'), [(8e10, '8e10'), (1.6e11, '1.6e11'), (2.56e19, '2.56e19'), (1e6, '1e6')])
def test_flops(value, text):
    assert human_flops(value) == text


def test_shares_losses_and_ratios():
    assert [human_percent(share) for share in (0.6358, 0.0014, 0.0994, 1.0, 71.776, 0, None, math.nan)] == [
        '63.6 %',
        '0.14 %',
        '9.94 %',
        '100 %',
        '7,178 %',
        '0.0 %',
        '–',
        '–',
    ]
    assert [human_loss(loss) for loss in (1.2345, None)] == ['1.234', '–']
    assert [human_ratio(ratio) for ratio in (0.62, 14.3, 2927.9)] == ['0.6', '14', '2,928']


def test_samples_are_whole_and_rounded_down():
    # 48 draws cost exactly the budget; a rounding error in k must not lose one.
    assert [whole_samples(k) for k in (48.6, 48 - 1e-12, 1.0, 0.7, math.nan)] == [48, 48, 1, 0, 0]
