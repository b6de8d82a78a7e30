"""Keras model -> LiteRT file, and the cache of converted trunks.

Converting a backbone takes seconds and gives the same file every time, so the result is kept
in the user's cache folder and only copied into bundles.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__, cache
from ..errors import OutputError
from ..frameworks import quiet, tensorflow
from ..progress import SILENT, Observer
from ..storage import CACHE_VARIABLE, atomic_file, atomic_folder, cache_folder, sha256_of_file
from .backbones import Backbone
from .weights import WeightsFile

_FILE, _CHECKSUM = "trunk.tflite", "sha256.txt"


def convert(model: Any, target: Path, calibration: Sequence[NDArray[np.uint8]] = ()) -> None:
    """Write a Keras model as a LiteRT file with a dynamic batch dimension.

    Args:
        model: Takes float32 and gives float32.
        target: The file.
        calibration: Images, uint8 (height, width, 3), whose activations give the ranges of an
            int8 version; without them the file computes in float32.
    """
    # Not model.export(format="litert"): Keras 3.12, the last for Python 3.10, lacks it.
    lite = tensorflow().lite
    converter = lite.TFLiteConverter.from_keras_model(model)
    if len(calibration):

        def images() -> Iterator[list[NDArray[np.float32]]]:
            for image in calibration:
                yield [image[np.newaxis].astype(np.float32)]

        converter.optimizations = [lite.Optimize.DEFAULT]
        converter.representative_dataset = images
    # It prints, too, where sys.stdout is not the process's (notebooks).
    with quiet(), redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = converter.convert()
    with atomic_file(target) as draft:
        draft.write_bytes(content)


def converted_trunk(
    backbone: Backbone,
    image_size: tuple[int, int],
    pooling: str,
    weights: WeightsFile,
    build: Callable[[], Any],
    observer: Observer = SILENT,
    calibration: Sequence[NDArray[np.uint8]] = (),
) -> Path:
    """The LiteRT file of a frozen trunk, converted at most once per cache folder.

    Its name holds all that decides its content, so an entry never goes stale; a damaged one is
    made again.

    Args:
        build: Gives the trunk's Keras model, when it is needed.
        calibration: As for :func:`convert`.
    """
    height, width = image_size
    name = f"{backbone.name}-{height}x{width}-{pooling}-{weights.digest}-{versions()}"
    if len(calibration):
        pixels = hashlib.sha256(b"".join(image.tobytes() for image in calibration))
        name += f"-int8-{pixels.hexdigest()[:16]}"
    folder = cache_folder() / "trunks" / name
    if not _is_intact(folder):
        observer.note(f"Preparing {backbone.name} for this machine: some seconds, once ...")
        try:
            with (
                observer.task(f"Preparing {backbone.name}"),
                atomic_folder(folder, overwrite=True) as draft,
            ):
                convert(build(), draft / _FILE, calibration)
                (draft / _CHECKSUM).write_text(sha256_of_file(draft / _FILE), encoding="ascii")
        except OutputError:
            raise OutputError(
                f"Expected a cache folder that can be written. Received: {cache_folder()}. "
                f"Set {CACHE_VARIABLE} to one that can, or make room there."
            ) from None
        cache.trim()
    cache.use(folder)
    return folder / _FILE


def _is_intact(folder: Path) -> bool:
    try:
        recorded = (folder / _CHECKSUM).read_text(encoding="ascii")
        return sha256_of_file(folder / _FILE) == recorded
    except (OSError, UnicodeDecodeError):
        return False


def versions() -> str:
    """What else decides a converted file: who built and converted it, without importing them."""
    return f"{__version__}-tf{version('tensorflow')}-k{version('keras')}"
