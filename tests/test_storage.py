"""Atomic folders and files: complete or as before, whatever happens in between."""

import os
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest

from cnntransfer import storage
from cnntransfer.errors import OutputError
from cnntransfer.storage import (
    atomic_file,
    atomic_folder,
    cache_folder,
    check_apart,
    check_target,
    sha256_of_file,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_folder(target, content="new", **options):
    with atomic_folder(target, **options) as draft:
        (draft / "file.txt").write_text(content)


def write_file(target, content="new", **options):
    with atomic_file(target, **options) as draft:
        draft.write_text(content)


# ---- Success


def test_a_folder_takes_its_name_at_the_end(tmp_path):
    target = tmp_path / "deep" / "er" / "out"
    with atomic_folder(target) as draft:
        (draft / "file.txt").write_text("new")
        assert not target.exists()
        assert draft.parent == target.parent
    assert (target / "file.txt").read_text() == "new"
    assert names(target.parent) == ["out"]


def test_an_old_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "out"
    write_folder(target)
    (target / "only-in-the-old-one").touch()
    write_folder(target, "newer", overwrite=True)
    assert names(target) == ["file.txt"]
    assert (target / "file.txt").read_text() == "newer"
    assert names(tmp_path) == ["out"]


def test_a_file_takes_its_name_at_the_end(tmp_path):
    target = tmp_path / "deep" / "out.txt"
    write_file(target, "old")
    with atomic_file(target) as draft:
        draft.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(target.parent) == ["out.txt"]


def test_others_may_read_what_the_umask_lets_them_read(tmp_path):
    old = os.umask(0o027)
    try:
        write_folder(tmp_path / "out")
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750


# ---- Failure


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_block_leaves_everything_as_it_was(tmp_path, stop):
    write_folder(tmp_path / "out", "old")
    write_file(tmp_path / "out.txt", "old")

    def begin(draft):
        draft.write_text("half")
        raise stop

    for target in (tmp_path / "out", tmp_path / "new"):
        with pytest.raises(stop), atomic_folder(target, overwrite=True) as draft:
            begin(draft / "file.txt")
    for target in (tmp_path / "out.txt", tmp_path / "new.txt"):
        with pytest.raises(stop), atomic_file(target) as draft:
            begin(draft)
    assert names(tmp_path) == ["out", "out.txt"]
    assert (tmp_path / "out" / "file.txt").read_text() == "old"
    assert (tmp_path / "out.txt").read_text() == "old"


def test_the_old_folder_comes_back_when_the_last_rename_fails(tmp_path, monkeypatch):
    target = tmp_path / "out"
    write_folder(target, "old")
    replace = Path.replace

    def fail_for_the_draft(self, destination):
        if destination == target and "-old-" not in str(self):
            raise OSError(28, "No space left on device")
        return replace(self, destination)

    monkeypatch.setattr(Path, "replace", fail_for_the_draft)
    with pytest.raises(OutputError, match="No space left on device"):
        write_folder(target, "new", overwrite=True)
    assert (target / "file.txt").read_text() == "old"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["folder", "file"])
@pytest.mark.parametrize("before", ["absent", "old"])
def test_a_killed_process_leaves_the_target_absent_or_intact(tmp_path, kind, before):
    target = tmp_path / "out"
    if before == "old":
        (write_folder if kind == "folder" else write_file)(target, "old")
    script = f"""
        import os, signal
        from pathlib import Path
        from cnntransfer.storage import atomic_file, atomic_folder
        target = Path({str(target)!r})
        with atomic_{kind}(target, overwrite=True) as draft:
            (draft / "file.txt" if draft.is_dir() else draft).write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=300)
    assert killed.returncode == -signal.SIGKILL
    if before == "absent":
        assert not target.exists()
    else:
        assert (target / "file.txt" if kind == "folder" else target).read_text() == "old"


# ---- Refusals


@pytest.mark.parametrize("write", [write_folder, write_file])
def test_nothing_is_overwritten_silently(tmp_path, write):
    target = tmp_path / "out"
    for _ in range(2):
        if target.exists():
            with pytest.raises(OutputError) as caught:
                write(target, "newer", overwrite=False)
            assert str(caught.value) == (
                f"{target} exists already and is not overwritten silently. "
                "Choose another --output, or allow it with --overwrite."
            )
        else:
            write(target, overwrite=False)
    assert "newer" not in [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]


def test_only_what_is_ours_is_replaced(tmp_path):
    """Others have a metadata.json, too, and links to folders."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder, content in ((ours, '{"backbone": "vgg16"}'), (theirs, '{"title": "Moby-Dick"}')):
        folder.mkdir()
        (folder / "metadata.json").write_text(content)
    (tmp_path / "link").symlink_to(ours)
    (tmp_path / "file").write_text("mine")
    options = {"overwrite": True, "marker": "metadata.json"}
    for name, received in (("theirs", "something else"), ("link", "a link"), ("file", "a file")):
        with pytest.raises(OutputError, match=f"Received: .*{name}, .*{received}"):
            write_folder(tmp_path / name, **options)
    assert names(theirs) == ["metadata.json"]
    write_folder(ours, **options)
    assert names(ours) == ["file.txt"]


def test_a_broken_link_is_not_overwritten_silently(tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="exists already"):
        check_target(tmp_path / "out", overwrite=False)


@pytest.mark.parametrize("below", ["out", "deep/out"])
def test_a_file_in_place_of_the_folder(tmp_path, below):
    blocker = tmp_path / "file"
    blocker.touch()
    target = blocker / below
    for call in (write_folder, write_file, lambda path: check_target(path, overwrite=True)):
        with pytest.raises(OutputError) as caught:
            call(target)
        assert str(caught.value) == (
            f"Expected a folder to write {target} into. Received: {blocker}, a file."
        )


