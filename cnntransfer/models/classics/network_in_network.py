"""Network in Network: Lin, Chen & Yan 2013, "Network In Network", arXiv:1312.4400, figure 2 and
section 4.2 (CIFAR-10).

Three "mlpconv" layers: a convolution, then two of 1x1, which are a small network at every position.
The last has a map per class, and its mean is the class's score: the first network without dense
layers. The paper gives no widths; these are of the authors' published configuration for CIFAR-10.

The last 1x1 convolution is the classifier. It has no ReLU here, which the authors' had: without,
it is the same as a dense layer on the means of the channels below, which ``finetune`` puts there.
"""

from __future__ import annotations

from typing import Any

from ...frameworks import keras
from .construct import constructor, conv


def _trunk(x: Any) -> Any:
    layers = keras().layers
    for number, (filters, kernel, *widths) in enumerate(
        ((192, 5, 160, 96), (192, 5, 192, 192)), start=1
    ):
        x = conv(x, filters, kernel, f"conv{number}")
        for part, width in zip("ab", widths, strict=True):
            x = conv(x, width, 1, f"mlp{number}{part}")
        x = layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}")(x)
        x = layers.Dropout(0.5, name=f"dropout{number}")(x)
    x = conv(x, 192, 3, "conv3")
    return conv(x, 192, 1, "mlp3a")


def _top(trunk: Any, classes: int, activation: str | None) -> list[Any]:
    layers = keras().layers
    x = layers.Conv2D(classes, 1, name="mlp3b")(trunk.output)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return [layers.Activation(activation, name="predictions")(x)]


NetworkInNetwork = constructor("network_in_network", _trunk, _top, (32, 32, 3), classes=10)
