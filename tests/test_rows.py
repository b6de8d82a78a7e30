"""Rows on disk: found again, never half, never another's."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnntransfer import cache, rows
from cnntransfer.rows import RowStore

DESCRIPTION = {"network": "n", "size": [2, 3]}


def key(number, view=0):
    return f"{number:064x}", view


def row(number, view=0):
    return np.arange(5, dtype=np.float32) + 10 * number + 1000 * view


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "_in_use", set())


def open_store(**changes):
    return RowStore("features", {**DESCRIPTION, **changes}, (5,), np.float32)


def fill(numbers, store=None, view=0):
    with (open_store() if store is None else store).writer() as writer:
        for number in numbers:
            writer.add(key(number, view), row(number, view))
    return writer


def test_rows_are_found_by_digest_and_view():
    store = open_store()
    fill(range(3), store)
    fill([1], store, view=2)
    for found in (store, open_store()):  # At once, and by the next process.
        assert len(found) == 4
        assert np.array_equal(found.find(key(2)), row(2))
        assert np.array_equal(found.find(key(1, 2)), row(1, 2))
        assert found.find(key(2, 2)) is None
        assert found.find(key(7)) is None


def test_another_way_of_computing_has_rows_of_its_own():
    fill([1])
    assert open_store(network="m").find(key(1)) is None
    assert RowStore("features", DESCRIPTION, (5,), np.float16).find(key(1)) is None


def test_what_cannot_be_opened_now_is_not_thrown_away(monkeypatch):
    fill(range(2))

    def refuse(*_, **__):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(rows.np, "memmap", refuse)
        assert len(open_store()) == 0
    assert len(open_store()) == 2


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_many_segments_need_few_open_files(monkeypatch):
    monkeypatch.setattr(rows, "_MOST_MAPPED", 3)
    for number in range(10):
        fill([number])
    before = open_files()
    store = open_store()
    assert open_files() - before <= 3
    assert all(np.array_equal(store.find(key(n)), row(n)) for n in (*range(10), *range(10)))
    assert open_files() - before <= 3


def test_rows_that_another_process_deletes(monkeypatch):
    for number in range(3):
        fill([number])
    monkeypatch.setattr(rows, "_MOST_MAPPED", 2)
    store = open_store()
    cache.clear()
    found = [store.find(key(number)) for number in range(3)]
    # One was not mapped; the two that were are readable as long as the store is.
    assert [row is None for row in found].count(True) == 1
    assert len(store) == 2


def test_rows_of_several_dimensions_and_half_precision():
    store = RowStore("activations", DESCRIPTION, (2, 3, 4), np.float16)
    value = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float16)
    with store.writer() as writer:
        writer.add(key(1), value)
    assert np.array_equal(store.find(key(1)), value)
    assert store.find(key(1)).dtype == np.float16


@pytest.mark.parametrize("place", [0, 21, 39])
def test_a_damaged_row_counts_as_absent(place):
    fill(range(2))
    (file,) = open_store().folder.glob("*/rows.bin")
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    store = open_store()
    damaged = place // 20
    assert store.find(key(damaged)) is None
    assert np.array_equal(store.find(key(1 - damaged)), row(1 - damaged))


def test_a_row_under_another_key_counts_as_absent():
    fill(range(2))
    (file,) = open_store().folder.glob("*/index.npy")
    index = np.load(file)
    index["view"] = 1
    np.save(file, index)
    assert open_store().find(key(0, 1)) is None


@pytest.mark.parametrize("name", ["rows.bin", "index.npy"])
@pytest.mark.parametrize("size", [0, 30])
def test_a_cut_off_segment_is_dropped(name, size):
    fill(range(2))
    (file,) = open_store().folder.glob(f"*/{name}")
    os.truncate(file, size)
    store = open_store()
    assert store.find(key(0)) is None
    assert list(store.folder.glob("*/")) == []
    fill(range(2), store)
    assert np.array_equal(open_store().find(key(0)), row(0))


def test_what_was_finished_before_an_interruption_is_kept():
    def interrupted():
        with open_store().writer() as writer:
            writer.add(key(3), row(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert np.array_equal(open_store().find(key(3)), row(3))


_KILLED = """
import os, sys
import numpy as np
from cnntransfer import rows
from tests.test_rows import key, open_store, row
rows.SEGMENT_BYTES = 60
with open_store().writer() as writer:
    for number in range(100):
        if number == int(sys.argv[1]):
            os.kill(os.getpid(), 9)
        writer.add(key(number), row(number))
