"""The fake gcloud's `storage` commands, and the words in which the real one refuses them."""

import re

from cloud_bucket import StorageError, none_matched, split
from cloud_parser import Refused


def _generation(call):
    return None if call['if-generation-match'] is None else int(call['if-generation-match'])


def _cp(call):
    if len(call.words) < 2:
        raise Refused('Must have URL arguments if not reading paths from stdin.')
    *sources, target = call.words
    if call['no-clobber']:
        raise NotImplementedError('storage cp --no-clobber')
    shown = [f'file://{one}' if not one.startswith('gs://') else one for one in (*sources, target)]
    call.err = '' if target == '-' else ''.join(f'Copying {one} to {shown[-1]}\n' for one in shown[:-1])
    buckets = call.cloud.buckets
    try:
        arguments = (call.cwd, call.feed, _generation(call), call['recursive'])
        call.out = copy(buckets, sources, target, *arguments)
    except StorageError as error:
        if '412' in error.text and '-' not in sources:  # how the real one says it of a task of several
            call.err += f'  \nERROR: {error.text}\n'
            return 1
        raise
    return 0


def _cat(call):
    call.out, refusal = cat(call.cloud.buckets, call.words)
    if refusal:
        raise refusal


def _rm(call):
    buckets, call.err = call.cloud.buckets, 'Removing objects:\n'
    for url in call.words:
        bucket, name, _ = split(url)
        found = [(bucket, one, None) for one in buckets.below(bucket, name)] if call['recursive'] else []
        found += [one for one in buckets.match(url) if one not in found]
        if not found or not name:
            raise none_matched(url)
        for one in found:
            call.err += f'Removing gs://{one[0]}/{one[1]}...\n'
            try:
                buckets.remove(one[0], one[1], _generation(call))
            except FileNotFoundError:
                raise none_matched(url) from None
            except StorageError as error:
                call.err += f'ERROR: {error.text}\n'
                return 1
    return 0


def _describe_object(call):
    buckets, (bucket, name, generation) = call.cloud.buckets, split(call.words[0])
    if re.search(r'[*?\[]', call.words[0]):
        raise Refused('Describe does not accept wildcards because it returns a single resource. Please use the `ls` or `objects list` command for retrieving multiple resources.')  # fmt: skip  # noqa: E501
    with call.cloud.lock:
        newest = buckets.generation(bucket, name)
        if not newest or generation not in (None, newest):
            raise Refused(f'{call.words[0]} not found: 404.')
        call.show(buckets.shown(bucket, name))


def _list_objects(call):
    buckets, rows = call.cloud.buckets, []
    with call.cloud.lock:
        for url in call.words:
            url = url.rstrip('/') + '/*' if '/' not in url.removeprefix('gs://').rstrip('/') else url
            rows += [buckets.shown(bucket, name) for bucket, name, _ in buckets.match(url)]
    call.show(call.selected(rows))


def _ls(call):
    for url in call.words:
        lines = listing(call.cloud.buckets, url, call['recursive'])
        call.out += ''.join(f'{line}\n' for line in lines).encode()


def _rsync(call):
    delete, exclude = call['delete-unmatched-destination-objects'], call['exclude']
    rsync(call.cloud.buckets, *call.words, call.cwd, call['recursive'], delete, exclude)


def cat(buckets, urls):
    """Return (what is printed, the refusal or None): objects are printed until one is not there."""
    out = b''
    for url in urls:
        found = [buckets.read(*one) for one in buckets.match(url)]
        if not found or None in found:
            return out, none_matched(url)
        out += b''.join(found)
    return out, None


def copy(buckets, sources, target, cwd, feed, match, recursive):
    """Copy files and objects; return what is printed."""
    pairs, out = [], b''
    for source in sources:
        pairs += _sources(buckets, source, cwd, feed, recursive)
    into = len(pairs) > 1 or recursive or _is_container(buckets, target, cwd)
    for read, name in pairs:
        data = read()
        if data is None:
            raise none_matched(name)
        where = f'{target.rstrip("/")}/{name}' if into else target
        if target == '-':
            out += data
        elif target.startswith('gs://'):
            bucket, key, _ = split(where)
            buckets.write(bucket, key, data, match)
        else:
            path = cwd / where
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return out


