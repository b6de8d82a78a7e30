"""The data set: every readable image with its label, content digest and subset.

A :class:`Dataset` is made in three steps from a listing: :func:`read_dataset` reads each file
once (digest, decoding, rejection), :func:`cnntransfer.data.duplicates.near_duplicates` finds the
groups of the same picture, and :func:`cnntransfer.data.split.split` gives each image its subset.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError
from ..parallel import available_cores, ordered_map
from ..progress import SILENT, Observer
from .fitting import InputSpec
from .images import read, read_bytes
from .index import Entry, Listing

#: Decoded pixels kept in memory, so that several views and epochs decode a photo only once.
PIXEL_BUDGET = 384 * 2**20


@dataclass(frozen=True)
class Sample:
    """One readable image.

    Attributes:
        path: Where it is.
        label: Its class name.
        digest: SHA-256 of the file's bytes, hexadecimal: the photo's identity.
        subset: ``train``, ``val`` or ``test``; ``None`` until split.
        bytes: The file's size.
    """

    path: Path
    label: str
    digest: str
    subset: str | None = None
    bytes: int = 0


@dataclass(frozen=True)
class Rejected:
    """One image file that cannot be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Group:
    """Photos that are the same picture: near-duplicates.

    Attributes:
        positions: Theirs in the data set. The first is the largest file, which is mostly the one
            that the others were made of.
        distances: How much each differs from the first: 1 - correlation; 0 where no difference
            is seen.
    """

    positions: tuple[int, ...]
    distances: tuple[float, ...]


@dataclass(frozen=True)
class Dataset:
    """Labelled images and what was left out.

    Attributes:
        root: Folder that relative file names refer to.
        class_names: Sorted names; a class's place is its index in the model's output.
        samples: The readable images.
        rejected: The unreadable ones.
        ignored: Number of visible files that are no images.
        groups: Near-duplicates among the samples, where they were looked for.
    """

    root: Path
    class_names: tuple[str, ...]
    samples: tuple[Sample, ...]
    rejected: tuple[Rejected, ...] = ()
    ignored: int = 0
    groups: tuple[Group, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def subset(self, *names: str) -> list[int]:
        """The positions of the samples in these subsets, in order."""
        return [i for i, sample in enumerate(self.samples) if sample.subset in names]

    def pictures(self) -> list[str]:
        """Of every sample, what it has in common with near-duplicates and nothing else.

        That is its digest, or that of the first of its group.
        """
        digests = [sample.digest for sample in self.samples]
        for group in self.groups:
            for position in group.positions:
                digests[position] = self.samples[group.positions[0]].digest
        return digests

    def labels(self) -> NDArray[np.int64]:
        """Class indices, int64 array of shape (n,).

        Raises:
            DataError: a sample's label is none of ``class_names``.
        """
        index = {name: i for i, name in enumerate(self.class_names)}
        return np.array([index[sample.label] for sample in self.samples], dtype=np.int64)

    def counts(self) -> dict[str, Counter[str]]:
        """Images per subset and class."""
        counts: dict[str, Counter[str]] = {}
        for sample in self.samples:
            counts.setdefault(sample.subset or "", Counter())[sample.label] += 1
        return counts

    def name_of(self, path: Path) -> str:
        """A file's name as tables show it: relative to ``root`` where it lies below it."""
        return relative_name(path, self.root)

    def fingerprint(self) -> str:
        """SHA-256 over labels and digests: equal for the same photos whatever their names."""
        lines = sorted(f"{s.label}\t{s.subset}\t{s.digest}" for s in self.samples)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Pixels:
    """The images of a data set as the network sees them: uint8, shape (height, width, 3).

    Keeps what fits into a budget and decodes the rest again when asked.
    """

    def __init__(self, spec: InputSpec, budget: int = PIXEL_BUDGET) -> None:
        self.spec = spec
        self._paths: list[Path] = []
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._room = budget
        self._lock = threading.Lock()

    def append(self, path: Path, image: NDArray[np.uint8] | None) -> None:
        """Add the next image of the data set; ``None`` is one that was not decoded yet."""
        with self._lock:
            if image is not None and image.nbytes <= self._room:
                self._room -= image.nbytes
                self._kept[len(self._paths)] = image
            self._paths.append(path)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        kept = self._kept.get(position)
        return kept if kept is not None else read(self._paths[position], self.spec)


def read_dataset(
    listing: Listing,
    spec: InputSpec,
    observer: Observer = SILENT,
    is_readable: Callable[[str], bool] = lambda digest: False,
    take: Callable[[str, NDArray[np.uint8]], bool] = lambda digest, image: True,
) -> tuple[Dataset, Pixels]:
    """Read every file of a listing once: digest, decode, keep or reject.

    Args:
        listing: What :func:`cnntransfer.data.index.list_images` found.
        spec: The size that images are decoded to.
        is_readable: Whether the file of a digest is known to be intact; then it is decoded only
            when its pixels are asked for.
        take: Is given every digest with the image, on several threads; says whether the pixels
            are to be kept for later.
        observer: Hears of the progress.

    Raises:
        DataError: a class has no readable image.
    """

    def examine(entry: Entry) -> tuple[Sample, NDArray[np.uint8] | None] | Rejected:
        try:
            data = read_bytes(entry.path)
            digest = hashlib.sha256(data).hexdigest()
            sample = Sample(entry.path, entry.label, digest, entry.subset, len(data))
            if is_readable(digest):
                return sample, None
            image = read(data, spec)
            return sample, image if take(digest, image) else None
        except ImageError as error:
            return Rejected(entry.path, error.reason)

    samples: list[Sample] = []
    rejected: list[Rejected] = []
    pixels = Pixels(spec)
    with observer.task("Reading images", total=len(listing.entries)) as advance:
        for result in ordered_map(examine, listing.entries, available_cores()):
            if isinstance(result, Rejected):
                rejected.append(result)
            else:
                sample, image = result
                samples.append(sample)
                pixels.append(sample.path, image)
            advance(1)
    _check_classes(listing, samples, rejected)
    dataset = Dataset(
        listing.root, listing.class_names, tuple(samples), tuple(rejected), listing.ignored
    )
    return dataset, pixels


def relative_name(path: Path, root: Path) -> str:
    """``path`` relative to ``root`` with forward slashes, or as it is when elsewhere."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def _check_classes(listing: Listing, samples: list[Sample], rejected: list[Rejected]) -> None:
    readable = {sample.label for sample in samples}
    paths = {
        name: {entry.path for entry in listing.entries if entry.label == name}
        for name in set(listing.class_names) - readable
    }
    for name in listing.class_names:
        if name not in readable:
            example = next(r for r in rejected if r.path in paths[name])
            raise DataError(
                f"Expected readable images of every class. Received: none of class {name!r} can "
                f"be read; {relative_name(example.path, listing.root)}: {example.reason}. "
                "Replace the images or remove the class folder."
            )
