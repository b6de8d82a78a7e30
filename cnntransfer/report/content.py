"""What a report says, as plain values: what the templates are given.

Fractions are in 0..1, times in seconds. Everything that a bundle may lack is empty or ``None``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from .charts import LineChart, ReliabilityChart
from .judgement import Judgement

#: What the subsets are called in sentences: "55 validation photos".
SUBSET_WORDS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Picture:
    """A small picture inside the report.

    Attributes:
        number: What it is referred to by.
        data: A data URI.
        width: In pixels.
        height: Likewise.
    """

    number: int
    data: str
    width: int
    height: int


@dataclass(frozen=True)
class Photo:
    """A photo and what the classifier said of it.

    Attributes:
        file: Its name, as all tables of the bundle have it.
        label: The class it is said to be.
        subset: Its subset.
        picture: ``None`` where it could not be read.
        problem: Why it could not.
        predicted: The most probable class.
        probability: Of the predicted class.
        own_probability: Of the class it is said to be.
        cell: The cell of the confusion matrix that it belongs to, if that is of its subset.
        heat: Where in it the evidence for the predicted class lies, if that was asked for.
    """

    file: str
    label: str
    subset: str
    picture: Picture | None
    problem: str = ""
    predicted: str = ""
    probability: float | None = None
    own_probability: float | None = None
    cell: str = ""
    heat: Picture | None = None

    @property
    def is_right(self) -> bool:
        """Whether the classifier says what the label says."""
        return self.label == self.predicted


@dataclass(frozen=True)
class Reliability:
    """Whether probabilities can be taken at their word.

    Attributes:
        chart: The diagram.
        bins: How many groups of equally many photos.
        confidence: Mean probability of the predicted classes.
        accuracy: Share that was right.
        temperature: What logits were divided by, where they were scaled.
        before: Calibration error without that.
        after: And with it.
    """

    chart: ReliabilityChart
    bins: int
    confidence: float
    accuracy: float
    temperature: float | None = None
    before: float | None = None
    after: float | None = None

    @property
    def is_scaled(self) -> bool:
        """Whether a temperature changed anything."""
        return self.before is not None and self.temperature not in (None, 1)


@dataclass(frozen=True)
class Views:
    """What the network saw of some training photos.

    Attributes:
        rows: File name -> its views, the photo itself first.
        size: Height and width that the network sees.
        resize: How photos were fitted to it.
        per_photo: Views of every photo that were learned from; 0 for new ones in every epoch.
        batch: Names of changes of whole batches, which are not shown.
    """

    rows: Mapping[str, Sequence[Picture]]
    size: tuple[int, int]
    resize: str
    per_photo: int
    batch: Sequence[str]


@dataclass(frozen=True)
class Gallery:
    """Some photos of a kind, and how many there are in all."""

    photos: Sequence[Photo]
    count: int


@dataclass(frozen=True)
class Galleries:
    """The photos of a report.

    Attributes:
        worst: The most confident mistakes on any held-out photo.
        suspects: Photos whose label looks wrong; ``None`` where nobody looked.
        doubtful: Photos to which another class is more probable than their label, but not clearly.
        duplicates: Groups of near-duplicates; ``None`` where nobody looked.
        duplicate_count: How many groups there are.
        straddling: How many of them lie in more than one subset.
        cells: Judged photos by cell of the matrix.
        rest: Where those are that are not shown.
        method: How the heat was made that mistakes and suspects are shown with, if they are.
    """

    worst: Gallery
    suspects: Gallery | None
    doubtful: Gallery | None
    duplicates: Sequence[Sequence[Photo]] | None
    duplicate_count: int
    straddling: int
    cells: Sequence[Photo]
    rest: str
    method: str = ""

    @property
    def keys(self) -> Set[str]:
        """The cells of which there are photos."""
        return {photo.cell for photo in self.cells}

    @property
    def missed(self) -> Set[int]:
        """The classes of which there are photos that were taken for another."""
        cells = (key.split("-") for key in self.keys)
        return {int(true) for true, predicted in cells if true != predicted}

    @property
    def all(self) -> Iterator[Photo]:
        """Every photo, some more than once."""
        yield from self.worst.photos
        for gallery in (self.suspects, self.doubtful):
            yield from gallery.photos if gallery else ()
        yield from (photo for group in self.duplicates or () for photo in group)
        yield from self.cells


@dataclass(frozen=True)
class Training:
    """How a classifier was trained.

    Attributes:
        stages: What was trained, one sentence each.
        curves: Charts of the history.
        views: What the network saw.
        seconds: Where the time went.
        recipe: All settings, as YAML.
    """

    stages: Sequence[str]
    curves: Sequence[LineChart]
    views: Views | None
    seconds: Mapping[str, float]
    recipe: str


@dataclass(frozen=True)
class Rejected:
    """A file that was left out, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Report:
    """All that a report says.

    Attributes:
        title: What it is about: the name of the data.
        source: The folder of the photos, or the manifest; ``None`` if it is not known.
        created: When, as ISO 8601.
        backbone: The network.
        is_pretrained: Whether it began with ImageNet's weights.
        class_names: In the order of the model's output.
        judgement: How good it is; ``None`` where there are no figures.
        reliability: Whether its probabilities can be trusted.
        limits: What to keep in mind, one sentence each.
        galleries: Photos.
        training: How it was trained.
        counts: Photos by subset.
        rejected: Files that were left out, at most some.
        rejected_count: How many there are.
        facts: (name, value) pairs: weights, data, versions.
        pictures: Every picture that is referred to, once.
    """

    title: str
    source: Path | None
    created: str
    backbone: str
    is_pretrained: bool
    class_names: Sequence[str]
    judgement: Judgement | None = None
    reliability: Reliability | None = None
    limits: Sequence[str] = ()
    galleries: Galleries | None = None
    training: Training | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    rejected: Sequence[Rejected] = ()
    rejected_count: int = 0
    facts: Sequence[tuple[str, str]] = ()
    pictures: Sequence[Picture] = ()

    @property
    def missing(self) -> Mapping[str, str]:
        """The photos that are named but not shown, and why."""
        if self.galleries is None:
            return {}
        return {photo.file: photo.problem for photo in self.galleries.all if photo.problem}
