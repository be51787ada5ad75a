"""The command plan: budgets, a price and a selection from flags, and what every fit would buy. Loads no jax."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from t2jax.cli.laws import check_outputs

if TYPE_CHECKING:
    from t2jax.laws.budgets import Budget
    from t2jax.laws.prices import Price
    from t2jax.laws.selection import Selection


def run_plan(options: argparse.Namespace) -> None:
    """Allocate a budget by every fit of a source."""
    from t2jax.laws.plan import plan
    from t2jax.laws.record import load_fit
    from t2jax.plotting.plan import plan_lines

    if options.plot:
        check_outputs(options)
    folder = options.source / 'fits'
    paths = sorted(folder.glob('*.json')) if options.source.is_dir() else [options.source]
    if not paths:
        raise FileNotFoundError(f'no fits in {folder}; run `t2jax study` or `t2jax fit` first')
    fits = [load_fit(path) for path in paths]
    result = plan(fits, budget_of(options), price=price_of(options), selection=selection_of(options.select))
    if options.plot:
        from t2jax.plotting.laws import plan_figure, write_figure

        write_figure(options.plot, plan_figure(result)[0])
    print(json.dumps(result) if options.json else plan_lines(result))


def budget_of(options: argparse.Namespace) -> 'Budget':
    """Read either pair of budget flags."""
    from t2jax.laws.budgets import EndToEnd, Separate

    separate = options.train_flops, options.inference_flops
    end_to_end = options.total_flops, options.questions
    if None not in separate and end_to_end == (None, None):
        return Separate(*separate)
    if None not in end_to_end and separate == (None, None):
        return EndToEnd(*end_to_end)
    raise ValueError('give --train-flops and --inference-flops, or --total-flops and --questions: one pair, whole')


def price_of(options: argparse.Namespace) -> 'Price':
    """Read what a FLOP of the budgets buys."""
    from t2jax.chips import TPUS
    from t2jax.laws.hardware import BandwidthPrice, TransformerPrice
    from t2jax.laws.prices import MoneyPrice, PaperPrice, read_measured

    answer, name, prompt, batch = options.answer_tokens, options.price, options.prompt_tokens, options.batch
    exact = name == 'transformer' or name in TPUS
    if prompt is not None and not exact:
        raise ValueError(f'--prompt-tokens is for --price transformer or a TPU; {name} does not count prompts')
    if batch is not None and name not in TPUS:
        raise ValueError(f'--batch is for the price of a TPU; {name} does not depend on it')
    price: Price
    if name == 'paper':
        price = PaperPrice(answer)
    elif exact:
        if (prompt or 0) < 1 or answer < 2:
            raise ValueError(
                f'--price {name} counts what is read and written: give --prompt-tokens of at least 1 and '
                '--answer-tokens of at least 2'
            )
        price = TransformerPrice(prompt, answer)
        price = price if name == 'transformer' else BandwidthPrice(price, name, 1 if batch is None else batch)
    elif Path(name).is_file():
        price = read_measured(name, answer)
    else:
        raise ValueError(f'--price is {name!r}; give paper, transformer, {", ".join(TPUS)} or a table of speeds')
    if options.dollars_per_hour is None:
        return price
    if price.unit != 'seconds':
        raise ValueError(f'--dollars-per-hour is for measured speeds, --price TABLE; --price {name} is in {price.unit}')
    return MoneyPrice(price, options.dollars_per_hour / 3600)


def selection_of(text: str) -> 'Selection':
    """Read how one of the samples is chosen."""
    from t2jax.laws.selection import COVERAGE, MajorityVote, Verifier

    name, _, rates = text.partition(':')
    try:
        if name == 'verifier':
            true_positive, false_positive = map(float, rates.split(','))
            return Verifier(true_positive, false_positive)
    except ValueError as error:
        raise ValueError(f'--select is {text!r}: {error}; a verifier is e.g. verifier:0.9,0.05') from None
    if rates or name not in ('coverage', 'majority'):
        raise ValueError(f'--select is {text!r}; give coverage, verifier:TRUE_POSITIVE,FALSE_POSITIVE or majority')
    return COVERAGE if name == 'coverage' else MajorityVote()
