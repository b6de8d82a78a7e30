"""The backbones' own preprocessing, as layers inside the graph.

Whoever runs the classifier hands it RGB pixels from 0 to 255. The layers here turn them into
what the pretrained weights expect, and are plain Keras: a saved model loads with safe mode on
and without cnntransfer, and LiteRT has a built-in operator for each of them.
"""

from __future__ import annotations

import enum
from typing import Any

from .. import frameworks


class Preprocessing(enum.Enum):
    """What a backbone's pretrained weights expect instead of RGB pixels from 0 to 255."""

    #: x / 127.5 - 1, values -1..1.
    TF = "tf"
    #: Blue, green, red, minus ImageNet's mean of each, values about -124..151.
    CAFFE = "caffe"
    #: (x / 255 - mean) / deviation of ImageNet's channels, values about -2.1..2.6.
    TORCH = "torch"
    #: The model normalises inside its own graph: pixels from 0 to 255 go straight in.
    BUILT_IN = "inside"
    #: One channel of luma (ITU-R BT.601, as Pillow's mode "L"), values 0..1.
    GREY = "grey"


# Statistics of the ImageNet training images. The first are R, G, B in units of the range
# 0..1 (torchvision); the second are B, G, R in units of the range 0..255 (Caffe).
_TORCH_MEANS = (0.485, 0.456, 0.406)
_TORCH_DEVIATIONS = (0.229, 0.224, 0.225)
_CAFFE_MEANS = (103.939, 116.779, 123.68)
#: R, G, B.
_LUMA = (0.299, 0.587, 0.114)

#: The name of the one layer that :func:`preprocess` adds.
LAYER_NAME = "preprocessing"


def preprocess(x: Any, kind: Preprocessing) -> Any:
    """Apply a backbone's preprocessing to a symbolic batch of images.

    It computes in float32 even under a mixed-precision policy: bfloat16 has too few bits for
    resized pixels, which are no whole numbers.

    Args:
        x: Keras tensor of shape (batch, height, width, 3), RGB, values 0..255.
        kind: What the backbone's pretrained weights expect.

    Returns:
        Keras tensor of the same shape, with the values that ``kind`` names; for ``GREY`` of one
        channel, for ``BUILT_IN`` ``x`` itself.
    """
    if kind is Preprocessing.BUILT_IN:
        return x
    keras = frameworks.keras()
    options = {"name": LAYER_NAME, "dtype": "float32"}
    if kind is Preprocessing.TF:
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, **options)(x)
    if kind is Preprocessing.CAFFE:
        # Of the ways to reverse the channels, flip is the fastest in LiteRT (0.2 ms for
        # 224 x 224 pixels; take 0.5 ms, a slice with a negative step 0.8 ms).
        bgr = keras.ops.flip(x, axis=-1)
        return keras.layers.Rescaling(1.0, offset=[-m for m in _CAFFE_MEANS], **options)(bgr)
    if kind is Preprocessing.GREY:
        weighted = keras.layers.Rescaling([share / 255 for share in _LUMA], **options)(x)
        return keras.ops.sum(weighted, axis=-1, keepdims=True)
    # Not a Rescaling: x * scale + offset subtracts two rounded numbers of similar size and is
    # off by twice as much as this, which subtracts first. Keras's (x / 255 - mean) / deviation
    # rounds three times, so both differ from it in the last bits (at most 1e-6).
    return keras.layers.Normalization(
        mean=[255 * m for m in _TORCH_MEANS],
        variance=[(255 * d) ** 2 for d in _TORCH_DEVIATIONS],
        **options,
    )(x)
