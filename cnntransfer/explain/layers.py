"""Which of a network's layers a method shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..errors import UsageError, nearest
from ..frameworks import keras
from .subject import Subject

#: Batch, height, width, channels.
_MAP_AXES = 4


def convolutions(subject: Subject) -> list[Any]:
    """The layers that have kernels that slide, lowest first."""
    return [layer for layer in subject.model.layers if _is_convolution(layer)]


def mapped(subject: Subject) -> list[Any]:
    """The convolutions and poolings, lowest first: what makes maps."""
    layers = keras().layers
    poolings = (layers.MaxPooling2D, layers.AveragePooling2D)
    return [
        layer
        for layer in subject.model.layers
        if is_map(layer.output) and (_is_convolution(layer) or isinstance(layer, poolings))
    ]


def with_maps(subject: Subject) -> list[Any]:
    """All layers whose output is a map, lowest first, the input left out."""
    return [
        layer
        for layer in subject.model.layers
        if not isinstance(layer, keras().layers.InputLayer) and is_map(layer.output)
    ]


def topmost_maps(subject: Subject) -> list[Any]:
    """The layers whose maps the head stands on, the topmost first: between them and the output no
    other map lies."""
    model = subject.model
    made_by = {id(one.output): one for one in model.operations}
    found: dict[int, Any] = {}
    waiting = [model.output]
    while waiting:
        tensor = waiting.pop()
        operation = made_by[id(tensor)]
        if isinstance(operation, keras().layers.InputLayer):
            continue
        if is_map(tensor):
            found[id(tensor)] = operation
        else:
            given = operation.input
            waiting += given if isinstance(given, (list, tuple)) else [given]
    return [one for one in reversed(model.operations) if id(one.output) in found]


def is_map(tensor: Any) -> bool:
    """Whether a Keras tensor is a map of more than one place: (batch, height, width, channels)."""
    shape = tuple(getattr(tensor, "shape", ()))
    return len(shape) == _MAP_AXES and shape[1] * shape[2] > 1


def choose(option: str, layers: Sequence[Any], wanted: str) -> Any:
    """A layer by its name, or by its number among ``layers``.

    Args:
        option: What it was given with, for the message.
        layers: Those that may be chosen, lowest first.
        wanted: A name, a number from 1, or one below 0 that counts from the highest.

    Raises:
        UsageError: there is no such layer.
    """
    if not layers:
        raise UsageError(
            f"{option}: expected a network with layers that this method can show. "
            "Received: one that has none."
        )
    by_name = {layer.name: layer for layer in layers}
    if wanted in by_name:
        return by_name[wanted]
    if re.fullmatch(r"[+-]?\d{1,6}", wanted):
        number = int(wanted)
        if 1 <= abs(number) <= len(layers):
            return layers[number - 1 if number > 0 else number]
    raise UsageError(
        f"{option}: expected a number from 1 to {len(layers)} (or -1 for the highest), or a name "
        f"such as {layers[0].name} or {layers[-1].name}. Received: {wanted!r}."
        f"{nearest(wanted, by_name)}"
    )


def _is_convolution(layer: Any) -> bool:
    layers = keras().layers
    return isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D))
