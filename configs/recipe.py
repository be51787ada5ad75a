"""Training recipes."""

from t2jax.training.recipe import Recipe

# Porian et al.'s "base" setting, T2's recipe: the defaults.
PAPER = Recipe()

# The same at miniature scale: small batches; a higher rate, falling with the square root of the width (at 3k to 90k
# params the paper's 3e-3 is far too low); a warmup of at most a tenth of the run, since N tokens are a few steps only.
MINI = Recipe(
    batch_sequences=16,
    sequence_length=32,
    learning_rate=8e-3,
    reference_width=32,
    warmup_tokens_per_param=8.0,
    max_warmup_share=0.1,
)
