"""Parameter, FLOP and byte counts of a decoder: the paper's approximations and exact ones.

The paper's: N excludes the input embedding, norms and biases and includes the head (Porian et al., arXiv 2406.19146),
training costs 6 N D, k samples cost 2 N k per served token (T2, arXiv 2604.01411). The exact counts are those of the
matrix products as this code executes them, one multiply-add being 2 FLOPs; element-wise work is left out.
"""

from typing import Protocol


class Decoder(Protocol):
    """What a cost depends on; `models.config.ModelConfig` is one."""

    vocab: int
    d_model: int
    n_layers: int

    @property
    def d_hidden(self) -> int:
        """Width of the feed-forward."""

    @property
    def mlp_matrices(self) -> int:
        """Weight matrices of d_model x d_hidden in a feed-forward: 3 of SwiGLU."""

    @property
    def d_q(self) -> int:
        """Width of the queries of a token: n_heads heads, usually d_model."""

    @property
    def d_kv(self) -> int:
        """Width of the keys, and of the values, of a token: d_model, less where heads share them."""

    @property
    def layer_vectors(self) -> int:
        """Numbers in the gains and biases of a layer."""

    @property
    def norm_vectors(self) -> int:
        """Numbers in the gain, and bias, of a norm over the width."""


def count_layer_params(model: Decoder) -> int:
    """Count the weights of a layer: (2 d_q + 2 d_kv + 3 d_ff) d, or 2 d_ff without a gate."""
    return (2 * model.d_q + 2 * model.d_kv + model.mlp_matrices * model.d_hidden) * model.d_model


def count_params(model: Decoder) -> int:
    """Count N = (4 d + 3 d_ff) d depth + vocab d, where there are as many heads of keys as of queries, and SwiGLU."""
    return count_layer_params(model) * model.n_layers + model.vocab * model.d_model


def count_stored_params(model: Decoder) -> int:
    """Count every number in a checkpoint: N, the input embedding, gains and biases."""
    vectors = model.layer_vectors * model.n_layers + model.norm_vectors
    return count_params(model) + model.vocab * model.d_model + vectors


def train_flops(params: float, tokens: float) -> float:
    """Approximate training FLOPs, 6 N D."""
    return 6 * params * tokens


def inference_flops(params: float, samples: float) -> float:
    """Approximate FLOPs of k samples per served token, 2 N k."""
    return 2 * params * samples


def forward_flops(model: Decoder, sequences: int, length: int) -> int:
    """Count the FLOPs of a forward pass with logits everywhere: 2 N + 4 d_q S depth per token, S = length.

    Attention scores are counted for all S keys, as is usual for MFU; what skips masked keys does down to half of them.
    """
    attention = 4 * model.d_q * length * model.n_layers
    return sequences * length * (2 * count_params(model) + attention)


def train_step_flops(model: Decoder, sequences: int, length: int) -> int:
    """Count the FLOPs of one training step: the backward pass has two products for each forward one."""
    return 3 * forward_flops(model, sequences, length)


def prefill_flops(model: Decoder, questions: int, prompt: int) -> int:
    """Count the FLOPs of reading prompts of `prompt` tokens, with logits for the last token alone."""
    return forward_flops(model, questions, prompt) - questions * (prompt - 1) * 2 * model.vocab * model.d_model


def decode_step_flops(model: Decoder, rows: int, cached: int) -> int:
    """Count the FLOPs of one new token in each row that looks at `cached` columns and itself."""
    return rows * (2 * count_params(model) + 4 * model.d_q * (cached + 1) * model.n_layers)


def sample_flops(model: Decoder, prompt: int, answer: int, samples: int) -> int:
    """Count the FLOPs of one question: its prompt once, then `answer` tokens in each of `samples` rows.

    The first token of each sample comes from the prompt's own logits; the last one is never read. Every step looks at
    the whole preallocated cache, `answer - 1` columns behind the prompt, most of them masked.
    """
    step = decode_step_flops(model, samples, prompt + answer - 1)
    return prefill_flops(model, 1, prompt) + (answer - 1) * step


def cache_bytes(model: Decoder, columns: int, bytes_per_value: int) -> int:
    """Count the bytes of keys and values of `columns` tokens over all layers."""
    return 2 * model.n_layers * model.d_kv * columns * bytes_per_value


def decode_step_bytes(model: Decoder, questions: int, samples: int, prefix: int, suffix: int, width: int) -> int:
    """Count the bytes one decode step reads: params once, each prefix once, each sample's suffix; width in bytes."""
    columns = questions * (prefix + samples * suffix)
    return count_params(model) * width + cache_bytes(model, columns, width)


def sample_bytes(model: Decoder, prompt: int, answer: int, samples: int, width: int, batch: int) -> float:
    """Count the bytes that one question has to read: params, keys and values of `width` bytes each.

    The params are read once for `batch` prompts, and once a step for `batch` rows; the prompt's cache once a step for
    all samples of the question, each sample's own as far as it is written (Kinetics, arXiv 2506.05333).
    """
    steps = answer - 1
    params = count_params(model) * width / batch * (1 + samples * steps)
    return params + cache_bytes(model, steps * prompt + samples * steps * (steps + 1) / 2, width)
