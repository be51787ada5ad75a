"""The tokenizer of a trained model: the file given, its folder's own, or the words of its study; never another one."""

from etils import epath

from t2jax.data.tokenizers import FileVocabulary
from t2jax.data.vocabulary import WordVocabulary, load_vocabulary
from t2jax.training.trained import Trained

Vocabulary = WordVocabulary | FileVocabulary

LEAST_SHARE = 0.8  # of a model's vocabulary that its tokenizer fills; the rest is padding, in the paper 0.3 %


def open_vocabulary(trained: Trained, tokenizer: epath.PathLike | None = None) -> Vocabulary:
    """Open the tokenizer of a model.

    Raises ValueError where there is none, where it has more tokens than the model or far fewer, and where it is not the
    one that the run's tokens were made with, or another one than the folder's own.
    """
    words = trained.workdir / 'data' / 'vocabulary.json' if trained.workdir else None
    path = trained.tokenizer if tokenizer is None else epath.Path(tokenizer)
    known, size = trained.vocabulary, trained.model.vocab
    if path is None:
        if words is None or not words.exists():
            raise ValueError(f'{trained.folder} has no vocabulary beside it; give its tokenizer with --tokenizer')
        path, vocabulary = words, load_vocabulary(words)
    elif known is not None:
        vocabulary = FileVocabulary(path, known['vocabulary_size'], known['end_id'])
    else:
        vocabulary = FileVocabulary(path, end_token=trained.imported.end if trained.imported else None)
    if known is not None and vocabulary.fingerprint != known['vocabulary']:
        raise ValueError(
            f'{path} is not the tokenizer {known["vocabulary_name"]} that made the tokens of {trained.folder}; '
            'give that one'
        )
    if tokenizer is not None and trained.tokenizer is not None and not _same(path, trained.tokenizer):
        raise ValueError(f'{path} is not the tokenizer in {trained.folder}; leave --tokenizer out')
    if known is None and not LEAST_SHARE * size <= len(vocabulary) <= size:
        raise ValueError(
            f'{path} has {len(vocabulary)} tokens and the model of {trained.folder} {size}; '
            'give the tokenizer that it was trained with'
        )
    return vocabulary


def _same(path: epath.Path, other: epath.Path) -> bool:
    return path.read_bytes() == other.read_bytes()


def bos_of(trained: Trained, vocabulary: Vocabulary) -> tuple[int | None, str | None]:
    """Return the id that texts of a model begin with and how it is written, or None: a run's begin with the end token.

    A fine-tuned model's texts begin as did those of the model it started from.

    Raises ValueError for a token that the tokenizer lacks.
    """
    about = trained.start or trained.imported
    if about is None:
        return vocabulary.end_id, vocabulary.token_of(vocabulary.end_id)
    bos = about.bos
    if bos is None:
        return None, None
    found = vocabulary.id_of(bos)
    if found is None:
        raise ValueError(
            f'texts of {trained.folder} begin with {bos!r}, a token that {vocabulary.name} lacks; '
            'give the tokenizer that it was trained with'
        )
    return found, bos
