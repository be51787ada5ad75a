"""The fake gcloud's commands, and the words in which the real one refuses them.

A command that the real gcloud has and this one has not ends with 70, as does every fault of the fake's own.
"""

import itertools
import re
import shutil
import time
from pathlib import Path

import cloud_storage
from cloud_bucket import StorageError
from cloud_parser import Call, Refused, Usage, parse
from cloud_slices import ACCELERATOR_TYPES, Resource

_PROPERTIES = {'project': 'core/project', 'zone': 'compute/zone'}
_NOT_LOGGED_IN = """You do not currently have an active account selected.
Please run:

  $ gcloud auth login

to obtain new credentials.

If you have already logged in with a different account, run:

  $ gcloud config set account ACCOUNT

to select an already authenticated account to use."""


def carry_out(cloud, arguments, cwd, feed):
    """Carry out one command line; return what to print, and the exit code."""
    name, said = 'gcloud', ''
    call = None
    try:
        command, flags, words = parse(arguments)
        name = 'gcloud.' + command.replace(' ', '.')
        call = Call(cloud, command, flags, words, cwd, feed)
        if cloud.account is None and command.split()[0] not in ('auth', 'config'):
            raise Refused(_NOT_LOGGED_IN)
        code = _DO[command](call) or 0
    except StorageError as error:
        code, said = error.code, f'ERROR: ({name}) {error.text}\n'
    except Refused as error:
        code, said = error.code, f'ERROR: ({name}) {error.text}\n'
    except Usage as error:
        code, said = 2, f'ERROR: ({error.args[0]}) {error.args[1]}\n'
    out, err, more = (call.out, call.err, call.more) if call else (b'', '', {})
    return {'code': code, 'out': out.decode('latin-1'), 'err': (err + said).encode().decode('latin-1'), **more}


def _place(call, what):
    """Return (project, zone) of a command; raises Refused where there is none, or it is unknown."""
    project, zone = call['project'] or call.cloud.project, call['zone']
    for value, attribute in ((project, 'project'), (zone, 'zone')):
        if not value:
            raise Refused(
                f'Error parsing [{what}].\nThe [{what}] resource is not properly specified.\nFailed to find attribute '
                f'[{attribute}]. The attribute can be set in the following ways: \n- provide the argument '
                f'`--{attribute}` on the command line\n- set the property `{_PROPERTIES[attribute]}`'
            )
    if zone not in call.cloud.zones:
        if call.command.endswith('list'):
            call.out = b'[]\n' if call['format'] == 'json' else b''
        raise Refused(
            f"PERMISSION_DENIED: Permission denied on 'locations/{zone}' (or it may not exist). "
            f'This command is authenticated as {call.cloud.account} which is the active account specified by the '
            "[core/account] property.\n- '@type': type.googleapis.com/google.rpc.ErrorInfo\n"
            f'  domain: googleapis.com\n  reason: LOCATION_POLICY_VIOLATED'
        )
    return project, zone


def _missing(call, path):
    return Refused(
        f"NOT_FOUND: Resource '{path}' was not found. This command is authenticated as {call.cloud.account} which is "
        'the active account specified by the [core/account] property'
    )


def _auth_list(call):
    accounts = [{'account': call.cloud.account, 'status': 'ACTIVE'}] if call.cloud.account else []
    call.show(call.selected(accounts))


def _config_get(call):
    if call.words[0] not in ('project', 'core/project'):
        raise NotImplementedError(f'config get {call.words[0]}')
    if call.cloud.project:
        call.out = f'{call.cloud.project}\n'.encode()
    else:
        call.err = '(unset)\n'


def _pairs(text):
    return dict(pair.split('=', 1) for pair in text.split(',')) if text else {}


def _duration(text):
    """Return the seconds of a duration as gcloud writes them, e.g. 1h30m."""
    if text is None:
        return None
    parts = re.findall(r'([\d.]+)([smhdw]?)', text)
    if ''.join(number + unit for number, unit in parts) != text:
        raise Refused(f"Unknown character '{text[-1].upper()}' in duration.", 1)
    units = {'s': 1, '': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}
    return sum(float(number) * units[unit] for number, unit in parts)


