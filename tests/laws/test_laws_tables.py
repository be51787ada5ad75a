"""Tables: what is read is what was written, CSV or Parquet, and what is wrong is said in one sentence."""

import gzip
import re

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from t2jax.laws.observations import COLUMNS, Observations
from t2jax.laws.tables import read_observations, write_observations

GOOD = 'run,task,params,tokens,k,nll\na,x,1e6,2e7,1,2.5\na,x,1e6,2e7,2,2.0\n'
SUFFIXES = ('.csv', '.csv.gz', '.parquet')


def make(**columns):
    n = len(next(iter(columns.values())))
    blank = {'run': ['a'] * n, 'task': ['x'] * n, 'params': [1e6] * n, 'tokens': [2e7] * n, 'k': [1.0] * n}
    return Observations(**blank | columns)


def assert_same(a, b):
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


numbers = st.floats(1e-300, 1e300)
fractions = st.floats(0, 1)
measures = st.sampled_from(['likelihood', 'counts', 'unknown'])


@pytest.mark.parametrize('suffix', SUFFIXES)
@given(
    rows=st.lists(st.tuples(numbers, numbers, fractions, st.none() | fractions, measures), min_size=1, max_size=5),
    weighted=st.booleans(),
)
def test_what_is_written_is_read_back_to_the_bit(tmp_path_factory, suffix, rows, weighted):
    params, nll, passed, sampled, measure = zip(*rows)
    written = make(
        run=[f'r,"{i}' for i in range(len(rows))],
        params=params,
        train_flops=params,
        nll=nll,
        pass_at_k=passed,
        pass_at_k_sampled=[np.nan if value is None else value for value in sampled],
        weight=nll if weighted else None,
        measure=measure,
    )
    path = tmp_path_factory.mktemp('round') / f'observations{suffix}'
    write_observations(path, written)
    assert_same(read_observations(path), written)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_standard_errors_and_a_missing_nll_where_nothing_was_right_survive(tmp_path, suffix):
    for written in (
        make(k=[1.0, 2.0], nll=[1.0, 0.5], se=[0.1, 0.2]),
        make(k=[1.0, 2.0], nll=[np.nan, 0.5], pass_at_k=[0.0, 0.1], measure=['counts', 'counts']),
    ):
        write_observations(tmp_path / f'o{suffix}', written)
        assert_same(read_observations(tmp_path / f'o{suffix}'), written)


def test_the_header_is_the_agreed_one(tmp_path):
    plain = 'run,task,params,tokens,train_flops,k,nll,pass_at_k,n_samples,pass_at_k_sampled,'
    plain += 'pass_at_k_sampled_low,pass_at_k_sampled_high'
    write_observations(tmp_path / 'o.csv', make(k=[1.0], nll=[0.1 + 0.2], train_flops=[3e13]))
    header, row = (tmp_path / 'o.csv').read_text().splitlines()
    assert header == plain  # files from before weight, se and measure have the same
    assert row == 'a,x,1000000,20000000,30000000000000,1,0.30000000000000004,,,,,'
    write_observations(tmp_path / 'o.csv', make(k=[1.0], nll=[1.0], weight=[2.0], measure=['counts']))
    assert (tmp_path / 'o.csv').read_text().splitlines()[0] == plain + ',weight,measure'


def test_a_foreign_table_needs_four_columns(tmp_path):
    path = tmp_path / 'foreign.csv'
    path.write_text('loss curve, params ,tokens,k,pass_at_k\nc,1e6,2e7,1,0.5\n\nc,1e6,4e7,1,0.75\n')
    read = read_observations(path)
    assert read.run.tolist() == ['N1000000-D20000000', 'N1000000-D40000000']
    assert read.task.tolist() == ['all', 'all']
    assert read.train_flops.tolist() == [1.2e14, 2.4e14]
    assert read.pass_at_k.tolist() == [0.5, 0.75]
    assert np.isnan(read.nll).all()


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_header(tmp_path):
    (tmp_path / 'o.csv').write_bytes(GOOD.encode('utf-8-sig'))
    assert read_observations(tmp_path / 'o.csv').run.tolist() == ['a', 'a']


def test_blanks_around_a_name_are_no_part_of_it(tmp_path):
    (tmp_path / 'o.csv').write_text('run,params,tokens,k,nll\n a ,1,1,1,1\n')
    columns = {'run': [' a '], **{name: [1] for name in ('params', 'tokens', 'k', 'nll')}}
    parquet.write_table(pyarrow.table(columns), tmp_path / 'o.parquet')
    assert [read_observations(tmp_path / name).run[0] for name in ('o.csv', 'o.parquet')] == ['a', 'a']


