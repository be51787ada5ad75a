"""Verdicts on three samples of three questions, and how tests write and compare results."""

import json

GRADES = {'p0': [True, False, True], 'p1': [False, False, False], 'p2': [True, True, True]}
TOTALS = [('p0', 3, 2), ('p1', 3, 0), ('p2', 3, 3)]
SAMPLES = [(name, grade) for i in range(3) for name, grades in GRADES.items() for grade in grades[i : i + 1]]


def evidence(results):
    return [(r.question, r.nll) if r.n_samples is None else (r.question, r.n_samples, r.n_correct) for r in results]


def write(path, content):
    if not isinstance(content, str | bytes):
        content = ''.join(json.dumps(row) + '\n' for row in content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
