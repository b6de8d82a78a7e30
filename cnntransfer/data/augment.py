"""Deterministic augmented views: the same photo, number, settings and seed, the same pixels.

The random parameters are those that Keras' ``ImageDataGenerator`` draws, to the last bit, without
importing it; they are applied by :mod:`.warp`, which is several times as fast.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recipe import Augmentation
from .warp import warp


class Augmenter:
    """Makes views of images, on any number of threads.

    Args:
        settings: What may change, in ``ImageDataGenerator``'s units.
        seed: Chooses other views of the same images.
    """

    def __init__(self, settings: Augmentation, seed: int) -> None:
        self.settings = settings
        self.seed = seed

    def view(self, image: NDArray[np.uint8], digest: str, number: int) -> NDArray[np.uint8]:
        """View ``number`` of an image; number 0 is the image itself.

        Args:
            image: uint8, shape (height, width, 3).
            digest: The photo's content digest.
            number: Which view, from 0.

        Returns:
            uint8, the shape of ``image``.
        """
        if number == 0 or self.settings.is_identity:
            return image
        key = f"{digest}:{number}:{self.seed}".encode()
        seed = int.from_bytes(hashlib.sha256(key).digest()[:4], "big")
        height, width, _ = image.shape
        parameters = random_transform(self.settings, height, width, seed)
        return warp(image, parameters, self.settings.fill_mode, self.settings.cval)


def random_transform(settings: Augmentation, height: int, width: int, seed: int) -> dict[str, Any]:
    """Draw the parameters of a transformation.

    They are what ``ImageDataGenerator.get_random_transform`` gives for the same seed
    (``keras/src/legacy/preprocessing/image.py``), but for one thing that is put right: Keras 3
    takes the shifts for each other, so that its ``width_shift_range`` moves up and down.

    Args:
        settings: What may change.
        height: The image's, in pixels.
        width: Likewise.
        seed: From 0 to 2**32 - 1.

    Returns:
        The parameters of :func:`cnntransfer.data.warp.warp`.
    """
    # Its numbers are frozen by NumPy's promise, unlike those of a Generator.
    random = np.random.RandomState(seed)
    # The order decides who gets which number; what does not change takes none, but for flips.
    theta = _symmetric(random, settings.rotation_range)
    ty = _shift(random, settings.height_shift_range, height)
    tx = _shift(random, settings.width_shift_range, width)
    shear = _symmetric(random, settings.shear_range)
    zx, zy = _zoom(random, settings.zoom_range)
    flip_horizontal = random.random_sample() < 0.5 and settings.horizontal_flip
    flip_vertical = random.random_sample() < 0.5 and settings.vertical_flip
    most, ends = settings.channel_shift_range, settings.brightness_range
    intensity = _symmetric(random, most) if most else None
    brightness = None if ends is None else random.uniform(*ends)
    return {
        "theta": theta,
        "tx": tx,
        "ty": ty,
        "shear": shear,
        "zx": zx,
        "zy": zy,
        "flip_horizontal": flip_horizontal,
        "flip_vertical": flip_vertical,
        "channel_shift_intensity": intensity,
        "brightness": brightness,
    }


def _symmetric(random: np.random.RandomState, most: float) -> float:
    """A number from -most to most."""
    return random.uniform(-most, most) if most else 0


def _shift(random: np.random.RandomState, most: float, size: int) -> float:
    """A shift in pixels; below 1, ``most`` is a fraction of the size."""
    if isinstance(most, int) and most:
        # Whole pixels, of which Keras leaves out the greatest shift.
        return int(random.choice(most)) * int(random.choice([-1, 1]))
    return _symmetric(random, most) * (size if most < 1 else 1)


def _zoom(random: np.random.RandomState, zoom: float | tuple[float, float]) -> tuple[float, float]:
    """The factors for both directions; a single number is how far from 1 they may be."""
    low, high = (1 - zoom, 1 + zoom) if isinstance(zoom, (float, int)) else zoom
    if low == high == 1:
        return 1, 1
    zx, zy = random.uniform(low, high, 2)
    return zx, zy
