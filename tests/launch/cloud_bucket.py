"""The fake cloud's buckets: directories of plain files, with generations, and what `gcloud storage` does to them.

A file that is written behind its back gets its generation when it is first seen, and a new one when it has changed.
"""

import base64
import hashlib
import itertools
import os
import re
import time
from pathlib import Path


class StorageError(Exception):
    """Cloud Storage's refusal; `text` is all that gcloud prints."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.text, self.code = text, code


class Buckets:
    """All buckets of a cloud; every method that changes one is atomic."""

    def __init__(self, cloud, names, read_only):
        self.cloud, self.read_only = cloud, read_only
        self.root = cloud.root / 'bucket'
        self._partial = cloud.root / 'partial'
        self._partial.mkdir(exist_ok=True)
        self._known = {}  # (bucket, object): (generation, what its file looked like)
        self._last, self._count = 0, itertools.count()
        for name in names:
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def files(self, bucket):
        """Return the file of every object, by name, sorted as Cloud Storage sorts."""
        top = self.root / bucket
        if not top.is_dir():
            raise StorageError(f'gs://{bucket} not found: 404.')
        # Not rglob, which fails where a training removes a folder meanwhile.
        found = (Path(folder) / name for folder, _, names in os.walk(top) for name in names)
        return dict(sorted((path.relative_to(top).as_posix(), path) for path in found))

    def generation(self, bucket, name):
        """Return the newest generation of an object; 0: there is none."""
        with self.cloud.lock:
            key, path = (bucket, name), self.root / bucket / name
            try:
                stat = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                self._known.pop(key, None)
                return 0
            if path.is_dir():
                return 0
            looks = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if self._known.get(key, (0, None))[1] != looks:
                self._last = max(self._last + 1, time.time_ns() // 1000)
                self._known[key] = (self._last, looks)
            return self._known[key][0]

    def read(self, bucket, name, generation=None):
        """Return an object, of one generation or the newest; None where there is none."""
        with self.cloud.lock:
            newest = self.generation(bucket, name)
            if not newest or generation not in (None, newest):
                return None
            return (self.root / bucket / name).read_bytes()

    def write(self, bucket, name, data, match=None):
        """Replace an object as a whole, if `match` is None or its newest generation."""
        with self.cloud.lock:
            self._check(bucket, name, match, 'create')
            partial, path = self._partial / str(next(self._count)), self.root / bucket / name
            partial.write_bytes(data)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(path)
            self.cloud.happened('written', f'{bucket}/{name}')
            return self.generation(bucket, name)

    def remove(self, bucket, name, match=None):
        """Remove an object, if `match` is None or its newest generation, and the directories it leaves empty."""
        with self.cloud.lock:
            self._check(bucket, name, match, 'delete')
            path = self.root / bucket / name
            path.unlink()
            self._known.pop((bucket, name), None)
            while path.parent != self.root / bucket and not any(path.parent.iterdir()):
                path = path.parent
                path.rmdir()
            self.cloud.happened('removed', f'{bucket}/{name}')

    def _check(self, bucket, name, match, what):
        if not (self.root / bucket).is_dir():
            raise StorageError(f'gs://{bucket} not found: 404.')
        if bucket in self.read_only:
            raise StorageError(
                f'HTTPError 403: {self.cloud.account} does not have storage.objects.{what} access to the Google Cloud '
                f"Storage object. Permission 'storage.objects.{what}' denied on resource (or it may not exist)."
            )
        if match is not None and match != self.generation(bucket, name):
            raise StorageError('HTTPError 412: At least one of the pre-conditions you specified did not hold.')

    def shown(self, bucket, name):
        """Return an object as `gcloud storage objects describe` shows it."""
        with self.cloud.lock:
            generation, data = self.generation(bucket, name), self.read(bucket, name)
        when = time.strftime('%Y-%m-%dT%H:%M:%S+0000', time.gmtime(generation / 1e6))
        return {
            'bucket': bucket,
            'content_type': 'application/octet-stream',
            'creation_time': when,
            'etag': base64.b64encode(str(generation).encode()).decode(),
            'generation': str(generation),
            'md5_hash': base64.b64encode(hashlib.md5(data).digest()).decode(),
            'metageneration': 1,
            'name': name,
            'size': len(data),
            'storage_class': 'STANDARD',
            'storage_url': f'gs://{bucket}/{name}#{generation}',
            'update_time': when,
        }

    def match(self, url):
        """Return (bucket, object, generation or None) of every object that a URL stands for: one, or by wildcards."""
        bucket, name, generation = split(url)
        if not re.search(r'[*?\[]', name):
            newest = self.generation(bucket, name) if (self.root / bucket).is_dir() else self.files(bucket)
            return [(bucket, name, generation)] if newest and generation in (None, newest) else []
        pattern = ''
        for part in re.findall(r'\*\*|\*|\?|\[[^]]*\]|[^*?\[]+', name):
            pattern += {'**': '.*', '*': '[^/]*', '?': '[^/]'}.get(part, part if part[0] == '[' else re.escape(part))
        return [(bucket, found, None) for found in self.files(bucket) if re.fullmatch(pattern, found)]

    def below(self, bucket, prefix):
        """Return the names of all objects in a folder."""
        folder = prefix.rstrip('/') + '/' if prefix.strip('/') else ''
        return [name for name in self.files(bucket) if name.startswith(folder)]


def split(url):
    """Return bucket, object and generation (or None) of a gs:// URL."""
    bucket, _, name = url.removeprefix('gs://').partition('/')
    name, _, generation = name.partition('#')
    return bucket, name, int(generation) if generation else None


def none_matched(url):
    """Return the refusal for a URL that stands for nothing."""
    return StorageError(f'The following URLs matched no objects or files:\n{url}')
