"""VGG A to E: Simonyan & Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", arXiv:1409.1556, tables 1 and 2.

Each network is the one before with more layers; D and E are what Keras calls VGG16 and VGG19,
which it has weights for. Two layers of 3x3 see what one of 5x5 sees, three what one of 7x7 sees,
with fewer parameters (section 2.3). A-LRN is left out, see :mod:`cnntransfer.models.classics`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...frameworks import keras
from .construct import constructor, conv, flat_top, two_hidden

_WIDTHS = (64, 128, 256, 512, 512)
#: Table 1: the kernels of every block.
_KERNELS: dict[str, tuple[tuple[int, ...], ...]] = {
    "a": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "b": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "c": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "d": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "e": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}


def _trunk(x: Any, network: str) -> Any:
    for block, (width, kernels) in enumerate(zip(_WIDTHS, _KERNELS[network], strict=True), start=1):
        for number, kernel in enumerate(kernels, start=1):
            x = conv(x, width, kernel, f"block{block}_conv{number}")
        x = keras().layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return two_hidden(x)


def _constructor(network: str) -> Callable[..., Any]:
    return constructor(f"vgg_{network}", partial(_trunk, network=network), flat_top, (224, 224, 3))


VGGA, VGGB, VGGC, VGGD, VGGE = map(_constructor, "abcde")
