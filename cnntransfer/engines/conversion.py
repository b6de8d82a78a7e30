"""Keras model -> LiteRT file, and the cache of converted trunks.

Converting a backbone takes seconds and gives the same file every time, so the result is kept
in the user's cache folder, with its comparison with Keras, and only copied into bundles.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__, cache
from ..errors import OutputError
from ..frameworks import quiet, tensorflow
from ..models.backbones import Backbone
from ..models.weights import WeightsFile
from ..progress import SILENT, Observer
from ..storage import CACHE_VARIABLE, atomic_file, atomic_folder, cache_folder, sha256_of_file
from .parity import check_parity

_FILE, _DESCRIPTION = "trunk.tflite", "trunk.json"
_PROBES = 2


@dataclass(frozen=True)
class ConvertedTrunk:
    """A LiteRT file from image to features.

    Attributes:
        file: Where it is.
        sha256: Of its content, hexadecimal.
        parity: How it compares with Keras (:func:`check_parity`); ``None`` for an int8 version,
            which computes something else.
    """

    file: Path
    sha256: str
    parity: Mapping[str, Any] | None


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
) -> ConvertedTrunk:
    """The LiteRT file of a frozen trunk, converted and compared at most once per cache folder.

    Its name holds all that decides its content, so an entry never goes stale; a damaged one is
    made again.

    Args:
        build: Gives the trunk's Keras model, when it is needed.
        calibration: As for :func:`convert`.

    Raises:
        OutputError: the cache folder cannot be written.
        TrainingError: the file does not compute what the model computes.
    """
    height, width = image_size
    name = f"{backbone.name}-{height}x{width}-{pooling}-{weights.digest}-{versions()}"
    if len(calibration):
        pixels = hashlib.sha256(b"".join(image.tobytes() for image in calibration))
        name += f"-int8-{pixels.hexdigest()[:16]}"
    folder = cache_folder() / "trunks" / name
    trunk = _intact(folder)
    if trunk is None:
        observer.note(f"Preparing {backbone.name} for this machine: some seconds, once ...")
        try:
            with (
                observer.task(f"Preparing {backbone.name}"),
                atomic_folder(folder, overwrite=True) as draft,
            ):
                trunk = _convert_trunk(build(), draft, calibration)
        except OutputError:
            raise OutputError(
                f"Expected a cache folder that can be written. Received: {cache_folder()}. "
                f"Set {CACHE_VARIABLE} to one that can, or make room there."
            ) from None
        cache.trim()
    cache.use(folder)
    return dataclasses.replace(trunk, file=folder / _FILE)


def noise(model: Any, count: int = _PROBES) -> NDArray[np.uint8]:
    """Images that a model can be compared on, always the same; shape (count, height, width, 3)."""
    shape = (count, *model.input.shape[1:])
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _convert_trunk(
    model: Any, folder: Path, calibration: Sequence[NDArray[np.uint8]]
) -> ConvertedTrunk:
    file = folder / _FILE
    convert(model, file, calibration)
    parity = None if len(calibration) else check_parity(model, file, noise(model))
    trunk = ConvertedTrunk(file, sha256_of_file(file), parity)
    described = {"sha256": trunk.sha256, "parity": parity}
    (folder / _DESCRIPTION).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return trunk


def _intact(folder: Path) -> ConvertedTrunk | None:
    """What is kept, if it is what was written."""
    try:
        described = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
        trunk = ConvertedTrunk(folder / _FILE, described["sha256"], described["parity"])
        return trunk if sha256_of_file(trunk.file) == trunk.sha256 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def versions() -> str:
    """What else decides a converted file: who built and converted it, without importing them."""
    return f"{__version__}-tf{version('tensorflow')}-k{version('keras')}"
