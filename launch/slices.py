"""One Cloud TPU slice, or several joined by network: asked for, used and given back.

    python launch/slices.py job NAME --zone us-west4-a --slice v5e:4x4 --spot --copy t2jax/out results -- \\
        t2jax train experiments/paper.py --run 37M@1.25e16 --workdir gs://BUCKET/paper --distributed

asks for the slice, waits for it, installs this repository at a commit on every host, runs the command on all of them
at once, shows the log of the first, copies results, deletes the slice, and ends with the command's exit code. create,
wait, install, run, logs, copy, delete and list do one of these each; with --vm, on a TPU VM that is there already and
stays. Every gcloud line is printed before it runs; --dry-run prints only.

The slice is deleted whatever happens. The command fails, or the slice is taken away: at once. Ctrl-C, SIGTERM or a
closed terminal: the command is sent SIGTERM on every host and gets --stop-timeout to save; a second Ctrl-C does not
wait for it. A lost connection: the command goes on, and so does its log. This machine dies: the slice's first host
deletes the slice after --idle without a job (launch/guard.sh). Where deleting fails, the line to paste is printed.

The exit code is the command's (the first that is not 0 among the hosts); 143: it was stopped, or its slice taken away,
and the same command goes on from its last checkpoint; 130: Ctrl-C; 1: no slice came, or one that is out of reach; 2:
refused. Hardware: none here; the slices are in the cloud.
"""

import argparse
import contextlib
import secrets
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for launch and t2jax

from launch import flags, installing, lifecycle, queued, repository
from launch.gcloud import Gcloud, GcloudError, check_logged_in
from launch.interrupts import Interrupted, Interrupts
from launch.jobs import RESUME, Job
from launch.lifecycle import Ended
from launch.remote import Gone, Hosts, hosts_of, hosts_of_vm


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    options = flags.parse(sys.argv[1:] if arguments is None else arguments, __doc__)
    gcloud = Gcloud(options.project, options.dry_run)
    with Interrupts() as interrupts:
        try:
            if not gcloud.dry_run:
                check_logged_in(gcloud)
            return COMMANDS[options.action](options, gcloud, interrupts)
        except (ValueError, OSError, GcloudError) as error:
            problem, code = error, 2
        except Ended as error:
            problem, code = error, 1
        except Gone as error:
            problem, code = error, RESUME
        except Interrupted as error:
            problem, code = f'stopped by {error}', error.code
    say(str(problem))
    if code == RESUME and options.action in ('run', 'job'):
        say_how_to_go_on()
    return code


def say(line: str) -> None:
    """Write a line for whoever watches."""
    print(line, file=sys.stderr, flush=True)


def say_how_to_go_on() -> None:
    """Say what a person does after exit code 143."""
    line = shlex.join([Path(sys.executable).name, *sys.argv])
    say(f'what trains goes on from its last checkpoint with the same command: {line}')


def create(options: argparse.Namespace, gcloud: Gcloud, interrupts: Interrupts) -> int:
    """Ask for slices."""
    request = flags.request(options)
    check(gcloud, options)
    lifecycle.check_free(gcloud, request)
    with interrupts.held():
        lifecycle.ask_for(gcloud, request)
    return 0


def wait(options: argparse.Namespace, gcloud: Gcloud, interrupts: Interrupts) -> int:
    """Wait until slices are there."""
    lifecycle.wait_until_active(gcloud, options.name, options.zone, lifecycle.seconds(options.timeout), say)
    return 0


def install(options: argparse.Namespace, gcloud: Gcloud, interrupts: Interrupts) -> int:
    """Install this repository at a commit."""
    commit = commit_for(options)
    installing.install(find_hosts(options, gcloud), commit, options.extra)
    return 0


def run(options: argparse.Namespace, gcloud: Gcloud, interrupts: Interrupts) -> int:
    """Run a command on all hosts."""
    job = Job(find_hosts(options, gcloud), options.job or new_job(), lifecycle.seconds(options.patience))
    return run_job(job, options, interrupts)


def logs(options: argparse.Namespace, gcloud: Gcloud, interrupts: Interrupts) -> int:
    """Show the log of a job until it ends."""
    job = Job(find_hosts(options, gcloud), options.job, lifecycle.seconds(options.patience))
    job.attach()
    state = job.follow(sys.stdout.buffer, alone=True)
    say(f'job {job.name}: {state}')
    return 2 if state == 'absent' else 0


def copy(options: argparse.Namespace, gcloud: Gcloud, interrupts: Interrupts) -> int:
    """Copy results here."""
    find_hosts(options, gcloud).fetch(options.remote, options.local)
    return 0


def delete(options: argparse.Namespace, gcloud: Gcloud, interrupts: Interrupts) -> int:
    """Delete slices of ours."""
    if not gcloud.dry_run and lifecycle.look(gcloud, options.name, options.zone) is None:
        say(f'there is no queued resource {options.name} in {options.zone}; nothing is to be deleted')
        return 0
    lifecycle.find_ours(gcloud, options.name, options.zone)
    with interrupts.held():
        return 0 if lifecycle.give_back(gcloud, options.name, options.zone, say) else 1


