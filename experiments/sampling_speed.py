"""How fast samples are drawn: samples a second against transformers' generate, same weights, same prompt.

    pip install '.[test]'
    OMP_WAIT_POLICY=passive python experiments/sampling_speed.py    (hours on two cores, all but minutes transformers')
    OMP_WAIT_POLICY=passive python experiments/sampling_speed.py 5M:128 37M:128 --rounds 1    (some)

The ladder's 5M, 37M and 149M with the paper's 50,432 words, float32, one prompt of 128 tokens, G samples of 32 new
tokens at temperature 1. t2jax runs what `t2jax sample` runs; transformers runs the same weights as OlmoForCausalLM
(olmo.py), generate(num_return_sequences=G), with its default cache and with the static one, and the better counts; of G
above 128 it draws 128 at a time, which is faster for it and fits the memory. Contestants take turns; the median of each
counts. Before that the two have to agree: greedy tokens are the same, and the log-probability that t2jax reports of its
samples is transformers' to 1e-3 nats a token.

Cache: bytes that one more sample at a time takes, which for t2jax is its own 31 tokens alone. Where jax sees an
accelerator, also the share of its memory bandwidth that decoding reaches; torch goes there if it can. The variable
keeps torch's threads from waiting for each other in a loop, with which a busy machine slows it tenfold.

Two CPU cores of a shared virtual machine, 2026-11-25, jax 0.10.2, torch 2.13.0, transformers 5.24.0; samples a second
of t2jax, of the better of transformers' two caches, and the ratio. MiB: cache of one more sample at a time, both.

            G = 16               G = 128              G = 1,024             MiB
    5M      145.4  17.4  8.4 x   228.5  24.7  9.3 x   289.8  24.8  11.7 x    0.07   0.35
    37M      30.9   6.9  4.5 x    52.7   9.3  5.7 x    54.2   9.5   5.7 x    0.91   4.69
    149M      6.6   2.3  2.9 x     7.2   1.8  3.9 x   not run                3.00  15.47

of three rounds, but G = 1,024, 37M:128 and 149M:128 of one, the last beside another job. No accelerator was at hand.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import torch
from olmo import to_olmo
from transformers import OlmoForCausalLM

from t2jax import costs
from t2jax.chips import chip_of
from t2jax.laws.sequential import Plan
from t2jax.mesh import make_mesh
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.sampling import work
from t2jax.sampling.job import Drawn, Job, Material, Sampling, draw_rows, fit_tiles
from t2jax.tasks.questions import Question

VOCAB, PROMPT, NEW = 50_432, 128, 32
SHAPES = {'5M': (96, 3), '37M': (384, 10), '149M': (704, 18)}
GROUPS = (16, 128, 1024)
PEER_AT_ONCE = 128


def draw(model: ModelConfig, params: Any, prompt: np.ndarray, samples: int, temperature: float = 1.0) -> list[Drawn]:
    """Draw as `t2jax sample` does."""
    mesh = make_mesh(jax.devices()[:1])
    sampling = Sampling(NEW, temperature)
    job = Job('speed', 0, 0, 0, 0.0, 'speed', '', '', 'exact', sampling, Plan(samples, samples))
    material = Material(model, params, mesh, [Question('q', 'q', 'a')], [prompt], [prompt[:1]], [b''] * VOCAB)
    files = work.cut(0, 0, samples, [0], [len(prompt)], job.row_samples)
    memory = 0.8 * (jax.devices()[0].memory_stats() or {}).get('bytes_limit', 5 * 2**30)
    tile = fit_tiles(job, material, files, memory)[files[0].width]
    rows = [row for file in files for row in file.rows]
    return list(draw_rows(job, material, files[0].width, rows, tile))


def generate(olmo: OlmoForCausalLM, prompt: np.ndarray, samples: int, cache: str | None) -> None:
    """Draw by transformers."""
    ids = torch.from_numpy(prompt[None].astype(np.int64)).to(olmo.device)
    options = {} if cache is None else {'cache_implementation': cache, 'disable_compile': True}
    with torch.inference_mode():
        for start in range(0, samples, PEER_AT_ONCE):
            out = olmo.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                num_return_sequences=min(PEER_AT_ONCE, samples - start),
                max_new_tokens=NEW,
                min_new_tokens=NEW,
                **options,
            )
            if out.shape[1] != PROMPT + NEW:
                raise SystemExit(f'transformers drew {out.shape[1] - PROMPT} tokens instead of {NEW}')


def check(model: ModelConfig, params: Any, olmo: OlmoForCausalLM, prompt: np.ndarray) -> None:
    """Stop unless both are one model: greedy tokens, and log-probabilities of samples."""
    (greedy,), (drawn,) = draw(model, params, prompt, 1, 0.0), draw(model, params, prompt, 8)
    ids = torch.from_numpy(np.concatenate([np.repeat(prompt[None], 8, 0), drawn.tokens], 1).astype(np.int64))
    with torch.inference_mode():
        start = torch.from_numpy(prompt[None].astype(np.int64)).to(olmo.device)
        theirs = olmo.generate(start, attention_mask=torch.ones_like(start), do_sample=False, max_new_tokens=NEW)
        logits = olmo(ids[:, :-1].to(olmo.device)).logits[:, PROMPT - 1 :].float().cpu()
    log_p = torch.log_softmax(logits, -1).gather(-1, ids[:, PROMPT:, None]).sum((1, 2)).numpy()
    if (theirs[0, PROMPT:].cpu().numpy() != greedy.tokens[0]).any():
        raise SystemExit('greedy tokens differ; both must run the same model')
    gap = np.abs(log_p - drawn.model_log_probs).max() / NEW
    if not gap < 1e-3:
        raise SystemExit(f'log-probabilities of samples differ by {gap:.1e} nats a token')


def measure(size: str, groups: list[int], rounds: int) -> None:
    """Print samples a second of each contestant, and what an extra sample takes."""
    width, depth = SHAPES[size]
    device = jax.devices()[0]
    on_cpu = device.platform == 'cpu'
    model = ModelConfig(VOCAB, width, depth, qk_norm=False, compute_dtype='float32' if on_cpu else 'bfloat16')
    params = transformer.init_params(model, jax.random.key(0))
    olmo = to_olmo(model, params).to('cuda' if torch.cuda.is_available() else 'cpu')
    prompt = np.random.default_rng(0).integers(0, VOCAB, PROMPT).astype(np.int32)
    if on_cpu:
        check(model, params, olmo, prompt)
    ours = costs.cache_bytes(model, NEW - 1, 4 if on_cpu else 2)
    theirs = costs.cache_bytes(model, PROMPT + NEW, 4)
    print(f'{size}: an extra sample takes {ours / 2**20:.2f} MiB of cache; in transformers {theirs / 2**20:.2f}')
    for group in groups:
        contestants: dict[str, Callable[[], Any]] = {
            't2jax': partial(draw, model, params, prompt, group),
            'transformers': partial(generate, olmo, prompt, group, None),
            'its static cache': partial(generate, olmo, prompt, group, 'static'),
        }
        draw(model, params, prompt, group)  # compiles
        seconds = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, contestant in contestants.items():
                began = time.perf_counter()
                contestant()
                seconds[name].append(time.perf_counter() - began)
        rates = {name: group / statistics.median(times) for name, times in seconds.items()}
        best = max(rate for name, rate in rates.items() if name != 't2jax')
        said = ', '.join(f'{name} {rate:,.1f}' for name, rate in rates.items())
        print(f'{size} G = {group:5,}: samples/s {said}: {rates["t2jax"] / best:.1f} x', flush=True)
        chip = chip_of(device.device_kind)
        if chip:
            row_samples, most = min(group, work.ROW_SAMPLES), work.SLOTS_A_ROW[1]
            slots, rows = min(row_samples // 4, most), group // row_samples
            bytes_a_step = costs.decode_step_bytes(model, rows, slots, PROMPT, NEW - 1, 2)
            steps = (NEW - 1) * row_samples / slots * rates['t2jax'] / group
            print(f'  {steps * bytes_a_step / chip.bandwidth:.0%} of the roofline of memory bandwidth', flush=True)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('which', nargs='*', default=[f'{size}:{group}' for size in SHAPES for group in GROUPS])
    parser.add_argument('--rounds', type=int, default=3, help='turns of each contestant (default: 3)')
    options = parser.parse_args()
    asked = [which.split(':') for which in options.which]
    for size in dict.fromkeys(size for size, _ in asked):
        measure(size, [int(group) for other, group in asked if other == size], options.rounds)


if __name__ == '__main__':
    main()
