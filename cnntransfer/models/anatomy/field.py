"""Receptive fields: which pixels of the image can change a number of a map.

After Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks",
Distill 2019, https://distill.pub/2019/computing-receptive-fields. A position of a map sees the
pixels from ``start`` to ``end``, and its neighbour those ``jump`` pixels farther. Where branches
meet, a position sees what any of them sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_ONE = Fraction(1)


@dataclass(frozen=True)
class Axis:
    """The receptive field of a map along one axis of the image, in pixels.

    Attributes:
        start: The first pixel that the map's first position sees; negative in the padding.
        end: The last one. Both are no whole numbers after a transposed convolution.
        jump: From what a position sees to what the next one sees.
    """

    start: Fraction = Fraction(0)
    end: Fraction = Fraction(0)
    jump: Fraction = _ONE

    @property
    def exact(self) -> Fraction:
        """How many pixels a position sees, before it is rounded down."""
        return self.end - self.start + 1

    @property
    def size(self) -> int:
        """How many pixels a position sees, if the image is large enough for all of them."""
        return math.floor(self.exact)

    def seen_by(self, reach: int, before: int, stride: int) -> Axis:
        """The field of a map that a window makes of this one.

        Args:
            reach: How many positions the window covers, gaps of dilation included.
            before: How far the first window begins before the first position.
            stride: How many positions the window moves on.
        """
        start, end = self.start - before * self.jump, self.end - before * self.jump
        return Axis(start, end + (reach - 1) * self.jump, self.jump * stride)

    def spread_by(self, reach: int, before: int, stride: int) -> Axis:
        """The field of a map that a transposed convolution makes of this one.

        Its output at ``o`` is reached by the inputs at ``(o + before - reach + 1) / stride`` to
        ``(o + before) / stride``.

        Args:
            reach: How many outputs an input reaches, gaps of dilation included.
            before: How many outputs are cut off at the beginning.
            stride: How many outputs lie from one input to the next.
        """
        jump = self.jump / stride
        start = self.start + (before - reach + 1) * jump
        return Axis(start, self.end + before * jump, jump)


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of a map.

    Attributes:
        vertical: Along the height of the image.
        horizontal: Along its width.
        has_gates: Whether the mean of the whole image comes in besides, through gates of
            squeeze-and-excite. It scales channels but says nothing of places, so the field leaves
            it out.
    """

    vertical: Axis = Axis()
    horizontal: Axis = Axis()
    has_gates: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.vertical.size, self.horizontal.size

    @property
    def jump(self) -> tuple[Fraction, Fraction]:
        """(height, width): the stride of the whole network up to here, in pixels."""
        return self.vertical.jump, self.horizontal.jump


def union(fields: Sequence[ReceptiveField], *, has_gates: bool = False) -> ReceptiveField:
    """What a position sees where branches meet.

    Args:
        fields: Of the branches, whose maps have the same size and so the same jump.
        has_gates: Whether gates come in here.
    """

    def widest(axes: Sequence[Axis]) -> Axis:
        start, end = min(axis.start for axis in axes), max(axis.end for axis in axes)
        return Axis(start, end, max(axis.jump for axis in axes))

    return ReceptiveField(
        widest([field.vertical for field in fields]),
        widest([field.horizontal for field in fields]),
        has_gates or any(field.has_gates for field in fields),
    )
