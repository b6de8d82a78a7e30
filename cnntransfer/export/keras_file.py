"""Export to Keras' own format: the bundle's ``model.keras`` as it is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..frameworks import keras


def write(bundle: Bundle, target: Path) -> None:
    """Copy the file."""
    shutil.copyfile(bundle.keras_file, target)


def run(target: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of images, float32 (n, height, width, 3), shape (n, classes)."""
    model: Any = keras().saving.load_model(target, compile=False)
    return np.asarray(model.predict_on_batch(images))
