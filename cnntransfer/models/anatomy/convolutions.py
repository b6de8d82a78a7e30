"""Convolutions, and what is made of several of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ...errors import UsageError
from .field import ReceptiveField
from .layer import Layer, Parameters, Shape, Sliding, size_of
from .window import Window


@dataclass(frozen=True)
class Convolution(Sliding):
    """A convolution; grouped, dilated or transposed, too.

    Attributes:
        filters: Channels that come out.
        divided: Into so many groups: a filter sees the channels of its group.
        bias: Whether each filter has one.
    """

    filters: int
    divided: int = 1
    bias: bool = True

    family: ClassVar[str] = "convolution"

    @property
    def name_of_kind(self) -> str:
        """Transposed or not."""
        return "transposed conv" if self.slides.transposed else "conv"

    def groups(self, inputs: Shape) -> int:
        """As told."""
        return self.divided

    def parts(self, inputs: Shape) -> tuple[Convolution, ...]:
        """Itself: it is composed of one convolution."""
        return (self,)

    def output(self, *inputs: Shape) -> Shape:
        """A map with a channel per filter."""
        return (*self.slides.output(size_of(inputs[0])), self.filters)

    def kernel_volume(self, inputs: Shape) -> tuple[int, int, int]:
        """(height, width, channels) of what a filter multiplies.

        Raises:
            UsageError: the groups do not divide the channels or the filters.
        """
        channels = inputs[-1]
        for noun, count in (("input channels", channels), ("filters", self.filters)):
            if count % self.divided:
                fitting = [n for n in range(1, count + 1) if count % n == 0]
                nearest = min(fitting, key=lambda n: abs(n - self.divided))
                raise UsageError(
                    f"Expected a number of groups that divides the {count} {noun}. "
                    f"Received: {self.divided}. The nearest is {nearest}."
                )
        return (*self.slides.kernel, channels // self.divided)

    def parameters(self, *inputs: Shape) -> Parameters:
        """Kernels and biases."""
        weights = math.prod(self.kernel_volume(inputs[0])) * self.filters
        return Parameters(weights, self.filters if self.bias else 0)

    def multiply_adds(self, *inputs: Shape) -> int:
        """All kernels, wherever they are applied."""
        places = self.slides.applications(size_of(inputs[0]))
        return places * math.prod(self.kernel_volume(inputs[0])) * self.filters


@dataclass(frozen=True)
class Composed(Layer):
    """A layer that is one convolution after another."""

    def parts(self, inputs: Shape) -> tuple[Convolution, ...]:
        """The convolutions."""
        raise NotImplementedError

    def output(self, *inputs: Shape) -> Shape:
        """What comes out of the last."""
        shape = inputs[0]
        for part in self.parts(shape):
            shape = part.output(shape)
        return shape

    def parameters(self, *inputs: Shape) -> Parameters:
        """Of all parts."""
        shape, total = inputs[0], Parameters()
        for part in self.parts(shape):
            shape, total = part.output(shape), total + part.parameters(shape)
        return total

    def multiply_adds(self, *inputs: Shape) -> int:
        """Of all parts."""
        shape, total = inputs[0], 0
        for part in self.parts(shape):
            shape, total = part.output(shape), total + part.multiply_adds(shape)
        return total

    def field(self, inputs: tuple[Shape, ...], below: tuple[ReceptiveField, ...]) -> ReceptiveField:
        """Of all parts."""
        shape, field = inputs[0], below[0]
        for part in self.parts(shape):
            shape, field = part.output(shape), part.field((shape,), (field,))
        return field


@dataclass(frozen=True)
class Depthwise(Composed):
    """A convolution of every channel by itself: as many groups as channels.

    Attributes:
        slides: The window.
        multiplier: Filters per channel.
        bias: Whether each filter has one.
    """

    slides: Window
    multiplier: int = 1
    bias: bool = True

    family: ClassVar[str] = "convolution"

    @property
    def name_of_kind(self) -> str:
        """The field's word."""
        return "depthwise conv"

    @property
    def window(self) -> Window:
        """What slides over each channel."""
        return self.slides

    def groups(self, inputs: Shape) -> int:
        """One per channel."""
        return inputs[-1]

    def parts(self, inputs: Shape) -> tuple[Convolution, ...]:
        """The one convolution."""
        channels = inputs[-1]
        return (Convolution(self.slides, channels * self.multiplier, channels, self.bias),)


@dataclass(frozen=True)
class Separable(Composed):
    """A depthwise convolution without bias, then a 1x1 convolution.

    Attributes:
        slides: The window of the first.
        filters: Channels that come out.
        multiplier: Filters per channel of the first.
        bias: Whether the second has biases.
    """

    slides: Window
    filters: int
    multiplier: int = 1
    bias: bool = True

    family: ClassVar[str] = "separable"

    @property
    def name_of_kind(self) -> str:
        """The field's word."""
        return "separable conv"

    @property
    def window(self) -> Window:
        """What slides over each channel."""
        return self.slides

    def parts(self, inputs: Shape) -> tuple[Convolution, ...]:
        """Depthwise, then pointwise."""
        depthwise = Depthwise(self.slides, self.multiplier, bias=False).parts(inputs)
        return (*depthwise, Convolution(Window((1, 1)), self.filters, bias=self.bias))
