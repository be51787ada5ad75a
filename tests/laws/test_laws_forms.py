"""The laws as functions: published numbers, closed forms, and one code for numpy and jax."""

import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2jax.laws.forms import CHINCHILLA, LAWS, T2_ACCURACY, T2_NLL, pass_at_k_of_beta

K = np.array([1, 2, 10, 100, 1e4, 1e6])
TABLE = [
    (0.3, 5.0, [0.05660377358, 0.1015274034, 0.2909312719, 0.6068661872, 0.8999073819, 0.9748543994]),
    (0.05, 2.0, [0.0243902439, 0.04038384646, 0.09543802935, 0.1886683457, 0.3550532678, 0.4876967338]),
]
shapes = st.floats(-8, 4).map(lambda e: 10.0**e)


@pytest.mark.parametrize('a, b, expected', TABLE)
def test_pass_at_k_of_a_beta_meets_the_table_in_numpy_and_jax(a, b, expected):
    assert pass_at_k_of_beta(a, b, K, np) == pytest.approx(expected, rel=1e-9)
    with jax.enable_x64(True):
        in_jax = np.asarray(pass_at_k_of_beta(a, b, jnp.asarray(K), jnp))
    np.testing.assert_allclose(in_jax, pass_at_k_of_beta(a, b, K, np), rtol=1e-13)


@given(a=shapes, b=shapes, k=st.integers(1, 2000))
def test_pass_at_k_of_a_beta_is_the_product_over_tries(a, b, k):
    log_failure = math.fsum(math.log1p(-a / (a + b + j)) for j in range(k))
    assert pass_at_k_of_beta(a, b, float(k), np) == pytest.approx(-math.expm1(log_failure), rel=1e-9)


@given(a=shapes, b=shapes, k=st.floats(1, 1e6), more=st.floats(1, 100))
def test_pass_at_k_of_a_beta_is_a_chance_that_grows_with_k(a, b, k, more):
    fewer, many = (pass_at_k_of_beta(a, b, tries, np) for tries in (k, k * more))
    assert 0 <= fewer <= many * (1 + 1e-9)
    assert many <= 1


@given(mean=st.floats(0.01, 0.8), concentration=st.floats(0.1, 10), k=st.integers(2, 20))
def test_equal_questions_would_be_easier(mean, concentration, k):
    """Jensen: 1 - (1 - mu)^k overestimates."""
    spread = pass_at_k_of_beta(mean * concentration, (1 - mean) * concentration, k, np)
    assert spread < -math.expm1(k * math.log1p(-mean))


def test_approach_1_is_chinchilla_at_one_sample(planted):
    parameters = planted['t2-nll']
    shifted = planted['chinchilla'] | {'E': parameters['E'] + parameters['G']}
    at = (np.array([1e4, 1e8]), np.array([1e6, 1e10]), 1.0, np)
    np.testing.assert_allclose(T2_NLL.predict(parameters, *at), CHINCHILLA.predict(shifted, *at), rtol=1e-14)


def test_approach_1_adds_its_four_terms(planted):
    p = planted['t2-nll']
    expected = 0.3 + 400 / 2e4**0.46 + 900 / 3e6**0.47 + 1.5 / 8**0.4
    assert T2_NLL.predict(p, 2e4, 3e6, 8.0, np) == pytest.approx(expected, rel=1e-14)


def test_approach_2_at_one_sample_is_the_sigmoid_of_the_loss(planted):
    p = planted['t2-accuracy']
    loss = CHINCHILLA.predict(p, 2e4, 3e6, 1.0, np)
    sigmoid = p['theta2'] / (1 + math.exp(p['theta1'] * (loss - p['theta0'])))
    assert T2_ACCURACY.predict(p, 2e4, 3e6, 1.0, np) == pytest.approx(sigmoid, rel=1e-12)


def test_approach_2_has_the_concentration_of_the_paper(planted):
    p = planted['t2-accuracy']
    loss = CHINCHILLA.predict(p, 2e4, 3e6, 1.0, np)
    mean = p['theta2'] / (1 + math.exp(p['theta1'] * (loss - p['theta0'])))
    nu = math.exp(p['theta3'] + p['theta4'] * loss)
    expected = pass_at_k_of_beta(mean * nu, (1 - mean) * nu, 8.0, np)
    assert T2_ACCURACY.predict(p, 2e4, 3e6, 8.0, np) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize('law', LAWS.values(), ids=list(LAWS))
def test_every_law_declares_what_it_reads(law):
    """The parameters it names, no others; and linear coefficients in which it is linear, without a constant."""
    assert LAWS[law.name] is law
    assert law.parameters == tuple(law.bounds)
    assert set(law.linear) <= set(law.parameters) and set(law.of_k) <= set(law.linear)
    assert law.exponents == tuple(name for name in law.parameters if name not in law.linear)
    at = (np.array([1e6, 3e7]), np.array([[1e8], [1e10]]), 2.0, np)
    values = {name: 0.1 + 0.1 * i for i, name in enumerate(law.parameters)}
    assert law.predict(values, *at).shape == (2, 2)
    for name in law.parameters:
        with pytest.raises(KeyError, match=f"'{name}'"):
            law.predict({other: value for other, value in values.items() if other != name}, *at)
    if law.linear:
        parts = [law.predict(values | dict.fromkeys(law.linear, 0.0) | {name: 1.0}, *at) for name in law.linear]
        whole = sum(values[name] * part for name, part in zip(law.linear, parts))
        np.testing.assert_allclose(law.predict(values, *at), whole, rtol=1e-12)


@pytest.mark.parametrize('law', [law for law in LAWS.values() if law.of_k], ids=lambda law: law.name)
def test_terms_of_k_are_of_k_alone_and_the_rest_are_not_of_k(law):
    values = {name: 0.1 + 0.1 * i for i, name in enumerate(law.parameters)}
    runs = (np.array([1e6, 3e7]), np.array([1e8, 1e10]))
    for name in law.linear:
        term = values | dict.fromkeys(law.linear, 0.0) | {name: 1.0}
        few, many = (law.predict(term, *runs, np.full(2, k), np) for k in (3.0, 50.0))
        assert np.array_equal(few, many) == (name not in law.of_k)
        assert (few[0] == few[1]) == (name in law.of_k or name == 'E')


@pytest.mark.parametrize('law', LAWS.values(), ids=list(LAWS))
def test_laws_broadcast_over_replicates_and_agree_in_numpy_and_jax(law, planted):
    """An array [R, 1] of parameters at [1, N] points is R predictions, the same by either library."""
    values = planted[law.name]
    points = [np.geomspace(*ends, 7)[None] for ends in ((1e4, 1e6), (1e6, 1e9), (1, 100))]
    factors = np.array([0.9, 1.0, 1.1])[:, None]
    replicates = {name: value * factors for name, value in values.items()}
    together = law.predict(replicates, *points, np)
    assert together.shape == (3, 7)
    for row, factor in zip(together, factors[:, 0]):
        alone = law.predict({name: value * factor for name, value in values.items()}, *points, np)
        np.testing.assert_allclose(row, alone[0], rtol=1e-14)
    with jax.enable_x64(True):
        np.testing.assert_allclose(law.predict(replicates, *map(jnp.asarray, points), jnp), together, rtol=1e-12)


def test_planning_imports_no_jax():
    rooms = ', '.join(f't2jax.laws.{name}' for name in ('allocation', 'plan', 'scores', 'record', 'observations'))
    code = f'import sys, {rooms}; print({{"jax", "scipy", "flax", "matplotlib"}} & set(sys.modules))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'set()'
