"""Pictures of any mode, as Pillow decodes them, as 8 bits of grey or RGB without transparency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

_WHITE = (255, 255, 255, 255)
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # TIFF tags


def flattened(image: Image.Image) -> Image.Image:
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
        with np.errstate(invalid="ignore"):  # A signalling NaN is one, too.
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


def mend_transparency(image: ImageFile.ImageFile) -> None:
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
