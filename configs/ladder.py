"""Ladders of model sizes."""

from t2jax.models.config import ModelConfig

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
