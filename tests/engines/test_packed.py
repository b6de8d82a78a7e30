"""Packed weights: the same numbers, kept once, and never wrong ones."""

import os
import shutil
import subprocess

import numpy as np
import pytest

from cnntransfer import cache
from cnntransfer.engines import packed
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.engines.packed import PackedNetwork, keep_packed
from cnntransfer.errors import BundleError, MissingDependencyError
from cnntransfer.frameworks import quiet

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache of its own, and no file too small to be packed."""
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packed, "_WORTH_BYTES", 0)
    return tmp_path / "cache" / "packed"


@pytest.fixture
def in_this_process(monkeypatch):
    """Pack without another process, which takes half a second."""

    def run(command, **options):
        with quiet():
            PackedNetwork(*command[-2:], threads=1)

    monkeypatch.setattr(packed.subprocess, "run", run)


def open_packed(file):
    with quiet():
        return packed.open_packed(file, threads=2)


def entries(folder):
    return [entry for entry in folder.glob("*") if not entry.name.startswith(".")]


@pytest.fixture
def trunk(bundle, tmp_path):
    return shutil.copy(bundle.trunk_file, tmp_path / "trunk.tflite")


@pytest.fixture
def kept(folder, trunk, in_this_process):
    """The entry of a network that was used twice."""
    keep_packed(trunk)
    keep_packed(trunk)
    (entry,) = entries(folder)
    return entry


def test_the_numbers_are_the_same_bit_for_bit(trunk, kept):
    plain, network = LiteRTEngine([trunk]), open_packed(trunk)
    for image in IMAGES:
        outputs = network.run(image)
        assert np.array_equal(outputs, plain.run(image).features)
        assert outputs.dtype == np.float32


def test_weights_are_kept_from_the_second_time_on(folder, trunk):
    """In another process, as always outside of these tests."""
    assert open_packed(trunk) is None
    keep_packed(trunk)
    (entry,) = entries(folder)
    assert list(entry.iterdir()) == []
    assert open_packed(trunk) is None
    keep_packed(trunk)
    assert sorted(path.name for path in entry.iterdir()) == ["check.txt", "weights"]
    assert (entry / "weights").stat().st_size > 4e6
    assert open_packed(trunk) is not None
    assert [found.kind for found in cache.entries()] == ["packed"]


def test_they_are_packed_once(trunk, kept):
    before = (kept / "weights").stat()
    keep_packed(trunk)
    open_packed(trunk)
    after = (kept / "weights").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("damage", ["cut", "empty", "one bit", "no check", "gone"])
def test_damaged_weights_are_not_used_and_packed_again(trunk, kept, damage):
    weights, check = kept / "weights", kept / "check.txt"
    before = weights.read_bytes()
    if damage == "cut":
        os.truncate(weights, len(before) // 2)
    elif damage == "empty":
        os.truncate(weights, 0)
    elif damage == "one bit":
        middle = len(before) // 2
        changed = before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :]
        weights.write_bytes(changed)
    elif damage == "no check":
        check.unlink()
    else:
        weights.unlink()
    assert open_packed(trunk) is None
    keep_packed(trunk)
    assert weights.read_bytes() == before
    assert open_packed(trunk) is not None


@pytest.mark.parametrize("change", ["touched", "written", "replaced"])
def test_another_network_never_gets_them(folder, trunk, kept, change):
    content = trunk.read_bytes()
    if change == "touched":
        os.utime(trunk, (0, 0))
    elif change == "written":
        times = trunk.stat().st_atime_ns, trunk.stat().st_mtime_ns
        trunk.write_bytes(content[::-1])
        os.utime(trunk, ns=times)
    else:
        trunk.rename(trunk.with_name("other.tflite"))
        trunk.write_bytes(content)
    assert open_packed(trunk) is None


def test_nothing_is_kept_of_an_interrupted_packing(folder, trunk, kept, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    shutil.rmtree(kept)
    keep_packed(trunk)
    monkeypatch.setattr(packed.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        keep_packed(trunk)
    assert [list(entry.iterdir()) for entry in folder.iterdir()] == [[]]


def test_where_litert_gives_up_it_is_not_tried_again(folder, trunk, monkeypatch):
    """On a full disk it aborts its process."""
    tried = []

    def abort(command, **options):
        tried.append(command)
        raise subprocess.CalledProcessError(-6, command)

    monkeypatch.setattr(packed.subprocess, "run", abort)
    for _ in range(4):
        keep_packed(trunk)
        assert open_packed(trunk) is None
    assert len(tried) == 1
    assert [[file.name for file in entry.iterdir()] for entry in folder.iterdir()] == [["failed"]]


@pytest.mark.parametrize("worth", [20_000_000, None])
def test_what_is_too_small_or_too_large_is_not_kept(folder, trunk, monkeypatch, worth):
    if worth is None:
        monkeypatch.setenv("CNNTRANSFER_CACHE_LIMIT", "50MB")
    else:
        monkeypatch.setattr(packed, "_WORTH_BYTES", worth)
    keep_packed(trunk)
    assert not folder.exists()


@pytest.mark.parametrize("limit", ["much", "0"])
def test_a_limit_that_is_none(folder, trunk, monkeypatch, limit):
    monkeypatch.setenv("CNNTRANSFER_CACHE_LIMIT", limit)
    keep_packed(trunk)
    assert not folder.exists()


def test_a_cache_that_cannot_be_written(folder, trunk):
    folder.parent.write_text("a file")
    keep_packed(trunk)
    assert open_packed(trunk) is None


def test_an_older_litert(folder, trunk, kept, monkeypatch):
    def too_old():
        raise MissingDependencyError("too old")

    monkeypatch.setattr(packed, "litert_compiled", too_old)
    assert open_packed(trunk) is None
    keep_packed(trunk)


def test_other_processors_and_versions_have_weights_of_their_own(folder, trunk, kept, monkeypatch):
    monkeypatch.setattr(packed, "features", lambda: frozenset({"avx512f"}))
    assert open_packed(trunk) is None
    keep_packed(trunk)
    monkeypatch.setattr(packed, "litert_version", lambda: "9.9.9")
    assert open_packed(trunk) is None
    keep_packed(trunk)
    assert len(entries(folder)) == 3


def test_an_engine_takes_them_where_it_is_asked_to(bundle, in_this_process):
    for file in bundle.litert_files * 2:
        keep_packed(file)
    loaded = len(packed._loaded)
    plain = LiteRTEngine(bundle.litert_files)
    assert len(packed._loaded) == loaded
    engine = LiteRTEngine(bundle.litert_files, packed=True)
    assert len(packed._loaded) == loaded + 2
    for image in IMAGES:
        expected, received = plain.run(image), engine.run(image)
        assert np.array_equal(received.features, expected.features)
        assert np.array_equal(received.probabilities, expected.probabilities)


def test_results_are_the_caller_s_own(trunk, kept):
    network = open_packed(trunk)
    first = network.run(IMAGES[0])
    copy = first.copy()
    network.run(IMAGES[1])
    assert np.array_equal(first, copy)


def test_a_damaged_network_is_a_damaged_bundle(trunk, kept):
    content = trunk.read_bytes()
    trunk.write_bytes(content[:100] + bytes(1000) + content[1100:])
    with pytest.raises(BundleError, match="Expected a LiteRT model"):
        LiteRTEngine([trunk], packed=True)


def test_nothing_of_the_current_folder_is_run(folder, trunk, tmp_path, monkeypatch):
    """Where photos are, there may be anything."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("queue", "numpy", "subprocess", "cnntransfer"):
        (photos / f"{name}.py").write_text("open('was-run', 'w')")
    monkeypatch.chdir(photos)
    keep_packed(trunk)
    keep_packed(trunk)
    (entry,) = entries(folder)
    assert (entry / "weights").is_file()
    assert not (photos / "was-run").exists()
