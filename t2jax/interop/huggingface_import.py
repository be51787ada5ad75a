"""A checkpoint of the Hugging Face hub, in a local folder, as a model of ours: `t2jax convert huggingface FOLDER`.

config.json, and model.safetensors or its shards with model.safetensors.index.json; tokenizer.json and the files beside
it that say what a text begins and ends with. Read without torch or transformers, and nothing is made up: every tensor
that the architecture has must be there, in its shape, finite, and no other. The function is the same up to rounding.

OLMoE with one expert, as `huggingface_export` writes it, has RMSNorm where ours has LayerNorm: the same where all that
is normalised has mean zero, which is checked. A tied head is untied.
"""

import hashlib
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

from t2jax.interop.huggingface_config import read_model
from t2jax.interop.huggingface_tensors import Tensor, head_name, list_tensors
from t2jax.interop.huggingface_tokens import ABOUT, AGAIN, open_tokenizer, read_object, special_tokens
from t2jax.interop.weight_names import join_names
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.training.trained import Imported

_BUFFERS = re.compile(  # computed, not learnt
    r'model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq'
    r'|gpt_neox\.(layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)|rotary_emb\.inv_freq)'
)
_FILE = re.compile(r'[^/\\\0]+\.safetensors')
_FLOATS = ('F64', 'F32', 'F16', 'BF16')
_MOST_MEAN = 1e-5  # of the root mean square, in what LayerNorm would centre
_SAMPLED = 2**16  # bytes of a file's weights that go into the digest


def import_huggingface(
    folder: Path, tokens: float | None, name: str | None = None, compute_dtype: str = 'float32'
) -> tuple[Imported, transformer.Params, Path | None]:
    """Read a model; returns what it is, its params in float32 (numpy), and its tokenizer.json if it has one.

    tokens: D, that it was trained on, if known. Raises OSError or ValueError for files that are missing, damaged or of
    another architecture, and for a tokenizer of another model.
    """
    path = folder / 'config.json'
    if not path.is_file():
        raise FileNotFoundError(f'no {path}; give a folder with config.json and model.safetensors, as the hub has it')
    config = read_object(path)
    model, tied, context = read_model(config, path, compute_dtype)
    params = _read_params(folder, model, config['model_type'], tied)
    if config['model_type'] == 'olmoe':
        _check_centred(folder, model, params)
    vocabulary = open_tokenizer(folder, model.vocab)
    bos, end = special_tokens(folder, config, vocabulary)
    if tokens is None:
        tokens = read_object(folder / ABOUT).get('tokens')
    digest = _digest(path, _weight_files(folder))
    source = (
        f'{folder.resolve().name}, {config["model_type"]}, sha256 {digest[:16]} of config.json and the weights begun'
    )
    return (
        Imported(name or folder.resolve().name, model, context, tokens, source, bos, end),
        params,
        folder / 'tokenizer.json' if vocabulary else None,
    )


