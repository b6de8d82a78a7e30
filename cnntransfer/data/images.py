"""From an image file to the pixels that a model sees: the one decoder and the one resizer.

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
import math
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from ..errors import ImageError
from . import idx
from .formats import identify_format

#: Larger files are refused unread.
MAX_BYTES = 512 * 1024 * 1024
#: Images with more pixels are refused undecoded. It is where Pillow itself refuses by default
#: (twice ``Image.MAX_IMAGE_PIXELS``), but holds when a program has changed that.
MAX_PIXELS = 178_956_970

_WHITE = (255, 255, 255, 255)
#: Zero, within half a grey level, after the [-1, 1] scaling; near the ImageNet mean of the others.
_PADDING = (128, 128, 128)
#: A JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as that leaves this many times the
#: pixels (per side) that are asked for. Measured against full decoding, for 449 photos at 32..224
#: pixels and for 12 megapixels to 224 (full decoding: 100 ms). Bicubic instead of bilinear, for
#: comparison, is a mean difference of 1.5 grey levels.
#:
#: ======  =================  ===========  ===========  =====
#: factor  mean difference    worst photo  worst pixel  time
#: 1       0.7 .. 1.6 levels  6.2          48           21 ms
#: 2       0.2 .. 0.5         1.5          20           27 ms
#: 4       0.1 .. 0.2         0.8          12           37 ms
#: ======  =================  ===========  ===========  =====
_DRAFT_FACTOR = 2

_EXIF_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # TIFF tags
_QUIET_MODULES = r"PIL\."
_QUIET = ("ignore", None, Warning, re.compile(_QUIET_MODULES), 0)
_filters_lock = threading.Lock()
_Size = tuple[float, float]

# Pillow logs an error that it then raises; without this, Python would also print it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Resize(str, Enum):
    """How a picture is fitted to the size that a model wants."""

    #: To exactly that size; the aspect ratio changes, all of the picture is seen.
    STRETCH = "stretch"
    #: The largest centred part with that aspect ratio; nothing is distorted, edges are lost.
    CROP = "crop"
    #: All of the picture, undistorted, centred between grey bars.
    LETTERBOX = "letterbox"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class InputSpec:
    """What a model wants its images to look like. ``image_size`` is (height, width) in pixels."""

    image_size: tuple[int, int]
    resize: Resize = Resize.STRETCH

    def __post_init__(self) -> None:
        height, width = (int(side) for side in self.image_size)
        if height < 1 or width < 1:
            raise ValueError(f"image_size must be positive. Received: {self.image_size}")
        object.__setattr__(self, "image_size", (height, width))
        object.__setattr__(self, "resize", Resize(self.resize))


class _Picture(NamedTuple):
    """Decoded pixels, not yet turned upright."""

    image: Image.Image  # mode L or RGB
    size: _Size  # width, height; fractions of a pixel are left by a scaled decode
    orientation: int  # 1..8 as in EXIF


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
        return _array(_fit(_decode(data, spec), spec))


def load(source: str | os.PathLike[str] | bytes, name: object = None) -> NDArray[np.uint8]:
    """An image file's pixels at full size, upright; otherwise like :func:`read`.

    Returns:
        uint8 ndarray of shape (height, width, 3), RGB, 0..255.
    """
    data, name = _content(source, name)
    with _image_errors(name):
        picture = _decode(data, None)
        return _array(_upright(picture.image, picture.orientation))


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
        return _array(_within(picture, (min(side, max(picture.size)),) * 2))


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
    return _array(_fit(_Picture(image, image.size, 1), spec))


def _content(source: str | os.PathLike[str] | bytes, name: object) -> tuple[bytes, object]:
    if isinstance(source, bytes):
        return source, name
    name = source if name is None else name
    try:
        return read_bytes(source), name
    except ImageError as error:
        raise ImageError(error.reason, name) from error.__cause__


def _decode(data: bytes, spec: InputSpec | None) -> _Picture:
    """Pixels from bytes: all of them, or for ``spec`` about as many as it needs."""
    _prepare_pillow()
    image = _identify(data)
    _mend_transparency(image)
    size: _Size = image.size
    if isinstance(image, JpegImageFile):
        _check_jpeg(image, data)
        # Before load(), because whether a photo lies on its side decides what it needs.
        orientation = _orientation(image)
        if spec and (drafted := image.draft(None, _draft_size(image.size, orientation, spec))):
            size = drafted[1][2:]
        image.load()
    else:
        image.load()
        # After load(): PNG may have its EXIF behind the pixels, TIFF turns itself upright.
        orientation = _orientation(image)
        size = image.size
    return _Picture(_flatten(image), size, orientation)


def _identify(data: bytes) -> ImageFile.ImageFile:
    """Open an image by its content and check its size, without decoding it."""
    if not data:
        raise ImageError("is empty (0 bytes)")
    name, module = identify_format(data)
    importlib.import_module(module)
    try:
        image = Image.open(io.BytesIO(data), formats=(name,))
    except UnidentifiedImageError:
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
    return value if isinstance(value, int) and value in _EXIF_TRANSPOSE else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _EXIF_TRANSPOSE.get(orientation)
    return image if method is None else image.transpose(method)


def _flatten(image: Image.Image) -> Image.Image:
    """Any mode as 8-bit L or RGB, without transparency."""
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB") or image
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image)
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or floats as mode L; the range as the module's docstring says."""
    tags: Any = getattr(image, "tag_v2", {})
    transparent = image.info.get("transparency")
    values = np.asarray(image)
    low, high = 0.0, 65535.0
    if tags.get(_BITS_PER_SAMPLE) == (12,):
        high = 4095.0
    elif image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)

    def scaled(values: NDArray[Any]) -> NDArray[np.uint8]:
        grey = (values.astype(np.float64) - low) / ((high - low) or 1.0)
        grey = np.nan_to_num(grey, posinf=1.0, neginf=0.0).clip(0.0, 1.0)
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            grey = 1.0 - grey
        if isinstance(transparent, int):
            grey[values == transparent] = 1.0
        return (grey * 255.0 + 0.5).astype(np.uint8)

    if values.dtype.kind == "u":  # A table instead of gigabytes of floats for large scans.
        return Image.fromarray(scaled(np.arange(65536))[values])
    return Image.fromarray(scaled(values))