def test_no_permission(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError) as caught:
        check_target(tmp_path / "out", overwrite=False)
    assert str(caught.value) == (
        f"Expected a folder that can be written. Received: {tmp_path} (permission denied when "
        "writing out). Choose another place with --output."
    )


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
@pytest.mark.parametrize("call", [write_folder, write_file, partial(check_target, overwrite=True)])
@pytest.mark.parametrize("target", ["/proc/cnntransfer-out", "/proc/cnntransfer/deep/out"])
def test_a_place_where_nobody_may_write(call, target):
    with pytest.raises(OutputError, match=r"^Expected a folder that can be .* Received: /proc \("):
        call(Path(target))


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path):
    with pytest.raises(OutputError, match="file name too long"):
        check_target(tmp_path / ("x" * 300), overwrite=False)


def test_checking_leaves_nothing_behind(tmp_path):
    check_target(tmp_path / "deep" / "out", overwrite=False)
    assert names(tmp_path) == []


def test_a_folder_does_not_replace_a_file(tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(OutputError, match=r"Cannot write .*out: Not a directory"):
        write_folder(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").read_text() == "precious"
    assert names(tmp_path) == ["out"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk(tmp_path):
    with pytest.raises(OutputError) as caught, atomic_folder(tmp_path / "out"):
        Path("/dev/full").write_text("content")
    assert str(caught.value) == (
        f"Cannot write {tmp_path / 'out'}: No space left on device. "
        "Choose another place with --output, or make room there."
    )


@pytest.mark.parametrize("target", ["out", "runs/out", "./out", "../here/out"])
def test_relative_targets_report_failures_too(tmp_path, monkeypatch, target):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with (
        pytest.raises(OutputError, match=r"Cannot write .*: No such file"),
        atomic_folder(Path(target)) as draft,
    ):
        (draft.absolute() / "missing" / "file.txt").write_text("x")
    write_folder(Path(target))
    assert (Path(target) / "file.txt").is_file()


def test_failing_to_make_a_folder_on_the_way_is_a_failure_to_write(tmp_path, monkeypatch):
    mkdir = Path.mkdir

    def refuse(self, **options):
        if options:  # Not a try whether anything can be written.
            raise PermissionError(13, "Permission denied", str(tmp_path / "runs"))
        mkdir(self)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"^Cannot write .*deep/out: Permission denied\."):
        write_folder(tmp_path / "runs" / "deep" / "out")


def test_failing_to_read_something_else_is_not_a_failure_to_write(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "runs" / "out"):
        (tmp_path / "photos" / "cat.jpg").read_bytes()
    # Also where it lies beside the output, as a cache in the same folder does.
    for name in ("cache/trunk.tflite", ".outer-1/x"):
        with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "out"):
            (tmp_path / name).read_bytes()


# ---- The cache and checksums


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNTRANSFER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("CNNTRANSFER_CACHE")
    assert cache_folder().name == "cnntransfer"


def test_the_cache_may_be_below_the_home_folder(monkeypatch):
    """As a service's settings say it, without a shell."""
    monkeypatch.setenv("CNNTRANSFER_CACHE", "~/kept")
    assert cache_folder() == Path.home() / "kept"


def test_sha256(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert sha256_of_file(path).startswith("ba7816bf8f01cfea414140de5dae2223")
    path.write_bytes(bytes((1 << 20) + 1))
    assert sha256_of_file(path).startswith("2cb74edba754")


# ---- Apart from the images


@pytest.mark.parametrize("place", ["photos", "photos/x", "photos/a/b.csv", ".", "link/x"])
def test_nothing_is_written_into_the_images(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    with pytest.raises(OutputError, match="outside the folder of images"):
        check_apart(Path(place), Path("photos"))
    check_apart(Path("photos2"), Path("photos"))


def test_nothing_is_written_over_the_manifest(tmp_path):
    manifest = tmp_path / "list.csv"
    manifest.touch()
    with pytest.raises(OutputError, match="beside the manifest"):
        check_apart(tmp_path / "x" / ".." / "list.csv", manifest)
    check_apart(tmp_path / "list2.csv", manifest)


def test_what_a_killed_process_left_is_swept(tmp_path):
    left = ".out-0123456789ab"
    others = [".out-old-0123456789ab", ".outer-0123456789ab", ".out-notes", "out-0123456789ab"]
    for name in [left, *others]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.txt").write_text("half")
    storage.sweep(tmp_path / "out")
    assert names(tmp_path) == sorted(others)
    storage.sweep(tmp_path / "missing" / "out")


def test_drafts_are_what_is_swept(tmp_path):
    draft = storage.hidden_beside(tmp_path / "a b.[c]")
    kept = storage.hidden_beside(tmp_path / "a b.[c]", "old-")
    storage.sweep(tmp_path / "a b.[c]")
    assert (draft.exists(), kept.exists()) == (False, True)


def test_a_cache_may_lie_around_the_images_but_not_among_them(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    check_apart(tmp_path, photos, "CNNTRANSFER_CACHE", may_surround=True)
    with pytest.raises(OutputError, match=r"Choose another place with CNNTRANSFER_CACHE"):
        check_apart(photos / "cache", photos, "CNNTRANSFER_CACHE", may_surround=True)
    with pytest.raises(OutputError, match="Choose another place with --output"):
        check_apart(tmp_path, photos)
