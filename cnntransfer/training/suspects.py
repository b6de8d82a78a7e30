"""Images whose label may be wrong: confident learning on what the other images say of each.

Every image is judged by heads that have not seen it (:mod:`.out_of_fold`). Those to which another
class is more probable than their label are suspects. A label looks wrong with confidence where it
is improbable, and the other class at least as probable as its own images find it on average: off
the diagonal of the confident joint (Northcutt et al. 2021, "Confident Learning", arXiv:1911.00068).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..errors import counted
from ..models.head import HeadModel
from .features import Features
from .out_of_fold import Verdicts, deal, judge, reduced

SUSPECT_COLUMNS = (
    "file",
    "label",
    "subset",
    "suggested",
    "p_label",
    "p_suggested",
    "confident",
)
#: A label that is no less probable is not called wrong, however probable another class is.
_IMPROBABLE = 0.05


@dataclass(frozen=True)
class Suspect:
    """An image to which another class is more probable than its label.

    Attributes:
        position: Of the image in the data set.
        suggested: The most probable class.
        p_label: The probability of its label, 0..1.
        p_suggested: That of the suggested class, 0..1.
        confident: Whether the label looks wrong, see :func:`is_confident`.
    """

    position: int
    suggested: str
    p_label: float
    p_suggested: float
    confident: bool


def find_suspects(
    dataset: Dataset, parts: Sequence[Features], head: HeadModel
) -> tuple[Suspect, ...]:
    """Look for wrong labels among all images, whatever their subset.

    Nothing that is found goes into the classifier.

    Args:
        dataset: The images. Near-duplicates do not judge each other.
        parts: Together they have the unaugmented view of every image.
        head: Its first layer standardises features.

    Returns:
        The most suspect first: those with confidence, then the others, each by the probability of
        their label.
    """
    labels = dataset.labels()
    classes = len(dataset.class_names)
    folds = deal(dataset.pictures(), labels)
    verdicts = judge(reduced(parts, head), labels, folds, classes)
    confident = is_confident(verdicts, labels, classes)
    order = np.lexsort((verdicts.p_label, ~confident))
    return tuple(
        Suspect(
            int(position),
            dataset.class_names[verdicts.other[position]],
            float(verdicts.p_label[position]),
            float(verdicts.p_other[position]),
            bool(confident[position]),
        )
        for position in order
        if verdicts.p_other[position] > verdicts.p_label[position]
    )


def is_confident(verdicts: Verdicts, labels: NDArray[np.int64], classes: int) -> NDArray[np.bool_]:
    """Which labels look wrong, bool, shape (n,).

    Args:
        verdicts: What the other images say of each.
        labels: int64, shape (n,).
        classes: How many there are.
    """
    judged = verdicts.judged
    counts = np.bincount(labels[judged], minlength=classes)
    sums = np.bincount(labels[judged], verdicts.p_label[judged], classes)
    # How sure the images of a class are of it, on average; of one without any, none is.
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    result: NDArray[np.bool_] = (
        (verdicts.p_other > verdicts.p_label)
        & (verdicts.p_other >= thresholds[verdicts.other])
        & (verdicts.p_label < _IMPROBABLE)
    )
    return result


def suspect_rows(dataset: Dataset, suspects: Sequence[Suspect]) -> Iterator[dict[str, Any]]:
    """One row of :data:`SUSPECT_COLUMNS` per suspect."""
    for suspect in suspects:
        sample = dataset.samples[suspect.position]
        yield {
            "file": dataset.name_of(sample.path),
            "label": sample.label,
            "subset": sample.subset,
            "suggested": suspect.suggested,
            "p_label": f"{suspect.p_label:.6g}",
            "p_suggested": f"{suspect.p_suggested:.6g}",
            "confident": "yes" if suspect.confident else "no",
        }


def remark(dataset: Dataset, suspects: Sequence[Suspect]) -> Iterator[str]:
    """One line about labels that look wrong with confidence, if any does."""
    if confident := [suspect for suspect in suspects if suspect.confident]:
        sample = dataset.samples[confident[0].position]
        yield (
            f"{counted(len(confident), 'label')} may be wrong (see suspects.csv), "
            f"such as {dataset.name_of(sample.path)}: labelled {sample.label}, looks like "
            f"{confident[0].suggested}"
        )
