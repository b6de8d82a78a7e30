"""Running a Keras model over many images, in batches, on TensorFlow.

For what a bundle's LiteRT files do not do: training-time features on a graphics processor or in
bfloat16, and the inner activations that a fine-tuning stage starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..frameworks import arithmetic, tensorflow
from ..parallel import available_cores, ordered_map
from .litert import Outputs

Item = TypeVar("Item")

BATCH = 16


class KerasEngine:
    """A Keras model with one input, an image, and one output.

    Args:
        model: Takes float32 (batch, height, width, 3).
        precision: ``float32`` or ``bfloat16``, see :func:`cnntransfer.frameworks.arithmetic`.
        batch_size: Images at once: always so many, the last batch filled up, so that a row never
            depends on how many others are asked for.
    """

    def __init__(self, model: Any, precision: str = "float32", batch_size: int = BATCH) -> None:
        tf = tensorflow()
        self._precision = precision
        self._batch_size = size = batch_size
        shape = (size, *model.input.shape[1:])
        self._run = tf.function(
            lambda images: model(tf.cast(images, tf.float32), training=False),
            input_signature=[tf.TensorSpec(shape, tf.uint8)],
        )

    def map(
        self, make: Callable[[Item], NDArray[np.uint8]], items: Iterable[Item]
    ) -> Iterator[Outputs]:
        """Make an image of every item, the next ones while a batch runs; outputs in order."""
        size = self._batch_size
        images = ordered_map(make, items, available_cores(), ahead=2 * size)
        while batch := list(islice(images, size)):
            filled = batch + [np.zeros_like(batch[0])] * (size - len(batch))
            with arithmetic(self._precision):
                rows = self._run(np.stack(filled)).numpy()
            for row in rows[: len(batch)].astype(np.float32, copy=False):
                yield Outputs((row,))
