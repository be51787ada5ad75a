"""Results in any form say the same, and every fault is told by file and line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import GRADES, SAMPLES, TOTALS, evidence, write

from t2jax.interop.results import read_results


def lines(*rows):
    return '\n'.join(','.join(map(str, row)) for row in rows) + '\n'


def parquet(path, rows):
    import pyarrow
    from pyarrow.parquet import write_table

    write_table(pyarrow.Table.from_pylist(rows), path)
    return path


FORMS = {
    'counts.csv': lines(('question', 'n_samples', 'n_correct'), *TOTALS),
    'ids.csv': lines(('orig_dset_idx', 'num_samples', 'num_correct', 'question'), *((*row, 'What?') for row in TOTALS)),
    'nc.csv': lines(('problem_id', 'n', 'c'), *TOTALS),
    'total.json': json.dumps([{'question_id': i, 'total': n, 'correct': c} for i, n, c in TOTALS], indent=1),
    'lists.jsonl': [{'orig_dset_idx': i, 'is_corrects': grades} for i, grades in GRADES.items()],
    'numbers.jsonl': [{'id': i, 'passed': [int(g) for g in grades]} for i, grades in GRADES.items()],
    'quoted.csv': 'task_id,corrects\n' + ''.join(f'{i},"{grades}"\n' for i, grades in GRADES.items()),
    'humaneval.jsonl': [{'task_id': i, 'completion': 'x', 'passed': grade} for i, grade in SAMPLES],
    'vllm.json': json.dumps([{'doc_id': i, 'tokens': [1, 2], 'correct': int(grade)} for i, grade in SAMPLES]),
    'samples.csv': lines(('question', 'is_correct'), *SAMPLES),
}


@pytest.mark.parametrize('name', FORMS)
def test_all_forms_of_verdicts_say_the_same(tmp_path, name):
    results = read_results(write(tmp_path / name, FORMS[name]))
    assert evidence(results) == TOTALS
    assert {r.task for r in results} == {name.partition('.')[0]}
    assert {(r.run, r.params, r.tokens, r.nll) for r in results} == {(None,) * 4}


def test_parquet_holds_the_same_forms(tmp_path):
    lists = parquet(tmp_path / 'lists.parquet', [{'problem_id': i, 'is_corrects': g} for i, g in GRADES.items()])
    each = parquet(tmp_path / 'each.parquet', [{'task_id': i, 'passed': g} for i, g in SAMPLES])
    assert evidence(read_results(lists)) == evidence(read_results(each)) == TOTALS


def test_another_field_may_tell_right_from_wrong(tmp_path):
    rows = [{'id': i, 'correct': 0, 'lenient': grade, 'n': 1, 'c': 0} for i, grade in SAMPLES]
    path = write(tmp_path / 'rows.jsonl', rows)
    assert evidence(read_results(path, 'lenient')) == TOTALS
    with pytest.raises(ValueError, match='rows.jsonl has no field strict; --metric names one of id, correct'):
        read_results(path, 'strict')


@given(st.dictionaries(st.integers(0, 50), st.lists(st.booleans(), min_size=1, max_size=9), min_size=1), st.randoms())
def test_samples_are_added_up_in_any_order(tmp_path_factory, grades, shuffle):
    rows = [{'task_id': name, 'passed': grade} for name, mine in grades.items() for grade in mine]
    shuffle.shuffle(rows)
    results = read_results(write(tmp_path_factory.getbasetemp() / 'shuffled.jsonl', rows))
    assert sorted(evidence(results)) == sorted((str(i), len(mine), sum(mine)) for i, mine in grades.items())


def test_sizes_and_names_of_a_table_are_kept(tmp_path):
    head = 'run,params,tokens,task,question,n_samples,n_correct,nll'  # of `t2jax sample`
    path = write(tmp_path / 'counts.csv', f'{head}\nr,7e6,2e9,lambada,q 1,64,3,2.5\nr,7e6,2e9,lambada,q 2,64,0,0\n')
    first, second = read_results(path)
    assert (first.run, first.params, first.tokens, first.task, first.question) == ('r', 7e6, 2e9, 'lambada', 'q 1')
    assert (second.n_samples, second.n_correct, second.nll) == (64, 0, 0)
    scored = 'params,tokens,run,task,question,nll,n_tokens,n_bytes'  # of `t2jax score`
    (row,) = read_results(write(tmp_path / 'scores.csv', f'{scored}\n7e6,2e9,r,sciq,q 1,2.5,3,11\n'))
    assert (row.task, row.nll, row.n_samples) == ('sciq', 2.5, None)


FAULTS = {
    'a.jsonl': ('{"id": 1, "correct": true}\n{"id": 2, "corr', 'a.jsonl, line 2 is not JSON .*; each line has to be'),
    'b.jsonl': (
        '{"id": 1, "correct": true}\n[1]\n',
        r'b.jsonl, line 2 is \[1\].*; it has to be a record of named fields',
    ),
    'c.json': ('[{"id": 1, "correct": true}, 3]', 'c.json, record 2 is 3; it has to be a record'),
    'd.json': ('[{"id": 1,', 'd.json is not a JSON list'),
    'e.jsonl': (
        '{"id": 1, "correct": true}\n\n{"id": 2}\n',
        'e.jsonl, line 3: correct is missing; every record needs it',
    ),
    'f.jsonl': ('{"id": 1, "correct": true}\n{"id": null, "correct": true}', 'f.jsonl, line 2: id is missing'),
    'g.jsonl': ('{"id": 1, "correct": 0.5}\n', "g.jsonl, line 1: correct has '0.5'; a sample is true or false, 1 or 0"),
    'h.jsonl': ('{"id": 1, "passed": [true]}\n{"id": 2, "passed": true}', 'h.jsonl, line 2: passed is True; .* a list'),
    'i.jsonl': ('{"id": 1, "passed": []}\n', r'i.jsonl, line 1: passed is \[\]'),
    'j.jsonl': ('{"id": 1, "passed": [true]}\n' * 2, "j.jsonl, line 2: question '1' is already in .*j.jsonl, line 1"),
    'k.csv': (
        'question,n_samples,n_correct\na,4,4\nb,4,5\n',
        'k.csv, line 3: n_samples and n_correct are 4 and 5; they',
    ),
    'l.csv': ('question,n,c\na,4,-1\n', 'l.csv, line 2: n and c are 4 and -1; they have to be whole numbers'),
    'm.csv': ('question,n,c\na,4,1.5\n', 'm.csv, line 2: n and c are 4 and 1.5'),
    'n.csv': ('question,nll\na,nan\n', 'n.csv, line 2: nll is nan; it has to be a finite number'),
    'o.csv': ('question,nll\na,1\nb,-1\n', 'o.csv, line 3: nll is -1; it has to be at least 0'),
    'p.csv': ('question,nll\na,1\nb,\n', 'p.csv, line 3: nll is missing'),
    'q.csv': ('question,nll\na,1\na,1\n', "q.csv, line 3: question 'a' is already in .*q.csv, line 2; keep one"),
    'r.csv': ('question,nll,params,tokens\na,1,0,1\n', 'r.csv, line 2: params is 0; it has to be above 0'),
    's.csv': (
        'question,score\na,1\n',
        "s.csv is of no known format, its fields are question, score; known are lm-eval's",
    ),
    't.csv': ('params,tokens,k,nll\n1,1,1,1\n', 't.csv is of no known format, its fields are params, tokens, k, nll'),
    'u.csv': ('question,nll,nll\na,1,1\n', 'u.csv has two columns of one name'),
    'v.csv': ('question,nll\na,1,2\n', 'v.csv, line 2 has more cells than the header'),
    'w.json': ('[]', 'w.json is empty; it has to hold a record for each question or sample'),
    'x.jsonl': ('', 'x.jsonl holds no observations'),
    'z.jsonl': (b'{"id": 1, "correct": true}\n{"id": "\xff", "correct": true}\n', 'z.jsonl, line 2 is not JSON'),
    'deep.jsonl': ('{"id": ' + '[' * 100_000, 'deep.jsonl, line 1 is not JSON'),
    'deep.json': ('[' * 100_000, 'deep.json is not a JSON list'),
    'deep.csv': ('id,correct\na,' + '[' * 100_000 + '\n', r"deep.csv, line 2: correct has '\[\["),
    'huge.jsonl': (
        f'{{"id": 1, "nll": {10**400}}}',
        'huge.jsonl, line 1: nll is 10000.*; it has to be a finite number',
    ),
    'y.parquet': ('PAR1', 'y.parquet is not a Parquet file'),
}


@pytest.mark.parametrize('name', FAULTS)
def test_faults_are_told_in_one_sentence_with_file_and_line(tmp_path, name):
    content, said = FAULTS[name]
    with pytest.raises(ValueError, match=said) as caught:
        read_results(write(tmp_path / name, content))
    assert '\n' not in str(caught.value)
    with pytest.raises(
        ValueError, match="good.csv is not lm-eval's samples, and only those have filters; drop --filter"
    ):
        read_results(write(tmp_path / 'good.csv', FORMS['counts.csv']), filter_name='none')


@pytest.mark.parametrize('name', ['doc_id', 'question_id', 'problem_idx', 'question'])
def test_a_name_of_the_whole_task_names_no_question(tmp_path, name):
    rows = [{'task_id': 'gsm8k', name: i, 'correct': i > 2} for i in range(6)]
    assert evidence(read_results(write(tmp_path / 'rows.jsonl', rows))) == [(str(i), 1, int(i > 2)) for i in range(6)]


@pytest.mark.parametrize(('first', 'other'), [('task_id', 'id'), ('doc_id', 'question'), ('doc_id', 'task_id')])
def test_samples_that_two_fields_name_apart_are_refused(tmp_path, first, other):
    rows = [{first: 'a', other: f'q{i // 2}', 'correct': True} for i in range(3)]
    same = read_results(write(tmp_path / 'rows.jsonl', rows[:2]))
    assert evidence(same) == [('a', 2, 2)]
    said = f"rows.jsonl, line 3: {first} is 'a' as in .*, line 1, but {other} is 'q1' and not 'q0'; keep that field"
    with pytest.raises(ValueError, match=said):
        read_results(write(tmp_path / 'rows.jsonl', rows))
