"""Commands that open doors to other codebases: convert, export, lm-eval."""

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

FORMATS = ('openlm', 'huggingface')
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
    group.add_argument('--context', type=int, default=2048, help='tokens it was trained on at once (default: 2048)')

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
    from t2jax.training.trained import save_imported

    common = {'tokens': options.tokens, 'name': options.name, 'compute_dtype': options.compute_dtype}
    if options.tokens is not None and not options.tokens > 0:
        raise ValueError(f'--tokens is {options.tokens:g}; a model was trained on more than 0')
    if options.format == 'openlm':
        from t2jax.interop.openlm import import_openlm

        about, params = import_openlm(options.source, heads=options.heads, context=options.context, **common)
        tokenizer = options.tokenizer
        if tokenizer is not None:
            FileVocabulary(tokenizer, pad_to=about.model.vocab)  # refuses what is none, or is too large
    else:
        from t2jax.interop.huggingface_import import import_huggingface

        if options.tokenizer or options.heads:
            raise ValueError('--tokenizer and --heads are for openlm; a Hugging Face folder has both')
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

    from t2jax.data.tokenizers import end_token
    from t2jax.interop.huggingface_export import export_huggingface
    from t2jax.mesh import make_mesh
    from t2jax.training.trained import open_trained

    trained = open_trained(options.checkpoint, options.step)
    params = trained.load(make_mesh(jax.devices()[:1]))
    tokenizer = options.tokenizer or (None if trained.tokenizer is None else Path(trained.tokenizer))
    if trained.imported:
        bos, end = trained.imported.bos, trained.imported.end
    else:
        bos = end = end_token(tokenizer) if tokenizer else None  # a run's documents are parted by it
    how = export_huggingface(trained.model, params, tokenizer, options.out, trained.context, bos, end, trained.tokens)
    print(json.dumps({'out': str(options.out), 'how': how}) if options.json else f'{how}; {options.out}')


def run_lm_eval(options: argparse.Namespace) -> None:
    """Hand all flags to lm-evaluation-harness, which then knows the model `t2jax`."""
    from t2jax.cli import studies
    from t2jax.interop.lm_eval import main

    studies.use_compile_cache()
    main(options.overrides)
