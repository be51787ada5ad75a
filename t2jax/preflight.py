"""Pre-flight: compile a run's real steps for a TPU slice that is not there, and say what they need of it.

XLA compiles for a topology alone (`slices.topology_devices`), so what comes out is the program that the slice would
run: its memory on each device, and its collectives. Times are a roofline of counts (`roofline`), since XLA's own cost
analysis counts the body of a loop once: each resource alone, and a step's time and MFU between full and no overlap.
"""

import dataclasses
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding

from t2jax import roofline
from t2jax.hlo import collectives
from t2jax.mesh import Layout, make_mesh, sharding
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.pretraining import adapt
from t2jax.sampling.choice import Rule
from t2jax.sampling.sampler import Rows, compiled_sample_rows, rows_spec
from t2jax.sampling.work import MEMORY_SHARE, ROW_SAMPLES, fit_tile
from t2jax.slices import Slice, topology_devices
from t2jax.training.recipe import make_schedule
from t2jax.training.runs import RunConfig, state_shapes
from t2jax.training.step import make_train_steps

# What is sampled, for the decode step: prompts of up to PROMPT tokens, samples of up to TOKENS.
PROMPT, TOKENS = 512, 64


@dataclass(frozen=True)
class Report:
    """What one compiled step needs of each device of a slice."""

    what: str
    slice: str
    mesh: dict[str, int]
    layout: dict[str, Any]
    compile_seconds: float
    memory: int  # bytes at the peak, arguments included
    memory_of_chip: float
    memory_estimated: float | None
    collectives: dict[str, dict[str, Any]]  # by kind: count and bytes of a step, as one device sends them
    seconds: dict[str, float]  # of a step on each resource alone, and in all: overlapped, serial
    mfu: tuple[float, float] | None  # without and with full overlap
    tokens_per_second: tuple[float, float]


def compile_train(run: RunConfig, tpu: Slice) -> Report:
    """Compile one training step of a run for a slice.

    Raises ValueError where it does not fit the slice's memory, its devices or its batch; OSError without libtpu.
    """
    devices = topology_devices(tpu)
    layout = adapt(run.layout, run.recipe, len(devices), tpu.count)
    mesh = make_mesh(devices, layout)
    everywhere = sharding(mesh, ())
    recipe = run.recipe
    state = state_shapes(run, mesh)
    schedule = _placed(jax.eval_shape(lambda: make_schedule(recipe, run.model, run.tokens)), everywhere)
    ids = jnp.uint16 if run.model.vocab <= 2**16 else jnp.uint32
    shape = (1, recipe.batch_sequences, recipe.sequence_length + 1)
    tokens = jax.ShapeDtypeStruct(shape, ids, sharding=sharding(mesh, ('step', 'batch', 'length')))
    count = jax.ShapeDtypeStruct((), jnp.int32, sharding=everywhere)
    lowered = make_train_steps(run.model, recipe, mesh, layout).lower(state, schedule, tokens, count)
    estimate = roofline.train_memory(run.model, recipe, layout, len(devices))
    report = _compile(f'train {run.name}', lowered, tpu, mesh, layout)
    sent = sum(kind['bytes'] for kind in report.collectives.values())
    times = roofline.train_roofline(run.model, recipe, layout, len(devices), tpu.chip, sent)
    ends = times.serial, times.overlapped
    return dataclasses.replace(
        report,
        memory_estimated=sum(estimate.values()),
        seconds=_seconds(times),
        mfu=tuple(roofline.train_mfu(run.model, recipe, len(devices), tpu.chip, seconds) for seconds in ends),
        tokens_per_second=tuple(recipe.batch_tokens / seconds for seconds in ends),
    )


def compile_decode(name: str, model: ModelConfig, tpu: Slice) -> Report:
    """Compile repeated sampling for a slice: all params on every device, as many rows and slots as its memory holds.

    What is compiled is the whole loop of `t2jax sample`; times are of one step of it. Raises as `compile_train`.
    """
    devices = topology_devices(tpu)
    layout = Layout(slices=tpu.count)
    mesh = make_mesh(devices, layout)
    tile = fit_tile(model, PROMPT, TOKENS, ROW_SAMPLES, 2**20, MEMORY_SHARE * tpu.chip.memory, 'tpu')
    rows, split, everywhere = len(devices) * tile.rows, NamedSharding(mesh, rows_spec(mesh)), sharding(mesh, ())
    params = _placed(jax.eval_shape(lambda: transformer.init_params(model, jax.random.key(0))), everywhere)
    whole = partial(jax.ShapeDtypeStruct, sharding=everywhere)
    of_rows = lambda *shape: jax.ShapeDtypeStruct((rows, *shape), jnp.int32, sharding=split)
    lowered = compiled_sample_rows.lower(
        params,
        of_rows(PROMPT),
        of_rows(),
        Rows(of_rows(), of_rows(), of_rows()),
        _placed(jax.eval_shape(lambda: jax.random.key(0)), everywhere),
        Rule(whole((), jnp.float32), whole((), jnp.float32), whole((), jnp.int32)),
        whole((1, model.vocab), jnp.int32),
        model=model,
        mesh=mesh,
        samples=ROW_SAMPLES,
        slots=tile.slots,
        max_tokens=TOKENS,
    )
    report = _compile(f'decode {name}, {tile.rows} x {tile.slots} slots', lowered, tpu, mesh, layout)
    times = roofline.decode_roofline(model, tile.rows, tile.slots, PROMPT, TOKENS, tpu.chip)
    speeds = tuple(rows * tile.slots / seconds for seconds in (times.serial, times.overlapped))
    return dataclasses.replace(
        report, memory_estimated=MEMORY_SHARE * tpu.chip.memory, seconds=_seconds(times), tokens_per_second=speeds
    )


def _compile(what: str, lowered: Any, tpu: Slice, mesh: Mesh, layout: Layout) -> Report:
    started = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        said = ' '.join(str(error).split())
        if 'RESOURCE_EXHAUSTED' not in said:
            raise
        raise ValueError(
            f'{what} does not fit {tpu} with {layout} ({said.partition(". ")[0][:200]}); '
            'use more microbatches, remat or fsdp'
        ) from error
    return Report(
        what=what,
        slice=str(tpu),
        mesh=dict(mesh.shape),
        layout=dataclasses.asdict(layout),
        compile_seconds=round(time.perf_counter() - started, 1),
        memory=compiled.memory_analysis().peak_memory_in_bytes,
        memory_of_chip=tpu.chip.memory,
        memory_estimated=None,
        collectives={
            kind: {'count': traffic.count, 'bytes': traffic.bytes}
            for kind, traffic in collectives(compiled.as_text()).items()
        },
        seconds={},
        mfu=None,
        tokens_per_second=(0.0, 0.0),
    )


def _placed(shapes: Any, where: jax.sharding.Sharding) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), shapes)


def _seconds(times: roofline.Roofline) -> dict[str, float]:
    return {**dataclasses.asdict(times), 'overlapped': times.overlapped, 'serial': times.serial}
