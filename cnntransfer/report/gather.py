"""From the files of a bundle to what its report says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..errors import UsageError, counted
from ..held_out import HeldOut, read_held_out
from ..metrics import BINS, reliability
from ..recipe import Recipe, read_recipe
from .charts import learning_curves, reliability_chart
from .content import SUBSET_WORDS, Rejected, Reliability, Report, Training
from .examples import read_examples
from .figures import read_judgement
from .galleries import read_galleries
from .heat import Look, with_heat
from .judgement import Judgement
from .limits import limits
from .photos import Album
from .subject import Subject, name_of

#: The subset that a report is about: the first of these that was judged.
_SUBSETS = ("test", "val")
#: Photos of each group of a reliability diagram, at least.
_BIN = 10
#: What stages are called that fit heads on features from several depths, of which one is kept.
_OF_BLOCKS = re.compile(r"(?P<stage>.+) of \d+ blocks?")
_REJECTED = 50


def gather(subject: Subject, look: Look | None = None) -> Report:
    """Read a bundle and the photos that it names.

    A photo that is not there any more is in the report with its name only.

    Args:
        subject: The bundle.
        look: How to show what the classifier looked at where it was wrong; ``None``: not at all.

    Raises:
        BundleError: one of the bundle's files is damaged.
    """
    metadata = subject.metadata
    with _intact(subject.bundle):
        judged = _judgement(metadata)
        by_subset = metadata["dataset"]["images"]
        there = [name for name in SUBSET_WORDS if name in by_subset]
        counts = {name: sum(by_subset[name].values()) for name in there}
        title, facts = _title(metadata), list(_facts(metadata))
    subset = judged.subset if judged else None
    splits = subject.rows("splits", "file", "label", "subset", "digest")
    album = Album(subject.photos, {row["file"]: row["digest"] for row in splits})
    training = _training(subject, splits, album)
    held_out = galleries = trust = None
    if subject.has("predictions"):
        held_out = read_held_out(subject.bundle, subject.class_names)
        galleries = read_galleries(subject, held_out, subset, album)
        if look is not None:
            galleries = with_heat(galleries, album, look)
        if subset is not None:
            with _intact(subject.bundle):
                trust = _reliability(held_out.of(subset), subset, metadata)
    rejected = subject.rows("rejected", "file", "reason")
    return Report(
        title=title,
        source=subject.photos,
        created=str(metadata.get("created", "")),
        backbone=str(metadata["backbone"]),
        is_pretrained=metadata["weights"].get("file") is not None,
        class_names=subject.class_names,
        judgement=judged,
        reliability=trust,
        limits=list(limits(judged, trust, galleries, tells_unknown=bool(metadata.get("unknown")))),
        galleries=galleries,
        training=training,
        counts=counts,
        rejected=[Rejected(row["file"], row["reason"]) for row in rejected[:_REJECTED]],
        rejected_count=len(rejected),
        facts=facts,
        pictures=album.pictures,
    )


@contextmanager
def _intact(bundle: Bundle) -> Iterator[None]:
    """Values of the metadata that are not what this program writes."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise bundle.damaged_metadata(f"{type(error).__name__}: {error}") from error


def _judgement(metadata: Mapping[str, Any]) -> Judgement | None:
    metrics = {name: metadata["metrics"][name] for name in _SUBSETS if name in metadata["metrics"]}
    if not metrics:
        return None
    subset = next(iter(metrics))
    words = f"{SUBSET_WORDS[subset]} photos"
    return read_judgement(subset, words, metrics, metadata["dataset"]["images"])


def _training(subject: Subject, splits: Sequence[Mapping[str, str]], album: Album) -> Training:
    history = subject.rows(
        "history", "stage", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"
    )
    try:
        recipe = read_recipe(subject.bundle.recipe_file)
        text = subject.bundle.recipe_file.read_text(encoding="utf-8")
    except UsageError:  # Missing, or of another version: the report says the rest.
        recipe, text = None, ""
    rows = [row for row in splits if row["subset"] == "train"]
    try:
        curves = learning_curves(history)
    except ValueError:
        raise subject.bundle.damaged_table("history", "a value is no number") from None
    return Training(
        stages=list(_stages(recipe, history, subject.metadata.get("undone_stages", ()))),
        curves=curves,
        views=read_examples(recipe, rows, album) if recipe else None,
        seconds=dict(subject.metadata.get("seconds", {})),
        recipe=text,
    )


def _stages(
    recipe: Recipe | None, history: Sequence[Mapping[str, str]], undone: Sequence[str]
) -> Iterator[str]:
    unfrozen = {stage.name: stage.unfreeze for stage in recipe.stages} if recipe else {}
    ends = {
        **dict.fromkeys(_kept_depths(history), " (validated best: kept)"),
        **dict.fromkeys(undone, " (no clear gain: undone)"),
    }
    for name, rows in groupby(history, lambda row: row["stage"]):
        layers = str(unfrozen.get(name, "none"))
        what = "the new head" if layers == "none" else f"the head and the layers of {layers!r}"
        yield f"{name}: {what}, {counted(len(list(rows)), 'epoch')}{ends.get(name, '')}"


def _kept_depths(history: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Of heads on features from one block, two and so on, those whose loss was the lowest."""
    lowest: dict[str, tuple[float, str]] = {}
    for row in history:
        if match := _OF_BLOCKS.fullmatch(name := row["stage"]):
            found = (float(row["val_loss"]), name)
            lowest[match["stage"]] = min(lowest.get(match["stage"], found), found)
    return (name for _, name in lowest.values())


def _reliability(judged: HeldOut, subset: str, metadata: Mapping[str, Any]) -> Reliability | None:
    if not len(judged):
        return None
    bins = max(1, min(BINS, len(judged) // _BIN))
    groups = reliability(judged.labels, judged.probabilities.astype(np.float32), bins)
    calibration = metadata.get("calibration") or {}
    errors = calibration.get(subset) or {}
    return Reliability(
        chart=reliability_chart(groups),
        bins=len(groups),
        confidence=float(judged.probabilities.max(axis=1).mean()),
        accuracy=float((judged.predicted == judged.labels).mean()),
        temperature=calibration.get("temperature"),
        before=errors.get("before"),
        after=errors.get("after"),
    )


def _title(metadata: Mapping[str, Any]) -> str:
    source = metadata["dataset"].get("source")
    return name_of(Path(source)) if source else "Photos"


def _facts(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What there is to know of origin and versions."""
    weights, sees = metadata["weights"], metadata["input"]
    yield "Network", str(metadata["backbone"])
    yield "Pretrained weights", str(weights.get("file") or "none: random weights")
    if weights.get("license"):
        yield "Their licence", str(weights["license"])
    if weights.get("sha256"):
        yield "Their SHA-256", str(weights["sha256"])
    yield "Input", f"{sees['height']} × {sees['width']} pixels, RGB, resize: {sees['resize']}"
    yield "Output", f"probabilities of {metadata['output']['classes']} classes"
    if source := metadata["dataset"].get("source"):
        yield "Photos", str(source)
    if fingerprint := metadata["dataset"].get("fingerprint"):
        yield "Their fingerprint", str(fingerprint)
    if created := metadata.get("created"):
        yield "Written", str(created)
    versions = metadata.get("versions", {})
    if versions:
        yield "Versions", ", ".join(f"{name} {version}" for name, version in versions.items())
