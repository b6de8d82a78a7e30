"""The textbook's question: what does this layer make of this input, and by which formula?

The numbers come from :mod:`cnntransfer.models.anatomy`, as for whole networks, the formulas from
:mod:`.formulas`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..errors import UsageError
from ..models.anatomy import (
    SAME,
    Anatomy,
    Axis,
    Convolution,
    Dense,
    Depthwise,
    Facts,
    Flatten,
    Layer,
    Pooling,
    Separable,
    Shape,
    Span,
    chain,
    size_of,
)
from .formulas import Worked, along, convolution_costs, dense_costs, field, no_costs, output, times
from .question import Question


@dataclass(frozen=True)
class Answer:
    """What a layer makes of an input.

    Attributes:
        anatomy: The input and the layer, measured.
        formulas: In the order in which one would ask.
    """

    anatomy: Anatomy
    formulas: tuple[Worked, ...]

    @property
    def facts(self) -> Facts:
        """Of the layer."""
        return self.anatomy.layers[-1]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**self.facts.to_dict(), "formulas": [worked.to_dict() for worked in self.formulas]}


@dataclass(frozen=True)
class Word:
    """A layer that can be asked for.

    Attributes:
        layers: Makes it of the options, and what must stand below it.
        costs: The formulas of its parameters and multiply-adds.
        needs: Options that must be given.
        takes: Options that may be given.
        example: Options that make sense.
    """

    layers: Callable[[Question], Sequence[Layer]]
    costs: Callable[[Any, Shape], tuple[str, str]]
    needs: tuple[str, ...]
    takes: tuple[str, ...]
    example: str


def answer(word: str, question: Question) -> Answer:
    """Answer the question for a layer.

    Args:
        word: One of :data:`WORDS`.
        question: What is given of the layer.

    Raises:
        UsageError: an option is missing or not for this layer, or the layer does not fit its input.
    """
    _check_given(word, question)
    row, shape = WORDS[word], question.input or ()
    layers = row.layers(question)
    layer = layers[-1]
    names = [one.name_of_kind for one in layers[:-1]] + [word]
    spans = layer.window.spans(size_of(shape)) if layer.window else ()
    if not question.round_down and question.padding != SAME:
        _check_fit(spans)
    anatomy = chain(word, shape, layers, names)
    facts = anatomy.layers[-1]
    parameters, multiply_adds = row.costs(layer, shape)
    return Answer(
        anatomy,
        (
            *along(spans, "height and width", "{}", lambda span: (output(span), span.exact)),
            Worked("parameters", parameters, Fraction(facts.parameters.total)),
            Worked("multiply-adds", multiply_adds, Fraction(facts.multiply_adds)),
            Worked(
                "activation bytes", f"{times(facts.output)} * 4", Fraction(facts.activation_bytes)
            ),
            *along(
                spans,
                "receptive field",
                "receptive field, {}",
                lambda span: (field(span), span.field(Axis()).exact),
            ),
        ),
    )


# ---- The layers


def _convolution(q: Question) -> list[Layer]:
    return [Convolution(q.window(), q.filters or 1, q.groups, q.bias)]


def _depthwise(q: Question) -> list[Layer]:
    return [Depthwise(q.window(), q.multiplier, q.bias)]


def _separable(q: Question) -> list[Layer]:
    return [Separable(q.window(), q.filters or 1, q.multiplier, q.bias)]


def _pooling(q: Question) -> list[Layer]:
    return [Pooling(q.window(stride=q.kernel or (1, 1)), q.pooling)]


def _dense(q: Question) -> list[Layer]:
    # A textbook's dense layer sees all of a map; that of Keras, each of its positions by itself.
    below = [Flatten()] if len(q.input or ()) == 3 else []
    return [*below, Dense(q.units or 1, q.bias)]


_SLIDING = ("stride", "padding", "round_down")

#: What stands in place of a network's name -> the layer.
WORDS: dict[str, Word] = {
    "conv": Word(
        _convolution,
        convolution_costs,
        ("input", "filters", "kernel"),
        (*_SLIDING, "dilation", "groups", "transposed", "bias"),
        "--input 32x32x3 --filters 10 --kernel 5 --padding 2",
    ),
    "depthwise": Word(
        _depthwise,
        convolution_costs,
        ("input", "kernel"),
        (*_SLIDING, "dilation", "multiplier", "bias"),
        "--input 112x112x32 --kernel 3 --padding same",
    ),
    "separable": Word(
        _separable,
        convolution_costs,
        ("input", "filters", "kernel"),
        (*_SLIDING, "dilation", "multiplier", "bias"),
        "--input 112x112x32 --filters 64 --kernel 3 --padding same",
    ),
    "pool": Word(
        _pooling,
        no_costs,
        ("input", "kernel"),
        (*_SLIDING, "pooling"),
        "--input 55x55x96 --kernel 3 --stride 2",
    ),
    "dense": Word(_dense, dense_costs, ("input", "units"), ("bias",), "--input 4x4x20 --units 100"),
}


# ---- What does not fit


def _check_given(word: str, question: Question) -> None:
    row = WORDS[word]
    given = question.given()
    for name in given:
        if name not in (*row.needs, *row.takes):
            words = ", ".join(
                other for other, its in WORDS.items() if name in (*its.needs, *its.takes)
            )
            raise UsageError(
                f"--{_typed(name)}: expected with {words}. Received: with {word}. "
                f"What {word} takes: {options_of(word)}."
            )
    for name in row.needs:
        if name not in given:
            raise UsageError(
                f"--{_typed(name)}: expected for {word}. Received: none. "
                f"Try: cnntransfer inspect {word} {row.example}"
            )


def options_of(word: str) -> str:
    """The options that a word takes, as they are typed."""
    row = WORDS[word]
    return ", ".join(f"--{_typed(name)}" for name in (*row.needs, *row.takes))


def _check_fit(spans: Sequence[Span]) -> None:
    for axis, span in zip(("height", "width"), spans, strict=False):
        if span.rest:
            raise UsageError(
                f"--stride: expected one that fits the {axis}. Received: {span.stride}, "
                f"with which {output(span)} = {float(span.exact):g}. "
                f"Fits: an input of {span.size - span.rest} or "
                f"{span.size + span.stride - span.rest}. Or take --round-down, as Keras does."
            )


def _typed(name: str) -> str:
    return name.replace("_", "-")
