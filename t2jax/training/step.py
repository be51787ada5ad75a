"""The training step: next-token loss with z-loss, and many steps per dispatch.

loss = mean over tokens of -log p(token) + z log^2 Z. One jitted function runs up to S steps over tokens [S, B, T + 1];
the number actually run is traced, so one executable serves runs of every length.

Pretraining and fine-tuning differ in the tokens that count: all of a text, or those that `data.rows` says. The mean is
over them, and nothing else has a part in the loss or a gradient of its own.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from t2jax import mesh as meshes
from t2jax.mesh import Layout
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.models.execution import PLAIN, Execution, make_execution
from t2jax.training.recipe import Recipe, Schedule, apply_update, optimizer


@partial(jax.tree_util.register_dataclass, data_fields=('step', 'params', 'moments'), meta_fields=())
@dataclass(frozen=True)
class TrainState:
    """All that a run needs to go on: finished steps, params, optimizer state."""

    step: jax.Array
    params: transformer.Params
    moments: Any


@jax.custom_vjp
def token_losses(logits_BTV: jax.Array, targets_BT: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return each target's -log p and log Z, both [B, T].

    The gradient of both, softmax less the target, is written out: traced through, it scatters over the vocabulary.
    """
    return _token_losses(logits_BTV, targets_BT)[0]


def _token_losses(logits_BTV: jax.Array, targets_BT: jax.Array) -> tuple[Any, Any]:
    log_z_BT = jax.nn.logsumexp(logits_BTV, axis=-1)
    picked_BT = jnp.take_along_axis(logits_BTV, targets_BT[..., None], axis=-1)[..., 0]
    return (log_z_BT - picked_BT, log_z_BT), (logits_BTV, log_z_BT, targets_BT)


def _token_losses_gradient(saved: Any, gradients: Any) -> tuple[jax.Array, None]:
    (logits_BTV, log_z_BT, targets_BT), (of_nll_BT, of_log_z_BT) = saved, gradients
    # tied to what a step computes: else the compiler makes all comparisons below ahead of the loop, and keeps them
    log_z_BT, targets_BT = jax.lax.optimization_barrier((log_z_BT, targets_BT))
    softmax_BTV = jnp.exp(logits_BTV - log_z_BT[..., None])
    is_target_BTV = jnp.arange(logits_BTV.shape[-1]) == targets_BT[..., None]
    return softmax_BTV * (of_nll_BT + of_log_z_BT)[..., None] - jnp.where(is_target_BTV, of_nll_BT[..., None], 0), None


token_losses.defvjp(_token_losses, _token_losses_gradient)


