"""House rules that a machine can check: who imports whom, what loads when, and that every experiment builds."""

import ast
import importlib.util
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from t2jax import mesh as meshes
from t2jax.config import load_experiment
from t2jax.ladder import Ladder
from t2jax.models import transformer
from t2jax.training.recipe import make_schedule
from t2jax.training.step import init_state, make_train_steps

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {
    0: ('config', 'costs', 'mesh', 'chips', 'distributed', 'hlo'),
    1: ('models', 'data', 'tasks', 'laws'),
    2: ('training', 'sampling'),
    3: ('evaluation', 'plotting'),
    4: (
        'study',
        'study_config',
        'fitting',
        'ladder',
        'posttraining',
        'interop',
        'pool',
        'provenance',
        'pretraining',
        'preflight',
        'inspection',
        'roofline',
        'slices',
    ),
    5: ('cli',),
    6: ('__main__',),
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
MODULES = sorted((ROOT / 't2jax').rglob('*.py'))


def imports(path):
    """Yield (module, whether at load) of every import of a file."""
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == 't2jax':
            yield from ((f't2jax.{alias.name}', id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or '', id(node) in top


def room_of(path):
    parts = path.relative_to(ROOT / 't2jax').with_suffix('').parts
    return parts[0]


@pytest.mark.parametrize('path', [p for p in MODULES if p.name != '__init__.py'], ids=lambda p: p.stem)
def test_a_module_imports_from_lower_floors_or_its_own_room(path):
    room = room_of(path)
    for module, at_load in imports(path):
        top = module.split('.')[0]
        assert top not in ('configs', 'experiments', 'launch'), module
        if top == 'flax':
            assert room == 'models', 'only models/ imports flax'
        if top in ('tensorflow', 'seqio', 'tensorflow_datasets'):
            assert room == 'data' and not at_load, 'TensorFlow is imported inside the functions that need it'
        if top == 'jax':
            assert room != 'tasks', 'tasks/ knows no jax'
        other = module.split('.')[1] if top == 't2jax' and '.' in module else None
        if other and other != room:
            same_floor = FLOOR[other] == FLOOR[room]
            assert FLOOR[other] < FLOOR[room] or (same_floor and FLOOR[room] == 4), f'{room} imports {other}'


@pytest.mark.parametrize(
    ('statement', 'absent'),
    [
        ('import t2jax.cli', ('jax', 'numpy', 'matplotlib', 'tyro')),
        ('import t2jax.laws.plan, t2jax.plotting.plan', ('jax', 'flax', 'matplotlib', 'tensorflow')),
        ('import t2jax.study', ('tensorflow', 'seqio', 'matplotlib')),
        ('import t2jax.plotting.report', ('tensorflow', 'flax')),
        ('import t2jax.cli.planning, t2jax.plotting.laws', ('jax', 'flax', 'tensorflow')),
    ],
)
def test_light_commands_load_nothing_heavy(statement, absent):
    code = f'import sys; {statement}; print([m for m in {absent!r} if m in sys.modules])'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == '[]'


LAUNCH = sorted((ROOT / 'launch').glob('*.py'))


@pytest.mark.parametrize('path', LAUNCH, ids=lambda path: path.stem)
def test_the_launcher_loads_no_jax_and_shadows_no_module(path):
    """It runs on laptops and at the boot of hosts; its scripts put its own folder first on the path."""
    code = (
        f'import sys; import launch.{path.stem}; print([m for m in ("jax", "numpy", "tensorflow") if m in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == '[]'
    assert path.stem not in sys.stdlib_module_names
    spec = importlib.util.find_spec(path.stem)
    assert spec is None or path.stem == '__init__' or spec.origin == str(path)


STUDIES = [path for path in sorted((ROOT / 'experiments').glob('*.py')) if '\nSTUDY = ' in path.read_text()]


@pytest.mark.parametrize('path', STUDIES, ids=lambda path: path.stem)
def test_every_study_builds(path):
    """Every model of every study that trains initialises and takes a training step, in shapes alone."""
    study = load_experiment(path)
    if isinstance(study, Ladder):
        assert study.losses or study.observations
        return
    assert study.run_configs()
    recipe, mesh = study.recipe, meshes.make_mesh(jax.devices()[:1])
    batch = jax.ShapeDtypeStruct((2, recipe.batch_sequences, recipe.sequence_length + 1), jnp.uint16)
    for model in {run.model for run in study.runs}:
        state = jax.eval_shape(partial(init_state, model, recipe), jax.random.key(0))
        step = make_train_steps(model, recipe, mesh)
        after, losses, _ = jax.eval_shape(step, state, make_schedule(recipe, model, 1e6), batch, jnp.int32(2))
        assert losses.shape == (2,)
        assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(lambda x: x.shape, state)
        assert set(jax.tree.leaves(transformer.logical_axes(model))) <= set(meshes.RULES)


def test_every_experiment_says_how_to_run_it():
    for path in (ROOT / 'experiments').glob('*.py'):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ''
        assert 't2jax ' in docstring or 'python ' in docstring, path.name


def test_every_figure_and_table_of_the_paper_has_its_experiment():
    """One thin file each, that draws what its name says and names its inputs."""
    from t2jax.plotting.figures import DRAWINGS

    papers = [name for name in DRAWINGS if name.startswith(('figure_', 'table_'))]
    assert sorted(name.split('_')[0] + name.split('_')[1] for name in papers) == sorted(
        [f'figure{n}' for n in range(1, 9)] + ['table1', 'table2']
    )
    for name in papers:
        text = (ROOT / 'experiments' / f'{name}.py').read_text()
        assert f"main('{name}', __doc__" in text and f'experiments/{name}.py out/mini' in text
        assert len(text.splitlines()) <= 40
