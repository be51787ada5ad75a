"""Numbers as people read them: 6.04k parameters, 1.6e11 FLOPs, 63.6 %; and the names of laws, tasks and stages."""

import math

CHINCHILLA = 'chinchilla'
APPROACH_1 = 't2-nll'
APPROACH_2 = 't2-accuracy'
LAW_NAMES = {CHINCHILLA: 'Chinchilla', APPROACH_1: 'Approach 1 (NLL)', APPROACH_2: 'Approach 2 (pass@k)'}
RIVAL_NAMES = {
    't2-nll-overtraining': 'Approach 1 with overtraining (NLL)',
    'per-k': 'Per-k (NLL)',
    'log-bilinear': 'Log-bilinear (pass@k)',
}
TARGET_NAMES = {'nll': 'NLL (nats)', 'pass_at_k': 'pass@k'}
TASK_NAMES = {'text': 'held-out text', 'macro': 'mean over tasks', 'rw': 'RefinedWeb', 'owt2': 'OpenWebText2'}
STAGE_NAMES = {'base': 'base', 'ft': 'FT', 'sft': 'SFT'}

_SUFFIXES = ((1e12, 'T'), (1e9, 'B'), (1e6, 'M'), (1e3, 'k'))


def law_name(law: str) -> str:
    """Name a law for people; one that this module does not know keeps its own name."""
    return (LAW_NAMES | RIVAL_NAMES).get(law, law)


def task_name(task: str) -> str:
    """Name a task for people: its own name, but for the text held out and the mean over tasks."""
    return TASK_NAMES.get(task, task)


def human_count(value: float, digits: int = 3) -> str:
    """Write a count with `digits` significant digits and k, M, B or T: 6036 -> '6.04k', 2.20e6 -> '2.2M'."""
    if not math.isfinite(value):
        return '–'
    # Rounded first, so that 999,960 becomes '1M' and never '1000k'.
    rounded = float(f'{value:.{digits}g}')
    for size, suffix in _SUFFIXES:
        if abs(rounded) >= size:
            return f'{_significant(rounded / size, digits)}{suffix}'
    return _significant(rounded, digits)


def human_flops(value: float) -> str:
    """Write FLOPs in short scientific form: 8e10, 1.6e11, 2.56e19."""
    mantissa, exponent = f'{value:.2e}'.split('e')
    return f'{float(mantissa):g}e{int(exponent)}'


def human_ratio(value: float) -> str:
    """Write tokens per parameter: 0.9, 14, 212, 2,928."""
    if not math.isfinite(value):
        return '–'
    if value >= 1e5:
        return human_count(value)
    return f'{value:,.0f}' if value >= 9.5 else f'{value:.1f}'


def human_percent(value: float | None) -> str:
    """Write a share in percent with about three significant digits: .6358 -> '63.6 %', .0014 -> '0.14 %'."""
    if value is None or not math.isfinite(value):
        return '–'
    percent = 100 * value
    if abs(percent) >= 99.95:
        return f'{percent:,.0f} %'
    return f'{percent:.1f} %' if abs(percent) >= 9.95 or percent == 0 else f'{percent:.2f} %'


def human_value(value: float) -> str:
    """Write a round number of any size for an axis: 100, 2.5, 0.05, 1e-6."""
    return f'{value:g}' if value >= 0.01 else human_flops(value)


def human_error(value: float) -> str:
    """Write a relative error in percent, or, where it is past all reason, in times: 1.64e3 times."""
    return human_percent(value) if value < 99.5 else f'{human_flops(value)} times'


def human_loss(value: float | None) -> str:
    """Write a negative log-likelihood in nats with three decimals."""
    return '–' if value is None or not math.isfinite(value) else f'{value:.3f}'


def whole_samples(samples: float) -> int:
    """Round k = C_inf / (2N) down to samples that can be drawn; 0 where the budget buys none."""
    return math.floor(samples + 1e-9) if math.isfinite(samples) else 0


def _significant(value: float, digits: int) -> str:
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f'{value:.{decimals}f}'
    return text.rstrip('0').rstrip('.') if '.' in text else text
