"""Files and folders that are either complete or absent, and where the user's cache lives."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError

CACHE_VARIABLE = "CNNTRANSFER_CACHE"
_OUTPUT = "--output"


def cache_folder() -> Path:
    """The folder for what can be made again: ``$CNNTRANSFER_CACHE`` or the platform's own."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("cnntransfer", appauthor=False))


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_folder(
    target: Path, *, overwrite: bool = False, marker: str | None = None
) -> Iterator[Path]:
    """Yield an empty folder beside ``target`` that takes its name when the block succeeds.

    Whatever stops the block (an error, Ctrl-C, a kill) leaves ``target`` as it was.

    Args:
        target: The folder to write.
        overwrite: Whether an existing folder may be replaced.
        marker: Name of a file that a folder must hold to be replaced, so that only what this
            program wrote ever is: a JSON file that names the backbone, or any other; ``None`` for
            folders that are this program's by their place.

    Raises:
        OutputError: ``target`` exists and may not be replaced, or cannot be written.
    """
    check_target(target, overwrite=overwrite, marker=marker)
    with _writing(target), _checked_place(target, overwrite=overwrite):
        draft = hidden_beside(target)
        try:
            yield draft
            # Again: another process may have put something there meanwhile.
            check_target(target, overwrite=overwrite, marker=marker)
            if target.is_dir() and not target.is_symlink():
                # Two renames: the old folder is gone only once the new one is complete.
                place = hidden_beside(target, "old-")
                try:
                    retired = target.replace(place / target.name)
                    try:
                        draft.replace(target)
                    except BaseException:
                        retired.replace(target)
                        raise
                    discard(retired)
                finally:
                    with suppress(OSError):  # What cannot be put back stays there.
                        place.rmdir()
            else:
                draft.replace(target)
        finally:
            discard(draft)


@contextmanager
def atomic_file(target: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a path beside ``target``; the file written there takes its name on success.

    Raises:
        OutputError: ``target`` exists and ``overwrite`` is false, or cannot be written.
    """
    with _writing(target), _checked_place(target, overwrite=overwrite):
        folder = hidden_beside(target)
        try:
            draft = folder / target.name
            yield draft
            draft.replace(target)
        finally:
            discard(folder)


def hidden_beside(target: Path, mark: str = "") -> Path:
    """Make a hidden folder beside ``target``, by a name that no other process has.

    Raises:
        OSError: it cannot be made.
    """
    # Not mkdtemp(), whose folders are for nobody else: results are as readable as other files.
    folder = target.parent / f".{target.name}-{mark}{os.urandom(6).hex()}"
    folder.mkdir()
    return folder


def sweep(target: Path) -> None:
    """Delete what killed processes left half-written beside ``target``; nobody else writes it now.

    What was being replaced is not among it.
    """
    ours = re.compile(re.escape(f".{target.name}-") + "[0-9a-f]{12}")
    with suppress(OSError):
        for folder in target.parent.iterdir():
            if ours.fullmatch(folder.name):
                discard(folder)


def discard(folder: Path) -> None:
    """Delete a folder with all that is in it, as far as that is possible."""
    import shutil  # Not above: prediction, which has to begin at once, deletes nothing.

    shutil.rmtree(folder, ignore_errors=True)


def check_target(
    target: Path, *, overwrite: bool, marker: str | None = None, option: str = _OUTPUT
) -> None:
    """Fail early, before long work, when a result could not be put at ``target``.

    Args:
        target: Where it is to be.
        overwrite: Whether what is there may be replaced.
        marker: See :func:`atomic_folder`.
        option: What another place is chosen with; only ``--output`` has an ``--overwrite``.

    Raises:
        OutputError: it exists and may not be overwritten, or its folder cannot be written.
    """
    if os.path.lexists(target) and not overwrite:
        way_out = ", or allow it with --overwrite." if option == _OUTPUT else "."
        raise OutputError(
            f"{target} exists already and is not overwritten silently. "
            f"Choose another {option}{way_out}"
        )
    if marker and os.path.lexists(target) and (target.is_symlink() or not target.is_dir()):
        raise OutputError(
            f"--overwrite: expected a folder to replace. Received: {target}, "
            f"{'a link' if target.is_symlink() else 'a file'}, which is left alone. "
            "Choose another --output."
        )
    if marker and target.is_dir() and any(target.iterdir()) and not _is_ours(target / marker):
        raise OutputError(
            f"--overwrite: expected a folder that this command wrote (with {marker} in it). "
            f"Received: {target}, which holds something else and is left alone. "
            "Choose another --output."
        )
    folder = target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"Expected a folder to write {target} into. Received: {folder}, a file.")
    try:
        # Permissions do not tell it all: /proc, a full disk, a read-only mount, a long name.
        hidden_beside(folder / target.name).rmdir()
    except OSError as error:
        raise OutputError(
            f"Expected a folder that can be written. Received: {folder} "
            f"({(error.strerror or str(error)).lower()} when writing {target.name}). "
            f"Choose another place with {option}."
        ) from None


def check_apart(
    target: Path, data: Path, option: str = _OUTPUT, *, may_surround: bool = False
) -> None:
    """Check that nothing is written into the user's folder of images, or over it or its manifest.

    Args:
        target: What is going to be written.
        data: The folder or the manifest.
        option: What another place is chosen with.
        may_surround: Whether the images may lie in the target, where nothing is replaced.

    Raises:
        OutputError: it would be.
    """
    images, place = data.resolve(), target.resolve()
    surrounds = images.is_relative_to(place) and not may_surround
    overlap = place.is_relative_to(images) or surrounds
    if overlap if images.is_dir() else place == images:
        only_read = "outside the folder of images" if images.is_dir() else "beside the manifest"
        raise OutputError(
            f"Expected an output {only_read}, which is only read. Received: "
            f"{target}. Choose another place with {option}, such as ../{target.name}"
        )


def _is_ours(marker: Path) -> bool:
    """Whether this program wrote a file: others have a ``metadata.json``, too."""
    if marker.suffix != ".json":
        return marker.exists()
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "backbone" in content


@contextmanager
def _checked_place(target: Path, *, overwrite: bool) -> Iterator[None]:
    """Make the folders above ``target``; take away the new ones when the block fails."""
    check_target(target, overwrite=overwrite)
    made = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # Someone else may use them by now.
            for folder in made:
                folder.rmdir()
        raise


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is not None and not _concerns(target, error.filename):
            raise  # A file that is read inside the block, not the one that is written.
        raise OutputError(
            f"Cannot write {target}: {error.strerror or error}. "
            "Choose another place with --output, or make room there."
        ) from error


def _concerns(target: Path, filename: str | bytes | int) -> bool:
    """Whether a file is the target, its draft, inside one of them, or a folder above it."""
    if isinstance(filename, int):
        return False
    file = Path(os.path.abspath(os.fsdecode(filename)))
    place = Path(os.path.abspath(target))
    if not file.is_relative_to(place.parent):
        return place.is_relative_to(file)
    beside = file.relative_to(place.parent).parts
    return not beside or beside[0] == place.name or beside[0].startswith(f".{place.name}-")
