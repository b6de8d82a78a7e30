"""How good a bundle is on labelled images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .data.dataset import relative_name
from .data.images import read_bytes
from .data.index import SUBSET_NAMES, Entry, Listing, list_images
from .errors import DataError, ImageError, counted, nearest
from .metrics import Evaluation, figures
from .parallel import available_cores, ordered_map
from .predict import predict
from .progress import SILENT, Observer

#: Digest of an image's file -> the subsets that the bundle's run had it in: one, or for copies
#: that the user put into several, all of them.
_Split = Mapping[str, set[str]]


@dataclass(frozen=True)
class BundleEvaluation(Evaluation):
    """Figures of a bundle, and how many of the images it had been trained on.

    Attributes:
        trained_on: How many of the judged images are, byte for byte, training images of the
            bundle's run; ``None`` where the bundle does not tell.
    """

    trained_on: int | None = None


def evaluate(
    bundle: Bundle, source: Path, subset: str | None = None, observer: Observer = SILENT
) -> BundleEvaluation:
    """Judge a bundle on a folder with one sub-folder per class, or on a manifest.

    Args:
        bundle: The classifier.
        source: Where the labelled images are.
        subset: Which subset of a source that has subsets; default: ``test``, else ``val``,
            else everything. Of a source without any, the images that the bundle's run had in
            that subset, known by their content.
        observer: Hears of the progress, of images that were trained on and of those left out.

    Raises:
        DataError: the images' classes are none of the model's, there is no such subset, or no
            image can be read.
        BundleError: the bundle is damaged.
    """
    listing = list_images(source)
    index = {name: i for i, name in enumerate(bundle.class_names)}
    _check_classes(listing, index)
    if listing.repeated:
        observer.note(f"{counted(listing.repeated, 'line')} of {source} repeated: counted once")
    split = _split_of(bundle)
    has_layout = any(entry.subset for entry in listing.entries)
    if subset is not None and split and not has_layout:
        name = _own_subset(subset, split, source)
        known = _look_up(listing.entries, split, observer)
        entries = _choose_by_content(name, known, source, observer)
    else:
        entries = _choose_by_layout(listing, subset)
        known = _look_up(entries, split, observer) if split else {}

    judged, rows, rejected = _predict(bundle, entries, listing, observer)
    labels = np.array([index[entry.label] for entry in judged], dtype=np.int64)
    trained_on = sum("train" in known.get(entry, ()) for entry in judged)
    if trained_on:
        choices = set() if subset or has_layout else set().union(*known.values())
        observer.note(_flattery(trained_on, len(judged), choices))
    result = figures(bundle.class_names, labels, np.stack(rows), rejected)
    return BundleEvaluation(**vars(result), trained_on=None if split is None else trained_on)


def _predict(
    bundle: Bundle, entries: Sequence[Entry], listing: Listing, observer: Observer
) -> tuple[list[Entry], list[NDArray[np.float32]], list[tuple[str, str]]]:
    """The readable images, the probabilities of each, and (file, reason) of the others.

    Raises:
        DataError: no image can be read.
    """
    judged, rows, rejected = [], [], []
    with observer.task("Evaluating", total=len(entries)) as advance:
        predictions = predict(bundle, [entry.path for entry in entries])
        for entry, prediction in zip(entries, predictions, strict=True):
            if prediction.probabilities is None:
                file = relative_name(entry.path, listing.root)
                rejected.append((file, prediction.rejected or ""))
            else:
                judged.append(entry)
                rows.append(prediction.probabilities)
            advance(1)
    if not rows:
        raise DataError(
            f"Expected readable images in {listing.source}. Received: none of {len(entries)} can "
            f"be read; {rejected[0][0]}: {rejected[0][1]}."
        )
    return judged, rows, rejected


def _split_of(bundle: Bundle) -> _Split | None:
    """How the bundle's run split its images; ``None`` where the bundle has no list of them."""
    if not bundle.has_table("splits"):
        return None
    split: dict[str, set[str]] = {}
    for row in bundle.read_table("splits", "subset", "digest"):
        split.setdefault(row["digest"], set()).add(row["subset"])
    return split


def _look_up(entries: Sequence[Entry], split: _Split, observer: Observer) -> dict[Entry, set[str]]:
    """The run's subsets of every image; none of those that it has not seen or cannot be read."""

    def look_up(entry: Entry) -> set[str]:
        try:
            digest = hashlib.sha256(read_bytes(entry.path)).hexdigest()
        except ImageError:
            return set()
        return split.get(digest, set())

    known = {}
    with observer.task("Comparing with the run's images", total=len(entries)) as advance:
        results = ordered_map(look_up, entries, available_cores())
        for entry, names in zip(entries, results, strict=True):
            known[entry] = names
            advance(1)
    return known


def _flattery(trained_on: int, images: int, choices: Iterable[str]) -> str:
    """What to say when training images were judged, and what to do about it.

    Args:
        trained_on: How many there were.
        images: Of how many.
        choices: The run's subsets that ``--subset`` could choose instead.
    """
    said = (
        f"{trained_on} of {counted(images, 'image')} {'was' if trained_on == 1 else 'were'} "
        "trained on, so the figures flatter."
    )
    for name in ("test", "val"):
        if name in choices:
            return f"{said} For the held-out images only: --subset {name}"
    return f"{said} Measure on images that the model has not seen."


def _own_subset(wanted: str, split: _Split, source: Path) -> str:
    """The run's subset that is meant, for a source that has none."""
    name = SUBSET_NAMES.get(wanted.lower())
    there = set().union(*split.values())
    if name is None or name not in there:
        names = [known for known in ("train", "val", "test") if known in there]
        raise DataError(
            f"--subset: expected one of the model's own subsets ({', '.join(names)}), because "
            f"{source} has none. Received: {wanted!r}.{nearest(wanted, names)}"
        )
    return name


def _choose_by_content(
    name: str, known: Mapping[Entry, set[str]], source: Path, observer: Observer
) -> list[Entry]:
    chosen = [entry for entry, names in known.items() if name in names]
    if not chosen:
        raise DataError(
            f"--subset: expected images of the model's own subset {name!r} in {source}. Received: "
            f"{counted(len(known), 'image')}, none of them one of those, byte for byte. "
            "To measure on all of them, leave --subset out."
        )
    if unseen := sum(not names for names in known.values()):
        observer.note(f"{counted(unseen, 'image')} left out: in none of the model's own subsets")
    return chosen


def _choose_by_layout(listing: Listing, wanted: str | None) -> list[Entry]:
    there = {entry.subset for entry in listing.entries}
    chosen: set[str | None]
    if wanted is None:
        chosen = next(({name} for name in ("test", "val") if name in there), there)
    else:
        name = SUBSET_NAMES.get(wanted.lower())
        if name not in there or name is None:
            names = ", ".join(sorted(name for name in there if name)) or "no subsets"
            raise DataError(
                f"--subset: expected one of those in {listing.source} ({names}). "
                f"Received: {wanted!r}."
            )
        chosen = {name}
    return [entry for entry in listing.entries if entry.subset in chosen]


def _check_classes(listing: Listing, index: dict[str, int]) -> None:
    unknown = [name for name in listing.class_names if name not in index]
    if unknown:
        known = list(index)
        raise DataError(
            f"Expected the model's classes: {', '.join(known[:10])}{', ...' * (len(known) > 10)}. "
            f"Received: {', '.join(map(repr, unknown[:5]))} in {listing.source}."
        )
