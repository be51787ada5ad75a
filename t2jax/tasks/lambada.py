"""LAMBADA (arXiv 1606.06031): the last word of a passage, OpenAI's variant, which keeps case, lines and punctuation.

The word is what follows the passage's last space, with that space: tokenized without it, or with a space left at the
end of the passage, every score is of another word than the text has.
"""

from t2jax.tasks.task import Pair, Row, Task, text


def read(row: Row) -> Pair:
    """Return the passage and its last word; of a row with `text`, or with `context` and `target`."""
    if 'text' not in row:
        return text(row, 'context'), f' {text(row, "target")}'
    passage, space, word = text(row, 'text').rstrip().rpartition(' ')
    if not passage:
        raise ValueError(f'text is {row["text"]!r}, which has no last word to ask for')
    return passage, space + word


TASK = Task('lambada', 'the last word of a passage', read=read, tfds='huggingface:EleutherAI__lambada_openai')
