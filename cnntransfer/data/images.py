"""From an image file to the pixels that a model sees: the one way there.

Training, evaluation, prediction, explanation and serving all come through here, so that a
picture never looks different to the model than it did in training. What is decided on purpose:

- The content of a file decides its format, never its name.
- EXIF orientation is applied; an EXIF block that cannot be read counts as none.
- Transparent pixels show white: cut-outs are mostly made for white pages, and a black drawing on
  a transparent ground would vanish on black. (Dropping alpha shows whatever colours it hid.)
- 16-bit grey is divided by 257 (``convert("RGB")`` would clip nearly all of it to white). 32-bit
  integers and floats have no agreed range: they are stretched from their own smallest to their
  own largest finite value.
- CMYK is converted without a profile. A CMYK JPEG whose inks may or may not be inverted is an
  error, not a guess.
- Of animations and multi-page files, the first picture counts.
- ICC profiles are ignored: the networks were trained on pixels as stored.
- A damaged file is an error, never half a picture.

Every function may be called from several threads at once. Whatever the bytes, the only exception
is :class:`~cnntransfer.errors.ImageError`, with a reason that fits on one line.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import re
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from ..errors import ImageError
from . import idx
from .fitting import (
    EXIF_TRANSPOSE,
    InputSpec,
    Picture,
    Resize,
    Size,
    draft_size,
    fit,
    upright,
    within,
)
from .formats import identify_format
from .modes import flattened, mend_transparency

#: Larger files are refused unread.
MAX_BYTES = 512 * 1024 * 1024
#: Images with more pixels are refused undecoded. It is where Pillow itself refuses by default
#: (twice ``Image.MAX_IMAGE_PIXELS``), but holds when a program has changed that.
MAX_PIXELS = 178_956_970

_QUIET_MODULES = r"PIL\."
_QUIET = ("ignore", None, Warning, re.compile(_QUIET_MODULES), 0)
_filters_lock = threading.Lock()
# Pillow logs an error that it then raises; without this, Python would also print it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of an image file, or of an image in an IDX file.

    Raises:
        ImageError: there is no such file, it is a folder, empty, too large or unreadable.
    """
    if (place := idx.place(path)) is not None:
        return idx.read_member(*place)
    try:
        # Before open(), which waits for a pipe's other end and calls a folder on Windows forbidden.
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError("is a folder, not an image file", path)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("is not a regular file", path)
        # Python makes room for all that may be read. Some file systems call every size 0.
        most = status.st_size or MAX_BYTES
        with Path(path).open("rb") as file:
            data = file.read(most + 1) if most <= MAX_BYTES else None
    except FileNotFoundError:
        raise ImageError("does not exist", path) from None
    except PermissionError:
        raise ImageError("cannot be read: permission denied", path) from None
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot be read: {_one_line(error)}", path) from error
    if data is None or len(data) > MAX_BYTES:
        raise ImageError(f"is larger than {MAX_BYTES // 1024**2} MB", path)
    if not data:
        raise ImageError("is empty (0 bytes)", path)
    return data


def is_there(path: Path) -> bool:
    """Whether :func:`read_bytes` would find something: a file, or an image in an IDX file."""
    return path.is_file() or idx.place(path) is not None


def read(
    source: str | os.PathLike[str] | bytes, spec: InputSpec, name: object = None
) -> NDArray[np.uint8]:
    """The pixels of an image file as a model wants them.

    Args:
        source: the file's path, or its content.
        spec: the size and how to fit the picture to it.
        name: what errors call the image; the path if not given.

    Returns:
        uint8 ndarray of shape (height, width, 3), RGB, 0..255. The same file and spec give the
        same pixels in every part of the program.

    Raises:
        ImageError: the file cannot be read or is no intact image.
    """
    data, name = _content(source, name)
    with _image_errors(name):
        return _array(fit(_decode(data, spec), spec))


def load(source: str | os.PathLike[str] | bytes, name: object = None) -> NDArray[np.uint8]:
    """An image file's pixels at full size, upright; otherwise like :func:`read`.

    Returns:
        uint8 ndarray of shape (height, width, 3), RGB, 0..255.
    """
    data, name = _content(source, name)
    with _image_errors(name):
        picture = _decode(data, None)
        return _array(upright(picture.image, picture.orientation))


def read_within(
    source: str | os.PathLike[str] | bytes, side: int, name: object = None
) -> NDArray[np.uint8]:
    """An image file's pixels, upright and undistorted, to look at; otherwise like :func:`read`.

    Args:
        source: the file's path, or its content.
        side: what neither height nor width exceeds. Smaller pictures are not enlarged.
        name: what errors call the image; the path if not given.

    Returns:
        uint8 ndarray of shape (height, width, 3), RGB, 0..255.
    """
    data, name = _content(source, name)
    with _image_errors(name):
        picture = _decode(data, InputSpec((side, side), Resize.LETTERBOX))
        return _array(within(picture, (min(side, max(picture.size)),) * 2))