def _create(call):
    cloud, name, kind = call.cloud, call.words[0], call['accelerator-type']
    if bool(call['node-id']) == bool(call['node-count']) or (call['node-prefix'] and not call['node-count']):
        raise Usage(
            'gcloud.compute.tpus.queued-resources.create',
            'Exactly one of (--node-id | [--node-count : --node-prefix]) must be specified.',
        )
    for flag in ('accelerator-type', 'runtime-version'):
        if not call[flag]:
            raise Usage('gcloud.compute.tpus.queued-resources.create', f'argument --{flag}: Must be specified.')
    count = int(call['node-count'] or 1)
    if call['node-count'] and count < 2:
        raise Refused('Invalid value for [--node-count]: Node count must be greater than 1')
    metadata = _pairs(call['metadata'])
    for key, path in _pairs(call['metadata-from-file']).items():
        try:
            metadata[key] = (call.cwd / path).read_text()
        except OSError as error:
            raise Refused(f'Unable to read file [{path}]: {error}') from error
    project, zone = _place(call, 'queuedResource')
    prefix = call['node-prefix'] or name
    nodes = [call['node-id']] if call['node-id'] else [f'{prefix}-{i}' for i in range(count)]
    details = {'spot': call['spot'], 'labels': _pairs(call['labels']), 'metadata': metadata}
    details |= {'runtime': call['runtime-version'], 'valid_until': _duration(call['valid-until-duration'])}
    if not re.fullmatch(r'[a-z]([-a-z0-9]{0,61}[a-z0-9])?', name):
        raise Refused(f'INVALID_ARGUMENT: Invalid queued resource id {name!r}')
    with cloud.lock:
        if (zone, name) in cloud.slices.all or any(node in dict(cloud.slices.nodes(zone)) for node in nodes):
            path = f'projects/{project}/locations/{zone}/queuedResources/{name}'
            raise Refused(f"ALREADY_EXISTS: Resource '{path}' already exists")
        if kind not in ACCELERATOR_TYPES or kind not in cloud.zones[zone]:
            raise Refused(f'INVALID_ARGUMENT: Accelerator type {kind} not found in zone {zone}.')
        held = [one for one in cloud.slices.all.values() if one.zone == zone and one.queued]
        fate = cloud.take_fate() if cloud.quota is None or len(held) < cloud.quota else None
        if fate is None or fate.kind == 'refuse':
            cloud.happened('refused', name)
            limit = f"Quota limit 'TPUQueuedResourcesPerProjectPerZone' has been exceeded. Limit: {cloud.quota}"
            why = (fate.message if fate else None) or f'RESOURCE_EXHAUSTED: {limit} in zone {zone}.'
            raise Refused(why)
        cloud.slices.add(Resource(name, project, zone, kind, nodes, fate, **details))
    _issued(call, 'create', project, zone, name)


_numbers = itertools.count(1)


def _issued(call, verb, project, zone, name):
    """Print what an operation that was begun prints."""
    place = f'projects/{project}/locations/{zone}'
    operation = f'{place}/operations/operation-{next(_numbers)}'
    if call['async']:
        call.err = f'{verb.capitalize()} request issued for: [{name}]\nCheck operation [{operation}] for status.\n'
        if call['format']:
            target = {'target': f'{place}/queuedResources/{name}', 'verb': verb}
            call.show({'done': False, 'metadata': target, 'name': operation})
    else:
        call.err = f'{verb.capitalize()}d queued resource [{name}].\n'


def _find(call):
    project, zone = _place(call, 'queuedResource')
    found = call.cloud.slices.all.get((zone, call.words[0]))
    if found is None or not found.queued:
        raise _missing(call, f'projects/{project}/locations/{zone}/queuedResources/{call.words[0]}')
    return found


def _describe(call):
    with call.cloud.lock:
        call.show(_find(call).shown())


def _list(call):
    with call.cloud.lock:
        _, zone = _place(call, 'location')
        found = [one.shown() for one in call.cloud.slices.all.values() if one.zone == zone and one.queued]
    call.show(call.selected(found))


def _delete(call):
    cloud = call.cloud
    with cloud.lock:
        found = _find(call)
        if found.state in ('ACTIVE', 'PROVISIONING', 'SUSPENDING') and not call['force']:
            raise Refused(f'INVALID_ARGUMENT: Cannot delete queued resource in state {found.state}.')
        cloud.slices.delete(found)
    while not call['async'] and cloud.slices.all.get((found.zone, found.name)) is found:
        time.sleep(0.02)
    _issued(call, 'delete', found.project, found.zone, found.name)


def _accelerator_types(call):
    project, zone = _place(call, 'location')
    place = f'projects/{project}/locations/{zone}/acceleratorTypes'
    rows = [{'name': f'{place}/{kind}', 'type': kind} for kind in call.cloud.zones[zone]]
    call.show(call.selected(rows))


def _node(call, name):
    project, zone = _place(call, 'tpu')
    found = dict(call.cloud.slices.nodes(zone)).get(name)
    if found is None:
        raise _missing(call, f'projects/{project}/locations/{zone}/nodes/{name}')
    return found


def _describe_node(call):
    with call.cloud.lock:
        call.show(_node(call, call.words[0]).shown_node(call.words[0]))


