"""Bands: what bootstrap refits of a law say of a choice, by making it again under each of them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from t2jax.laws.problem import Choice, Problem
from t2jax.laws.record import Fit
from t2jax.laws.selection import MajorityVote, Verifier

LEVELS = (80, 95)
# refits at most, of a law of k, where every prediction is an integral over questions: a plan has to answer at once
_MOST = {Verifier: 100, MajorityVote: 20}
_ROUNDS = {False: 4, True: 6}  # of `minimise`, without and with k to be chosen: N good to 1 %


def most_refits(problem: Problem) -> int | None:
    """Return how many refits a problem is posed to at most; None where to all."""
    return None if problem.law.single_pass else _MOST.get(type(problem.selection))


def refits_of(problem: Problem, fit: Fit) -> Problem | None:
    """Pose a fit's problem to all its bootstrap refits at once, to the first where that is slow; None without any."""
    if not fit.replicates:
        return None
    values = np.array([fit.replicates[name] for name in problem.law.parameters], np.float64)
    values = values[:, np.isfinite(values).all(0)][:, : most_refits(problem)]
    return replace(problem, parameters=dict(zip(problem.law.parameters, values[:, :, None])))


def choose_again(refits: Problem, chosen: Choice) -> tuple[dict[str, dict[str, list[float]]], float]:
    """Return bands, and the share of refits whose optimum is at an edge of the sizes.

    Those of N, D, D/N and k are of each refit's own optimum, that of the value of what the refits say of the chosen N,
    D and k.
    """
    found, at_edge = optima(refits, _ROUNDS[refits.chooses_samples])
    columns = {
        'params': found.params,
        'tokens': found.tokens,
        'tokens_per_param': found.tokens / found.params,
        'samples': found.samples,
        'value': refits.value(*chosen[:3])[:, 0],
    }
    return {name: band(values) for name, values in columns.items()}, float(at_edge.mean())


def optima(refits: Problem, rounds: int) -> tuple[Choice, np.ndarray]:
    """Find each refit's optimum in so many rounds of `minimise`, and tell which are at an edge of the sizes: [R]."""
    found = refits.optimum(rounds)
    log_params = np.log(found.params)
    return found, np.minimum(log_params - refits.low, refits.high - log_params) < 1e-6


def band(values: np.ndarray) -> dict[str, list[float]]:
    """Return central intervals of bootstrap values, {'80': [low, high], '95': [low, high]}."""
    values = values[np.isfinite(values)]
    if not len(values):
        return {}
    return {str(level): np.percentile(values, [50 - level / 2, 50 + level / 2]).tolist() for level in LEVELS}


def regret(problem: Problem, refits: Problem | None, chosen: Choice, other: Choice) -> Mapping[str, object]:
    """Say how much worse another choice is than the chosen one, and with what certainty.

    Returns worse_by, above 0 where the other is worse, its `bands`, and `better_in`, the share of refits in which the
    other is the better; the last two None without refits.
    """
    worse_by = problem.sign * (other.value - chosen.value)
    if refits is None:
        return {'worse_by': worse_by, 'bands': None, 'better_in': None}
    mine, theirs = (refits.value(*choice[:3])[:, 0] for choice in (chosen, other))
    apart = refits.sign * (theirs - mine)
    return {'worse_by': worse_by, 'bands': band(apart), 'better_in': float(np.mean(apart < 0))}