def stored_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """The (height, width) in pixels that an image file's header names; nothing is decoded.

    Raises:
        ImageError: the file cannot be read or its header is damaged.
    """
    with _image_errors(path):
        _prepare_pillow()
        width, height = _identify(read_bytes(path)).size
        return height, width


def resize(pixels: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """Fit pixels that are already decoded, uint8 of shape (h, w, 3), to ``spec``."""
    image = Image.fromarray(pixels)
    return _array(fit(Picture(image, image.size, 1), spec))


def _content(source: str | os.PathLike[str] | bytes, name: object) -> tuple[bytes, object]:
    if isinstance(source, bytes):
        return source, name
    name = source if name is None else name
    try:
        return read_bytes(source), name
    except ImageError as error:
        raise ImageError(error.reason, name) from error.__cause__


def _decode(data: bytes, spec: InputSpec | None) -> Picture:
    """Pixels from bytes: all of them, or for ``spec`` about as many as it needs."""
    _prepare_pillow()
    image = _identify(data)
    mend_transparency(image)
    size: Size = image.size
    if isinstance(image, JpegImageFile):
        _check_jpeg(image, data)
        # Before load(), because whether a photo lies on its side decides what it needs.
        orientation = _orientation(image)
        if spec and (drafted := image.draft(None, draft_size(image.size, orientation, spec))):
            size = drafted[1][2:]
        image.load()
    else:
        image.load()
        # After load(): PNG may have its EXIF behind the pixels, TIFF turns itself upright.
        orientation = _orientation(image)
        size = image.size
    return Picture(flattened(image), size, orientation)


def _identify(data: bytes) -> ImageFile.ImageFile:
    """Open an image by its content and check its size, without decoding it."""
    if not data:
        raise ImageError("is empty (0 bytes)")
    name, module = identify_format(data)
    importlib.import_module(module)
    # Image.open() would import the drivers of five formats first, whichever this is.
    driver, accepts = Image.OPEN[name]
    try:
        if accepts and accepts(data[:16]) is not True:
            raise SyntaxError
        image = driver(io.BytesIO(data), "")
    except (SyntaxError, IndexError, TypeError, struct.error):
        raise ImageError(f"is a damaged or unsupported {name} image") from None
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"has no pixels ({width} x {height})")
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError
    return image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1..8; 1 where there is none that makes sense."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1  # A camera's broken EXIF block says nothing against its pixels.
    return value if isinstance(value, int) and value in EXIF_TRANSPOSE else 1


def _check_jpeg(image: JpegImageFile, data: bytes) -> None:
    """Refuse what libjpeg would decode without complaint to something else than the photo."""
    if b"\r" not in data:
        counts = np.bincount(np.frombuffer(data, np.uint8), minlength=256)
        # Compressed bytes are as good as random: that only this one is missing is no accident.
        if np.delete(counts, ord("\r")).min() >= 8:
            raise ImageError("is damaged: it was once copied as text, which changed its line ends")
    # Seen in figures cut out of PDFs: Adobe's marker promises inverted inks that are not inverted.
    if image.mode == "CMYK" and len({component[0] for component in image.layer}) < 4:
        raise ImageError("is a CMYK JPEG with ambiguous colours: save it again as RGB")


def _array(image: Image.Image) -> NDArray[np.uint8]:
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _prepare_pillow() -> None:
    """Make Pillow quiet and strict, whatever the program around us does."""
    # ``warnings.catch_warnings`` would swap the filters of all threads. So one filter for Pillow's
    # modules is put in front, and again when a test runner or another library has changed them.
    if not warnings.filters or warnings.filters[0] != _QUIET:
        with _filters_lock:
            warnings.filterwarnings("ignore", module=_QUIET_MODULES)
    # It would turn a cut-off download into a picture with a grey lower half.
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


@contextmanager
def _image_errors(name: object) -> Iterator[None]:
    """Give every failure to decode a short reason.

    The decoders raise about anything for damaged bytes: OSError, SyntaxError, struct.error,
    ValueError, OverflowError, EOFError, zlib.error, MemoryError, ...
    """
    try:
        yield
    except ImageError as error:
        raise ImageError(error.reason, name) from error.__cause__
    except Image.DecompressionBombError:
        limit = MAX_PIXELS // 1_000_000
        raise ImageError(f"has more than {limit} million pixels", name) from None
    except MemoryError as error:
        raise ImageError("needs more memory than there is", name) from error
    except Exception as error:
        raise ImageError(f"is truncated or damaged: {_one_line(error)}", name) from error


def _one_line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:100] or type(error).__name__
