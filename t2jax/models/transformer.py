"""The decoder: embedding, L pre-norm blocks (scanned or unrolled over stacked params), norm, untied head.

x <- x + Attention(Norm(x)); x <- x + SwiGLU(Norm(x)); in a variant both may read the same x. Params are a plain nested
dict, stacked over layers whether the loop over them is unrolled or not, so a checkpoint fits both. Source: OpenLM,
Porian et al. (arXiv 2406.19146).
"""

import threading
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from t2jax.models.config import ModelConfig
from t2jax.models.execution import PLAIN, POLICIES, Execution
from t2jax.models.grouped_query import GroupedQueryAttention, GroupedQueryConfig
from t2jax.models.layers import Attention, Block, FeedForward, Norm, attend_causally, product, weight
from t2jax.models.llama import LlamaAttention, LlamaConfig, RMSNorm
from t2jax.models.neox import BiasedNorm, NeoXAttention, NeoXConfig, NeoXFeedForward

Params = dict[str, Any]


class Parts(NamedTuple):
    """The modules a layer is made of."""

    attention: type[nn.Module]
    feed_forward: type[nn.Module]
    norm: type[nn.Module] = Norm


# A model variant has a line here: its config's type, and its parts.
VARIANTS: dict[type[ModelConfig], Parts] = {
    ModelConfig: Parts(Attention, FeedForward),
    GroupedQueryConfig: Parts(GroupedQueryAttention, FeedForward),
    LlamaConfig: Parts(LlamaAttention, FeedForward, RMSNorm),
    NeoXConfig: Parts(NeoXAttention, NeoXFeedForward, BiasedNorm),
}


class Layer(nn.Module):
    """One pre-norm block; `residual` scales the initial output weights by 1 / sqrt(2 (layer + 1))."""

    config: ModelConfig
    causal: bool
    execution: Execution

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        layer: jax.Array,
        kv: tuple[tuple[jax.Array, jax.Array], ...],
        masks: tuple[jax.Array, ...],
        positions_BT: jax.Array,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        c, parts, residual = self.config, VARIANTS[type(self.config)], (2.0 * (layer + 1)) ** -0.5
        axes = {4: 'BJSK', 5: 'BTJSK'}  # heads first: on a CPU twice as fast to read as columns first
        past = tuple(Block(k, v, mask, axes[k.ndim]) for (k, v), mask in zip(kv, masks, strict=True))
        normed = parts.norm(c.norm_eps, 'norm', name='attention_norm')(x_BTD)
        attention = parts.attention(c, self.causal, self.execution, name='attention')
        out, own = attention(normed, positions_BT, past, residual)
        before, x_BTD = x_BTD, x_BTD + out
        normed = parts.norm(c.norm_eps, 'norm', name='feed_forward_norm')(before if c.parallel_residual else x_BTD)
        x_BTD += parts.feed_forward(c, name='feed_forward')(normed, residual)
        return self.execution.place(x_BTD, ('batch', 'length', None)), own


_ONE_AT_A_TIME = threading.Lock()  # studies trace in several threads, and flax makes classes as if there were one


@cache
def _stacked(length: int, unroll: bool, remat: str) -> type[nn.Module]:
    """Make the module of `length` layers, one after another, with stacked params."""
    layer = Layer
    if remat != 'none':
        # what a scan computes twice the compiler cannot merge, so only unrolled layers have to be guarded from it
        layer = nn.remat(Layer, prevent_cse=unroll, policy=POLICIES[remat])
    return nn.scan(
        layer,
        variable_axes={'params': 0},
        split_rngs={'params': True},
        in_axes=(0, 0, nn.broadcast, nn.broadcast),
        length=length,
        unroll=length if unroll else 1,
        metadata_params={nn.PARTITION_NAME: 'layers'},
    )


