"""Where the marks of the report's charts go: plain numbers, which the template draws as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..metrics import Bin

#: Size of a chart's plot area, and the margins for its labels, in the SVG's units.
WIDTH, HEIGHT = 400.0, 220.0
SQUARE = 300.0
#: More steps are written along an axis than this only by chance.
_TICKS = 5
_LARGEST_DOT = 7.0


@dataclass(frozen=True)
class Tick:
    """A place on an axis and what stands there."""

    place: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve: its name and its points as SVG has them, in unbroken pieces."""

    name: str
    pieces: Sequence[str]
    dots: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class LineChart:
    """Curves over the epochs of all stages.

    Attributes:
        title: What they show.
        lines: Training first.
        x: Ticks along the epochs.
        y: Ticks along the values.
        stages: (place of its beginning, name) of every stage but a single one.
        width: Of the plot area.
        height: Likewise.
        summary: The chart in words.
    """

    title: str
    lines: Sequence[Line]
    x: Sequence[Tick]
    y: Sequence[Tick]
    stages: Sequence[Tick]
    summary: str
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True)
class Dot:
    """A group of photos in a reliability diagram: place, size, and in words."""

    x: float
    y: float
    radius: float
    label: str


@dataclass(frozen=True)
class ReliabilityChart:
    """How often groups of equally confident answers were right; both axes from 0 to 1."""

    dots: Sequence[Dot]
    ticks: Sequence[Tick]
    side: float = SQUARE


#: Title -> (column of the training curve, of the validation curve, whether in percent).
_CURVES = {
    "Loss": ("loss", "val_loss", False),
    "Accuracy": ("accuracy", "val_accuracy", True),
}


def learning_curves(history: Sequence[Mapping[str, str]]) -> list[LineChart]:
    """Loss and accuracy over the epochs.

    Args:
        history: Rows of ``history.csv``.
    """
    if not history:
        return []
    epochs = range(1, len(history) + 1)
    x = _Axis(1, len(history), 0.0, WIDTH)
    names = [row["stage"] for row in history]
    starts, place = [], 0
    for name, rows in groupby(names):
        starts.append(Tick(x.place(place + 1), name))
        place += len(list(rows))
    charts = []
    for title, (training, validation, is_share) in _CURVES.items():
        columns = {"training": training, "validation": validation}
        values = {name: [float(row[column]) for row in history] for name, column in columns.items()}
        finite = [v for line in values.values() for v in line if math.isfinite(v)] or [0.0]
        low = min(finite) if is_share else 0.0
        y = _Axis(low, max(finite), HEIGHT, 0.0, nice=True, most=1.0 if is_share else math.inf)
        last = ", ".join(f"{name} {_number(line[-1], is_share)}" for name, line in values.items())
        charts.append(
            LineChart(
                title,
                [
                    _line(name, list(zip(epochs, v, strict=True)), x, y)
                    for name, v in values.items()
                ],
                [Tick(x.place(e), str(e)) for e in _whole_ticks(1, len(history))],
                [Tick(y.place(v), _number(v, is_share, y.step)) for v in y.ticks],
                starts if len(starts) > 1 else (),
                f"{title} over {len(history)} epochs; in the last: {last}",
            )
        )
    return charts


def reliability_chart(bins: Sequence[Bin]) -> ReliabilityChart:
    """Groups of photos by how sure the classifier is and how often it is right."""
    axis = _Axis(0.0, 1.0, 0.0, SQUARE)
    most = max((group.count for group in bins), default=1)
    dots = [
        Dot(
            axis.place(group.confidence),
            SQUARE - axis.place(group.accuracy),
            round(_LARGEST_DOT * math.sqrt(group.count / most), 1),
            f"{group.count} photos: {group.confidence:.0%} sure on average, "
            f"{group.accuracy:.0%} right",
        )
        for group in bins
    ]
    ticks = [Tick(axis.place(share / 100), f"{share}") for share in range(0, 101, 20)]
    return ReliabilityChart(dots, ticks)


class _Axis:
    """From values to places.

    Args:
        low: The smallest value.
        high: The largest.
        start: Place of the smallest.
        end: Place of the largest.
        nice: Whether the ends are moved outwards to round numbers.
        most: What the upper end is not moved beyond.
    """

    def __init__(
        self,
        low: float,
        high: float,
        start: float,
        end: float,
        *,
        nice: bool = False,
        most: float = math.inf,
    ) -> None:
        self.step = _step((high - low) or abs(high) or 1.0)
        if nice:
            low = math.floor(low / self.step + 1e-9) * self.step
            high = min(most, math.ceil(high / self.step - 1e-9) * self.step)
        if high <= low:
            low, high = (low - self.step, high) if high >= most else (low, low + self.step)
        self._low, self._high, self._start, self._end = low, high, start, end

    def place(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 1)

    @property
    def ticks(self) -> list[float]:
        first = math.ceil(self._low / self.step - 1e-9)
        last = math.floor(self._high / self.step + 1e-9)
        return [number * self.step for number in range(first, last + 1)]


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten: some five of them make up the span."""
    power = 10.0 ** math.floor(math.log10(span / _TICKS))
    return next(f * power for f in (1, 2, 5, 10) if span / (f * power) <= _TICKS + 0.5)


def _whole_ticks(first: int, last: int) -> list[int]:
    step = max(1, math.ceil(_step(max(1, last - first))))
    # The first, then whole multiples, but none that would touch it.
    return [first, *(t for t in range(0, last + 1, step) if t > first + step / 2)]


def _number(value: float, is_share: bool, step: float = 0.01) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{100 * value:.{max(0, digits - 2)}f} %" if is_share else f"{value:.{digits}f}"


def _line(name: str, points: Sequence[tuple[int, float]], x: _Axis, y: _Axis) -> Line:
    """A curve that is interrupted where a value is not finite."""
    pieces = []
    for finite, group in groupby(points, lambda point: math.isfinite(point[1])):
        if finite:
            pieces.append([(x.place(epoch), y.place(value)) for epoch, value in group])
    return Line(
        name,
        [" ".join(f"{a:g},{b:g}" for a, b in piece) for piece in pieces if len(piece) > 1],
        [piece[0] for piece in pieces if len(piece) == 1],
    )
