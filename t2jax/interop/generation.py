"""One sample after each of many prompts of unlike length, in batches that fit a device's memory.

A sample's randomness is fold_in(fold_in(fold_in(root, prompt), 0), position), as everywhere (sampling/sampler.py).
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from t2jax.models.config import ModelConfig
from t2jax.models.transformer import Params
from t2jax.sampling.job import Sampling
from t2jax.sampling.sampler import Rows, compiled_sample_rows
from t2jax.sampling.work import fit_tile, padded_width, usable_memory

STATES = 32  # of stop strings, at least


def generate(
    model: ModelConfig,
    params: Params,
    mesh: Mesh,
    prompts: Mapping[int, Sequence[int]],
    sampling: Sampling,
    spelling: Sequence[bytes],
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (prompt, ids), up to and with what ended them, for each numbered prompt; shorter prompts first.

    mesh: of one device. spelling: the bytes of every token. Raises ValueError where not even one sample fits.
    """
    device = mesh.devices.flat[0]
    stops_SV, root = sampling.stops.table(model.vocab, spelling), jax.random.key(sampling.seed)
    unused = 2 ** math.ceil(math.log2(max(len(stops_SV), STATES))) - len(stops_SV)
    stops = jnp.asarray(np.pad(stops_SV, ((0, unused), (0, 0))))  # other stop strings are seldom another program
    by_width: dict[int, list[int]] = {}
    for number, prompt in prompts.items():
        by_width.setdefault(padded_width(len(prompt)), []).append(number)
    for width in sorted(by_width):
        same = by_width[width]
        rows = fit_tile(model, width, sampling.max_tokens, 1, len(same), usable_memory(device), device.platform).rows
        for start in range(0, len(same), rows):
            some = same[start : start + rows]
            tokens, lengths = np.zeros((rows, width), np.int32), np.ones(rows, np.int32)
            what = np.zeros((3, rows), np.int32)  # rows beyond the last ask for no sample
            for row, number in enumerate(some):
                length = lengths[row] = len(prompts[number])
                tokens[row, :length], what[:, row] = prompts[number], (number, 0, 1)
            drawn = compiled_sample_rows(
                params,
                tokens,
                lengths,
                Rows(*what),
                root,
                sampling.rule,
                stops,
                model=model,
                mesh=mesh,
                samples=1,
                slots=1,
                max_tokens=sampling.max_tokens,
            )
            ids, counts = jax.device_get((drawn.tokens[:, 0], drawn.lengths[:, 0]))
            yield from ((number, ids[row, : counts[row]]) for row, number in enumerate(some))
