"""Held-out photos that a training photo gives away, and the table of all near-duplicates.

Groups of the same picture are known before the split (:mod:`cnntransfer.data.duplicates`) and lie
on one side. What only features show, such as another crop or a photo taken a moment later, is
known after it, and reported: moving photos then would make the split depend on the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..data.dataset import Dataset
from ..data.duplicates import Pictures
from ..data.thumbnails import Thumbnails
from ..errors import counted
from .features import Features

#: The least cosine of their features' angle, and the least correlation of their details. Each
#: alone is not enough: all forest tiles of a satellite have about the same features, and drawings
#: of an apple and of an orange the same detail. Measured: docs/evaluation.md.
_COSINE, _CORRELATION = 0.9, 0.5
#: The nearest are searched in so many random directions (Johnson and Lindenstrauss 1984), in which
#: a cosine of 0.9 comes out with a standard deviation of 0.02: 10,000 held-out photos are compared
#: with 40,000 in seconds.
_DIRECTIONS, _ERROR = 128, 0.1
_BLOCK = 256


class Alike(NamedTuple):
    """A held-out photo and a training photo that are nearly the same to the network.

    Attributes:
        held_out: Position of the one in the data set.
        training: Position of the other.
        distance: 1 - cosine of the angle between their features, seen from the mean.
    """

    held_out: int
    training: int
    distance: float


def across_the_split(
    dataset: Dataset, thumbnails: Thumbnails, training: Features, held_out: Features
) -> list[Alike]:
    """Pairs of a held-out photo and its nearest training photo that are nearly the same.

    Those that are known as near-duplicates by their pixels are left out.

    Args:
        dataset: The photos, with subsets and groups.
        thumbnails: Theirs.
        training: Features of the training photos.
        held_out: Features of the others.
    """
    mean = training.values.mean(axis=0)
    directions = _directions(len(mean))
    origin = mean @ directions
    near, far = (_unit(f.values @ directions - origin) for f in (held_out, training))
    plain = np.flatnonzero(training.views == 0)
    nearest, projected = _nearest(near, far[plain])
    rows = np.flatnonzero(projected >= _COSINE - _ERROR)
    others = plain[nearest[rows]]
    cosines = np.empty(len(rows), np.float32)
    for at in range(0, len(rows), _BLOCK):  # All at once would be as large as all features.
        part = slice(at, at + _BLOCK)
        one = _unit(held_out.values[rows[part]] - mean)
        cosines[part] = (one * _unit(training.values[others[part]] - mean)).sum(axis=1)
    group_of = {p: number for number, g in enumerate(dataset.groups) for p in g.positions}
    pairs = [
        Alike(position, other, 1 - cosine)
        for position, other, cosine in zip(
            held_out.samples[rows].tolist(),
            training.samples[others].tolist(),
            cosines.tolist(),
            strict=True,
        )
        if cosine >= _COSINE and group_of.get(position, -1) != group_of.get(other, -2)
    ]
    if not pairs:
        return []
    digests = [dataset.samples[p].digest for pair in pairs for p in pair[:2]]
    pictures = Pictures(thumbnails.of(digests))
    first, second = np.arange(0, len(digests), 2), np.arange(1, len(digests), 2)
    same = pictures.correlations(first, second).max(axis=0) >= _CORRELATION
    same &= pictures.have_detail[first] & pictures.have_detail[second]
    return [pair for pair, is_same in zip(pairs, same, strict=True) if is_same]


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: NDArray[np.float32] = values / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _directions(width: int) -> NDArray[np.float32]:
    """Random directions, or all there are, float32 of shape (width, directions)."""
    if width <= _DIRECTIONS:
        return np.eye(width, dtype=np.float32)
    return np.random.default_rng(0).standard_normal((width, _DIRECTIONS), np.float32)


def _nearest(
    one: NDArray[np.float32], other: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each row of ``one``, the row of ``other`` with the highest cosine, and that cosine."""
    nearest = np.empty(len(one), np.intp)
    cosines = np.empty(len(one), np.float32)
    for at in range(0, len(one), _BLOCK):
        products = one[at : at + _BLOCK] @ other.T
        nearest[at : at + _BLOCK] = products.argmax(axis=1)
        cosines[at : at + _BLOCK] = products.max(axis=1)
    return nearest, cosines


def remarks(dataset: Dataset, alike: Sequence[Alike]) -> Iterator[str]:
    """What a user should know of them."""
    if not alike:
        return
    example = " and ".join(dataset.name_of(dataset.samples[p].path) for p in alike[0][:2])
    yield (
        f"{counted(len(alike), 'held-out photo')} nearly the same to the network as a training "
        f"photo (see near_duplicates.csv), such as {example}: if they show the same thing, the "
        "held-out figures flatter the model. Folders train/ and val/ of your own keep them together"
    )


def describe_near_duplicates(dataset: Dataset, alike: Sequence[Alike]) -> dict[str, int]:
    """The metadata's part: groups by pixels and their photos, and pairs by features."""
    return {
        "groups": len(dataset.groups),
        "photos": sum(len(group.positions) for group in dataset.groups),
        "pairs_by_features": len(alike),
    }


def write_near_duplicates(bundle: Bundle, dataset: Dataset, alike: Sequence[Alike]) -> None:
    """Write the table: a row for every photo of every group, the pairs by features last."""
    groups = [
        *(("pixels", group.positions, group.distances) for group in dataset.groups),
        *(("features", (p.training, p.held_out), (0.0, p.distance)) for p in alike),
    ]
    bundle.write_table(
        "near_duplicates",
        ("group", "file", "label", "subset", "distance", "by"),
        (
            _row(dataset, number, position, distance, by)
            for number, (by, positions, distances) in enumerate(groups, start=1)
            for position, distance in zip(positions, distances, strict=True)
        ),
    )


def _row(dataset: Dataset, group: int, position: int, distance: float, by: str) -> dict[str, Any]:
    sample = dataset.samples[position]
    return {
        "group": group,
        "file": dataset.name_of(sample.path),
        "label": sample.label,
        "subset": sample.subset,
        "distance": f"{distance:.4f}",
        "by": by,
    }
