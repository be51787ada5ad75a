"""How fast answers are scored on a CPU: questions a second against transformers, same weights, same questions.

    pip install '.[test]'
    OMP_WAIT_POLICY=passive python experiments/scoring_speed.py --questions ../shared/data/tasks/arc_easy_test.jsonl

The ladder's 5M, 37M and 149M with the paper's 50,432 words, float32; questions of a task in the paper's format (made
up where no file is given). t2jax runs `evaluation.likelihood.answer_nll`; transformers runs the same weights as
OlmoForCausalLM (olmo.py) as lm-evaluation-harness does: requests sorted by length, padded, log-softmax everywhere.
"its tail" is that with logits of the last positions only, from the first on that an answer of the batch needs.
Contestants take turns, the median of three rounds counts, and every NLL has to agree within 1e-3 nats, or it stops.

Two CPU cores of a shared virtual machine, 2026-11-25, jax 0.10.2, torch 2.13.0, transformers 5.24.0, ARC-Easy,
questions a second:

    5M     t2jax 1,356.6   transformers 149.8   its tail 428.9   t2jax is 9.06 x transformers, 3.16 x its tail
    37M    t2jax   107.9   transformers  41.3   its tail  62.3   t2jax is 2.61 x transformers, 1.73 x its tail
    149M   t2jax    19.4   transformers  13.9   its tail  16.6   t2jax is 1.40 x transformers, 1.17 x its tail

At 149M the layers are three quarters of the work, and both run them at the speed of their products.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
import torch
import torch.nn.functional as F
from olmo import to_olmo
from transformers import OlmoForCausalLM

from t2jax.data.tokenizers import train_vocabulary
from t2jax.evaluation.likelihood import answer_nll
from t2jax.evaluation.questions import find_questions
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.tasks.boundaries import EncodedQuestions, encode_questions
from t2jax.tasks.catalogue import TASKS
from t2jax.tasks.questions import Question

VOCAB = 50_432
SHAPES = {'5M': (96, 3, 600), '37M': (384, 10, 200), '149M': (704, 18, 96)}  # width, depth, questions
PEER_ROWS = (8, 32)  # of a forward pass; the better one counts
ROUNDS = 3


def read_questions(path: Path) -> list[Question]:
    """Read a task's rows in the paper's format; raises ValueError for a file of no known task."""
    known = [name for name in TASKS if path.name.startswith(name)]
    if not known:
        raise ValueError(f'{path} begins with no known task; use one of {", ".join(TASKS)}')
    return find_questions(f'{known[0]}:{path}').questions


def encode(questions: list[Question], count: int) -> EncodedQuestions:
    """Encode `count` questions, drawn at random, by a vocabulary trained on all of them."""
    with tempfile.TemporaryDirectory() as folder:
        texts = (question.prompt + question.answer for question in questions)
        vocabulary = train_vocabulary(texts, VOCAB, Path(folder) / 'tokenizer.json', quiet=True)
    drawn = [questions[i] for i in np.random.default_rng(0).permutation(len(questions))[:count]]
    return encode_questions(drawn, vocabulary, vocabulary.end_id)


def make_up(count: int) -> EncodedQuestions:
    """Draw questions about as long as ARC-Easy's: prompts of 10 to 200 tokens, answers of 1 to 20."""
    rng = np.random.default_rng(0)
    spread = lambda median, least, most: np.clip(np.exp(rng.normal(np.log(median), 0.5, count)), least, most)
    prompt_lengths, answer_lengths = spread(25, 10, 200).astype(np.int32), spread(4, 1, 20).astype(np.int32)
    ids = lambda lengths: rng.integers(0, VOCAB, (count, lengths.max()), dtype=np.int32)
    parts = ids(prompt_lengths), prompt_lengths, ids(answer_lengths), answer_lengths
    return EncodedQuestions(*parts, straddling=np.zeros(count, bool))


