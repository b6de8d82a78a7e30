"""The model contract: pixels in, class probabilities out, as one flat Keras model.

``image`` float32 (batch, height, width, 3), RGB, 0..255  ->  preprocessing of the backbone ->
trunk -> ``features`` (batch, d)  ->  head  ->  ``probabilities`` float32 (batch, classes).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..frameworks import keras
from .backbones import Backbone
from .head import HeadModel, Layer
from .weights import WeightsFile, load_weights

INPUT_NAME = "image"
FEATURES_NAME = "features"
CLASSIFIER_NAME = "classifier"
#: Keras crashes when several threads build networks.
_building = threading.Lock()


@dataclass(frozen=True)
class Trunk:
    """A backbone without its top, from pixels to pooled features.

    Attributes:
        model: Keras model, image -> features of shape (batch, d).
        layers: The backbone's own layers from bottom to top, without input, preprocessing and
            pooling: what ``unfreeze`` counts.
        maps: The Keras tensors that are pooled, the topmost first.
        pooled: What pooling makes of each, of shape (batch, channels).
    """

    model: Any
    layers: tuple[Any, ...]
    maps: tuple[Any, ...]
    pooled: tuple[Any, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over all weights, hexadecimal."""
        return weights_digest(self.layers)


def build_trunk(
    backbone: Backbone,
    image_size: tuple[int, int],
    pooling: str,
    weights: WeightsFile,
    feature_blocks: int = 1,
) -> Trunk:
    """Build the part of a classifier below its head, frozen, and load its weights.

    Args:
        backbone: The row of the backbone table.
        image_size: (height, width) in pixels.
        pooling: ``avg`` or ``max`` over feature maps.
        weights: What :func:`cnntransfer.models.weights.find_weights` found.
        feature_blocks: From the ends of so many of the top blocks; features stand side by side, the
            topmost first.

    Raises:
        UsageError: the image size is below the backbone's minimum.
        WeightsError: the weights do not fit.
    """
    check_image_size(backbone, image_size)
    with _building:
        return _build_trunk(backbone, image_size, pooling, weights, feature_blocks)


def _build_trunk(
    backbone: Backbone,
    image_size: tuple[int, int],
    pooling: str,
    weights: WeightsFile,
    feature_blocks: int,
) -> Trunk:
    k = keras()
    # Random weights, and the dropout that some backbones have.
    k.utils.set_random_seed(weights.seed)
    image = k.Input((*image_size, 3), name=INPUT_NAME, dtype="float32")
    base = backbone.trunk(image)
    load_weights(base, backbone, weights)
    pool = {"avg": k.layers.GlobalAveragePooling2D, "max": k.layers.GlobalMaxPooling2D}[pooling]
    maps = backbone.block_outputs(base)[:feature_blocks]
    is_one = len(maps) == 1
    pooled = tuple(
        pool(name=FEATURES_NAME if is_one else f"{FEATURES_NAME}_{block.name}")(tensor)
        for block, tensor in zip(backbone.blocks, maps, strict=False)
    )
    features = pooled[0] if is_one else k.layers.Concatenate(name=FEATURES_NAME)(pooled)
    model = k.Model(image, features, name=backbone.name)
    trunk = Trunk(model, backbone.own_layers(base), maps, pooled)
    set_trainable(trunk, 0, train_batch_normalization=False)
    return trunk


def check_image_size(backbone: Backbone, image_size: tuple[int, int]) -> None:
    """Check that a backbone can be built for images of a size.

    Raises:
        UsageError: a side is below the backbone's minimum, or not its only one.
    """
    side = backbone.default_size
    if backbone.is_one_size and image_size != (side, side):
        raise UsageError(
            f"--image-size: expected {side}x{side} pixels for {backbone.name}, whose dense layers "
            f"fit no other size. Received: {image_size[0]}x{image_size[1]}. Leave it out."
        )
    if min(image_size) < backbone.minimum_size:
        raise UsageError(
            f"--image-size: expected at least {backbone.minimum_size} pixels a side for "
            f"{backbone.name} (default {backbone.default_size}). "
            f"Received: {image_size[0]}x{image_size[1]}."
        )


def build_head(layers: Sequence[Layer]) -> list[Any]:
    """The layers of a head for Keras, with initial weights as soon as they are built."""
    return [getattr(keras().layers, one.kind)(name=one.name, **one.config) for one in layers]


def build_classifier(trunk: Trunk, head: HeadModel) -> Any:
    """The whole classifier, flat: the trunk's graph with the head's layers on its features."""
    k = keras()
    x = trunk.model.output
    for layer in build_head(head.layers):
        x = layer(x)
    classifier = k.Model(trunk.model.input, x, name=CLASSIFIER_NAME)
    put_head(classifier, head)
    return classifier


