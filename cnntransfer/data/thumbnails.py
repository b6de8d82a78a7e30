"""What a photo looks like in 16 x 16 pixels: small enough to keep of every photo there is."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from .. import __version__
from ..rows import RowStore, Writer
from .fitting import InputSpec

#: Width and height of a thumbnail in pixels.
SIDE = 16


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean colours of an image's parts, uint8 of shape (16, 16, 3), RGB.

    Args:
        image: uint8, shape (height, width, 3).
    """
    # reducing_gap: whole blocks of pixels are averaged first, in whole numbers; twice as fast.
    small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=1.0)
    return np.asarray(small)


class Thumbnails:
    """The thumbnails of photos, by digest: made when a photo is decoded, and kept.

    They are kept in the cache like features, because a photo whose features are kept is not
    decoded again. A context: what was added is written at its end.

    Args:
        spec: How photos are decoded; decides the thumbnails.
    """

    def __init__(self, spec: InputSpec) -> None:
        description = {
            "image_size": list(spec.image_size),
            "resize": str(spec.resize),
            "versions": f"{__version__}-pillow{PIL.__version__}",
        }
        self._store = RowStore("thumbnails", description, (SIDE, SIDE, 3), np.uint8)
        self._added: dict[str, NDArray[np.uint8]] = {}
        self._lock = threading.Lock()
        self._open = ExitStack()
        self._writer: Writer | None = None

    def __enter__(self) -> Thumbnails:
        self._writer = self._open.enter_context(self._store.writer())
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def __contains__(self, digest: str) -> bool:
        return digest in self._added or self._store.find((digest, 0)) is not None

    def add(self, digest: str, image: NDArray[np.uint8]) -> None:
        """Take the pixels of a photo; may be called from several threads."""
        if digest in self:
            return
        small = thumbnail(image)
        with self._lock:
            self._added[digest] = small
            if self._writer is not None:
                self._writer.add((digest, 0), small)

    def of(self, digests: Sequence[str]) -> NDArray[np.uint8]:
        """The thumbnails of photos, uint8 of shape (len(digests), 16, 16, 3).

        Raises:
            KeyError: there is none of a photo.
        """
        found = np.empty((len(digests), SIDE, SIDE, 3), np.uint8)
        for number, digest in enumerate(digests):
            small = self._added.get(digest)
            if small is None:
                small = self._store.find((digest, 0))
            if small is None:
                raise KeyError(digest)
            found[number] = small
        return found
