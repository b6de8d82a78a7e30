"""Networks of Keras as descriptions, from their graph as Keras writes it down.

The graph is the ``config`` of a functional model, in ``Model.to_json()`` as in ``model.keras``, so
a bundle is described without importing Keras. Nested models are laid flat.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...errors import CnnTransferError
from .convolutions import Convolution, Depthwise, Separable
from .layer import Layer
from .layers import (
    Channels,
    Dense,
    Flatten,
    GlobalPooling,
    Input,
    Merge,
    Padding,
    PerChannel,
    Pooling,
    Reshape,
)
from .network import Placed
from .window import Window

Json = Mapping[str, Any]
#: The class of the layers that freezing keeps from training even where others train.
BATCH_NORMALIZATION = "BatchNormalization"
_ARGUMENTS = "arguments"


def graph_of(model: Any) -> dict[str, Any]:
    """The graph of a functional Keras model that is built."""
    graph: dict[str, Any] = json.loads(model.to_json())["config"]
    return graph


def layer_entries(graph: Json) -> list[Json]:
    """What is written of the model's layers, in Keras' order: not of inputs nor of bare operations.

    Each has ``name``, ``class_name`` and ``config``. A nested model is one layer, as in
    ``Model.layers``.
    """
    return [
        entry
        for entry in graph["layers"]
        if "trainable" in entry["config"] and entry["class_name"] != "InputLayer"
    ]


def placed(graph: Json, is_trained: Callable[[Json], bool]) -> tuple[Placed, ...]:
    """The layers of a network, each behind those that it stands on.

    Args:
        graph: Of a functional or sequential model, with channels last.
        is_trained: Whether one of the graph's entries is trained.

    Raises:
        CnnTransferError: there is a kind of layer that has no description.
    """
    rows: dict[str, Placed] = {}
    _lay_out(graph, None, None, is_trained, rows)
    return tuple(rows.values())


def _lay_out(
    graph: Json,
    below: str | None,
    owner: Json | None,
    is_trained: Callable[[Json], bool],
    rows: dict[str, Placed],
) -> str:
    """Add a model's layers to the rows; returns the name of the row that is its output.

    Args:
        graph: Of the model.
        below: The row that a nested model stands on.
        owner: The outermost model's entry that a nested model belongs to: one layer to Keras.
        is_trained: See :func:`placed`.
        rows: All layers so far, by name.
    """
    outputs: dict[str, str] = {}
    last = below
    for entry in graph["layers"]:
        name = _name(entry)
        if entry["class_name"] == "InputLayer" and below is not None:
            outputs[name] = below
            continue
        sources = _sources(entry)
        # A sequential model has no connections: its layers stand one on another.
        inputs = tuple(outputs[source] for source in sources) if sources else (last,)
        if "layers" in entry["config"]:
            (only,) = inputs
            row = _lay_out(entry["config"], only, owner or entry, is_trained, rows)
        else:
            row = name if owner is None or name not in rows else f"{_name(owner)}/{name}"
            on = tuple(source for source in inputs if source is not None)
            rows[row] = Placed(row, _described(entry), on, is_trained(owner or entry))
        outputs[name] = last = row
    end = graph.get("output_layers")
    while isinstance(end, list):
        end = end[0]
    return outputs[end] if isinstance(end, str) else str(last)


def _sources(entry: Json) -> tuple[str, ...]:
    """The names of the entries that one is called on."""
    nodes = entry.get("inbound_nodes") or [{}]
    if len(nodes) > 1:
        raise _unknown(entry, "it is called several times")
    return tuple(_tensors([nodes[0].get("args", []), nodes[0].get("kwargs", {})]))


def _tensors(value: Any) -> Iterator[str]:
    """The origins of all Keras tensors in nested arguments."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"][0]
        else:
            for part in value.values():
                yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


# ---- Kinds of layers


def _described(entry: Json) -> Layer:
    describe = _DESCRIPTIONS.get(entry["class_name"])
    if describe is None:
        raise _unknown(entry, f"a {entry['class_name']}")
    # What an operation was called with besides tensors is no part of its config.
    return describe({**entry["config"], _ARGUMENTS: (entry.get("inbound_nodes") or [{}])[0]})


