"""What a user should know about their images before a model is trained on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..errors import counted
from .dataset import Dataset
from .index import Listing

#: So many times as many photos of one class as of another matter.
_UNBALANCED = 5


def remarks(listing: Listing, dataset: Dataset, batch_size: int) -> Iterator[str]:
    """One line each: how many images, what was left out, what is suspicious."""
    counts = {name: sum(by_class.values()) for name, by_class in dataset.counts().items()}
    yield (
        f"{counted(len(dataset), 'image')} of "
        f"{counted(len(dataset.class_names), 'class', 'classes')}: "
        + ", ".join(f"{counts[name]} {name}" for name in ("train", "val", "test") if name in counts)
    )
    if dataset.rejected:
        first = dataset.rejected[0]
        yield (
            f"{counted(len(dataset.rejected), 'unreadable image')} left out "
            f"(see rejected.csv), such as {dataset.name_of(first.path)}: {first.reason}"
        )
    if listing.ignored:
        yield f"{counted(listing.ignored, 'other file')} ignored (no images, or in no class folder)"
    if listing.repeated:
        yield f"{counted(listing.repeated, 'repeated line')} of {listing.source} counted once"
    if listing.empty_classes:
        yield f"Folders without images ignored: {', '.join(listing.empty_classes[:10])}"
    if counts.get("train", 0) < batch_size:
        yield (
            f"Only {counted(counts.get('train', 0), 'training image')}, fewer than a batch "
            f"(batch_size {batch_size})"
        )
    training = dataset.counts().get("train", Counter())
    if training and max(training.values()) >= _UNBALANCED * min(training.values()):
        (most, many), *_, (least, few_of_it) = training.most_common()
        yield (
            f"Unbalanced: {many} training photos of {most}, {few_of_it} of {least}. If the rare "
            "matter as much, try --class-weight balanced"
        )
    for subset in ("val", "test"):
        held_out = dataset.counts().get(subset, Counter())
        if few := [name for name in held_out if held_out[name] >= training[name]]:
            yield (
                f"Few photos, so chance decides a lot: {subset} holds as many as train or more of "
                f"{', '.join(few[:5])}. Another --split-seed splits them otherwise"
            )
    sides: dict[str, set[str | None]] = {}
    labels: dict[str, set[str]] = {}
    for sample in dataset.samples:
        sides.setdefault(sample.digest, set()).add(sample.subset)
        labels.setdefault(sample.digest, set()).add(sample.label)
    if straddling := sum(len(subsets) > 1 for subsets in sides.values()):
        yield (
            f"{counted(straddling, 'image is', 'images are')} byte-identical in more than one of "
            "your subsets; the held-out figures flatter the model"
        )
    if contradicting := sum(len(names) > 1 for names in labels.values()):
        several = counted(contradicting, "image is", "images are")
        yield f"{several} byte-identical in more than one class"
