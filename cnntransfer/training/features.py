"""The frozen trunk's output for every (image, view), computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.augment import Augmenter
from ..data.dataset import Dataset, Pixels
from ..engines.litert import LiteRTEngine
from ..parallel import available_cores, ordered_map
from ..progress import SILENT, Observer


@dataclass(frozen=True)
class Features:
    """Pooled features of views of images.

    Attributes:
        values: float32, shape (rows, d).
        samples: int64, shape (rows,): the position in the data set that a row belongs to.
        views: int64, shape (rows,): the number of the view; 0 is the image itself.
    """

    values: NDArray[np.float32]
    samples: NDArray[np.int64]
    views: NDArray[np.int64]

    def of(self, samples: Sequence[int]) -> NDArray[np.float32]:
        """The features of unaugmented images, in the order asked for; shape (len(samples), d)."""
        rows = {int(s): row for row, s in enumerate(self.samples) if self.views[row] == 0}
        return self.values[[rows[sample] for sample in samples]]


def compute_features(
    trunk: Path,
    dataset: Dataset,
    pixels: Pixels,
    work: Sequence[tuple[int, int]],
    augmenter: Augmenter,
    observer: Observer = SILENT,
) -> Features:
    """Run a LiteRT trunk over (sample position, view number) pairs, in that order."""
    workers = available_cores()
    engine = LiteRTEngine([trunk], workers=workers)

    def extract(item: tuple[int, int]) -> NDArray[np.float32]:
        position, view = item
        image = augmenter.view(pixels[position], dataset.samples[position].digest, view)
        return engine.run(image).features

    rows = []
    with observer.task("Computing features", total=len(work), unit="images") as advance:
        for row in ordered_map(extract, work, workers):
            rows.append(row)
            advance(1)
    pairs = np.array(work, dtype=np.int64).reshape(-1, 2)
    return Features(np.stack(rows), pairs[:, 0], pairs[:, 1])


def views_of(dataset: Dataset, views: int) -> list[tuple[int, int]]:
    """The (sample, view) pairs of a run: training images in all views, the others as they are."""
    return [
        (position, view)
        for position, sample in enumerate(dataset.samples)
        for view in range(views if sample.subset == "train" else 1)
    ]
