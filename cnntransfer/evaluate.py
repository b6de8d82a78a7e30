"""How good a bundle is on labelled images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .bundle import Bundle
from .data.dataset import relative_name
from .data.index import SUBSET_NAMES, Listing, list_images
from .errors import DataError
from .metrics import Evaluation, figures
from .predict import predict
from .progress import SILENT, Observer


def evaluate(
    bundle: Bundle, source: Path, subset: str | None = None, observer: Observer = SILENT
) -> Evaluation:
    """Judge a bundle on a folder with one sub-folder per class, or on a manifest.

    Args:
        bundle: The classifier.
        source: Where the labelled images are.
        subset: Which subset of a source that has subsets; default: ``test``, else ``val``,
            else everything.
        observer: Hears of the progress.

    Raises:
        DataError: the images' classes are none of the model's, or no image can be read.
    """
    listing = list_images(source)
    index = {name: i for i, name in enumerate(bundle.class_names)}
    _check_classes(listing, index)
    chosen = _choose_subsets(listing, subset)
    entries = [entry for entry in listing.entries if entry.subset in chosen]
    labels, rows, rejected = [], [], []
    with observer.task("Evaluating", total=len(entries)) as advance:
        predictions = predict(bundle, [entry.path for entry in entries])
        for entry, prediction in zip(entries, predictions, strict=True):
            if prediction.probabilities is None:
                name = relative_name(entry.path, listing.root)
                rejected.append((name, prediction.rejected or ""))
            else:
                labels.append(index[entry.label])
                rows.append(prediction.probabilities)
            advance(1)
    if not rows:
        raise DataError(
            f"Expected readable images in {source}. Received: none of {len(entries)} can be "
            f"read; {rejected[0][0]}: {rejected[0][1]}."
        )
    return figures(bundle.class_names, np.array(labels, dtype=np.int64), np.stack(rows), rejected)


def _choose_subsets(listing: Listing, wanted: str | None) -> set[str | None]:
    there = {entry.subset for entry in listing.entries}
    if wanted is None:
        return next(({name} for name in ("test", "val") if name in there), there)
    name = SUBSET_NAMES.get(wanted.lower())
    if name not in there or name is None:
        names = ", ".join(sorted(name for name in there if name)) or "no subsets"
        raise DataError(
            f"--subset: expected one of those in {listing.source} ({names}). Received: {wanted!r}."
        )
    return {name}


def _check_classes(listing: Listing, index: dict[str, int]) -> None:
    unknown = [name for name in listing.class_names if name not in index]
    if unknown:
        known = list(index)
        raise DataError(
            f"Expected the model's classes: {', '.join(known[:10])}{', ...' * (len(known) > 10)}. "
            f"Received: {', '.join(map(repr, unknown[:5]))} in {listing.source}."
        )
