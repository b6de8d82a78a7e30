"""All figures of a classifier on labelled images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .intervals import Interval, of_loss, of_share, wilson
from .judged import Judged
from .reliability import error_interval, mean_difference, reliability
from .resampling import resamples
from .weighted import weighted_figures

_Intervals = Mapping[str, Interval]


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class: precision, recall and F1 in 0..1, and its number of images.

    Attributes:
        label: Its name.
        precision: The share of the images taken for it that are of it; 0 where none is.
        recall: The share of its images that are taken for it; 0 where it has none.
        f1: The harmonic mean of the two.
        support: How many images it has.
        intervals: Of ``precision``, ``recall`` and ``f1``, as far as there are images to tell.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    intervals: _Intervals = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Figures of a classifier on labelled images.

    Attributes:
        images: How many images were judged.
        accuracy: Fraction whose most probable class is right (top-1).
        top5_accuracy: Fraction whose class is among the five most probable; ``None`` with
            fewer than six classes.
        balanced_accuracy: Mean recall of the classes that occur.
        macro_f1: Mean F1 of the classes that occur or are predicted.
        roc_auc: Mean area under the ROC curves of every class against all others; ``None`` where
            no class has both.
        average_precision: The same of the precision-recall curves.
        log_loss: Mean negative log probability of the right class, in nats.
        calibration_error: Mean difference of confidence and accuracy, see :mod:`.reliability`.
        per_class: One row per class, in the order of the model's output.
        confusion: Images by true class (row) and predicted class (column).
        rejected: (file, reason) of the images that could not be read.
        intervals: 95 % intervals of these figures, by name, as far as the images tell.
    """

    images: int
    accuracy: float
    top5_accuracy: float | None
    balanced_accuracy: float
    macro_f1: float
    roc_auc: float | None
    average_precision: float | None
    log_loss: float
    calibration_error: float
    per_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    rejected: tuple[tuple[str, str], ...] = ()
    intervals: _Intervals = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return dataclasses.asdict(self)


def figures(
    class_names: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    rejected: Sequence[tuple[str, str]] = (),
    *,
    with_intervals: bool = True,
) -> Evaluation:
    """Judge probabilities against labels.

    Args:
        class_names: Names in the order of the columns.
        labels: int64, shape (n,): the right classes; n is at least 1.
        probabilities: float32, shape (n, classes).
        rejected: Files that gave no probabilities, and why.
        with_intervals: Whether to compute those of the figures of all classes together, which
            takes most of the time.
    """
    judged = Judged(labels, probabilities)
    pairs = labels * judged.classes + judged.predicted
    confusion = np.bincount(pairs, minlength=judged.classes**2).reshape(2 * (judged.classes,))
    every = np.ones((len(judged), 1))
    values = {name: float(value[0]) for name, value in weighted_figures(judged, every).items()}
    bins = reliability(labels, probabilities)
    accuracy = float(judged.is_right.mean())
    top5 = _top5(judged)
    return Evaluation(
        images=len(judged),
        accuracy=accuracy,
        top5_accuracy=top5,
        calibration_error=mean_difference(bins),
        per_class=_per_class(class_names, confusion),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        rejected=tuple(rejected),
        intervals={
            "accuracy": wilson(accuracy, len(judged)),
            **({} if top5 is None else {"top5_accuracy": wilson(top5, len(judged))}),
            **_bootstrapped(judged, values),
            "calibration_error": error_interval(bins),
        }
        if with_intervals
        else {},
        balanced_accuracy=values["balanced_accuracy"],
        macro_f1=values["macro_f1"],
        log_loss=values["log_loss"],
        roc_auc=_defined(values["roc_auc"]),
        average_precision=_defined(values["average_precision"]),
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _top5(judged: Judged) -> float | None:
    if judged.classes <= 5:
        return None
    order = np.argsort(-judged.probabilities, axis=1, kind="stable")
    return float((order[:, :5] == judged.labels[:, np.newaxis]).any(axis=1).mean())


def _per_class(
    class_names: Sequence[str], confusion: NDArray[np.int64]
) -> tuple[ClassFigures, ...]:
    hits, support, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        _of_class(name, *map(int, counts))
        for name, *counts in zip(class_names, hits, support, predicted, strict=True)
    )


def _of_class(name: str, hits: int, support: int, predicted: int) -> ClassFigures:
    # F1 = 2 J / (1 + J), where J is a proportion, so that its interval is that of J.
    either = support + predicted - hits
    trials = {"precision": predicted, "recall": support, "f1": either}
    shares = {name: hits / count if count else 0.0 for name, count in trials.items()}
    intervals = {name: wilson(shares[name], count) for name, count in trials.items() if count}
    if either:
        of_j = intervals["f1"]
        intervals["f1"] = Interval(_f1(of_j.low), _f1(of_j.high), of_j.method)
    shares["f1"] = _f1(shares["f1"])
    return ClassFigures(name, **shares, support=support, intervals=intervals)


def _f1(overlap: float) -> float:
    return 2 * overlap / (1 + overlap)


def _bootstrapped(judged: Judged, values: Mapping[str, float]) -> dict[str, Interval]:
    """The intervals of weighted figures.

    Args:
        judged: The images.
        values: The figures, NaN where not defined.
    """
    blocks = [
        weighted_figures(judged, weights) for weights in resamples(len(judged), judged.classes)
    ]
    images, support = len(judged), np.bincount(judged.labels)
    # As many as would give the mean of the classes' recalls the same spread, were all in one.
    worth = float(np.count_nonzero(support) ** 2 / (1 / support[support > 0]).sum())
    intervals = {}
    for name, value in values.items():
        if math.isnan(value):
            continue
        resampled = np.concatenate([block[name] for block in blocks])
        if name != "log_loss":
            intervals[name] = of_share(value, resampled, images, worth)
        elif interval := of_loss(value, resampled, images, judged.expected_loss_error):
            intervals[name] = interval
    return intervals
