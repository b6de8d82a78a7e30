"""Where the boxes of a drawing stand: numbers only, no picture.

A network is drawn as one box for each layer that computes or joins something, from left to right in
the order of the table; what works number by number is left out. Boxes fill rows like words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ..models.anatomy import Anatomy, Facts
from .tables import times

#: Inches of a full row.
ROW_WIDTH = 12.0
#: With so few boxes each has room for a text.
_FEW = 26
#: Inches between boxes; between few.
_GAP, _WIDE_GAP = 0.035, 0.18
#: Inches per doubling of the channels: at least, and at most.
_NARROWEST, _WIDEST = 0.0115, 0.22
#: A box is as wide as one of so many channels at least; a join has no channels of its own.
_LEAST_CHANNELS, _JOIN_CHANNELS = 4, 8


@dataclass(frozen=True)
class Box:
    """A layer in the drawing.

    Attributes:
        facts: Of the layer.
        look: What decides its colour.
        row: The number of its row.
        left: Inches from the left of its row.
        width: Inches: by the logarithm of the channels.
        height: Of the highest box, 0..1: by the square root of the map's height.
        sources: The numbers of the boxes that it stands on.
    """

    facts: Facts
    look: str
    row: int
    left: float
    width: float
    height: float
    sources: tuple[int, ...]

    @property
    def middle(self) -> float:
        """Inches from the left of its row."""
        return self.left + self.width / 2


@dataclass(frozen=True)
class Stage:
    """Boxes in a row one after another that have maps of one size.

    Attributes:
        first: The number of its first box.
        last: The number of its last box.
        size: ``56x56``.
    """

    first: int
    last: int
    size: str


@dataclass(frozen=True)
class Layout:
    """A drawing.

    Attributes:
        boxes: In order.
        rows: How many rows they fill.
        stages: In order.
    """

    boxes: tuple[Box, ...]
    rows: int
    stages: tuple[Stage, ...]

    @property
    def is_roomy(self) -> bool:
        """Whether each box has room for a text."""
        return len(self.boxes) <= _FEW


def lay_out(anatomy: Anatomy) -> Layout:
    """Place a network's boxes."""
    drawn = [facts for facts in anatomy.layers if facts.family != "other"]
    sources = _sources(anatomy.layers)
    places = _places([_doublings(facts) for facts in drawn])
    tallest = max(_side(facts) for facts in drawn)
    boxes = tuple(
        Box(
            facts,
            _look(facts),
            *place,
            height=math.sqrt(_side(facts) / tallest),
            sources=sources[facts.name],
        )
        for facts, place in zip(drawn, places, strict=True)
    )
    return Layout(boxes, boxes[-1].row + 1, _stages(boxes))


def _places(doublings: Sequence[float]) -> list[tuple[int, float, float]]:
    """(row, left, width) of each box: full rows, but a small network is not blown up.

    Args:
        doublings: Of the channels of each box.
    """
    gap = _WIDE_GAP if len(doublings) <= _FEW else _GAP
    gaps, total = len(doublings) * gap, sum(doublings)
    rows = max(1, math.ceil((total * _NARROWEST + gaps) / ROW_WIDTH))
    scale = min(_WIDEST, (rows * ROW_WIDTH - gaps) / total)
    while True:
        places: list[tuple[int, float, float]] = []
        row, left = 0, 0.0
        for wide in doublings:
            if left + wide * scale > ROW_WIDTH:
                row, left = row + 1, 0.0
            places.append((row, left, wide * scale))
            left += wide * scale + gap
        if row < rows:
            return places
        scale *= 0.99  # What does not fit at the end of a row is to leave no row more.


def _sources(layers: Sequence[Facts]) -> dict[str, tuple[int, ...]]:
    """For each layer, the numbers of the boxes that it stands on, through what is not drawn."""
    carriers: dict[str, tuple[int, ...]] = {}
    sources: dict[str, tuple[int, ...]] = {}
    number = 0
    for facts in layers:
        below = tuple(dict.fromkeys(n for name in facts.inputs for n in carriers[name]))
        sources[facts.name] = below
        carriers[facts.name] = below
        if facts.family != "other":
            carriers[facts.name] = (number,)
            number += 1
    return sources


def _side(facts: Facts) -> int:
    """The height of its map."""
    return facts.output[0] if len(facts.output) == 3 else 1


def _doublings(facts: Facts) -> float:
    channels = _JOIN_CHANNELS if facts.family == "merge" else facts.output[-1]
    return math.log2(max(channels, _LEAST_CHANNELS))


def _look(facts: Facts) -> str:
    return "grouped" if facts.family == "convolution" and facts.groups > 1 else facts.family


def _stages(boxes: Sequence[Box]) -> tuple[Stage, ...]:
    """The runs of one size of map, which gates of squeeze-and-excite do not interrupt."""
    spread = [number for number, box in enumerate(boxes) if _side(box.facts) > 1]
    sizes: list[str] = []
    for number, box in enumerate(boxes):
        size = times(box.facts.output[:-1]) or "vectors"
        if sizes and _side(box.facts) == 1 and number < max(spread, default=0):
            size = sizes[-1]  # It is a gate's.
        sizes.append(size)
    runs = groupby(range(len(boxes)), key=lambda number: (boxes[number].row, sizes[number]))
    members = [(size, list(numbers)) for (_, size), numbers in runs]
    return tuple(Stage(numbers[0], numbers[-1], size) for size, numbers in members)
