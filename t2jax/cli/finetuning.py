"""The command finetune."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from t2jax.cli import studies


def describe(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    sub = add('finetune', run_finetune, "fine-tune trained models on a task's questions, at several learning rates")
    sub.add_argument('checkpoints', nargs='+', help='folders of runs, WORKDIR/runs/NAME, or of imported models')
    what = 'what to train on: NAME:FILE, rows of a published task, or a .jsonl of questions'
    sub.add_argument('--task', required=True, help=what)
    sub.add_argument('--validation', required=True, metavar='FILE', help='the same, to choose a learning rate by')
    sub.add_argument('--test', metavar='FILE', help='the same, to score the models and what was chosen on')
    sub.add_argument('--out', required=True, metavar='FOLDER', help='where runs, tables and scores go')
    what = 'ft: loss on prompt and answer; sft: on the answer (default: both)'
    sub.add_argument('--stage', action='append', choices=('ft', 'sft'), help=what)
    sub.add_argument('--learning-rates', default='2e-5', help='constant ones, each tried, e.g. 2e-5,1e-4,5e-4')
    sub.add_argument('--epochs', type=int, default=6, help='(default: 6)')
    sub.add_argument('--batch', type=int, default=8, help='questions of a step (default: 8)')
    sub.add_argument('--seed', type=int, default=0, help='of the order of questions (default: 0)')
    sub.add_argument('--together', type=int, default=1, help='fine-tunings of a model trained at once, under vmap')
    what = 'save unfinished ones every so many steps, to go on from after a kill (default: 0, at Ctrl-C alone)'
    sub.add_argument('--checkpoint-steps', type=int, default=0, help=what)
    what = 'leave out training questions that are held out too, and all questions too long for the model'
    sub.add_argument('--leave-out', action='store_true', help=what)
    sub.add_argument('--tokenizer', type=Path, metavar='FILE', help="tokenizer.json or .model (default: the model's)")
    sub.add_argument('--plot', type=Path, help='draw validation by epoch: .png, .pdf or .svg')


def run_finetune(options: argparse.Namespace) -> None:
    """Fine-tune models on one task."""
    from t2jax.cli.progress import LateBar
    from t2jax.evaluation.vocabularies import open_vocabulary
    from t2jax.posttraining.checkpoints import Model, find_lesson, fine_tune_models, without_misfits
    from t2jax.posttraining.settings import STAGES, FineTuning
    from t2jax.training.trained import open_trained

    studies.use_compile_cache()
    if options.plot:
        from t2jax.plotting.laws import figure_kind

        figure_kind(options.plot)
        if '://' in options.out:
            raise ValueError(f'--plot reads tables that are in {options.out}, a bucket; leave it out')
    try:
        rates = tuple(float(rate) for rate in options.learning_rates.split(','))
    except ValueError:
        raise ValueError(f'--learning-rates is {options.learning_rates!r}; give numbers, as in 2e-5,1e-4') from None
    settings = FineTuning(
        stages=tuple(stage for stage in STAGES if stage in (options.stage or STAGES)),
        learning_rates=rates,
        epochs=options.epochs,
        batch=options.batch,
        seed=options.seed,
        together=options.together,
        checkpoint_steps=options.checkpoint_steps,
    )
    models = []
    for folder in options.checkpoints:
        trained = open_trained(folder)
        tokenizer = options.tokenizer or trained.tokenizer
        models.append(Model(trained, open_vocabulary(trained, options.tokenizer), tokenizer))
    names = [model.trained.name for model in models]
    if len(set(names)) < len(names):
        raise ValueError(f'of the models {", ".join(names)} two are called the same; fine-tune them into two folders')
    lesson, test = find_lesson(options.task, options.validation, options.test)
    if options.leave_out:
        lesson, test, counts = without_misfits(lesson, test, models)
        if not options.json:
            print('left out:', ', '.join(f'{count} {name} questions' for name, count in counts.items()))
    with LateBar('FLOP', lesson.task, shown=not options.json) as bar:
        outcomes, scored = fine_tune_models(models, lesson, test, settings, options.out, bar.progress)
    rows = [_row(outcome, scored) for outcome in outcomes]
    if options.plot:
        from t2jax.plotting.laws import write_figure
        from t2jax.plotting.posttraining import curves_figure
        from t2jax.plotting.posttraining_results import read_fine_tunings

        write_figure(options.plot, curves_figure(read_fine_tunings(Path(options.out) / lesson.task))[0])
    print(json.dumps(rows) if options.json else '\n'.join(map(_said, rows)))


def _row(outcome: Any, scored: dict[str, dict[str, Any]]) -> dict[str, Any]:
    run, _, _, task, stage, rate = outcome.about
    row = {'run': run, 'task': task, 'stage': stage, 'learning_rate': float(rate), 'chosen': outcome.chosen}
    row |= {'validation_nll_before': outcome.validation_nll[0], 'validation_nll': outcome.validation_nll[-1]}
    if outcome.chosen and scored:
        for end, name in (('_before', run), ('', outcome.job.run.name)):
            row |= {f'test_{what}{end}': scored[name][what] for what in ('nll', 'pass_at_1')}
    return row | {'folder': str(outcome.job.folder)}


def _said(row: dict[str, Any]) -> str:
    nll = f'{row["validation_nll_before"]:.4g} -> {row["validation_nll"]:.4g}'
    said = f'{row["run"]}, {row["task"]}, {row["stage"]} at {row["learning_rate"]:g}: validation NLL {nll} nats'
    if row['chosen']:
        said += ', chosen'
    if 'test_nll' in row:
        said += f'; test NLL {row["test_nll_before"]:.4g} -> {row["test_nll"]:.4g}'
        said += f', pass@1 {row["test_pass_at_1_before"]:.4g} -> {row["test_pass_at_1"]:.4g}'
    return f'{said}; {row["folder"]}'
