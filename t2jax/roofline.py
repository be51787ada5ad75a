"""What a training or decode step must hold, compute and move on each device, worked out from its shapes.

Estimates, to choose a layout by before anything is compiled; `t2jax compile` puts XLA's own memory figure beside them.
Letters: d width, e width of keys, F hidden, V vocabulary, L layers, P stored params; t tokens of one device at a time.
"""

from dataclasses import dataclass

from t2jax import costs
from t2jax.chips import Chip
from t2jax.mesh import Layout
from t2jax.models.config import ModelConfig
from t2jax.training.recipe import Recipe

F32 = 4


@dataclass(frozen=True)
class Roofline:
    """Seconds that one step takes at least on each resource, were it alone."""

    compute: float
    memory: float
    links: float = 0.0

    @property
    def overlapped(self) -> float:
        """Seconds of a step if everything overlaps: the slowest resource's."""
        return max(self.compute, self.memory, self.links)

    @property
    def serial(self) -> float:
        """Seconds of a step if nothing overlaps."""
        return self.compute + self.memory + self.links


def train_memory(model: ModelConfig, recipe: Recipe, layout: Layout, devices: int) -> dict[str, float]:
    """Estimate the bytes that a training step holds on each of `devices`, by what they are.

    state: params and two Adam moments in f32, 12 P / (fsdp tensor); gradients: f32, 4 P / (fsdp tensor).
    weights: a copy in the compute type and, of weights split by fsdp, one gathered layer and the gathered head.
    activations: what layers keep for the backward pass, L t `kept_bytes`; and where remat drops some, one layer's all.
    logits: V t in f32, and their gradient in the compute type.

    Within a sixth of what XLA finds (experiments/preflight.md).
    """
    width, parts = _width(model), layout.fsdp * layout.tensor
    stored, tokens = costs.count_stored_params(model), _tokens(recipe, layout, devices) / layout.microbatches
    gathered = costs.count_layer_params(model) + model.vocab * model.d_model if layout.fsdp > 1 else 0
    kept = model.n_layers * kept_bytes(model, layout.remat)
    return {
        'state': 3 * F32 * stored / parts,
        'gradients': F32 * stored / parts,
        'weights': (width * stored / parts if width < F32 else 0) + width * gathered / layout.tensor,
        'activations': tokens * (kept + (kept_bytes(model, 'none') if layout.remat != 'none' else 0)),
        'logits': (F32 + width) * tokens * model.vocab / layout.tensor,
    }


def kept_bytes(model: ModelConfig, remat: str) -> int:
    """Count what one layer keeps of one token for the backward pass, as found in XLA's programs.

    Without remat: inputs and outputs of norms, rotary, products and gates, 8 d + 4 e + 4 F values, and in f32 three for
    each that is normalised, 9 d + 3 e. With 'dots' the products' outputs, 4 d + 2 e + 2 F; with 'layer' its input, d.
    """
    width, d, e, hidden = _width(model), model.d_model, model.d_kv, model.d_hidden
    return {
        'none': width * (8 * d + 4 * e + 4 * hidden) + F32 * (9 * d + 3 * e),
        'dots': width * (4 * d + 2 * e + 2 * hidden),
        'layer': width * d,
    }[remat]


def train_roofline(
    model: ModelConfig, recipe: Recipe, layout: Layout, devices: int, chip: Chip, link_bytes: float = 0.0
) -> Roofline:
    """Estimate a training step's seconds on each resource; link_bytes are those that each device sends.

    compute: the exact FLOPs of the step, and of what remat does again. memory: the weights in the compute type once a
    forward and twice a backward pass of every microbatch; gradients in f32 and their running sum; 28 bytes of optimizer
    per param; what layers keep, and the 8 d + 4 e + 4 F values between their operations, written and read in every
    pass; logits and their gradient likewise.
    """
    width, sequences = _width(model), recipe.batch_sequences
    forward = costs.forward_flops(model, sequences, recipe.sequence_length)
    attention = 4 * model.d_q * recipe.sequence_length * model.n_layers * recipe.batch_tokens
    head = 2 * model.vocab * model.d_model * recipe.batch_tokens
    again = {'none': 0, 'dots': attention, 'layer': forward - head}[layout.remat]
    flops = costs.train_step_flops(model, sequences, recipe.sequence_length) + again

    parts, stored = layout.fsdp * layout.tensor, costs.count_stored_params(model)
    passes = 2 if layout.remat == 'none' else 3
    weights = layout.microbatches * (passes + 1) * width * costs.count_params(model) / layout.tensor
    updates = (3 * layout.microbatches * F32 + 7 * F32) * stored / parts
    values = width * (8 * model.d_model + 4 * model.d_kv + 4 * model.d_hidden)
    layers = model.n_layers * 2 * (kept_bytes(model, layout.remat) + passes * values)
    logits = 2 * (F32 + width) * model.vocab / layout.tensor
    moved = weights + updates + _tokens(recipe, layout, devices) * (layers + logits)
    return Roofline(flops / devices / chip.flops, moved / chip.bandwidth, link_bytes / chip.link)


def train_mfu(model: ModelConfig, recipe: Recipe, devices: int, chip: Chip, seconds: float) -> float:
    """Return the share of the peak that a step of so many seconds uses, counting no FLOP twice."""
    flops = costs.train_step_flops(model, recipe.batch_sequences, recipe.sequence_length)
    return flops / seconds / devices / chip.flops


def decode_roofline(model: ModelConfig, questions: int, samples: int, prefix: int, suffix: int, chip: Chip) -> Roofline:
    """Estimate the seconds of one decode step of one device's own rows; params are read as stored, in f32."""
    flops = costs.decode_step_flops(model, questions * samples, prefix + suffix)
    read = costs.decode_step_bytes(model, questions, samples, prefix, suffix, _width(model))
    return Roofline(flops / chip.flops, (read + (F32 - _width(model)) * costs.count_params(model)) / chip.bandwidth)


def _tokens(recipe: Recipe, layout: Layout, devices: int) -> float:
    """Return the tokens of a step that one device computes, with those it shares heads with."""
    return recipe.batch_tokens * layout.tensor / devices


def _width(model: ModelConfig) -> int:
    return 2 if model.compute_dtype == 'bfloat16' else F32
