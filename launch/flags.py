"""The command line of slices.py: its flags, and what is refused before anything is asked of anybody."""

import argparse
import re
from collections.abc import Sequence
from typing import Any

from launch import installing, lifecycle, machines
from launch.gcloud import NAME, ZONE, check_name
from launch.queued import Request

PROJECT = re.compile(r'([a-z][-a-z0-9.]*:)?[a-z][-a-z0-9]{4,28}[a-z0-9]')
PLAIN = re.compile(r'[A-Za-z0-9][\w.@:/-]{0,250}')
REMOTE = re.compile(r'[\w~./][\w./@+=,-]{0,500}')
JOB = re.compile(r'[a-z0-9][\w-]{0,60}')
LATEST = 'latest'


def parse(arguments: Sequence[str], described: str | None) -> argparse.Namespace:
    """Read a command line; raises SystemExit where it is none."""
    words = list(arguments)
    split = words.index('--') if '--' in words else len(words)
    first, *rest = (described or '').split('\n\n')
    parser = argparse.ArgumentParser(
        prog='slices.py', description=first, epilog='\n\n'.join(rest), formatter_class=argparse.RawTextHelpFormatter
    )
    _describe(parser)
    options = parser.parse_args(words[:split])
    options.command = words[split + 1 :]
    try:
        _check(options)
    except ValueError as error:
        parser.exit(2, f'{error}\n')
    return options


def request(options: argparse.Namespace) -> Request:
    """Return what the flags ask for."""
    return Request(
        name=options.name,
        zone=options.zone,
        tpu=options.tpu,
        spot=options.spot,
        runtime=options.runtime_version,
        valid_until=options.valid_until,
        service_account=options.service_account,
        network=options.network,
        subnetwork=options.subnetwork,
        internal_ips=options.internal_ips,
    )


def _check(options: argparse.Namespace) -> None:
    """Raise ValueError for a value that cannot be one, shell metacharacters above all."""
    if options.name is not None:
        check_name(options.name, NAME, 'name of a slice', 'my-slice')
    check_name(options.zone, ZONE, 'zone', 'us-west4-a')
    if options.project:
        check_name(options.project, PROJECT, 'id of a project', 'my-project')
    if getattr(options, 'slice', None):
        options.tpu = machines.find_slice(options.slice, options.slices)
        for flag in ('runtime_version', 'service_account', 'network', 'subnetwork'):
            if getattr(options, flag):
                check_name(getattr(options, flag), PLAIN, flag.replace('_', ' '), 'its name in the console')
    for flag in ('timeout', 'valid_until', 'patience', 'stop_timeout', 'idle'):
        if getattr(options, flag, None):
            lifecycle.seconds(getattr(options, flag))
    if options.action == 'job' and not options.valid_until:
        options.valid_until = options.timeout  # nobody waits longer for it
    if getattr(options, 'extra', None):
        installing.check_extra(options.extra)
    if getattr(options, 'job', None):
        check_name(options.job, JOB, 'job', '20260131-120000-abcd')
    pairs = [(options.remote, options.local)] if options.action == 'copy' else getattr(options, 'copy', [])
    for remote, local in pairs:
        check_name(remote, REMOTE, 'path on a host', 't2jax/out')
        if not local or local.startswith('-') or ':' in local:
            raise ValueError(f'{local!r} is no path on this machine that scp knows; write it like ./results')
    if options.action in ('run', 'job') and not options.command:
        raise ValueError('there is no command to run; write it after --, e.g. -- t2jax --help')
    if options.action not in ('run', 'job') and options.command:
        raise ValueError(f'{options.action} runs no command; drop what comes after --')


