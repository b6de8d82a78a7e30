"""How good a classifier is, as plain values: what a report says of figures.

Fractions are in 0..1. What metadata may lack is ``None``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interval:
    """A 95 % interval and how it was found, such as ``bootstrap``."""

    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Value:
    """A figure of one subset."""

    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class Figure:
    """A figure with its values by subset.

    Attributes:
        name: As metadata has it, such as ``balanced_accuracy``.
        title: As people call it.
        meaning: One sentence for those who do not.
        is_share: Whether it is shown in percent.
        values: By subset.
    """

    name: str
    title: str
    meaning: str
    is_share: bool
    values: Mapping[str, Value]

    @property
    def has_intervals(self) -> bool:
        """Whether any of the values has one."""
        return any(value.interval for value in self.values.values())


@dataclass(frozen=True)
class ClassRow:
    """One class: how it did on the judged subset, and how many photos it has.

    Attributes:
        number: Its place in the model's output.
        name: Its name.
        precision: Of the photos taken for it, the share that is.
        recall: Of its photos, the share that was recognised.
        f1: Harmonic mean of the two.
        support: Its judged photos.
        taken: The judged photos that were taken for it.
        missed: Those of them that were taken for another class.
        counts: Its photos by subset.
    """

    number: int
    name: str
    precision: Value
    recall: Value
    f1: float
    support: int
    taken: int
    missed: int
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One cell of a confusion matrix that is not zero.

    Attributes:
        true: Number of the true class.
        predicted: Number of the predicted class.
        count: Photos.
        shade: 0 (faint) to 9, by the share of the true class's photos.
        label: Said of it, such as ``glass taken for metal: 2 photos``.
    """

    true: int
    predicted: int
    count: int
    shade: int
    label: str

    @property
    def key(self) -> str:
        """What photos name the cell by."""
        return f"{self.true}-{self.predicted}"

    @property
    def is_right(self) -> bool:
        """Whether it lies on the diagonal."""
        return self.true == self.predicted


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix, without its zeros.

    Attributes:
        cells: By (true, predicted).
        orders: Title -> class numbers in that order.
        largest: The largest confusions, at most some, largest first.
        is_compact: Whether there are too many classes for a table.
    """

    cells: Mapping[tuple[int, int], Cell]
    orders: Mapping[str, Sequence[int]]
    largest: Sequence[Cell]
    is_compact: bool


@dataclass(frozen=True)
class Judgement:
    """How good a classifier is on some photos.

    Attributes:
        subset: ``val`` or ``test``; ``None`` for photos that are no subset of the run.
        words: What they are called, such as ``test photos``.
        images: How many there were.
        accuracy: With its interval.
        guessing: Accuracy of always saying the class that is most frequent among them.
        figures: All figures, of other subsets too.
        classes: One row per class.
        confusion: The matrix.
    """

    subset: str | None
    words: str
    images: int
    accuracy: Value
    guessing: float
    figures: Sequence[Figure]
    classes: Sequence[ClassRow]
    confusion: Confusion

    @property
    def mistakes(self) -> int:
        """How many were wrong."""
        return self.images - round(self.accuracy.value * self.images)
