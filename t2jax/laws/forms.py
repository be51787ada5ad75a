"""The laws: what a model of N parameters, trained on D tokens and asked k times, scores.

Chinchilla   L = E + A/N^alpha + B/D^beta, one pass (Hoffmann et al., arXiv 2203.15556)
t2-nll       L = E + A/N^alpha + B/D^beta + G/k^gamma (T2 Approach 1)
t2-accuracy  Acc = 1 - B(a, b + k) / B(a, b), (a, b) a function of Chinchilla's L (T2 Approach 2)

Each law is one `Law` value, pure in numpy or jax.numpy alike. To add a law, write one more and list it in
`LAWS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from types import ModuleType
from typing import Any

Array = Any  # numpy.ndarray or jax.Array, whichever the `xp` passed beside it works on
Predict = Callable[[Mapping[str, Array], Array, Array, Array, ModuleType], Array]


@dataclass(frozen=True, eq=False)  # compared and hashed by identity, so that a law can key a compiled fit
class Law:
    """A law and what a fit has to know about it.

    `target` is the column it predicts, 'nll' or 'pass_at_k'. A parameter bounded by (0, inf) is fitted as
    its log. `powers` tells which coefficients multiply a power, {'A': ('params', 'alpha')} for A / N^alpha:
    the fit then works with the size of that term at the centre of the data. A `single_pass` law knows no k:
    it is about k = 1 only.
    """

    name: str
    target: str
    parameters: tuple[str, ...]
    bounds: Mapping[str, tuple[float, float]]
    predict: Predict
    powers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    single_pass: bool = False


def _power(coefficient: Array, exponent: Array, x: Array, xp: ModuleType) -> Array:
    return coefficient * xp.exp(-exponent * xp.log(x))


def chinchilla_nll(parameters: Mapping[str, Array], params: Array, tokens: Array, k: Array, xp: ModuleType) -> Array:
    """Predict the NLL of a single pass, in nats, from N and D; `k` is ignored."""
    by_size = _power(parameters['A'], parameters['alpha'], params, xp)
    by_data = _power(parameters['B'], parameters['beta'], tokens, xp)
    return parameters['E'] + by_size + by_data


def t2_nll(parameters: Mapping[str, Array], params: Array, tokens: Array, k: Array, xp: ModuleType) -> Array:
    """Predict the NLL of k samples, in nats: Chinchilla's law plus G / k^gamma (T2 Approach 1)."""
    by_samples = _power(parameters['G'], parameters['gamma'], k, xp)
    return chinchilla_nll(parameters, params, tokens, k, xp) + by_samples


_SHIFT = 8  # from here on Stirling's series below is exact to 3e-13


def _stirling_rest(z: Array) -> Array:
    """Stirling's series of log-gamma after its term 1 / (12 z)."""
    inverse = 1 / z
    square = inverse * inverse
    return inverse * square * (-1 / 360 + square * (1 / 1260 + square * (-1 / 1680 + square / 1188)))


def pass_at_k_of_beta(a: Array, b: Array, k: Array, xp: ModuleType) -> Array:
    """Compute the chance that k tries hold a success when p ~ Beta(a, b): 1 - B(a, b + k) / B(a, b).

    Broadcasts over a, b, k > 0. The log of the ratio is a second difference of log-gamma, written so that
    nothing cancels: relative error below 1e-9 for k up to 1e6, also where a is tiny or b is large.
    """
    growth = 0.0  # product of 1 + step, less 1, from log-gamma(z) = log-gamma(z + 1) - log z
    for j in range(_SHIFT):
        step = a * k / ((b + j) * (a + b + k + j))
        growth = growth + step + growth * step
    x = b + _SHIFT
    log_ratio = (x - 0.5) * xp.log1p(a * k / (x * (x + a + k))) - xp.log1p(growth)
    log_ratio = log_ratio - k * xp.log1p(a / (x + k)) - a * xp.log1p(k / (x + a))
    log_ratio = log_ratio + (a / ((x + k) * (x + k + a)) - a / (x * (x + a))) / 12
    rest = _stirling_rest(x + k) + _stirling_rest(x + a) - _stirling_rest(x + a + k) - _stirling_rest(x)
    return -xp.expm1(log_ratio + rest)


def accuracy_of_loss(parameters: Mapping[str, Array], loss: Array, k: Array, xp: ModuleType) -> Array:
    """Predict pass@k from the NLL of a single pass, `loss` (T2 Approach 2).

    The accuracy of a question is drawn from Beta(mu nu, (1 - mu) nu), with mu = theta2 / (1 + exp(theta1
    (loss - theta0))), nu = exp(theta3 + theta4 loss).
    """
    # Far outside the data the exponents run away; beyond these bounds nothing changes but the overflow.
    slope = xp.clip(parameters['theta1'] * (loss - parameters['theta0']), -300.0, 300.0)
    mean = parameters['theta2'] / (1 + xp.exp(slope))
    # 1 - mean would lose its digits where the mean nears 1
    rest = (1 - parameters['theta2']) + parameters['theta2'] / (1 + xp.exp(-slope))
    concentration = xp.exp(xp.minimum(parameters['theta3'] + parameters['theta4'] * loss, 300.0))
    return pass_at_k_of_beta(mean * concentration, rest * concentration, k, xp)


def t2_accuracy(parameters: Mapping[str, Array], params: Array, tokens: Array, k: Array, xp: ModuleType) -> Array:
    """Predict the mean pass@k of a task: `accuracy_of_loss` of Chinchilla's law (T2 Approach 2)."""
    return accuracy_of_loss(parameters, chinchilla_nll(parameters, params, tokens, k, xp), k, xp)


_COEFFICIENT = (0.0, inf)
_EXPONENT = (0.0, 3.0)
_LOSS_BOUNDS = {
    'E': _COEFFICIENT,
    'A': _COEFFICIENT,
    'B': _COEFFICIENT,
    'alpha': _EXPONENT,
    'beta': _EXPONENT,
}
_LOSS_POWERS = {'A': ('params', 'alpha'), 'B': ('tokens', 'beta')}
THETA_BOUNDS = {
    'theta0': (-inf, inf),
    'theta1': (0.0, inf),  # accuracy falls as the loss rises
    'theta2': (0.0, 1.0),
    'theta3': (-30.0, 30.0),
    'theta4': (-10.0, 10.0),
}

CHINCHILLA = Law(
    name='chinchilla',
    target='nll',
    parameters=tuple(_LOSS_BOUNDS),
    bounds=_LOSS_BOUNDS,
    predict=chinchilla_nll,
    powers=_LOSS_POWERS,
    single_pass=True,
)
T2_NLL = Law(
    name='t2-nll',
    target='nll',
    parameters=(*_LOSS_BOUNDS, 'G', 'gamma'),
    bounds={**_LOSS_BOUNDS, 'G': _COEFFICIENT, 'gamma': _EXPONENT},
    predict=t2_nll,
    powers={**_LOSS_POWERS, 'G': ('k', 'gamma')},
)
T2_ACCURACY = Law(
    name='t2-accuracy',
    target='pass_at_k',
    parameters=(*_LOSS_BOUNDS, *THETA_BOUNDS),
    bounds={**_LOSS_BOUNDS, **THETA_BOUNDS},
    predict=t2_accuracy,
    powers=_LOSS_POWERS,
)
LAWS = {law.name: law for law in (CHINCHILLA, T2_NLL, T2_ACCURACY)}
