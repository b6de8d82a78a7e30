"""Deterministic augmented views: the same photo, number, settings and seed, the same pixels.

The random numbers and the transformations are those of Keras' ``ImageDataGenerator``; only
here is it imported.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading

import numpy as np
from numpy.typing import NDArray

from ..frameworks import tensorflow
from ..recipe import Augmentation

#: ``ImageDataGenerator`` draws from NumPy's one global generator.
_global_random_lock = threading.Lock()


class Augmenter:
    """Makes views of images.

    Args:
        settings: What may change, in ``ImageDataGenerator``'s units.
        seed: Chooses other views of the same images.
    """

    def __init__(self, settings: Augmentation, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        self._generator = None if settings.is_identity else _generator(settings)

    def view(self, image: NDArray[np.uint8], digest: str, number: int) -> NDArray[np.uint8]:
        """View ``number`` of an image; number 0 is the image itself.

        Args:
            image: uint8, shape (height, width, 3).
            digest: The photo's content digest.
            number: Which view, from 0.

        Returns:
            uint8, the shape of ``image``.
        """
        if number == 0 or self._generator is None:
            return image
        key = f"{digest}:{number}:{self.seed}".encode()
        seed = int.from_bytes(hashlib.sha256(key).digest()[:4], "big")
        with _global_random_lock:
            state = np.random.get_state()
            try:
                parameters = self._generator.get_random_transform(image.shape, seed=seed)
            finally:
                np.random.set_state(state)
        changed = self._generator.apply_transform(image.astype(np.float32), parameters)
        # Whole numbers, like every other image the network sees.
        rounded: NDArray[np.uint8] = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
        return rounded


def _generator(settings: Augmentation):  # type: ignore[no-untyped-def]
    image_module = tensorflow().keras.preprocessing.image
    return image_module.ImageDataGenerator(
        **dataclasses.asdict(settings), data_format="channels_last"
    )
