"""Models trained with OpenLM, such as those of Porian et al. (arXiv 2406.19146), read from their PyTorch checkpoints.

A Linear of PyTorch is [out, in], a weight of ours [in, out]: in_proj [3D, D] holds q, k and v one after another, w12
[2F, D] the gate of SwiGLU and then the value. Every weight has to be there, with the shape that the others ask for.
What a state dict cannot say is taken from Porian's recipe: LayerNorm with a gain (RMSNorm has the same names),
eps 1e-5, rotary positions of the rotate-half form over the length, pre-norm blocks.

A checkpoint is a pickle, which may hold code. It is unpickled by PyTorch's unpickler for weights alone.
"""

import argparse
import math
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from t2jax.interop.weight_names import join_names
from t2jax.models.config import ModelConfig
from t2jax.models.transformer import Params
from t2jax.training.trained import Imported

HEADS = 4  # of Porian's models, where a checkpoint does not tell
WRAPPERS = ('module', '_orig_mod')  # of DistributedDataParallel and torch.compile, in a weight's name
INV_FREQ = re.compile(r'layers\.\d+\.attention\.pos_embed\.inv_freq')


def import_openlm(
    path: Path,
    tokens: float | None = None,
    heads: int | None = None,
    context: int = 2048,
    name: str | None = None,
    compute_dtype: str = 'float32',
) -> tuple[Imported, Params]:
    """Read an OpenLM checkpoint: what the model is, and its params (numpy, float32).

    tokens: D, that it was trained on. heads: needed where the checkpoint has no rotary buffer and they are not 4.
    name: default the file's. Raises OSError for a missing file, ValueError for one that is no whole OpenLM model.
    """
    state = _read_state(path)
    model = _read_config(path, state, heads, compute_dtype)
    expected = _shapes(model)
    _check(path, state, expected)
    weights = {key: np.array(state[key].float().numpy()) for key in expected}
    broken = [key for key, value in weights.items() if not np.isfinite(value).all()]
    if broken:
        raise ValueError(f'{path} has weights that are not finite in {_some(broken)}; take another checkpoint')
    about = Imported(
        name=name or path.stem,
        model=model,
        context=context,
        tokens=tokens,
        source=f'OpenLM checkpoint {path}',
        bos=None,
        end=None,
    )
    return about, _params(model, weights)


