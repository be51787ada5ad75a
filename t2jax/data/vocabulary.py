"""A word-level vocabulary: text split at spaces, one id a word. `<end>` joins documents and starts every prompt."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from t2jax.config import write_json

END = '<end>'


class WordVocabulary:
    """Words and their ids; id 0 is the end-of-document token."""

    name = 'words'

    def __init__(self, words: Sequence[str]) -> None:
        """Number the words in the order given, after `<end>`; raises ValueError on a repeated word."""
        self.words = (END, *words)
        self.end_id = 0
        self._ids = {word: i for i, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            twice = sorted({word for word in self.words if self.words.count(word) > 1})
            raise ValueError(f'vocabulary repeats {", ".join(twice)}; each word may stand once')

    def __len__(self) -> int:
        return len(self.words)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the words in order, in hex."""
        return hashlib.sha256('\n'.join(self.words).encode()).hexdigest()

    def encode(self, text: str) -> np.ndarray:
        """Turn text into ids (uint16); raises ValueError naming the first word that is not known."""
        words = text.split()
        try:
            return np.fromiter(map(self._ids.__getitem__, words), np.uint16, len(words))
        except KeyError as error:
            raise ValueError(f'word {error.args[0]!r} is not in the vocabulary of {len(self)} words') from None

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Turn texts into ids."""
        return [self.encode(text) for text in texts]

    def encode_with_ends(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Turn texts into ids, and for each word the number of characters of the text up to its end."""
        ends = [[word.end() for word in re.finditer(r'\S+', text)] for text in texts]
        return [(ids, np.array(end, int)) for ids, end in zip(self.encode_batch(texts), ends)]

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids back into text."""
        return ' '.join(self.words[i] for i in ids)

    def spelling(self) -> list[bytes]:
        """Return the bytes that each token adds to a text: a space and the word; `<end>` adds none."""
        return [b'' if i == self.end_id else f' {word}'.encode() for i, word in enumerate(self.words)]

    def id_of(self, token: str) -> int | None:
        """Return the id of a word, or None if it is not in the vocabulary."""
        return self._ids.get(token)

    def token_of(self, id: int) -> str:
        """Return the word of an id."""
        return self.words[id]

    def to_tokenizer_json(self) -> str:
        """Return the same vocabulary as a tokenizer.json of Hugging Face's library."""
        import tokenizers  # here: training and evaluation of a study do without

        tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(dict(self._ids)))
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
        tokenizer.add_special_tokens([END])
        return tokenizer.to_str()

    def save(self, path: Path) -> None:
        """Write the words as JSON."""
        write_json(path, {'words': self.words[1:]})


def load_vocabulary(path: Path) -> WordVocabulary:
    """Read a vocabulary that `save` wrote."""
    return WordVocabulary(json.loads(path.read_text(encoding='utf-8'))['words'])