"""


@pytest.mark.parametrize("moment", [0, 2, 3, 7])
def test_a_kill_leaves_only_whole_segments(moment):
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(moment)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    store = open_store()
    assert len(store) == 3 * (moment // 3)
    for number in range(len(store)):
        assert np.array_equal(store.find(key(number)), row(number))
    fill(range(moment + 1), store)
    assert np.array_equal(open_store().find(key(moment)), row(moment))


def test_segments_are_completed_when_they_are_large(monkeypatch):
    monkeypatch.setattr(rows, "SEGMENT_BYTES", 40)
    fill(range(5))
    assert len(list(open_store().folder.glob("*/"))) == 3
    assert len(open_store()) == 5


def test_a_folder_that_cannot_be_written_stops_nothing(monkeypatch, tmp_path):
    (tmp_path / "features").write_text("a file where a folder should be")
    writer = fill([1])
    assert writer.failure is not None
    assert open_store().find(key(1)) is None


@pytest.mark.parametrize("damaged", ["a", "b", "c"])
def test_a_damaged_row_is_computed_once_more_only(damaged):
    """In whatever order segments come: they have random names."""
    names = sorted("abc", key=lambda name: name != damaged)
    for name in names:
        fill([1])
        (segment,) = open_store().folder.glob("segment-*/")
        segment.rename(segment.with_name(name))
    file = open_store().folder / damaged / "rows.bin"
    file.write_bytes(bytes(20))
    store = open_store()
    assert np.array_equal(store.find(key(1)), row(1))
    assert len(store) == 1


def test_two_threads_that_find_the_same_damage(monkeypatch):
    fill([1])
    store = open_store()

    def damage(key, row):
        monkeypatch.setattr(rows, "_checksum", lambda key, row: -1)
        assert store.find(key) is None  # As another thread would.
        return -1

    monkeypatch.setattr(rows, "_checksum", damage)
    assert store.find(key(1)) is None


def test_damaged_headers_are_damaged_segments():
    fill([1])
    (file,) = open_store().folder.glob("*/index.npy")
    whole, lost = file.read_bytes(), 0
    for place in range(128):
        for bits in (1, 0x80, 0xFF):
            file.parent.mkdir(exist_ok=True)
            (file.parent / "rows.bin").write_bytes(row(1).tobytes())
            file.write_bytes(whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :])
            found = open_store().find(key(1))
            assert found is None or np.array_equal(found, row(1))
            lost += found is None
    assert lost > 100


def test_an_interruption_between_a_row_and_its_record(monkeypatch):
    real, seen = rows._checksum, []

    def interrupted(key, row):
        seen.append(key)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(key, row)

    monkeypatch.setattr(rows, "_checksum", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fill(range(5))
    found = open_store()
    assert len(found) == 2
    assert np.array_equal(found.find(key(1)), row(1))


@pytest.mark.parametrize(("module", "name"), [("os", "fsync"), ("np", "save")])
def test_an_interruption_while_a_segment_is_completed(monkeypatch, module, name):
    monkeypatch.setattr(rows, "SEGMENT_BYTES", 40)
    owner = getattr(rows, module)
    real = getattr(owner, name)

    def interrupted(*arguments):
        monkeypatch.setattr(owner, name, real)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        fill(range(5))
    store = open_store()
    assert len(store) == 2
    assert len(list(store.folder.glob("*segment*"))) == 1  # Hidden ones would count, too.
    assert np.array_equal(store.find(key(1)), row(1))


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_rows_are_as_readable_as_other_files():
    fill([1])
    (segment,) = open_store().folder.glob("*/")
    assert segment.stat().st_mode == segment.parent.stat().st_mode
