"""Runs, from their first step or their last checkpoint to their end: one on one host or many, or several small ones at
once on one device, under vmap.

Order of a resume:
1. refuse a run longer than the text, and a folder of another config (layout, checkpoints and spike_nats may change);
2. clear away checkpoints that a killed writer left unfinished; restore the newest one that can be read onto this mesh,
   whatever devices wrote it, moving damaged ones aside; refuse other text than it was trained on;
3. cut metrics.jsonl back to the step of that checkpoint;
4. ask the feed for the batches after it. They are a function of (seed, step), so the resumed run is the uninterrupted
   one: bitwise on as many devices of the same kind, else up to rounding. Runs trained together go on together, from a
   step that all of them have saved: which runs share a program has to be the same for the same bits.

A checkpoint of step s is written only when the losses of all steps up to s are read and in order.

FOLDER/config.json        the RunConfig
FOLDER/tokens.json        what the tokens were made with: fingerprint, name, size, end-of-document id
FOLDER/metrics.jsonl      a line per dispatch; FOLDER/tensorboard/ the same; FOLDER/profile/ a trace, where asked for
FOLDER/checkpoints/STEP/  see checkpoint.py
FOLDER/result.json        once finished: tokens and FLOPs achieved, seconds, last loss
FOLDER may be in a bucket, gs://BUCKET/..., given as an etils.epath.Path; several hosts need one they all see.
"""

import contextlib
import dataclasses
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from t2jax import costs
from t2jax.chips import chip_of
from t2jax.config import claim, write_json
from t2jax.data.feed import Feed
from t2jax.data.rows import RowFeed
from t2jax.training.checkpoint import CheckpointFolder, everywhere
from t2jax.training.jobs import Job, Steps, begin, join, split, unrated
from t2jax.training.metrics import Dispatch, Facts, Metrics, Profile, Watch
from t2jax.training.recipe import make_schedule, multiplier
from t2jax.training.runs import CONFIG, RESULT, VOCABULARY, RunConfig, state_shapes
from t2jax.training.step import TrainState
from t2jax.training.stopping import Stopped, StopRequests

MAY_CHANGE = ('layout', 'checkpoints', 'spike_nats')  # on resume


def train(
    run: RunConfig,
    feed: Feed | RowFeed,
    folder: epath.PathLike,
    mesh: Mesh,
    progress: Callable[[float], None] = lambda flops: None,
    should_stop: Callable[[], bool] = lambda: False,
    watch: Watch | None = None,
) -> TrainState:
    """Train a run to its end and return its state; progress is told the FLOPs, 6 N D, of each dispatch.

    Of several hosts each calls it, with the same arguments and a mesh over all their devices; they are stopped by
    signals: should_stop is for one process.

    Raises Stopped when asked to stop, after saving; FloatingPointError naming the steps when the loss is no longer
    finite or leaps, but for a run that starts from another's params: one of many rates may diverge; ValueError for a
    folder of another config, no readable checkpoint, or too little text; OSError where nothing can be written.
    """
    return train_jobs([Job(run, feed, folder)], mesh, progress, should_stop, watch)[0]


