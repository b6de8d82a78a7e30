"""Which image format a file has: by its first bytes, never by its name."""

from __future__ import annotations

import importlib
import re
from functools import cache

from ..errors import ImageError

_SUFFIXES = (
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .gif .bmp .webp .tif .tiff .avif .heic .heif .hif "
    ".jp2 .j2k .jpx .ppm .pgm .pbm .pnm"
)
#: Names that count as images when a folder is walked (lower case). What a file is called decides
#: whether it is looked at, not how it is read.
IMAGE_SUFFIXES = frozenset(_SUFFIXES.split())
# Formats by their first bytes: (offset, bytes, Pillow's name of the format, its module). Formats
# without a signature (TGA), with programs inside (EPS) or that hold no photos are left out.
_FORMATS = (
    (0, b"\xff\xd8\xff", "JPEG", "PIL.JpegImagePlugin"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG", "PIL.PngImagePlugin"),
    (0, b"GIF87a", "GIF", "PIL.GifImagePlugin"),
    (0, b"GIF89a", "GIF", "PIL.GifImagePlugin"),
    (0, b"BM", "BMP", "PIL.BmpImagePlugin"),
    (8, b"WEBP", "WEBP", "PIL.WebPImagePlugin"),
    (0, b"II*\0", "TIFF", "PIL.TiffImagePlugin"),
    (0, b"MM\0*", "TIFF", "PIL.TiffImagePlugin"),
    (0, b"II+\0", "TIFF", "PIL.TiffImagePlugin"),
    (0, b"MM\0+", "TIFF", "PIL.TiffImagePlugin"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000", "PIL.Jpeg2KImagePlugin"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000", "PIL.Jpeg2KImagePlugin"),
    *((0, b"P%d" % kind, "PPM", "PIL.PpmImagePlugin") for kind in range(1, 7)),
)
# What people's folders hold under an image's name.
_NOT_IMAGES = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "JPEG XL, which is not supported"),
    (b"\0\0\0\x0cJXL ", "JPEG XL, which is not supported"),
    (b"\0\x05\x16\x07", "metadata that macOS leaves on other disks"),
    (b"version https://git-lfs", "a Git LFS pointer: run git lfs pull"),
)


def identify_format(data: bytes) -> tuple[str, str]:
    """Pillow's name of the format that ``data`` begins like, and the module that reads it."""
    for offset, signature, name, module in _FORMATS:
        if data.startswith(signature, offset):
            return name, module
    if data[4:8] == b"ftyp":
        brands = data[8:64]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF", "PIL.AvifImagePlugin"
        if re.match(rb"hei[cmsx]|hev[cmsx]|mif1|msf1", brands):
            if not _heif_is_installed():
                raise ImageError("is HEIC, which needs: pip install 'cnntransfer[heif]'")
            return "HEIF", "pillow_heif"
        raise ImageError("is not an image (it looks like a video)")
    for signature, what in _NOT_IMAGES:
        if data.startswith(signature):
            raise ImageError(f"is not an image (it looks like {what})")
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if re.match(rb"<!doctype html|<html|<head|<body", head):
        raise ImageError("is not an image (it looks like an HTML page)")
    if b"<svg" in head:
        raise ImageError("is an SVG drawing: export it as PNG first")
    if not data.strip(b"\0"):
        raise ImageError("is not an image (it contains only zero bytes)")
    if len(head) > 15 and not re.search(rb"[^\t-\r -~]", head):
        raise ImageError("is not an image (it looks like text)")
    raise ImageError(f"is not an image of a known format (it begins with {data[:8].hex(' ')})")


@cache
def _heif_is_installed() -> bool:
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True
