"""The cache: its size, its limit, what goes first."""

import os
from pathlib import Path

import pytest

from cnntransfer import cache
from cnntransfer.errors import OutputError, UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path))
    monkeypatch.delenv("CNNTRANSFER_CACHE_LIMIT", raising=False)
    monkeypatch.setattr(cache, "_in_use", set())
    return tmp_path


def entry(folder, name, size=1000, used=1000.0):
    path = folder / name
    path.mkdir(parents=True)
    (path / "content").write_bytes(bytes(size))
    os.utime(path, (used, used))
    return path


def test_entries_of_every_kind(folder):
    entry(folder, "trunks/a", 10)
    entry(folder, "features/store/segment", 20)
    entry(folder, "features/store/.segment-draft", 40)
    entry(folder, "imagenet/b", 80)
    found = {(e.kind, e.path.name): e.bytes for e in cache.entries()}
    assert found == {("trunks", "a"): 10, ("features", "segment"): 20, ("imagenet", "b"): 80}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500MB", 500e6), ("1.5 gb", 1.5e9), ("0", 0), ("", 10e9), ("7", 7), ("2TB", 2e12)],
)
def test_the_limit(monkeypatch, text, expected):
    monkeypatch.setenv("CNNTRANSFER_CACHE_LIMIT", text)
    assert cache.limit() == expected


@pytest.mark.parametrize("text", ["lots", "-1GB", "1 PB", "GB", "9" * 400])
def test_a_limit_that_is_none(monkeypatch, text):
    monkeypatch.setenv("CNNTRANSFER_CACHE_LIMIT", text)
    with pytest.raises(UsageError, match="CNNTRANSFER_CACHE_LIMIT: expected a size such as 500MB"):
        cache.limit()


def test_what_was_not_used_for_longest_goes_first(folder, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE_LIMIT", "2KB")
    kept = [entry(folder, "features/s/new", used=3e9), entry(folder, "trunks/newer", used=4e9)]
    gone = [entry(folder, "features/s/old", used=1e9), entry(folder, "trunks/older", used=2e9)]
    assert cache.trim() == 2000
    assert [path.exists() for path in kept + gone] == [True, True, False, False]


def test_what_this_process_uses_stays(folder, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE_LIMIT", "0")
    mine, other = entry(folder, "trunks/mine"), entry(folder, "trunks/other")
    cache.use(mine)
    cache.trim()
    assert mine.exists()
    assert not other.exists()
    assert mine.stat().st_mtime > 1e9


def test_clearing_one_kind(folder):
    trunk, row = entry(folder, "trunks/a", 10), entry(folder, "features/s/b", 20)
    assert cache.clear(["features"]) == 20
    assert trunk.exists()
    assert not row.exists()
    assert list((folder / "features").glob("*")) == [] if (folder / "features").exists() else True
    assert cache.clear() == 10
    assert cache.clear() == 0
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_is_swept_after_a_day(folder):
    old = entry(folder, "features/s/.segment-old", used=1000.0)
    new = entry(folder, "features/s/.segment-new")
    cleared = entry(folder, ".features-x/features/s/b")
    os.utime(folder / ".features-x", (1000.0, 1000.0))
    os.utime(new)
    cache.trim()
    assert not old.exists()
    assert not cleared.exists()
    assert new.exists()


def test_what_cannot_be_deleted_is_not_freed(folder, monkeypatch):
    monkeypatch.setenv("CNNTRANSFER_CACHE_LIMIT", "0")
    kept = entry(folder, "trunks/a")

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    assert cache.trim() == 0
    with pytest.raises(OutputError, match=r"whose trunks cannot be deleted\. Try it as the owner"):
        cache.clear()
    assert list(kept.iterdir())
    assert [path.name for path in kept.parent.iterdir()] == ["a"]


def test_another_process_makes_the_same_entry_a_moment_before(folder, monkeypatch):
    target, replace = folder / "trunks" / "a", Path.replace

    def late(self, to):
        if to == target and not target.exists():
            target.mkdir()
            (target / "content").write_text("the other's")
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", late)
    with cache.entry(target) as draft:
        (draft / "content").write_text("ours")
    assert (target / "content").read_text() == "the other's"
    assert [path.name for path in target.parent.iterdir()] == ["a"]
