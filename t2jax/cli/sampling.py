"""Commands about repeated sampling: sample, passk."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t2jax.cli import hosts, studies
from t2jax.cli.progress import LateBar

if TYPE_CHECKING:
    from t2jax.evaluation.sampled import Request

GIB = 2**30


def describe(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add both commands."""
    sub = add('sample', run_sample, 'draw many samples of every question of a task; killed, it goes on')
    sub.add_argument('checkpoint', help='folder of a run, WORKDIR/runs/NAME, or of an import; may be in a bucket')
    what = "a task of the run's study, one of `t2jax tasks`, or a .jsonl file: id, prompt, answer on each line"
    sub.add_argument('--task', required=True, help=what)
    sub.add_argument('--samples', type=int, default=64, help='of each question (default: 64)')
    sub.add_argument('--out', required=True, metavar='FOLDER', help='where samples go; may be in a bucket')
    sub.add_argument('--temperature', type=float, default=1.0, help='0: the likeliest token (default: 1)')
    sub.add_argument('--top-p', type=float, default=1.0, help='share of the probability to draw from (default: 1)')
    sub.add_argument('--top-k', type=int, default=0, help='tokens to draw from (default: 0, all)')
    sub.add_argument('--max-tokens', type=int, help='of a sample (default: those of the longest answer)')
    what = 'token that ends a sample, may be repeated (default: . in a study, else the end of a document)'
    sub.add_argument('--stop-token', action='append', default=[], metavar='TEXT', help=what)
    what = 'text that ends a sample, may be repeated'
    sub.add_argument('--stop-string', action='append', default=[], metavar='TEXT', help=what)
    sub.add_argument('--seed', type=int, default=0, help='of the samples (default: 0)')
    what = (
        'exact (default but for tasks that have their own), normalised, numeric, or code: run with the tests that the '
        'answer holds, in a sandbox'
    )
    sub.add_argument('--grader', help=what)
    sub.add_argument('--tokenizer', type=Path, metavar='FILE', help='tokenizer.json or .model (default: its own)')
    sub.add_argument('--step', type=int, help='checkpoint of this step (default: the last)')
    what = 'memory of each device to use (default: 2 on a CPU, four fifths elsewhere); changes no sample'
    sub.add_argument('--memory', type=float, metavar='GIB', help=what)
    sub.add_argument('--cache-dtype', default='', help="of keys and values: bfloat16 or float32 (default: the model's)")
    group = sub.add_argument_group('more samples where they are needed')
    what = 'double the samples of questions whose 90 %% interval of pass@k is wider than WIDTH, e.g. 0.2'
    group.add_argument('--band', type=float, metavar='WIDTH', help=what)
    group.add_argument('--target-k', type=float, metavar='K', help='k of that interval (default: --samples)')
    group.add_argument('--most-samples', type=int, metavar='N', help='at most, of a question (default: 16 x --samples)')
    hosts.describe(sub.add_argument_group('several hosts'))

    sub = add('passk', run_passk, 'pass@k of samples with its band, and whether likelihoods agree')
    sub.add_argument('folders', nargs='+', metavar='FOLDER', help='what `t2jax sample` wrote; one a task')
    sub.add_argument('--k', help='numbers of tries, e.g. 1,10,100 (default: powers of 2 up to the samples drawn)')
    what = 'tries to predict, beyond the samples too, by a beta-binomial, e.g. 10000,100000'
    sub.add_argument('--predict', metavar='K', help=what)
    sub.add_argument('--impossible', action='store_true', help='let some questions be impossible in the prediction')
    what = 'hand on one of k samples: majority, or the one of highest log_prob, model_log_prob or score (--scores)'
    sub.add_argument('--select', help=what)
    sub.add_argument('--scores', type=Path, metavar='FILE', help="a verifier's: CSV of question, sample, score")
    sub.add_argument('--level', type=float, default=0.95, help='of bands (default: 0.95)')
    sub.add_argument('--seed', type=int, default=0, help='of resampling (default: 0)')
    sub.add_argument('--plot', type=Path, help='draw the curves of one folder: .png, .pdf or .svg')


