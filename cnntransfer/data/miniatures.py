"""Small pictures of photos to look at, as JPEG."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from .images import read_bytes, read_within

_QUALITY = 72


@dataclass(frozen=True)
class Miniature:
    """A small picture.

    Attributes:
        jpeg: The file's content.
        width: In pixels.
        height: Likewise.
    """

    jpeg: bytes
    width: int
    height: int


def miniature(pixels: NDArray[np.uint8]) -> Miniature:
    """Compress pixels, uint8 of shape (height, width, 3), as they are."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY)
    return Miniature(file.getvalue(), pixels.shape[1], pixels.shape[0])


def miniature_of_file(path: Path, side: int, digest: str | None = None) -> Miniature:
    """Read a photo and make a small picture of it, undistorted and upright.

    Args:
        path: The photo.
        side: What neither width nor height of the picture exceeds, in pixels.
        digest: See :func:`read_same`.

    Raises:
        ImageError: the file cannot be read, is no intact image, or is another than it was.
    """
    return miniature(read_within(read_same(path, digest), side, path))


def read_same(path: Path, digest: str | None) -> bytes:
    """The content of a photo that was seen before.

    Args:
        path: The photo.
        digest: SHA-256 that its content had, in hexadecimal; ``None`` if that is not known.

    Raises:
        ImageError: the file cannot be read, or is another than it was.
    """
    data = read_bytes(path)
    if digest and hashlib.sha256(data).hexdigest() != digest:
        raise ImageError("was changed since the run", path)
    return data
