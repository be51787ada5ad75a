"""A fitted law as a value: its parameters, how good the fit is, what data it rests on; and its JSON file.

Needs numpy alone, so that predicting and planning from a saved fit never import jax.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from t2jax.config import write_json
from t2jax.laws.forms import LAWS

VERSION = 2


@dataclass(frozen=True)
class Fit:
    """A law fitted to the observations of one task.

    `objective_value` is a sum over points: of squared errors for 'sse', of Huber losses of log errors for
    'log-huber'. `share_at_best` is the share of starts that reached it within 1e-6. `gradient_norm` is over
    the fitted coordinates (logs of coefficients) that are not at a bound, and `condition_number` that of the
    Jacobian over them, its columns scaled to one length. `measure` says what the nll of the data is (see
    `observations.MEASURES`), `residuals` how far the fit is from them. The ranges, (min, max), and the distinct
    `sizes` are those of the data. `converged` is False where the best search ran out of steps. `replicates` are the
    parameters of bootstrap refits, by name and of equal lengths, `resampled` says of what ('runs', 'questions' or
    'both'). `warnings` are sentences.
    """

    law: str
    task: str
    measure: str
    objective: str
    objective_value: float
    parameters: dict[str, float]
    n_points: int
    n_runs: int
    starts: int
    share_at_best: float
    gradient_norm: float
    condition_number: float
    residuals: Mapping[str, float | str]
    sizes: tuple[float, ...]
    params_range: tuple[float, float]
    tokens_per_param_range: tuple[float, float]
    train_flops_range: tuple[float, float]
    k_range: tuple[float, float]
    warnings: tuple[str, ...] = ()
    converged: bool = True
    resampled: str = ''
    replicates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def doubt(self) -> str:
        """Say why the search itself is not to be trusted, in a few words; '' where it is."""
        if not self.converged:
            return 'its search had not converged when its steps ran out'
        lonely = self.starts > 1 and self.share_at_best * self.starts < 1.5
        return f'only one of its {self.starts} starts reached the best: a better may exist' if lonely else ''

    def predict(self, params: np.ndarray, tokens: np.ndarray, k: np.ndarray) -> np.ndarray:
        """Predict the law's target at params N, tokens D and samples k, which broadcast."""
        arrays = (np.asarray(x, np.float64) for x in (params, tokens, k))
        return LAWS[self.law].predict(self.parameters, *np.broadcast_arrays(*arrays), np)


def fit_to_dict(fit: Fit) -> dict[str, Any]:
    """Turn a fit into what JSON can hold."""
    return {'version': VERSION, **asdict(fit)}


def fit_from_dict(values: Mapping[str, Any], source: str = 'this fit') -> Fit:
    """Turn `fit_to_dict`'s result, or what JSON made of it, back into a fit; further keys are left alone.

    Raises ValueError, beginning with `source`, for another version, a missing key, an unknown law or wrong
    parameters.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f'{source} is not a fit: it has to be a JSON object, not {type(values).__name__}')
    if values.get('version') != VERSION:
        raise ValueError(f'{source} is of version {values.get("version")!r}; this t2jax reads {VERSION}: fit it again')
    # a field with a default may be newer than the file
    missing = [f.name for f in fields(Fit) if f.name not in values and f.default is f.default_factory is MISSING]
    if missing:
        raise ValueError(f'{source} lacks {", ".join(missing)}; fit it again')
    if values['law'] not in LAWS:
        raise ValueError(f'{source} is of the unknown law {values["law"]!r}; the laws are {", ".join(LAWS)}')
    expected, parameters = LAWS[values['law']].parameters, values['parameters']
    numbers = parameters.values() if isinstance(parameters, Mapping) else [None]
    if not all(isinstance(value, int | float) and np.isfinite(value) for value in numbers):
        raise ValueError(f'{source} is damaged: its parameters have to be finite numbers by name; fit it again')
    if set(parameters) != set(expected):
        raise ValueError(
            f'{source} has parameters {", ".join(values["parameters"])}; {values["law"]} has {", ".join(expected)}'
        )
    kept = {f.name: values[f.name] for f in fields(Fit) if f.name in values}
    try:
        drawn = kept.get('replicates', {})
        kept['replicates'] = {name: tuple(map(float, values)) for name, values in drawn.items()}
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f'{source} is damaged: its replicates have to be numbers by parameter; fit it again') from None
    return Fit(**{name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()})


def save_fit(path: str | Path, fit: Fit, extra: Mapping[str, Any] | None = None) -> None:
    """Write a fit as JSON, with the keys of `extra` beside its own."""
    own = fit_to_dict(fit)
    extra = extra or {}
    taken = sorted(own.keys() & extra.keys())
    if taken:
        raise ValueError(f'a fit has its own {", ".join(taken)}; give what is saved beside it another name')
    write_json(Path(path), {**own, **extra})


def load_fit(path: str | Path) -> Fit:
    """Read a fit that `save_fit` wrote; ValueError says what is wrong with another file."""
    if not Path(path).exists():
        raise FileNotFoundError(f'there is no fit at {path}; fit the law first')
    try:
        values = json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:  # not JSON, or not text
        raise ValueError(f'{path} is not a JSON file ({error}); give what `t2jax fit TABLE --out` wrote') from None
    return fit_from_dict(values, str(path))
