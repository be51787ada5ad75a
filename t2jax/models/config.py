"""The shape and numerics of a decoder, as a value; importing it costs nothing (no jax)."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One decoder. The defaults are OpenLM's, as in Porian et al. (arXiv 2406.19146)."""

    vocab: int
    d_model: int
    n_layers: int
    n_heads: int = 4
    hidden_multiple: int = 256  # SwiGLU width is 8/3 d_model rounded up to a multiple of this
    rotary_base: float = 10_000.0
    norm_eps: float = 1e-5
    qk_norm: bool = True
    compute_dtype: str = 'float32'
    unroll_layers: bool = False  # faster for a few layers on CPU; a deep model compiles faster scanned

    def __post_init__(self) -> None:
        for name in ('vocab', 'd_model', 'n_layers', 'n_heads', 'hidden_multiple'):
            if getattr(self, name) < 1:
                raise ValueError(f'model.{name} is {getattr(self, name)}; it has to be at least 1')
        self.check_heads()
        if self.compute_dtype not in ('float32', 'bfloat16'):
            raise ValueError(f'model.compute_dtype is {self.compute_dtype!r}; use float32 or bfloat16')

    def check_heads(self) -> None:
        """Raise ValueError where the width does not split into heads of even width, as rotary needs them."""
        if self.d_model % (2 * self.n_heads):
            raise ValueError(
                f'model.d_model {self.d_model} does not split into {self.n_heads} heads of even width; '
                f'use a multiple of {2 * self.n_heads}'
            )

    @property
    def d_hidden(self) -> int:
        """SwiGLU width F: multiple * ceil(floor(8 d / 3) / multiple)."""
        return -(-(8 * self.d_model // 3) // self.hidden_multiple) * self.hidden_multiple

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values; a variant may have fewer than of queries."""
        return self.n_heads

    @property
    def d_kv(self) -> int:
        """Width of the keys, and of the values, of a token."""
        return self.kv_heads * self.d_head

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return self.d_model // self.n_heads

    @property
    def d_q(self) -> int:
        """Width of the queries of a token, and of what attention puts out before its last product."""
        return self.n_heads * self.d_head

    @property
    def parallel_residual(self) -> bool:
        """Whether the feed-forward reads what attention reads, and not its sum with what attention writes."""
        return False

    @property
    def mlp_matrices(self) -> int:
        """Weight matrices of width x hidden in a feed-forward: SwiGLU has three."""
        return 3

    @property
    def layer_vectors(self) -> int:
        """Numbers in the gains and biases of a layer."""
        return 2 * self.norm_vectors + (self.d_q + self.d_kv if self.qk_norm else 0)

    @property
    def norm_vectors(self) -> int:
        """Numbers in the gain, and bias, of a norm over the width."""
        return self.d_model