def run_sample(options: argparse.Namespace) -> None:
    """Sample a checkpoint."""
    request = _request(options)
    with hosts.joined(options):
        import jax

        from t2jax.evaluation.sampled import sample

        studies.use_compile_cache()
        first = jax.process_index() == 0
        with LateBar('sample', request.task, shown=first and not options.json) as bar:
            result = sample(request, options.out, bar.progress)
        if first:
            print(json.dumps(result) if options.json else _said(result, options.out))


def _request(options: argparse.Namespace) -> 'Request':
    from etils import epath

    from t2jax.evaluation.sampled import Request
    from t2jax.laws.sequential import Plan
    from t2jax.sampling.job import Sampling

    adaptive = {'target-k': options.target_k, 'most-samples': options.most_samples}
    if options.band is None and any(value is not None for value in adaptive.values()):
        given = next(name for name, value in adaptive.items() if value is not None)
        raise ValueError(f'--{given} is for adaptive sampling; say with --band how wide an interval may be')
    if options.samples < 1:
        raise ValueError(f'samples is {options.samples}; draw at least 1 of each question')
    most = options.samples if options.band is None else options.most_samples or 16 * options.samples
    return Request(
        checkpoint=epath.Path(options.checkpoint),
        task=options.task,
        plan=Plan(options.samples, most, options.target_k or options.samples, options.band),
        step=options.step,
        tokenizer=options.tokenizer,
        max_tokens=options.max_tokens,
        sampling=Sampling(
            max_tokens=1 if options.max_tokens is None else options.max_tokens,
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=options.top_k,
            seed=options.seed,
            stop_strings=tuple(options.stop_string),
            cache_dtype=options.cache_dtype,
        ),
        stop_tokens=options.stop_token,
        grader=options.grader,
        memory=None if options.memory is None else options.memory * GIB,
    )


def _said(result: dict[str, Any], folder: str) -> str:
    rate = result['correct'] / result['samples']
    return (
        f'{result["samples"]:,} samples of {result["task"]}, {result["correct"]:,} right ({rate:.3g}); '
        f'wasted share, slots without a sample: {result["wasted_share"]:.1%}; {folder}'
    )


def run_passk(options: argparse.Namespace) -> None:
    """Print and draw pass@k of sampled folders."""
    from t2jax.evaluation.curves import read_folder, summarize
    from t2jax.plotting.passk import agreement_lines, curve_lines

    if options.plot:
        from t2jax.plotting.laws import figure_kind

        figure_kind(options.plot)
        if len(options.folders) > 1:
            raise ValueError(f'--plot draws one folder, and there are {len(options.folders)}; give one')
    ks, predicted = (_numbers(options, name) for name in ('k', 'predict'))
    folders = [read_folder(folder) for folder in options.folders]
    settings = {'ks': ks, 'predicted': predicted, 'impossible': options.impossible, 'select': options.select}
    settings |= {'scores': options.scores, 'level': options.level, 'seed': options.seed}
    found = summarize(folders, **settings)
    if options.json:
        print(json.dumps(found.to_dict()))
    else:
        for folder, curves, selected in zip(folders, found.curves, found.selected):
            print(f'{folder.job.run}, {folder.job.task}: {folder.summary()}\n\n{curve_lines(curves)}\n')
            for row in selected:
                print(f'one of {row["k"]:,} samples, by {row["select"]}: right in {row["value"]:.2%}')
        print(agreement_lines(found.agreement) if found.agreement else found.no_agreement)
    if options.plot:
        from t2jax.plotting.laws import write_figure
        from t2jax.plotting.passk import passk_figure

        job = folders[0].job
        figure, _ = passk_figure(found.curves[0], f'{job.run}, {job.task}', int(folders[0].n.min()))
        write_figure(options.plot, figure)


def _numbers(options: argparse.Namespace, name: str) -> list[float] | None:
    text = getattr(options, name)
    try:
        return None if text is None else [float(part) for part in text.split(',')]
    except ValueError:
        raise ValueError(f'--{name} is {text!r}; list numbers of tries, e.g. 1,10,100') from None
