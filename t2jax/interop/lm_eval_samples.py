"""What lm-eval logs of a question (`--log_samples`), read as evidence about one sample.

A line of samples_TASK_TIME.jsonl is a question under one filter. By its requests (lm_eval/api/task.py, 0.4.13):

    loglikelihood       one request: nll = -(log-likelihood of the target)
    multiple_choice     a request for each choice: nll = -(log-likelihood of the right one); choices are never compared,
                        since T2 scores the answer's own likelihood (arXiv 2604.01411)
    generate_until      responses: how many of them a metric calls right
    loglikelihood_rolling    refused: a document has a likelihood but no answer
"""

import math
import re
from typing import Any

import numpy as np

FIELDS = {'doc_id', 'doc', 'target', 'arguments', 'resps', 'filtered_resps', 'filter'}
_OTHER = {'metrics', 'doc_hash', 'prompt_hash', 'target_hash'}
_FORM = 'arguments, resps or filtered_resps are not as lm-eval 0.4.13 writes them; log with --log_samples'
_TIME = r'\d{4}-\d\d-\d\dT[\d.-]+'


def task_of(name: str) -> str | None:
    """Return the task of a file named as lm-eval names it, samples_TASK_TIME.jsonl; None for another name."""
    named = re.fullmatch(rf'samples_(.+)_{_TIME}\.jsonl', name)
    return named[1] if named else None


def evidence_of(line: dict[str, Any], metric: str | None = None) -> dict[str, float]:
    """Return nll, or n_samples and n_correct, of a line.

    `metric` says which of the logged values tells right from wrong in a generated response: by default exact_match,
    acc, or one named like pass@1. Raises ValueError, one sentence without the place, for a line that has neither.
    """
    if not _is_logged(line):
        raise ValueError(_FORM)
    requests = [list(request.values()) for request in line['arguments'].values()]
    rolling, generated = len(requests[0]) == 1, isinstance(requests[0][-1], dict)
    if rolling:
        raise ValueError('loglikelihood_rolling scores whole documents, which have no right answer to sample')
    if generated:
        return _counts(line, metric)
    if metric:
        raise ValueError(f'the answer has a likelihood, and no responses that {metric} could grade; drop --metric')
    try:
        logs = [float(response[0][0]) for response in line['resps']]
    except (IndexError, KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(_FORM) from None
    if not all(len(request) > 1 and isinstance(request[1], str) for request in requests):
        raise ValueError(_FORM)
    log = logs[0] if len(logs) == 1 else logs[_gold(line, requests, logs)]
    if not -math.inf < log <= 1e-6:
        raise ValueError(f'the log-likelihood of the answer is {log}; it has to be a finite number of at most 0')
    return {'nll': max(0.0, -log)}


def _is_logged(line: dict[str, Any]) -> bool:
    """Return whether each request of a line has its arguments, and a list of what came back, none of them empty."""
    requests, resps, filtered = line['arguments'], line['resps'], line['filtered_resps']
    return (
        isinstance(requests, dict)
        and all(isinstance(request, dict) and request for request in requests.values())
        and all(isinstance(found, list) and len(found) == len(requests) > 0 for found in (resps, filtered))
        and all(isinstance(response, list) and response for response in resps)
    )


def _gold(line: dict[str, Any], requests: list[list[Any]], logs: list[float]) -> int:
    """Find the right choice: the target is its index, or its text."""
    target = str(line['target']).strip()
    n = len(requests) // 2 if 'acc_mutual_info' in line else len(requests)  # the other half has no prompt
    texts = [request[1].strip() for request in requests[:n]]
    if re.fullmatch(r'\[.*\]', target) and target not in texts:
        raise ValueError(f'the target is {target}, several choices; whose likelihood is the answer cannot be told')
    if target.isdecimal() and int(target) < n:
        gold = int(target)
    elif texts.count(target) == 1:
        gold = texts.index(target)
    else:
        raise ValueError(f'the target is {target!r}, neither the index nor the text of one of the {n} choices')
    if 'acc' in line and line['acc'] != int(np.argmax(logs[:n]) == gold):
        raise ValueError(f'acc is {line["acc"]}, which choice {gold} does not give; which one is right cannot be told')
    return gold


def _counts(line: dict[str, Any], metric: str | None) -> dict[str, float]:
    """Count right responses: a value each, a value of the only one, or pass@1 of all."""
    name = _metric(line, metric)
    value, kept, drawn = line[name], line['filtered_resps'][0], len(line['resps'][0])
    n = len(kept) if isinstance(kept, list) else 1
    if isinstance(value, list):
        if len(value) not in (n, drawn):
            raise ValueError(f'{name} has {len(value)} values for {drawn} responses; it has to have one each')
        n, right = len(value), sum(_binary(name, one) for one in value)
    elif n > 1 and _is_pass_at_1(name):
        share = value if isinstance(value, int | float) and 0 <= value <= 1 else math.nan
        right = 0 if math.isnan(share) else round(share * n)  # pass@1 is the share of right ones
        if not abs(right - share * n) <= 1e-6:
            raise ValueError(f'{name} is {value} of {n} responses, which is no whole number of right ones')
    elif max(n, drawn) > 1:
        raise ValueError(
            f'{name} is one number for {drawn} responses; log a value each (by a filter that keeps all, and a metric '
            'that returns a list, or pass@1), or one response'
        )
    else:
        right = _binary(name, value)
    return {'n_samples': n, 'n_correct': right}


def _metric(line: dict[str, Any], metric: str | None) -> str:
    logged = [name for name in line if name not in FIELDS | _OTHER]
    wanted = [metric] if metric else ['exact_match', 'acc', *filter(_is_pass_at_1, logged)]
    for name in wanted:
        if name in logged:
            return name
    known = ', '.join(logged) or 'none'
    raise ValueError(f'there is no metric {" or ".join(wanted)}; of those logged ({known}) choose one by --metric')


def _is_pass_at_1(name: str) -> bool:
    return re.match(r'pass(@|_at_)1(?!\d)', name) is not None


def _binary(name: str, value: Any) -> int:
    if value not in (0, 1):
        raise ValueError(f'{name} is {value!r}; a sample is right or wrong: choose a metric of 0 and 1 by --metric')
    return int(value)
