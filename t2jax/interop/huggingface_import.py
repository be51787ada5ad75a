"""A checkpoint of the Hugging Face hub, in a local folder, as a model of ours: `t2jax convert huggingface FOLDER`.

config.json, and model.safetensors or its shards with model.safetensors.index.json; tokenizer.json and the files beside
it that say what a text begins and ends with. Read without torch or transformers, and nothing is made up: every tensor
that the architecture has must be there, in its shape, and no other. The function is the same up to rounding.

OLMoE with one expert, as `huggingface_export` writes it, has RMSNorm where ours has LayerNorm: the same where all that
is normalised has mean zero, which is checked. A tied head is untied.
"""

import hashlib
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

from t2jax.config import read_json
from t2jax.data.tokenizers import FileVocabulary
from t2jax.interop.huggingface_config import read_model
from t2jax.interop.huggingface_tensors import Tensor, head_name, list_tensors
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.training.trained import Imported

ABOUT = 't2jax.json'  # beside the weights that `huggingface_export` writes: what the other files cannot say
_BUFFERS = re.compile(r'(rotary_emb\.inv_freq|attention\.bias|attention\.masked_bias)$')  # computed, not learnt
_FLOATS = ('F64', 'F32', 'F16', 'BF16')
_MOST_MEAN = 1e-5  # of the root mean square, in what LayerNorm would centre
_AGAIN = 'download it again'


def import_huggingface(
    folder: Path, tokens: float | None, name: str | None = None, compute_dtype: str = 'float32'
) -> tuple[Imported, transformer.Params, Path | None]:
    """Read a model; returns what it is, its params in float32 (numpy), and its tokenizer.json if it has one.

    tokens: D, that it was trained on, if known. Raises OSError or ValueError for files that are missing, damaged or of
    another architecture, and for a tokenizer with more tokens than the model.
    """
    path = folder / 'config.json'
    if not path.is_file():
        raise FileNotFoundError(f'no {path}; give a folder with config.json and model.safetensors, as the hub has it')
    config = _read_object(path)
    model, tied = read_model(config, path, compute_dtype)
    params = _read_params(folder, model, config['model_type'], tied)
    if config['model_type'] == 'olmoe':
        _check_centred(folder, model, params)
    tokenizer = folder / 'tokenizer.json' if (folder / 'tokenizer.json').is_file() else None
    bos, end = _special_tokens(folder, config, tokenizer)
    about = _read_object(folder / ABOUT)
    if tokens is None and about:
        tokens = about.get('tokens')
    if tokenizer is not None:
        size = len(FileVocabulary(tokenizer, end_token=end))
        if size > model.vocab:
            raise ValueError(
                f'{tokenizer} has {size} tokens and the model in {path} only {model.vocab}; they do not belong together'
            )
    source = f'{folder.resolve().name}, {config["model_type"]}, config.json sha256 {_digest(path)[:16]}'
    context = config['max_position_embeddings']
    return (
        Imported(name or folder.resolve().name, model, context, tokens, source, bos, end),
        params,
        tokenizer,
    )


def _read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; an absent file is an empty one."""
    found = read_json(path, _AGAIN) if path.is_file() else {}
    if not isinstance(found, dict):
        raise ValueError(f'{path} holds no JSON object; {_AGAIN}')
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights; raises OSError or ValueError where there are none that can be read."""
    index = folder / 'model.safetensors.index.json'
    if index.is_file():
        names = _read_object(index).get('weight_map')
        if not isinstance(names, dict) or not names:
            raise ValueError(f'{index} has no weight_map; {_AGAIN}')
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
    raise FileNotFoundError(f'{folder} lacks {", ".join(absent)}; {_AGAIN}')


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
                raise ValueError(f'{file} is damaged ({error}); {_AGAIN}') from None
            found |= {name: opened for name in opened.keys() if not _BUFFERS.search(name)}  # noqa: SIM118
        head = head_name(family)
        untied = {head: expected[head]} if tied and head not in found else {}
        wanted = {name: tensor.shape for name, tensor in expected.items() if name not in untied} | unused
        _check(folder, wanted, {name: opened.get_slice(name) for name, opened in found.items()})
        for name in wanted.keys() - unused.keys():
            _put(params, expected[name], found[name].get_tensor(name))
    if tied and not untied and not np.array_equal(params['head'], params['embed'].T):
        raise ValueError(
            f'{folder}: tie_word_embeddings is true, but {head} is not the embedding; one of them is wrong'
        )
    if untied:
        params['head'] = np.ascontiguousarray(params['embed'].T)
    return params


def _put(params: transformer.Params, tensor: Tensor, stored: np.ndarray) -> None:
    array: Any = params
    for key in tensor.path:
        array = array[key]
    array[tensor.index] = tensor.read(stored.astype(np.float32))


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
        more = f' and {len(faults) - 8} more' if len(faults) > 8 else ''
        raise ValueError(
            f'{folder}: {len(faults)} tensors do not fit its config.json ({"; ".join(faults[:8])}{more}); '
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


def _special_tokens(folder: Path, config: dict[str, Any], tokenizer: Path | None) -> tuple[str | None, str | None]:
    """Return the token that the tokenizer puts before a text, and the one that ends a document; None for none."""
    said = _read_object(folder / ABOUT)
    if said:
        return said.get('bos'), said.get('end')
    settings = _read_object(folder / 'tokenizer_config.json')
    others = _read_object(folder / 'special_tokens_map.json')
    generation = _read_object(folder / 'generation_config.json')
    written = _read_object(tokenizer) if tokenizer else {}
    spelling = _spelling(written)

    def text_of(role: str) -> str | None:
        for where in (settings, others):
            token = where.get(f'{role}_token')
            if isinstance(token, dict):
                token = token.get('content')
            if isinstance(token, str):
                return token
        for where in (config, generation):
            ids = where.get(f'{role}_token_id')
            first = ids[0] if isinstance(ids, list) and ids else ids
            if first in spelling:
                return spelling[first]
        return None

    adds = settings.get('add_bos_token')
    if adds is None:
        return _first_of_template(written.get('post_processor')), text_of('eos')
    return text_of('bos') if adds else None, text_of('eos')


def _spelling(tokenizer: dict[str, Any]) -> dict[int, str]:
    """Return the tokens of a tokenizer.json by id."""
    vocab = tokenizer.get('model', {}).get('vocab', {})
    pairs = vocab.items() if isinstance(vocab, dict) else ((piece[0], i) for i, piece in enumerate(vocab))
    return {i: token for token, i in pairs} | {t['id']: t['content'] for t in tokenizer.get('added_tokens') or ()}


def _first_of_template(processor: dict[str, Any] | None) -> str | None:
    """Return the special token that a tokenizer.json puts before a text, or None."""
    for part in (processor or {}).get('processors', [processor]):
        template = (part or {}).get('single') or [{}]
        if 'SpecialToken' in template[0]:
            return template[0]['SpecialToken']['id']
    return None