def show(options: argparse.Namespace, gcloud: Gcloud, interrupts: Interrupts) -> int:
    """List the requests in a zone."""
    listing = ('compute', 'tpus', 'queued-resources', 'list', f'--zone={options.zone}')
    if gcloud.dry_run:
        gcloud.change(*listing, '--format=json')
        return 0
    found = gcloud.ask_json(*listing)
    if not isinstance(found, list):
        raise GcloudError(f'gcloud printed no list of the queued resources in {options.zone}; try again')
    for one in map(queued.parse, found):
        whose = 'ours' if lifecycle.is_ours(one) else "another's"
        kind = f'{len(one.nodes)} x {one.kind}'
        print(f'{one.name:30} {one.state:22} {whose:10} {kind}{lifecycle.why(one)}')
    return 0


def run_all(options: argparse.Namespace, gcloud: Gcloud, interrupts: Interrupts) -> int:
    """Do all of it: create, wait, install, run, copy, and delete whatever happens."""
    request, name = flags.request(options), new_job()
    commit = commit_for(options)
    idle = lifecycle.seconds(options.idle)
    check(gcloud, options)
    lifecycle.check_free(gcloud, request)
    code = 1
    try:
        try:
            with interrupts.held():
                lifecycle.ask_for(gcloud, request, name, idle)
            lifecycle.wait_until_active(gcloud, request.name, request.zone, lifecycle.seconds(options.timeout), say)
            hosts = hosts_of(gcloud, request.name, request.zone, request.nodes, options.internal_ips)
            installing.install(hosts, commit, options.extra)
            code = run_job(Job(hosts, name, lifecycle.seconds(options.patience)), options, interrupts)
            failed = copy_all(hosts, options.copy)
            code = code or failed
        finally:
            interrupts.disarm()
    finally:
        gone = lifecycle.give_back(gcloud, request.name, request.zone, say, name)
    interrupts.arm()
    return code or (0 if gone else 1)


def run_job(job: Job, options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Start a job, show its log, and return its exit code; an interrupt stops it on every host first."""
    out = sys.stdout.buffer
    try:
        job.start(options.command)
        if not job.hosts.gcloud.dry_run:
            say(f'job {job.name} runs')
        state = job.follow(out)
        code = job.finish()
        if state == 'running':
            job.follow(out, limit=0)
    except Interrupted:
        limit = lifecycle.seconds(options.stop_timeout)
        interrupts.arm()
        say(f'stopping the job on all hosts; it has {lifecycle.spell(limit)} to save. Ctrl-C again not to wait for it')
        with contextlib.suppress(GcloudError, Gone):
            job.stop()
            end = time.monotonic() + limit
            if job.follow(out, limit=limit) != 'running':
                job.wait(max(0.0, end - time.monotonic()))
        raise
    if not job.hosts.gcloud.dry_run:
        say(f'job {job.name} ended with exit code {code}')
    if code == RESUME:
        say_how_to_go_on()
    return code


def copy_all(hosts: Hosts, pairs: Sequence[tuple[str, str]]) -> int:
    """Copy results here; return 1 where some could not be."""
    failed = 0
    for remote, local in pairs:
        try:
            hosts.fetch(remote, local)
        except GcloudError as error:
            say(str(error))
            failed = 1
    return failed


def check(gcloud: Gcloud, options: argparse.Namespace) -> None:
    """Raise ValueError or GcloudError where a request would be in vain; a dry run asks nobody."""
    if not gcloud.dry_run:
        queued.check_zones(gcloud, [(options.zone, options.tpu)])


def new_job() -> str:
    """Name a job by the time, which also makes a label."""
    return time.strftime('%Y%m%d-%H%M%S-', time.gmtime()) + secrets.token_hex(2)


def commit_for(options: argparse.Namespace) -> str:
    """Return the commit to install, and say what is not in it."""
    return repository.commit_to_install(options.commit, say)


def find_hosts(options: argparse.Namespace, gcloud: Gcloud) -> Hosts:
    """Return the hosts that a command is for; raises ValueError where they are not there, or not ours."""
    name, zone = options.name, options.zone
    if options.vm:
        return hosts_of_vm(gcloud, name, zone, options.internal_ips)
    found = lifecycle.find_ours(gcloud, name, zone)
    if found.state != queued.ACTIVE:
        raise ValueError(f'{name} in {zone} is {found.state}{lifecycle.why(found)}; `wait` waits for it')
    return hosts_of(gcloud, name, zone, found.nodes, options.internal_ips)


COMMANDS = {'create': create, 'wait': wait, 'install': install, 'run': run, 'logs': logs, 'copy': copy}
COMMANDS |= {'delete': delete, 'list': show, 'job': run_all}


if __name__ == '__main__':
    sys.exit(main())
