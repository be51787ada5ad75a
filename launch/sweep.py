"""Train all runs of a grid on whatever TPU slices appear, and be gone: slices, quota and all.

    python launch/sweep.py experiments/paper.py --workdir gs://BUCKET/paper --spot --most 4 \\
        --place us-west4-a,v5e:4x4,0.55 --place europe-west4-b,v5e:4x4 --budget-dollars 3000
    python launch/sweep.py experiments/paper.py --workdir gs://BUCKET/paper --status

The first asks for slices, at the places in their order, and keeps them at work until every run is trained. Slices take
runs from the queue in WORKDIR/sweep by themselves, longest first, and give themselves back when nothing is left; this
program replaces those that are taken away, fail or hang. It may be killed, and started again anywhere: all it knows is
in the bucket. Ctrl-C stops the sweep: trainings save, slices are deleted; the same command goes on later.

launch/README.md begins at an empty project. Hardware: none here. Result: the account of a sweep, and trained runs in
WORKDIR/runs.
"""

import argparse
import dataclasses
import json
import math
import re
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for launch and t2jax

from launch import machines, repository, startup, status
from launch.bucket import ABSENT, GcloudBucket
from launch.claims import Claims, State
from launch.controller import Controller, Patience, Place
from launch.flags import PLAIN
from launch.gcloud import ADDRESS, NAME, ZONE, Gcloud, GcloudError, check_name, find_project
from launch.host import SystemClock
from launch.ledger import Asked, Budget, read_asked
from launch.plan import STOP, Plan, read_plan, write_plan
from launch.queued import Request, check_zones
from launch.watching import TakenOver, leading, totals, watch

# Flags of `t2jax train` that each slice sets; --json would make a training silent, and silence is taken for a hang.
OURS = ('--run', '--workdir', '--json', '--distributed', '--coordinator', '--processes', '--process')


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the flags say; return the exit code."""
    options, flags = parse(sys.argv[1:] if arguments is None else arguments)
    gcloud = Gcloud(options.project, options.dry_run)
    workdir = check_name(options.workdir.rstrip('/'), ADDRESS, 'address in a bucket', 'gs://BUCKET/FOLDER')
    bucket = GcloudBucket(gcloud, f'{workdir}/sweep')
    if options.dry_run:
        return show(options, flags, gcloud, bucket)
    gcloud.project = find_project(gcloud)
    if options.status:
        return print_status(gcloud, bucket, options.json)
    if options.retry:
        return retry(gcloud, bucket, options.retry)
    if options.stop or options.delete:
        known_plan(bucket, gcloud)
        bucket.write(STOP, {'reason': 'it was stopped by --stop'}, None)
        print('slices save what they train and end; what is left of them after that, --delete deletes', file=sys.stderr)
        return delete_slices(gcloud, bucket) if options.delete else 0
    return run(options, flags, gcloud, bucket)


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the flags; those after -- are for `t2jax train`."""
    own, _, flags = _split(arguments)
    parser = argparse.ArgumentParser(
        prog='sweep.py', description='Train all runs of a grid on Cloud TPU slices. Flags after -- go to `t2jax train`.'
    )
    add = parser.add_argument
    add('experiment', type=Path, help='Python file that defines GRID, e.g. experiments/paper.py')
    add('--workdir', required=True, help='where runs and the state of the sweep go, gs://BUCKET/FOLDER')
    what = (
        'where to ask for slices, and of what kind: ZONE,SLICE or ZONE,SLICE,DOLLARS with what a chip costs an hour '
        'there (default: the list price on demand), e.g. us-west4-a,v5e:4x4,0.55; again for more, the best first'
    )
    add('--place', action='append', default=[], metavar='PLACE', help=what)
    add('--slices', type=int, default=1, help='slices that train one run together, joined by network (default: 1)')
    add('--most', type=int, default=4, help='how many runs at once, each on slices of its own (default: 4)')
    add('--spot', action='store_true', help='Spot VMs: cheaper, and may be taken away')
    add('--run', action='append', help='train this run only (again for more)')
    add('--task', action='append', default=[], help='score trained runs on a task, NAME:gs://FILE (again for more)')
    add('--tokenizer', metavar='FILE', help='of the text, for --task; may be in the bucket')
    what = 'folder as which hosts have WORKDIR mounted, if they do (default: they read and write gs:// themselves)'
    add('--mounted', metavar='FOLDER', help=what)
    add('--retries', type=int, default=3, help='how often a run that fails is tried again (default: 3)')
    for limit, of in (('flops', '6 N D of the runs'), ('hours', 'slice-hours'), ('dollars', 'dollars')):
        add(f'--budget-{limit}', type=float, help=f'stop at so many {of}')
    add('--mfu', type=float, default=0.4, help='share of the peak that training reaches, for estimates (default: 0.4)')
    add('--commit', default='HEAD', help='of this repository, which slices install (default: HEAD)')
    add('--project', help="Google Cloud project (default: gcloud's)")
    add('--service-account', help="account of the slices' hosts (default: Compute Engine's)")
    add('--network', help='network of the hosts (default: default)')
    add('--subnetwork', help='and its subnetwork')
    add('--internal-ips', action='store_true', help='hosts have no external addresses')
    add('--runtime-version', help="image of the hosts (default: the kind's)")
    add('--lease', type=float, default=600, help='seconds after which a silent slice has lost its run (default: 600)')
    add('--patience', type=float, default=3600, help='seconds to wait at one place if there are others (default: 3600)')
    add('--rest', type=float, default=600, help='seconds until a place that refused is asked again (default: 600)')
    add('--poll', type=float, default=30, help='seconds between two looks (default: 30)')
    add('--json', action='store_true', help='with --status: as JSON')
    action = parser.add_mutually_exclusive_group()
    action.add_argument('--dry-run', action='store_true', help='print what would be asked of gcloud, and do nothing')
    action.add_argument('--status', action='store_true', help='what is done, what runs where, ETA, cost so far')
    action.add_argument('--stop', action='store_true', help='let slices save and end; the sweep can go on later')
    action.add_argument('--delete', action='store_true', help='stop, and delete the slices that are left')
    action.add_argument('--retry', action='append', metavar='RUN', help='let a run that was given up be tried again')
    return parser.parse_args(own), flags