def _digest(path: Path, weights: Sequence[Path]) -> str:
    """Return a SHA-256 of config.json, and of the header and the first weights of each safetensors file."""
    found = hashlib.sha256(path.read_bytes())
    for file in weights:
        with file.open('rb') as opened:
            length = opened.read(8)  # of the header
            found.update(length + opened.read(int.from_bytes(length, 'little') + _SAMPLED))
    return found.hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights; raises OSError or ValueError where there are none that can be read."""
    index = folder / 'model.safetensors.index.json'
    if index.is_file():
        names = read_object(index).get('weight_map')
        if not isinstance(names, dict) or not names:
            raise ValueError(f'{index} has no weight_map; {AGAIN}')
        odd = [name for name in names.values() if not isinstance(name, str) or not _FILE.fullmatch(name)]
        if odd:
            raise ValueError(f'{index} has weights in {odd[0]!r}, which is no .safetensors file beside it; {AGAIN}')
        files = [folder / name for name in sorted(set(names.values()))]
    else:
        files = [folder / 'model.safetensors']
    absent = [file.name for file in files if not file.is_file()]
    if not absent:
        return files
    if not index.is_file() and any(folder.glob('*.bin')):
        raise ValueError(
            f'{folder} has its weights in .bin files, which are pickled programs and not read; save it as safetensors '
            '(transformers: save_pretrained)'
        )
    raise FileNotFoundError(f'{folder} lacks {", ".join(absent)}; {AGAIN}')


def _read_params(folder: Path, model: ModelConfig, family: str, tied: bool) -> transformer.Params:
    """Read every tensor into its place."""
    import safetensors

    shapes = jax.eval_shape(lambda: transformer.init_params(model, jax.random.key(0)))
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)  # OLMo has no gains: they stay 1
    expected = {tensor.name: tensor for tensor in list_tensors(model, family)}
    gate = {f'model.layers.{i}.mlp.gate.weight': (1, model.d_model) for i in range(model.n_layers)}
    unused = gate if family == 'olmoe' else {}  # a router of one: softmax over one expert is 1 whatever it says
    with ExitStack() as stack:
        found: dict[str, Any] = {}
        for file in _weight_files(folder):
            try:
                opened = stack.enter_context(safetensors.safe_open(file, 'np'))
            except safetensors.SafetensorError as error:
                raise ValueError(f'{file} is damaged ({error}); {AGAIN}') from None
            found |= {name: opened for name in opened.keys() if not _BUFFERS.fullmatch(name)}  # noqa: SIM118
        head = head_name(family)
        untied = {head: expected[head]} if tied and head not in found else {}
        wanted = {name: tensor.shape for name, tensor in expected.items() if name not in untied} | unused
        _check(folder, wanted, {name: opened.get_slice(name) for name, opened in found.items()})
        odd = []
        for name in wanted.keys() - unused.keys():
            weights = _put(params, expected[name], found[name].get_tensor(name))
            odd += [] if np.isfinite(weights).all() else [name]
    if odd:
        raise ValueError(f'{folder} has weights that are not finite in float32: {join_names(sorted(odd))}; {AGAIN}')
    if tied and not untied and not np.array_equal(params['head'], params['embed'].T):
        raise ValueError(
            f'{folder}: tie_word_embeddings is true, but {head} is not the embedding; one of them is wrong'
        )
    if untied:
        params['head'] = np.ascontiguousarray(params['embed'].T)
    return params


def _put(params: transformer.Params, tensor: Tensor, stored: np.ndarray) -> np.ndarray:
    """Put a stored tensor into its place; returns it in float32."""
    array: Any = params
    for key in tensor.path:
        array = array[key]
    with np.errstate(over='ignore'):  # of float64: it becomes infinite
        weights = stored.astype(np.float32)
    array[tensor.index] = tensor.read(weights)
    return weights


def _check(folder: Path, wanted: dict[str, tuple[int, ...]], found: dict[str, Any]) -> None:
    """Raise ValueError naming what is missing, what nobody asked for, and what has another shape or type."""
    faults = [f'{name} is missing' for name in sorted(wanted.keys() - found.keys())]
    faults += [f'{name} is not known' for name in sorted(found.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & found.keys()):
        shape, kind = tuple(found[name].get_shape()), found[name].get_dtype()
        if shape != wanted[name]:
            faults.append(f'{name} is {shape}, not {wanted[name]}')
        elif kind not in _FLOATS:
            faults.append(f'{name} is {kind}, not one of {", ".join(_FLOATS)}')
    if faults:
        raise ValueError(
            f'{folder}: {len(faults)} tensors do not fit its config.json ({join_names(faults)}); '
            'they have to be those of that architecture'
        )


def _check_centred(folder: Path, model: ModelConfig, params: transformer.Params) -> None:
    """Raise ValueError where LayerNorm, which subtracts means, would not be the RMSNorm that was trained."""
    attention = params['layers']['attention']
    qk = (
        (attention['qkv'][:, :, 0], attention['qkv'][:, :, 1])
        if 'qkv' in attention
        else (attention['q'], attention['kv'][:, :, 0])
    )
    for array in (params['embed'], attention['out'], params['layers']['feed_forward']['out'], *qk):
        size = np.sqrt(np.square(array).mean())
        if np.sqrt(np.square(array.mean(-1, dtype=np.float64)).mean()) > _MOST_MEAN * size:
            raise ValueError(
                f'{folder} is OLMoE with weights whose rows have means other than zero, which t2jax has no model for; '
                'it reads what `t2jax export` wrote, in float32'
            )