def loss_fn(
    params: transformer.Params,
    model: ModelConfig,
    recipe: Recipe,
    tokens_BT: jax.Array,
    execution: Execution = PLAIN,
    weights_BT: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Return the objective with z-loss, and the plain mean loss in nats per token, of tokens [B, T + 1].

    weights [B, T] of the targets have a mean of 1 over the batch; None: all are 1.
    """
    logits_BTV = transformer.forward(model, params, tokens_BT[:, :-1], execution)
    nll_BT, log_z_BT = token_losses(logits_BTV, tokens_BT[:, 1:])
    mean = lambda x_BT: (x_BT if weights_BT is None else weights_BT * x_BT).mean()
    return mean(nll_BT) + recipe.z_loss * mean(jnp.square(log_z_BT)), mean(nll_BT)


def read_marks(tokens_BT: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """Return ids [B, T + 1] and which targets count, [B, T]; None where all do, as in text, whose ids are unsigned."""
    if jnp.issubdtype(tokens_BT.dtype, jnp.unsignedinteger):
        return tokens_BT.astype(jnp.int32), None
    return jnp.where(tokens_BT < 0, ~tokens_BT, tokens_BT), tokens_BT[:, 1:] >= 0


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


def make_begin(model: ModelConfig, recipe: Recipe, mesh: Mesh) -> Any:
    """Return params -> TrainState of step 0 on the mesh, with params of its own: a state's buffers are reused."""

    def begin(params: transformer.Params) -> TrainState:
        params = jax.tree.map(jnp.copy, params)
        return TrainState(jnp.int32(0), params, optimizer(recipe).init(params))

    return jax.jit(begin, out_shardings=state_shardings(model, recipe, mesh))


def make_validate(model: ModelConfig, mesh: Mesh, layout: Layout) -> Any:
    """Return (params, marked tokens [C, B, T + 1]) -> the summed loss of all targets that count, in nats."""

    def validate(params: transformer.Params, tokens_CBT: jax.Array) -> jax.Array:
        execution = make_execution(model, layout, mesh, tokens_CBT.shape[2] - 1)

        def add(total: jax.Array, tokens_BT: jax.Array) -> tuple[jax.Array, None]:
            ids_BT, counts_BT = read_marks(tokens_BT)
            logits_BTV = transformer.forward(model, params, ids_BT[:, :-1], execution)
            nll_BT, _ = token_losses(logits_BTV, ids_BT[:, 1:])
            return total + jnp.where(counts_BT, nll_BT, 0).sum(), None

        return jax.lax.scan(add, jnp.float32(0), tokens_CBT)[0]

    return jax.jit(validate)


def check_layout(model: ModelConfig, recipe: Recipe, mesh: Mesh, layout: Layout) -> None:
    """Raise ValueError where the mesh does not divide the heads, or the devices and microbatches not the batch."""
    tensor, rows = meshes.parts_of(mesh, 'heads'), meshes.parts_of(mesh, 'batch') * layout.microbatches
    if model.kv_heads % tensor:
        raise ValueError(
            f'layout.tensor {tensor} does not divide the {model.kv_heads} heads (of keys) of the model; use a divisor'
        )
    if recipe.batch_sequences % rows:
        raise ValueError(
            f'recipe.batch_sequences {recipe.batch_sequences} does not divide over data x fsdp = '
            f'{rows // layout.microbatches} devices in {layout.microbatches} microbatches; '
            f'use a multiple of {rows}, fewer microbatches or more tensor'
        )


def make_train_steps(model: ModelConfig, recipe: Recipe, mesh: Mesh, layout: Layout | None = None) -> Any:
    """Return (state, schedule, tokens [S, B, T + 1], count) -> (state, losses [S], gradient norms [S]).

    Runs the first `count` of the S batches; later entries of the metrics are zero. The state's buffers are reused.
    tokens are unsigned ids, or marked as `data.rows` has them: the loss is then the mean of what counts.
    Raises ValueError for a layout that does not fit the model or the batch.
    """
    layout = layout or Layout()
    check_layout(model, recipe, mesh, layout)
    shardings = state_shardings(model, recipe, mesh)
    tokens_sharding = meshes.sharding(mesh, ('step', 'batch', 'length'))
    everywhere = meshes.sharding(mesh, ())
    transform = optimizer(recipe)
    make_execution(model, layout, mesh, recipe.sequence_length)  # refuses a kernel that cannot run

    def train_steps(
        state: TrainState, schedule: Schedule, tokens_SBT: jax.Array, count: jax.Array
    ) -> tuple[TrainState, jax.Array, jax.Array]:
        execution = make_execution(model, layout, mesh, tokens_SBT.shape[2] - 1)  # rows may be cut
        gradients = jax.grad(partial(loss_fn, model=model, recipe=recipe, execution=execution), has_aux=True)
        in_parts = partial(accumulate, gradients, shardings.params, layout.microbatches, mesh)

        def body(i: jax.Array, carry: Any) -> Any:
            state, losses, norms = carry
            ids_BT, counts_BT = read_marks(tokens_SBT[i])
            weights_BT = None if counts_BT is None else counts_BT / counts_BT.mean()
            grads, loss = in_parts(state.params, ids_BT, weights_BT)
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


def accumulate(
    gradients: Any,
    shardings: Any,
    parts: int,
    mesh: Mesh,
    params: transformer.Params,
    tokens_BT: jax.Array,
    weights_BT: jax.Array | None = None,
) -> tuple[transformer.Params, jax.Array]:
    """Return the mean gradients and loss of a batch, computed in `parts` microbatches one after another."""
    if parts == 1:
        return gradients(params, tokens_BT=tokens_BT, weights_BT=weights_BT)

    def cut(x_BT: jax.Array) -> jax.Array:
        # part m takes rows m, m + parts, ...: each device then has its share of every part without moving a token
        rows = x_BT.reshape(-1, parts, x_BT.shape[1]).swapaxes(0, 1)
        return jax.lax.with_sharding_constraint(rows, meshes.sharding(mesh, ('step', 'batch', 'length')))

    rows = jax.tree.map(cut, (tokens_BT, weights_BT))  # None, where there are no weights, stays None

    def add(total: Any, part: Any) -> tuple[Any, None]:
        found = gradients(params, tokens_BT=part[0], weights_BT=part[1])
        return jax.tree.map(jnp.add, total, found), None

    zeros = jax.tree.map(lambda p, s: jax.lax.with_sharding_constraint(jnp.zeros_like(p), s), params, shardings)
    total, _ = jax.lax.scan(add, (zeros, jnp.zeros(())), rows)
    return jax.tree.map(lambda x: x / parts, total)