def _split(arguments: Sequence[str]) -> tuple[list[str], str, list[str]]:
    at = list(arguments).index('--') if '--' in arguments else len(arguments)
    return list(arguments[:at]), '--', list(arguments[at + 1 :])


def make_plan(
    options: argparse.Namespace, flags: Sequence[str], workdir: str, project: str
) -> tuple[Plan, list[Place]]:
    """Read the places and the experiment; raises ValueError for what is wrong with them."""
    places = [parse_place(text, options.slices) for text in options.place]
    if not places:
        raise ValueError('no place to ask for slices; give --place ZONE,SLICE, e.g. --place us-west4-a,v5e:4x4')
    for flag in ('most', 'poll', 'patience', 'rest'):
        if not getattr(options, flag) > 0:
            raise ValueError(f'{flag} is {getattr(options, flag):g}; it has to be above 0')
    check_values(options, flags)
    limits = options.budget_flops, options.budget_hours, options.budget_dollars
    if bad := [limit for limit in limits if limit is not None and not limit > 0]:
        raise ValueError(f'a budget is {bad[0]:g}; it has to be above 0')
    commit = repository.commit_to_install(options.commit, lambda line: print(line, file=sys.stderr))
    experiment = repository.find_grid(options.experiment, commit)
    score = [part for task in options.task for part in ('--task', task)]
    score += ['--tokenizer', options.tokenizer] if options.tokenizer and score else []
    hosts_workdir = options.mounted or workdir
    jobs = startup.find_jobs(experiment, hosts_workdir, places[0].tpu, options.mfu, options.run, score, flags)
    name = re.sub('[^a-z0-9]+', '-', options.experiment.stem.lower()).strip('-')[:20]
    plan = Plan(
        id=check_name(f't2-{name}-{secrets.token_hex(2)}', NAME, 'name of a sweep', 't2-paper-1a2b'),
        experiment=experiment,
        commit=commit,
        project=project,
        jobs=jobs,
        retries=options.retries,
        lease=options.lease,
        budget=Budget(*limits),
    )
    if not plan.chosen:
        raise ValueError(f'{options.budget_flops:g} FLOPs suffice for no run; the smallest takes {jobs[-1].flops:.3g}')
    return plan, places


