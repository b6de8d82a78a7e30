"""Predictions of a bundle for files, folders and globs, in constant memory."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .data import idx
from .data.images import is_there, read
from .data.index import images_below
from .engines.litert import LiteRTEngine
from .errors import DataError, ImageError
from .parallel import available_cores, ordered_map

if TYPE_CHECKING:
    from .novelty import Boundary

#: The label of an image that is too far from the training images.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image, or why it says nothing.

    Attributes:
        path: The image file.
        class_names: The model's classes.
        probabilities: float32, shape (classes,); ``None`` for a rejected image.
        rejected: Why the image could not be used; ``None`` otherwise.
        unknown: Whether the image is too far from the training images; ``None`` if nobody asked.
        distance: How far it is, where that was asked for and the image could be used; 1 is typical
            of images like the training images.
    """

    path: Path
    class_names: tuple[str, ...]
    probabilities: NDArray[np.float32] | None = None
    rejected: str | None = None
    unknown: bool | None = None
    distance: float | None = None

    def top(self, count: int = 1) -> list[tuple[str, float]]:
        """The most probable classes with their probabilities, best first; equal ones by place."""
        if self.probabilities is None:
            return []
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.class_names[i], float(self.probabilities[i])) for i in order]

    @property
    def label(self) -> str | None:
        """The most probable class, or ``"unknown"``; ``None`` for a rejected image."""
        if self.unknown:
            return UNKNOWN
        return self.top()[0][0] if self.probabilities is not None else None

    def to_dict(self, count: int = 5) -> dict[str, Any]:
        """Plain values: file, label, probability, top, rejected.

        Where it was asked for, unknown and distance, too. An unknown image has the label
        ``"unknown"`` and no probability; what the classes' are is in top.
        """
        best = self.top(count)
        judged = {"unknown": self.unknown, "distance": self.distance}
        return {
            "file": str(self.path),
            "label": self.label,
            "probability": best[0][1] if best and not self.unknown else None,
            "top": [{"label": label, "probability": value} for label, value in best],
            "rejected": self.rejected,
            **({} if self.unknown is None else judged),
        }


def predict(
    bundle: Bundle,
    paths: Sequence[Path],
    engine: LiteRTEngine | None = None,
    boundary: Boundary | None = None,
) -> Iterator[Prediction]:
    """Predict image files, in order, as fast as they can be read.

    A file that is no readable image gives a rejected :class:`Prediction`; the rest goes on.

    Args:
        bundle: What to predict with.
        paths: The files.
        engine: The bundle's, where it is loaded already.
        boundary: Where the unknown begins; without it, every image is of some class.

    Raises:
        BundleError: the bundle is damaged.
    """
    running = engine or engine_for(bundle, len(paths))
    spec, names = bundle.input_spec, bundle.class_names

    def one(path: Path) -> Prediction:
        try:
            outputs = running.run(read(path, spec))
        except ImageError as error:
            unknown = None if boundary is None else False
            return Prediction(path, names, rejected=error.reason, unknown=unknown)
        if boundary is None:
            return Prediction(path, names, outputs.probabilities)
        distance = boundary.distance(outputs.features)
        unknown = boundary.is_beyond(distance)
        return Prediction(path, names, outputs.probabilities, unknown=unknown, distance=distance)

    return ordered_map(one, paths, workers_for(len(paths)))


def workers_for(images: int) -> int:
    """How many images are read and run at a time: one a core, where there are enough."""
    return min(available_cores(), max(1, images))


def engine_for(bundle: Bundle, images: int, *, packed: bool = False) -> LiteRTEngine:
    """The bundle's files, loaded for so many images.

    Args:
        bundle: What to run.
        images: How many images are going to be run.
        packed: For a single image, take what :func:`.engines.packed.keep_packed` keeps. LiteRT
            then writes a few lines to stderr when Python is taken down.

    Raises:
        BundleError: the bundle is damaged.
    """
    # One image is fastest with all cores inside it, many with one core each.
    workers = workers_for(images)
    threads = available_cores() // workers
    return LiteRTEngine(bundle.litert_files, workers, threads, packed=packed and images == 1)


def expand(arguments: Iterable[str | Path]) -> list[Path]:
    """The images that files, folders (with all below them) and globs stand for.

    An IDX file stands for all images in it.

    Raises:
        DataError: something does not exist, a folder or glob holds no image, or an IDX file is
            damaged.
    """
    paths: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = list(images_below(path))
            if not found:
                raise DataError(f"Expected images. Received: {path}, a folder without any.")
        elif path.exists() or path.is_symlink() or is_there(path):
            found = _images_in(path)
        elif glob.has_magic(str(argument)):
            names = glob.glob(str(argument), recursive=True)
            matches = sorted(map(Path, names))
            found = [image for match in matches if match.is_file() for image in _images_in(match)]
            if not found:
                raise DataError(f"Expected images. Received: {argument}, which matches no file.")
        else:
            raise DataError(
                f"Expected an image, a folder or a pattern such as 'photos/*.jpg'. "
                f"Received: {argument}, which does not exist."
            )
        paths += found
    return paths


def _images_in(file: Path) -> list[Path]:
    """The file itself, or all images in an IDX file."""
    return idx.members(file) if idx.is_images_name(file) and file.exists() else [file]
