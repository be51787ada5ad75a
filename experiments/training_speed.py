"""How fast models train: tokens a second against PyTorch on a CPU; utilisation (MFU) on a GPU or TPU.

    JAX_PLATFORMS=cpu python experiments/training_speed.py    (needs PyTorch: pip install '.[test]')
    python experiments/training_speed.py                      (where jax sees an accelerator; no PyTorch)

CPU: the ladder's 5M, 15M and 37M in float32 with the paper's 50,432 words, 4 sequences of 512 tokens a step, which is
what two cores take in seconds. A step is all of the recipe: forward, backward, clipping, AdamW. t2jax runs what its
loop runs (`make_train_steps`); PyTorch runs `torch_decoder.py` on all cores, as written and, with a C++ compiler at
hand, through torch.compile. All take the same params and batches, in turn, step after step; the median of each counts,
and the loss curves have to agree.

Accelerator: 37M, 149M and 901M, bfloat16, sequences of 2048, one device. MFU counts the FLOPs of
`costs.train_step_flops` (attention over all keys, no recomputation) against the chip's dense bfloat16 peak.

Two CPU cores of a shared virtual machine, 2026-11-22, jax 0.10.2, torch 2.13.0, tokens a second:

    5M    t2jax 1,630   PyTorch 1,132   torch.compile 1,269   t2jax is 1.44 x PyTorch, 1.28 x torch.compile
    15M   t2jax   790   PyTorch   735   torch.compile   743   t2jax is 1.07 x PyTorch, 1.06 x torch.compile
    37M   t2jax   392   PyTorch   404   torch.compile   447   t2jax is 0.97 x PyTorch, 0.88 x torch.compile

so at 37M, where products by the head are most of the work, PyTorch is ahead. No accelerator was at hand.
"""

import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from t2jax import costs
from t2jax import mesh as meshes
from t2jax.chips import chip_of
from t2jax.mesh import Layout
from t2jax.models.config import ModelConfig
from t2jax.training.recipe import Recipe, make_schedule
from t2jax.training.step import make_init, make_train_steps

VOCAB = 50_432
CPU_SHAPES = {'5M': (96, 3), '15M': (224, 6), '37M': (384, 10)}
STEPS, WARM = 9, 2  # timed ones, and earlier ones that compile and touch memory
# Width, depth, sequences a step; microbatches and remat that leave room on 80 GB: logits take 0.4 GB a sequence.
GPU_SHAPES = {
    '37M': (384, 10, 64, Layout(microbatches=4)),
    '149M': (704, 18, 64, Layout(microbatches=4)),
    '901M': (1504, 30, 32, Layout(microbatches=4)),
}


def draw_batches(model: ModelConfig, recipe: Recipe, steps: int) -> np.ndarray:
    """Draw token ids [steps, batch, length + 1]."""
    shape = (steps, recipe.batch_sequences, recipe.sequence_length + 1)
    return np.random.default_rng(0).integers(0, model.vocab, shape, dtype=np.int32)


class Runner:
    """A state and the compiled steps that move it."""

    def __init__(self, model: ModelConfig, recipe: Recipe, layout: Layout) -> None:
        mesh = meshes.make_mesh(jax.devices()[:1], layout)
        self.state = make_init(model, recipe, mesh)(jax.random.key(0))
        self.schedule = make_schedule(recipe, model, 20 * costs.count_params(model))
        self.steps = make_train_steps(model, recipe, mesh, layout)

    def run(self, batches: np.ndarray) -> np.ndarray:
        """Train on batches [steps, batch, length + 1]; returns the losses, once they are there."""
        self.state, losses, _ = self.steps(self.state, self.schedule, batches, jnp.int32(len(batches)))
        return np.asarray(losses)


def against_torch(model: ModelConfig, recipe: Recipe) -> dict[str, float]:
    """Train all contestants in turn on the same batches; returns the median seconds a step of each.

    Raises SystemExit if their losses differ by more than 1e-3.
    """
    import torch
    import torch_decoder

    runner = Runner(model, recipe, Layout())
    params, tokens = jax.device_get(runner.state.params), 20 * costs.count_params(model)
    contestants = {'t2jax': lambda batch: float(runner.run(batch[None])[0])}

    def add(name: str, compiled: bool) -> None:
        decoder = torch_decoder.load(model, recipe.sequence_length, params)
        trainer = torch_decoder.Trainer(decoder, model, recipe, tokens)
        if compiled:
            trainer.run = torch.compile(decoder)
        contestants[name] = lambda batch: trainer.train_step(torch.from_numpy(batch).long())[0]

    add('PyTorch', compiled=False)
    if shutil.which('g++') or shutil.which('clang++'):
        add('torch.compile', compiled=True)
    seconds, losses = ({name: [] for name in contestants} for _ in range(2))
    for batch in tqdm(draw_batches(model, recipe, WARM + STEPS), desc='steps', unit='step'):
        for name, train in contestants.items():
            began = time.perf_counter()
            losses[name].append(train(batch))
            seconds[name].append(time.perf_counter() - began)
    for name, curve in losses.items():
        gap = np.abs(np.array(curve) - losses['t2jax']).max()
        if not gap < 1e-3:
            raise SystemExit(f'the losses of {name} and t2jax differ by {gap:.1e}; they must train the same model')
    return {name: float(np.median(times[WARM:])) for name, times in seconds.items()}


def on_cpu() -> None:
    """Print tokens a second of each contestant and t2jax's ratio to the better PyTorch, by size."""
    recipe = Recipe(batch_sequences=4, sequence_length=512)
    for label, (width, depth) in CPU_SHAPES.items():
        model = ModelConfig(VOCAB, width, depth)
        seconds = against_torch(model, recipe)
        rates = '  '.join(f'{name} {recipe.batch_tokens / s:7,.0f}' for name, s in seconds.items())
        ratios = ', '.join(f'{s / seconds["t2jax"]:.2f} x {name}' for name, s in seconds.items() if name != 't2jax')
        print(f'{label:4} tokens/s: {rates}  t2jax is {ratios}', flush=True)


def on_accelerator(device: jax.Device) -> None:
    """Print tokens a second, seconds a step and MFU of each size on one device."""
    chip = chip_of(device.device_kind)
    print(f'{device.device_kind}: {f"{chip.flops / 1e12:.0f} TFLOP/s" if chip else "peak unknown, so no MFU"}')
    for label, (width, depth, sequences, layout) in GPU_SHAPES.items():
        model = ModelConfig(VOCAB, width, depth, compute_dtype='bfloat16')
        recipe = Recipe(batch_sequences=sequences)
        runner, batches = Runner(model, recipe, layout), draw_batches(model, recipe, 5)
        runner.run(batches)  # compiles
        times = []
        for _ in range(5):
            began = time.perf_counter()
            losses = runner.run(batches)
            times.append((time.perf_counter() - began) / len(batches))
        if not np.isfinite(losses).all():
            raise SystemExit(f'{label}: a loss is not finite')
        seconds = float(np.median(times))
        flops = costs.train_step_flops(model, sequences, recipe.sequence_length) / seconds
        share = f'{flops / chip.flops:.1%} MFU' if chip else ''
        print(f'{label:4} {recipe.batch_tokens / seconds:11,.0f} tokens/s  {seconds:.3f} s/step  {share}', flush=True)
        del runner


def main() -> None:
    """Measure what this machine has."""
    device = jax.devices()[0]
    on_cpu() if device.platform == 'cpu' else on_accelerator(device)


if __name__ == '__main__':
    main()
