"""What a user should know about their images before a model is trained on them."""

from __future__ import annotations

from collections.abc import Iterator

from .dataset import Dataset
from .index import Listing


def remarks(listing: Listing, dataset: Dataset) -> Iterator[str]:
    """One line each: how many images, what was left out, what is suspicious."""
    counts = {name: sum(by_class.values()) for name, by_class in dataset.counts().items()}
    yield (
        f"{len(dataset)} images of {len(dataset.class_names)} classes: "
        + ", ".join(f"{counts[name]} {name}" for name in ("train", "val", "test") if name in counts)
    )
    if dataset.rejected:
        first = dataset.rejected[0]
        yield (
            f"{len(dataset.rejected)} unreadable images left out (see rejected.csv), such as "
            f"{dataset.name_of(first.path)}: {first.reason}"
        )
    if listing.ignored:
        yield f"{listing.ignored} other files ignored (no images, or in no class folder)"
    if listing.empty_classes:
        yield f"Folders without images ignored: {', '.join(listing.empty_classes[:10])}"
    sides: dict[str, set[str | None]] = {}
    labels: dict[str, set[str]] = {}
    for sample in dataset.samples:
        sides.setdefault(sample.digest, set()).add(sample.subset)
        labels.setdefault(sample.digest, set()).add(sample.label)
    if straddling := sum(len(subsets) > 1 for subsets in sides.values()):
        yield (
            f"{straddling} images lie byte-identical in more than one of your subsets; "
            "the held-out figures flatter the model"
        )
    if contradicting := sum(len(names) > 1 for names in labels.values()):
        yield f"{contradicting} images lie byte-identical in more than one class"
