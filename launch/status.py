"""The state of a sweep in words: what is done, what runs where, what is left, what it has cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from launch.claims import Job, State
from launch.ledger import Asked, spent
from launch.plan import Plan

DONE, RUNNING, WAITING, GIVEN_UP = 'done', 'running', 'waiting', 'given up'


def rows(plan: Plan, states: Mapping[str, State], asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """Return a row for each run: state, slice, zone, attempts, share trained, hours left by `t2jax inspect`."""
    slices = {one.name: one for one in asked}
    return [_row(job, states.get(job.name, State()), slices, plan.retries) for job in plan.chosen]


def _row(job: Job, state: State, slices: Mapping[str, Asked], retries: int) -> dict[str, Any]:
    where = slices.get(state.open.slice) if state.open else None
    if state.done:
        what = DONE
    elif state.open:
        what = RUNNING
    else:
        what = GIVEN_UP if state.given_up(retries) else WAITING
    share = 1.0 if state.done else state.share
    left = job.chip_hours * (1 - share)
    return {
        'run': job.name,
        'state': what,
        'slice': where.name if where else None,
        'zone': where.zone if where else None,
        'attempts': len(state.attempts),
        'failures': state.failures(),
        'share': share,
        'chip_hours_left': left,
        'hours_left': left / where.chips if where else None,
        'flops': job.flops,
    }


def totals(table: Sequence[Mapping[str, Any]], asked: Sequence[Asked], now: float) -> dict[str, Any]:
    """Return counts by state, FLOPs trained, slices, hours and dollars so far, and hours until all is done."""
    hours, dollars = spent(asked, now)
    live = [one for one in asked if one.gone is None and one.active is not None]
    left = sum(row['chip_hours_left'] for row in table if row['state'] in (RUNNING, WAITING))
    longest = max((row['hours_left'] for row in table if row['hours_left']), default=0.0)
    chips = sum(one.chips for one in live)
    return {
        **{what: sum(row['state'] == what for row in table) for what in (DONE, RUNNING, WAITING, GIVEN_UP)},
        'flops_trained': sum(row['flops'] * row['share'] for row in table),
        'flops': sum(row['flops'] for row in table),
        'slices': len(live),
        'slices_waited_for': sum(one.gone is None and one.active is None for one in asked),
        'slice_hours': hours,
        'dollars': dollars,
        'hours_left': max(left / chips, longest) if chips else None,
    }


def line(plan: Plan, sums: Mapping[str, Any]) -> str:
    """Say in one line how far a sweep is."""
    count = sum(sums[what] for what in (DONE, RUNNING, WAITING, GIVEN_UP))
    given_up = f', {sums[GIVEN_UP]} given up' if sums[GIVEN_UP] else ''
    left = f'about {duration(sums["hours_left"])} left' if sums['hours_left'] else 'nothing left'
    if sums['hours_left'] is None:
        left = 'no slice yet' if sums[WAITING] + sums[RUNNING] else 'nothing left'
    return (
        f'{sums[DONE]} of {count} runs done{given_up}, {sums[RUNNING]} running on {sums["slices"]} slices '
        f'({sums["slices_waited_for"]} waited for), {sums["slice_hours"]:,.1f} slice-hours, '
        f'${sums["dollars"]:,.2f}, {left}'
    )


def table_lines(plan: Plan, table: Sequence[Mapping[str, Any]], asked: Sequence[Asked], now: float) -> str:
    """Lay a sweep out as a table: runs under way and given up, the next to come, slices, and the sums."""
    sums = totals(table, asked, now)
    shown = [row for row in table if row['state'] in (RUNNING, GIVEN_UP)]
    waiting = [row for row in table if row['state'] == WAITING]
    cells = [('run', 'state', 'slice', 'zone', 'attempts', 'trained', 'left')]
    for row in (*shown, *waiting[:5]):
        left = duration(row['hours_left']) if row['hours_left'] is not None else ''
        where = row['slice'] or '', row['zone'] or ''
        cells.append((row['run'], row['state'], *where, str(row['attempts']), f'{row["share"]:.0%}', left))
    lines = [f'{plan.id}: {plan.experiment} at commit {plan.commit[:12]}', '', *_aligned(cells)]
    if len(waiting) > 5:
        lines.append(f'and {len(waiting) - 5} more wait')
    cells = [('slice', 'kind', 'zone', 'there for', 'dollars')]
    for one in asked:
        if one.gone is None:
            there = duration(one.hours(now)) if one.active is not None else 'waited for'
            cells.append((one.name, one.slice, one.zone, there, f'{one.hours(now) * one.dollars_per_hour:,.2f}'))
    lines += ['', *_aligned(cells)] if len(cells) > 1 else []
    limits = plan.budget
    of = [f'{limits.hours:,g} slice-hours'] if limits.hours is not None else []
    of += [f'{limits.dollars:,g} dollars'] if limits.dollars is not None else []
    lines += ['', line(plan, sums), f'{sums["flops_trained"]:.3g} of {sums["flops"]:.3g} FLOPs (6 N D) are trained']
    if of:
        lines.append(f'it may take {" and ".join(of)}')
    return '\n'.join(lines)


def duration(hours: float | None) -> str:
    """Write hours as people say them."""
    minutes = round((hours or 0.0) * 60)
    days, rest = divmod(minutes, 24 * 60)
    if days:
        return f'{days} d {rest // 60} h'
    return f'{rest // 60} h {rest % 60:02d} min' if rest >= 60 else f'{rest} min'


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ['  '.join(map(str.ljust, row, widths)).rstrip() for row in cells]
