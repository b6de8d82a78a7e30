"""The formulas of layers with their numbers filled in, in the symbols of a calculator.

What they come to is computed elsewhere, by :mod:`cnntransfer.models.anatomy`; a test evaluates the
formulas and compares.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..models.anatomy import Composed, Convolution, Dense, Layer, Shape, Span, size_of


@dataclass(frozen=True)
class Worked:
    """A formula with its numbers filled in.

    Attributes:
        quantity: What it gives: ``height``.
        formula: The right-hand side, in the symbols of a calculator.
        exact: What it comes to, before it is rounded down.
    """

    quantity: str
    formula: str
    exact: Fraction

    @property
    def value(self) -> int:
        """What it comes to."""
        return math.floor(self.exact)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"quantity": self.quantity, "formula": self.formula, "value": self.value}


def along(
    spans: Sequence[Span],
    both: str,
    each: str,
    work: Callable[[Span], tuple[str, Fraction]],
) -> list[Worked]:
    """A formula for each axis; one for both where they are the same.

    Args:
        spans: Along the height and the width; or none.
        both: The quantity along both.
        each: Along one, with ``{}`` for its name.
        work: Gives the formula and what it comes to.
    """
    worked = [
        Worked(each.format(axis), *work(span))
        for axis, span in zip(("height", "width"), spans, strict=False)
    ]
    if len(worked) == 2 and worked[0].formula == worked[1].formula:
        return [dataclasses.replace(worked[0], quantity=both)]
    return worked


def output(span: Span) -> str:
    """How many positions come out."""
    reach = str(span.kernel)
    if span.dilation > 1:
        reach = f"({span.dilation}*({span.kernel} - 1) + 1)"
    sides = f"2*{span.before}" if span.before == span.after else f"{span.before} + {span.after}"
    if not span.transposed:
        return f"({span.size} - {reach} + {sides})/{span.stride} + 1"
    if span.before != span.after:
        # Keras' words for padding; outputs are added where the number is negative.
        sides = f"({span.before + span.after})"
    return f"({span.size} - 1)*{span.stride} + {reach} - {sides}"


def field(span: Span) -> str:
    """How many pixels an output sees."""
    gaps = f"({span.kernel} - 1)*{span.dilation}"
    return f"{gaps}/{span.stride} + 1" if span.transposed else f"{gaps} + 1"


def convolution_costs(layer: Convolution | Composed, shape: Shape) -> tuple[str, str]:
    """Of one convolution, or of several one after another."""
    parameters, multiply_adds = [], []
    for part in layer.parts(shape):
        kernel, channels, groups = times(part.slides.kernel), shape[-1], part.divided
        if groups == 1:
            kernel += f"*{channels}"
        elif groups < channels:
            kernel += f"*{channels}/{groups}"
        places = times([span.applications for span in part.slides.spans(size_of(shape))])
        parameters.append(
            f"({kernel} + 1) * {part.filters}" if part.bias else f"{kernel} * {part.filters}"
        )
        multiply_adds.append(f"{places}*{part.filters} * {kernel}")
        shape = part.output(shape)
    return " + ".join(parameters), " + ".join(multiply_adds)


def dense_costs(layer: Dense, shape: Shape) -> tuple[str, str]:
    """Of a dense layer that sees all of its input."""
    inputs = times(shape)
    parameters = f"({inputs} + 1) * {layer.units}" if layer.bias else f"{inputs} * {layer.units}"
    return parameters, f"{inputs} * {layer.units}"


def no_costs(layer: Layer, shape: Shape) -> tuple[str, str]:
    """Nothing is learnt, and taking a maximum or a mean is not counted."""
    return "0", "0"


def times(numbers: Sequence[int]) -> str:
    """A product."""
    return "*".join(map(str, numbers))
