"""What a text begins and ends with, by the tokenizer files of a Hugging Face checkpoint.

t2jax.json, where `huggingface_export` wrote one, says both. Else tokenizer_config.json or the post-processor of
tokenizer.json says what stands before a text; and what ends it is eos_token, or the token of eos_token_id.
"""

from pathlib import Path
from typing import Any

from t2jax.config import read_json
from t2jax.data.tokenizers import END_TOKENS, FileVocabulary
from t2jax.interop.special_tokens import first_of_template

ABOUT = 't2jax.json'  # beside the weights that `huggingface_export` writes: what the other files cannot say
AGAIN = 'download it again'
_PADDING = 1024  # tokens that a model may have beyond its tokenizer's, or a twentieth of its own


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; an absent file is an empty one."""
    try:
        found = read_json(path, AGAIN) if path.is_file() else {}
    except RecursionError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f'{path} holds no JSON object; {AGAIN}')
    return found


def open_tokenizer(folder: Path, size: int) -> FileVocabulary | None:
    """Read tokenizer.json, if there is one, of a model with `size` tokens.

    Raises ValueError where it is damaged, has more tokens than the model, or fewer than padding explains.
    """
    path = folder / 'tokenizer.json'
    if not path.is_file():
        return None
    vocabulary = FileVocabulary(path, end_token=0)
    said = f'{path} has {len(vocabulary)} tokens and the model in {folder / "config.json"}'
    if len(vocabulary) > size:
        raise ValueError(f'{said} only {size}; they do not belong together')
    if size - len(vocabulary) > max(_PADDING, size // 20):
        raise ValueError(f'{said} {size}, more than padding adds; they do not belong together')
    return vocabulary


def special_tokens(
    folder: Path, config: dict[str, Any], vocabulary: FileVocabulary | None
) -> tuple[str | None, str | None]:
    """Return the token that the tokenizer puts before a text, and the one that ends a document; None for none.

    Raises ValueError for an end that the tokenizer lacks.
    """
    said = read_object(folder / ABOUT)
    if said:
        bos, end = said.get('bos'), said.get('end')
    else:
        bos, end = _from_files(folder, config, vocabulary)
    odd = [token for token in (bos, end) if not isinstance(token, str | None)]
    if odd:
        raise ValueError(f'{folder / ABOUT} has {odd[0]!r} for a token; it has to be a text or null')
    tried = END_TOKENS if end is None else (end,)
    if vocabulary and all(vocabulary.id_of(token) is None for token in tried):
        where = ABOUT if said else 'tokenizer_config.json'
        raise ValueError(
            f'{folder / "tokenizer.json"} has no token {" or ".join(tried)} to end a document with; give one of its '
            f'tokens as {"end" if said else "eos_token"} in {folder / where}'
        )
    return bos, end


def _from_files(
    folder: Path, config: dict[str, Any], vocabulary: FileVocabulary | None
) -> tuple[str | None, str | None]:
    settings = read_object(folder / 'tokenizer_config.json')
    others = read_object(folder / 'special_tokens_map.json')
    generation = read_object(folder / 'generation_config.json')

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
            if vocabulary and type(first) is int and 0 <= first < len(vocabulary):
                token = vocabulary.token_of(first)
                if token is not None:  # ids may have gaps
                    return token
        return None

    adds = settings.get('add_bos_token')
    if adds is None:
        return first_of_template(read_object(folder / 'tokenizer.json').get('post_processor')), text_of('eos')
    return text_of('bos') if adds else None, text_of('eos')