def _read_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint's tensors by name, without the wrappers in their names."""
    try:
        import torch
    except ImportError:
        raise ValueError(f"{path} is read with PyTorch, which is not installed; pip install 't2jax[interop]'") from None
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint file {path}; give the .pt file of an OpenLM model')
    scalars = [np.dtype(kind).type(0) for kind in ('f8', 'f4', 'f2', 'i8', 'i4', '?')]
    inert: list[Any] = [argparse.Namespace, np.dtype, *{type(scalar.dtype) for scalar in scalars}]
    make_scalar = scalars[0].__reduce__()[0]
    inert += [(make_scalar, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')]  # numpy 1 and 2
    try:
        with torch.serialization.safe_globals(inert):
            found = torch.load(path, map_location='cpu', weights_only=True, mmap=zipfile.is_zipfile(path))
    except PermissionError:
        raise
    except Exception as error:  # what is unpickled from a file of another kind raises anything
        forbidden = re.search(r'GLOBAL (\S+)', str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if forbidden:
            raise ValueError(
                f'{path} is a pickle with more than weights in it ({forbidden[1]}), which was not run; '
                'where you trust it, load it with PyTorch and save its state_dict alone'
            ) from None
        raise ValueError(
            f'{path} is not a PyTorch checkpoint, or not all of one ({type(error).__name__}); '
            'give the .pt file of an OpenLM model, whole'
        ) from None
    state = found.get('state_dict', found) if isinstance(found, Mapping) else found
    if not isinstance(state, Mapping):
        raise ValueError(f'{path} holds a {type(state).__name__} and no state dict; save the model.state_dict()')
    bare = [
        (key, '.'.join(part for part in str(key).split('.') if part not in WRAPPERS), value)
        for key, value in state.items()
    ]
    times = Counter(key for _, key, _ in bare)
    twice = [str(original) for original, key, _ in bare if times[key] > 1]
    if twice:
        raise ValueError(f'{path} has weights twice, wrapped and not: {_some(twice)}; save one model alone')
    odd = [
        f'{key} ({getattr(value, "dtype", None) or type(value).__name__})'
        for _, key, value in bare
        if not _is_weights(value)
    ]
    if odd:
        raise ValueError(
            f'{path} has what is no dense tensor of floats: {_some(odd)}; save the model.state_dict() alone'
        )
    return {key: value.detach() for _, key, value in bare}


def _is_weights(value: Any) -> bool:
    import torch

    dense = isinstance(value, torch.Tensor) and value.layout is torch.strided
    return dense and value.device.type == 'cpu' and value.is_floating_point()  # the device meta has no numbers


def _read_config(path: Path, state: Mapping[str, Any], heads: int | None, compute_dtype: str) -> ModelConfig:
    """Read a model's shape off its weights."""
    embed = state.get('tok_embeddings.weight')
    if embed is None or embed.ndim != 2:
        raise ValueError(
            f'{path} is no OpenLM model: it has no tok_embeddings.weight [vocab, width] but {_some(sorted(state))}; '
            'give a checkpoint of one'
        )
    vocab, width = embed.shape
    layers = {match[1] for key in state if (match := re.match(r'layers\.(\d+)\.', key))}
    ends = [value for key, value in state.items() if key.endswith('.feed_forward.w3.weight')]
    narrow = [value.shape[1] for value in ends if value.ndim == 2]
    heads, base = _read_rotary(path, state, width, heads)
    try:
        shape: dict[str, Any] = {
            'vocab': vocab,
            'd_model': width,
            'n_layers': len(layers),
            'n_heads': heads,
            'rotary_base': base,
            'qk_norm': any(key.endswith(('.q_norm.weight', '.k_norm.weight')) for key in state),
            'compute_dtype': compute_dtype,
        }
        model = ModelConfig(**shape)
        if not narrow or narrow[0] == model.d_hidden:
            return model
        model = ModelConfig(**shape, hidden_multiple=narrow[0])
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None
    if narrow[0] != model.d_hidden:
        raise ValueError(
            f'{path} has a SwiGLU of width {narrow[0]}, and at d_model {width} it has to be '
            f'{8 * width // 3} rounded up; only such models are read'
        )
    return model


def _read_rotary(path: Path, state: Mapping[str, Any], width: int, heads: int | None) -> tuple[int, float]:
    """Return heads and rotary base, from the buffer inv_freq [K/2] = base^(-2i/K) where there is one."""
    import torch

    buffers = {key: value for key, value in state.items() if INV_FREQ.fullmatch(key)}
    if not buffers:
        return HEADS if heads is None else heads, ModelConfig.rotary_base
    key, found = next(iter(buffers.items()))
    speeds = found.double().numpy().ravel()
    others = [value.double().numpy().ravel() for value in buffers.values()]
    if not all(np.array_equal(speeds, other, equal_nan=True) for other in others):
        raise ValueError(f'{path} has layers with unlike rotary positions; only models with the same in all are read')
    half = len(speeds)
    if not half or width % (2 * half):
        raise ValueError(f'{path}: {key} [{half}] asks for heads {2 * half} wide, which {width} does not split into')
    if heads not in (None, width // (2 * half)):
        raise ValueError(f'{path} has {width // (2 * half)} heads by its {key}, not {heads}; leave heads out')
    powers = -np.arange(half) / half
    limits = torch.finfo(found.dtype)
    close = lambda base: np.allclose(speeds, base**powers, 16 * limits.eps, limits.eps * limits.smallest_normal)
    if half == 1:
        bases = [ModelConfig.rotary_base]  # base^0 whatever the base
    else:
        exact = speeds[-1] ** (1 / powers[-1]) if speeds[-1] > 0 else math.nan
        bases = [float(f'{exact:.{digits}g}') for digits in range(1, 8)]  # the roundest that explains the buffer
    base = next((base for base in bases if close(base)), None)
    if base is None:
        raise ValueError(f'{path}: {key} is not base^(-2i/K) for any base; only plain rotary positions are read')
    return width // (2 * half), base


def _shapes(model: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return OpenLM's names of a model's weights, and their shapes."""
    D, F = model.d_model, model.d_hidden
    shapes: dict[str, tuple[int, ...]] = {
        'tok_embeddings.weight': (model.vocab, D),
        'norm.weight': (D,),
        'output.weight': (model.vocab, D),
    }
    of_layer: dict[str, tuple[int, ...]] = {
        'attention_norm.weight': (D,),
        'attention.in_proj.weight': (3 * D, D),
        'attention.out_proj.weight': (D, D),
        'ffn_norm.weight': (D,),
        'feed_forward.w12.weight': (2 * F, D),
        'feed_forward.w3.weight': (D, F),
    }
    if model.qk_norm:
        of_layer |= {'attention.q_norm.weight': (D,), 'attention.k_norm.weight': (D,)}
    for layer in range(model.n_layers):
        shapes |= {f'layers.{layer}.{part}': shape for part, shape in of_layer.items()}
    return shapes


def _check(path: Path, state: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless a state dict has the weights expected, and no other."""
    missing = [key for key in expected if key not in state]
    extra = [key for key in state if key not in expected and not INV_FREQ.fullmatch(key)]
    other = [
        f'{key} ({list(state[key].shape)}, not {list(shape)})'
        for key, shape in expected.items()
        if key in state and tuple(state[key].shape) != shape
    ]
    faults = [(missing, 'misses'), (extra, 'has beyond it'), (other, 'has of another shape')]
    said = [f'{what} {_some(names)}' for names, what in faults if names]
    if said:
        raise ValueError(f'{path} is not a whole OpenLM model: it {"; it ".join(said)}')


def _some(names: Sequence[str]) -> str:
    """Say how many names there are, and all of them."""
    return f'{len(names)} ({join_names(names)})'


def _params(model: ModelConfig, weights: Mapping[str, np.ndarray]) -> Params:
    """Turn OpenLM's weights into ours, as `transformer.init_params` has them."""
    D, layers = model.d_model, range(model.n_layers)
    stack = lambda part: np.stack([weights[f'layers.{layer}.{part}.weight'] for layer in layers])
    linear = lambda part: np.ascontiguousarray(stack(part).transpose(0, 2, 1))
    attention = {
        'qkv': linear('attention.in_proj').reshape(-1, D, 3, D),
        'out': linear('attention.out_proj'),
    }
    if model.qk_norm:
        attention |= {part: {'gain': stack(f'attention.{part}')} for part in ('q_norm', 'k_norm')}
    return {
        'embed': weights['tok_embeddings.weight'],
        'layers': {
            'attention_norm': {'gain': stack('attention_norm')},
            'attention': attention,
            'feed_forward_norm': {'gain': stack('ffn_norm')},
            'feed_forward': {
                'in': linear('feed_forward.w12').reshape(-1, D, 2, model.d_hidden),
                'out': linear('feed_forward.w3'),
            },
        },
        'norm': {'gain': weights['norm.weight']},
        'head': np.ascontiguousarray(weights['output.weight'].T),
    }
