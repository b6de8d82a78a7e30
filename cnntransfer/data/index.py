"""Which image files there are, what they are labelled, and which subset the user put them in.

Four layouts are understood; nothing is ever written into them:

- a folder with one sub-folder per class;
- a folder with ``train/`` and optionally ``val|valid|validation/`` and ``test/``, each with one
  sub-folder per class;
- a folder with the IDX files of MNIST or Fashion-MNIST, see :mod:`cnntransfer.data.idx`;
- a manifest: a CSV or TSV file with the columns ``file,label`` and optionally ``subset``.
"""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ..errors import DataError, counted, nearest
from . import idx
from .formats import IMAGE_SUFFIXES

#: What users call the subsets -> what they are called here.
SUBSET_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
MANIFEST_SUFFIXES = {".csv": ",", ".tsv": "\t"}
#: What operating systems put into folders; the last may be read by the administrator alone.
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "lost+found")


@dataclass(frozen=True)
class Entry:
    """One image file, or image in an IDX file, as found: not yet read."""

    path: Path
    label: str
    subset: str | None = None


@dataclass(frozen=True)
class Listing:
    """What was found under ``source``, before any file is read.

    Attributes:
        source: The folder or manifest that was given.
        entries: The image files, sorted by path within the order of the layout.
        ignored: How many visible files are no images by their name, or lie outside the class
            folders.
        empty_classes: Class folders without any image.
        repeated: How many lines of a manifest said again what another says; they do not count.
    """

    source: Path
    entries: tuple[Entry, ...]
    ignored: int = 0
    empty_classes: tuple[str, ...] = ()
    repeated: int = 0
    class_names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(sorted({e.label for e in self.entries})))

    @property
    def root(self) -> Path:
        """The folder that file names are given relative to."""
        return self.source if self.source.is_dir() else self.source.parent


def list_images(source: Path) -> Listing:
    """List the labelled images of a folder or manifest.

    Raises:
        DataError: nothing is there, or it has none of the four layouts, or an IDX file is damaged.
    """
    if source.is_dir():
        listing = _list_idx(source) or _list_folder(source)
    elif source.is_file() and source.suffix.lower() in MANIFEST_SUFFIXES:
        listing = _list_manifest(source)
    elif idx.is_images_name(source) and source.exists():
        raise DataError(
            f"Expected the folder in which {source.name} and the file of its labels lie. "
            f"Received: {source}. Give {source.parent}"
        )
    elif source.exists():
        raise DataError(
            f"Expected a folder with one sub-folder per class, or a .csv or .tsv manifest. "
            f"Received: {source}, a file. To classify one image: cnntransfer predict {source}"
        )
    else:
        raise DataError(
            "Expected a folder with one sub-folder per class, or a manifest. "
            f"Received: {source}, which does not exist.{_sibling(source)}"
        )
    if not listing.entries:
        raise DataError(_why_empty(source, listing))
    _check_names(listing)
    return listing


def image_files(folder: Path) -> Iterator[Path]:
    """All files below a folder that are images by their name, sorted, hidden ones left out."""
    return (path for path in visible_files(folder) if is_image_name(path))


def images_below(folder: Path) -> Iterator[Path]:
    """All images below a folder: the files, and what is in IDX files.

    Raises:
        ImageError: an IDX file is damaged.
    """
    for path in visible_files(folder):
        if idx.is_images_name(path):
            yield from idx.members(path)
        elif is_image_name(path):
            yield path


