"""What a training or decode step must hold, compute and move on each device, worked out from its shapes.

Estimates, to choose a layout by before anything is compiled; `t2jax compile` puts XLA's own memory figure beside them.
Letters: d width, q width of queries, e width of keys, F hidden, m matrices of a feed-forward (SwiGLU: 3), V vocabulary,
L layers, P stored params; t tokens of one device at a time.
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

    Without remat: `_values`, and in f32 three for each that is normalised, 6 d, and 3 q + 3 e with QK-norm. With 'dots'
    the layer's input and the products' outputs, 3 d + q + 2 e + (m - 1) F; with 'layer' its input, d.
    """
    width, d, q, e = _width(model), model.d_model, model.d_q, model.d_kv
    return {
        'none': width * _values(model) + F32 * (6 * d + (3 * (q + e) if model.qk_norm else 0)),
        'dots': width * (3 * d + q + 2 * e + (model.mlp_matrices - 1) * model.d_hidden),
        'layer': width * d,
    }[remat]


def _values(model: ModelConfig) -> int:
    """Count the inputs and outputs of norms, rotary, products and gates of one layer and token.

    4 d + 3 q + 3 e + 2 (m - 1) F, and q + e with QK-norm; of OpenLM's decoder, 8 d + 4 e + 4 F.
    """
    d, q, e = model.d_model, model.d_q, model.d_kv
    heads = (4 if model.qk_norm else 3) * (q + e)
    return 4 * d + heads + 2 * (model.mlp_matrices - 1) * model.d_hidden


def train_roofline(
    model: ModelConfig, recipe: Recipe, layout: Layout, devices: int, chip: Chip, link_bytes: float = 0.0
) -> Roofline:
    """Estimate a training step's seconds on each resource; link_bytes are those that each device sends.

    compute: the exact FLOPs of the step, and of what remat does again. memory: the weights in the compute type once a
    forward and twice a backward pass of every microbatch; gradients in f32 and their running sum; 28 bytes of optimizer
    per param; what layers keep, and the values between their operations (`_values`), written and read in every pass;
    logits and their gradient likewise.
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
    layers = model.n_layers * 2 * (kept_bytes(model, layout.remat) + passes * width * _values(model))
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
