"""Token shards in a bucket, gs://BUCKET/FOLDER, copied to this machine's disk before training reads them.

Training reads windows at random, which a disk serves and a bucket does not. Every host keeps its own copy, under
~/.cache/t2jax/tokens (or XDG_CACHE_HOME), in a folder named by the manifest's checksum: what a later run on the same
machine needs is there already, and other text under the same address gets a folder of its own.
"""

import hashlib
import json
import os
from pathlib import Path

from t2jax.config import write_text
from t2jax.data.shards import MANIFEST


def local_copy(address: str) -> Path:
    """Copy the shards of a bucket to this machine and return their folder; files that are there whole are kept.

    `address` is anything fsspec knows: gs:// (package gcsfs), s3:// (s3fs). Raises FileNotFoundError where there is no
    manifest, ValueError for an address that cannot be read here, OSError for a full disk.
    """
    try:
        import fsspec

        files, root = fsspec.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ValueError(f'{address} cannot be read here ({error}); install that, or copy the shards to disk') from None
    try:
        manifest = files.cat_file(f'{root}/{MANIFEST}')
    except FileNotFoundError:
        raise FileNotFoundError(f'no {address}/{MANIFEST}; copy there what `t2jax tokenize` wrote') from None
    cache = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache'))
    folder = cache / 't2jax' / 'tokens' / hashlib.sha256(manifest).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for entry in json.loads(manifest)['shards']:
        remote, local = f'{root}/{entry["file"]}', folder / entry['file']
        if not files.exists(remote):
            raise FileNotFoundError(f'shard {address}/{entry["file"]} is missing; copy it there again')
        if local.exists() and local.stat().st_size == files.size(remote):
            continue
        temporary = local.with_name(f'.{local.name}.{os.getpid()}.tmp')
        try:
            files.get_file(remote, str(temporary))
            os.replace(temporary, local)
        finally:
            temporary.unlink(missing_ok=True)
    write_text(folder / MANIFEST, manifest)
    return folder
