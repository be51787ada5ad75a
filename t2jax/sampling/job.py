"""A sampling job: thousands of samples of every question of a task, from a checkpoint into files, resumable.

FOLDER/job.json    the Job; a folder belongs to one
FOLDER/samples/    see store.py

What there is to draw is cut into files by the config alone (`work.cut`). Each host draws every so-manieth file on its
own devices; hosts meet only between the rounds of an adaptive plan. Draws are keyed by (seed, task, question, sample,
position), so files are the same whatever devices, hosts, memory or interruptions there were.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.sharding import Mesh

from t2jax.config import claim
from t2jax.laws.sequential import Plan
from t2jax.models.config import ModelConfig
from t2jax.models.transformer import Params
from t2jax.sampling import store, work
from t2jax.sampling.choice import Rule
from t2jax.sampling.sampler import Rows, compiled_sample_rows
from t2jax.sampling.stops import ON_TOKEN, REASONS, Stops
from t2jax.tasks.graders import GRADERS, begins_with
from t2jax.tasks.questions import Question

Progress = Callable[[int, int, bool], None]


@dataclass(frozen=True)
class Sampling:
    """How samples are drawn."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: off
    seed: int = 0
    stop_tokens: tuple[int, ...] = ()
    stop_strings: tuple[str, ...] = ()
    cache_dtype: str = ''  # '': what the model computes in; bfloat16 halves the cache

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float('inf'):
            raise ValueError(f'temperature is {self.temperature:g}; use 0 (the likeliest token) or more')
        if not 0 < self.top_p <= 1:
            raise ValueError(f'top-p is {self.top_p:g}; use a share above 0 and at most 1 (1: off)')
        if self.top_k < 0:
            raise ValueError(f'top-k is {self.top_k}; use a number of tokens, or 0 to leave it off')
        if self.max_tokens < 1:
            raise ValueError(f'max-tokens is {self.max_tokens}; a sample needs at least 1')
        if self.cache_dtype not in ('', 'float32', 'bfloat16'):
            raise ValueError(f'cache-dtype is {self.cache_dtype!r}; use float32 or bfloat16')

    @property
    def is_plain(self) -> bool:
        """Tell whether samples are drawn from the model's own distribution."""
        return self.temperature == 1 and self.top_p == 1 and self.top_k == 0

    @property
    def rule(self) -> Rule:
        """Return temperature, top-p and top-k as the sampler takes them."""
        return Rule(np.float32(self.temperature), np.float32(self.top_p), np.int32(self.top_k))

    @property
    def stops(self) -> Stops:
        """Return what ends a sample."""
        return Stops(self.stop_tokens, tuple(string.encode() for string in self.stop_strings))


@dataclass(frozen=True)
class Job:
    """Everything that decides the samples, and what they are called."""

    run: str
    step: int
    weights: int  # sum of the checkpoint's bits
    params: int  # N
    tokens: float  # D
    task: str
    questions: str  # fingerprint of the questions
    vocabulary: str  # fingerprint of the tokenizer
    grader: str
    sampling: Sampling
    plan: Plan

    @property
    def row_samples(self) -> int:
        """Samples of a row."""
        return min(work.ROW_SAMPLES, self.plan.first)

    def root(self) -> jax.Array:
        """Return the random key of the task."""
        return jax.random.fold_in(jax.random.key(self.sampling.seed), zlib.crc32(self.task.encode()))


@dataclass(frozen=True)
class Material:
    """What a job samples from: the model, and the questions in text and tokens."""

    model: ModelConfig
    params: Params  # on every device of the mesh
    mesh: Mesh  # of this host's devices
    questions: Sequence[Question]
    prompts: Sequence[np.ndarray]  # ids
    answers: Sequence[np.ndarray]
    spelling: Sequence[bytes]  # of every token


@dataclass
class Counts:
    """Samples of each question, and the right ones; slots x decoding steps of this call, and those with a sample."""

    drawn: np.ndarray
    right: np.ndarray
    steps: int = 0
    busy: int = 0


@dataclass(frozen=True)
class Host:
    """Which of several hosts this is, and how they wait for each other."""

    index: int = 0
    count: int = 1
    meet: Callable[[], Any] = lambda: None


ALONE = Host()


def run(
    job: Job,
    material: Material,
    folder: epath.PathLike,
    memory: float,
    progress: Progress = lambda samples, total, resumed: None,
    host: Host = ALONE,
) -> Counts:
    """Draw what is missing, and return the counts.

    progress(samples, total, resumed) is told of samples done, now or, resumed, before, and of all known to be wanted.
    memory: bytes of each device to use. Raises ValueError for a folder of another job, OSError where it cannot write.
    """
    folder = epath.Path(folder)
    number, lengths = len(material.questions), [len(prompt) for prompt in material.prompts]
    first = work.cut(0, 0, job.plan.first, range(number), lengths, job.row_samples)
    tiles = fit_tiles(job, material, first, memory)  # refuses too little memory before anything is written
    if host.index == 0:
        claim(folder / 'job.json', job)
    host.meet()
    counts = Counts(*np.zeros((2, number), int))
    wanted, before, total = np.arange(number), 0, 0
    for round, size in enumerate(job.plan.sizes()):
        files = work.cut(round, before, size, wanted.tolist(), lengths, job.row_samples)
        mine = files[host.index :: host.count]
        absent = store.missing(folder, mine)
        samples = sum(row.count for file in mine for row in file.rows)
        total += samples
        progress(samples - sum(row.count for file in absent for row in file.rows), total, True)
        for file in _draw_files(job, material, folder, absent, tiles, counts):
            progress(sum(row.count for row in file.rows), total, False)
        host.meet()
        store.count_right(folder, files, counts.drawn, counts.right)
        wanted = np.flatnonzero(job.plan.wants_more(counts.drawn, counts.right))
        if not len(wanted):
            break
        widths = job.plan.band_width(counts.drawn[wanted], counts.right[wanted])
        wanted, before = wanted[np.argsort(-widths, kind='stable')], size  # the most uncertain first
    return counts


