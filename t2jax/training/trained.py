"""A trained model in a folder, as evaluation and export see it: a run of ours, or one imported from elsewhere.

FOLDER/config.json, checkpoints/STEP/   a run, see runs.py; or
FOLDER/model.json, checkpoints/0/       an imported model: what it is, and its params
FOLDER/tokenizer.json or .model         its tokenizer, where the import had one
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
from etils import epath
from jax.sharding import Mesh

from t2jax.config import from_dict, read_json, to_dict, write_json, write_text
from t2jax.mesh import sharding
from t2jax.models import transformer
from t2jax.models.config import ModelConfig
from t2jax.training import checkpoint
from t2jax.training.checkpoint import CheckpointFolder, Checkpoints
from t2jax.training.runs import VOCABULARY, Start, is_finished, load_params, read_run

MODEL = 'model.json'
TOKENIZERS = ('tokenizer.json', 'tokenizer.model')


@dataclass(frozen=True)
class Imported:
    """What an imported model is."""

    name: str
    model: ModelConfig
    context: int  # tokens that it was trained on at once
    tokens: float | None  # D, training tokens; None where nobody said
    source: str  # what it was made from
    bos: str | None  # token that a text begins with; None: it begins with its first word
    end: str | None  # token that ends a document; None: one of `tokenizers.END_TOKENS`


@dataclass(frozen=True)
class Trained:
    """A model that can be loaded; `vocabulary` is what a run knows of its tokens, `imported` what an import is.

    Of a fine-tuned one, `start` is what it began with; `tokens` and `context` are of that: T2's D is of pretraining.
    """

    name: str
    folder: epath.Path
    model: ModelConfig
    context: int
    step: int
    tokens: float | None
    tokenizer: epath.Path | None
    imported: Imported | None = field(default=None, repr=False)
    vocabulary: Mapping[str, Any] | None = field(default=None, repr=False)
    start: Start | None = field(default=None, repr=False)

    @property
    def workdir(self) -> epath.Path | None:
        """Return the folder of the study or grid that a run lies in; None for an import."""
        return None if self.imported else self.folder.parent.parent

    def load(self, mesh: Mesh) -> transformer.Params:
        """Read the params onto a mesh; raises FileNotFoundError or ValueError where they are missing or damaged."""
        if self.imported is None:
            run = read_run(self.folder)
            return load_params(run, self.folder, mesh, self.step)
        return checkpoint.restore(self.folder / 'checkpoints', 0, param_shapes(self.model, mesh))[0]


def open_trained(folder: epath.PathLike, step: int | None = None) -> Trained:
    """Open the model in a folder, of a run after `step` steps (default: the last).

    Raises FileNotFoundError where there is none or the run is not finished, ValueError for a step of an imported model.
    """
    folder = epath.Path(folder) if '://' in str(folder) else epath.Path(folder).absolute()
    found = [folder / name for name in TOKENIZERS if (folder / name).exists()]
    tokenizer = found[0] if found else None
    if (folder / MODEL).exists():
        if step is not None:
            raise ValueError(f'{folder} is an imported model, which has no steps; leave --step out')
        about = from_dict(Imported, read_json(folder / MODEL, 'convert it again'), str(folder / MODEL))
        return Trained(about.name, folder, about.model, about.context, 0, about.tokens, tokenizer, about)
    run = read_run(folder)
    if step is None and not is_finished(run, folder):
        raise FileNotFoundError(f'run {run.name} in {folder} is not finished; train it first')
    step = run.steps if step is None else step
    start, tokens, context = run.start, float(step * run.recipe.batch_tokens), run.recipe.sequence_length
    if start:
        tokens, context = start.tokens, start.context
    path, facts = folder / VOCABULARY, None
    if path.exists():
        facts = read_json(path, 'delete it, and the tokenizer is taken on trust')
    return Trained(run.name, folder, run.model, context, step, tokens, tokenizer, vocabulary=facts, start=start)


def save_imported(
    folder: epath.PathLike, about: Imported, params: transformer.Params, tokenizer: Path | None = None
) -> None:
    """Write an imported model into a new folder: params, tokenizer, and last model.json, which says that all is there.

    Raises FileExistsError for a folder of something else, ValueError for a name that cannot be a folder's.
    """
    folder = check_new(folder, about.name)
    if (folder / 'checkpoints').exists():
        (folder / 'checkpoints').rmtree()  # of an interrupted import
    if tokenizer is not None:
        write_text(folder / f'tokenizer{tokenizer.suffix}', tokenizer.read_bytes())
    with CheckpointFolder(folder / 'checkpoints', Checkpoints()) as saved:
        saved.save(0, params, {})
    write_json(folder / MODEL, to_dict(about))


def check_new(folder: epath.PathLike, name: str | None) -> epath.Path:
    """Return the folder of a model to be imported; what an interrupted import left there is no hindrance.

    Raises FileExistsError for a folder of something else, ValueError for a name that cannot be a folder's.
    """
    folder = epath.Path(folder)
    if name is not None and (not name or name.startswith('.') or '/' in name or '\\' in name):
        raise ValueError(
            f'the name {name!r} of a model has to do as the name of a folder; use letters, digits, - and .'
        )
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if there - {'checkpoints', *TOKENIZERS} or folder.is_file():
        raise FileExistsError(f'{folder} is not empty; give a new folder')
    return folder


def param_shapes(model: ModelConfig, mesh: Mesh) -> transformer.Params:
    """Return a model's params as shapes with shardings on this mesh."""
    shapes = jax.eval_shape(lambda: transformer.init_params(model, jax.random.key(0)))
    axes = transformer.logical_axes(model)
    place = lambda shape, names: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding(mesh, names))
    return jax.tree.map(place, shapes, axes, is_leaf=lambda x: isinstance(x, jax.ShapeDtypeStruct))
