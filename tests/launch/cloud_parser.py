"""The fake gcloud's parser: flags as strict as the real one's, and words as the real one says them."""

import json
import re

SWITCH, VALUE, LIST = 'switch', 'value', 'list'
_SHORT = {'-q': '--quiet', '-r': '--recursive', '-R': '--recursive', '-n': '--no-clobber', '-l': '--long'}
_EVERYWHERE = dict.fromkeys(('project', 'format', 'verbosity', 'account', 'configuration', 'billing-project'), VALUE)
_EVERYWHERE |= {'quiet': SWITCH, 'impersonate-service-account': VALUE}
_LISTS = {'filter': VALUE, 'limit': VALUE, 'page-size': VALUE, 'sort-by': VALUE}
_SSH = {'zone': VALUE, 'worker': VALUE, 'internal-ip': SWITCH, 'plain': SWITCH, 'dry-run': SWITCH}
_SSH |= {'strict-host-key-checking': VALUE, 'ssh-key-file': VALUE, 'force-key-file-overwrite': SWITCH}
_CREATE = dict.fromkeys(
    (
        *('zone', 'accelerator-type', 'runtime-version', 'node-id', 'node-count', 'node-prefix', 'labels', 'metadata'),
        *('valid-until-duration', 'valid-after-duration', 'metadata-from-file', 'service-account', 'scopes', 'network'),
        *('subnetwork', 'tags', 'description', 'data-disk', 'range', 'type', 'topology'),
    ),
    VALUE,
)
_CREATE |= dict.fromkeys(('spot', 'guaranteed', 'internal-ips', 'reserved', 'shielded-secure-boot', 'async'), SWITCH)
_MATCH = {'if-generation-match': VALUE, 'continue-on-error': SWITCH}
_RSYNC = dict.fromkeys(('recursive', 'delete-unmatched-destination-objects', 'checksums-only', 'dry-run'), SWITCH)

# Command: (flags, least and most positional arguments, what the first that lacks is called)
COMMANDS = {
    'auth list': ({'filter': VALUE, 'filter-account': VALUE}, 0, 0, ''),
    'config get': ({}, 1, 1, 'SECTION/PROPERTY'),
    'compute tpus queued-resources create': (_CREATE, 1, 1, '--zone: QUEUED_RESOURCE'),
    'compute tpus queued-resources describe': ({'zone': VALUE}, 1, 1, '--zone: QUEUED_RESOURCE'),
    'compute tpus queued-resources list': ({'zone': VALUE, **_LISTS}, 0, 0, ''),
    'compute tpus queued-resources delete': (
        {'zone': VALUE, 'force': SWITCH, 'async': SWITCH},
        *(1, 1, '--zone: QUEUED_RESOURCE'),
    ),
    'compute tpus tpu-vm describe': ({'zone': VALUE}, 1, 1, '--zone: TPU'),
    'compute tpus tpu-vm list': ({'zone': VALUE, **_LISTS}, 0, 0, ''),
    'compute tpus tpu-vm ssh': (
        {**_SSH, 'command': VALUE, 'ssh-flag': LIST, 'output-directory': VALUE},
        *(1, 1, '[USER@]TPU'),
    ),
    'compute tpus tpu-vm scp': (
        {**_SSH, 'recurse': SWITCH, 'compress': SWITCH, 'scp-flag': LIST},
        *(2, 99, '[[USER@]INSTANCE:]SRC [[[USER@]INSTANCE:]SRC ...]'),
    ),
    'compute tpus accelerator-types list': ({'zone': VALUE, **_LISTS}, 0, 0, ''),
    'storage cp': ({**_MATCH, 'recursive': SWITCH, 'no-clobber': SWITCH, 'content-type': VALUE}, 1, 999, 'URL'),
    'storage cat': ({'range': VALUE, 'display-url': SWITCH}, 1, 9999, 'URL [URL ...]'),
    'storage ls': ({'recursive': SWITCH, 'long': SWITCH, 'json': SWITCH}, 1, 999, 'PATH'),
    'storage rm': ({**_MATCH, 'recursive': SWITCH, 'all-versions': SWITCH}, 1, 999, 'URLS'),
    'storage rsync': ({**_RSYNC, 'continue-on-error': SWITCH, 'exclude': VALUE}, 2, 2, 'SOURCE'),
    'storage objects describe': ({'raw': SWITCH}, 1, 1, 'URL'),
    'storage objects list': ({**_LISTS, 'raw': SWITCH, 'stat': SWITCH}, 1, 999, 'URLS'),
}


