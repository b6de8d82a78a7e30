"""GoogLeNet: Szegedy et al. 2014, "Going Deeper with Convolutions", arXiv:1409.4842, table 1 and
section 5.

With its classifier it has two auxiliary ones besides, on modules 4a and 4d, which are more outputs
of the Keras model, ``auxiliary1`` and ``auxiliary2``. In the paper their losses are added with
weight 0.3. Here networks are trained with one loss on one output, so training from scratch goes
without: the next paper of the same authors found that they "did not result in improved convergence
early in the training" and act as regularisers (Szegedy et al. 2015, arXiv:1512.00567, section 4).
Without local response normalisation, see :mod:`cnntransfer.models.classics`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...frameworks import keras
from .construct import constructor, conv, hidden


class _Module(NamedTuple):
    """A row of table 1: filters of 1x1; 3x3 and 5x5 with their reductions; after pooling."""

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pooled: int


_MODULES = {
    "3a": _Module(64, 96, 128, 16, 32, 32),
    "3b": _Module(128, 128, 192, 32, 96, 64),
    "4a": _Module(192, 96, 208, 16, 48, 64),
    "4b": _Module(160, 112, 224, 24, 64, 64),
    "4c": _Module(128, 128, 256, 24, 64, 64),
    "4d": _Module(112, 144, 288, 32, 64, 64),
    "4e": _Module(256, 160, 320, 32, 128, 128),
    "5a": _Module(256, 160, 320, 32, 128, 128),
    "5b": _Module(384, 192, 384, 48, 128, 128),
}
#: Modules that halve the map before they begin, and those with an auxiliary classifier.
_HALVING, _WITH_AUXILIARY = ("4a", "5a"), ("4a", "4d")


def _trunk(x: Any) -> Any:
    x = conv(x, 64, 7, "conv1", strides=2)
    x = _halved(x, "pool1")
    x = conv(x, 64, 1, "conv2_reduce")
    x = conv(x, 192, 3, "conv2")
    x = _halved(x, "pool2")
    for name, module in _MODULES.items():
        if name in _HALVING:
            x = _halved(x, f"pool{int(name[0]) - 1}")
        x = _inception(x, module, f"inception_{name}")
    return x


def _halved(x: Any, name: str) -> Any:
    return keras().layers.MaxPooling2D(3, 2, padding="same", name=name)(x)


def _inception(x: Any, module: _Module, name: str) -> Any:
    """Figure 2(b): four branches side by side."""
    layers = keras().layers
    three = conv(x, module.three_reduce, 1, f"{name}_3x3_reduce")
    five = conv(x, module.five_reduce, 1, f"{name}_5x5_reduce")
    pooled = layers.MaxPooling2D(3, 1, padding="same", name=f"{name}_pool")(x)
    branches = [
        conv(x, module.one, 1, f"{name}_1x1"),
        conv(three, module.three, 3, f"{name}_3x3"),
        conv(five, module.five, 5, f"{name}_5x5"),
        conv(pooled, module.pooled, 1, f"{name}_pool_1x1"),
    ]
    return layers.Concatenate(name=name)(branches)


def _top(trunk: Any, classes: int, activation: str | None) -> list[Any]:
    layers = keras().layers
    x = layers.GlobalAveragePooling2D(name="avg_pool")(trunk.output)
    x = layers.Dropout(0.4, name="dropout")(x)
    outputs = [layers.Dense(classes, activation=activation, name="predictions")(x)]
    for number, module in enumerate(_WITH_AUXILIARY, start=1):
        name = f"auxiliary{number}"
        x = trunk.get_layer(f"inception_{module}").output
        x = layers.AveragePooling2D(5, 3, name=f"{name}_pool")(x)
        x = conv(x, 128, 1, f"{name}_conv")
        x = hidden(layers.Flatten(name=f"{name}_flatten")(x), 1024, f"{name}_dense")
        x = layers.Dropout(0.7, name=f"{name}_dropout")(x)
        outputs.append(layers.Dense(classes, activation=activation, name=name)(x))
    return outputs


GoogLeNet = constructor("googlenet", _trunk, _top, (224, 224, 3))