def visible_files(folder: Path) -> Iterator[Path]:
    """All files below a folder, sorted, without hidden files and folders; links are followed.

    A link that leads back to a folder above it is not entered: it would bring in other classes.

    Raises:
        DataError: a folder cannot be read; without it a class would be smaller, or missing.
    """
    start = Path(os.path.realpath(folder))
    seen = {str(above) for above in start.parents}
    for parent, folders, files in os.walk(folder, onerror=_cannot_list, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield from (Path(parent, name) for name in sorted(files) if not _is_hidden(name))


def _cannot_list(error: OSError) -> NoReturn:
    raise DataError(
        f"Expected a readable folder. Received: {error.filename} "
        f"({(error.strerror or str(error)).lower()})."
    ) from None


def is_image_name(path: Path) -> bool:
    """Whether a file's name says that it is an image (its content may say otherwise)."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name.lower() in _SYSTEM_FILES


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not _is_hidden(p.name))
    except PermissionError as error:
        _cannot_list(PermissionError(error.errno, error.strerror, str(folder)))


def _list_folder(source: Path) -> Listing:
    folders = _folders(source)
    subsets = {folder: SUBSET_NAMES.get(folder.name.lower()) for folder in folders}
    groups: list[tuple[str | None, list[Path]]]
    if "train" in subsets.values() and any(
        _folders(folder) for folder, subset in subsets.items() if subset == "train"
    ):
        groups = [(subset, _folders(folder)) for folder, subset in subsets.items() if subset]
    else:
        groups = [(None, folders)]
    entries: list[Entry] = []
    empty: list[str] = []
    visible = sum(1 for _ in visible_files(source))
    for subset, classes in groups:
        for folder in classes:
            images = [Entry(path, folder.name, subset) for path in image_files(folder)]
            entries += images
            if not images:
                empty.append(folder.name)
    # A folder that two classes link to is counted once here, but is in both.
    return Listing(source, tuple(entries), max(0, visible - len(entries)), tuple(empty))


def _list_idx(source: Path) -> Listing | None:
    """The images of the IDX files in a folder; ``None`` where there are none."""
    files = idx.images_files(source)
    if not files:
        return None
    entries = [
        Entry(path, label, subset)
        for file, subset in files.items()
        for path, label in idx.labelled(file)
    ]
    read = {*files, *(beside for file in files for beside in idx.files_beside(file))}
    ignored = sum(1 for path in visible_files(source) if path not in read)
    return Listing(source, tuple(entries), ignored)


def _list_manifest(source: Path) -> Listing:
    delimiter = MANIFEST_SUFFIXES[source.suffix.lower()]
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, delimiter=delimiter))
    except (UnicodeDecodeError, csv.Error, PermissionError) as error:
        raise DataError(
            f"{source}: expected a readable UTF-8 text file. Received: {error}."
        ) from None
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if not {"file", "label"} <= set(header):
        raise DataError(
            f"{source}: expected a first line 'file,label' or 'file,label,subset'. "
            f"Received: {repr(delimiter.join(rows[0])) if rows else 'an empty file'}."
            f"{_separator_hint(header, delimiter)}"
        )
    if twice := [name for name in ("file", "label", "subset") if header.count(name) > 1]:
        raise DataError(
            f"{source}: expected one column of every name. Received: {header.count(twice[0])} "
            f"called {twice[0]!r}. Rename or remove the others."
        )
    found: dict[Path, tuple[int, Entry]] = {}
    repeated = 0
    for number, row in enumerate(rows[1:], start=2):
        cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
        if not any(cells.values()):
            continue
        where = f"{source}, line {number}"
        for column in ("file", "label"):
            if not cells.get(column):
                raise DataError(f"{where}: expected a {column}. Received: an empty cell.")
        entry = Entry(source.parent / cells["file"], cells["label"], _subset(cells, where))
        line, first = found.setdefault(entry.path.absolute(), (number, entry))
        if (entry.label, entry.subset) != (first.label, first.subset):
            raise DataError(
                f"{where}: expected one label and subset for every file. Received: "
                f"{cells['file']!r} as {_described(entry)}, but on line {line} as "
                f"{_described(first)}. Remove the wrong one of the two lines."
            )
        repeated += entry is not first
    return Listing(source, tuple(entry for _, entry in found.values()), repeated=repeated)


def _described(entry: Entry) -> str:
    return repr(entry.label) + (f" in {entry.subset}" if entry.subset else "")


def _separator_hint(header: list[str], delimiter: str) -> str:
    """What to do with a header of one column that holds the separators of another format."""
    other = next((mark for mark in ";,\t" if len(header) == 1 and mark in header[0]), None)
    if other is None:
        return ""
    way = "with commas, or as .tsv" if delimiter == "," else "with tabs, or as .csv"
    return f" The header holds {other!r}: save it {way}."


def _check_names(listing: Listing) -> None:
    for name in listing.class_names:
        # Control characters and bytes that are no UTF-8: labels.txt could not hold them.
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise DataError(
                "Expected class names that fit on a line of UTF-8 text. "
                f"Received: {name!r} in {listing.source}. Rename the class."
            )


def _subset(cells: dict[str, str], where: str) -> str | None:
    name = cells.get("subset", "")
    if not name:
        return None
    if name.lower() not in SUBSET_NAMES:
        raise DataError(
            f"{where}: expected a subset out of train, val, test. "
            f"Received: {name!r}.{nearest(name, SUBSET_NAMES)}"
        )
    return SUBSET_NAMES[name.lower()]


def _sibling(source: Path) -> str:
    parent = source.parent
    return nearest(source.name, [p.name for p in parent.iterdir()]) if parent.is_dir() else ""


def _why_empty(source: Path, listing: Listing) -> str:
    expected = "Expected a folder with one sub-folder of images per class"
    if not source.is_dir():
        return f"{source}: expected at least one line after the header. Received: none."
    deeper = next((p.parent for p in visible_files(source) if idx.is_images_name(p)), None)
    if deeper is not None:
        return f"{expected}. Received: {source}. Its IDX files are in {deeper}: give that folder."
    loose = sum(1 for p in source.iterdir() if p.is_file() and is_image_name(p))
    if loose:
        return (
            f"{expected}, such as {source}/cats/1.jpg. Received: {source}, with "
            f"{counted(loose, 'image')} directly in it and none in sub-folders. "
            "Move them into a folder per class."
        )
    if listing.empty_classes:
        names = ", ".join(listing.empty_classes[:5])
        return (
            f"{expected}. Received: {source}, with no image in its sub-folders ({names}); "
            f"{counted(listing.ignored, 'other file')}."
        )
    return (
        f"{expected}. Received: {source}, which holds no image. "
        f"Put the photos of a class into a folder of its name, such as {source}/cats/1.jpg"
    )
