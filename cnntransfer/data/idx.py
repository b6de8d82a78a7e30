"""IDX files, as MNIST and Fashion-MNIST come in: each image in them is like a file of its own.

An IDX file of images is a header (0, 0, 8 for unsigned bytes, 3 for the number of dimensions, then
how many images, rows and columns, as big-endian 32-bit integers) and the grey levels, one byte
each; one of labels has the dimensions 1 and a byte per image (LeCun, Cortes & Burges,
http://yann.lecun.com/exdb/mnist/). Either may be compressed with gzip.

Image 17 of ``train-images-idx3-ubyte.gz`` is at ``train-images-idx3-ubyte.gz/00017``, and its
content is that of the binary PGM file with the same pixels: ``P5``, width, height, 255, grey
levels. So it is decoded, and gets a digest, as any other image file; nothing else needs to know.

A file is read, and decompressed, once; its content stays in memory as long as it is used.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import re
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError, counted

#: How the names of the files begin -> the subset.
_SUBSETS = {"train": "train", "t10k": "test"}
_IMAGES_NAME = re.compile(rf"({'|'.join(_SUBSETS)})-images[-.]idx3-ubyte(\.gz)?", re.ASCII)
_DIMENSIONS = {1: "labels", 3: "images"}
#: Files beside them that may name the classes.
NAMES_FILES = ("labels.txt", "classes.txt")
_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
#: SHA-256 of Fashion-MNIST's labels, train and t10k, decompressed: files of the same names hold
#: the digits.
_FASHION_LABELS = (
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
)
#: Larger files, decompressed, are refused.
_MOST_BYTES = 2 * 2**30
#: Files in memory: images and labels of training and test.
_MOST_KEPT = 4
_kept: dict[tuple[str, int, int, int], NDArray[np.uint8]] = {}
_lock = threading.Lock()


def is_images_name(path: Path) -> bool:
    """Whether a file's name says that it is an IDX file of images with a subset."""
    return _IMAGES_NAME.fullmatch(path.name) is not None


def images_files(folder: Path) -> dict[Path, str]:
    """The IDX files of images directly in a folder -> their subsets, training first.

    Where one is there both as it is and compressed, the compressed one is left out.
    """
    names = (f"{name}-images{mark}idx3-ubyte" for name in _SUBSETS for mark in "-.")
    files = (_as_it_is_or_compressed(folder, name) for name in names)
    return {file: _SUBSETS[file.name.partition("-")[0]] for file in files if file is not None}


def members(file: Path) -> list[Path]:
    """Where the images of an IDX file are.

    Raises:
        ImageError: the file cannot be read or is no intact IDX file of images.
    """
    return [file / f"{number:05d}" for number in range(len(_content(file, 3)))]


def place(path: str | os.PathLike[str]) -> tuple[Path, str] | None:
    """The IDX file that a path leads into, and the rest of the path; ``None`` if into none.

    The file is there; whether it is intact, and has that image, is not looked at.
    """
    # Asked of every image there is: in pathlib it would take longer than to read one.
    above, number = os.path.split(path)
    _, name = os.path.split(above)
    if _IMAGES_NAME.fullmatch(name) is None or not (file := Path(above)).is_file():
        return None
    return file, number


def read_member(file: Path, number: str) -> bytes:
    """An image of an IDX file as a PGM file.

    Args:
        file: The IDX file.
        number: The image's, as :func:`place` gives it.

    Raises:
        ImageError: there is no such image, or the file is not intact.
    """
    images = _content(file, 3)
    position = int(number) if re.fullmatch("[0-9]{1,10}", number) else len(images)
    if position >= len(images):
        raise ImageError(
            f"does not exist: expected a number from 00000 to {len(images) - 1:05d}", file / number
        )
    height, width = images.shape[1:]
    pixels: bytes = images[position].tobytes()
    return f"P5\n{width} {height}\n255\n".encode() + pixels


def labelled(file: Path) -> Iterator[tuple[Path, str]]:
    """The images of an IDX file, each with its class, from the file of labels beside it.

    Classes are called what ``labels.txt`` or ``classes.txt`` beside the files calls them, one name
    a line; those of Fashion-MNIST by their names, else by their numbers. Fashion-MNIST is told by
    its labels' content, or by ``fashion`` in the name of the folder or of the one above.

    Raises:
        DataError: a file is missing, damaged or does not fit the others.
    """
    labels_file = _labels_file(file)
    paths = members(file)
    labels = _content(labels_file, 1)
    if len(labels) != len(paths):
        raise DataError(
            f"{labels_file}: expected {counted(len(paths), 'label')}, one for each image in "
            f"{file.name}. Received: {counted(len(labels), 'label')}. Download both files again."
        )
    names = _class_names(file.parent, labels)
    return zip(paths, (names[label] for label in labels.tolist()), strict=True)


