"""Windows that slide over a map: how many positions they have, and what they see."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from ...errors import UsageError
from .field import Axis, ReceptiveField

#: (height, width).
Pair = tuple[int, int]
#: ((top, bottom), (left, right)) in positions.
Sides = tuple[Pair, Pair]

#: Keras' words for padding: as much as makes the output the input's size divided by the stride,
#: and none.
SAME, VALID = "same", "valid"
_AXES = ("height", "width")


@dataclass(frozen=True)
class Span:
    """A window along one axis of a map, with its padding settled.

    Attributes:
        size: Positions of the map.
        kernel: Numbers of the window.
        stride: Positions that the window moves on; of a transposed one, outputs.
        before: Zeros added before the first position; of a transposed window, outputs cut off.
        after: The same behind the last position. Negative is the other way round.
        dilation: Positions from one number of the window to the next.
        transposed: Whether it is a transposed convolution's.
    """

    size: int
    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    transposed: bool = False

    @property
    def reach(self) -> int:
        """Positions that the window covers, gaps included."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def room(self) -> int:
        """Positions that the window can move on by in all."""
        return self.size + self.before + self.after - self.reach

    @property
    def rest(self) -> int:
        """Positions at the end that no window reaches, because the stride does not fit."""
        return 0 if self.transposed else self.room % self.stride

    @property
    def exact(self) -> Fraction:
        """Positions of the map that comes out; no whole number where the stride does not fit."""
        if self.transposed:
            return Fraction((self.size - 1) * self.stride + self.reach - self.before - self.after)
        return Fraction(self.room, self.stride) + 1

    @property
    def output(self) -> int:
        """Positions of the map that comes out, rounded down as Keras does."""
        return math.floor(self.exact)

    @property
    def applications(self) -> int:
        """How often the kernel is applied: per output, or per input where it is transposed."""
        return self.size if self.transposed else self.output

    def field(self, below: Axis) -> Axis:
        """The receptive field of the map that comes out.

        Args:
            below: That of the map.
        """
        see = below.spread_by if self.transposed else below.seen_by
        return see(self.reach, self.before, self.stride)


@dataclass(frozen=True)
class Window:
    """A window that slides over the height and the width of a map.

    Attributes:
        kernel: (height, width).
        stride: (height, width).
        padding: :data:`SAME`, :data:`VALID` or the sides in numbers, as for :class:`Span`.
        dilation: (height, width).
        transposed: Whether it is a transposed convolution's.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: str | Sides = VALID
    dilation: Pair = (1, 1)
    transposed: bool = False

    def spans(self, size: Pair) -> tuple[Span, Span]:
        """The window along the height and the width of a map.

        Args:
            size: (height, width) of the map.

        Raises:
            UsageError: the kernel is larger than the padded map.
        """
        return self._span(0, size[0]), self._span(1, size[1])

    def output(self, size: Pair) -> Pair:
        """(height, width) of what comes out of a map of (height, width)."""
        vertical, horizontal = self.spans(size)
        return vertical.output, horizontal.output

    def applications(self, size: Pair) -> int:
        """At how many places of a map of (height, width) the kernel is applied."""
        vertical, horizontal = self.spans(size)
        return vertical.applications * horizontal.applications

    def field(self, size: Pair, below: ReceptiveField) -> ReceptiveField:
        """The receptive field of what comes out of a map of (height, width)."""
        vertical, horizontal = self.spans(size)
        return ReceptiveField(
            vertical.field(below.vertical), horizontal.field(below.horizontal), below.has_gates
        )

    def _span(self, axis: int, size: int) -> Span:
        plain = Span(
            size,
            self.kernel[axis],
            self.stride[axis],
            dilation=self.dilation[axis],
            transposed=self.transposed,
        )
        padding = self.padding
        before, after = padding[axis] if not isinstance(padding, str) else _words(plain, padding)
        span = Span(
            size, plain.kernel, plain.stride, before, after, plain.dilation, self.transposed
        )
        if span.output < 1 or (span.room < 0 and not self.transposed):
            raise _too_large(span, _AXES[axis])
        return span


def _words(plain: Span, word: str) -> Pair:
    """What Keras' words mean in numbers: (before, after).

    Args:
        plain: The window without padding.
        word: :data:`SAME` or :data:`VALID`.
    """
    if plain.transposed:
        # Keras gives size * stride outputs, for VALID (reach - stride) more where that is positive.
        spare = plain.reach - plain.stride
        cut = spare if word == SAME else min(spare, 0)
        return max(cut, 0) // 2, cut - max(cut, 0) // 2
    if word == VALID:
        return 0, 0
    outputs = -(-plain.size // plain.stride)
    total = max((outputs - 1) * plain.stride + plain.reach - plain.size, 0)
    # TensorFlow puts the odd one at the end.
    return total // 2, total - total // 2


def _too_large(span: Span, axis: str) -> UsageError:
    if span.transposed:
        return UsageError(
            f"Expected a padding that leaves something of the {axis}. Received: "
            f"{span.before} and {span.after}, which cut off all of "
            f"{span.output + span.before + span.after} outputs. Take less padding."
        )
    padded = span.size + span.before + span.after
    covered = f"{span.kernel}" + (f" ({span.reach} with gaps)" if span.dilation > 1 else "")
    return UsageError(
        f"Expected a kernel of at most the input's {axis}, {padded} with padding. "
        f"Received: {covered}. Take a smaller kernel or more padding."
    )
