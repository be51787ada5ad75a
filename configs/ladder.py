"""Ladders of model sizes."""

from t2jax import costs
from t2jax.laws.shapes import PORIAN_LADDER
from t2jax.models.config import ModelConfig
from t2jax.models.grouped_query import GroupedQueryConfig

PAPER_VOCAB = 50_432  # GPT-NeoX's 50,277 tokens, padded up to a multiple of 256

# The mini study's sizes. Depth is the same for all and every size has at least two heads, so that along the ladder
# width alone changes; heads are 4 to 12 wide. Layers are unrolled: faster on a CPU.
MINI_WIDTHS_HEADS = ((8, 2), (12, 2), (16, 2), (24, 4), (32, 4), (48, 4))


def mini(vocab: int) -> tuple[ModelConfig, ...]:
    """Return the mini study's models: 3 layers, widths 8 to 48, rotary base 1000 for a context of 32 tokens."""
    return tuple(
        ModelConfig(
            vocab=vocab,
            d_model=width,
            n_layers=3,
            n_heads=heads,
            hidden_multiple=8,
            rotary_base=1000.0,
            unroll_layers=True,
        )
        for width, heads in MINI_WIDTHS_HEADS
    )


def porian(vocab: int = PAPER_VOCAB, compute_dtype: str = 'bfloat16') -> dict[str, ModelConfig]:
    """Return the paper's 16 sizes, '5M' to '901M' (arXiv 2406.19146, table of models), by label.

    A label is N in millions, cut off, at the paper's vocabulary; N = (4 d + 3 d_ff) d depth + vocab d is exact:
    901M has 901,726,208. `laws.shapes` holds the widths and depths, since laws need them as well.
    """
    return {
        f'{costs.count_params(shape) // 10**6}M': ModelConfig(
            vocab, int(shape.d_model), int(shape.n_layers), compute_dtype=compute_dtype
        )
        for shape in PORIAN_LADDER
    }


def grouped_query(vocab: int = PAPER_VOCAB, compute_dtype: str = 'bfloat16') -> dict[str, GroupedQueryConfig]:
    """Return the paper's 149M with two heads of queries to one of keys: a cache half as large, N = 140M."""
    base = porian(vocab)['149M']
    return {
        '140M-gqa': GroupedQueryConfig(
            vocab, base.d_model, base.n_layers, n_heads=4, n_kv_heads=2, compute_dtype=compute_dtype
        )
    }