def _unknown(entry: Json, reason: str) -> CnnTransferError:
    return CnnTransferError(
        "Expected a network of layers that 'inspect' has a description of. "
        f"Received: layer {_name(entry)!r}, {reason}. Please report this."
    )


def _name(entry: Json) -> str:
    name: str = entry["config"]["name"]
    return name


def _window(config: Json, kernel: str = "kernel_size", **more: Any) -> Window:
    """The window of a convolution or a pooling."""
    size = tuple(config[kernel])
    stride = tuple(config["strides"] or size)
    dilation = tuple(config.get("dilation_rate", (1, 1)))
    return Window(size, stride, config["padding"], dilation, **more)


def _convolution(config: Json, **more: Any) -> Convolution:
    window, filters = _window(config, **more), config["filters"]
    return Convolution(window, filters, config.get("groups", 1), config["use_bias"])


def _depthwise(config: Json) -> Depthwise:
    return Depthwise(_window(config), config["depth_multiplier"], config["use_bias"])


def _separable(config: Json) -> Separable:
    filters, multiplier = config["filters"], config["depth_multiplier"]
    return Separable(_window(config), filters, multiplier, config["use_bias"])


def _normalization(config: Json) -> PerChannel:
    # With numbers given it holds constants; without, mean, variance and a counter.
    adapted = config.get("mean") is None
    return PerChannel("normalization", statistics=2 * adapted, counters=int(adapted))


def _scaled_and_shifted(kind: str, statistics: int) -> Callable[[Json], PerChannel]:
    return lambda c: PerChannel(kind, int(c["scale"]), int(c["center"]), statistics)


def _plain(kind: str, **numbers: int) -> Callable[[Json], PerChannel]:
    return lambda config: PerChannel(kind, **numbers)


def _sum(config: Json) -> Channels:
    _check_channels(config)
    return Channels("sum", 1)


def _take(config: Json) -> Channels:
    _check_channels(config)
    return Channels("choose", len(config[_ARGUMENTS]["args"][1]))


def _check_channels(config: Json) -> None:
    """Check that an operation works on the last axis, and leaves it in its place.

    Raises:
        CnnTransferError: it does not.
    """
    if config["axis"] not in (-1, 3) or not config.get("keepdims", True):
        raise _unknown({"config": config}, "an operation on other axes than the channels'")


def _merge(kind: str) -> Callable[[Json], Merge]:
    return lambda config: Merge(kind)


#: Keras' class -> its description. Operations outside of layers are classes, too: ``Add``.
_DESCRIPTIONS: Mapping[str, Callable[[Json], Layer]] = {
    "InputLayer": lambda c: Input(tuple(c["batch_shape"][1:])),
    "Conv2D": _convolution,
    "Conv2DTranspose": lambda c: _convolution(c, transposed=True),
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "MaxPooling2D": lambda c: Pooling(_window(c, "pool_size"), "max"),
    "AveragePooling2D": lambda c: Pooling(_window(c, "pool_size"), "avg"),
    "GlobalMaxPooling2D": lambda c: GlobalPooling("max", c["keepdims"]),
    "GlobalAveragePooling2D": lambda c: GlobalPooling("avg", c["keepdims"]),
    "Dense": lambda c: Dense(c["units"], c["use_bias"]),
    "Flatten": lambda c: Flatten(),
    "Reshape": lambda c: Reshape(tuple(c["target_shape"])),
    "ZeroPadding2D": lambda c: Padding.of(c["padding"]),
    "Cropping2D": lambda c: Padding.of(c["cropping"], sign=-1),
    BATCH_NORMALIZATION: _scaled_and_shifted("batch norm", statistics=2),
    "LayerNormalization": _scaled_and_shifted("layer norm", statistics=0),
    "Normalization": _normalization,
    "Rescaling": _plain("rescaling"),
    "Flip": _plain("flip"),
    "Sum": _sum,
    "Take": _take,
    "Activation": lambda c: PerChannel(str(c["activation"])),
    "ReLU": _plain("relu"),
    "Softmax": _plain("softmax"),
    "Dropout": _plain("dropout"),
    "StochasticDepth": _plain("stochastic depth"),
    "LayerScale": _plain("layer scale", weights=1),
    "CustomScaleLayer": _merge("add"),
    "Add": _merge("add"),
    "Multiply": _merge("multiply"),
    "Concatenate": _merge("concat"),
}
