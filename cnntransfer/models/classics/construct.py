"""What the classics share: the call form of ``keras.applications``, convolutions, classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...frameworks import keras

Shape = tuple[int, int, int]
#: Tensor of images, already preprocessed -> the last map: what is learned without its classifier.
Trunk = Callable[[Any], Any]
#: (headless Keras model, classes, activation) -> the outputs, the classifier's own first.
Top = Callable[[Any, int, "str | None"], "list[Any]"]


def constructor(
    name: str, trunk: Trunk, top: Top, shape: Shape, classes: int = 1000
) -> Callable[..., Any]:
    """A function that builds a network and is called as those of ``keras.applications`` are.

    Args:
        name: Of the Keras model.
        trunk: The network without its classifier.
        top: Its classifier.
        shape: (height, width, channels) that the paper's network sees.
        classes: As many as in the paper.
    """
    default_classes = classes

    def construct(
        *,
        weights: None = None,
        include_top: bool = True,
        input_tensor: Any = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = default_classes,
        classifier_activation: str | None = "softmax",
    ) -> Any:
        k = keras()
        if weights is not None:
            raise ValueError(f"Expected weights=None: {name} has no others. Received: {weights!r}")
        image = k.Input(input_shape or shape) if input_tensor is None else input_tensor
        inputs, x = k.utils.get_source_inputs(image), trunk(image)
        if include_top:
            outputs = top(k.Model(inputs, x), classes, classifier_activation)
            return k.Model(inputs, outputs, name=name)
        if pooling is not None:
            pool = {"avg": k.layers.GlobalAveragePooling2D, "max": k.layers.GlobalMaxPooling2D}
            x = pool[pooling]()(x)
        return k.Model(inputs, x, name=name)

    return construct


def conv(x: Any, filters: int, kernel: int, name: str, **options: Any) -> Any:
    """A convolution with bias and ReLU; ``same`` padding and stride 1 unless told otherwise."""
    defaults = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal"}
    return keras().layers.Conv2D(filters, kernel, name=name, **{**defaults, **options})(x)


def side_by_side(
    convolution: Callable[[Any, str], Any], x: Any, channels: Sequence[Sequence[int]], name: str
) -> Any:
    """Convolutions that see some channels each, and their maps next to each other.

    Layers of their own, not one of several groups: a step of training LeNet-5 on a processor takes
    30 times as long with Keras' groups.

    Args:
        convolution: Makes one of a tensor and a name.
        x: A map.
        channels: Numbers of those that each of them sees.
        name: Of all together; with a number, of each.
    """
    k = keras()
    parts = []
    for number, seen in enumerate(channels, start=1):
        chosen = x if len(seen) == x.shape[-1] else k.ops.take(x, list(seen), axis=-1)
        parts.append(convolution(chosen, f"{name}_{number}"))
    return k.layers.Concatenate(name=name)(parts)


def hidden(x: Any, units: int, name: str) -> Any:
    """A dense layer with ReLU."""
    return keras().layers.Dense(
        units, activation="relu", kernel_initializer="he_normal", name=name
    )(x)


def two_hidden(x: Any, units: int = 4096) -> Any:
    """The hidden dense layers of AlexNet and its successors, with dropout (Hinton et al. 2012).

    Args:
        x: The last map, of one size only: each position has its own weights.
        units: Of both.

    Returns:
        A map of one position, of shape (batch, 1, 1, ``units``), so that the network ends in a map
        as others do, and pooling it changes nothing.
    """
    layers = keras().layers
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = layers.Dropout(0.5, name=f"{name}_dropout")(hidden(x, units, name))
    return layers.Reshape((1, 1, units), name="fc7_map")(x)


def flat_top(trunk: Any, classes: int, activation: str | None) -> list[Any]:
    """A dense layer on a map of one position."""
    layers = keras().layers
    x = layers.Flatten(name="features")(trunk.output)
    return [layers.Dense(classes, activation=activation, name="predictions")(x)]


def average_top(trunk: Any, classes: int, activation: str | None) -> list[Any]:
    """A dense layer on the mean of every channel."""
    layers = keras().layers
    x = layers.GlobalAveragePooling2D(name="avg_pool")(trunk.output)
    return [layers.Dense(classes, activation=activation, name="predictions")(x)]
