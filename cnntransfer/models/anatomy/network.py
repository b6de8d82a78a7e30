"""Layers in a graph, measured one after another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from .field import ReceptiveField
from .layer import Layer, Parameters, Shape, size_of
from .layers import Input
from .window import Sides, Window

#: Bytes of a float32.
_BYTES = 4


@dataclass(frozen=True)
class Placed:
    """A layer at its place in a network.

    Attributes:
        name: Unique in the network.
        layer: What it is.
        inputs: The names of the layers that it stands on.
        trained: Whether its weights are trained; statistics never are.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...] = ()
    trained: bool = True


@dataclass(frozen=True)
class Facts:
    """What is to be said of a layer.

    Attributes:
        name: Unique in the network.
        kind: What it is called: ``conv``, ``max pool``.
        family: Of kinds that look alike in a drawing.
        inputs: The names of the layers that it stands on.
        window: What slides over the map, if anything does.
        sides: ((top, bottom), (left, right)): its padding in numbers.
        groups: Of channels.
        output: (height, width, channels) or (units,).
        parameters: The numbers that it holds.
        trained: Whether its weights are trained.
        multiply_adds: For one image.
        field: The receptive field.
    """

    name: str
    kind: str
    family: str
    inputs: tuple[str, ...]
    window: Window | None
    sides: Sides | None
    groups: int
    output: Shape
    parameters: Parameters
    trained: bool
    multiply_adds: int
    field: ReceptiveField

    @property
    def activation_bytes(self) -> int:
        """Memory of the output for one image, in float32."""
        return _BYTES * math.prod(self.output)

    @property
    def jump(self) -> tuple[Fraction, Fraction] | None:
        """The stride of the receptive field, in pixels; ``None`` for a vector."""
        return self.field.jump if len(self.output) == 3 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        window = self.window
        return {
            "name": self.name,
            "kind": self.kind,
            "inputs": self.inputs,
            "kernel": window and window.kernel,
            "stride": window and window.stride,
            "padding": window and window.padding,
            "padding_pixels": self.sides,
            "dilation": window and window.dilation,
            "groups": self.groups,
            "output": self.output,
            "parameters": self.parameters.total,
            **asdict(self.parameters),
            "trained": self.trained,
            "multiply_adds": self.multiply_adds,
            "activation_bytes": self.activation_bytes,
            "receptive_field": self.field.size,
            "jump": self.jump and tuple(map(_plain, self.jump)),
            "has_gates": self.field.has_gates,
        }


@dataclass(frozen=True)
class Anatomy:
    """A network, layer by layer.

    Attributes:
        name: What it is called.
        layers: From the input to the output.
    """

    name: str
    layers: tuple[Facts, ...]

    @property
    def parameters(self) -> int:
        """All numbers that it holds: what Keras counts."""
        return sum(facts.parameters.total for facts in self.layers)

    @property
    def trained(self) -> int:
        """The weights and biases that are trained."""
        return self._weights(trained=True)

    @property
    def frozen(self) -> int:
        """The weights and biases that are not."""
        return self._weights(trained=False)

    @property
    def statistics(self) -> int:
        """Means and variances of normalisation layers."""
        return sum(facts.parameters.statistics for facts in self.layers)

    @property
    def multiply_adds(self) -> int:
        """For one image."""
        return sum(facts.multiply_adds for facts in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Memory of all layers' outputs for one image, in float32: what training keeps."""
        return sum(facts.activation_bytes for facts in self.layers)

    def totals(self) -> dict[str, int]:
        """The sums, by name."""
        return {
            "layers": len(self.layers),
            "parameters": self.parameters,
            "trained": self.trained,
            "frozen": self.frozen,
            "statistics": self.statistics,
            "multiply_adds": self.multiply_adds,
            "activation_bytes": self.activation_bytes,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "totals": self.totals(),
            "layers": [facts.to_dict() for facts in self.layers],
        }

    def _weights(self, *, trained: bool) -> int:
        return sum(
            facts.parameters.weights + facts.parameters.biases
            for facts in self.layers
            if facts.trained is trained
        )


def measure(name: str, network: Iterable[Placed]) -> Anatomy:
    """Measure a network.

    Args:
        name: What it is called.
        network: Each layer behind those that it stands on.

    Raises:
        UsageError: a layer does not fit what it stands on.
    """
    known: dict[str, Facts] = {}
    for placed in network:
        below = tuple(known[name] for name in placed.inputs)
        known[placed.name] = _facts(placed, below)
    return Anatomy(name, tuple(known.values()))


def chain(
    name: str, shape: Shape, layers: Sequence[Layer], names: Sequence[str] | None = None
) -> Anatomy:
    """Measure layers that stand one on another.

    Args:
        name: What the network is called.
        shape: Of its input.
        layers: From the input upwards.
        names: Of the layers; default: their kinds, numbered.
    """
    names = names or [f"{layer.name_of_kind} {n}" for n, layer in enumerate(layers, start=1)]
    below = ("input", *names)
    placed = [Placed("input", Input(shape))]
    placed += [Placed(names[n], layer, (below[n],)) for n, layer in enumerate(layers)]
    return measure(name, placed)


def _facts(placed: Placed, below: tuple[Facts, ...]) -> Facts:
    layer, window = placed.layer, placed.layer.window
    inputs = tuple(facts.output for facts in below)
    spans = window.spans(size_of(inputs[0])) if window else None
    return Facts(
        name=placed.name,
        kind=layer.name_of_kind,
        family=layer.family,
        inputs=placed.inputs,
        window=window,
        sides=spans and ((spans[0].before, spans[0].after), (spans[1].before, spans[1].after)),
        groups=layer.groups(inputs[0]) if inputs else 1,
        output=layer.output(*inputs),
        parameters=layer.parameters(*inputs),
        trained=placed.trained,
        multiply_adds=layer.multiply_adds(*inputs),
        field=layer.field(inputs, tuple(facts.field for facts in below)),
    )


def _plain(number: Fraction) -> float:
    return int(number) if number.denominator == 1 else float(number)