class Decoder(nn.Module):
    """Map tokens to logits, and hand out the keys and values that a cache would keep."""

    config: ModelConfig
    causal: bool = True
    execution: Execution = PLAIN

    @nn.compact
    def __call__(
        self,
        tokens_BT: jax.Array,
        positions_BT: jax.Array,
        kv: tuple[tuple[jax.Array, jax.Array], ...] = (),
        masks: tuple[jax.Array, ...] = (),
        read: tuple[jax.Array, jax.Array] | None = None,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Return logits [B, T, V], and keys and values.

        Where `read` names rows and positions, what the head would read there, [..., D], takes the logits' place.
        """
        c, how = self.config, self.execution
        x_BTD = weight(self, 'embed', (c.vocab, c.d_model), ('vocab', 'embed'), c.d_model**-0.5)[tokens_BT]
        x_BTD = how.place(x_BTD, ('batch', 'length', None))
        with _ONE_AT_A_TIME:
            stack = _stacked(c.n_layers, c.unroll_layers, how.remat)
        layers = stack(c, self.causal, how, name='layers')
        x_BTD, own_LBTJK = layers(x_BTD, jnp.arange(c.n_layers), kv, masks, positions_BT)
        norm = VARIANTS[type(c)].norm(c.norm_eps, 'norm', name='norm')
        if read is not None:
            return norm(x_BTD[read]), own_LBTJK
        x_BTD = norm(x_BTD)
        head = weight(self, 'head', (c.d_model, c.vocab), ('embed', 'vocab'), c.d_model**-0.5)
        logits_BTV = product(x_BTD, head, jnp.float32)
        return how.place(logits_BTV, ('batch', 'length', 'vocab')), own_LBTJK


@partial(jax.jit, static_argnums=0)
def init_params(config: ModelConfig, key: jax.Array) -> Params:
    """Draw initial params: float32 nested dict, per-layer arrays stacked on axis 0."""
    return nn.unbox(_init_boxed(config, key))


def logical_axes(config: ModelConfig) -> Params:
    """Return the params tree with, for each array, its tuple of logical axis names (None: never sharded)."""
    boxed = jax.eval_shape(lambda: _init_boxed(config, jax.random.key(0)))
    is_box = lambda leaf: isinstance(leaf, nn.Partitioned)
    return jax.tree.map(lambda box: tuple(box.names), boxed, is_leaf=is_box)


def _init_boxed(config: ModelConfig, key: jax.Array) -> Params:
    tokens = jnp.zeros((1, 1), jnp.int32)
    return Decoder(config).init(key, tokens, tokens)['params']


def forward(config: ModelConfig, params: Params, tokens_BT: jax.Array, execution: Execution = PLAIN) -> jax.Array:
    """Compute next-token logits [B, T, V] (float32) of whole sequences."""
    return Decoder(config, execution=execution).apply({'params': params}, tokens_BT, _positions(tokens_BT))[0]


def packed_states(
    config: ModelConfig,
    params: Params,
    tokens_N: jax.Array,
    positions_N: jax.Array,
    slots_BT: jax.Array,
    home_N: jax.Array,
) -> jax.Array:
    """Compute what the head reads in N slots that hold rows of unlike length end to end, [N, D].

    Attention alone sees the rows: slots_BT tells the slot of each token of a row, home_N each slot's place in [B T].
    What slots_BT says behind a row's end does not matter, attention being causal.
    """

    def attend_by_row(*qkv_1NHK: jax.Array) -> jax.Array:
        out_BTHK = attend_causally(*(part[0][slots_BT] for part in qkv_1NHK))
        return out_BTHK.reshape(-1, *out_BTHK.shape[2:])[home_N][None]

    decoder = Decoder(config, execution=Execution(kernel=attend_by_row))
    read = 0, jnp.arange(len(tokens_N))
    return decoder.apply({'params': params}, tokens_N[None], positions_N[None], read=read)[0]


def head(config: ModelConfig, params: Params, states: jax.Array) -> jax.Array:
    """Compute next-token logits [..., V] (float32) from states [..., D]."""
    return product(states, params['head'].astype(config.compute_dtype), jnp.float32)


def prefill(
    config: ModelConfig, params: Params, tokens_BP: jax.Array, lengths_B: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Read right-padded prompts: logits [B, V] after each row's last real token, keys and values [L, B, P, J, K]."""
    read = jnp.arange(len(tokens_BP)), lengths_B - 1
    states_BD, kv = Decoder(config).apply({'params': params}, tokens_BP, _positions(tokens_BP), read=read)
    return head(config, params, states_BD), kv


def _positions(tokens_BT: jax.Array) -> jax.Array:
    return jnp.broadcast_to(jnp.arange(tokens_BT.shape[1]), tokens_BT.shape)


def decode(
    config: ModelConfig,
    params: Params,
    tokens_BG: jax.Array,
    positions_BG: jax.Array,
    kv: tuple[tuple[jax.Array, jax.Array], ...],
    masks: tuple[jax.Array, ...],
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Advance G independent samples of each of B questions by one token, given cached blocks.

    kv: blocks of keys and values with a leading layer axis, [L, B, J, S, K] shared by a question's samples or
    [L, B, G, J, S, K] per sample; masks: one boolean array a block, broadcastable to [B, G, S].
    Returns logits [B, G, V] and the new column of keys and values, each [L, B, G, J, K].
    """
    return Decoder(config, causal=False).apply({'params': params}, tokens_BG, positions_BG, kv, masks)
