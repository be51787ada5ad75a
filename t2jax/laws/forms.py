"""The laws: what a model of N parameters, trained on D tokens and asked k times, scores.

Chinchilla   L = E + A/N^alpha + B/D^beta, one pass (Hoffmann et al., arXiv 2203.15556)
t2-nll       L = E + A/N^alpha + B/D^beta + G/k^gamma (T2 Approach 1)
t2-accuracy  Acc = 1 - B(a, b + k) / B(a, b), (a, b) a function of Chinchilla's L (T2 Approach 2)

one in which pre-training on more tokens may do harm, as it may to what is fine-tuned afterwards (Springer et al.,
arXiv 2503.19206),

t2-nll-overtraining  L = E + A/N^alpha + B/D^beta + G/k^gamma + H (D/N)^eta

and two rivals, in which k changes what N and D are worth:

per-k         L = E/k^e + A/k^a/N^(alpha + alpha_k log k) + B/k^b/D^(beta + beta_k log k)
              (after Schaeffer et al., arXiv 2509.24012, who fit one law for each k)
log-bilinear  log(-log Acc) = c0 + c1 log C + c2 log k + c3 log C log k, C = 6 N D (arXiv 2512.08894)

Each law is one `Law` value, pure in numpy or jax.numpy alike. To add a law, write one more and list it in
`LAWS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from types import ModuleType
from typing import Any

import numpy as np

from t2jax.laws.observations import Observations

Array = Any  # numpy.ndarray or jax.Array, whichever the `xp` passed beside it works on
Predict = Callable[[Mapping[str, Array], Array, Array, Array, ModuleType], Array]
MostTokens = Callable[[Mapping[str, Array], Array], np.ndarray]


@dataclass(frozen=True, eq=False)  # compared and hashed by identity, so that a law can key a compiled fit
class Law:
    """A law and what a fit has to know about it.

    `target` is the column it predicts, 'nll' or 'pass_at_k'. A parameter bounded by (0, inf) is fitted as
    its log. Where the prediction is a sum of terms, each a coefficient times what the other parameters make of N, D
    and k, `linear` names the coefficients: a fit of squares then eliminates them. Those `of_k` have terms that depend
    on k alone, while the rest do not depend on k. `exponent_starts`, for a law whose exponents make sense only
    together, draws (rows, rng, n) -> n starting values of each; others start anywhere in their bounds. A
    `single_pass` law knows no k: it is about k = 1 only. `most_tokens`, (parameters, N) -> D in numpy, says of a law
    that does not always improve with D where it is best; it has to improve up to there. None: more is never worse.
    """

    name: str
    target: str
    parameters: tuple[str, ...]
    bounds: Mapping[str, tuple[float, float]]
    predict: Predict
    linear: tuple[str, ...] = ()
    of_k: tuple[str, ...] = ()
    exponent_starts: Callable[[Observations, np.random.Generator, int], dict[str, np.ndarray]] | None = None
    single_pass: bool = False
    most_tokens: MostTokens | None = None

    @property
    def exponents(self) -> tuple[str, ...]:
        """Parameters in which the prediction is not linear."""
        return tuple(name for name in self.parameters if name not in self.linear)


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


def t2_nll_overtraining(
    parameters: Mapping[str, Array], params: Array, tokens: Array, k: Array, xp: ModuleType
) -> Array:
    """Predict the NLL of k samples, in nats: `t2_nll` plus a cost of overtraining, H (D/N)^eta."""
    return t2_nll(parameters, params, tokens, k, xp) + _power(parameters['H'], -parameters['eta'], tokens / params, xp)


def most_tokens_of_overtraining(parameters: Mapping[str, Array], params: Array) -> np.ndarray:
    """Compute the D beyond which `t2_nll_overtraining` rises, at least one token; inf where it never does.

    There beta B/D^beta = eta H (D/N)^eta.
    """
    fall, rise = parameters['beta'] * parameters['B'], parameters['eta'] * parameters['H']
    with np.errstate(all='ignore'):
        log_tokens = np.log(fall) - np.log(rise) + parameters['eta'] * np.log(params)
        tokens = np.exp(log_tokens / (parameters['beta'] + parameters['eta']))
    return np.where(rise > 0, np.maximum(tokens, 1.0), np.inf)


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


def beta_of_loss(parameters: Mapping[str, Array], loss: Array, xp: ModuleType) -> tuple[Array, Array]:
    """Predict (a, b) of the Beta distribution of questions' accuracy from the NLL of a single pass, `loss`.

    a = mu nu and b = (1 - mu) nu, with mu = theta2 / (1 + exp(theta1 (loss - theta0))), nu = exp(theta3 + theta4 loss)
    (T2 Approach 2).
    """
    # Far outside the data the exponents run away; beyond these bounds nothing changes but the overflow.
    slope = xp.clip(parameters['theta1'] * (loss - parameters['theta0']), -300.0, 300.0)
    mean = parameters['theta2'] / (1 + xp.exp(slope))
    # 1 - mean would lose its digits where the mean nears 1
    rest = (1 - parameters['theta2']) + parameters['theta2'] / (1 + xp.exp(-slope))
    concentration = xp.exp(xp.minimum(parameters['theta3'] + parameters['theta4'] * loss, 300.0))
    return mean * concentration, rest * concentration


def accuracy_of_loss(parameters: Mapping[str, Array], loss: Array, k: Array, xp: ModuleType) -> Array:
    """Predict the mean pass@k of questions from the NLL of a single pass, `loss` (T2 Approach 2)."""
    return pass_at_k_of_beta(*beta_of_loss(parameters, loss, xp), k, xp)


def t2_accuracy(parameters: Mapping[str, Array], params: Array, tokens: Array, k: Array, xp: ModuleType) -> Array:
    """Predict the mean pass@k of a task: `accuracy_of_loss` of Chinchilla's law (T2 Approach 2)."""
    return accuracy_of_loss(parameters, chinchilla_nll(parameters, params, tokens, k, xp), k, xp)


