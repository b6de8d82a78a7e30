"""Random changes of batches of images and of their labels, as part of a step of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..frameworks import keras, tensorflow
from ..recipe import BatchAugmentation
from .sources import Step


class BatchAugmenter:
    """What a recipe's ``batch_augmentation`` asks for, by layers of Keras.

    First every image is changed by itself (Cubuk 2020, arXiv:1909.13719; Zhong 2020,
    arXiv:1708.04896), then images are mixed (Zhang 2018, arXiv:1710.09412; Yun 2019,
    arXiv:1905.04899); where both ways of mixing are asked for, every batch gets one of them, each
    as often.

    Args:
        settings: What to do, and how strongly.
        seed: Decides all that is random.
    """

    def __init__(self, settings: BatchAugmentation, seed: int) -> None:
        layers = keras().layers
        makers: dict[str, Callable[[float, int], Any]] = {
            "rand_augment": lambda factor, seed: layers.RandAugment(factor=factor, seed=seed),
            # Of a single number Keras would draw the share of images, up to that number.
            "random_erasing": lambda share, seed: layers.RandomErasing((share, share), seed=seed),
            "mixup": lambda alpha, seed: layers.MixUp(alpha, seed=seed),
            "cutmix": lambda alpha, seed: layers.CutMix((alpha, alpha), seed=seed),
        }
        made = {
            name: makers[name](getattr(settings, name), seed + number)
            for number, name in enumerate(settings.names, start=1)
        }
        self._mixers = [made.pop(name) for name in ("mixup", "cutmix") if name in made]
        self._changers = list(made.values())
        self._coin = keras().random.SeedGenerator(seed)

    @property
    def variables(self) -> list[Any]:
        """The state of the random generators."""
        layers = (*self._changers, *self._mixers)
        return [self._coin.state, *(variable for layer in layers for variable in layer.variables)]

    def __call__(self, images: Any, shares: Any) -> tuple[Any, Any]:
        """Change a batch; made of TensorFlow operations.

        Args:
            images: float32, shape (n, height, width, 3), values from 0 to 255.
            shares: What share every class has in every image, float32, shape (n, classes).

        Returns:
            Both as they are now, of the same shapes and ranges.
        """
        for layer in self._changers:
            images = layer(images, training=True)
        if not self._mixers:
            return images, shares
        mixed = [
            layer({"images": images, "labels": shares}, training=True) for layer in self._mixers
        ]
        number = keras().random.randint((), 0, len(mixed), seed=self._coin)
        return tuple(tensorflow().stack([one[key] for one in mixed])[number] for key in _KEYS)

    def before(self, step: Step) -> Step:
        """A step function whose batches are changed first."""
        return lambda images, shares: step(*self(images, shares))


_KEYS = ("images", "labels")
