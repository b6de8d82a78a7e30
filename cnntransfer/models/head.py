"""The head as data: its layers, its numbers, and what they compute.

A head stands on frozen features, so it needs no network to be trained, run or written down:
features of shape (n, d) -> probabilities of shape (n, classes). Its layers are described in Keras'
words, once, by :func:`head_layers`; Keras builds them (:mod:`.classifier`), NumPy trains them
(:mod:`cnntransfer.training.perceptron`), and ``model.keras`` and ``head.tflite`` hold them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recipe import AUTO, Head

Array = NDArray[np.float32]
#: By name of the layer, its arrays in the order of Keras' ``get_weights``: ``Dense`` kernel
#: (inputs, units) and bias (units,); ``BatchNormalization`` gamma and beta (where it has them),
#: moving mean and moving variance, each (features,).
HeadWeights = Mapping[str, tuple[Array, ...]]

STANDARDISE_NAME = "standardise"
OUTPUT_NAME = "probabilities"
#: Keras' defaults for the layers of a head.
_EPSILON, MOMENTUM = 1e-3, 0.99
#: The L2 penalty of a head with hidden layers, where none is given (docs/accuracy.md).
_HIDDEN_L2 = 0.003
_BLOCK = 4096


@dataclass(frozen=True)
class Layer:
    """A layer of a head.

    Attributes:
        kind: Its class in ``keras.layers``.
        name: Its name in the model.
        config: The other arguments of that class, plain values.
    """

    kind: str
    name: str
    config: Mapping[str, Any]

    @property
    def l2(self) -> float:
        """The strength of the L2 penalty on its kernel."""
        described = self.config.get("kernel_regularizer")
        return float(described["config"]["l2"]) if described else 0.0


def head_layers(head: Head, classes: int, seed: int = 0) -> tuple[Layer, ...]:
    """The layers from features to probabilities.

    The first standardises the features with the training set's mean and variance
    (:func:`standardisation`). It is a batch normalisation that always infers, so that it folds
    into the next layer when the model is converted.

    Args:
        head: Widths, activation, regularisation; those of an ensemble stand side by side.
        classes: Units of the last layer.
        seed: Decides the initial kernels and what dropout drops.
    """

    l2 = _HIDDEN_L2 if head.l2 == AUTO else float(head.l2)

    def dense(name: str, units: int, number: int, activation: str) -> Layer:
        config = {
            "units": units,
            "activation": activation,
            "kernel_initializer": _described("GlorotUniform", seed=(seed + number) % 2**32),
        }
        return with_l2(Layer("Dense", name, config), l2)

    def dropout(name: str, number: int) -> Layer:
        return Layer("Dropout", name, {"rate": head.dropout, "seed": (seed + number) % 2**32})

    fixed = {"center": False, "scale": False, "epsilon": 1e-7, "trainable": False}
    layers = [Layer("BatchNormalization", STANDARDISE_NAME, fixed)]
    for number, width in enumerate(head.units, start=1):
        name = f"hidden{number}"
        layers.append(dense(name, width * head.ensemble, number, "linear"))
        if head.batch_normalization:
            layers.append(
                Layer(
                    "BatchNormalization", f"{name}_bn", {"epsilon": _EPSILON, "momentum": MOMENTUM}
                )
            )
        activation = {"activation": head.activation}
        layers.append(Layer("Activation", f"{name}_{head.activation}", activation))
        if head.dropout:
            layers.append(dropout(f"{name}_dropout", number))
    layers.append(dense(OUTPUT_NAME, classes, 0, "softmax"))
    return tuple(layers)


def with_l2(layer: Layer, l2: float) -> Layer:
    """A dense layer with another strength of its L2 penalty."""
    described = _described("L2", l2=l2) if l2 else None
    return dataclasses.replace(layer, config={**layer.config, "kernel_regularizer": described})


@dataclass(frozen=True)
class HeadModel:
    """A head with its numbers; a function from features to probabilities.

    Attributes:
        layers: What :func:`head_layers` gave.
        weights: The arrays of those layers that have some.
    """

    layers: tuple[Layer, ...]
    weights: HeadWeights

    @property
    def features(self) -> int:
        """How many numbers it takes."""
        return len(self.weights[STANDARDISE_NAME][0])

    @property
    def classes(self) -> int:
        """How many probabilities it gives."""
        return len(self.weights[OUTPUT_NAME][1])

    def __call__(self, features: Array) -> Array:
        """Probabilities, float32 (n, classes), of features, float32 (n, d)."""
        x = features
        for layer in self.layers:
            x = _INFERENCE[layer.kind](layer, self.weights.get(layer.name, ()), x)
        return x

    def logits(self, features: Array) -> Array:
        """What the probabilities are the softmax of, float32 (n, classes)."""
        kernel, bias = self.weights[OUTPUT_NAME]
        return HeadModel(self.layers[:-1], self.weights)(features) @ kernel + bias

    def tempered(self, temperature: float) -> HeadModel:
        """The same head, its logits divided by a temperature; probabilities keep their order."""
        scale = np.float32(1 / temperature)
        kernel, bias = self.weights[OUTPUT_NAME]
        scaled = {OUTPUT_NAME: (kernel * scale, bias * scale)}
        return HeadModel(self.layers, {**self.weights, **scaled})


def initial_weights(
    layers: tuple[Layer, ...],
    features: Array,
    widths: Sequence[int] = (),
    *,
    standardise: bool = True,
) -> HeadWeights:
    """The numbers that training begins with.

    Kernels are drawn from Glorot's uniform distribution (Glorot & Bengio 2010), biases are zero.

    Args:
        layers: What :func:`head_layers` gave.
        features: Of the training images, float32 (n, d): what the first layer standardises.
        widths: See :func:`standardisation`.
        standardise: Whether it does; else it lets features through as they are.
    """
    weights: dict[str, tuple[Array, ...]] = {}
    width = features.shape[1]
    for layer in layers:
        if layer.name == STANDARDISE_NAME:
            neutral = (np.zeros(width, np.float32), np.ones(width, np.float32))
            weights[layer.name] = standardisation(features, widths) if standardise else neutral
        elif layer.kind == "BatchNormalization":
            ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
            weights[layer.name] = (ones, zeros, zeros.copy(), ones.copy())
        elif layer.kind == "Dense":
            units = layer.config["units"]
            limit = np.sqrt(6 / (width + units))
            generator = np.random.default_rng(layer.config["kernel_initializer"]["config"]["seed"])
            kernel = generator.uniform(-limit, limit, (width, units)).astype(np.float32)
            weights[layer.name] = (kernel, np.zeros(units, np.float32))
            width = units
    return weights


def joined(layers: tuple[Layer, ...], members: Sequence[HeadModel]) -> HeadModel:
    """Several heads as one, whose logits are the mean of theirs.

    Their hidden layers stand side by side and do not see each other, so that the kernels between
    them are zero but for blocks.

    Args:
        layers: Of the whole, see :func:`head_layers`.
        members: Heads of the same kind that standardise in the same way.
    """
    count = len(members)
    weights = {STANDARDISE_NAME: members[0].weights[STANDARDISE_NAME]}
    is_lowest = True
    for layer in layers[1:]:
        if layer.name not in members[0].weights:
            continue
        parts = [member.weights[layer.name] for member in members]
        if layer.kind != "Dense":
            weights[layer.name] = tuple(np.concatenate(same) for same in zip(*parts, strict=True))
            continue
        inputs, units = parts[0][0].shape
        blocks = np.zeros((count, inputs, count, units), np.float32)
        for number, (kernel, _) in enumerate(parts):
            blocks[number, :, number] = kernel
        biases = np.stack([bias for _, bias in parts])
        # All take the same features, and all add to the same logits.
        rows = blocks.sum(axis=0, keepdims=True) if is_lowest else blocks
        is_last = layer.name == OUTPUT_NAME
        columns = rows.sum(axis=2, keepdims=True) / np.float32(count) if is_last else rows
        kernel = columns.reshape(columns.shape[0] * inputs, columns.shape[2] * units)
        weights[layer.name] = (kernel, biases.mean(axis=0) if is_last else biases.ravel())
        is_lowest = False
    return HeadModel(layers, weights)


def standardisation(features: Array, widths: Sequence[int] = ()) -> tuple[Array, Array]:
    """Mean and variance of features, float32 (d,) each.

    A variance counts as at least the average one of its depth, so that features that hardly vary
    are not amplified to the size of the others (``docs/accuracy.md``).

    Args:
        features: float32, shape (n, d).
        widths: How many of them come from each depth of the trunk, in order; all from one if empty.
    """
    # Block by block: NumPy's own var() would need twice the memory of the features.
    blocks = [features[start : start + _BLOCK] for start in range(0, len(features), _BLOCK)]
    mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(features)
    squares = (np.square(block - mean).sum(axis=0) for block in blocks)
    variance = sum(squares) / len(features)
    ends = [sum(widths[:depth]) for depth in range(1, len(widths))]
    floored = [
        np.maximum(depth, max(float(depth.mean()), 1e-7)) for depth in np.split(variance, ends)
    ]
    return mean.astype(np.float32), np.concatenate(floored).astype(np.float32)


def affine(layer: Layer, arrays: tuple[Array, ...]) -> tuple[Array, Array]:
    """What a batch normalisation that infers multiplies by and then adds; (d,) each."""
    *trained, mean, variance = arrays
    gamma, beta = trained or (np.float32(1), np.float32(0))
    scale = (gamma / np.sqrt(variance + np.float32(layer.config["epsilon"]))).astype(np.float32)
    return scale, beta - mean * scale


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    half = np.float32(0.5)
    result: Array = half * np.tanh(half * x) + half
    return result


def gelu(x: Array) -> Array:
    """x times the normal distribution's cumulative function (Hendrycks 2016, arXiv:1606.08415)."""
    from scipy.special import ndtr

    result: Array = x * ndtr(x)
    return result


