"""A simulated world: slices, hosts, trainings, a bucket and their clocks, under the launcher's real code.

Every controller and host is a thread that runs the real code, and only one runs at a time: each waits in `sleep` or a
call of the cloud or bucket, and the one whose simulated time comes next goes on. A world is a function of its seed.
"""

import heapq
import itertools
import json
import random
import threading
from contextlib import suppress
from dataclasses import dataclass, field

from launch.bucket import ABSENT
from launch.claims import DONE
from launch.controller import Controller, Place
from launch.gcloud import GcloudError
from launch.machines import find_slice
from launch.queued import Seen
from launch.worker import Follower, Leader

LIMIT = 60 * 86400.0


class Killed(BaseException):
    """The machine that this thread runs on is no more."""


class World:
    """Simulated time and the threads that live in it."""

    def __init__(self, seed):
        self.random, self.time = random.Random(seed), 0.0
        self._order, self._queue, self._turn = itertools.count(), [], threading.Semaphore(0)
        self.errors = []

    def at(self, time, action):
        heapq.heappush(self._queue, (time, next(self._order), action))

    def spawn(self, function):
        return Actor(self, function)

    def run(self, until):
        """Let time pass until a condition holds."""
        while self._queue and not until():
            self.time, _, action = heapq.heappop(self._queue)
            assert self.time < LIMIT, 'it never ends'
            action()
            if self.errors:
                raise self.errors[0]


class Actor:
    """A thread that runs only when it is its turn."""

    def __init__(self, world, function):
        self.world, self.dead, self.frozen, self._go = world, False, False, threading.Semaphore(0)
        self._thread = threading.Thread(target=self._live, args=(function,), daemon=True)
        self._thread.start()
        world.at(world.time, self._wake)

    def _live(self, function):
        self._go.acquire()
        try:
            if not self.dead:
                function()
        except Killed:
            pass
        except BaseException as error:  # for the test to see
            self.world.errors.append(error)
        self.dead = True
        self.world._turn.release()

    def _wake(self):
        if not self.frozen and self._thread.is_alive():
            self._go.release()
            self.world._turn.acquire()

    def sleep(self, seconds):
        if self.dead:
            raise Killed
        self.world.at(self.world.time + seconds, self._wake)
        self.world._turn.release()
        self._go.acquire()
        if self.dead:
            raise Killed

    def thaw(self):
        """Go on, after having stood still."""
        if self.frozen:
            self.frozen = False
            self.world.at(self.world.time, self._wake)

    def kill(self):
        """End it; its thread unwinds when it would have gone on."""
        self.dead = True
        self.thaw()


@dataclass
class Clock:
    """An actor's clock, which is off by some seconds."""

    world: World
    skew: float
    actor: Actor | None = None

    def now(self):
        return 1e9 + self.world.time + self.skew

    def sleep(self, seconds):
        self.actor.sleep(seconds)


class Bucket:
    """What one actor sees of the bucket that all share."""

    address = 'gs://simulated'

    def __init__(self, objects, clock, trouble):
        self.objects, self.clock, self.trouble = objects, clock, trouble

    def _call(self, change):
        random = self.clock.world.random
        self.clock.sleep(random.uniform(0.2, 3))
        fate = random.random()
        if fate < self.trouble / 2:
            self.clock.sleep(random.choice([0, 30]))
            raise GcloudError('HTTPError 503', 'HTTPError 503')
        result = change()
        self.clock.sleep(random.uniform(0, 1))
        if self.trouble / 2 < fate < self.trouble:
            raise GcloudError('it did not end within 30 s')  # and yet was done
        return result

    def read(self, name):
        def look():
            data, generation = self.objects.get(name, (None, ABSENT))
            return data and json.loads(data), generation

        return self._call(look)

    def write(self, name, record, generation):
        def put():
            newest = self.objects.get(name, (None, ABSENT))[1]
            if generation is not None and generation != newest:
                return False
            self.objects[name] = json.dumps({'object': name, **record}), newest + 1
            return True

        return self._call(put)

    def scan(self, folder):
        return self._call(
            lambda: {n: (json.loads(d), g) for n, (d, g) in self.objects.items() if n.startswith(f'{folder}/')}
        )


@dataclass
class Training:
    """What is on disk of one run, and who has worked on it: seconds of training saved, done."""

    seconds: float
    saved: float = 0.0
    finished: int = 0
    failed: int = 0
    spans: list = field(default_factory=list)  # [slice, begun, ended, whether on the first host]