def _describe(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest='action', required=True, metavar='COMMAND')

    def add(action: str, what: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(action, help=what, description=what)
        if action == 'list':
            sub.set_defaults(name=None)
        else:
            sub.add_argument('name', metavar='NAME', help='name of the request and, of one slice, of its TPU VM')
        sub.add_argument('--zone', required=True, help='e.g. us-west4-a')
        sub.add_argument('--project', help='id of a project (default: the one gcloud is set to)')
        sub.add_argument('--dry-run', action='store_true', help='print the gcloud lines, and run none')
        return sub

    sub = add('create', 'ask for slices; they come later, `wait` waits for them')
    _ask(sub)
    sub = add('wait', 'wait until slices are there')
    _timeout(sub)
    sub = add('install', 'install this repository at a commit on every host')
    _reach(sub)
    _commit(sub)
    sub = add('run', 'run a command on all hosts at once, and show the log of the first; COMMAND comes after --')
    _reach(sub)
    _follow(sub)
    sub.add_argument('--job', help='name of the job; one that was started before is joined (default: by the time)')
    sub = add('logs', "show the first host's log of a job until it ends")
    _reach(sub)
    sub.add_argument('--job', default=LATEST, help='name of the job (default: the last that was started)')
    _patience(sub)
    sub = add('copy', 'copy a file or folder of the first host to this machine')
    _reach(sub)
    sub.add_argument('remote', metavar='REMOTE', help="path there, from the home folder; the repository's is t2jax/")
    sub.add_argument('local', metavar='LOCAL', help='path here')
    add('delete', 'delete slices that this script asked for')
    add('list', 'list the queued resources in a zone')
    sub = add('job', 'create, wait, install, run, copy, and delete whatever happens; COMMAND comes after --')
    _ask(sub)
    _timeout(sub)
    _commit(sub)
    _follow(sub)
    what = 'copy a path of the first host, from its home folder, to one here in the end; again for more'
    sub.add_argument('--copy', nargs=2, action='append', default=[], metavar=('REMOTE', 'LOCAL'), help=what)
    what = 'the slice deletes itself after so long without a job, should this machine be gone (default: 30m)'
    sub.add_argument('--idle', default='30m', help=what)
    sub.set_defaults(vm=False)


def _ask(sub: Any) -> None:
    sub.add_argument('--slice', required=True, help='KIND:SHAPE, e.g. v5e:4x4')
    sub.add_argument('--slices', type=int, default=1, help='how many, joined by network (default: 1)')
    sub.add_argument('--spot', action='store_true', help='Spot VMs: cheaper, and may be taken away')
    sub.add_argument('--valid-until', help='how long the request may wait, e.g. 6h (default: for ever; job: --timeout)')
    sub.add_argument('--runtime-version', help="image of the hosts (default: the kind's)")
    sub.add_argument('--service-account', help="who the hosts are (default: Compute Engine's)")
    sub.add_argument('--network', help='default: default')
    sub.add_argument('--subnetwork')
    _internal(sub, 'hosts have no addresses outside; they are reached from within the network')


def _reach(sub: Any) -> None:
    sub.add_argument('--vm', action='store_true', help='NAME is a TPU VM, whosever; it is used and stays')
    _internal(sub, 'reach hosts by their addresses within the network')


def _internal(sub: Any, what: str) -> None:
    sub.add_argument('--internal-ips', action='store_true', help=what)


def _timeout(sub: Any) -> None:
    sub.add_argument('--timeout', default='6h', help='how long to wait for slices (default: 6h)')


def _commit(sub: Any) -> None:
    sub.add_argument('--commit', default='HEAD', help='default: HEAD; changes that are not committed are not in it')
    sub.add_argument('--extra', default='tpu', help="of setup.py's extras, the one that hosts need (default: tpu)")


def _patience(sub: Any) -> None:
    what = 'how long the hosts may be out of reach (default: 15m)'
    sub.add_argument('--patience', default='15m', help=what)


def _follow(sub: Any) -> None:
    _patience(sub)
    what = 'how long the command may take to save after Ctrl-C (default: 10m)'
    sub.add_argument('--stop-timeout', default='10m', help=what)
