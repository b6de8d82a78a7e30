"""What whoever relies on a classifier should keep in mind, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import counted
from .content import Galleries, Reliability
from .judgement import ClassRow, Judgement

#: Figures of fewer photos say little.
_FEW, _FEW_OF_A_CLASS = 100, 10
#: Times as many training photos of one class as of another.
_UNBALANCED = 5
#: A class of which less is recognised is named, if it has enough photos to say so.
_WEAK, _ENOUGH = 0.5, 5
#: Between how sure it is and how often it is right.
_GAP = 0.05


def limits(
    judged: Judgement | None,
    reliability: Reliability | None,
    galleries: Galleries | None,
    *,
    trained_on: int = 0,
    tells_unknown: bool = False,
) -> Iterator[str]:
    """Find what limits the figures of a run, and what they do not show.

    Args:
        judged: How good it is on some photos.
        reliability: Of the same photos.
        galleries: Photos of which something is known.
        trained_on: Judged photos that it was trained on.
        tells_unknown: Whether it can tell photos of something else.
    """
    if trained_on:
        was = "was" if trained_on == 1 else "were"
        yield f"{counted(trained_on, 'photo')} {was} trained on, so the figures flatter."
    if judged is not None:
        yield from _of_figures(judged)
        yield from _of_classes(judged.classes)
    if reliability and abs(reliability.confidence - reliability.accuracy) > _GAP:
        sure, right = reliability.confidence, reliability.accuracy
        verb = "surer of itself than it should be" if sure > right else "too modest"
        yield f"It is {verb}: {100 * sure:.0f} % sure on average, and right on {100 * right:.0f} %."
    if galleries is not None:
        yield from _of_photos(galleries)
    but = " Except with: predict --unknown auto" if tells_unknown else ""
    yield f"It knows only its classes: whatever a photo shows, it answers with one of them.{but}"
    if judged is None or judged.subset is not None:
        yield (
            "It was measured on photos of the same collection as those it learned from. With "
            "another camera, place or season it may be right less often."
        )


def _of_figures(judged: Judgement) -> Iterator[str]:
    if judged.subset == "val":
        yield (
            "The figures are of validation photos, by which training chose its settings, so they "
            "flatter a little. For a test set that nothing is chosen by: --test-split 0.2"
        )
    if judged.images < _FEW:
        yield f"Only {counted(judged.images, 'photo')} were judged, so chance has a large part."
    classes = judged.classes
    few = [row for row in classes if row.support < _FEW_OF_A_CLASS]
    if few and len(few) < len(classes):
        yield (
            f"{counted(len(few), 'class has', 'classes have')} fewer than {_FEW_OF_A_CLASS} "
            f"judged photos ({_some(few)}): figures of so few are hardly more than a hint."
        )
    elif few:
        yield (
            f"Every class has fewer than {_FEW_OF_A_CLASS} judged photos: the figures of single "
            "classes are hardly more than a hint."
        )


def _of_classes(classes: Sequence[ClassRow]) -> Iterator[str]:
    weak = [row for row in classes if row.recall.value < _WEAK and row.support >= _ENOUGH]
    if weak:
        weak.sort(key=lambda row: row.recall.value)
        yield f"Less than half is recognised of {_some(weak)}."
    trained = [row for row in classes if row.counts.get("train")]
    if trained:
        most = max(trained, key=lambda row: row.counts["train"])
        least = min(trained, key=lambda row: row.counts["train"])
        if most.counts["train"] >= _UNBALANCED * least.counts["train"]:
            yield (
                f"Unbalanced: it learned from {most.counts['train']} photos of {most.name}, and "
                f"from {least.counts['train']} of {least.name}. Rare classes are missed more often."
            )


def _of_photos(galleries: Galleries) -> Iterator[str]:
    if galleries.suspects and galleries.suspects.count:
        labels = counted(galleries.suspects.count, "label looks", "labels look")
        yield f"{labels} wrong. Wrong labels make a classifier worse, and its figures too."
    if galleries.straddling:
        groups = counted(galleries.straddling, "group")
        yield (
            f"{groups} of near-duplicates {'lies' if galleries.straddling == 1 else 'lie'} in more "
            "than one subset: where they show the same thing, the figures flatter."
        )


def _some(rows: Sequence[ClassRow]) -> str:
    names = [row.name for row in rows[:3]]
    return ", ".join(names) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
