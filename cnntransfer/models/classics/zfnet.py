"""ZFNet: Zeiler & Fergus 2013, "Visualizing and Understanding Convolutional Networks",
arXiv:1311.2901, section 3 and figure 3.

AlexNet with a first layer of 7x7 and stride 2, which keeps what 11x11 and stride 4 lost, and
without groups. Maps have the sizes of figure 3: 110, 55, 26, 13, 6; so the first two poolings round
up. Without contrast normalisation, see :mod:`cnntransfer.models.classics`.
"""

from __future__ import annotations

from typing import Any

from ...frameworks import keras
from .construct import constructor, conv, flat_top, two_hidden


def _trunk(x: Any) -> Any:
    layers = keras().layers
    x = layers.ZeroPadding2D(1, name="conv1_pad")(x)
    x = conv(x, 96, 7, "conv1", strides=2, padding="valid")
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(x)
    x = conv(x, 256, 5, "conv2", strides=2, padding="valid")
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool2")(x)
    x = conv(x, 384, 3, "conv3")
    x = conv(x, 384, 3, "conv4")
    x = conv(x, 256, 3, "conv5")
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    return two_hidden(x)


ZFNet = constructor("zfnet", _trunk, flat_top, (224, 224, 3))
