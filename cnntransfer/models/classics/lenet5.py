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
from .construct import constructor, flat_top, side_by_side

#: Kernels begin evenly spread, the more inputs the smaller, as in the paper's appendix A.
_TANH = {"activation": "tanh", "kernel_initializer": "lecun_uniform"}
#: Table I: which of the six maps of S2 each of the sixteen of C3 sees.
_SEEN = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)


def _trunk(x: Any) -> Any:
    layers = keras().layers
    x = layers.Conv2D(6, 5, name="c1", **_TANH)(x)
    x = _subsampled(x, "s2")
    x = side_by_side(_of_one, x, _SEEN, "c3")
    x = _subsampled(x, "s4")
    x = layers.Conv2D(120, 5, name="c5", **_TANH)(x)
    return layers.Dense(84, name="f6", **_TANH)(x)


def _subsampled(x: Any, name: str) -> Any:
    """The mean of 2x2, times a trained coefficient, plus a trained bias; per map."""
    layers = keras().layers
    x = layers.AveragePooling2D(2, name=f"{name}_pool")(x)
    one = {"depthwise_initializer": "ones"}
    return layers.DepthwiseConv2D(1, activation="tanh", name=name, **one)(x)


def _of_one(x: Any, name: str) -> Any:
    return keras().layers.Conv2D(1, 5, name=name, **_TANH)(x)


LeNet5 = constructor("lenet5", _trunk, flat_top, (32, 32, 1), classes=10)
