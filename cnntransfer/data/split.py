"""Which images train, which validate, which test: decided by each photo's content alone.

A photo's content digest, hashed with the split seed, is a number in [0, 1); below the
threshold it is held out. So byte-identical files always fall on one side, and adding, renaming
or re-ordering photos and classes moves no other photo. Near-duplicates go where the largest file
among them goes; so a smaller copy that is added moves nothing either. The price is that a class's
held-out share is right on average, not exactly. Only where that leaves a class without an image
on a side, the photo nearest to the threshold is moved, with all its copies.
"""

from __future__ import annotations

import dataclasses
import hashlib

from ..errors import DataError, counted
from .dataset import Dataset, Sample


def split(
    dataset: Dataset, validation_split: float, test_split: float = 0.0, seed: int = 0
) -> Dataset:
    """Give every sample a subset; subsets that the user chose are kept.

    The data set's groups of near-duplicates stay together where nobody chose otherwise.

    Where the user chose a validation subset nothing is taken for validation, and likewise
    for test.

    Raises:
        DataError: fewer than two classes, no image to train on, or a class with too few different
            images.
    """
    given = {sample.subset for sample in dataset.samples} - {None}
    validation = 0.0 if "val" in given else validation_split
    test = 0.0 if "test" in given else test_split
    shares = [(name, share) for name, share in (("test", test), ("val", validation)) if share]
    needed = ["train", *(name for name, _ in shares)]

    _check_two_classes(dataset)
    open_samples = [s for s in dataset.samples if _is_open(s)]
    if not open_samples:
        raise DataError(
            f"Expected images to train on. Received: {counted(len(dataset), 'image')}, each in "
            f"{' or '.join(sorted(filter(None, given)))}. Add a training subset."
        )
    keys = _keys(dataset)
    places = {key: place(key, seed) for key in {keys[s.digest] for s in open_samples}}
    subsets = {key: _subset_at(at, shares) for key, at in places.items()}
    _check_sizes(dataset, open_samples, keys, needed)
    _leave_no_side_empty(open_samples, keys, places, subsets, needed)
    samples = tuple(
        dataclasses.replace(s, subset=subsets[keys[s.digest]]) if _is_open(s) else s
        for s in dataset.samples
    )
    return dataclasses.replace(dataset, samples=samples)


def place(digest: str, seed: int) -> float:
    """A photo's place in [0, 1), the same wherever and whenever it is asked for."""
    hashed = hashlib.sha256(f"{seed}:{digest}".encode()).digest()
    return int.from_bytes(hashed[:8], "big") / 2**64


def _is_open(sample: Sample) -> bool:
    """Whether the user has not assigned it, or put it into train/ without choosing the others."""
    return sample.subset in (None, "train")


def _keys(dataset: Dataset) -> dict[str, str]:
    """Digest -> the digest whose place decides: the photo's own, or that of the group's first.

    Of a group, only what is open counts: a copy that lies in the user's test/ moves nothing.
    """
    keys = {sample.digest: sample.digest for sample in dataset.samples}
    for group in dataset.groups:
        digests = [s.digest for p in group.positions if _is_open(s := dataset.samples[p])]
        keys.update(dict.fromkeys(digests, digests[0]) if digests else {})
    return keys


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


def _check_sizes(
    dataset: Dataset, samples: list[Sample], keys: dict[str, str], needed: list[str]
) -> None:
    digests: dict[str, set[str]] = {name: set() for name in dataset.class_names}
    for sample in samples:
        digests[sample.label].add(sample.digest)
    for name, of_class in digests.items():
        different = len({keys[digest] for digest in of_class})
        if different < len(needed):
            alike = way_out = ""
            if different < len(of_class):
                alike = f", as near-duplicates among its {len(of_class)} count once"
                folders = " and ".join(f"{subset}/" for subset in needed)
                way_out = f", or put its images into folders {folders} yourself"
            raise DataError(
                f"Expected at least {len(needed)} different readable images of every class "
                f"({' and '.join(needed)}). Received: {different} of class {name!r}{alike}. "
                f"Add images to it or remove the class{way_out}."
            )


def _leave_no_side_empty(
    samples: list[Sample],
    keys: dict[str, str],
    places: dict[str, float],
    subsets: dict[str, str],
    needed: list[str],
) -> None:
    """Move as few photos as needed so that every class has one in every needed subset.

    Photos are named by their key here, so that all copies move together.
    """
    by_class: dict[str, set[str]] = {}
    for sample in samples:
        by_class.setdefault(sample.label, set()).add(keys[sample.digest])
    # Ordered by content, not by name, so that renaming a class changes nothing.
    classes = sorted(sorted(photos, key=places.__getitem__) for photos in by_class.values())
    for photos in classes:
        for name in needed:
            if any(subsets[photo] == name for photo in photos):
                continue
            spare = [p for p in photos if sum(subsets[o] == subsets[p] for o in photos) > 1]
            # Held-out sides take the photo with the lowest place, training the highest.
            subsets[spare[-1] if name == "train" else spare[0]] = name
    copies = "near-duplicates" if len(set(keys.values())) < len(keys) else "byte-identical images"
    for photos in classes:
        if missing := [n for n in needed if all(subsets[p] != n for p in photos)]:
            raise DataError(
                f"Cannot put an image of every class into {missing[0]}: some classes share "
                f"{copies}. Remove the copies from all classes but the right one."
            )
