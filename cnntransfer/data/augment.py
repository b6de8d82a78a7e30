"""Deterministic augmented views: the same photo, number, settings and seed, the same pixels.

The random numbers are those of Keras' ``ImageDataGenerator``, which only here is imported; its
transformations are applied by :mod:`.warp`, which is several times as fast.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frameworks import tensorflow
from ..recipe import Augmentation
from .warp import warp

#: ``ImageDataGenerator`` draws from NumPy's one global generator.
_global_random_lock = threading.Lock()


class Augmenter:
    """Makes views of images.

    Keras is imported when the first view needs it: an augmenter may be made, and the images
    themselves be looked at, while TensorFlow is still being imported.

    Args:
        settings: What may change, in ``ImageDataGenerator``'s units.
        seed: Chooses other views of the same images.
    """

    def __init__(self, settings: Augmentation, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        self._generator_lock = threading.Lock()
        self._made_generator: Any = None

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
        generator = self._generator()
        with _global_random_lock:
            state = np.random.get_state()
            try:
                parameters = generator.get_random_transform(image.shape, seed=seed)
            finally:
                np.random.set_state(state)
        # Keras 3 takes the shifts for each other: width_shift_range would move up and down.
        parameters["tx"], parameters["ty"] = parameters["ty"], parameters["tx"]
        return warp(image, parameters, self.settings.fill_mode, self.settings.cval)

    def _generator(self) -> Any:
        """Keras' generator, made once, whichever thread asks first."""
        with self._generator_lock:
            if self._made_generator is None:
                self._made_generator = _image_data_generator(self.settings)
            return self._made_generator


def _image_data_generator(settings: Augmentation) -> Any:
    image_module = tensorflow().keras.preprocessing.image
    return image_module.ImageDataGenerator(
        **dataclasses.asdict(settings), data_format="channels_last"
    )
