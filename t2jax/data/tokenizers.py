"""Vocabularies from elsewhere: Hugging Face tokenizers (.json) and SentencePiece (.model), read or trained.

GPT-NeoX's tokenizer.json, padded to 50,432, is the paper's (T2 section 3). Text is only text: a document that spells an
end token does not end there. The two libraries are imported inside the functions that need them; training a model from
shards needs neither.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from t2jax.config import write_text

END_TOKENS = ('<|endoftext|>', '</s>')  # looked for in this order, unless the user names one
TRAIN_CHARACTERS = 10**9  # a vocabulary is trained from the first so many of the text
BYTES = 256


class _Library(Protocol):
    """A tokenizer as its own library has it."""

    size: int

    def id_of(self, token: str) -> int | None: ...

    def token_of(self, id: int) -> str: ...

    def spelling(self) -> list[bytes]: ...

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]: ...

    def encode_with_ends(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


class FileVocabulary:
    """A tokenizer file, perhaps padded, as a `shards.Vocabulary`."""

    def __init__(self, path: Path, pad_to: int | None = None, end_token: str | int | None = None) -> None:
        """Read a .json or .model file; end_token is what ends a document, or its id.

        Raises FileNotFoundError for a missing file, ValueError for another kind of file, an end token that is not in
        it, or padding below its size.
        """
        if path.suffix not in _LIBRARIES:
            raise ValueError(f'{path} is neither .json (Hugging Face tokenizers) nor .model (SentencePiece)')
        if not path.is_file():
            raise FileNotFoundError(f'no tokenizer file {path}; `t2jax vocabulary` trains one')
        content = path.read_bytes()
        try:
            self._library = _LIBRARIES[path.suffix](content)
        except ImportError as error:
            raise ValueError(f'{path} needs a package that is not installed ({error}); pip install it') from None
        except Exception as error:  # both libraries raise bare Exception or RuntimeError
            raise ValueError(f'{path} is not a tokenizer ({" ".join(str(error).split())})') from None
        if pad_to is not None and pad_to < self._library.size:
            raise ValueError(f'{path} has {self._library.size} tokens, and cannot be padded to {pad_to}')
        self.name = path.name
        self.end_id = _end_id(self._library, path, end_token)
        self._size = pad_to or self._library.size
        identity = json.dumps([self._size, self.end_id]).encode()
        self.fingerprint = hashlib.sha256(identity + content).hexdigest()

    def __len__(self) -> int:
        return self._size

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Turn texts into ids, without any special token; by the threads that the library starts."""
        return self._library.encode_batch(texts)

    def encode(self, text: str) -> np.ndarray:
        """Turn text into ids."""
        return self.encode_batch([text])[0]

    def encode_with_ends(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Turn texts into ids, and for each token the number of characters of the text up to its end.

        Raises ValueError for a text that SentencePiece changes, so that tokens have no place in it.
        """
        return self._library.encode_with_ends(texts)

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids back into text."""
        return self._library.decode([int(i) for i in ids])

    def spelling(self) -> list[bytes]:
        """Return the bytes that each token adds to a text, joined they spell it; padding and the end add none."""
        found = self._library.spelling()
        found[self.end_id] = b''
        return found + [b''] * (self._size - len(found))

    def id_of(self, token: str) -> int | None:
        """Return the id of the token that is written so, or None if there is none."""
        return self._library.id_of(token)

    def token_of(self, id: int) -> str:
        """Return how a token is written."""
        return self._library.token_of(id)


def _end_id(library: _Library, path: Path, end_token: str | int | None) -> int:
    if isinstance(end_token, int):
        return end_token
    tried = END_TOKENS if end_token is None else (end_token,)
    found = next((token for token in tried if library.id_of(token) is not None), None)
    if found is None:
        raise ValueError(
            f'{path} has no token {" or ".join(tried)} to end a document with; name one of its tokens by --end-token'
        )
    return library.id_of(found)


class _HuggingFace:
    def __init__(self, content: bytes) -> None:
        import tokenizers

        self._tokenizer = tokenizers.Tokenizer.from_str(content.decode('utf-8'))
        self._tokenizer.no_truncation()  # a file may ask for either, and both would change the text
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # as plain text
        self._decoder = json.loads(content).get('decoder')
        self.size = max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def id_of(self, token: str) -> int | None:
        return self._tokenizer.token_to_id(token)

    def token_of(self, id: int) -> str:
        return self._tokenizer.id_to_token(id)

    def spelling(self) -> list[bytes]:
        read = _spell_bytes if '"ByteLevel"' in json.dumps(self._decoder) else _spell_pieces
        names = {i: token for token, i in self._tokenizer.get_vocab(with_added_tokens=True).items()}
        added = self._tokenizer.get_added_tokens_decoder()  # these stand for themselves
        return [names.get(i, '').encode() if i in added else read(names.get(i, '')) for i in range(self.size)]

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(one.ids, np.uint32) for one in encoded]

    def encode_with_ends(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        encoded = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [(np.array(one.ids, np.uint32), np.array([end for _, end in one.offsets], int)) for one in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=False)


class _SentencePiece:
    def __init__(self, content: bytes) -> None:
        import sentencepiece

        self._processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        self.size = self._processor.get_piece_size()

    def id_of(self, token: str) -> int | None:
        found = self._processor.piece_to_id(token)
        return found if self._processor.id_to_piece(found) == token else None

    def token_of(self, id: int) -> str:
        return self._processor.id_to_piece(id)

    def spelling(self) -> list[bytes]:
        control = self._processor.is_control
        pieces = map(self._processor.id_to_piece, range(self.size))
        return [b'' if control(i) else _spell_pieces(piece) for i, piece in enumerate(pieces)]

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.array(ids, np.uint32) for ids in self._processor.encode(list(texts), out_type=int, num_threads=1)]

    def encode_with_ends(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        spelling = self.spelling()
        return [(ids, _ends([spelling[i] for i in ids], text)) for ids, text in zip(self.encode_batch(texts), texts)]

    def decode(self, ids: Sequence[int]) -> str:
        return self._processor.decode(ids)


def _ends(pieces: list[bytes], text: str) -> np.ndarray:
    """Find where each piece ends in the text, in characters; a model may put a space before the text's first word."""
    spelled, raw = b''.join(pieces), text.encode()
    if not pieces:
        return np.zeros(0, int)
    added = len(spelled) - len(raw)
    if spelled not in (raw, b' ' + raw):
        raise ValueError(f'the tokenizer reads {text[:60]!r} as {spelled.decode(errors="replace")[:60]!r}')
    characters = np.cumsum([byte & 0xC0 != 0x80 for byte in raw])  # begun up to each byte
    ends = np.cumsum([len(piece) for piece in pieces]) - added
    return np.where(ends > 0, characters[np.maximum(ends, 1) - 1], 0)


def _spell_pieces(piece: str) -> bytes:
    """Read a piece of SentencePiece, or of a tokenizer after it: `\u2581` is a space, `<0x0A>` a byte."""
    byte = re.fullmatch('<0x([0-9A-F]{2})>', piece)
    return bytes.fromhex(byte[1]) if byte else piece.replace('\u2581', ' ').encode()


def _spell_bytes(token: str) -> bytes:
    """Read a token of byte-level BPE, in which every byte is written as a character of its own (GPT-2)."""
    return bytes(map(_bytes_of_characters().__getitem__, token))


@cache
def _bytes_of_characters() -> dict[str, int]:
    """Return the byte of each character: printable ones stand for themselves, others for 256, 257, ... in order."""
    printable = [*range(ord('!'), ord('~') + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(BYTES) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(BYTES + i): byte for i, byte in enumerate(others)}


_LIBRARIES: dict[str, Any] = {'.json': _HuggingFace, '.model': _SentencePiece}


def train_vocabulary(texts: Iterable[str], size: int, path: Path, quiet: bool = False) -> FileVocabulary:
    """Train a vocabulary from text, write it to `path`, and return it; the same text gives the same file.

    `.json`: byte-level BPE by Hugging Face tokenizers, ended by `<|endoftext|>`, below `size` where the text is too
    short for it; `.model`: BPE with byte fallback by SentencePiece, without normalization, ended by `</s>`. Both turn
    ids back into the text. Raises ValueError for a size that the text cannot fill, FileExistsError for a path in use.
    """
    if path.suffix not in _LIBRARIES:
        raise ValueError(f'--out {path} is neither .json (Hugging Face tokenizers) nor .model (SentencePiece)')
    if path.exists():
        raise FileExistsError(f'{path} exists, and shards may have been made with it; delete it or choose another')
    least = BYTES + (1 if path.suffix == '.json' else 2)
    if size <= least:
        raise ValueError(f'--size is {size}; a vocabulary of all bytes needs more than {least}')
    train = _train_json if path.suffix == '.json' else _train_model
    try:
        content = train(_first(texts), size, quiet)
    except ImportError as error:
        raise ValueError(f'{path} needs a package that is not installed ({error}); pip install it') from None
    write_text(path, content)
    return FileVocabulary(path)


def _first(texts: Iterable[str]) -> Iterator[str]:
    """Pass on the first TRAIN_CHARACTERS; raises ValueError where there are none."""
    read = 0
    for text in texts:
        read += len(text)
        yield text
        if read >= TRAIN_CHARACTERS:
            break
    if not read:
        raise ValueError('there is no text to train a vocabulary from; give sources that have some')


def _train_json(texts: Iterable[str], size: int, quiet: bool) -> str:
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END_TOKENS[0]], initial_alphabet=alphabet, show_progress=not quiet
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str(pretty=True)


def _train_model(texts: Iterable[str], size: int, quiet: bool) -> bytes:
    import sentencepiece

    model = io.BytesIO()
    lines = (line for text in texts for line in text.split('\n') if line)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines,
            model_writer=model,
            model_type='bpe',
            vocab_size=size,
            byte_fallback=True,
            normalization_rule_name='identity',
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            max_sentence_length=2**20,  # bytes; longer lines would be left out in silence
            unk_id=0,
            eos_id=1,
            bos_id=-1,
            pad_id=-1,
            num_threads=1,
            minloglevel=2 if quiet else 1,
        )
    except RuntimeError as error:
        raise ValueError(f'SentencePiece cannot train {size} tokens ({" ".join(str(error).split())})') from None
    return model.getvalue()
