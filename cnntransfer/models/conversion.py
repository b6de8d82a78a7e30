"""Keras model -> LiteRT file, and the cache of converted trunks.

Converting a backbone takes seconds and gives the same file every time, so the result is kept
in the user's cache folder and only copied into bundles.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import __version__
from ..frameworks import quiet, tensorflow
from ..progress import SILENT, Observer
from ..storage import atomic_file, cache_folder
from .backbones import Backbone
from .classifier import build_trunk
from .weights import WeightsFile


def convert(model: Any, target: Path) -> None:
    """Write a Keras model as a float32 LiteRT file with a dynamic batch dimension."""
    # Not model.export(format="litert"): Keras 3.12, the last for Python 3.10, lacks it.
    converter = tensorflow().lite.TFLiteConverter.from_keras_model(model)
    # It prints, too, where sys.stdout is not the process's (notebooks).
    with quiet(), redirect_stdout(io.StringIO()):
        content = converter.convert()
    with atomic_file(target) as draft:
        draft.write_bytes(content)


def converted_trunk(
    backbone: Backbone,
    image_size: tuple[int, int],
    pooling: str,
    weights: WeightsFile,
    observer: Observer = SILENT,
) -> Path:
    """The LiteRT file of a frozen trunk, converted at most once per cache folder.

    Its name holds all that decides its content, so an entry never goes stale.
    """
    height, width = image_size
    key = f"{weights.digest}-{versions()}"
    name = f"{backbone.name}-{height}x{width}-{pooling}-{key}.tflite"
    target = cache_folder() / "trunks" / name
    if not target.is_file():
        observer.note(f"Preparing {backbone.name} for this machine: some seconds, once ...")
        with observer.task(f"Preparing {backbone.name}"):
            convert(build_trunk(backbone, image_size, pooling, weights).model, target)
    return target


def versions() -> str:
    """What else decides a converted file: who built and converted it, without importing them."""
    return f"{__version__}-tf{version('tensorflow')}-k{version('keras')}"