def _mend_transparency(image: ImageFile.ImageFile) -> None:
    """Bring a PNG's transparent colour to the 8 bits that its pixels are going to have.

    Pillow keeps the colour as the file says it, so for 2, 4 and 3 x 16 bits it matches no pixel,
    or the wrong ones.
    """
    transparent = image.info.get("transparency")
    rawmode = image.tile[0][3] if image.format == "PNG" and image.tile else None
    if isinstance(transparent, int) and rawmode in ("L;2", "L;4"):
        image.info["transparency"] = transparent * (85 if rawmode == "L;2" else 17) & 255
    elif isinstance(transparent, tuple) and rawmode == "RGB;16B":
        image.info["transparency"] = tuple(level >> 8 for level in transparent)


def _target(orientation: int, spec: InputSpec) -> tuple[int, int]:
    """The (width, height) that is wanted of pixels that lie as they are stored."""
    height, width = spec.image_size
    return (height, width) if orientation >= 5 else (width, height)


def _scaled_size(size: _Size, target: _Size, how: Resize) -> _Size:
    """Width and height of the whole picture once it is fitted to ``target``."""
    ratios = target[0] / size[0], target[1] / size[1]
    if how is Resize.STRETCH:
        return float(target[0]), float(target[1])
    ratio = max(ratios) if how is Resize.CROP else min(ratios)
    return size[0] * ratio, size[1] * ratio


def _draft_size(size: tuple[int, int], orientation: int, spec: InputSpec) -> tuple[int, int]:
    """The smallest width and height that a JPEG may be decoded to."""
    width, height = _scaled_size(size, _target(orientation, spec), spec.resize)
    return math.ceil(width * _DRAFT_FACTOR), math.ceil(height * _DRAFT_FACTOR)


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


def _fit(picture: _Picture, spec: InputSpec) -> Image.Image:
    """Resize, then turn upright: as good as the other way round, without turning 12 megapixels.

    Bilinear with antialiasing is what ``tf.image.resize(..., antialias=True)`` computes too.
    """
    image, size, orientation = picture
    target = _target(orientation, spec)
    box = (0.0, 0.0, *size)
    if spec.resize is Resize.CROP:
        scale = max(target[0] / size[0], target[1] / size[1])
        left = max(0.0, (size[0] - target[0] / scale) / 2)
        top = max(0.0, (size[1] - target[1] / scale) / 2)
        box = (left, top, size[0] - left, size[1] - top)
    elif spec.resize is Resize.LETTERBOX:
        image = _within(picture, target)
        height, width = spec.image_size
        canvas = Image.new("RGB", (width, height), _PADDING)
        canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        return canvas
    image = image.resize(target, Image.Resampling.BILINEAR, box=box)
    return _upright(image, orientation).convert("RGB")


def _within(picture: _Picture, target: tuple[float, float]) -> Image.Image:
    """All of a picture, undistorted, as large as a width and height (as stored) allow; upright."""
    image, size, orientation = picture
    width, height = _scaled_size(size, target, Resize.LETTERBOX)
    fitted = max(1, round(width)), max(1, round(height))
    image = image.resize(fitted, Image.Resampling.BILINEAR, box=(0.0, 0.0, *size))
    return _upright(image, orientation).convert("RGB")


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
