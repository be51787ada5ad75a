"""Fits and their comparison as text for a terminal, and as what --json prints."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from t2jax.laws.bands import LEVELS, band
from t2jax.laws.compare import Comparison
from t2jax.laws.forms import LAWS
from t2jax.laws.observations import MEASURES
from t2jax.laws.record import Fit, fit_to_dict
from t2jax.plotting.labels import human_error, human_percent, law_name
from t2jax.plotting.table import WIDTH


def intervals(fit: Fit) -> dict[str, Any]:
    """Describe a fit for --json: percentile intervals by parameter and level in place of the replicates."""
    values = fit_to_dict(fit)
    replicates = values.pop('replicates')
    values['intervals'] = {name: band(np.array(drawn)) for name, drawn in replicates.items()}
    return values


def fit_lines(fits: Sequence[Fit], n_left_out: int = 0) -> str:
    """Write the first fit with its intervals, and beside its parameters those of the others."""
    fit, *others = fits
    lines = [
        f'{law_name(fit.law)}, {fit.law}, of {fit.task}: {fit.n_points} points of {fit.n_runs} runs',
        f'{fit.objective} {fit.objective_value:.6g}, reached by {human_percent(fit.share_at_best)} of '
        f'{fit.starts} starts; gradient {fit.gradient_norm:.1g}, condition {fit.condition_number:.3g}',
        f'relative error {human_percent(fit.residuals["mean_relative"])} on average, at most '
        f'{human_percent(fit.residuals["largest_relative"])} ({fit.residuals["largest_at"]})',
        '',
    ]
    heads = [f'{level} %' for level in LEVELS] if fit.replicates else []
    lines.append(f'  {"":8}{fit.objective:>12}' + ''.join(f'{h:>26}' for h in heads))
    lines[-1] += ''.join(f'{other.objective:>14}' for other in others)
    for name, value in fit.parameters.items():
        bands = band(np.array(fit.replicates[name])).values() if fit.replicates else []
        cells = [f'{low:.5g} to {high:.5g}' for low, high in bands]
        line = f'  {name:8}{value:>12.6g}' + ''.join(f'{cell:>26}' for cell in cells)
        lines.append(line + ''.join(f'{other.parameters[name]:>14.6g}' for other in others))
    if fit.replicates:
        drawn = {'both': 'runs and questions'}.get(fit.resampled, fit.resampled)
        lines.append(f'  intervals: {len(next(iter(fit.replicates.values())))} refits to redrawn {drawn}')
    notes = list(fit.warnings)
    if fit.measure != 'unknown':
        averaged = ', averaged over tasks' if fit.task == 'macro' else ''
        notes.insert(0, f'nll is {MEASURES[fit.measure]}{averaged}')
    if n_left_out:
        notes.append(f'{n_left_out} rows were not measured (no sample was right) and are left out')
    for note in notes:
        lines += textwrap.wrap(f'! {note}', WIDTH, initial_indent='  ', subsequent_indent='    ')
    return '\n'.join(lines)


def comparison_rows(found: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Describe each law's scores for --json."""
    rows = []
    for one in found:
        row = {'law': one.law, 'target': one.target, 'refused': one.refused, 'scores': None, 'log_errors': None}
        if one.scores:
            row |= {'scores': asdict(one.scores), 'parameters': one.fit.parameters, 'warnings': one.fit.warnings}
        if one.log_errors:
            row['log_errors'] = dict(zip(('in_sample', 'held_out', 'null_in_sample', 'null_held_out'), one.log_errors))
        rows.append(row)
    return rows


def comparison_lines(found: Sequence[Comparison], overtrained_from: float) -> str:
    """Write the table of errors, best held-out error first, then the reasons of laws that have none."""
    scored = sorted((one for one in found if one.scores), key=lambda one: (one.target, one.scores.held_out))
    lines = [
        f'Fitted to runs of at most {overtrained_from:g} tokens per parameter, tested on the others.',
        'Mean relative errors; the null predicts, at each k, the mean of the runs fitted to.',
        '',
        f'{"law":<24}{"predicts":<10}{"in the fit":>12}{"null":>9}{"held out":>12}{"null":>9}',
    ]
    for one in scored:
        s = one.scores
        cells = (s.in_sample, s.null_in_sample, s.held_out, s.null_held_out)
        numbers = ''.join(f'{human_error(v):>{w}}' for v, w in zip(cells, (12, 9, 12, 9)))
        beaten = '' if s.held_out < s.null_held_out else '  loses to its null'
        predicts = 'nll, k = 1' if LAWS[one.law].single_pass else one.target
        lines.append(f'{law_name(one.law):<24}{predicts:<10}{numbers}{beaten}')
    together = sorted((one for one in scored if one.log_errors), key=lambda one: one.log_errors[1])
    if together:
        lines += ['', 'All on one scale, the mean |log(predicted pass@k / observed)|:', '']
        lines.append(f'{"law":<24}{"":<10}{"in the fit":>12}{"null":>9}{"held out":>12}{"null":>9}')
        for one in together:
            inside, outside, null_inside, null_outside = one.log_errors
            numbers = f'{inside:>12.3f}{null_inside:>9.3f}{outside:>12.3f}{null_outside:>9.3f}'
            beaten = '' if outside < null_outside else '  loses to its null'
            lines.append(f'{law_name(one.law):<24}{"":<10}{numbers}{beaten}')
    for one in found:
        if one.refused:
            lines += textwrap.wrap(f'! {one.law}: {one.refused}', WIDTH, subsequent_indent='  ')
    return '\n'.join(lines)
