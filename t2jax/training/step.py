"""The training step: next-token loss with z-loss, and many steps per dispatch.

loss = mean over tokens of -log p(token) + z log^2 Z. One jitted function runs up to S steps over tokens [S, B, T + 1];
the number actually run is traced, so one executable serves runs of every length.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from t2jax import mesh as meshes
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.training.recipe import Recipe, Schedule, apply_update, optimizer


@partial(jax.tree_util.register_dataclass, data_fields=('step', 'params', 'moments'), meta_fields=())
@dataclass(frozen=True)
class TrainState:
    """All that a run needs to go on: finished steps, params, optimizer state."""

    step: jax.Array
    params: transformer.Params
    moments: Any


def token_losses(logits_BTV: jax.Array, targets_BT: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return each target's -log p and log Z, both [B, T]."""
    log_z_BT = jax.nn.logsumexp(logits_BTV, axis=-1)
    picked_BT = jnp.take_along_axis(logits_BTV, targets_BT[..., None], axis=-1)[..., 0]
    return log_z_BT - picked_BT, log_z_BT


def loss_fn(
    params: transformer.Params, model: ModelConfig, recipe: Recipe, tokens_BT: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the objective with z-loss, and the plain mean loss in nats per token, of tokens [B, T + 1]."""
    logits_BTV = transformer.forward(model, params, tokens_BT[:, :-1])
    nll_BT, log_z_BT = token_losses(logits_BTV, tokens_BT[:, 1:])
    return nll_BT.mean() + recipe.z_loss * jnp.square(log_z_BT).mean(), nll_BT.mean()


def init_state(model: ModelConfig, recipe: Recipe, key: jax.Array) -> TrainState:
    """Draw the state of step 0."""
    params = transformer.init_params(model, key)
    return TrainState(jnp.int32(0), params, optimizer(recipe).init(params))


def state_shardings(model: ModelConfig, recipe: Recipe, mesh: Mesh) -> TrainState:
    """Return the state tree with, for each array, where it lives: moments are split like their params."""
    axes = transformer.logical_axes(model)
    shapes = jax.eval_shape(lambda: init_state(model, recipe, jax.random.key(0)))
    by_path = {
        tuple(path): names
        for path, names in jax.tree_util.tree_leaves_with_path(axes, is_leaf=lambda x: isinstance(x, tuple))
    }

    def place(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.sharding.NamedSharding:
        # An optimizer keeps whole copies of the params tree: the tail of a moment's path is its param's path.
        tails = (tuple(path[i:]) for i in range(len(path)))
        names = next((by_path[tail] for tail in tails if tail in by_path), ())
        return meshes.sharding(mesh, names, leaf.shape)

    return jax.tree_util.tree_map_with_path(place, shapes)


def make_init(model: ModelConfig, recipe: Recipe, mesh: Mesh) -> Any:
    """Return key -> TrainState, made in place on the mesh."""
    shardings = state_shardings(model, recipe, mesh)
    return jax.jit(partial(init_state, model, recipe), out_shardings=shardings)


def make_train_steps(model: ModelConfig, recipe: Recipe, mesh: Mesh) -> Any:
    """Return (state, schedule, tokens [S, B, T + 1], count) -> (state, losses [S], gradient norms [S]).

    Runs the first `count` of the S batches; later entries of the metrics are zero. The state's buffers are reused.
    """
    shardings = state_shardings(model, recipe, mesh)
    tokens_sharding = meshes.sharding(mesh, ('step', 'batch', 'length'))
    everywhere = meshes.sharding(mesh, ())
    transform = optimizer(recipe)

    def train_steps(
        state: TrainState, schedule: Schedule, tokens_SBT: jax.Array, count: jax.Array
    ) -> tuple[TrainState, jax.Array, jax.Array]:
        def body(i: jax.Array, carry: Any) -> Any:
            state, losses, norms = carry
            tokens_BT = tokens_SBT[i].astype(jnp.int32)
            grads, loss = jax.grad(loss_fn, has_aux=True)(state.params, model, recipe, tokens_BT)
            direction, moments = transform.update(grads, state.moments)
            params = apply_update(recipe, schedule, state.step, state.params, direction)
            state = TrainState(state.step + 1, params, moments)
            return state, losses.at[i].set(loss), norms.at[i].set(optax.global_norm(grads))

        zeros = jnp.zeros(tokens_SBT.shape[0])
        return jax.lax.fori_loop(0, count, body, (state, zeros, zeros))

    return jax.jit(
        train_steps,
        donate_argnums=0,
        in_shardings=(shardings, everywhere, tokens_sharding, everywhere),
        out_shardings=(shardings, everywhere, everywhere),
    )
