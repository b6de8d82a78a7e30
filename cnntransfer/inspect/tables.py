"""The anatomy of a network as rows of text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from ..models.anatomy import Facts, Sides


def times(numbers: Iterable[object]) -> str:
    """``32x32x3``."""
    return "x".join(map(str, numbers))


def _sides(pair: tuple[object, object] | None) -> str:
    """``3`` for a square, else ``5x3``."""
    if pair is None:
        return ""
    return str(pair[0]) if pair[0] == pair[1] else times(pair)


def _kernel(facts: Facts) -> str:
    if facts.window is None or facts.family == "other":
        return ""
    gaps = _sides(facts.window.dilation)
    return times(facts.window.kernel) + (f" dilated {gaps}" if gaps != "1" else "")


def _stride(facts: Facts) -> str:
    return "" if facts.window is None or facts.family == "other" else _sides(facts.window.stride)


def _padding(facts: Facts) -> str:
    """Keras' word, or the numbers: before and after where they differ."""
    if facts.window is None:
        return ""
    padding: str | Sides = facts.window.padding
    if isinstance(padding, str):
        return padding
    before, after = padding[0]
    if padding[0] == padding[1] and before == after:
        return str(before)
    return times(f"{before}+{after}" for before, after in padding)


def _kind(facts: Facts) -> str:
    is_told = facts.groups == 1 or facts.kind.startswith("depthwise")
    return facts.kind + ("" if is_told else f", {facts.groups} groups")


def _jump(facts: Facts) -> str:
    jump: tuple[Fraction, Fraction] | None = facts.jump
    return _sides(jump)


def field(facts: Facts) -> str:
    """The receptive field, with a + where gates of squeeze-and-excite come in."""
    return _sides(facts.field.size) + ("+" if facts.field.has_gates else "")


def state(facts: Facts) -> str:
    """Whether there is anything to train, and whether it is trained."""
    if not facts.parameters.weights + facts.parameters.biases:
        return ""
    return "trained" if facts.trained else "frozen"


#: The columns of the table, from the left.
COLUMNS: dict[str, Callable[[Facts], str | int]] = {
    "layer": lambda facts: facts.name,
    "kind": _kind,
    "kernel": _kernel,
    "stride": _stride,
    "padding": _padding,
    "output": lambda facts: times(facts.output),
    "parameters": lambda facts: facts.parameters.total,
    "multiply-adds": lambda facts: facts.multiply_adds,
    "bytes": lambda facts: facts.activation_bytes,
    "field": field,
    "jump": _jump,
    "weights": state,
}
#: What a narrow terminal can do without, the least important first.
DISPENSABLE = ("bytes", "padding", "jump", "stride", "kind", "weights", "field", "kernel")

#: The columns of the CSV: one number or word each.
CSV_COLUMNS: dict[str, Callable[[Facts], object]] = {
    "name": lambda facts: facts.name,
    "kind": lambda facts: facts.kind,
    "inputs": lambda facts: " ".join(facts.inputs),
    "kernel": lambda facts: facts.window and times(facts.window.kernel),
    "stride": lambda facts: facts.window and times(facts.window.stride),
    "padding": _padding,
    "dilation": lambda facts: facts.window and times(facts.window.dilation),
    "groups": lambda facts: facts.groups,
    "output": lambda facts: times(facts.output),
    "parameters": lambda facts: facts.parameters.total,
    "weights": lambda facts: facts.parameters.weights,
    "biases": lambda facts: facts.parameters.biases,
    "statistics": lambda facts: facts.parameters.statistics,
    "trained": lambda facts: int(facts.trained),
    "multiply_adds": lambda facts: facts.multiply_adds,
    "activation_bytes": lambda facts: facts.activation_bytes,
    "receptive_field": lambda facts: times(facts.field.size),
    "jump": lambda facts: facts.jump and times(facts.jump),
    "has_gates": lambda facts: int(facts.field.has_gates),
}
