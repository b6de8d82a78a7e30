"""Packed weights: the same numbers, kept once, and never wrong ones."""

import os
import shutil

import numpy as np
import pytest

from cnntransfer import cache
from cnntransfer.engines import packed
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.errors import BundleError, MissingDependencyError
from cnntransfer.frameworks import quiet
from cnntransfer.storage import sha256_of_file

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache of its own, and no file too small to be packed."""
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packed, "_WORTH_BYTES", 0)
    return tmp_path / "cache" / "packed"


@pytest.fixture
def open_trunk(bundle):
    """``open_trunk()`` -> its trunk with packed weights, or ``None``."""

    def call(file=bundle.trunk_file, digest=bundle.digests[bundle.trunk_file]):
        with quiet():
            return packed.open_packed(file, digest, threads=2)

    return call


def kept(folder):
    return [entry for entry in folder.glob("*") if not entry.name.startswith(".")]


def test_the_numbers_are_the_same_bit_for_bit(bundle, open_trunk):
    plain = LiteRTEngine([bundle.trunk_file])
    for network in (open_trunk(), open_trunk()):  # Packed now, and mapped from the cache.
        for image in IMAGES:
            outputs = network.run(image)
            assert np.array_equal(outputs, plain.run(image).features)
            assert outputs.dtype == np.float32


def test_weights_are_packed_once(folder, open_trunk):
    open_trunk()
    (entry,) = kept(folder)
    before = (entry / "weights").stat()
    assert before.st_size > 4e6
    open_trunk()
    after = (entry / "weights").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [found.kind for found in cache.entries()] == ["packed"]


def test_bundles_with_the_same_network_share_them(folder, bundle, open_trunk, tmp_path):
    open_trunk()
    open_trunk(shutil.copy(bundle.trunk_file, tmp_path / "copy.tflite"))
    assert len(kept(folder)) == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "no size", "gone"])
def test_damaged_weights_are_packed_again(folder, bundle, open_trunk, damage):
    expected = open_trunk().run(IMAGES[0])
    (entry,) = kept(folder)
    weights, size = entry / "weights", entry / "bytes.txt"
    before = weights.read_bytes()
    if damage == "cut":
        os.truncate(weights, len(before) // 2)
    elif damage == "empty":
        os.truncate(weights, 0)
    elif damage == "garbage":
        weights.write_bytes(bytes(len(before)))
    elif damage == "no size":
        size.write_text("many\n")
    else:
        size.unlink()
    assert np.array_equal(open_trunk().run(IMAGES[0]), expected)
    assert weights.stat().st_size == int(size.read_text()) == len(before)
    assert weights.read_bytes()[:4096] == before[:4096]


def test_nothing_is_kept_of_an_interrupted_packing(folder, open_trunk, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(packed.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_trunk()
    assert kept(folder) == []


def test_a_file_that_is_not_the_recorded_one_is_not_packed(folder, open_trunk):
    assert open_trunk(digest="0" * 64) is None
    assert kept(folder) == []


def test_small_files_are_not_packed(folder, open_trunk, monkeypatch):
    monkeypatch.setattr(packed, "_WORTH_BYTES", 20_000_000)
    assert open_trunk() is None
    assert kept(folder) == []


def test_a_cache_that_cannot_be_written(folder, open_trunk):
    folder.parent.write_text("a file")
    assert open_trunk() is None


def test_an_older_litert(folder, open_trunk, monkeypatch):
    def too_old():
        raise MissingDependencyError("too old")

    monkeypatch.setattr(packed, "litert_compiled", too_old)
    assert open_trunk() is None
    assert kept(folder) == []


def test_other_processors_and_versions_have_weights_of_their_own(folder, open_trunk, monkeypatch):
    open_trunk()
    monkeypatch.setattr(packed, "features", lambda: frozenset({"avx512f"}))
    open_trunk()
    monkeypatch.setattr(packed, "litert_version", lambda: "9.9.9")
    open_trunk()
    assert len(kept(folder)) == 3


def test_an_engine_takes_them_for_the_files_it_is_told(folder, bundle):
    plain, engine = (
        LiteRTEngine(bundle.litert_files, 1, 1, digests) for digests in ({}, bundle.digests)
    )
    assert len(kept(folder)) == 2
    for image in IMAGES:
        expected, received = plain.run(image), engine.run(image)
        assert np.array_equal(received.features, expected.features)
        assert np.array_equal(received.probabilities, expected.probabilities)


def test_results_are_the_caller_s_own(open_trunk):
    network = open_trunk()
    first = network.run(IMAGES[0])
    copy = first.copy()
    network.run(IMAGES[1])
    assert np.array_equal(first, copy)


def test_a_damaged_network_is_a_damaged_bundle(tmp_path, folder):
    path = tmp_path / "trunk.tflite"
    path.write_bytes(b"not a model")
    with pytest.raises(BundleError, match="Expected a LiteRT model"):
        LiteRTEngine([path], digests={path: sha256_of_file(path)})
    assert kept(folder) == []