def softmax(x: Array) -> Array:
    """exp(x), scaled so that each row sums to 1."""
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    result: Array = powers / powers.sum(axis=1, keepdims=True)
    return result


#: By Keras' name, for arrays of shape (n, d).
ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": gelu,
    "silu": lambda x: x * sigmoid(x),
    "tanh": np.tanh,
    "softmax": softmax,
}


def _normalise(layer: Layer, arrays: tuple[Array, ...], x: Array) -> Array:
    scale, shift = affine(layer, arrays)
    return x * scale + shift


def _dense(layer: Layer, arrays: tuple[Array, ...], x: Array) -> Array:
    kernel, bias = arrays
    return ACTIVATIONS[layer.config["activation"]](x @ kernel + bias)


#: What a layer of each kind computes when nothing is trained.
_INFERENCE: Mapping[str, Callable[[Layer, tuple[Array, ...], Array], Array]] = {
    "BatchNormalization": _normalise,
    "Dense": _dense,
    "Activation": lambda layer, arrays, x: ACTIVATIONS[layer.config["activation"]](x),
    "Dropout": lambda layer, arrays, x: x,
}


def _described(class_name: str, **config: Any) -> dict[str, Any]:
    """An object of Keras as its ``get`` functions take it."""
    return {"class_name": class_name, "config": config}
