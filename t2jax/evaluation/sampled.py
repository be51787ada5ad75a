"""Sample a trained run on a task: `t2jax sample`.

FOLDER/job.json, samples/   see sampling/job.py
FOLDER/counts.csv           once finished, a row a question (schema: laws/questions.py) of n_samples, n_correct and,
                            where exact matches are counted, nll, the answer's likelihood under the same checkpoint
FOLDER/result.json          how many there are, and how many are right
"""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils

from t2jax import costs
from t2jax.config import from_dict, read_json, write_json, write_text
from t2jax.evaluation.likelihood import answer_nll
from t2jax.evaluation.questions import find_questions
from t2jax.evaluation.vocabularies import Vocabulary, bos_of, open_vocabulary
from t2jax.laws.sequential import Plan
from t2jax.mesh import make_mesh, to_local
from t2jax.sampling.job import ALONE, Host, Job, Material, Progress, Sampling, run
from t2jax.sampling.stops import ON_TOKEN
from t2jax.sampling.work import WIDTHS, usable_memory
from t2jax.tasks.boundaries import EncodedQuestions, encode_questions
from t2jax.tasks.graders import GRADERS
from t2jax.tasks.questions import Question
from t2jax.training import checkpoint
from t2jax.training.trained import Trained, open_trained

COUNTS, RESULT = 'counts.csv', 'result.json'


@dataclass(frozen=True)
class Request:
    """What to sample. For the task see `questions.find_questions`."""

    checkpoint: epath.Path  # folder of a run or of an imported model
    task: str
    plan: Plan
    step: int | None = None
    tokenizer: Path | None = None  # default: the model's own
    max_tokens: int | None = None  # default: of the longest answer
    sampling: Sampling = field(default_factory=lambda: Sampling(1))
    stop_tokens: Sequence[str] = ()  # default: what ends an answer of the study, or a document
    grader: str | None = None  # default: the task's
    memory: float | None = None  # bytes of each device


def sample(
    request: Request, folder: epath.PathLike, progress: Progress = lambda samples, total, resumed: None
) -> dict[str, Any]:
    """Draw a request's samples into a folder, or what is missing of them; return what result.json holds.

    And wasted_share: of this call's slots x decoding steps, the share without a sample.

    Raises ValueError or OSError, one sentence each, for what cannot be sampled and for a folder of another job.
    """
    trained = open_trained(request.checkpoint, request.step)
    job, material, encoded = _prepare(request, trained)
    index, count = jax.process_index(), jax.process_count()
    host = Host(index, count, partial(multihost_utils.sync_global_devices, 'samples')) if count > 1 else ALONE
    memory = usable_memory(material.mesh.devices.flat[0]) if request.memory is None else request.memory
    counts = run(job, material, folder, memory, progress, host)
    nll_Q = answer_nll(trained.model, material.params, encoded) if job.grader == 'exact' else None
    samples, right = int(counts.drawn.sum()), int(counts.right.sum())
    result = {'run': job.run, 'task': job.task, 'samples': samples, 'correct': right}
    if index == 0:
        write_text(epath.Path(folder) / COUNTS, _table(job, material.questions, counts.drawn, counts.right, nll_Q))
        write_json(epath.Path(folder) / RESULT, result)
    return result | {'wasted_share': 1 - counts.busy / counts.steps if counts.steps else 0.0}


def _prepare(request: Request, trained: Trained) -> tuple[Job, Material, EncodedQuestions]:
    """Check a request, load the params, and say what is to be drawn."""
    found = find_questions(request.task, trained.workdir)
    grader, questions = request.grader or found.grader, found.questions
    if grader not in GRADERS:
        raise ValueError(f'there is no grader {grader!r}; use {", ".join(GRADERS)}')
    if trained.tokens is None:
        raise ValueError(f'{trained.folder} does not say how many tokens it was trained on; convert it with --tokens')
    vocabulary = open_vocabulary(trained, request.tokenizer)
    try:
        for question in questions:
            GRADERS[grader].check(question)
        encoded = encode_questions(questions, vocabulary, bos_of(trained, vocabulary)[0], scored=grader == 'exact')
        _check_boundaries(questions, encoded, vocabulary)
        sampling = _sampling(request, grader, vocabulary, encoded, list(request.stop_tokens) or found.ends)
        _check_lengths(questions, encoded, sampling, trained.context)
        if grader == 'exact':
            _check_ends(questions, encoded, sampling, vocabulary)
    except ValueError as error:
        raise ValueError(f'{found.where}: {error}') from None
    mesh = make_mesh(jax.local_devices())
    params = to_local(trained.load(make_mesh(jax.devices())), mesh)
    ids = [part.tolist() for part in (encoded.prompts, encoded.prompt_lengths, encoded.answers, encoded.answer_lengths)]
    job = Job(
        run=trained.name,
        step=trained.step,
        weights=checkpoint.sum_bits(params),
        params=costs.count_params(trained.model),
        tokens=trained.tokens,
        task=found.task,
        questions=hashlib.sha256(json.dumps([[[q.id, q.answer] for q in questions], ids]).encode()).hexdigest(),
        vocabulary=vocabulary.fingerprint,
        grader=grader,
        sampling=sampling,
        plan=request.plan,
    )
    prompts = [ids[:n] for ids, n in zip(encoded.prompts, encoded.prompt_lengths)]
    answers = [ids[:n] for ids, n in zip(encoded.answers, encoded.answer_lengths)]
    spelling = vocabulary.spelling()
    spelling += [b''] * (trained.model.vocab - len(spelling))
    return job, Material(trained.model, params, mesh, questions, prompts, answers, spelling), encoded


