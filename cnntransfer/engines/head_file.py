"""Writing a head as a LiteRT file, without TensorFlow.

A head is a short chain of layers whose numbers are known, and a LiteRT file a flatbuffer whose
schema comes with LiteRT. So the file is put together here, in milliseconds, of operations that
every LiteRT runtime has built in. What a batch normalisation does is folded into the dense layer
beside it, and dropout does nothing.

One thing is not folded: the means of the features are subtracted first. As a part of the bias they
would be taken away only after products have been summed that are larger than their differences by
far, which costs one or two of the seven digits where features vary little around a large mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..models.classifier import FEATURES_NAME
from ..models.head import OUTPUT_NAME, HeadModel, Layer, affine
from ..storage import atomic_file
from .graph import Graph, Operation

Array = NDArray[np.float32]


def write_head(head: HeadModel, target: Path) -> None:
    """Write a LiteRT file that computes what a head computes.

    Its input ``features``, float32 (n, d), and its output ``probabilities``, float32 (n, classes),
    have a dynamic batch dimension that is 1 unless it is resized. The same head gives the same
    bytes.

    Args:
        head: What :func:`cnntransfer.models.head.head_layers` describes, with its numbers.
        target: The file; what is there is replaced.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
        OutputError: the file cannot be written.
    """
    standardise, *layers = head.layers
    mean, _ = arrays = head.weights[standardise.name]
    graph = Graph()
    features = graph.tensor(FEATURES_NAME, head.features)
    means = graph.constant(f"{standardise.name}/mean", mean)
    subtract = Operation("SUB", "SubOptions")
    tensor = graph.operation(subtract, [features, means], standardise.name, head.features)
    folding = _Folding(affine(standardise, arrays)[0])
    for layer in layers:
        _FOLDINGS[layer.kind](folding, layer, head.weights.get(layer.name, ()))
    for stage in folding.stages:
        tensor = _add(graph, stage, tensor)
    content = graph.packed({FEATURES_NAME: features}, {OUTPUT_NAME: tensor})
    with atomic_file(target) as draft:
        draft.write_bytes(content)


# What is computed


@dataclass(frozen=True)
class _Stage:
    """``activation(x @ kernel + bias)``: kernel (inputs, units), bias (units,)."""

    name: str
    kernel: Array
    bias: Array
    activation: str


class _Folding:
    """Gathers layers into stages, in float64, so that their numbers are rounded once.

    Args:
        scale: What the inputs of the first dense layer are multiplied by, shape (inputs,).
    """

    def __init__(self, scale: Array) -> None:
        self.stages: list[_Stage] = []
        self._name = ""
        self._kernel = scale.astype(np.float64)[:, np.newaxis]
        self._bias = np.zeros(1)

    def dense(self, layer: Layer, arrays: tuple[Array, ...]) -> None:
        kernel, bias = arrays
        self._name = layer.name
        self._kernel = self._kernel * kernel
        self._bias = bias.astype(np.float64)
        self.activation(layer, ())

    def normalisation(self, layer: Layer, arrays: tuple[Array, ...]) -> None:
        scale, shift = affine(layer, arrays)
        self._kernel = self._kernel * scale
        self._bias = self._bias * scale + shift

    def activation(self, layer: Layer, arrays: tuple[Array, ...]) -> None:
        name = layer.config["activation"]
        if name == "linear":
            return
        kernel, bias = self._kernel.astype(np.float32), self._bias.astype(np.float32)
        self.stages.append(_Stage(self._name, kernel, bias, name))
        self._kernel = np.ones((len(bias), 1))

    def dropout(self, layer: Layer, arrays: tuple[Array, ...]) -> None:
        """Nothing is dropped when nothing is trained."""


_FOLDINGS: Mapping[str, Callable[[_Folding, Layer, tuple[Array, ...]], None]] = {
    "BatchNormalization": _Folding.normalisation,
    "Dense": _Folding.dense,
    "Activation": _Folding.activation,
    "Dropout": _Folding.dropout,
}


# The operations that compute it

#: By activation, what comes after the dense layer.
_OPERATIONS: Mapping[str, tuple[Operation, ...]] = {
    "relu": (),
    "gelu": (Operation("GELU", "GeluOptions", {"approximate": False}),),
    "silu": (Operation("LOGISTIC"), Operation("MUL", "MulOptions")),
    "tanh": (Operation("TANH"),),
    "softmax": (Operation("SOFTMAX", "SoftmaxOptions", {"beta": 1.0}),),
}
#: Those of them that take the dense layer's output, too.
_TWOFOLD = {"MUL"}
#: What the dense layer's operation does itself.
_FUSED = {"relu": "RELU"}


def _add(graph: Graph, stage: _Stage, tensor: int) -> int:
    """Add a stage on a tensor; the number of the tensor that it gives, named like the stage."""
    units = len(stage.bias)
    kernel = graph.constant(f"{stage.name}/kernel", stage.kernel.T)
    bias = graph.constant(f"{stage.name}/bias", stage.bias)
    fused = graph.value("ActivationFunctionType", _FUSED.get(stage.activation, "NONE"))
    options = {"fusedActivationFunction": fused}
    connected = Operation("FULLY_CONNECTED", "FullyConnectedOptions", options)
    rest = _OPERATIONS[stage.activation]
    *names, _ = (f"{stage.name}/{operation.code.lower()}" for operation in (connected, *rest))
    names.append(stage.name)
    dense = last = graph.operation(connected, [tensor, kernel, bias], names[0], units)
    for operation, name in zip(rest, names[1:], strict=True):
        inputs = [dense, last] if operation.code in _TWOFOLD else [last]
        last = graph.operation(operation, inputs, name, units)
    return last
