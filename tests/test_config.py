"""Configs: loading, overriding, saving, comparing."""

import dataclasses
import json

import pytest

from t2jax.config import claim, differences, from_dict, load_experiment, override, to_dict, write_text


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    sizes: tuple[int, ...] = (1, 2)


@dataclasses.dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = Inner()
    parts: tuple[Inner, ...] = ()


VALUE = Outer('x', parts=(Inner(), Inner(0.25, (3,))))


def test_a_config_comes_back_from_json():
    assert from_dict(Outer, json.loads(json.dumps(to_dict(VALUE)))) == VALUE


def test_a_config_of_another_version_is_refused():
    data = to_dict(VALUE)
    data['inner']['speed'] = data['inner'].pop('rate')
    with pytest.raises(ValueError, match=r"config.inner does not fit Inner: \['rate', 'speed'\]; it was written by"):
        from_dict(Outer, data)


def test_typed_flags_override_fields():
    changed = override(VALUE, ['--inner.rate', '2', '--name', 'y'])
    assert changed == dataclasses.replace(VALUE, name='y', inner=Inner(2.0))
    assert override(VALUE, []) is VALUE


@pytest.mark.parametrize(
    ('flags', 'sentence'),
    [
        (['--inner.speed', '2'], r'Unrecognized options: --inner.speed, 2; the fields are those of study.json'),
        (['--inner.rate', 'fast'], r'--inner.rate.*fast.*; the fields are those'),
    ],
)
def test_an_unknown_field_or_value_is_named(flags, sentence):
    with pytest.raises(ValueError, match=sentence):
        override(VALUE, flags)


def test_a_folder_belongs_to_one_config(tmp_path):
    claim(tmp_path / 'config.json', VALUE)
    claim(tmp_path / 'config.json', VALUE)
    with pytest.raises(ValueError, match=r'holds another config \(inner.rate: 0.5 -> 0.1\); choose another folder'):
        claim(tmp_path / 'config.json', dataclasses.replace(VALUE, inner=Inner(0.1)))
    (tmp_path / 'config.json').write_text('{"name":')
    with pytest.raises(ValueError, match='config.json is not readable JSON'):
        claim(tmp_path / 'config.json', VALUE)


def test_differences_are_named_by_path():
    assert differences({'a': {'b': 1, 'c': [1, 2]}}, {'a': {'b': 1, 'c': [1, 3]}, 'd': 0}) == [
        'a.c[1]: 2 -> 3',
        'd: None -> 0',
    ]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'deep' / 'file.txt'
    write_text(path, 'one')
    with pytest.raises(UnicodeEncodeError):
        write_text(path, 'two \udcff')
    assert path.read_text() == 'one'
    (tmp_path / 'taken').mkdir()
    with pytest.raises(OSError):
        write_text(tmp_path / 'taken', 'text')
    assert sorted(p.name for p in tmp_path.rglob('*')) == ['deep', 'file.txt', 'taken']  # nothing half-written


def test_experiments_are_files_that_define_a_study(tmp_path):
    with pytest.raises(FileNotFoundError, match='no experiment file .*missing.py'):
        load_experiment(tmp_path / 'missing.py')
    (tmp_path / 'empty.py').write_text('x = 1\n')
    with pytest.raises(ValueError, match='empty.py defines no STUDY; it has to'):
        load_experiment(tmp_path / 'empty.py')


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('STUDY = dict(', 'cannot be run'),
        ('import dataclasses\nSTUDY = dataclasses.replace(1)', 'cannot be run'),
        ('from configs import nothing_there', 'cannot be run'),
    ],
)
def test_an_experiment_that_fails_is_named(tmp_path, text, sentence):
    (tmp_path / 'broken.py').write_text(text)
    with pytest.raises(ValueError, match=f'broken.py {sentence}'):
        load_experiment(tmp_path / 'broken.py')
