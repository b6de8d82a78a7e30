"""LeNet-5: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to Document
Recognition", Proceedings of the IEEE 86(11), section II.B, figure 2, table I.

Its layers C1 to F6 hold 60,000 trainable parameters, as the paper counts them: 156 + 12 + 1,516 +
32 + 48,120 + 10,164. Two things differ. The squashing function is tanh, not 1.7159 tanh(2/3 x). The
output is a dense softmax layer, not radial basis functions of fixed bitmaps of letters, which exist
for characters only.
"""

from __future__ import annotations

from typing import Any

from ...frameworks import keras
from .construct import constructor, flat_top

#: Table I: which of the six maps of S2 each of the first fifteen maps of C3 sees; the last, all.
_OF_THREE = ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5))
_OF_FOUR = (
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
)


def _trunk(x: Any) -> Any:
    layers = keras().layers
    x = layers.Conv2D(6, 5, activation="tanh", name="c1")(x)
    x = _subsampled(x, "s2")
    x = _partly_connected(x)
    x = _subsampled(x, "s4")
    x = layers.Conv2D(120, 5, activation="tanh", name="c5")(x)
    return layers.Dense(84, activation="tanh", name="f6")(x)


def _subsampled(x: Any, name: str) -> Any:
    """The mean of 2x2, times a trained coefficient, plus a trained bias; per map."""
    layers = keras().layers
    x = layers.AveragePooling2D(2, name=f"{name}_pool")(x)
    one = {"depthwise_initializer": "ones"}
    return layers.DepthwiseConv2D(1, activation="tanh", name=name, **one)(x)


def _partly_connected(x: Any) -> Any:
    """Layer C3: sixteen maps, each of which sees some of the six below, by table I."""
    k = keras()
    parts = []
    for seen, name in ((_OF_THREE, "c3_of_three"), (_OF_FOUR, "c3_of_four")):
        chosen = k.ops.take(x, [number for maps in seen for number in maps], axis=-1)
        groups = {"groups": len(seen), "activation": "tanh", "name": name}
        parts.append(k.layers.Conv2D(len(seen), 5, **groups)(chosen))
    parts.append(k.layers.Conv2D(1, 5, activation="tanh", name="c3_of_all")(x))
    return k.layers.Concatenate(name="c3")(parts)


LeNet5 = constructor("lenet5", _trunk, flat_top, (32, 32, 1), classes=10)