def _list_nodes(call):
    with call.cloud.lock:
        _, zone = _place(call, 'location')
        found = [one.shown_node(name) for name, one in call.cloud.slices.nodes(zone)]
    call.show(call.selected(found))


def _hosts(call, name):
    """Return the hosts of a node that --worker names; None: it takes the call and never answers."""
    found, wanted = _node(call, name), call['worker'] or '0'
    state = found.shown_node(name)['state']
    if state == 'PREEMPTED':
        raise Refused(f'This TPU has terminal state "{state}", so it cannot be used anymore.')
    if state == 'DELETING':
        raise Refused(f'This TPU has state "{state}", so it cannot be currently connected to.')
    hosts = [host for host in found.hosts if host.node == name]
    if wanted != 'all':
        numbers = set()
        for part in wanted.split(','):
            first, _, last = part.partition('-')
            if not first.isdigit() or (last and not last.isdigit()):
                raise Refused(
                    f'Invalid value for [--worker]: unable to parse worker ID {part}. Please only use numbers.'
                )
            numbers |= set(range(int(first), int(last or first) + 1))
        if max(numbers) >= len(hosts):
            raise Refused(
                f'Invalid value for [--worker]: worker index {max(numbers)} is larger than the valid worker indexes '
                f'on this TPU VM. Please only use indexes in the range [0, {len(hosts) - 1}], inclusive.'
            )
        hosts = [host for host in hosts if host.worker in numbers]
    return None if found.frozen else hosts


def _ssh(call):
    if not call['command']:
        raise NotImplementedError('tpu-vm ssh without --command')
    with call.cloud.lock:
        hosts = _hosts(call, call.words[0].rpartition('@')[2])
    if hosts is None:
        call.more = {'hang': True}
        return
    call.err = f'Using ssh batch size of 1. Attempting to SSH into 1 nodes with a total of {len(hosts)} workers.\n'
    call.err += ''.join(f'SSH: Attempting to connect to worker {host.worker}...\n' for host in hosts)
    keys = ('name', 'worker', 'environment')
    each = [{key: getattr(host, key) for key in keys} | {'home': str(host.home)} for host in hosts]
    call.more = {'ssh': [{**host, 'command': call['command']} for host in each]}


def _scp(call):
    *sources, target = call.words
    remote = next((word for word in (target, *sources) if _NODE.match(word)), None)
    if remote is None:
        raise Refused('Source(s) must be remote when destination is local.')
    with call.cloud.lock:
        hosts = _hosts(call, _NODE.match(remote)[1])
    if hosts is None:
        call.more = {'hang': True}
        return 0
    up = bool(_NODE.match(target))
    if len(hosts) > 1 and not up:
        raise Refused('Invalid value for [--worker]: cannot target multiple workers while copying files to client.')
    for host in hosts:
        for source in sources:
            start = call.cwd / source if up else _on_host(call, host, source)
            end = _on_host(call, host, target) if up else call.cwd / target
            if not start.exists() or not (end.is_dir() or end.parent.is_dir()):
                call.err += f'scp: {source if not start.exists() else target}: No such file or directory\n'
                return 1
            if start.is_dir() and not call['recurse']:
                call.err += f'scp: {source}: not a regular file\n'
                return 1
            _copy_tree(start, end)
    return 0


_NODE = re.compile(r'(?:[\w.-]+@)?([a-z][-a-z0-9]*):')


def _on_host(call, host, path):
    """Return the file that NODE:PATH stands for: relative to the home, or below the fake's own directory."""
    inside = path.partition(':')[2]
    inside = inside.removeprefix('~').removeprefix('/') if inside.startswith('~') else inside
    found = Path(host.home) / inside
    if not found.resolve().is_relative_to(call.cloud.root.resolve()):
        raise NotImplementedError(f'scp to {inside}: the fake has only the homes of its hosts')
    return found


def _copy_tree(source, target):
    """Copy a file or a directory, as scp does."""
    if source.is_dir():
        shutil.copytree(source, target / source.name if target.is_dir() else target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


_DO = {
    'auth list': _auth_list,
    'config get': _config_get,
    'compute tpus queued-resources create': _create,
    'compute tpus queued-resources describe': _describe,
    'compute tpus queued-resources list': _list,
    'compute tpus queued-resources delete': _delete,
    'compute tpus tpu-vm describe': _describe_node,
    'compute tpus tpu-vm list': _list_nodes,
    'compute tpus tpu-vm ssh': _ssh,
    'compute tpus tpu-vm scp': _scp,
    'compute tpus accelerator-types list': _accelerator_types,
    **cloud_storage.COMMANDS,
}