class Program:
    """A training on one host. It saves every `every` seconds, and when it is asked to stop."""

    def __init__(self, host, training, until, every=120.0):
        self.host, self.training, self.every = host, training, every
        self.world, self.clock = host.world, host.clock
        self.begun, self.until, self.code = self.world.time, until, None
        self.asked = None
        draw = self.world.random
        self.fails = self.begun + draw.uniform(0, training.seconds) if draw.random() < host.fails else None
        self.loading, self.start = draw.uniform(5, 60), training.saved
        self.span = [host.slice, self.begun, None, host.leads]
        training.spans.append(self.span)

    def _state(self):
        """Return when it ended, if it has, and with what."""
        done = self.begun + self.loading + self.training.seconds - self.start
        ends = [(done, 0), (self.until - 1e9 - self.clock.skew, -9)]
        if self.asked is not None:
            ends.append((self.asked, 143))
        if self.fails is not None:
            ends.append((self.fails, 1))
        return min(ends)

    def poll(self):
        if self.code is None:
            ended, code = self._state()
            if ended <= self.world.time:
                self._end(ended, code)
        return self.code

    def _end(self, ended, code):
        self.code = code
        if self.span[2] is None:
            self.span[2] = ended
        trained = self.start + max(0.0, ended - self.begun - self.loading)
        if self.host.leads:
            saved = trained if code == 143 else max(self.start, trained // self.every * self.every)
            saved = self.training.seconds if code == 0 else saved
            self.training.saved = max(self.training.saved, min(saved, self.training.seconds))
            self.training.finished += code == 0
            self.training.failed += code in (1, -9)  # -9: of a machine that stood still and went on

    def stop_here(self):
        """The machine stops: it does nothing more."""
        if self.poll() is None:
            self._end(self.world.time, -9)

    def allow(self, until):
        if self.poll() is None:
            self.until = until

    def terminate(self):
        if self.poll() is None and self.asked is None:
            self.asked = self.world.time + self.world.random.uniform(1, 40)

    def kill(self):
        self.stop_here()

    def share(self):
        return 0.5

    def silent(self):
        return 0.0


class Host:
    """A machine of a slice."""

    def __init__(self, world, resource, index):
        self.world, self.resource, self.slice, self.leads = world, resource, resource.name, index == 0
        self.clock, self.program = Clock(world, world.random.uniform(-10, 10)), None
        self.fails = world.random.choice([0, 0.1])
        self.noticed, self.bucket = False, Bucket(resource.cloud.objects, self.clock, resource.cloud.trouble)

    def start(self, command, run, until):
        self.program = Program(self, self.resource.cloud.trainings[run], until)
        return self.program

    def notice(self):
        return self.noticed

    def keep(self, run, all_of_it):
        self.clock.sleep(self.world.random.uniform(0, 20))

    def work(self):
        cloud = self.resource.cloud
        if self.leads:
            Leader(self.slice, cloud.plan, self.bucket, self.clock, self, lambda said: None, cloud.hosts).work()
        else:
            Follower(self.slice, 1, self.bucket, self.clock, self, lambda said: None).work()
        if self.leads and self.world.random.random() < 0.7:  # else it does not manage to give its slice back
            self.resource.delete()


class Resource:
    """A queued resource."""

    fates = ('fine', 'fine', 'fail', 'stuck', 'preempt', 'preempt', 'suspend', 'freeze', 'mute')

    def __init__(self, cloud, asked):
        self.cloud, self.world, self.name, self.hosts, self.actors = cloud, cloud.world, asked.name, [], []
        draw = self.world.random
        self.state = 'WAITING_FOR_RESOURCES'
        self.fate = draw.choice(self.fates)
        if self.fate != 'stuck':
            self.world.at(self.world.time + draw.uniform(10, 900), self.provision)

    def provision(self):
        if self.state != 'WAITING_FOR_RESOURCES':
            return
        draw = self.world.random
        if self.fate == 'fail':
            self.state = 'FAILED'
            return
        self.state = 'ACTIVE'
        for index in range(0 if self.fate == 'mute' else self.cloud.hosts):
            host = Host(self.world, self, index)
            self.hosts.append(host)
            self.actors.append(host)
            host.clock.actor = self.world.spawn(
                lambda host=host: (host.clock.sleep(draw.uniform(30, 300)), host.work())
            )
        after = self.world.time + draw.uniform(60, 6000)
        if self.fate == 'preempt':
            self.world.at(after, self.announce)
        elif self.fate == 'suspend':
            self.world.at(after, self.suspend)
        elif self.fate == 'freeze':
            self.world.at(after, self.freeze)

    def announce(self):
        for host in self.hosts:
            host.noticed = True
        self.world.at(self.world.time + self.world.random.choice([5, 30, 60]), self.suspend)

    def stop_hosts(self):
        for host in self.hosts:
            if host.program:
                host.program.stop_here()
            host.clock.actor.kill()
        self.hosts = []

    def freeze(self):
        for host in self.hosts:
            if host.program:
                host.program.stop_here()
            host.clock.actor.frozen = True
        if self.world.random.random() < 0.5:
            self.world.at(self.world.time + self.world.random.uniform(30, 3000), self.thaw)

    def thaw(self):
        """Hosts go on as if no time had passed; what they ran is killed at once where its claim is over."""
        for host in self.hosts:
            host.clock.actor.thaw()

    def suspend(self):
        if self.state == 'ACTIVE':
            self.stop_hosts()
            self.state = 'SUSPENDING'
            self.world.at(self.world.time + 20, lambda: self.become('SUSPENDED', 'SUSPENDING'))

    def become(self, state, before):
        if self.state == before:
            self.state = state

    def delete(self):
        """Machines go on for a moment while they are deleted."""
        if self.state == 'DELETING':
            return
        self.state = 'DELETING'
        self.world.at(self.world.time + self.world.random.uniform(5, 60), self.vanish)

    def vanish(self):
        self.stop_hosts()
        self.cloud.resources.pop(self.name, None)


class Cloud:
    """What all controllers share; `seen_by` gives one of them its own view."""

    def __init__(self, world, plan, seconds, hosts, trouble):
        self.world, self.plan, self.hosts, self.trouble = world, plan, hosts, trouble
        self.objects, self.resources, self.created = {}, {}, 0
        self.trainings = {job.name: Training(seconds[job.name]) for job in plan.jobs}
        self.resources['somebody-elses-001'] = Resource.__new__(Resource)
        self.resources['somebody-elses-001'].state = 'FAILED'

    def seen_by(self, clock):
        return View(self, clock)


class View:
    """The cloud by way of a gcloud that fails now and then."""

    def __init__(self, cloud, clock):
        self.cloud, self.clock = cloud, clock

    def _call(self, change):
        return Bucket._call(Bucket(None, self.clock, self.cloud.trouble), change)

    def create(self, asked):
        def make():
            if self.cloud.world.random.random() < 0.15:
                raise GcloudError('Quota exceeded', 'Quota exceeded')
            if (
                self.cloud.trouble and self.cloud.world.random.random() < 0.1
            ):  # its command goes on without whoever began it
                self.cloud.world.at(self.cloud.world.time + self.cloud.world.random.uniform(0, 200), land)
                raise GcloudError('it did not end within 60 s')
            land()

        def land():
            if asked.name not in self.cloud.resources:
                self.cloud.created += 1
                self.cloud.resources[asked.name] = Resource(self.cloud, asked)

        self._call(make)

    def delete(self, name, zone):
        assert name.startswith(self.cloud.plan.id), f'{name} is not ours'

        def unmake():
            if name in self.cloud.resources:
                self.cloud.resources[name].delete()

        self._call(unmake)

    def list(self, zone):
        return self._call(lambda: [Seen(name, found.state) for name, found in self.cloud.resources.items()])

    def describe(self, name, zone):
        found = self._call(lambda: name in self.cloud.resources and self.cloud.resources[name].state)
        return Seen(name, found) if found else None


PLACES = [Place('us-west4-a', find_slice('v5e:4x4'), 1.0), Place('europe-west4-b', find_slice('v5e:4x4'), 0.5)]


def simulate(seed, plan, seconds, hosts=1, trouble=0.05, most=4, controllers_die=True):
    """Run a sweep to its end; return the cloud and the last controller."""
    world = World(seed)
    cloud = Cloud(world, plan, seconds, hosts, trouble)
    cloud.objects['sweep.json'] = json.dumps({'object': 'sweep.json'}), 1
    over, controller = [], []

    def start():
        clock = Clock(world, world.random.uniform(-10, 10))
        life = world.random.uniform(300, 20000) if controllers_die else LIMIT

        def work():
            bucket = Bucket(cloud.objects, clock, trouble)
            controller[:] = [Controller(plan, PLACES, most, cloud.seen_by(clock), bucket, clock, lambda said: None)]
            while True:
                with suppress(GcloudError):
                    if controller[0].tick():
                        over.append(True)
                        return
                clock.sleep(30)

        clock.actor = world.spawn(work)

        def die():
            if not over:
                clock.actor.kill()
                world.at(world.time + world.random.uniform(1, 3000), start)

        world.at(world.time + life, die)

    start()
    world.run(lambda: bool(over))
    return cloud, controller[0]


def overlaps(cloud):
    """Return the runs that two slices worked on at once."""
    found = []
    for name, training in cloud.trainings.items():
        spans = sorted(training.spans, key=lambda span: span[1])
        for a, b in itertools.combinations(spans, 2):
            if (
                (a[0] != b[0] or a[3] == b[3])
                and b[1] < (a[2] if a[2] is not None else cloud.world.time)
                and a[1] < (b[2] or LIMIT)
            ):
                found.append((name, a, b))
    return found


def trained(controller):
    """Return the runs that are done, as the bucket has it."""
    return [name for name, state in controller.states.items() if state.done and state.attempts[-1].outcome == DONE]
