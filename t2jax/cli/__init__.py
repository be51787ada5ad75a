"""The command line: parse, call one function, turn a bad input into one sentence and exit code 2.

Heavy imports happen inside the command that needs them, so that `t2jax --help` and `t2jax plan` answer at once.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from t2jax.cli import collecting, finetuning, interop, laws, planning, pretraining, sampling, studies, tasks, text

Add = Callable[..., argparse.ArgumentParser]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the flags in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f'{self.prog}: {message}; see {self.prog} --help\n')


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 bad input, 130 or 143 stopped by Ctrl-C or SIGTERM."""
    parser = make_parser()
    options, rest = parser.parse_known_args(argv)
    if rest and options.command not in (*studies.STAGES_OF, *pretraining.TAKES_FLAGS, *interop.TAKES_FLAGS):
        parser.error(f'unrecognized arguments: {" ".join(rest)}')
    options.overrides = rest
    try:
        options.run(options)
    except KeyboardInterrupt as stop:
        goes_on = (
            '; the same command goes on from here'
            if options.command in (*studies.STAGES_OF, 'tokenize', 'sample', 'score', 'finetune')
            else ''
        )
        print(f'\n{str(stop) or "stopped"}{goes_on}', file=sys.stderr)
        return getattr(stop, 'code', 130)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f't2jax {options.command}: {error}', file=sys.stderr)
        return 2
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Describe all commands."""
    parser = _Parser(prog='t2jax', description='How big, how long, how many samples: T2 scaling laws.')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')

    def add(name: str, run: Callable[[argparse.Namespace], None], what: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=what, description=what, add_help=name not in interop.TAKES_FLAGS)
        sub.set_defaults(run=run)
        if name not in interop.TAKES_FLAGS:
            sub.add_argument('--json', action='store_true', help='print the result as JSON')
        return sub

    _describe_studies(add)
    text.describe(add)
    tasks.describe(add)
    sampling.describe(add)
    finetuning.describe(add)
    collecting.describe(add)
    interop.describe(add)
    _describe_laws(add)
    return parser


def _describe_studies(add: Add) -> None:
    for name, what in (
        ('study', 'run a whole study: data, train, evaluate, posttrain, fit, report'),
        ('train', 'make the data and train the runs of a study'),
        ('evaluate', 'measure the trained runs of a study'),
        ('posttrain', 'fine-tune the trained runs of a study, and measure them again'),
    ):
        sub = add(name, studies.run_study, f'{what}. Other flags override its config, e.g. --seed 1 --recipe.z-loss 0')
        sub.add_argument('experiment', type=Path, help='Python file that defines STUDY, e.g. experiments/mini.py')
        kind = str if name == 'train' else Path  # a grid's may be an address in a bucket
        sub.add_argument('--workdir', type=kind, help="where everything goes (default: the experiment's)")
        if name == 'train':
            pretraining.describe(add, sub)
        if name == 'study':
            what = 'run this stage only (again for more): data, train, evaluate, posttrain, fit or report'
            sub.add_argument('--stage', action='append', choices=studies.STAGES_OF['study'], help=what)
    sub = add('report', studies.run_report, 'draw the report of a study again; or fit and report a table of results')
    sub.add_argument('source', type=Path, help='workdir of a study, or a table: CSV or Parquet')
    group = sub.add_argument_group('a table')
    group.add_argument('--inference-flops', type=float, help='budget of all samples per served token, 2 N k')
    group.add_argument('--losses', type=Path, help='table of losses on text, for Chinchilla (default: NLL at k = 1)')
    group.add_argument('--overtrained-from', type=float, help='D/N above which runs test the laws (default: 300)')
    group.add_argument('--workdir', type=Path, help='where everything goes (default: out/TABLE)')


def _describe_laws(add: Add) -> None:
    sub = add('fit', laws.run_fit, 'fit the laws of a study, or one law to a table')
    sub.add_argument('source', type=Path, help='workdir of a study, or a table: CSV or Parquet')
    sub.add_argument(
        '--law', help='t2-nll (default), chinchilla, t2-accuracy, t2-nll-overtraining, per-k or log-bilinear'
    )
    _describe_data(sub)
    sub.add_argument('--route', help='projected (default) or full: search all parameters, as the paper does')
    sub.add_argument('--objectives', action='store_true', help='show what the choice of the objective changes')
    sub.add_argument('--bootstrap', type=int, help='refits for intervals (default: 400; 0: none)')
    sub.add_argument('--resample', help='what to draw again: runs (default), questions or both')
    sub.add_argument('--out', type=Path, help='where to write the fit (default: print it only)')

    sub = add('compare', laws.run_compare, 'fit every law to the near-Chinchilla runs, test it on the overtrained ones')
    sub.add_argument('source', type=Path, help='table: CSV or Parquet; or the workdir of a study')
    what = 'tokens per parameter above which a run is held out (default: 100)'
    sub.add_argument('--overtrained-from', type=float, default=100.0, help=what)
    _describe_data(sub)

    _describe_plan(add('plan', planning.run_plan, 'choose params, tokens and samples for a budget'))


def _describe_plan(sub: argparse.ArgumentParser) -> None:
    sub.add_argument('source', type=Path, help='fit file, or workdir of a study')
    sub.add_argument('--train-flops', type=float, help='training budget, 6 N D')
    sub.add_argument(
        '--inference-flops',
        type=float,
        help='budget per served token, 2 N k; per question with --answer-tokens',
    )
    sub.add_argument('--total-flops', type=float, help='or one budget for training and for all --questions')
    sub.add_argument('--questions', type=float, help='how many questions the model answers in its life')
    sub.add_argument('--answer-tokens', type=int, default=1, help='tokens of a sample (default: 1)')
    sub.add_argument('--prompt-tokens', type=int, help='tokens of a prompt, for prices that count them')
    what = (
        'what FLOPs are: paper (6 N D, 2 N k; default); transformer (exact, with attention and prompt); v4, v5e, v5p '
        'or v6e (eFLOPs of that TPU: with memory bandwidth); or a table of measured tokens_per_second by params '
        '(budgets are then seconds)'
    )
    sub.add_argument('--price', default='paper', help=what)
    sub.add_argument('--batch', type=int, help='rows decoded at once, at least k, for a TPU (default: 1)')
    what = 'dollars per hour of the measured speeds: budgets are then dollars'
    sub.add_argument('--dollars-per-hour', type=float, help=what)
    what = 'coverage (any right sample counts; default), verifier:TRUE_POSITIVE,FALSE_POSITIVE or majority'
    sub.add_argument('--select', default='coverage', help=what)
    sub.add_argument('--plot', type=Path, help='draw the plan: .png, .pdf or .svg')


def _describe_data(sub: argparse.ArgumentParser) -> None:
    """Add the flags that say what a law is fitted to."""
    sub.add_argument('--objective', help='sse (default) or log-huber')
    sub.add_argument('--task', help='one of the tasks (default: the mean over tasks)')
    sub.add_argument('--k', help='of a table by question: the numbers of samples to derive, e.g. 1,4,16')
    what = (
        'of a table by question: likelihood, unbiased, beta-binomial or zero-inflated (default: what its columns allow)'
    )
    sub.add_argument('--estimator', help=what)
    sub.add_argument('--starts', type=int, help='starting points of the search (default: 500)')
    sub.add_argument('--seed', type=int, help='of starts and resampling (default: 0)')
    sub.add_argument('--plot', type=Path, help='draw the result: .png, .pdf or .svg')
