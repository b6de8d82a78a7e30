"""The figures of a run, as its metadata has them, with what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .confusion import read_confusion
from .judgement import ClassRow, Figure, Interval, Judgement, Value

#: Name in the metadata -> (title, meaning, whether in percent), in the order of the table.
_FIGURES = {
    "accuracy": ("Accuracy", "Share of photos whose class is recognised.", True),
    "top5_accuracy": (
        "Accuracy, top 5",
        "Share whose class is among the five most probable.",
        True,
    ),
    "balanced_accuracy": (
        "Balanced accuracy",
        "The same with every class counting equally, however many photos it has.",
        True,
    ),
    "macro_f1": (
        "F1, mean of the classes",
        "Balances missing a class against seeing it where it is not; 1 is perfect.",
        False,
    ),
    "roc_auc": (
        "ROC-AUC",
        "How well the classes are ranked apart, one against the rest; 0.5 is chance.",
        False,
    ),
    "average_precision": (
        "Average precision",
        "Precision over all thresholds, mean of the classes; 1 is perfect.",
        False,
    ),
    "log_loss": (
        "Log loss",
        "Penalty for doubt, and a large one for confident mistakes; 0 is perfect.",
        False,
    ),
    "calibration_error": (
        "Calibration error",
        "How far its confidence is from how often it is right.",
        False,
    ),
}


def _figures(metrics: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """Every figure that at least one subset has.

    Args:
        metrics: Subset -> what :meth:`cnntransfer.metrics.Evaluation.to_dict` gave.
    """
    return [
        Figure(name, *described, values)
        for name, described in _FIGURES.items()
        if (
            values := {
                subset: value
                for subset, judged in metrics.items()
                if (value := _value(judged, name)) is not None
            }
        )
    ]


#: Methods of intervals that are written otherwise in sentences.
_METHODS = {"wilson": "Wilson", "feldman-cousins": "Feldman and Cousins"}


def read_judgement(
    subset: str | None,
    words: str,
    metrics: Mapping[str, Mapping[str, Any]],
    counts: Mapping[str, Mapping[str, int]],
) -> Judgement:
    """How good a classifier is on one subset.

    Args:
        subset: Its name, if it is one.
        words: What its photos are called.
        metrics: Subset -> figures, that which counts first.
        counts: Photos by subset and class.
    """
    judged = next(iter(metrics.values()))
    classes = _classes(judged, counts)
    return Judgement(
        subset=subset,
        words=words,
        images=int(judged["images"]),
        accuracy=_value(judged, "accuracy") or Value(float(judged["accuracy"])),
        guessing=max(row.support for row in classes) / max(int(judged["images"]), 1),
        figures=_figures(metrics),
        classes=classes,
        confusion=read_confusion(judged["confusion"], classes),
    )


def _classes(metrics: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]]) -> list[ClassRow]:
    confusion = metrics["confusion"]
    return [
        ClassRow(
            number=number,
            name=str(row["label"]),
            precision=_value(row, "precision") or Value(0.0),
            recall=_value(row, "recall") or Value(0.0),
            f1=float(row["f1"]),
            support=int(row["support"]),
            taken=sum(int(by_class[number]) for by_class in confusion),
            missed=int(row["support"]) - int(confusion[number][number]),
            counts={subset: by.get(row["label"], 0) for subset, by in counts.items()},
        )
        for number, row in enumerate(metrics["per_class"])
    ]


def _value(figures: Mapping[str, Any], name: str) -> Value | None:
    """A figure with its interval, as far as they are there."""
    value = figures.get(name)
    if value is None:
        return None
    found = (figures.get("intervals") or {}).get(name)
    if not found:
        return Value(float(value))
    method = str(found["method"])
    interval = Interval(float(found["low"]), float(found["high"]), _METHODS.get(method, method))
    return Value(float(value), interval)
