"""The tokenizer of a trained model: the file given, its folder's own, or the words of its study."""

from pathlib import Path

from t2jax.data.tokenizers import FileVocabulary
from t2jax.data.vocabulary import WordVocabulary, load_vocabulary
from t2jax.training.trained import Trained

Vocabulary = WordVocabulary | FileVocabulary


def open_vocabulary(trained: Trained, tokenizer: Path | None = None) -> Vocabulary:
    """Open the tokenizer of a model, padded to the model's vocabulary.

    Raises ValueError where there is none, or where it has more tokens than the model.
    """
    of_study = trained.folder.parent.parent / 'data' / 'vocabulary.json'
    path = tokenizer or trained.tokenizer
    end = trained.imported.end if trained.imported else None
    if path is not None:
        vocabulary = FileVocabulary(Path(path), end_token=end)
        if len(vocabulary) <= trained.model.vocab:
            return FileVocabulary(Path(path), pad_to=trained.model.vocab, end_token=end)
    elif of_study.exists():
        vocabulary = load_vocabulary(of_study)
    else:
        raise ValueError(f'{trained.folder} has no vocabulary beside it; give its tokenizer with --tokenizer')
    if len(vocabulary) > trained.model.vocab:
        raise ValueError(
            f'{path or of_study} has {len(vocabulary)} tokens and the model of {trained.folder} '
            f'{trained.model.vocab}; give the tokenizer that it was trained with'
        )
    return vocabulary


def bos_id(trained: Trained, vocabulary: Vocabulary) -> int | None:
    """Return the id that texts of a model begin with, or None: a run's begin with the end of the document before.

    Raises ValueError for a token that the tokenizer lacks.
    """
    if trained.imported is None:
        return vocabulary.end_id
    if trained.imported.bos is None:
        return None
    found = vocabulary.id_of(trained.imported.bos)
    if found is None:
        raise ValueError(
            f'texts of {trained.folder} begin with {trained.imported.bos!r}, a token that {vocabulary.name} lacks; '
            'give the tokenizer that it was trained with'
        )
    return found
