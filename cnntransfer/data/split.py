"""Which images train, which validate, which test: decided by each photo's content alone.

A photo's content digest, hashed with the split seed, is a number in [0, 1); below the
threshold it is held out. So byte-identical files always fall on one side, and adding, renaming
or re-ordering photos and classes moves no other photo. The price is that a class's held-out
share is right on average, not exactly. Only where that leaves a class without an image on a
side, the photo nearest to the threshold is moved, with all its copies.
"""

from __future__ import annotations

import dataclasses
import hashlib

from ..errors import DataError
from .dataset import Dataset, Sample


def split(
    dataset: Dataset, validation_split: float, test_split: float = 0.0, seed: int = 0
) -> Dataset:
    """Give every sample a subset; subsets that the user chose are kept.

    Where the user chose a validation subset nothing is taken for validation, and likewise
    for test.

    Raises:
        DataError: fewer than two classes, or a class with too few different images.
    """
    given = {sample.subset for sample in dataset.samples} - {None}
    validation = 0.0 if "val" in given else validation_split
    test = 0.0 if "test" in given else test_split
    shares = [(name, share) for name, share in (("test", test), ("val", validation)) if share]
    needed = ["train", *(name for name, _ in shares)]

    _check_two_classes(dataset)
    # What the user has not assigned, or has put into train/ without choosing the others.
    open_samples = [s for s in dataset.samples if s.subset in (None, "train")]
    places = {s.digest: place(s.digest, seed) for s in open_samples}
    subsets = {digest: _subset_at(at, shares) for digest, at in places.items()}
    _check_sizes(dataset, open_samples, needed)
    _leave_no_side_empty(open_samples, places, subsets, needed)
    samples = tuple(
        dataclasses.replace(s, subset=subsets[s.digest]) if s.subset in (None, "train") else s
        for s in dataset.samples
    )
    return dataclasses.replace(dataset, samples=samples)


def place(digest: str, seed: int) -> float:
    """A photo's place in [0, 1), the same wherever and whenever it is asked for."""
    hashed = hashlib.sha256(f"{seed}:{digest}".encode()).digest()
    return int.from_bytes(hashed[:8], "big") / 2**64


def _subset_at(at: float, shares: list[tuple[str, float]]) -> str:
    threshold = 0.0
    for name, share in shares:
        threshold += share
        if at < threshold:
            return name
    return "train"


def _check_two_classes(dataset: Dataset) -> None:
    if len(dataset.class_names) < 2:
        raise DataError(
            "Expected at least two classes to tell apart. Received: one class, "
            f"{dataset.class_names[0]!r}. Add a second sub-folder with images of something else."
        )


def _check_sizes(dataset: Dataset, samples: list[Sample], needed: list[str]) -> None:
    digests: dict[str, set[str]] = {name: set() for name in dataset.class_names}
    for sample in samples:
        digests[sample.label].add(sample.digest)
    for name, different in digests.items():
        if len(different) < len(needed):
            raise DataError(
                f"Expected at least {len(needed)} different readable images of every class "
                f"({' and '.join(needed)}). Received: {len(different)} of class {name!r}. "
                "Add images to it or remove the class."
            )


def _leave_no_side_empty(
    samples: list[Sample], places: dict[str, float], subsets: dict[str, str], needed: list[str]
) -> None:
    """Move as few photos as needed so that every class has one in every needed subset."""
    by_class: dict[str, list[str]] = {}
    for sample in samples:
        by_class.setdefault(sample.label, []).append(sample.digest)
    # Ordered by content, not by name, so that renaming a class changes nothing.
    classes = sorted(sorted(set(d), key=places.__getitem__) for d in by_class.values())
    for digests in classes:
        for name in needed:
            if any(subsets[digest] == name for digest in digests):
                continue
            spare = [d for d in digests if sum(subsets[o] == subsets[d] for o in digests) > 1]
            # Held-out sides take the photo with the lowest place, training the highest.
            subsets[spare[-1] if name == "train" else spare[0]] = name
    for digests in classes:
        if missing := [n for n in needed if all(subsets[d] != n for d in digests)]:
            raise DataError(
                f"Cannot put an image of every class into {missing[0]}: some classes share "
                "byte-identical images. Remove the copies from all classes but the right one."
            )
