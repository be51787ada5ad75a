"""Commands that open doors to other codebases: convert, export, lm-eval."""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from t2jax.training.trained import Trained

FORMATS = ('openlm', 'huggingface')
OPENLM_CONTEXT = 2048
TAKES_FLAGS = ('lm-eval',)  # lm_eval's own


def describe(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands."""
    sub = add('convert', run_convert, 'import a checkpoint of OpenLM, or a Hugging Face folder')
    sub.add_argument('format', choices=FORMATS, help='openlm: a PyTorch file; huggingface: config.json and safetensors')
    sub.add_argument('source', type=Path, help='CKPT.pt, or the folder')
    sub.add_argument('--out', required=True, metavar='FOLDER', help='where the model goes; may be in a bucket')
    what = 'tokens it was trained on, D; laws need it, and so do score and sample'
    sub.add_argument('--tokens', type=float, metavar='D', help=what)
    sub.add_argument('--name', help="of the run, in tables (default: the source's)")
    what = 'what it computes in: float32 (default) or bfloat16'
    sub.add_argument('--compute-dtype', choices=('float32', 'bfloat16'), default='float32', help=what)
    what = "token that its texts begin with, or none (default: what the tokenizer's own files add; none for openlm)"
    sub.add_argument('--bos', metavar='TOKEN', help=what)
    group = sub.add_argument_group('openlm')
    group.add_argument('--tokenizer', type=Path, metavar='FILE', help='tokenizer.json or .model to keep with it')
    group.add_argument('--heads', type=int, help='heads (default: as its rotary frequencies say, else 4)')
    group.add_argument('--context', type=int, help=f'tokens it was trained on at once (default: {OPENLM_CONTEXT})')

    sub = add('export', run_export, 'write a trained model as a Hugging Face folder that transformers loads')
    sub.add_argument('checkpoint', help='folder of a run, WORKDIR/runs/NAME, or of an imported model')
    sub.add_argument('--out', type=Path, required=True, metavar='FOLDER', help='a new folder')
    sub.add_argument('--tokenizer', type=Path, metavar='FILE', help="tokenizer.json (default: the model's own)")
    sub.add_argument('--step', type=int, help='checkpoint of this step (default: the last)')

    what = 'run lm-evaluation-harness with its own flags, e.g. --model t2jax --model_args checkpoint=RUN --tasks sciq'
    add('lm-eval', run_lm_eval, what)


def run_convert(options: argparse.Namespace) -> None:
    """Import a checkpoint into a folder."""
    from t2jax import costs
    from t2jax.data.tokenizers import FileVocabulary
    from t2jax.training.trained import check_new, save_imported

    common = {'tokens': options.tokens, 'name': options.name, 'compute_dtype': options.compute_dtype}
    if options.tokens is not None and not 0 < options.tokens < float('inf'):
        raise ValueError(f'--tokens is {options.tokens:g}; give how many tokens the model was trained on')
    if options.context is not None and options.context < 1:
        raise ValueError(f'--context is {options.context}; a model was trained on at least 1 token at once')
    check_new(options.out, options.name)
    if options.format == 'openlm':
        from t2jax.interop.openlm import import_openlm

        about, params = import_openlm(
            options.source, heads=options.heads, context=options.context or OPENLM_CONTEXT, **common
        )
        tokenizer = options.tokenizer
        if tokenizer is not None:
            FileVocabulary(tokenizer, pad_to=about.model.vocab)  # refuses what is none, or is too large
    else:
        from t2jax.interop.huggingface_import import import_huggingface

        if any(value is not None for value in (options.tokenizer, options.heads, options.context)):
            raise ValueError('--tokenizer, --heads and --context are for openlm; a Hugging Face folder says all three')
        about, params, tokenizer = import_huggingface(options.source, **common)
    if options.bos:
        about = dataclasses.replace(about, bos=None if options.bos == 'none' else options.bos)
    if about.bos and tokenizer and FileVocabulary(tokenizer, end_token=about.end).id_of(about.bos) is None:
        raise ValueError(f'--bos is {about.bos!r}, and {tokenizer} has no such token; name one of its tokens, or none')
    save_imported(options.out, about, params, tokenizer)
    n = costs.count_params(about.model)
    result = {'out': str(options.out), 'name': about.name, 'model': type(about.model).__name__, 'params': n}
    result |= {'tokens': about.tokens, 'context': about.context, 'bos': about.bos, 'source': about.source}
    if options.json:
        print(json.dumps(result))
        return
    trained = f'{about.tokens:.4g} tokens' if about.tokens else 'tokens not said: give --tokens before laws can use it'
    print(f'{about.name}: {result["model"]}, N = {n:,} without the input embedding, {trained}; {options.out}')


def run_export(options: argparse.Namespace) -> None:
    """Write a model for transformers."""
    import jax

    from t2jax.interop.huggingface_export import export_huggingface
    from t2jax.interop.special_tokens import puts_bos
    from t2jax.mesh import make_mesh
    from t2jax.training.trained import open_trained

    trained = open_trained(options.checkpoint, options.step)
    params = trained.load(make_mesh(jax.devices()[:1]))
    with tempfile.TemporaryDirectory() as folder:
        tokenizer, end = _tokenizer(trained, options.tokenizer, Path(folder))
        about = trained.start or trained.imported
        bos = about.bos if about else end  # a run's documents are parted by it
        adds = about is not None and bos is not None and puts_bos(tokenizer)
        sizes = trained.context, bos, end, trained.tokens, adds
        how = export_huggingface(trained.model, params, tokenizer, options.out, *sizes)
    if tokenizer is None:
        how += ' No tokenizer was written, as none was given.'
    print(json.dumps({'out': str(options.out), 'how': how}) if options.json else how)


def _tokenizer(trained: 'Trained', given: Path | None, folder: Path) -> tuple[Path | None, str | None]:
    """Return a copy of the model's tokenizer.json, or its words as one, and what ends a document."""
    from t2jax.data.vocabulary import WordVocabulary
    from t2jax.evaluation.vocabularies import open_vocabulary

    path = trained.tokenizer if given is None else given
    words = trained.workdir / 'data' / 'vocabulary.json' if trained.workdir else None
    if path is None and not (words and words.exists()):
        return None, trained.imported.end if trained.imported else None
    vocabulary = open_vocabulary(trained, given)
    if path is not None and path.suffix != '.json':
        raise ValueError(f'{path} is not a tokenizer.json, which is all that transformers loads as it is')
    copy = folder / 'tokenizer.json'
    content = vocabulary.to_tokenizer_json() if isinstance(vocabulary, WordVocabulary) else path.read_text()
    copy.write_text(content, encoding='utf-8')
    return copy, vocabulary.token_of(vocabulary.end_id)


def run_lm_eval(options: argparse.Namespace) -> None:
    """Hand all flags to lm-evaluation-harness, which then knows the model `t2jax`."""
    from t2jax.cli import studies
    from t2jax.interop.lm_eval import main

    studies.use_compile_cache()
    main(options.overrides)
