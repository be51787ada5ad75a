"""Compiling for slices that are not there, and reading what comes out."""

import dataclasses
import importlib.util
import json
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Mesh, PartitionSpec

from configs import ladder, layouts, recipe
from t2jax import costs, preflight, roofline
from t2jax.chips import TPUS
from t2jax.cli.pretraining import report_lines
from t2jax.hlo import collectives
from t2jax.mesh import Layout, make_mesh
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.models.execution import choose_kernel
from t2jax.slices import parse_slice, topology_devices
from t2jax.training.recipe import Recipe
from t2jax.training.runs import RunConfig

ROOT = Path(__file__).resolve().parents[1]
WHY = 'libtpu is not installed; `pip install .[tpu]` brings it, for compiling no TPU is needed'
needs_libtpu = pytest.mark.skipif(importlib.util.find_spec('libtpu') is None, reason=WHY)


def test_collectives_count_as_often_as_their_loops_run():
    """5 sums of 512 bytes, 3 permutations in each round, one gathering and one scattering, on 8 devices."""
    mesh = Mesh(jax.devices()[:8], ('x',))
    split = PartitionSpec('x')

    @partial(jax.shard_map, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
    def work(x):
        def once(x, _):
            return jax.lax.ppermute(x, 'x', [(i, (i + 1) % 8) for i in range(8)]), None

        def round_of(x, _):
            return jax.lax.scan(once, jax.lax.psum(x, 'x') * 0.1, None, length=3)[0], None

        x, _ = jax.lax.scan(round_of, x, None, length=5)
        whole = jax.lax.all_gather(x, 'x')
        return jax.lax.psum_scatter(whole, 'x') + x

    # the length of the outermost loop is known to the run alone: its body counts once
    steps = jax.jit(lambda x, n: jax.lax.fori_loop(0, n, lambda i, x: work(x), x))
    found = collectives(steps.lower(jnp.zeros(8 * 128), 3).compile().as_text())
    sent = {kind: (traffic.count, traffic.bytes) for kind, traffic in found.items()}
    assert sent == {
        'all-gather': (1, 7 * 512),
        'all-reduce': (5, 5 * 2 * 7 / 8 * 512),
        'collective-permute': (15, 15 * 512),
        'reduce-scatter': (1, 7 * 512),
    }


TEXT = """
HloModule step, num_partitions=16

%scatter (p: f32[64]) -> f32[64] {
  %p = f32[64]{0:T(128)} parameter(0)
  %all-gather.1 = f32[64]{0} all-gather(%p), channel_id=7, replica_groups=mesh['a'=4,'b'=4] {'b'}, dimensions={0}
  ROOT %c = f32[64]{0} custom-call(%all-gather.1), custom_call_target="AsyncCollectiveStart"
}

%more (p.1: f32[64]) -> f32[64] {
  %p.1 = f32[64]{0} parameter(0)
  ROOT %all-gather.2 = f32[64]{0} all-gather(%p.1), channel_id=7, replica_groups=mesh['a'=4,'b'=4] {'b'}, dimensions={0}
}

%all-reduce-scatter.3 (p.2: bf16[64]) -> bf16[64] {
  %p.2 = bf16[64]{0} parameter(0)
  ROOT %all-reduce.3 = bf16[64]{0} all-reduce(%p.2), channel_id=8, replica_groups=[2,8]<=[16], to_apply=%add
}

%body (t: (u32[], f32[64])) -> (u32[], f32[64]) {
  %t = (u32[]{:T(128)}, f32[64]{0}) parameter(0)
  %two = u32[] constant(2)
  %i = u32[] get-tuple-element(%t), index=0
  %x = f32[64]{0} get-tuple-element(%t), index=1
  %next = u32[] add(%i, %two)
  %cp = (f32[64]{0}, f32[64]{0}, u32[], u32[]) collective-permute-start(%x), channel_id=9, source_target_pairs={{0,1}}
  %done = f32[64]{0} collective-permute-done(%cp)
  ROOT %r = (u32[], f32[64]{0}) tuple(%next, %done)
}

%condition (t.1: (u32[], f32[64])) -> pred[] {
  %t.1 = (u32[], f32[64]{0}) parameter(0)
  %limit = u32[] constant(9)
  %i.1 = u32[] get-tuple-element(%t.1), index=0
  ROOT %less = pred[] compare(%i.1, %limit), direction=LT
}

ENTRY %main (x.1: f32[64], y.1: bf16[64]) -> f32[64] {
  %x.1 = f32[64]{0} parameter(0)
  %y.1 = bf16[64]{0} parameter(1)
  %one = u32[] constant(1)
  %a = f32[64]{0} fusion(%x.1), kind=kCustom, calls=%scatter
  %b = f32[64]{0} fusion(%a), kind=kCustom, calls=%more
  %s = bf16[64]{0} fusion(%y.1), kind=kCustom, calls=%all-reduce-scatter.3
  %start = (u32[], f32[64]{0}) tuple(%one, %b)
  %loop = (u32[], f32[64]{0}) while(%start), condition=%condition, body=%body
  ROOT %out = f32[64]{0} get-tuple-element(%loop), index=1
}
"""


def test_collectives_as_a_tpu_writes_them():
    """One gathering spread over two fusions, a sum that is scattered, and a loop from 1 to 9 by twos."""
    sent = {kind: (traffic.count, traffic.bytes) for kind, traffic in collectives(TEXT).items()}
    assert sent == {
        'all-gather': (1, 3 / 4 * 256),
        'collective-permute': (4, 4 * 256),
        'reduce-scatter': (1, 7 / 8 * 128),
    }


def test_a_slice_is_a_kind_and_a_shape():
    tpu = parse_slice('v5p:2x2x4', 2)
    assert (tpu.chips, tpu.chip, str(tpu)) == (32, TPUS['v5p'], '2 x v5p:2x2x4')
    for name, count in (('v5e', 1), ('v5e:4x4x4', 1), ('v7:4x4', 1), ('v5e:4x', 1), ('v5e:0x4', 1), ('v5e:4x4', 0)):
        with pytest.raises(ValueError, match='v5e:16x16'):
            parse_slice(name, count)


def test_without_libtpu_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'libtpu', None)
    with pytest.raises(OSError, match=r'\.\[tpu\]'):
        topology_devices(parse_slice('v5e:2x2'))