def peer_nll(olmo: OlmoForCausalLM, requests: list[tuple[np.ndarray, np.ndarray]], rows: int, tail: bool) -> np.ndarray:
    """Score (prompt, answer) requests as lm-evaluation-harness does: sorted, longest first, `rows` to a forward pass.

    tail: logits only from the first position on that some answer of the batch needs.
    """
    nll = np.zeros(len(requests))
    order = sorted(range(len(requests)), key=lambda i: -sum(map(len, requests[i])))
    for start in range(0, len(order), rows):
        batch = order[start : start + rows]
        inputs = [torch.from_numpy(np.concatenate(requests[i])[:-1]) for i in batch]
        padded = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True)
        first = min(len(requests[i][0]) - 1 for i in batch) if tail else 0
        with torch.inference_mode():
            logits = olmo(padded, use_cache=False, logits_to_keep=padded.shape[1] - first).logits
            log_p = F.log_softmax(logits, dim=-1)
            for i, row in zip(batch, log_p):
                prompt, answer = requests[i]
                at = len(prompt) - 1 - first
                targets = torch.from_numpy(answer)[:, None]
                nll[i] = -row[at : at + len(answer)].gather(1, targets).double().sum().item()
    return nll


Contestant = Callable[[], np.ndarray]


def timed(score: Contestant) -> tuple[float, np.ndarray]:
    """Return the seconds that scoring takes, and its result."""
    began = time.perf_counter()
    nll = score()
    return time.perf_counter() - began, nll


def compare(model: ModelConfig, questions: EncodedQuestions) -> tuple[dict[str, float], str]:
    """Let all score the questions in turn; returns the median seconds of each, and remarks.

    Raises SystemExit if an answer's NLL differs by 1e-3 nats.
    """
    params = transformer.init_params(model, jax.random.key(0))
    olmo, columns = to_olmo(model, params), zip(*map(list, [*vars(questions).values()][:4]))
    requests = [(p[:n].astype(np.int64), a[:m].astype(np.int64)) for p, n, a, m in columns]
    score = {'t2jax': partial(answer_nll, model, params, questions)}
    first, ours = timed(score['t2jax'])
    remarks = [f't2jax with compilation {first:.1f} s']
    for name, tail in (('transformers', False), ('its tail', True)):
        trials = {rows: timed(partial(peer_nll, olmo, requests, rows, tail)) for rows in PEER_ROWS}
        rows = min(trials, key=lambda rows: trials[rows][0])
        gap = max(np.abs(nll - ours).max() for _, nll in trials.values())
        if not gap < 1e-3:
            raise SystemExit(f'an NLL of {name} and t2jax differs by {gap:.1e} nats; they must score the same model')
        remarks.append(f'{name} {rows} rows, gap {gap:.0e}')
        score[name] = partial(peer_nll, olmo, requests, rows, tail)
    rounds = [{name: timed(run)[0] for name, run in score.items()} for _ in range(ROUNDS)]
    return {name: float(np.median([seconds[name] for seconds in rounds])) for name in score}, ', '.join(remarks)


def main() -> None:
    """Print questions a second of each contestant and t2jax's ratio to both peers, by size."""
    parser = argparse.ArgumentParser(description='scoring speed against transformers')
    parser.add_argument('--questions', type=Path, help='JSON lines of a task; made up where not given')
    path = parser.parse_args().questions
    read = read_questions(path) if path else None
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    for label, (width, depth, count) in SHAPES.items():
        questions = encode(read, count) if read else make_up(count)
        model = ModelConfig(VOCAB, width, depth, qk_norm=False)
        seconds, remarks = compare(model, questions)
        rates = '   '.join(f'{name} {count / s:7.1f}' for name, s in seconds.items())
        ratios = ', '.join(f'{s / seconds["t2jax"]:.2f} x {name}' for name, s in seconds.items() if name != 't2jax')
        print(f'{label:4} questions/s: {rates}   t2jax is {ratios}   ({remarks})', flush=True)


if __name__ == '__main__':
    main()
