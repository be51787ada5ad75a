"""The same decoder and recipe in PyTorch, for `python experiments/training_speed.py` and the parity tests.

Written from the description of the architecture and of the recipe (OpenLM; Porian et al., arXiv 2406.19146), not from
t2jax's code, with what PyTorch offers for each part: fused scaled_dot_product_attention, layer_norm, AdamW, and one
product each for q, k, v and for the two halves of SwiGLU. `load` reads t2jax's params.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2jax import costs
from t2jax.models.config import ModelConfig
from t2jax.training.recipe import Recipe


class Attention(nn.Module):
    """Causal attention, q and k normalised over the whole width before the split into heads, then turned."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        d = model.d_model
        self.heads = model.n_heads
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.q_norm = nn.LayerNorm(d, model.norm_eps, bias=False)
        self.k_norm = nn.LayerNorm(d, model.norm_eps, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map [batch, length, width] to the same; cos and sin are [length, head width]."""
        split = lambda part: part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = split(self.q_norm(q)), split(self.k_norm(k)), split(v)
        turn = lambda part: part * cos + torch.cat([-part.chunk(2, -1)[1], part.chunk(2, -1)[0]], dim=-1) * sin
        y = F.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """A pre-norm block: attention, then SwiGLU."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        d, hidden = model.d_model, model.d_hidden
        self.attention_norm = nn.LayerNorm(d, model.norm_eps, bias=False)
        self.attention = Attention(model)
        self.feed_forward_norm = nn.LayerNorm(d, model.norm_eps, bias=False)
        self.wide, self.narrow = nn.Linear(d, 2 * hidden, bias=False), nn.Linear(hidden, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map the residual stream [batch, length, width] to the next layer's."""
        x = x + self.attention(self.attention_norm(x), cos, sin)
        gate, value = self.wide(self.feed_forward_norm(x)).chunk(2, dim=-1)
        return x + self.narrow(F.silu(gate) * value)


class Decoder(nn.Module):
    """Map token ids [batch, length] to logits [batch, length, vocab]."""

    def __init__(self, model: ModelConfig, length: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(model.vocab, model.d_model)
        self.layers = nn.ModuleList(Layer(model) for _ in range(model.n_layers))
        self.norm = nn.LayerNorm(model.d_model, model.norm_eps, bias=False)
        self.head = nn.Linear(model.d_model, model.vocab, bias=False)
        width = model.d_model // model.n_heads
        speeds = 1 / model.rotary_base ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.outer(torch.arange(length, dtype=torch.float64), speeds).repeat(1, 2)
        self.register_buffer('cos', angles.cos().float())
        self.register_buffer('sin', angles.sin().float())

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute logits; `tokens` has the length that the decoder was made for."""
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return self.head(self.norm(x))


def state_dict(params: dict[str, Any]) -> dict[str, Tensor]:
    """Give t2jax's params, or gradients of the same tree, PyTorch's names and its [out, in] order."""
    as_tensor = lambda x: torch.from_numpy(np.array(x, np.float32))
    linear = lambda x: as_tensor(np.asarray(x).reshape(len(x), -1).T)
    state = {
        'embed.weight': as_tensor(params['embed']),
        'head.weight': linear(params['head']),
        'norm.weight': as_tensor(params['norm']['gain']),
    }
    layers = params['layers']
    attention, feed_forward = layers['attention'], layers['feed_forward']
    for i in range(len(layers['attention_norm']['gain'])):
        state |= {
            f'layers.{i}.attention_norm.weight': as_tensor(layers['attention_norm']['gain'][i]),
            f'layers.{i}.attention.qkv.weight': linear(attention['qkv'][i]),
            f'layers.{i}.attention.q_norm.weight': as_tensor(attention['q_norm']['gain'][i]),
            f'layers.{i}.attention.k_norm.weight': as_tensor(attention['k_norm']['gain'][i]),
            f'layers.{i}.attention.out.weight': linear(attention['out'][i]),
            f'layers.{i}.feed_forward_norm.weight': as_tensor(layers['feed_forward_norm']['gain'][i]),
            f'layers.{i}.wide.weight': linear(feed_forward['in'][i]),
            f'layers.{i}.narrow.weight': linear(feed_forward['out'][i]),
        }
    return state


def load(model: ModelConfig, length: int, params: dict[str, Any]) -> Decoder:
    """Make a decoder for sequences of `length` tokens with t2jax's params."""
    decoder = Decoder(model, length)
    with torch.no_grad():
        for name, value in state_dict(params).items():
            decoder.get_parameter(name).copy_(value)
    return decoder


def objective(logits: Tensor, targets: Tensor, z_loss: float) -> tuple[Tensor, Tensor]:
    """Return cross-entropy plus z_loss times the mean of log^2 Z, and the cross-entropy alone."""
    log_z = torch.logsumexp(logits, dim=-1)  # faster than F.cross_entropy, which would compute it a second time
    nll = (log_z - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)).mean()
    return nll + z_loss * log_z.square().mean(), nll


class Trainer:
    """AdamW with the base recipe: warmup over as many tokens as parameters, cosine to zero, clipping, z-loss."""

    def __init__(self, decoder: Decoder, model: ModelConfig, recipe: Recipe, tokens: float) -> None:
        self.decoder, self.run, self.recipe = decoder, decoder, recipe
        self.step, self.total = 0, tokens / recipe.batch_tokens
        self.warmup = recipe.warmup_tokens_per_param * costs.count_params(model) / recipe.batch_tokens
        # torch decays by lr * weight_decay: dividing by the peak leaves the decay to the schedule alone.
        decay = recipe.weight_decay / recipe.learning_rate
        betas = (recipe.beta1, recipe.beta2)
        self.adam = torch.optim.AdamW(
            decoder.parameters(), recipe.learning_rate, betas, 1e-8, weight_decay=decay, fused=True
        )

    def rate(self) -> float:
        """Return the learning rate of the step to come."""
        if self.step < self.warmup:
            return self.recipe.learning_rate * min(1.0, (self.step + 1) / self.warmup)
        share = (self.step - self.warmup) / (self.total - self.warmup)
        return self.recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * share))

    def train_step(self, tokens: Tensor) -> tuple[float, float]:
        """Train on ids [batch, length + 1]; returns the loss in nats per token and the gradients' norm."""
        for group in self.adam.param_groups:
            group['lr'] = self.rate()
        loss, nll = objective(self.run(tokens[:, :-1]), tokens[:, 1:], self.recipe.z_loss)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.decoder.parameters(), self.recipe.clip_norm)
        self.adam.step()
        self.step += 1
        return nll.item(), norm.item()
