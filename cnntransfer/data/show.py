"""``--show-input``: what the network sees, as PNG files to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from ..storage import atomic_folder, check_target
from .augment import Augmenter
from .dataset import Dataset, Pixels
from .fitting import InputSpec
from .images import read

SHOW_INPUT = "--show-input"
#: More would fill a disk without showing more.
MOST_IMAGES = 100
#: So many views of an image are shown before another class is: they show what augmentation does.
_ENOUGH_VIEWS = 10


def write_inputs(paths: Sequence[Path], spec: InputSpec, folder: Path) -> None:
    """Write the first images as a model with this input sees them.

    Raises:
        OutputError: the folder exists or cannot be written.
    """

    def pictures() -> Iterable[tuple[str, NDArray[np.uint8]]]:
        for path in paths[:MOST_IMAGES]:
            try:
                yield path.stem, read(path, spec)
            except ImageError:
                continue  # The command itself reports it.

    _write(folder, pictures())


def write_views(
    dataset: Dataset, pixels: Pixels, augmenter: Augmenter, views: int, folder: Path
) -> None:
    """Write some training images of every class in all their views, 100 pictures at most.

    Where an image of every class in all its views would be more than that, first the views beyond
    ten are left out, then classes; those shown are spread evenly over all.

    Raises:
        OutputError: the folder exists or cannot be written.
    """
    names = dataset.class_names
    views = min(views, max(_ENOUGH_VIEWS, MOST_IMAGES // len(names)))
    wanted = _spread(names, MOST_IMAGES // views)

    def pictures() -> Iterable[tuple[str, NDArray[np.uint8]]]:
        for position in dataset.subset("train"):
            sample = dataset.samples[position]
            if wanted[sample.label]:
                wanted[sample.label] -= 1
                for view in range(views):
                    picture = augmenter.view(pixels[position], sample.digest, view)
                    yield f"{sample.label}-{sample.path.stem}-view{view}", picture

    _write(folder, pictures())


def _spread(names: Sequence[str], images: int) -> dict[str, int]:
    """How many images of each class to show: the same of all, or one each of evenly spread ones."""
    if len(names) <= images:
        return dict.fromkeys(names, images // len(names))
    chosen = {names[place * len(names) // images] for place in range(images)}
    return {name: int(name in chosen) for name in names}


def _write(folder: Path, pictures: Iterable[tuple[str, NDArray[np.uint8]]]) -> None:
    check_target(folder, overwrite=False, option=SHOW_INPUT)
    with atomic_folder(folder) as draft:
        for number, (name, picture) in enumerate(pictures):
            safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:60]
            Image.fromarray(picture).save(draft / f"{number:04d}-{safe}.png")