def per_k_nll(parameters: Mapping[str, Array], params: Array, tokens: Array, k: Array, xp: ModuleType) -> Array:
    """Predict the NLL of k samples, in nats: Chinchilla's law, all five parameters functions of k."""
    p, log_k = parameters, xp.log(k)
    floor = _power(p['E'], p['e'], k, xp)
    by_size = _power(_power(p['A'], p['a'], k, xp), p['alpha'] + p['alpha_k'] * log_k, params, xp)
    by_data = _power(_power(p['B'], p['b'], k, xp), p['beta'] + p['beta_k'] * log_k, tokens, xp)
    return floor + by_size + by_data


def _per_k_starts(rows: Observations, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Draw the exponents so that each term falls with k at the centre of the data."""
    starts = {'e': rng.uniform(0, 1, n)}
    for of_n, of_k, x in (('alpha', 'a', rows.params), ('beta', 'b', rows.tokens)):
        starts[of_n] = rng.uniform(0.05, 1.5, n)
        starts[f'{of_n}_k'] = rng.uniform(-0.05, 0.15, n)
        starts[of_k] = rng.uniform(0, 1, n) - starts[f'{of_n}_k'] * np.log(x).mean()
    return starts


def log_bilinear(parameters: Mapping[str, Array], params: Array, tokens: Array, k: Array, xp: ModuleType) -> Array:
    """Predict the mean pass@k from training FLOPs and k alone (arXiv 2512.08894)."""
    p, log_c, log_k = parameters, xp.log(6 * params * tokens), xp.log(k)
    log_nll = p['c0'] + p['c1'] * log_c + p['c2'] * log_k + p['c3'] * log_c * log_k
    return xp.exp(-xp.exp(xp.clip(log_nll, -300.0, 300.0)))


def _log_bilinear_starts(rows: Observations, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Start about the least squares of log(-log Acc), which is linear in the parameters."""
    log_c, log_k = np.log(6 * rows.params * rows.tokens), np.log(rows.k)
    design = np.stack([np.ones_like(log_c), log_c, log_k, log_c * log_k], 1)
    target = np.log(-np.log(np.clip(rows.pass_at_k, 1e-9, 1 - 1e-9)))
    drawn = [np.linalg.lstsq(design, target + rng.normal(0, 0.3, len(target)), rcond=None)[0] for _ in range(n)]
    return dict(zip(('c0', 'c1', 'c2', 'c3'), np.transpose(drawn)))


_COEFFICIENT = (0.0, inf)
_EXPONENT = (0.0, 3.0)
_LOSS_BOUNDS = {
    'E': _COEFFICIENT,
    'A': _COEFFICIENT,
    'B': _COEFFICIENT,
    'alpha': _EXPONENT,
    'beta': _EXPONENT,
}
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
    linear=('E', 'A', 'B'),
    single_pass=True,
)
T2_NLL = Law(
    name='t2-nll',
    target='nll',
    parameters=(*_LOSS_BOUNDS, 'G', 'gamma'),
    bounds={**_LOSS_BOUNDS, 'G': _COEFFICIENT, 'gamma': _EXPONENT},
    predict=t2_nll,
    linear=('E', 'A', 'B', 'G'),
    of_k=('G',),
)
T2_ACCURACY = Law(
    name='t2-accuracy',
    target='pass_at_k',
    parameters=(*_LOSS_BOUNDS, *THETA_BOUNDS),
    bounds={**_LOSS_BOUNDS, **THETA_BOUNDS},
    predict=t2_accuracy,
)
T2_NLL_OVERTRAINING = Law(
    name='t2-nll-overtraining',
    target='nll',
    parameters=(*T2_NLL.parameters, 'H', 'eta'),
    bounds={**T2_NLL.bounds, 'H': _COEFFICIENT, 'eta': _EXPONENT},
    predict=t2_nll_overtraining,
    linear=(*T2_NLL.linear, 'H'),
    of_k=('G',),
    most_tokens=most_tokens_of_overtraining,
)
PER_K = Law(
    name='per-k',
    target='nll',
    parameters=('E', 'A', 'B', 'alpha', 'beta', 'e', 'a', 'b', 'alpha_k', 'beta_k'),
    bounds={
        **_LOSS_BOUNDS,
        'e': _EXPONENT,
        **dict.fromkeys(('a', 'b'), (-60.0, 60.0)),  # at N = 1, far below any model: as large as it takes
        **dict.fromkeys(('alpha_k', 'beta_k'), (-1.0, 1.0)),
    },
    predict=per_k_nll,
    linear=('E', 'A', 'B'),
    exponent_starts=_per_k_starts,
)
LOG_BILINEAR = Law(
    name='log-bilinear',
    target='pass_at_k',
    parameters=('c0', 'c1', 'c2', 'c3'),
    bounds=dict.fromkeys(('c0', 'c1', 'c2', 'c3'), (-inf, inf)),
    predict=log_bilinear,
    exponent_starts=_log_bilinear_starts,
)
LAWS = {law.name: law for law in (CHINCHILLA, T2_NLL, T2_ACCURACY, T2_NLL_OVERTRAINING, PER_K, LOG_BILINEAR)}
PAPER_LAWS = (CHINCHILLA, T2_NLL, T2_ACCURACY)