def train_jobs(
    jobs: Sequence[Job],
    mesh: Mesh,
    progress: Callable[[float], None] = lambda flops: None,
    should_stop: Callable[[], bool] = lambda: False,
    watch: Watch | None = None,
) -> list[TrainState]:
    """Train one run, as `train` does, or several of one model on one device, and return their states.

    Runs that are trained together have the same steps, batches of one shape, and recipes that differ in the learning
    rate alone. Raises what `train` does, and ValueError for runs that cannot be trained together.
    """
    _check_alike(jobs, mesh)
    members, first = [_Member(job, mesh, watch or Watch()) for job in jobs], jobs[0].run
    flops = sum(job.run.train_flops for job in jobs) / first.steps
    with StopRequests(should_stop) as stop, contextlib.ExitStack() as opened:
        step, state = _resume(members, mesh, opened)
        progress(flops * step)
        profile, queue = Profile(members[0].folder, members[0].watch), Steps(jobs, mesh)
        for member in members:
            member.record(step, opened)
        while step < first.steps and stop.code is None:
            with contextlib.closing(queue.blocks(step)) as blocks:
                for block in blocks:
                    if stop.reached():
                        break
                    profile.before(step, state)
                    state, losses, norms = queue(state, block)
                    dispatch = Dispatch(step, step + len(block[0]), losses, norms)
                    done = [member.metrics.add(part) for member, part in zip(members, _parts(dispatch, len(jobs)))]
                    step = dispatch.stop
                    progress(flops * done[0])
            found = queue.validate(state, step)
            done = [member.metrics.settle(**row) for member, row in zip(members, found)]
            progress(flops * done[0])
            if step and (stop.code is not None or first.checkpoints.is_due(step, first.steps)):
                _save(members, step, state)
            for member in members:
                member.metrics.flush()
        profile.end(state)
    if step < first.steps:
        saved_it = ' and saved it' if step else ''
        others = f' and {len(jobs) - 1} more' if jobs[1:] else ''
        raise Stopped(f'run {first.name}{others} stopped at step {step} of {first.steps}{saved_it}', stop.code)
    for member in members:
        _by_first_host(lambda member=member: write_json(member.folder / RESULT, _result(member.run, member.metrics)))
    return split(state, len(jobs))


class _Member:
    """One of the runs under way, and its folder: every host has all of it, the first one writes."""

    saved: CheckpointFolder
    metrics: Metrics

    def __init__(self, job: Job, mesh: Mesh, watch: Watch) -> None:
        """Claim the folder; refuses a run longer than its text before its first step."""
        self.job, self.run, self.watch, self._mesh = job, job.run, watch, mesh
        self.folder = epath.Path(job.folder)
        job.feed.batches(job.run.steps, 0)
        _by_first_host(lambda: claim(self.folder / CONFIG, job.run, free=MAY_CHANGE))
        _by_first_host(self._note_vocabulary)
        if not everywhere((self.folder / CONFIG).exists()):
            raise ValueError(
                f'not every host sees {self.folder}; several hosts need one folder, as in a bucket gs://...'
            )
        self.position = _Position(job.run, job.feed, mesh)

    def _note_vocabulary(self) -> None:
        path = self.folder / VOCABULARY
        if self.job.feed.vocabulary and not path.exists():
            write_json(path, self.job.feed.vocabulary)

    def restore(self, opened: contextlib.ExitStack) -> tuple[int, TrainState] | None:
        """Open the checkpoints, and read the newest."""
        self.saved = opened.enter_context(CheckpointFolder(self.folder / 'checkpoints', self.run.checkpoints))
        found = self.saved.restore_latest(lambda: state_shapes(self.run, self._mesh))
        return None if found is None else (self.position.check(found[1]), found[0])

    def record(self, step: int, opened: contextlib.ExitStack) -> None:
        """Take up metrics.jsonl."""
        self.metrics = opened.enter_context(Metrics(self.folder, step, _facts(self.run, self._mesh), self.watch))


def _check_alike(jobs: Sequence[Job], mesh: Mesh) -> None:
    if jax.process_count() > 1 and any(isinstance(job.feed, RowFeed) for job in jobs):
        raise ValueError('rows are trained on by one process; several hosts train on text')
    if not jobs[1:]:
        return
    if mesh.size > 1 or jax.process_count() > 1:
        raise ValueError(f'{len(jobs)} runs are to be trained together on {mesh.size} devices; give each run a mesh')
    looks = lambda job: job.validation and job.validation.steps
    run = lambda job: dataclasses.replace(job.run, name='', seed=0, recipe=unrated(job.run.recipe), start=None)
    shape = lambda job: (run(job), looks(job))
    odd = next((job.run.name for job in jobs if shape(job) != shape(jobs[0])), None)
    if odd:
        raise ValueError(
            f'runs {jobs[0].run.name} and {odd} cannot be trained together; they may differ in their texts, '
            'starts and learning rates alone'
        )


