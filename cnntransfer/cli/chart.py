"""Curves over the epochs, drawn with characters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

#: The columns of the history that are drawn.
_CURVES = ("val_loss", "val_accuracy")
#: Lines of a chart, without its title.
_HEIGHT = 4
_GAP = 3
#: Characters of a chart's width, at most, and at least for there to be one.
_WIDEST, _NARROWEST = 44, 20


@dataclass(frozen=True)
class Dots:
    """How dots are made into characters.

    Attributes:
        bits: The bit of each dot of a character: ``bits[x][y]``, ``y`` from the top.
        characters: By the sum of the bits.
    """

    bits: tuple[tuple[int, ...], ...]
    characters: str


BRAILLE = Dots(
    ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)),
    " " + "".join(map(chr, range(0x2801, 0x2900))),
)
ASCII = Dots(((1, 2),), " '.:")


def dots_for(encoding: str | None) -> Dots:
    """The finest dots that a terminal's encoding has."""
    try:
        BRAILLE.characters.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BRAILLE


def history_chart(
    history: Sequence[Mapping[str, Any]], width: int, dots: Dots = BRAILLE
) -> list[str]:
    """Validation loss and accuracy over the epochs of all stages, side by side.

    Args:
        history: Rows of a run, see :data:`cnntransfer.training.fit.HISTORY_COLUMNS`; numbers may be
            texts.
        width: Characters that a line may have.
        dots: What to draw with.

    Returns:
        Lines without line ends; none where there is nothing to see: for a single epoch, or where
        the terminal is too narrow.
    """
    room = min(_WIDEST, (width - _GAP * (len(_CURVES) - 1)) // len(_CURVES))
    if len(history) < 2 or room < _NARROWEST:
        return []
    charts = [_chart(name, [float(row[name]) for row in history], room, dots) for name in _CURVES]
    lines = [(" " * _GAP).join(parts).rstrip() for parts in zip(*charts, strict=True)]
    stages = [(name, len(list(rows))) for name, rows in groupby(row["stage"] for row in history)]
    counts = ", ".join(f"{name} {count}" for name, count in stages)
    return [*lines, f"epochs: {counts}"[:width]]


def _chart(name: str, values: Sequence[float], width: int, dots: Dots) -> list[str]:
    """A name and a curve with its highest and lowest value; every line is ``width`` long."""
    finite = [value for value in values if math.isfinite(value)]
    high, low = max(finite, default=0.0), min(finite, default=0.0)
    labels = [f"{high:.3f}", *[""] * (_HEIGHT - 2), f"{low:.3f}"]
    margin = max(map(len, labels))
    plot = _plot(values, (low, high), width - margin - 1, dots)
    rows = [f"{label:>{margin}} {line}" for label, line in zip(labels, plot, strict=True)]
    return [f"{' ' * (margin + 1)}{name}".ljust(width), *rows]


def _plot(values: Sequence[float], span: tuple[float, float], width: int, dots: Dots) -> list[str]:
    """A curve from the first value at the left to the last at the right."""
    columns, rows = width * len(dots.bits), _HEIGHT * len(dots.bits[0])
    low, high = span
    cells = [[0] * width for _ in range(_HEIGHT)]

    def place(epoch: int) -> tuple[int, int]:
        share = (high - values[epoch]) / (high - low) if high > low else 1.0
        return round(epoch * (columns - 1) / (len(values) - 1)), round(share * (rows - 1))

    for epoch, pair in enumerate(pairwise(values)):
        if all(map(math.isfinite, pair)):
            for x, y in _line(place(epoch), place(epoch + 1)):
                inner = dots.bits[x % len(dots.bits)][y % len(dots.bits[0])]
                cells[y // len(dots.bits[0])][x // len(dots.bits)] |= inner
    return ["".join(dots.characters[bits] for bits in row) for row in cells]


def _line(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots from one place to another, both included."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (
            start[0] + round((end[0] - start[0]) * step / steps),
            start[1] + round((end[1] - start[1]) * step / steps),
        )
        for step in range(steps + 1)
    ]
