"""The other kinds of layers: pooling, dense layers, merging, what works number by number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from .field import ReceptiveField, union
from .layer import Layer, Parameters, Shape, Sliding, size_of
from .window import Pair, Window


@dataclass(frozen=True)
class Input(Layer):
    """Where a network begins.

    Attributes:
        shape: Of the image.
    """

    shape: Shape

    family: ClassVar[str] = "input"

    def output(self, *inputs: Shape) -> Shape:
        """The image's shape."""
        return self.shape

    def field(self, inputs: tuple[Shape, ...], below: tuple[ReceptiveField, ...]) -> ReceptiveField:
        """A pixel sees itself."""
        return ReceptiveField()


@dataclass(frozen=True)
class Pooling(Sliding):
    """The largest number or the mean in a window.

    Attributes:
        mode: ``max`` or ``avg``.
    """

    mode: str = "max"

    family: ClassVar[str] = "pooling"

    @property
    def name_of_kind(self) -> str:
        """With its mode."""
        return f"{self.mode} pool"


@dataclass(frozen=True)
class GlobalPooling(Layer):
    """Pooling of whole maps: a window as large as the map.

    Attributes:
        mode: ``max`` or ``avg``.
        keeps_map: Whether a map of 1 x 1 comes out, not a vector.
    """

    mode: str = "avg"
    keeps_map: bool = False

    family: ClassVar[str] = "pooling"

    @property
    def name_of_kind(self) -> str:
        """With its mode."""
        return f"global {self.mode} pool"

    def output(self, *inputs: Shape) -> Shape:
        """A number per channel."""
        return (1, 1, inputs[0][-1]) if self.keeps_map else (inputs[0][-1],)

    def field(self, inputs: tuple[Shape, ...], below: tuple[ReceptiveField, ...]) -> ReceptiveField:
        """What all positions see together."""
        return _of_all_positions(inputs[0], below[0])


@dataclass(frozen=True)
class Dense(Layer):
    """Every unit sees every channel: of a vector, or of each position of a map.

    Attributes:
        units: Numbers that come out.
        bias: Whether each unit has one.
    """

    units: int
    bias: bool = True

    family: ClassVar[str] = "dense"

    def output(self, *inputs: Shape) -> Shape:
        """Units instead of channels."""
        return (*inputs[0][:-1], self.units)

    def parameters(self, *inputs: Shape) -> Parameters:
        """Kernel and biases."""
        return Parameters(inputs[0][-1] * self.units, self.units if self.bias else 0)

    def multiply_adds(self, *inputs: Shape) -> int:
        """The kernel, at every position."""
        return math.prod(inputs[0]) * self.units


@dataclass(frozen=True)
class Flatten(Layer):
    """A map as a vector: what comes next sees all of it."""

    def output(self, *inputs: Shape) -> Shape:
        """All numbers in a row."""
        return (math.prod(inputs[0]),)

    def field(self, inputs: tuple[Shape, ...], below: tuple[ReceptiveField, ...]) -> ReceptiveField:
        """What all positions see together."""
        return _of_all_positions(inputs[0], below[0])


@dataclass(frozen=True)
class Reshape(Layer):
    """The same numbers in another shape; of a vector, or of a map of one position.

    Attributes:
        shape: What comes out.
    """

    shape: Shape

    def output(self, *inputs: Shape) -> Shape:
        """As told."""
        return self.shape

    def field(self, inputs: tuple[Shape, ...], below: tuple[ReceptiveField, ...]) -> ReceptiveField:
        """What all positions see together."""
        return _of_all_positions(inputs[0], below[0])


@dataclass(frozen=True)
class Channels(Layer):
    """The same places with other channels: some that are chosen, or a sum over all.

    Attributes:
        kind: What it is called: ``sum``, ``choose``.
        count: Channels that come out.
    """

    kind: str
    count: int

    @property
    def name_of_kind(self) -> str:
        """Its own word."""
        return self.kind

    def output(self, *inputs: Shape) -> Shape:
        """As many channels as told."""
        return (*inputs[0][:-1], self.count)


@dataclass(frozen=True)
class Padding(Sliding):
    """Zeros around a map, or positions cut off it: a window of 1 x 1 with padding."""

    @classmethod
    def of(cls, sides: tuple[Pair, Pair], sign: int = 1) -> Padding:
        """Make one.

        Args:
            sides: ((top, bottom), (left, right)).
            sign: -1 cuts off.
        """
        (top, bottom), (left, right) = sides
        signed = ((sign * top, sign * bottom), (sign * left, sign * right))
        return cls(Window((1, 1), padding=signed))

    @property
    def name_of_kind(self) -> str:
        """Which of both."""
        sides = self.slides.padding
        is_crop = not isinstance(sides, str) and min(map(min, sides)) < 0
        return "crop" if is_crop else "zero padding"


@dataclass(frozen=True)
class PerChannel(Layer):
    """A function of each number by itself, which may hold some numbers per channel.

    Attributes:
        kind: What it is called: ``relu``, ``batch norm``.
        weights: Per channel; so are ``biases`` and ``statistics``.
        counters: Statistics in all, besides.
    """

    kind: str
    weights: int = 0
    biases: int = 0
    statistics: int = 0
    counters: int = 0

    @property
    def name_of_kind(self) -> str:
        """Its own word."""
        return self.kind

    def parameters(self, *inputs: Shape) -> Parameters:
        """As many per channel as told."""
        n = inputs[0][-1]
        statistics = self.statistics * n + self.counters
        return Parameters(self.weights * n, self.biases * n, statistics)


@dataclass(frozen=True)
class Merge(Layer):
    """Where branches meet.

    Attributes:
        kind: ``add``, ``multiply`` or ``concat``, of which the last sets channels side by side.
    """

    kind: str

    family: ClassVar[str] = "merge"

    @property
    def name_of_kind(self) -> str:
        """Its own word."""
        return self.kind

    def output(self, *inputs: Shape) -> Shape:
        """The largest branch; all channels side by side where they are concatenated."""
        largest = max(inputs, key=math.prod)
        channels = sum(shape[-1] for shape in inputs) if self.kind == "concat" else largest[-1]
        return (*largest[:-1], channels)

    def field(self, inputs: tuple[Shape, ...], below: tuple[ReceptiveField, ...]) -> ReceptiveField:
        """What any branch sees, but for a single position that all positions share: a gate."""
        size = self.output(*inputs)[:-1]
        whole = [field for shape, field in zip(inputs, below, strict=True) if shape[:-1] == size]
        return union(whole, has_gates=len(whole) < len(inputs))


def _of_all_positions(shape: Shape, below: ReceptiveField) -> ReceptiveField:
    """The field of what sees a whole map: a window as large as it."""
    if len(shape) != 3:
        return below
    size = size_of(shape)
    return Window(size, stride=size).field(size, below)
