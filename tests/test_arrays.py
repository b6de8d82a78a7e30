"""Files of arrays: what was written is read, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from cnntransfer.arrays import read_arrays, write_arrays

FORM = {"a": ("rows", "columns"), "b": ("rows",), "c": ()}


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return {
        "a": random.normal(size=(4, 3)).astype(np.float16),
        "b": random.normal(size=4).astype(np.float32),
        "c": np.array(2.5),
    }


@pytest.fixture
def path(arrays, tmp_path):
    write_arrays(tmp_path / "x.npz", arrays)
    return tmp_path / "x.npz"


def reason(path):
    with pytest.raises(ValueError) as caught:
        read_arrays(path, FORM)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_written_is_read(arrays, path):
    found = read_arrays(path, FORM)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_equal_arrays_give_equal_bytes(arrays, path, tmp_path):
    write_arrays(tmp_path / "y.npz", arrays)
    assert (tmp_path / "y.npz").read_bytes() == path.read_bytes()


def test_what_was_not_asked_for_is_not_read(arrays, path):
    np.savez(path, **arrays, odd=np.array([{}], dtype=object))
    assert read_arrays(path, FORM).keys() == arrays.keys()


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def test_pickles_are_not_loaded(arrays, path):
    np.savez(path, **arrays | {"b": np.array([Trap()], dtype=object)})
    assert reason(path).startswith("Object arrays cannot be loaded when allow_pickle=False")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"c": None}, "it has no array 'c'"),
        ({"b": np.array(list("abcd"))}, "b: <U1, shape (4,)"),
        ({"b": np.arange(4)}, "b: int64, shape (4,)"),
        ({"a": np.ones(4)}, "a: float64, shape (4,)"),
        ({"b": np.ones(5)}, "b: 5 rows instead of 4"),
        ({"a": np.array([[1, np.inf]] * 4)}, "a: not all numbers are finite"),
        ({"c": np.array(np.nan)}, "c: not all numbers are finite"),
    ],
)
def test_arrays_of_another_form(arrays, path, change, expected):
    changed = {name: array for name, array in (arrays | change).items() if array is not None}
    np.savez(path, **changed)
    assert reason(path) == expected


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"no archive"])
def test_files_that_are_no_archives(path, content):
    path.write_bytes(content)
    assert reason(path)


def test_every_damaged_byte_is_noticed_or_harmless(arrays, path):
    """A byte of an array changes its checksum; those between arrays may not matter."""
    whole = path.read_bytes()
    noticed = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            found = read_arrays(path, FORM)
        except ValueError:
            noticed += 1
        else:
            assert all(np.array_equal(found[name], arrays[name]) for name in FORM)
    assert noticed > len(whole) / 6
    path.write_bytes(whole[: len(whole) // 2])
    assert reason(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match=r"x\.npz"):
        read_arrays(tmp_path / "x.npz", FORM)
