"""Figures with their intervals, as the command line shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ..errors import counted
from .console import percent, print_table

if TYPE_CHECKING:
    from ..metrics import Evaluation, Interval


def decimals(value: float) -> str:
    """``0.94728`` -> ``0.947``."""
    return f"{value:.3f}"


#: Name, attribute, and how its values are written.
FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("accuracy (top-1)", "accuracy", percent),
    ("accuracy (top-5)", "top5_accuracy", percent),
    ("balanced accuracy", "balanced_accuracy", percent),
    ("macro F1", "macro_f1", decimals),
    ("ROC-AUC", "roc_auc", decimals),
    ("average precision", "average_precision", decimals),
    ("log loss", "log_loss", decimals),
    ("calibration error", "calibration_error", decimals),
)


def print_figures(result: Evaluation) -> None:
    """Print all figures but the confusion matrix, as two tables on stdout."""
    rows = [("images", f"{result.images:,}", "", "")]
    for title, name, text in FIGURES:
        value = getattr(result, name)
        if value is not None:
            interval = result.intervals.get(name)
            method = interval.method.capitalize() if interval else ""
            rows.append((title, text(value), _limits(interval, text), method))
    print_table(("figure", "value", "95 % interval", "method"), rows)
    click.echo()
    print_table(
        ("class", "precision", "95 % (Wilson)", "recall", "95 % (Wilson)", "F1", "images"),
        [
            (
                row.label,
                row.precision,
                _limits(row.intervals.get("precision"), decimals),
                row.recall,
                _limits(row.intervals.get("recall"), decimals),
                row.f1,
                row.support,
            )
            for row in result.per_class
            if row.support
        ],
    )


def with_limits(result: Evaluation, name: str, text: Callable[[float], str]) -> str:
    """A figure with its interval in brackets; ``-`` where it is not defined."""
    value = getattr(result, name)
    if value is None:
        return "-"
    interval = result.intervals.get(name)
    return f"{text(value)} ({_limits(interval, text)})" if interval else text(value)


def accuracy_line(title: str, figures: Mapping[str, Any]) -> str:
    """The accuracy of a subset, in a line.

    Args:
        title: Of the subset.
        figures: What :meth:`cnntransfer.metrics.Evaluation.to_dict` gave.
    """
    interval = figures["intervals"]["accuracy"]
    return (
        f"{title} accuracy {percent(figures['accuracy'])} on "
        f"{counted(figures['images'], 'image')} "
        f"(95 % interval {_range(interval['low'], interval['high'], percent)}, "
        f"{interval['method'].capitalize()}; balanced {percent(figures['balanced_accuracy'])})"
    )


def calibration_line(calibration: Mapping[str, Any]) -> str:
    """How far confidence and accuracy are apart, in a line; of the test images if there are any.

    Args:
        calibration: That part of the metadata.
    """
    name, images = ("test", "test") if "test" in calibration else ("val", "validation")
    before, after = (decimals(calibration[name][when]) for when in ("before", "after"))
    line = f"Calibration error {after} on the {images} images"
    if before == after:
        return line
    return f"{line} ({before} before scaling by the temperature {calibration['temperature']:.2f})"


def _limits(interval: Interval | None, text: Callable[[float], str]) -> str:
    return _range(interval.low, interval.high, text) if interval else "-"


def _range(low: float, high: float, text: Callable[[float], str]) -> str:
    """``91.0..96.9 %``: the unit once."""
    return f"{text(low).removesuffix(' %')}..{text(high)}"
