"""AlexNet: Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep Convolutional
Neural Networks", NIPS, section 3.5 and figure 2.

The paper says 224x224, of which its own first map of 55x55 cannot come; with 227x227 it does. Where
the paper has a layer on two graphics processors that do not see each other, there are two groups of
channels. Without local response normalisation, see :mod:`cnntransfer.models.classics`.
"""

from __future__ import annotations

from typing import Any

from ...frameworks import keras
from .construct import constructor, conv, flat_top, two_hidden


def _trunk(x: Any) -> Any:
    layers = keras().layers
    x = conv(x, 96, 11, "conv1", strides=4, padding="valid")
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = conv(x, 256, 5, "conv2", groups=2)
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)
    x = conv(x, 384, 3, "conv3")
    x = conv(x, 384, 3, "conv4", groups=2)
    x = conv(x, 256, 3, "conv5", groups=2)
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    return two_hidden(x)


AlexNet = constructor("alexnet", _trunk, flat_top, (227, 227, 3))
