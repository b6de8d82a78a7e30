"""Every image of a data set in every view: what networks are shown, and what it is kept under."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .augment import Augmenter
from .dataset import Dataset, Pixels

#: Position of a sample in its data set, and the number of the view; 0 is the image itself.
Request = tuple[int, int]


@dataclass(frozen=True)
class Views:
    """The images of a data set and the augmented versions of them.

    Attributes:
        dataset: Samples with subsets.
        pixels: Their images, by the same positions.
        augmenter: Makes views.
    """

    dataset: Dataset
    pixels: Pixels
    augmenter: Augmenter

    def image(self, request: Request) -> NDArray[np.uint8]:
        """The pixels, uint8 (height, width, 3)."""
        position, view = request
        digest = self.dataset.samples[position].digest
        return self.augmenter.view(self.pixels[position], digest, view)

    def key(self, request: Request) -> tuple[str, int]:
        """What decides the pixels beside the settings: the file's digest and the view."""
        return self.dataset.samples[request[0]].digest, request[1]

    def requests(self, count: int, *subsets: str) -> list[Request]:
        """Some subsets' images, each in views 0 to ``count - 1``."""
        positions = self.dataset.subset(*subsets)
        return [(position, view) for position in positions for view in range(count)]
