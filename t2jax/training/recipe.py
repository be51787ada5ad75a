"""The recipe: AdamW with decoupled decay, warmup, cosine to zero over the run's own tokens.

p <- p - m(t) (eta p_adam + lambda p), m rising from 0 to 1 over the warmup and falling to 0 as a half cosine; lambda
does not scale with the learning rate. Source: OpenLM as in Porian et al. (arXiv 2406.19146), the "base" setting.
OpenLM's z-loss squares the mean of log Z over what one device computes at once; ours is the mean of log^2 Z, as in PaLM
(arXiv 2204.02311), which does not depend on how a batch is split. Fine-tuning has m = 1
throughout (T2, "Post-training").
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from t2jax import costs
from t2jax.models.config import ModelConfig

DECAYS = ('cosine', 'constant')


@dataclass(frozen=True)
class Recipe:
    """How every run of a study is trained."""

    batch_sequences: int = 256
    sequence_length: int = 2048
    learning_rate: float = 3e-3
    reference_width: int = 0  # the rate is learning_rate * sqrt(reference_width / d_model); 0: the same for all
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    z_loss: float = 1e-4
    warmup_tokens_per_param: float = 1.0
    max_warmup_share: float = 1.0  # of the run; only runs of very few tokens per parameter reach it
    decay: str = 'cosine'  # to zero over the run; or constant
    epochs: int = 1  # how often the text may be read; a run that needs more is refused

    def __post_init__(self) -> None:
        for name in ('batch_sequences', 'sequence_length', 'learning_rate', 'clip_norm'):
            if not getattr(self, name) > 0:
                raise ValueError(f'recipe.{name} is {getattr(self, name)}; it has to be above 0')
        if self.decay not in DECAYS:
            raise ValueError(f'recipe.decay is {self.decay!r}; use {" or ".join(DECAYS)}')
        if self.epochs < 1:
            raise ValueError(f'recipe.epochs is {self.epochs}; the text is read at least once')

    @property
    def batch_tokens(self) -> int:
        """Tokens of one step."""
        return self.batch_sequences * self.sequence_length

    def steps(self, tokens: float) -> int:
        """Round a token budget to whole steps, at least one."""
        return max(1, round(tokens / self.batch_tokens))


class Schedule(NamedTuple):
    """The numbers that differ between runs of one size; traced, so all budgets share an executable."""

    peak_rate: jax.Array | np.float32
    warmup_steps: jax.Array | np.float32
    total_steps: jax.Array | np.float32
    falls: jax.Array | np.float32  # 1: to zero; 0: not


def make_schedule(recipe: Recipe, model: ModelConfig, tokens: float) -> Schedule:
    """Work out a run's peak learning rate, warmup and length."""
    rate = recipe.learning_rate
    if recipe.reference_width:
        rate *= math.sqrt(recipe.reference_width / model.d_model)
    warmup = recipe.warmup_tokens_per_param * costs.count_params(model)
    warmup = min(warmup, recipe.max_warmup_share * tokens) / recipe.batch_tokens
    return Schedule(
        np.float32(rate), np.float32(warmup), np.float32(recipe.steps(tokens)), np.float32(recipe.decay == 'cosine')
    )


def multiplier(schedule: Schedule, step: jax.Array | int) -> jax.Array | np.float32:
    """Return m(t) in [0, 1] for the update that follows `step` finished ones; an int is answered without the device."""
    xp = np if isinstance(step, int) else jnp
    t = xp.float32(step)
    rising = (t + 1) / xp.maximum(schedule.warmup_steps, 1)
    span = xp.maximum(schedule.total_steps - schedule.warmup_steps, 1)
    done = xp.clip((t - schedule.warmup_steps) / span, 0, 1)
    return xp.minimum(rising, 1) * 0.5 * (1 + xp.cos(xp.pi * done * schedule.falls))


def optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """Clip by global norm, then Adam's direction; `apply_update` adds rate and decay."""
    adam = optax.scale_by_adam(recipe.beta1, recipe.beta2, eps=1e-8)
    return optax.chain(optax.clip_by_global_norm(recipe.clip_norm), adam)


def apply_update(recipe: Recipe, schedule: Schedule, step: jax.Array, params: Any, direction: Any) -> Any:
    """Move the params one step; gains decay like all else, as OpenLM has it."""
    m = multiplier(schedule, step)
    return jax.tree.map(lambda p, u: p - m * (schedule.peak_rate * u + recipe.weight_decay * p), params, direction)