def check_values(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Raise ValueError for values that would be found wrong on machines that cost money."""
    for flag in ('service_account', 'network', 'subnetwork', 'runtime_version'):
        if getattr(options, flag):
            check_name(getattr(options, flag), PLAIN, flag.replace('_', ' '), 'its name in the console')
    if options.mounted and not options.mounted.startswith('/'):
        raise ValueError(f'mounted is {options.mounted!r}; give the whole path on the hosts, from / on')
    if options.tokenizer and not options.task:
        raise ValueError('a tokenizer is for scoring; give --task as well, or leave it out')
    from t2jax.tasks.catalogue import TASKS  # which loads numpy

    for task in options.task:
        name, _, file = task.partition(':')
        if file and name not in TASKS:  # a bare name may be one of WORKDIR/data/questions
            raise ValueError(f'there is no task {name!r}; `t2jax tasks` lists them')
    for flag in flags:
        if flag.partition('=')[0] in OURS:
            raise ValueError(f'{flag.partition("=")[0]} is for the sweep to say; leave it out after --')


def parse_place(text: str, slices: int) -> Place:
    """Read ZONE,SLICE or ZONE,SLICE,DOLLARS; raises ValueError for what is none."""
    zone, _, rest = text.partition(',')
    name, _, dollars = rest.partition(',')
    check_name(zone, ZONE, 'zone', 'us-west4-a, in --place us-west4-a,v5e:4x4')
    tpu = machines.find_slice(name, slices)
    try:
        price = float(dollars) if dollars else tpu.chip.dollars_per_hour
    except ValueError:
        price = -1.0
    if not 0 <= price < math.inf:
        raise ValueError(f'{dollars!r} is no price; write dollars that a chip costs an hour, e.g. {zone},{name},0.55')
    return Place(zone, tpu, price)


def make_slices(options: argparse.Namespace, gcloud: Gcloud, bucket: GcloudBucket, plan: Plan) -> startup.SweepSlices:
    """Return where the sweep's slices come from."""
    like = Request(
        name='',
        zone='',
        tpu=machines.find_slice('v5e:1x1'),  # each slice has its own
        spot=options.spot,
        runtime=options.runtime_version,
        labels=(('t2jax-sweep', plan.id),),
        service_account=options.service_account,
        network=options.network,
        subnetwork=options.subnetwork,
        internal_ips=options.internal_ips,
    )
    return startup.SweepSlices(gcloud, like, bucket.address, plan.commit, Path('out') / 'launch')


def show(options: argparse.Namespace, flags: Sequence[str], gcloud: Gcloud, bucket: GcloudBucket) -> int:
    """Print the queue, and what would be asked of gcloud for the first slice."""
    plan, places = make_plan(options, flags, bucket.address.rpartition('/')[0], gcloud.project or 'PROJECT')
    plan = dataclasses.replace(plan, id=plan.id[:-4] + '0000')
    print(f'{len(plan.chosen)} runs, {sum(job.chip_hours for job in plan.chosen):,.1f} chip-hours, in this order:')
    for job in plan.chosen:
        dollars = job.chip_hours * places[0].dollars_per_chip
        print(f'  {job.name:24} {job.flops:9.3g} FLOPs {job.chip_hours:9,.2f} chip-hours {dollars:10,.2f} dollars')
    gcloud.say = print
    bucket.write('sweep.json', {}, ABSENT)
    gcloud.change('storage', 'cp', f'{plan.commit}.tar.gz', f'{bucket.address}/code/{plan.commit}.tar.gz')
    slices = make_slices(options, gcloud, bucket, plan)
    for place in places:
        asked = Asked(f'{plan.id}-001', place.zone, str(place.tpu), place.tpu.chips, 0.0, 0.0)
        gcloud.change(*slices.request(asked).arguments())
        slices.delete(asked.name, asked.zone)
    return 0


def run(options: argparse.Namespace, flags: Sequence[str], gcloud: Gcloud, bucket: GcloudBucket) -> int:
    """Train everything; return 0, or 1 where runs were given up or a budget ended it."""
    plan, places = make_plan(options, flags, bucket.address.rpartition('/')[0], gcloud.project)
    check_zones(gcloud, [(place.zone, place.tpu) for place in places])
    clock = SystemClock()
    with leading(bucket, clock, options.poll) as still_leading:
        plan = write_plan(bucket, plan)
        bucket.write(STOP, {'reason': None}, None)
        states_and_account(bucket, plan)  # what cannot be read is said before anything is created
        startup.upload_code(gcloud, bucket, plan.commit)
        cloud = make_slices(options, gcloud, bucket, plan)
        patience = Patience(waiting=options.patience, rest=options.rest)
        controller = Controller(plan, places, options.most, cloud, bucket, clock, gcloud.say, patience)
        reason = watch(controller, still_leading, options.poll)
        sums = totals(controller)
    if controller.trouble:
        raise ValueError(controller.trouble)
    gcloud.say(f'{reason}; {status.line(plan, sums)}')
    if sums['done'] == len(plan.chosen):
        folder = bucket.address.rpartition('/')[0]
        gcloud.say(f'all runs are trained: {folder}/runs' + (f', scores: {folder}/scores' if options.task else ''))
        return 0
    return 1


def known_plan(bucket: GcloudBucket, gcloud: Gcloud) -> Plan:
    """Return the plan of the sweep in a bucket; raises ValueError where there is none, or another project's."""
    plan, _ = read_plan(bucket)
    if plan is None:
        raise ValueError(f'{bucket.address} holds no sweep; start one there, or give the --workdir of one')
    if plan.project != gcloud.project:
        raise ValueError(
            f'the sweep is one of project {plan.project}, not {gcloud.project}; say --project {plan.project}'
        )
    return plan


def states_and_account(bucket: GcloudBucket, plan: Plan) -> tuple[dict[str, State], list[Asked]]:
    """Read what became of runs and slices; raises ValueError for a record that cannot be read."""
    states = Claims(bucket, SystemClock(), plan.lease, plan.retries).states()
    return states, [one for one, _ in read_asked(bucket).values()]


def print_status(gcloud: Gcloud, bucket: GcloudBucket, as_json: bool) -> int:
    """Print what the bucket says of a sweep."""
    plan, now = known_plan(bucket, gcloud), time.time()
    states, asked = states_and_account(bucket, plan)
    rows = status.rows(plan, states, asked)
    if as_json:
        print(json.dumps({'sweep': plan.id, 'runs': rows, 'totals': status.totals(rows, asked, now)}))
    else:
        print(status.table_lines(plan, rows, asked, now))
    return 0


def retry(gcloud: Gcloud, bucket: GcloudBucket, runs: Sequence[str]) -> int:
    """Let runs that were given up be tried again."""
    plan = known_plan(bucket, gcloud)
    for name in runs:
        if name not in {job.name for job in plan.jobs}:
            raise ValueError(f'the sweep has no run {name!r}; --status lists those that were given up')
        done = Claims(bucket, SystemClock(), plan.lease, plan.retries).forgive(name)
        print(f'{name}: {"it is tried again" if done else "it has not failed"}')
    return 0


def delete_slices(gcloud: Gcloud, bucket: GcloudBucket) -> int:
    """Delete every slice in a sweep's account, and wait until they are gone."""
    plan, clock = known_plan(bucket, gcloud), SystemClock()
    like = Request('', '', machines.find_slice('v5e:1x1'))
    cloud = startup.SweepSlices(gcloud, like, bucket.address, plan.commit, Path('out') / 'launch')
    controller = Controller(plan, [], 0, cloud, bucket, clock, gcloud.say)
    while not controller.delete_all():
        time.sleep(5)
    gcloud.say(f'no slice of {plan.id} is left')
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
        sys.exit(130)
    except (OSError, ValueError, GcloudError, TakenOver) as error:
        print(f'sweep.py: {error}', file=sys.stderr)
        sys.exit(2)
