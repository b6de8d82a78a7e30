"""Explanations as small pictures, for a report."""

from __future__ import annotations

from pathlib import Path

from ..data.miniatures import Miniature, miniature
from ..report.heat import Look
from .methods import Method
from .subject import Subject


def look(subject: Subject, method: Method) -> Look:
    """What shows a report why a photo is taken for a class.

    Args:
        subject: The classifier.
        method: One that explains a class.
    """

    def at(path: Path, label: str) -> Miniature:
        photos, options = subject.photos([path]), method.options({"target": label})
        (explanation,) = method.explanations(subject, photos, options)
        if explanation.overlay is None:
            raise TypeError(f"{method.name} gives no picture of a photo's size")
        return miniature(explanation.overlay())

    return Look(method.name, at)
