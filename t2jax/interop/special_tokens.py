"""The special token that a tokenizer.json puts before a text by itself, as Llama's does and GPT-NeoX's does not."""

from typing import Any

from etils import epath

from t2jax.config import read_json


def first_of_template(processor: dict[str, Any] | None) -> str | None:
    """Return the token that a post-processor puts before a text, or None."""
    for part in (processor or {}).get('processors', [processor]):
        part = part or {}
        if part.get('type') in ('BertProcessing', 'RobertaProcessing'):
            return part['cls'][0]
        template = part.get('single') or [{}]
        if 'SpecialToken' in template[0]:
            return template[0]['SpecialToken']['id']
    return None


def puts_bos(tokenizer: epath.Path | None) -> bool:
    """Tell whether a tokenizer file puts a token before a text; a SentencePiece model's user does."""
    if tokenizer is None or tokenizer.suffix != '.json':
        return False
    return first_of_template(read_json(tokenizer, 'give a tokenizer.json').get('post_processor')) is not None