class Drawn(NamedTuple):
    """The samples of one row, as `sampler.Samples`, without the axis of rows and without those not asked for."""

    tokens: np.ndarray
    lengths: np.ndarray
    ends: np.ndarray
    log_probs: np.ndarray
    model_log_probs: np.ndarray
    steps: int
    busy: int


def fit_tiles(job: Job, material: Material, files: Sequence[work.File], memory: float) -> dict[int, work.Tile]:
    """Choose a tile for each width of prompts.

    From all files of the first round: so those drawn after a kill, and in later rounds, are drawn by the same programs.
    """
    model, sampling, devices = material.model, job.sampling, material.mesh.devices
    platform, tiles = devices.flat[0].platform, {}
    for width in {file.width for file in files}:
        rows = sum(len(file.rows) for file in files if file.width == width)
        tiles[width] = work.fit_tile(
            model,
            width,
            sampling.max_tokens,
            job.row_samples,
            -(-rows // devices.size),
            memory,
            platform,
            sampling.cache_dtype,
        )
    return tiles


def _draw_files(
    job: Job,
    material: Material,
    folder: epath.PathLike,
    files: Sequence[work.File],
    tiles: Mapping[int, work.Tile],
    counts: Counts,
) -> Iterator[work.File]:
    """Draw and write files; yield each when it is written."""
    for width, same in groupby(files, key=lambda file: file.width):
        same = list(same)
        drawn = draw_rows(job, material, width, [row for file in same for row in file.rows], tiles[width])
        for file in same:
            of_file = list(islice(drawn, len(file.rows)))
            counts.steps += sum(row.steps for row in of_file)
            counts.busy += sum(row.busy for row in of_file)
            _write(job, material, folder, file, of_file)
            yield file


def draw_rows(job: Job, material: Material, width: int, rows: Sequence[work.Row], tile: work.Tile) -> Iterator[Drawn]:
    """Draw rows, a tile of them on every device at a time, and yield them in order.

    The devices are at the next ones while the caller works on these. width: that prompts are padded to.
    """
    sampling, model, devices = job.sampling, material.model, material.mesh.devices
    stops, root = jnp.array(sampling.stops.table(model.vocab, material.spelling)), job.root()

    def submit(some: Sequence[work.Row]) -> Any:
        prompts = np.zeros((tile.rows * devices.size, width), np.int32)
        lengths = np.ones(len(prompts), np.int32)
        what = np.zeros((3, len(prompts)), np.int32)  # rows beyond the last ask for no sample
        for i, row in enumerate(some):
            prompt = material.prompts[row.question]
            prompts[i, : len(prompt)], lengths[i], what[:, i] = prompt, len(prompt), row
        return compiled_sample_rows(
            material.params,
            prompts,
            lengths,
            Rows(*what),
            root,
            sampling.rule,
            stops,
            model=model,
            mesh=material.mesh,
            samples=job.row_samples,
            slots=tile.slots,
            max_tokens=sampling.max_tokens,
            cache_dtype=sampling.cache_dtype or None,
        )

    at_once, ahead = tile.rows * devices.size, None
    for start in range(0, len(rows) + at_once, at_once):
        some = rows[start : start + at_once]
        submitted = (some, submit(some)) if some else None
        if ahead:
            yield from _split(*ahead)
        ahead = submitted


def _split(rows: Sequence[work.Row], samples: Any) -> Iterator[Drawn]:
    *each, steps, busy = jax.device_get(samples)
    for i, row in enumerate(rows):
        yield Drawn(*(part[i, : row.count] for part in each), int(steps[i]), int(busy[i]))


def _write(job: Job, material: Material, folder: epath.PathLike, file: work.File, drawn: Sequence[Drawn]) -> None:
    """Grade a file's samples and write them."""
    columns: dict[str, list] = {name: [] for name in store.COLUMNS}
    right = []
    for row, samples in zip(file.rows, drawn, strict=True):
        question, texts = material.questions[row.question], read_texts(samples, job.sampling.stops, material.spelling)
        if job.grader == 'exact':  # the tokens decide: their chance is the likelihood's
            verdicts = begins_with(samples.tokens, samples.lengths, material.answers[row.question])
            answers = [question.answer if right else text for right, text in zip(verdicts, texts)]
        else:
            verdicts, answers = zip(*GRADERS[job.grader].grade(question, texts))
        columns['question'] += [question.id] * row.count
        columns['sample'] += range(row.first, row.first + row.count)
        columns['tokens'] += [tokens[:n] for tokens, n in zip(samples.tokens, samples.lengths)]
        columns['text'] += texts
        columns['stopped'] += [REASONS[end] for end in samples.ends.tolist()]
        columns['log_prob'] += samples.log_probs.tolist()
        columns['model_log_prob'] += samples.model_log_probs.tolist()
        columns['answer'] += answers
        columns['right'] += map(bool, verdicts)
        right.append(int(sum(verdicts)))
    store.write_file(folder, file, columns, right)


def read_texts(samples: Drawn, stops: Stops, spelling: Sequence[bytes]) -> list[str]:
    """Turn samples into text, without the stop token or string that ended them."""
    texts = []
    for tokens, length, end in zip(samples.tokens.tolist(), samples.lengths.tolist(), samples.ends.tolist()):
        read = tokens[: length - (end == ON_TOKEN)]
        text = stops.cut(b''.join(spelling[token] for token in read))
        texts.append(text.decode('utf-8', errors='replace'))
    return texts
