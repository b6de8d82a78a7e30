"""ResNet-18 and ResNet-34: He, Zhang, Ren & Sun 2015, "Deep Residual Learning for Image
Recognition", arXiv:1512.03385, table 1 and figure 5 (left).

Blocks of two 3x3 convolutions, around which the input goes unchanged; where the map shrinks,
through a 1x1 convolution (option B). Keras has the larger ones, 50, 101 and 152, with weights.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ...frameworks import keras
from .construct import average_top, constructor

_WIDTHS = (64, 128, 256, 512)


def _trunk(x: Any, blocks: tuple[int, ...]) -> Any:
    layers = keras().layers
    x = _convolution(x, 64, 7, "conv1", stride=2)
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(layers.ReLU(name="conv1_relu")(x))
    for stage, (width, count) in enumerate(zip(_WIDTHS, blocks, strict=True), start=2):
        for number in range(1, count + 1):
            shrinks = number == 1 and stage > 2
            x = _block(x, width, f"conv{stage}_block{number}", shrinks=shrinks)
    return x


def _block(x: Any, width: int, name: str, *, shrinks: bool) -> Any:
    layers = keras().layers
    stride = 2 if shrinks else 1
    around = _convolution(x, width, 1, f"{name}_0", stride=stride) if shrinks else x
    x = _convolution(x, width, 3, f"{name}_1", stride=stride)
    x = _convolution(layers.ReLU(name=f"{name}_1_relu")(x), width, 3, f"{name}_2")
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([around, x]))


def _convolution(x: Any, width: int, kernel: int, name: str, stride: int = 1) -> Any:
    """With batch normalisation, whose offset is the bias."""
    layers = keras().layers
    options = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    x = layers.Conv2D(width, kernel, stride, name=f"{name}_conv", **options)(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


ResNet18 = constructor("resnet18", partial(_trunk, blocks=(2, 2, 2, 2)), average_top, (224, 224, 3))
ResNet34 = constructor("resnet34", partial(_trunk, blocks=(3, 4, 6, 3)), average_top, (224, 224, 3))