def _check_boundaries(questions: Sequence[Question], encoded: EncodedQuestions, vocabulary: Vocabulary) -> None:
    """Refuse a prompt that is empty, or that is other tokens by itself than before its answer."""
    alone = vocabulary.encode_batch([question.prompt for question in questions])
    for question, ids, length, prompt in zip(questions, encoded.prompts, encoded.prompt_lengths, alone):
        if not question.prompt:
            raise ValueError(f'question {question.id!r} has an empty prompt; there is nothing to go on from')
        if ids[length - len(prompt) : length].tolist() != prompt.tolist():
            raise ValueError(
                f'question {question.id!r} has a token that reaches from its prompt into its answer; move what it '
                'spells to one side of the two'
            )


def _sampling(
    request: Request, grader: str, vocabulary: Vocabulary, encoded: EncodedQuestions, ends: Sequence[str]
) -> Sampling:
    longest = int(encoded.answer_lengths.max())
    if request.max_tokens is None and grader != 'exact':
        raise ValueError(f'how long a sample may be is not said; graded {grader}, samples need --max-tokens')
    most = longest if request.max_tokens is None else request.max_tokens
    ids = [vocabulary.id_of(token) for token in ends] if ends else [vocabulary.end_id]
    if None in ids:
        raise ValueError(f'stop token {ends[ids.index(None)]!r} is not in {vocabulary.name}; name one of its tokens')
    return replace(request.sampling, max_tokens=most, stop_tokens=tuple(ids))


def _check_lengths(questions: Sequence[Question], encoded: EncodedQuestions, sampling: Sampling, context: int) -> None:
    longest = int(encoded.prompt_lengths.argmax())
    prompt = int(encoded.prompt_lengths[longest])
    if prompt + sampling.max_tokens - 1 > min(context, WIDTHS[-1]):
        raise ValueError(
            f'question {questions[longest].id!r} has a prompt of {prompt} tokens, and with samples of up to '
            f'{sampling.max_tokens} that is longer than the context of {context} that the model was trained on; '
            'shorten the prompt or the samples'
        )


def _check_ends(
    questions: Sequence[Question], encoded: EncodedQuestions, sampling: Sampling, vocabulary: Vocabulary
) -> None:
    """Refuse an answer that no sample can be: one that is too long, or that something ends before its last token."""
    spelling = vocabulary.spelling() if sampling.stop_strings else None
    table = sampling.stops.table(max(len(vocabulary), int(encoded.answers.max()) + 1), spelling)
    for question, ids, length in zip(questions, encoded.answers, encoded.answer_lengths):
        state = 0
        for token in ids[: length - 1]:
            state = table[state, token]
            if state < 0:
                what = 'stop token' if state == ON_TOKEN else 'stop string'
                raise ValueError(f'question {question.id!r} has an answer with a {what} in it; no sample can equal it')
        if length > sampling.max_tokens:
            raise ValueError(
                f'question {question.id!r} has an answer of {length} tokens, and samples have at most '
                f'{sampling.max_tokens}; raise --max-tokens'
            )


def _table(
    job: Job, questions: Sequence[Question], drawn_Q: np.ndarray, right_Q: np.ndarray, nll_Q: np.ndarray | None
) -> str:
    out = io.StringIO()
    write = csv.writer(out, lineterminator='\n')
    columns = ['run', 'params', 'tokens', 'task', 'question', 'n_samples', 'n_correct']
    write.writerow(columns if nll_Q is None else [*columns, 'nll'])
    for i, question in enumerate(questions):
        row = [job.run, job.params, f'{job.tokens:.0f}', job.task, question.id, drawn_Q[i], right_Q[i]]
        write.writerow(row if nll_Q is None else [*row, repr(float(nll_Q[i]))])
    return out.getvalue()


def read_job(folder: epath.PathLike) -> Job:
    """Read what a folder's samples are; raises FileNotFoundError where there are none, or not all yet."""
    folder = epath.Path(folder)
    if not (folder / 'job.json').exists():
        raise FileNotFoundError(f'{folder} holds no samples; give the folder of a `t2jax sample`')
    if not (folder / COUNTS).exists():
        raise FileNotFoundError(f'{folder} is not finished: it has no {COUNTS}; the same `t2jax sample` goes on')
    return from_dict(Job, read_json(folder / 'job.json', 'sample again into another folder'), 'job.json')
