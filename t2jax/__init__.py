"""Train-to-Test scaling laws: how big to train a model, for how long, and how many times to sample it."""
