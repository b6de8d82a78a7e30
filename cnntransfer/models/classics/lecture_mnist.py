"""A first network for handwritten digits, as lectures draw it: two convolutions, two dense layers.

28x28x1 -> 10 filters 5x5 (24x24x10) -> pool 2x2 (12x12x10) -> 20 filters 5x5 (8x8x20) -> pool 2x2
(4x4x20) -> dense 100 -> dense 10: 260 + 5,020 + 32,100 + 1,010 parameters.
"""

from __future__ import annotations

from typing import Any

from ...frameworks import keras
from .construct import constructor, conv, flat_top, hidden


def _trunk(x: Any) -> Any:
    layers = keras().layers
    x = conv(x, 10, 5, "conv1", padding="valid")
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = conv(x, 20, 5, "conv2", padding="valid")
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = hidden(layers.Flatten(name="flatten")(x), 100, "dense")
    return layers.Reshape((1, 1, 100), name="dense_map")(x)


LectureMNIST = constructor("lecture_mnist", _trunk, flat_top, (28, 28, 1), classes=10)
