"""What came of repeating a run, in figures and in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from .engines.parity import TOLERANCE

#: So many file names stand in a sentence; the dataclass has them all.
_NAMED = 10


class Verdict(str, Enum):
    """How the held-out predictions of the two runs compare."""

    #: To the last digit that ``predictions.csv`` keeps.
    IDENTICAL = "identical"
    #: No probability differs by more than :data:`cnntransfer.engines.parity.TOLERANCE`.
    WITHIN_TOLERANCE = "within tolerance"
    #: One does, or a held-out photo has no prediction any more.
    DIFFERENT = "different"

    def __str__(self) -> str:
        return self.value


class Change(NamedTuple):
    """What a bundle records, and what the repeated run had."""

    recorded: str | None
    now: str | None


@dataclass(frozen=True)
class Reproduction:
    """What came of repeating a run.

    Attributes:
        verdict: How the held-out predictions compare.
        held_out: How many held-out photos the bundle has predictions of.
        compared: How many of them the repeated run has predictions of, too.
        largest_difference: Of any probability; ``None`` where nothing could be compared.
        farthest: The photo it belongs to; ``None`` where no probability differs.
        other_class: How many photos are predicted to be of another class.
        same_files: Whether the LiteRT files of both runs are equal byte for byte.
        photos: How many photos trained the bundle or were held out.
        changed: Those whose file has another content now, or cannot be read.
        missing: Those that are not there any more.
        added: Photos that are there now and were not; they were left out.
        weights: SHA-256 of the pretrained weights, where they are others now.
        versions: Those that differ, by the library's name.
        output: The new bundle, where it was kept.
    """

    verdict: Verdict
    held_out: int
    compared: int
    largest_difference: float | None
    farthest: str | None
    other_class: int
    same_files: bool
    photos: int
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]
    weights: Change | None
    versions: Mapping[str, Change]
    output: Path | None

    @property
    def reasons(self) -> list[str]:
        """What is not as it was, in sentences; one that says so where that is nothing."""
        said = []
        if self.changed:
            said.append(_photos(self.changed, "was changed since", "were changed since"))
        if self.missing:
            said.append(_photos(self.missing, "is missing", "are missing"))
        if self.weights:
            said.append(f"The pretrained weights are others: SHA-256 {_now_and_then(self.weights)}")
        for name, change in self.versions.items():
            said.append(f"Another version of {name}: {_now_and_then(change)}")
        if not said:
            said.append("Photos, weights and library versions are the same")
            if self.verdict != Verdict.IDENTICAL:
                said[0] += "; another processor, or an edited recipe.yaml or splits.csv, is left"
        if self.added:
            added = _photos(self.added, "was added since", "were added since")
            said.append(f"{added}; left out")
        return said

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "verdict": str(self.verdict),
            "tolerance": TOLERANCE,
            "held_out": self.held_out,
            "compared": self.compared,
            "largest_difference": self.largest_difference,
            "farthest": self.farthest,
            "other_class": self.other_class,
            "same_files": self.same_files,
            "photos": self.photos,
            "changed": list(self.changed),
            "missing": list(self.missing),
            "added": list(self.added),
            "weights": self.weights and self.weights._asdict(),
            "versions": {name: change._asdict() for name, change in self.versions.items()},
            "reasons": self.reasons,
            "output": None if self.output is None else str(self.output),
        }


def _now_and_then(change: Change) -> str:
    return f"{change.now or 'none'} now, {change.recorded or 'none'} then"


def _photos(names: Sequence[str], one: str, several: str) -> str:
    """``"One photo was changed since: red/1.jpg"``."""
    if len(names) == 1:
        return f"One photo {one}: {names[0]}"
    more = f" and {len(names) - _NAMED} more" * (len(names) > _NAMED)
    return f"{len(names)} photos {several}: {', '.join(names[:_NAMED])}{more}"