def _sources(buckets, source, cwd, feed, recursive):
    """Return (how to read it, its name below the target) of all that a source stands for."""
    if source == '-':
        return [(lambda: feed, '-')]
    if source.startswith('gs://'):
        found = [(lambda one=one: buckets.read(*one), one[1].rpartition('/')[2]) for one in buckets.match(source)]
        if not found and recursive:
            bucket, prefix, _ = split(source)
            above = len(prefix.rstrip('/').rpartition('/')[0])
            names = buckets.below(bucket, prefix)
            found = [(lambda n=n: buckets.read(bucket, n), n[above:].lstrip('/')) for n in names]
    elif (cwd / source).is_dir():
        top = (cwd / source).resolve()
        files = sorted(path for path in top.rglob('*') if path.is_file()) if recursive else []
        found = [(path.read_bytes, path.relative_to(top.parent).as_posix()) for path in files]
    else:
        path = cwd / source
        found = [(path.read_bytes, path.name)] if path.is_file() else []
    if not found:
        raise none_matched(source)
    return found


def _is_container(buckets, target, cwd):
    if target == '-':
        return False
    if not target.startswith('gs://'):
        return target.endswith('/') or (cwd / target).is_dir()
    bucket, name, _ = split(target)
    if not name or name.endswith('/'):
        return True
    return not buckets.generation(bucket, name) and bool(buckets.below(bucket, name))


def rsync(buckets, source, target, cwd, recursive, delete, exclude):
    """Make a folder like another; either may be a directory or in a bucket."""
    if not _contents(buckets, source, cwd) and not (cwd / source).is_dir():
        raise StorageError(f'Did not find existing container at: {source}')
    wanted, there = _contents(buckets, source, cwd), _contents(buckets, target, cwd)
    wanted = {name: read for name, read in wanted.items() if recursive or '/' not in name}
    wanted = {name: read for name, read in wanted.items() if not (exclude and re.match(exclude, name))}
    for name, read in wanted.items():
        data = read()
        if data is None or (name in there and there[name]() == data):
            continue
        if target.startswith('gs://'):
            bucket, prefix, _ = split(target)
            buckets.write(bucket, f'{prefix.rstrip("/")}/{name}'.lstrip('/'), data)
        else:
            path = cwd / target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    for name in there.keys() - wanted.keys() if delete else ():
        if target.startswith('gs://'):
            bucket, prefix, _ = split(target)
            buckets.remove(bucket, f'{prefix.rstrip("/")}/{name}'.lstrip('/'))
        else:
            (cwd / target / name).unlink()


def _contents(buckets, where, cwd):
    if where.startswith('gs://'):
        bucket, prefix, _ = split(where)
        cut = len(prefix.rstrip('/')) + 1 if prefix.strip('/') else 0
        return {name[cut:]: lambda n=name: buckets.read(bucket, n) for name in buckets.below(bucket, prefix)}
    top = cwd / where
    return {path.relative_to(top).as_posix(): path.read_bytes for path in sorted(top.rglob('*')) if path.is_file()}


def listing(buckets, url, recursive):
    """Return what `ls` prints of a URL: an object, or what a folder has in it."""
    bucket, name, _ = split(url)
    if name and (found := buckets.match(url)):
        return [f'gs://{b}/{key}' for b, key, _ in found]
    folder = name.rstrip('/') + '/' if name.strip('/') else ''
    names = buckets.below(bucket, name)
    if not names:
        if name:
            raise StorageError('One or more URLs matched no objects.')
        return []
    if recursive:
        return [f'gs://{bucket}/{one}' for one in names]
    first = dict.fromkeys(re.match(r'[^/]*/?', one[len(folder) :])[0] for one in names)
    return [f'gs://{bucket}/{folder}{one}' for one in first]


COMMANDS = {
    'storage cp': _cp,
    'storage cat': _cat,
    'storage ls': _ls,
    'storage rm': _rm,
    'storage rsync': _rsync,
    'storage objects describe': _describe_object,
    'storage objects list': _list_objects,
}
