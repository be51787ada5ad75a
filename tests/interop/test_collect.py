"""Results of one run or many as one table: sizes known and agreed, no question twice, one kind of evidence."""

import random
from pathlib import Path

import numpy as np
import pytest
from made_results import write

from t2jax.interop.collect import Source, collect, find_files, read_sources, summarize, write_questions
from t2jax.laws.questions import COLUMNS, read_questions

COUNTED = 'question,n_samples,n_correct\na,4,1\n'


def test_a_folder_stands_for_the_results_in_it(tmp_path):
    sampled = tmp_path / 'ladder' / 'small'
    (sampled / 'samples').mkdir(parents=True)
    write(sampled / 'job.json', '{}')
    with pytest.raises(
        ValueError, match='small is not finished: it has no counts.csv; the same `t2jax sample` goes on'
    ):
        find_files(tmp_path / 'ladder')
    write(sampled / 'counts.csv', COUNTED)
    write(sampled / 'questions.jsonl', '{}')
    assert find_files(tmp_path / 'ladder') == [sampled / 'counts.csv'] == find_files(sampled / 'counts.csv')
    plain = tmp_path / 'plain'
    plain.mkdir()
    with pytest.raises(ValueError, match='plain holds no results; they are files named .csv, '):
        find_files(plain)
    for name in ('b.jsonl', 'a.csv', 'notes.md'):
        write(plain / name, '')
    assert find_files(plain) == [plain / 'a.csv', plain / 'b.jsonl']
    with pytest.raises(ValueError, match='there is no .*absent; give a file of results, or a folder of some'):
        find_files(tmp_path / 'absent')


def test_a_table_is_read_back_as_it_was_collected(tmp_path):
    random.seed(0)
    rows = [{'id': f'q, "{i}"\n', 'nll': random.expovariate(1)} for i in range(20)]
    source = write(tmp_path / 'sciq.jsonl', rows)
    questions = collect([Source(source, 1.6e8, 3e11), Source(source, 3.2e8, 3e11 + 0.5, task='again')])
    for name in ('table.csv', 'table.parquet'):
        write_questions(tmp_path / name, questions)
        back = read_questions(tmp_path / name)
        for column in COLUMNS:
            np.testing.assert_array_equal(getattr(back, column), getattr(questions, column))
    assert (tmp_path / 'table.csv').read_text().startswith('run,params,tokens,task,question,nll\nN160000000-D3')
    assert [(g['task'], g['questions'], g['params']) for g in summarize(questions)] == [
        ('sciq', 20, 1.6e8),
        ('again', 20, 3.2e8),
    ]
    assert summarize(questions)[0]['nll'] == pytest.approx(np.mean([row['nll'] for row in rows]))


def test_only_evidence_that_all_rows_have_is_kept(tmp_path):
    both = write(tmp_path / 'both.csv', 'question,nll,n_samples,n_correct\na,1,4,1\nb,2,8,4\n')
    counts = write(tmp_path / 'counts.csv', 'question,n_samples,n_correct\na,4,3\n')
    nll = write(tmp_path / 'nll.csv', 'question,nll\na,3\n')
    small, large = {'params': 1e6, 'tokens': 1e8}, {'params': 2e6, 'tokens': 1e8}
    (group,) = summarize(collect([Source(both, **small)]))
    assert (group['nll'], group['pass_at_1']) == (1.5, 0.375)
    one, two = summarize(collect([Source(both, **small), Source(counts, **large)]))
    assert 'nll' not in one and (one['pass_at_1'], two['pass_at_1']) == (0.375, 0.75)
    assert 'pass_at_1' not in summarize(collect([Source(both, **small), Source(nll, **large)]))[0]
    with pytest.raises(
        ValueError, match='nll.csv, line 2 has a likelihood and .*counts.csv, line 2 counts of right samp'
    ):
        collect([Source(nll, **small), Source(counts, **large)])


def test_sizes_have_to_be_known_and_agree(tmp_path):
    bare = write(tmp_path / 'bare.csv', 'question,nll\na,1\n')
    sized = write(tmp_path / 'sized.csv', 'question,nll,params,tokens,run\na,1,1e6,1e8,r\n')
    assert collect([Source(sized)]).params == collect([Source(sized, 1e6, 1e8)]).params == [1e6]
    assert collect([Source(sized)]).run == ['r'] and collect([Source(sized, run='s')]).run == ['s']
    with pytest.raises(ValueError, match='bare.csv, line 2 does not say tokens; give it by --tokens, or in a column'):
        collect([Source(bare, 1e6)])
    with pytest.raises(ValueError, match=r'sized.csv, line 2: params is 1e\+06, and 2e\+06 is given for it; drop'):
        collect([Source(sized, 2e6)])
    with pytest.raises(ValueError, match="line 2: run 'N1000000-D100000000', task 'bare', question 'a' is already in"):
        collect([Source(bare, 1e6, 1e8), Source(write(tmp_path / 'more.csv', bare.read_text()), 1e6, 1e8, task='bare')])
    with pytest.raises(
        ValueError, match="run 'r' has other params or tokens than in .*sized.csv, line 2; name it apart"
    ):
        collect([Source(sized), Source(bare, 2e6, 1e8, run='r')])


def test_the_same_file_twice_is_refused(tmp_path):
    bare = write(tmp_path / 'bare.csv', 'question,nll\na,1\n')
    with pytest.raises(ValueError, match="question 'a' is already in"):
        collect([Source(bare, 1e6, 1e8)] * 2)


def test_sources_of_many_runs_are_a_table(tmp_path):
    path = write(tmp_path / 'runs.csv', 'path,params,tokens,run\nout/a,1e6,1e8,small\n/out/b,,,\n')
    assert read_sources(path) == [Source(tmp_path / 'out/a', 1e6, 1e8, 'small'), Source(Path('/out/b'))]
    for content, said in (
        ('path,param\na,1\n', "runs.csv: column 'param' is odd; the columns are path, params, tokens, run, task"),
        ('path,params,params\na,1,1\n', "runs.csv: column 'params' is odd"),
        ('params,tokens\n1,1\n', 'runs.csv: column path is missing'),
        ('path,params\na,1\n,2\n', 'runs.csv, line 3: path is empty; name a file or folder of results'),
        ('path,params\na,0\n', 'runs.csv, line 2: params is 0; it has to be above 0'),
        ('path,tokens\na,many\n', "runs.csv, line 2: tokens is 'many'; it has to be a number"),
    ):
        with pytest.raises(ValueError, match=said):
            read_sources(write(path, content))


def test_names_that_a_table_would_change_are_refused(tmp_path):
    source, table = write(tmp_path / 'bare.csv', 'question,nll\na,1\n'), tmp_path / 'table.csv'
    with pytest.raises(ValueError, match='table.csv would not be read back as it is; give names without spaces at'):
        write_questions(table, collect([Source(source, 1e6, 1e8, task='sciq ')]))
    with pytest.raises(ValueError, match='what would be .*table.csv, line 2: run is empty'):
        write_questions(table, collect([Source(source, 1e6, 1e8, run=name) for name in (' ', 'a')]))
    assert not table.exists()
