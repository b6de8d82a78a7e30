"""Export to one LiteRT file, from image to probabilities, for a runtime without cnntransfer.

It has the signature of :mod:`.saved_model`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..engines.conversion import convert_saved_model
from ..engines.litert import LiteRTEngine
from . import saved_model


def write(bundle: Bundle, target: Path) -> None:
    """Copy the bundle's file, or join its trunk and head into one."""
    files = bundle.litert_files
    if len(files) == 1:
        shutil.copyfile(files[0], target)
    else:
        with tempfile.TemporaryDirectory() as folder:
            saved_model.write(bundle, Path(folder))
            convert_saved_model(Path(folder), target)


def run(target: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of images, float32 (n, height, width, 3), shape (n, classes)."""
    engine = LiteRTEngine([target])
    return np.stack([engine.run(image).probabilities for image in images])
