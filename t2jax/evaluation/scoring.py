"""Score a trained model on a task: the likelihood of every answer, `t2jax score`.

FOLDER/<model>/<task>.csv          once finished, a row a question (schema: laws/questions.py): nll, summed over the
                                   answer's tokens, in nats; n_tokens of them; n_bytes of its text in UTF-8; greedy,
                                   whether every token is the likeliest
FOLDER/<model>/about/<task>.json   what was scored: model, weights, questions, tokenizer, where texts begin
FOLDER/<model>/about/<task>.part   until it is finished, what is scored; an interrupted job goes on from there

Batches are the same however often a job is interrupted, and so is every byte of the result. One device computes; of
several hosts each does, so that none waits long for another, and the first one writes.
"""

import csv
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from etils import epath

from t2jax import costs, distributed
from t2jax.config import claim, write_text
from t2jax.evaluation.likelihood import join, score_batches
from t2jax.evaluation.questions import Found
from t2jax.evaluation.vocabularies import Vocabulary, bos_of
from t2jax.mesh import make_mesh, to_local
from t2jax.tasks.boundaries import EncodedQuestions, encode_questions
from t2jax.tasks.questions import Question
from t2jax.training import checkpoint
from t2jax.training.trained import Trained

Progress = Callable[[int, int, bool], None]  # questions, of how many, whether an earlier call scored them
Scored = tuple[float, bool]  # nll, greedy
SAVE_SECONDS = 2.0


@dataclass(frozen=True)
class Scoring:
    """What a file of scores belongs to."""

    run: str
    step: int
    weights: int
    task: str
    questions: str
    vocabulary: str
    bos: str | None  # token before every prompt
    boundary: str  # how answers are told from prompts
    straddling: int  # questions whose answer's first token begins in the prompt


BOUNDARY = 'prompt + answer tokenized together, split by characters'


def score(
    trained: Trained,
    found: Found,
    vocabulary: Vocabulary,
    folder: epath.PathLike,
    progress: Progress = lambda questions, total, resumed: None,
) -> dict[str, Any]:
    """Score a task's questions, or what is missing of them, and write the file; return a summary of it.

    Of several hosts all call it; the first returns the summary, the others an empty one. Raises ValueError or OSError,
    one sentence each, for what cannot be scored and for a file of something else.
    """
    if trained.tokens is None:
        raise ValueError(f'{trained.folder} does not say how many tokens it was trained on; convert it with --tokens')
    several, first = jax.process_count() > 1, distributed.is_first()
    bos, spelled = bos_of(trained, vocabulary)
    encoded = encode_fitting(found.questions, found.where, vocabulary, bos, trained.context)
    one_device = make_mesh(jax.local_devices()[:1])
    params = to_local(trained.load(make_mesh(jax.devices())), one_device) if several else trained.load(one_device)
    base = epath.Path(folder) / trained.name
    about = Scoring(
        run=trained.name,
        step=trained.step,
        weights=checkpoint.sum_bits(params),
        task=found.task,
        questions=hashlib.sha256(json.dumps([list(vars(q).values()) for q in found.questions]).encode()).hexdigest(),
        vocabulary=vocabulary.fingerprint,
        bos=spelled,
        boundary=BOUNDARY,
        straddling=int(encoded.straddling.sum()),
    )
    if first:
        claim(base / 'about' / f'{found.task}.json', about)
    path, part = base / f'{found.task}.csv', base / 'about' / f'{found.task}.part'
    if not path.exists():
        scores = _score(trained, params, encoded, part, first, progress)
        odd = [question.id for i, question in enumerate(found.questions) if not math.isfinite(scores[i][0])]
        if odd:
            if first:
                part.unlink(missing_ok=True)
            raise ValueError(
                f'{trained.folder} gives {odd[0]!r} of {found.task} no finite likelihood; its weights are broken'
            )
        if first:
            write_text(path, _table(trained, found, encoded, scores))
    if not first:
        return {}
    part.unlink(missing_ok=True)
    return _summarize(path, about)


def encode_fitting(
    questions: Sequence[Question], where: str, vocabulary: Vocabulary, bos: int | None, context: int
) -> EncodedQuestions:
    """Encode questions; raises ValueError for one that takes more tokens than a model's context, saying where it is."""
    try:
        encoded = encode_questions(questions, vocabulary, bos)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None
    lengths = encoded.prompt_lengths + encoded.answer_lengths
    longest = int(lengths.argmax())
    if lengths[longest] - 1 > context:
        raise ValueError(
            f'{where}: question {questions[longest].id!r} takes {lengths[longest]} tokens, '
            f'{encoded.answer_lengths[longest]} of them its answer, and the model was trained on {context} at once; '
            'leave it out'
        )
    return encoded


def _score(
    trained: Trained, params: Any, encoded: EncodedQuestions, part: epath.Path, writes: bool, progress: Progress
) -> dict[int, Scored]:
    """Score in batches, and note what is scored every few seconds."""
    total, saved = len(encoded.prompts), time.monotonic()
    scores = _read_part(part, total)
    progress(len(scores), total, True)
    for rows, batch in score_batches(trained.model, params, *join(encoded), done=scores):
        new = dict(zip(rows, zip(batch.nll_B.tolist(), batch.greedy_B.tolist())))
        progress(len(new.keys() - scores.keys()), total, False)
        scores |= new
        if writes and time.monotonic() > saved + SAVE_SECONDS:
            write_text(part, ''.join(f'{row},{nll!r},{greedy:d}\n' for row, (nll, greedy) in scores.items()))
            saved = time.monotonic()
    return scores


def _read_part(part: epath.Path, total: int) -> dict[int, Scored]:
    """Read what an interrupted job has scored; raises ValueError for a damaged file."""
    lines = part.read_text(encoding='utf-8').splitlines() if part.exists() else []
    try:
        cells = [line.split(',') for line in lines]
        scores = {int(row): (float(nll), greedy == '1') for row, nll, greedy in cells}
        if not set(scores) <= set(range(total)):
            raise ValueError('it has other questions')
    except ValueError as error:
        raise ValueError(f'{part} is damaged ({error}); delete it and score again') from None
    return scores


def _table(trained: Trained, found: Found, encoded: EncodedQuestions, scores: dict[int, Scored]) -> str:
    out = io.StringIO()
    write = csv.writer(out, lineterminator='\n')
    write.writerow(['run', 'params', 'tokens', 'task', 'question', 'nll', 'n_tokens', 'n_bytes', 'greedy'])
    about = trained.name, costs.count_params(trained.model), f'{trained.tokens:.0f}', found.task
    for i, question in enumerate(found.questions):
        nll, greedy = scores[i]
        size = encoded.answer_lengths[i], len(question.answer.encode())
        write.writerow([*about, question.id, repr(nll), *size, int(greedy)])
    return out.getvalue()


def _summarize(path: epath.Path, about: Scoring) -> dict[str, Any]:
    """Average a finished file: nll, pass@1, nats a token and a byte, share of greedy answers."""
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding='utf-8'))))
    nll, tokens, size, greedy = (
        np.array([float(row[name]) for row in rows]) for name in ('nll', 'n_tokens', 'n_bytes', 'greedy')
    )
    return {
        'run': about.run,
        'task': about.task,
        'questions': len(rows),
        'nll': float(nll.mean()),
        'pass_at_1': float(np.exp(-nll).mean()),
        'nats_per_token': float(nll.sum() / tokens.sum()),
        'bits_per_byte': float(nll.sum() / size.sum() / np.log(2)),
        'greedy': float(greedy.mean()),
        'straddling': about.straddling,
        'file': str(path),
    }