@needs_libtpu
def test_a_slice_attends_by_splash():
    mesh = make_mesh(topology_devices(parse_slice('v5e:2x2')), Layout(fsdp=4))
    assert choose_kernel(SMALL, 'auto', mesh.devices.flat[0].platform, 128) == 'splash'


@needs_libtpu
def test_topologies_have_a_device_a_chip():
    for name, slices in (('v5e:4x4', 1), ('v4:2x2x2', 1), ('v5p:2x2x1', 1), ('v6e:2x2', 2)):
        tpu = parse_slice(name, slices)
        assert len(topology_devices(tpu)) == tpu.chips
    with pytest.raises(ValueError, match='v5e:4x4'):
        topology_devices(parse_slice('v5e:3x3'))


SHAPE = {'vocab': 512, 'd_model': 128, 'n_layers': 3, 'n_heads': 4, 'compute_dtype': 'bfloat16'}
SMALL = ModelConfig(**SHAPE)


@needs_libtpu
@pytest.mark.slow
@pytest.mark.parametrize('kind', transformer.VARIANTS, ids=lambda kind: kind.__name__)
def test_a_training_step_of_every_variant_compiles_for_a_slice(kind):
    """A small model split over four chips, attention by splash: gathered and scattered as the layout says."""
    layout, model = Layout(fsdp=4, remat='layer', attention='splash'), kind(**SHAPE)
    run = RunConfig('small', model, 1e6, Recipe(batch_sequences=8, sequence_length=128), seed=0, layout=layout)
    report = preflight.compile_train(run, parse_slice('v5e:2x2'))
    assert report.mesh == {'data': 1, 'fsdp': 4, 'tensor': 1}
    weights = 2 * 3 / 4 * costs.count_stored_params(model)  # of bfloat16, once around
    assert weights < sum(kind['bytes'] for kind in report.collectives.values()) < 5 * weights
    assert 0.2 < report.memory_estimated / report.memory < 5
    assert report.mfu[0] < report.mfu[1] <= 1
    assert 'GiB a chip' in report_lines(report) and json.dumps(dataclasses.asdict(report))


@needs_libtpu
@pytest.mark.slow
def test_decoding_needs_no_network():
    report = preflight.compile_decode('small', SMALL, parse_slice('v5e:2x2'))
    assert not report.collectives and report.mesh['data'] == 4
    assert report.memory > costs.count_stored_params(SMALL) * 4


@needs_libtpu
@pytest.mark.slow
def test_what_does_not_fit_is_one_sentence():
    """901M whole on every chip: 12 bytes a param alone are too many."""
    run = RunConfig('901M', ladder.porian()['901M'], 1e9, recipe.PAPER, seed=0, layout=Layout(attention='xla'))
    with pytest.raises(ValueError, match='does not fit v5e:2x2'):
        preflight.compile_train(run, parse_slice('v5e:2x2'))


def test_every_size_fits_16_gib_by_estimate():
    for size, model in {**ladder.porian(), **ladder.grouped_query()}.items():
        assert sum(roofline.train_memory(model, recipe.PAPER, layouts.V5E_16[size], 16).values()) < 13 * 2**30


def test_the_committed_table_has_every_size_within_its_memory():
    table = ROOT / 'experiments' / 'preflight.md'
    rows = [
        line.split('|')[1:-1] for line in table.read_text().splitlines() if line.startswith(('| train', '| decode'))
    ]
    fits = {}
    for what, tpu, _, _, memory, *_ in rows:
        used, has = float(memory.split()[0]), float(memory.split()[-1])
        fits[what.strip(), tpu.strip()] = used < has * 63 / 64  # what XLA leaves to programs
    for size in {**ladder.porian(), **ladder.grouped_query()}:
        assert fits[f'train {size}', 'v5e:4x4']
    for tpu in ('v5e:16x16', '2 x v5e:4x4', 'v4:2x2x4', 'v5p:2x2x4', 'v6e:4x4', 'v6e:8x8'):
        assert fits['train 901M', tpu]