def _resume(members: Sequence[_Member], mesh: Mesh, opened: contextlib.ExitStack) -> tuple[int, TrainState]:
    """Go on from where all of the runs are, if that is one step, else from the first."""
    found = [member.restore(opened) for member in members]
    steps = {one[0] if one else 0 for one in found}
    if len(steps) == 1 and all(found):
        return steps.pop(), join([one[1] for one in found])
    return 0, join([begin(member.job, mesh) for member in members])


def _save(members: Sequence[_Member], step: int, state: TrainState) -> None:
    """Save one in the background, several one after another: each writer has a dozen threads."""
    for member, part in zip(members, split(state, len(members))):
        member.saved.save(step, part, member.position.at(step))
        if members[1:]:
            member.saved.wait()


def _parts(dispatch: Dispatch, count: int) -> list[Dispatch]:
    if count == 1:
        return [dispatch]
    return [dispatch._replace(losses=dispatch.losses[i], norms=dispatch.norms[i]) for i in range(count)]


class _Position:
    """Where in its text a run is, as checkpoints record it."""

    def __init__(self, run: RunConfig, feed: Feed | RowFeed, mesh: Mesh) -> None:
        self._run, self._epoch_steps = run, max(1, feed.steps // feed.epochs)
        rows = feed.batches(0, feed.steps) if isinstance(feed, RowFeed) else feed.read(0, slice(0, 1))
        text = zlib.crc32(rows.astype(np.uint32).tobytes())  # changes with seed, order and ids
        devices = f'{mesh.size} x {mesh.devices.flat[0].device_kind}'
        self._same = {'text': text, 'layout': dataclasses.asdict(run.layout), 'devices': devices}

    def at(self, step: int) -> dict[str, Any]:
        place = {'step': step, 'tokens': step * self._run.recipe.batch_tokens, 'epoch': step // self._epoch_steps}
        return place | self._same

    def check(self, saved: dict[str, Any]) -> int:
        """Return the step to go on from; raises ValueError if the run was trained on other text."""
        if saved['text'] != self._same['text']:
            raise ValueError(
                f'run {self._run.name} was trained on other text than it is given now, or in another order; '
                'give it the token shards it began with, or another folder'
            )
        return saved['step']


def _facts(run: RunConfig, mesh: Mesh) -> Facts:
    schedule = make_schedule(run.recipe, run.model, run.tokens)
    rate = lambda step: float(schedule.peak_rate * multiplier(schedule, step))
    chip = chip_of(mesh.devices.flat[0].device_kind)
    peak = chip.flops * mesh.size if chip else None
    return Facts(run.name, run.recipe.batch_tokens, run.step_flops, peak, rate, run.spike_nats, run.start is not None)


def _result(run: RunConfig, metrics: Metrics) -> dict[str, Any]:
    return {
        'run': run.name,
        'params': costs.count_params(run.model),
        'steps': run.steps,
        'tokens': run.steps * run.recipe.batch_tokens,
        'train_flops': run.train_flops,
        'executed_flops': run.steps * run.step_flops,
        'seconds': round(metrics.seconds, 3),  # of the dispatches that count: not of starts, nor of steps done twice
        'loss': metrics.loss,
    }


def _by_first_host(write: Callable[[], None]) -> None:
    """Let one host write, and all go on or give up together."""
    error = None
    if jax.process_index() == 0:
        try:
            write()
        except (ValueError, OSError) as failed:
            error = failed
        except Exception as failed:  # what a bucket's library raises is not documented
            error = OSError(f"the run's folder cannot be written ({' '.join(str(failed).split())[:200]})")
    if jax.process_count() > 1 and multihost_utils.broadcast_one_to_all(np.bool_(error is not None)) and not error:
        raise ValueError('the first host gave up; its own message says why')
    if error:
        raise error