def files_beside(file: Path) -> Iterator[Path]:
    """The files that :func:`labelled` reads beside one of images."""
    yield _labels_file(file)
    yield from (path for name in NAMES_FILES if (path := file.parent / name).is_file())


def _labels_file(images: Path) -> Path:
    prefix = images.name.partition("-")[0]
    names = [f"{prefix}-labels{mark}idx1-ubyte" for mark in "-."]
    found = (_as_it_is_or_compressed(images.parent, name) for name in names)
    file = next((path for path in found if path is not None), None)
    if file is None:
        raise DataError(
            f"Expected {names[0]} or {names[0]}.gz beside {images.name}, with the labels of its "
            f"images. Received: {images.parent}, without it. Download it into the same folder."
        )
    return file


def _as_it_is_or_compressed(folder: Path, name: str) -> Path | None:
    return next((f for f in (folder / name, folder / f"{name}.gz") if f.is_file()), None)


def _class_names(folder: Path, labels: NDArray[np.uint8]) -> Sequence[str]:
    """The name of every label, by its number."""
    count = int(labels.max()) + 1
    given = next((path for name in NAMES_FILES if (path := folder / name).is_file()), None)
    if given is not None:
        return _given_names(given, count)
    called_so = "fashion" in "/".join(folder.resolve().parts[-2:]).lower()
    is_fashion = called_so or hashlib.sha256(labels.tobytes()).hexdigest() in _FASHION_LABELS
    if is_fashion and count <= len(_FASHION):
        return _FASHION
    return [str(number) for number in range(count)]


def _given_names(file: Path, count: int) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file}: expected a readable UTF-8 text file of class names. Received: {error}."
        ) from None
    names = [line.strip() for line in lines if line.strip()]
    if len(names) < count:
        raise DataError(
            f"{file}: expected a name for each of the labels 0 to {count - 1}, one a line. "
            f"Received: {counted(len(names), 'name')}."
        )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(
            f"{file}: expected the names of the labels 0 to {count - 1}, one a line. "
            f"Received: {twice!r} more than once."
        )
    return names


def _content(file: Path, dimensions: int) -> NDArray[np.uint8]:
    """What an IDX file holds; read once, unless it was changed since."""
    try:
        status = file.stat()
        # By name: to hash a path and to compare it takes longer than to read an image.
        key = (str(file), dimensions, status.st_size, status.st_mtime_ns)
        if (kept := _kept.get(key)) is not None:
            return kept
        with _lock:  # Else several threads would decompress the same file.
            values = _kept[key] if key in _kept else _read(file, dimensions)
            for oldest in list(_kept)[: 1 - _MOST_KEPT]:
                del _kept[oldest]
            _kept[key] = values
        return values
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ImageError(
            f"expected an intact gzip file. Received: {error}. Download it again", file
        ) from None
    except FileNotFoundError:
        raise ImageError("does not exist", file) from None
    except PermissionError:
        raise ImageError("cannot be read: permission denied", file) from None
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}", file) from None


def _read(file: Path, dimensions: int) -> NDArray[np.uint8]:
    """The uint8 array in a file."""
    what = _DIMENSIONS[dimensions]
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as content:
        header = content.read(4 + 4 * dimensions)
        if not header.startswith(start := bytes((0, 0, 8, dimensions))):
            raise ImageError(
                f"expected an IDX file of {what}, which begins with {start.hex(' ')}. Received: "
                f"{header[:4].hex(' ') or 'an empty file'}. Download it again",
                file,
            )
        if len(header) < 4 + 4 * dimensions:
            raise ImageError(
                f"expected a header of {4 + 4 * dimensions} bytes. Received: {len(header)} bytes. "
                "Download it again",
                file,
            )
        shape = np.frombuffer(header, ">u4", offset=4).tolist()
        expected = math.prod(shape)
        if not expected:
            raise ImageError(f"expected {what}. Received: a header that says none", file)
        if expected > _MOST_BYTES:
            raise ImageError(f"is larger than {_MOST_BYTES // 2**20} MB", file)
        data = content.read(expected + 1)
    if len(data) != expected:
        of_images = "" if dimensions == 1 else f" of {shape[1]} x {shape[2]} pixels"
        received = "more" if len(data) > expected else f"{len(data)}"
        raise ImageError(
            f"expected {shape[0]} {what}{of_images}, {expected} bytes after the header. "
            f"Received: {received}. Download it again",
            file,
        )
    values: NDArray[np.uint8] = np.frombuffer(data, np.uint8).reshape(shape)
    return values