class Refused(Exception):
    """What gcloud prints after `ERROR: (gcloud.…) `, and its exit code."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.text, self.code = text, code


class Call:
    """One parsed command line, and what it prints."""

    def __init__(self, cloud, command, flags, words, cwd, feed):
        self.cloud, self.command, self.flags, self.words = cloud, command, flags, words
        self.cwd, self.feed = cwd, feed
        self.out, self.err, self.more = b'', '', {}

    def __getitem__(self, flag):
        return self.flags.get(flag)

    def show(self, found):
        """Print what was found, as --format says."""
        form, rows = self['format'], found if isinstance(found, list) else [found]
        if form == 'json':
            self.out += json.dumps(found, indent=2, sort_keys=True).encode() + b'\n'
        elif form and (fields := re.fullmatch(r'value\(([^()]*)\)', form)):
            keys = [key.strip() for key in fields[1].split(',')]
            lines = ['\t'.join(_text(_dig(row, key)) for key in keys) for row in rows]
            self.out += ''.join(f'{line}\n' for line in lines).encode()
        elif form in (None, 'yaml', 'default'):
            text = '---\n'.join(''.join(f'{key}: {_text(value)}\n' for key, value in row.items()) for row in rows)
            self.out += text.encode()
        else:
            raise NotImplementedError(f'--format={form}')

    def selected(self, rows):
        """Return the rows that --filter and --limit leave."""
        for term in (self['filter'] or '').split(' AND ') if self['filter'] else ():
            key, sign, value = re.fullmatch(r'\(?([\w.-]+)\s*([=:~])\s*"?([^"()]*?)"?\)?', term.strip()).groups()
            test = {
                '=': lambda text, value=value: text == value,
                ':': lambda text, value=value: text == value or (value[-1:] == '*' and text.startswith(value[:-1])),
                '~': lambda text, value=value: bool(re.search(value, text)),
            }[sign]
            rows = [row for row in rows if test(_text(_dig(row, key)))]
        return rows[: int(self['limit'])] if self['limit'] else rows


def _dig(row, path):
    for key in path.split('.'):
        name, _, index = key.partition('[')
        row = row.get(name) if isinstance(row, dict) else None
        if index and row is not None:
            row = row[int(index.rstrip(']'))]
    return row


def _text(value):
    return '' if value is None else value if isinstance(value, str) else json.dumps(value)


class Usage(Exception):
    """A command line that the parser refuses: (command, why)."""


def parse(arguments):
    """Return (command, flags, positional arguments) of a command line."""
    start = next((i for i, word in enumerate(arguments) if not word.startswith('-')), len(arguments))
    rest = arguments[start:]
    found = [size for size in range(1, 6) if ' '.join(rest[:size]) in COMMANDS]
    if not found:
        known = [size for size in range(6) if any(c.split()[:size] == rest[:size] for c in COMMANDS)]
        group, wrong = rest[: known[-1]], rest[known[-1] : known[-1] + 1]
        raise Usage('.'.join(['gcloud', *group]), f"Invalid choice: '{wrong[0] if wrong else ''}'.")
    command = ' '.join(rest[: found[-1]])
    name = 'gcloud.' + command.replace(' ', '.')
    flags, least, most, lacks = COMMANDS[command]
    flags, values, words, unknown = {**_EVERYWHERE, **flags}, {}, [], []
    queue = [*arguments[:start], *rest[found[-1] :]]
    while queue:
        word = queue.pop(0)
        if word == '--':
            if not command.endswith('ssh'):
                unknown.append(word)
            break
        if not word.startswith('-') or word == '-':
            words.append(word)
            continue
        flag, equals, value = _SHORT.get(word, word).partition('=')
        key = flag[2:] if flag.startswith('--') else ''
        negative = key.removeprefix('no-') if flags.get(key) is None else key
        if flags.get(key) in (VALUE, LIST):
            if not equals and (not queue or (queue[0].startswith('-') and queue[0] != '-')):
                raise Usage(name, f'argument {flag}: expected one argument')
            value = value if equals else queue.pop(0)
            values[key] = [*values.get(key, []), value] if flags[key] == LIST else value
        elif flags.get(negative) == SWITCH and not equals:
            values[negative] = negative == key
        elif flags.get(key) == SWITCH:
            raise Usage(name, f"argument {flag}: ignored explicit argument '{value}'")
        else:
            unknown.append(word)
    unknown += words[most:]
    if unknown:
        said = 'To search the help text of gcloud commands, run:\n  gcloud help -- SEARCH_TERMS'
        raise Usage(name, f'unrecognized arguments: {" ".join(unknown)} \n\n{said}')
    if len(words) < least:
        text = f'argument {lacks} must' if lacks.startswith('--') else f'argument {lacks}: Must'
        raise Usage(name, f'{text} be specified.')
    return command, values, words
