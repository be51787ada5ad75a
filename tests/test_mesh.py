"""The mesh and its rules."""

import jax
import pytest
from jax.sharding import PartitionSpec

from t2jax import mesh as meshes


def test_data_takes_what_fsdp_and_tensor_leave():
    assert dict(meshes.make_mesh(jax.devices(), meshes.Layout(fsdp=2, tensor=2)).shape) == {
        'data': 2,
        'fsdp': 2,
        'tensor': 2,
    }
    assert dict(meshes.make_mesh(jax.devices()[:1]).shape) == {'data': 1, 'fsdp': 1, 'tensor': 1}


def test_a_mesh_that_does_not_divide_the_devices_is_refused():
    with pytest.raises(ValueError, match='fsdp 3 x tensor 1 does not divide 8 devices'):
        meshes.make_mesh(jax.devices(), meshes.Layout(fsdp=3))


def test_a_misspelt_axis_raises_and_is_not_replicated():
    mesh = meshes.make_mesh(jax.devices())
    with pytest.raises(ValueError, match="logical axis 'emebd' has no rule; known axes are batch, embed"):
        meshes.sharding(mesh, ('emebd', 'heads'))


def test_rules_place_axes():
    spec = meshes.sharding(meshes.make_mesh(jax.devices()), ('layers', 'embed', None, 'heads')).spec
    assert spec == PartitionSpec((), ('fsdp',), None, ('tensor',)) or spec == PartitionSpec(
        None, 'fsdp', None, 'tensor'
    )
