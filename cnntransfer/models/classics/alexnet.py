"""AlexNet: Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep Convolutional
Neural Networks", NIPS, section 3.5 and figure 2.

The paper says 224x224, of which its own first map of 55x55 cannot come; with 227x227 it does. Where
the paper has a layer on two graphics processors that do not see each other, there are two layers,
each of which sees half of the channels. Without local response normalisation, see
:mod:`cnntransfer.models.classics`.
"""

from __future__ import annotations

from typing import Any

from ...frameworks import keras
from .construct import constructor, conv, flat_top, side_by_side, two_hidden


def _trunk(x: Any) -> Any:
    layers = keras().layers
    x = conv(x, 96, 11, "conv1", strides=4, padding="valid")
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = _on_two_processors(x, 256, 5, "conv2")
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)
    x = conv(x, 384, 3, "conv3")
    x = _on_two_processors(x, 384, 3, "conv4")
    x = _on_two_processors(x, 256, 3, "conv5")
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    return two_hidden(x)


def _on_two_processors(x: Any, filters: int, kernel: int, name: str) -> Any:
    channels = x.shape[-1]
    halves = (range(channels // 2), range(channels // 2, channels))
    return side_by_side(lambda half, part: conv(half, filters // 2, kernel, part), x, halves, name)


AlexNet = constructor("alexnet", _trunk, flat_top, (227, 227, 3))
