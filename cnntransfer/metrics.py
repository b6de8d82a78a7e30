"""Figures of a classifier from labels and probabilities; all equal to scikit-learn's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class: precision, recall and F1 in 0..1, and its number of images."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """Figures of a classifier on labelled images.

    Attributes:
        images: How many images were judged.
        accuracy: Fraction whose most probable class is right (top-1).
        top5_accuracy: Fraction whose class is among the five most probable; ``None`` with
            fewer than six classes.
        balanced_accuracy: Mean recall of the classes that occur.
        macro_f1: Mean F1 of all classes.
        log_loss: Mean negative log probability of the right class, in nats.
        per_class: One row per class, in the order of the model's output.
        confusion: Images by true class (row) and predicted class (column).
        rejected: (file, reason) of the images that could not be read.
    """

    images: int
    accuracy: float
    top5_accuracy: float | None
    balanced_accuracy: float
    macro_f1: float
    log_loss: float
    per_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    rejected: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return dataclasses.asdict(self)


def prepare() -> None:
    """Import scikit-learn, which takes a second, while something else is waited for."""
    import sklearn.metrics  # noqa: F401


def figures(
    class_names: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    rejected: Sequence[tuple[str, str]] = (),
) -> Evaluation:
    """Judge probabilities against labels.

    Args:
        class_names: Names in the order of the columns.
        labels: int64, shape (n,): the right classes.
        probabilities: float32, shape (n, classes).
        rejected: Files that gave no probabilities, and why.
    """
    from sklearn import metrics

    classes = np.arange(len(class_names))
    order = np.argsort(-probabilities, axis=1, kind="stable")
    predicted = order[:, 0]
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0.0
    )
    occurring = np.isin(classes, labels)
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    top5 = float(np.mean((order[:, :5] == labels[:, None]).any(axis=1)))
    return Evaluation(
        images=len(labels),
        accuracy=float(metrics.accuracy_score(labels, predicted)),
        top5_accuracy=top5 if len(class_names) > 5 else None,
        balanced_accuracy=float(recall[occurring].mean()),
        macro_f1=float(f1.mean()),
        log_loss=float(-np.log(np.clip(right, np.finfo(np.float32).tiny, 1.0)).mean()),
        per_class=tuple(
            ClassFigures(name, float(p), float(r), float(f), int(s))
            for name, p, r, f, s in zip(class_names, precision, recall, f1, support, strict=True)
        ),
        confusion=tuple(
            tuple(int(n) for n in row)
            for row in metrics.confusion_matrix(labels, predicted, labels=classes)
        ),
        rejected=tuple(rejected),
    )
