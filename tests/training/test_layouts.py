"""One step function, any layout: every variant trains alike on 1 device and on 8 under each axis, in parts or not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2jax.mesh import Layout, make_mesh
from t2jax.training.recipe import make_schedule
from t2jax.training.step import check_layout, make_init, make_train_steps

STEPS = 4
LAYOUTS = {
    'data': (8, Layout()),
    'fsdp': (8, Layout(fsdp=8)),
    'tensor': (2, Layout(tensor=2)),
    'all three, in two slices': (8, Layout(slices=2, fsdp=2, tensor=2)),
    'microbatches': (2, Layout(microbatches=4)),
    'layers computed again': (1, Layout(remat='layer')),
    'all but products computed again': (4, Layout(fsdp=2, remat='dots', microbatches=2)),
}


def losses(model, recipe, devices, layout):
    mesh = make_mesh(jax.devices()[:devices], layout)
    tokens = np.random.default_rng(0).integers(0, 12, (STEPS, 8, 9)).astype(np.uint16)
    state = make_init(model, recipe, mesh)(jax.random.key(1))
    schedule = make_schedule(recipe, model, 64 * 40)
    state, found, norms = make_train_steps(model, recipe, mesh, layout)(state, schedule, tokens, jnp.int32(STEPS))
    return np.stack([found, norms]), jax.tree.map(np.asarray, state.params)


@pytest.fixture(scope='module')
def alone(variant, tiny_recipe):
    return losses(variant, tiny_recipe, 1, Layout())


@pytest.mark.parametrize(('devices', 'layout'), LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_changes_rounding_alone(variant, tiny_recipe, alone, devices, layout):
    found, params = losses(variant, tiny_recipe, devices, layout)
    np.testing.assert_allclose(found, alone[0], rtol=2e-5)
    assert (np.diff(found[0]) != 0).all()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), params, alone[1])


@pytest.mark.parametrize(
    ('layout', 'sentence'),
    [
        (Layout(tensor=8), 'layout.tensor 8 does not divide the 4 heads .* of the model; use a divisor'),
        (Layout(microbatches=4), 'batch_sequences 8 does not divide over data x fsdp = 8 devices in 4 microbatches'),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(tiny, tiny_recipe, layout, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_layout(tiny, tiny_recipe, make_mesh(jax.devices(), layout), layout)


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'fsdp': 0}, 'layout.fsdp is 0; it has to be at least 1'),
        ({'remat': 'all'}, "layout.remat is 'all'; use none, dots, layer"),
        ({'attention': 'flash'}, "layout.attention is 'flash'; use auto, xla, cudnn, splash"),
    ],
)
def test_an_impossible_layout_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(Layout(), **change)
