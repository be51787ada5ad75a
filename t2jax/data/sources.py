"""Text from elsewhere, as streams of documents: seqio tasks (and through them TFDS), and plain files.

TensorFlow takes seconds to import and is imported inside the function that needs it, nowhere else.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path


def file_documents(paths: Sequence[Path], shard: int = 0, shards: int = 1) -> Iterator[str]:
    """Yield documents of text files, every shards-th file from `shard` on; `.gz` is unpacked.

    `.txt`: the file is one document; `.jsonl`: field `text` of each line. Raises ValueError naming file and line.
    """
    for path in list(paths)[shard::shards]:
        name = path.name.removesuffix('.gz')
        opener = gzip.open if path.name.endswith('.gz') else open
        with opener(path, 'rt', encoding='utf-8') as file:
            if name.endswith('.txt'):
                yield file.read()
            elif name.endswith('.jsonl'):
                for number, line in enumerate(file, 1):
                    yield _field(line, path, number)
            else:
                raise ValueError(f'{path} is neither .txt nor .jsonl (.gz allowed); convert it to one of them')


def seqio_documents(task: str, split: str, shard: int = 0, shards: int = 1) -> Iterator[str]:
    """Yield field `text` (or `targets`) of a registered seqio task's source, unshuffled.

    The task's source may be TFDS, TFRecord or text lines; register it in your own code before the call.
    """
    import seqio
    import tensorflow_datasets as tfds

    source = seqio.get_mixture_or_task(task).source
    dataset = source.get_dataset(split=split, shuffle=False, shard_info=seqio.ShardInfo(index=shard, num_shards=shards))
    for example in tfds.as_numpy(dataset):
        text = example if isinstance(example, bytes) else example.get('text', example.get('targets'))
        if text is None:
            raise ValueError(f'seqio task {task} has fields {sorted(example)}, but no text or targets')
        yield text.decode('utf-8')


def _field(line: str, path: Path, number: int) -> str:
    try:
        return json.loads(line)['text']
    except (ValueError, KeyError, TypeError):
        raise ValueError(f'{path} line {number} is not a JSON object with a field "text"') from None