def put_head(classifier: Any, head: HeadModel) -> None:
    """Give a classifier the numbers of a head with the same layers."""
    for name, arrays in head.weights.items():
        _set_arrays(classifier.get_layer(name), arrays)


def head_of(classifier: Any, layers: tuple[Layer, ...]) -> HeadModel:
    """The head of a classifier, with the numbers that it has now."""
    weights = {one.name: _arrays(classifier.get_layer(one.name)) for one in layers}
    return HeadModel(layers, {name: arrays for name, arrays in weights.items() if arrays})


def set_trainable(trunk: Trunk, top_layers: int, *, train_batch_normalization: bool) -> None:
    """Freeze the trunk but for its top layers; batch normalisation infers unless told otherwise.

    In Keras a frozen ``BatchNormalization`` layer runs in inference mode: its statistics are
    used, not updated.
    """
    k = keras()
    frozen = len(trunk.layers) - top_layers
    for position, layer in enumerate(trunk.layers):
        is_normalization = isinstance(layer, k.layers.BatchNormalization)
        layer.trainable = position >= frozen and (train_batch_normalization or not is_normalization)


def trained_blocks(trunk: Trunk, backbone: Backbone) -> tuple[tuple[Any, ...], ...]:
    """The Keras variables that are trained, by block of the backbone, from the top downwards."""
    count = len(trunk.layers)
    ends = [0, *(block.layers for block in backbone.blocks)]
    blocks = (trunk.layers[count - low : count - high] for high, low in pairwise(ends))
    return tuple(
        tuple(variable for layer in block for variable in layer.trainable_variables)
        for block in blocks
    )


@dataclass(frozen=True)
class Waist:
    """A place where a trunk can be cut in two, because a single tensor passes there.

    Features that are pooled farther down go around it: they are a few numbers, and are kept beside
    the tensor.

    Attributes:
        tensors: The Keras tensors that pass, of shape (batch, ...): first the one of the cut.
        layers: How many of the trunk's layers lie below.
        lower: Keras model, image -> the tensor; where there are several, one row of all their
            numbers, of shape (batch, n).
    """

    tensors: tuple[Any, ...]
    layers: int
    lower: Any

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of what stands in a row, one after another; none where there is one tensor."""
        shapes = tuple(tuple(int(side) for side in tensor.shape[1:]) for tensor in self.tensors)
        return shapes if len(shapes) > 1 else ()

    def upper(self, classifier: Any) -> Any:
        """Keras model, tensors -> the classifier's output, of the classifier's own layers."""
        tensors = list(self.tensors) if self.parts else self.tensors[0]
        return keras().Model(tensors, classifier.output, name="upper")


def waist_below(trunk: Trunk, top_layers: int) -> Waist | None:
    """The highest waist below the top layers; ``None`` when only the input is below them."""
    above: set[int] = set()
    passing: dict[int, Any] = {}
    highest = len(trunk.layers) - top_layers
    for number in range(len(trunk.layers) - 1, 0, -1):
        layer = trunk.layers[number]
        above.add(id(layer.output))
        passing.pop(id(layer.output), None)
        inputs = layer.input if isinstance(layer.input, (list, tuple)) else [layer.input]
        passing.update((id(tensor), tensor) for tensor in inputs if id(tensor) not in above)
        if number <= highest and len(passing) == 1:
            around = [
                pooled
                for tensor, pooled in zip(trunk.maps, trunk.pooled, strict=True)
                if id(tensor) not in {*above, *passing}
            ]
            return _waist((*passing.values(), *around), number, trunk)
    return None


def _waist(tensors: tuple[Any, ...], layers: int, trunk: Trunk) -> Waist:
    k = keras()
    row = tensors[0]
    if len(tensors) > 1:
        row = k.layers.Concatenate()([k.layers.Flatten()(tensor) for tensor in tensors])
    return Waist(tensors, layers, k.Model(trunk.model.input, row, name="lower"))


def weights_digest(layers: Sequence[Any]) -> str:
    """SHA-256 over the weights and statistics of layers, in order; hexadecimal."""
    digest = hashlib.sha256()
    for layer in layers:
        for array in layer.get_weights():
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _arrays(layer: Any) -> tuple[NDArray[np.float32], ...]:
    """A layer's weights and statistics, without the state of its random generator."""
    return tuple(variable.numpy() for variable in layer.weights)


def _set_arrays(layer: Any, arrays: Sequence[NDArray[np.float32]]) -> None:
    for variable, array in zip(layer.weights, arrays, strict=True):
        variable.assign(array)