HEADERS = [
    ('parms,tokens,k,nll\n1,1,1,1\n', "column params is missing; did you mean 'parms' to be it?"),
    ('params,k,nll\n1,1,1\n', 'column tokens is missing; the columns are params, k, nll'),
    ('params;tokens;k;nll\n1;1;1;2,5\n', 'column params is missing; the columns are params;tokens;k;nll'),
    ('params,tokens,nll\n1,1,1\n', 'column k is missing'),
    ('params,tokens,k,pas_at_k\n1,1,1,1\n', "column nll or pass_at_k is missing; did you mean 'pas_at_k'"),
    ('params,tokens,k,nll,train_flop\n1,1,1,1,1\n', "'train_flop' is not known; rename it to 'train_flops'"),
    ('params,tokens,k,nll,wieght\n1,1,1,1,1\n', "'wieght' is not known; rename it to 'weight' or drop it"),
]
CELLS = [
    ('params,tokens,k,nll\n1,1,,1\n', 'column k is empty'),
    ('params,tokens,k,nll,pass_at_k\n1,1,1,,\n', 'column nll or pass_at_k is empty'),
    (GOOD + 'a,x,1e6,2e7,4,\n', 'AT 3: nll is empty; fill in every row or drop the column'),
    (GOOD + ',x,1e6,2e7,4,1\n', 'AT 3: run is empty'),
    (GOOD + 'a,x,1e6,2e7,4,low\n', "AT 3: nll is 'low'; it has to be a number"),
    (GOOD + 'a,x,1e6,2e7,4,nan\n', 'AT 3: nll is nan; it has to be a finite number'),
    (GOOD + 'a,x,inf,2e7,4,1\n', 'AT 3: params is inf; it has to be a finite number'),
    (GOOD + 'a,x,0,2e7,4,1\n', 'AT 3: params is 0; it has to be above 0'),
    (GOOD + 'a,x,1e6,-1,4,1\n', 'AT 3: tokens is -1; it has to be above 0'),
    (GOOD + 'a,x,1e6,2e7,0,1\n', 'AT 3: k is 0; a number of samples has to be at least 1'),
    (GOOD + 'a,x,1e6,2e7,0.5,1\n', 'AT 3: k is 0.5; a number of samples has to be at least 1'),
    (GOOD + 'a,x,1e6,2e7,4,-0.1\n', 'AT 3: nll is -0.1; a negative log-likelihood has to be at least 0'),
    ('params,tokens,k,pass_at_k\n1,1,1,1.5\n', 'AT 1: pass_at_k is 1.5; a chance of success has to be'),
    ('params,tokens,k,pass_at_k\n1,1,1,-0.5\n', 'AT 1: pass_at_k is -0.5; a chance of success has to be'),
    ('params,tokens,k,nll,pass_at_k_sampled\n1,1,1,1,-1\n', 'AT 1: pass_at_k_sampled is -1; a chance'),
    ('params,tokens,k,nll,n_samples\n1,1,1,1,2.5\n', 'AT 1: n_samples is 2.5; it has to be a whole number'),
    ('params,tokens,k,nll,weight\n1,1,1,1,-2\n', 'AT 1: weight is -2; it has to be at least 0'),
    ('params,tokens,k,nll,weight\n1,1,1,1,0\n', 'column weight is 0 in every row'),
    ('params,tokens,k,nll,se\n1,1,1,1,0\n', 'AT 1: se is 0; it has to be above 0'),
    ('params,tokens,k,nll,se,weight\n1,1,1,1,1,1\n', 'has both weight and se; keep one of them'),
    ('params,tokens,k,nll,pass_at_k,se\n1,1,1,1,1,1\n', 'column se is of nll or of pass_at_k, one cannot tell'),
    ('params,tokens,k,nll,measure\n1,1,1,1,guess\n', "AT 1: measure is 'guess'; it has to be one of likelihood,"),
    ('params,tokens,k,nll,pass_at_k\n1,1,1,,0\n1,1,2,,0.1\n1,1,3,1,.2\n', 'AT 2: nll is empty'),
    (GOOD + 'a,x,1e6,2e7,2,1\n', "AT 3: run 'a', task 'x', k = 2 is already on ON 2; keep one, or name two runs apart"),
    ('params,tokens,k,nll\n1,1,1,1\n1,1,1,2\n', "AT 2: run 'N1-D1', task 'all', k = 1 is already on ON 1"),
    (GOOD + 'a,x,2e6,2e7,4,1\n', "AT 3: run 'a' has other params or tokens than on a ON above"),
]


