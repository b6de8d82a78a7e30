"""What a layer is, as data: what it makes of a shape, and what that costs.

A shape is (height, width, channels) of a map or (units,) of a vector, without the batch. What is
counted as a multiply-add is what the field counts: each weight of a convolution or dense layer,
wherever it is applied, padding included. Biases, normalisation, activations, pooling and
element-wise sums and products are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...errors import UsageError
from .field import ReceptiveField
from .window import Pair, Window

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Parameters:
    """How many numbers a layer holds.

    Attributes:
        weights: Kernels, and the scales of a normalisation.
        biases: And the offsets of a normalisation.
        statistics: Means and variances, which no gradient changes; Keras counts them as
            non-trainable.
    """

    weights: int = 0
    biases: int = 0
    statistics: int = 0

    @property
    def total(self) -> int:
        """All of them: what Keras calls parameters."""
        return self.weights + self.biases + self.statistics

    def __add__(self, other: Parameters) -> Parameters:
        return Parameters(
            self.weights + other.weights,
            self.biases + other.biases,
            self.statistics + other.statistics,
        )


@dataclass(frozen=True)
class Layer:
    """A layer that changes nothing and costs nothing; the base of all kinds."""

    #: What kinds of layers look alike in a drawing.
    family: ClassVar[str] = "other"

    @property
    def name_of_kind(self) -> str:
        """What the layer is called in a table."""
        return type(self).__name__.lower()

    @property
    def window(self) -> Window | None:
        """What slides over the map, if anything does."""
        return None

    def groups(self, inputs: Shape) -> int:
        """Into how many groups of channels a convolution is divided."""
        return 1

    def output(self, *inputs: Shape) -> Shape:
        """The shape that comes out."""
        return inputs[0]

    def parameters(self, *inputs: Shape) -> Parameters:
        """The numbers that it holds."""
        return Parameters()

    def multiply_adds(self, *inputs: Shape) -> int:
        """The multiplications of a weight and an input, each with its addition, for one image."""
        return 0

    def field(self, inputs: tuple[Shape, ...], below: tuple[ReceptiveField, ...]) -> ReceptiveField:
        """The receptive field of what comes out.

        Args:
            inputs: Shapes.
            below: The fields of the inputs.
        """
        return below[0]


@dataclass(frozen=True)
class Sliding(Layer):
    """A layer whose window slides over a map.

    Attributes:
        slides: The window.
    """

    slides: Window

    @property
    def window(self) -> Window:
        """What slides over the map."""
        return self.slides

    def output(self, *inputs: Shape) -> Shape:
        """A map of as many channels."""
        return (*self.slides.output(size_of(inputs[0])), inputs[0][-1])

    def field(self, inputs: tuple[Shape, ...], below: tuple[ReceptiveField, ...]) -> ReceptiveField:
        """What the window sees of what the map sees."""
        return self.slides.field(size_of(inputs[0]), below[0])


def size_of(shape: Shape) -> Pair:
    """Height and width of a map.

    Raises:
        UsageError: it is a vector.
    """
    if len(shape) != 3:
        raise UsageError(
            "Expected a map, height x width x channels, such as 32x32x3. "
            f"Received: {'x'.join(map(str, shape))}."
        )
    return shape[0], shape[1]