def refused(path, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        read_observations(path)
    said = str(caught.value)
    assert said.startswith(str(path)) and '\n' not in said and len(said) < 400 and not re.search(r'[^.]\.$', said)


@pytest.mark.parametrize(('text', 'sentence'), HEADERS + CELLS)
def test_a_bad_csv_is_refused_in_one_sentence(tmp_path, text, sentence):
    (tmp_path / 'bad.csv').write_text(text)
    row = re.match(r'AT (\d)', sentence)
    if row:  # the header is line 1
        sentence = sentence.replace(row[0], f'line {int(row[1]) + 1}')
    refused(
        tmp_path / 'bad.csv', re.sub(r'ON (\d)', lambda on: f'line {int(on[1]) + 1}', sentence).replace('ON', 'line')
    )


@pytest.mark.parametrize(('text', 'sentence'), HEADERS + CELLS)
def test_a_bad_parquet_file_is_refused_in_one_sentence(tmp_path, text, sentence):
    header, *rows = (line.split(',') for line in text.splitlines())
    cells = [[row[i] if i < len(row) and row[i] else None for row in rows] for i in range(len(header))]
    parquet.write_table(pyarrow.table(cells, names=header), tmp_path / 'bad.parquet')
    refused(tmp_path / 'bad.parquet', sentence.replace('AT', 'row').replace('ON', 'row'))


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('', 'holds no observations; it needs a header and at least one row'),
        ('params,tokens,k,nll\n', 'holds no observations'),
        ('params,tokens,k,nll,k\n1,1,1,1,1\n', "column 'k' appears twice"),
        (GOOD + '\na,x,1e6,2e7,4,1,7\n', 'line 5 has more cells than the header has columns'),
        (GOOD + 'a,x,1e6\n', 'line 4: tokens is empty'),
        ('"my\nmodel",tokens\n1,1\n', 'column params is missing; the columns are my model, tokens'),
        ('x' * 1000 + '\n1\n', 'column params is missing; the columns are'),
        (b'\x1f\x8b\xff\x00', 'is not a CSV text file ('),
        (b'params,tokens\0,k,nll\n1,1,1,1\n', 'is not a CSV text file (it has null bytes)'),
        ('run,params,tokens,k,nll\nmäßig,1,1,1,1\n'.encode('latin-1'), 'is not a CSV text file ('),
        ('params,tokens,k,nll\n1,1,1,1\n'.encode('utf-16'), 'is not a CSV text file ('),
        ('params,tokens,k,nll\n1,1,1,"' + 'x' * 200_000, 'is not a CSV text file (field larger than'),
    ],
)
def test_what_is_no_csv_is_refused_in_one_sentence(tmp_path, text, sentence):
    (tmp_path / 'bad.csv').write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(tmp_path / 'bad.csv', sentence)


def test_what_is_no_table_at_all_is_refused(tmp_path):
    (tmp_path / 'empty.parquet').write_bytes(b'')
    (tmp_path / 'text.parquet').write_text(GOOD)
    (tmp_path / 'text.csv.gz').write_text(GOOD)
    (tmp_path / 'cut.csv.gz').write_bytes(gzip.compress(GOOD.encode())[:-12])
    parquet.write_table(pyarrow.table({'params': pyarrow.array([], 'double')}), tmp_path / 'none.parquet')
    refused(tmp_path / 'empty.parquet', 'is not a Parquet file (')
    refused(tmp_path / 'text.parquet', 'is not a Parquet file (')
    refused(tmp_path / 'text.csv.gz', 'is not a CSV text file (Not a gzipped file')
    refused(tmp_path / 'cut.csv.gz', 'is not a CSV text file (Compressed file ended')
    refused(tmp_path / 'none.parquet', 'holds no observations')
    refused(tmp_path, 'cannot be read (Is a directory); give a CSV or Parquet file')
    refused(tmp_path / 'nowhere.csv', 'cannot be read (No such file or directory)')


def test_a_parquet_file_may_hold_any_type_of_number(tmp_path):
    columns = {
        'params': pyarrow.array([2**53 - 1], 'int64'),
        'tokens': pyarrow.array([2e7], 'float32'),
        'k': pyarrow.array([1], 'uint8'),
        'nll': pyarrow.array(['2.5'], 'string'),
        'run': pyarrow.array(['a']).dictionary_encode(),
        'prompt': pyarrow.array([['any', 'thing']]),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / 'o.parquet')
    read = read_observations(tmp_path / 'o.parquet')
    assert (read.params, read.tokens, read.k, read.nll, read.run) == (2**53 - 1, 2e7, 1, 2.5, 'a')
