"""Keras model -> LiteRT file, and the cache of converted trunks.

Converting a backbone takes seconds and gives the same file every time, so the result is kept
in the user's cache folder, with its comparison with Keras, and only copied into bundles.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import tempfile
import time
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
from ..frameworks import keras, quiet, tensorflow
from ..models.archive import write_classifier
from ..models.head import HeadModel, head_layers, initial_weights
from ..progress import SILENT, Observer
from ..recipe import Head
from ..storage import atomic_file, cache_folder, sha256_of_file
from .parity import check_parity, compared

_LITERT, _KERAS, _DESCRIPTION = "trunk.tflite", "trunk.keras", "trunk.json"
_PROBES = 2
#: Constants take a quarter of the time of a SavedModel on the way, and 1.6 times the memory: of
#: ConvNeXtBase, with 88 million, 5.5 GB instead of 3.4. Larger networks go the slower way.
_MANY_PARAMETERS = 60_000_000


@dataclass(frozen=True)
class ConvertedTrunk:
    """A trunk, image -> features, as the files that bundles are made of without Keras.

    Attributes:
        folder: Where they are.
        files: SHA-256 by file name, hexadecimal.
        parity: How ``trunk`` (LiteRT) and ``keras`` compare with the model they were made of
            (:func:`check_parity`); empty for an int8 version, which computes something else.
        seconds: How long LiteRT's file took to make on this machine.
    """

    folder: Path
    files: Mapping[str, str]
    parity: Mapping[str, Any]
    seconds: float

    @property
    def litert_file(self) -> Path:
        """For LiteRT."""
        return self.folder / _LITERT

    @property
    def keras_file(self) -> Path:
        """For Keras; not there for an int8 version."""
        return self.folder / _KERAS


def convert(model: Any, target: Path, calibration: Sequence[NDArray[np.uint8]] = ()) -> None:
    """Write a Keras model as a LiteRT file with a dynamic batch dimension.

    Args:
        model: Takes float32 and gives float32.
        target: The file.
        calibration: Images, uint8 (height, width, 3), whose activations give the ranges of an
            int8 version; without them the file computes in float32.
    """
    tf = tensorflow()
    if model.count_params() > _MANY_PARAMETERS:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
    else:
        converter = _of_constants(model)
    if len(calibration):

        def images() -> Iterator[list[NDArray[np.float32]]]:
            for image in calibration:
                yield [image[np.newaxis].astype(np.float32)]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = images
    _write(converter, target)


def _of_constants(model: Any) -> Any:
    """A converter of a traced function whose weights are constants; no SavedModel is written."""
    tf, (image,) = tensorflow(), model.inputs
    function = tf.function(
        lambda inputs: model(inputs, training=False),
        input_signature=[tf.TensorSpec(image.shape, tf.float32, image.name)],
        autograph=False,
    )
    with quiet():
        return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])


def convert_saved_model(folder: Path, target: Path) -> None:
    """Write a SavedModel as a LiteRT file, with its signatures.

    Args:
        folder: The SavedModel.
        target: The file.
    """
    _write(tensorflow().lite.TFLiteConverter.from_saved_model(str(folder)), target)


def _write(converter: Any, target: Path) -> None:
    # It prints, too, where sys.stdout is not the process's (notebooks).
    with quiet(), redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = converter.convert()
    with atomic_file(target) as draft:
        draft.write_bytes(content)


def converted_trunk(
    name: str,
    build: Callable[[], Any],
    observer: Observer = SILENT,
    calibration: Sequence[NDArray[np.uint8]] = (),
) -> ConvertedTrunk:
    """The files of a frozen trunk, made and compared at most once per cache folder.

    A damaged entry is made again.

    Args:
        name: Holds all that decides the trunk; an entry's name holds what decides the conversion
            too, so that it never goes stale.
        build: Gives the trunk's Keras model, when it is needed.
        calibration: As for :func:`convert`.

    Raises:
        OutputError: the cache folder cannot be written.
        TrainingError: a file does not compute what the model computes.
    """
    folder = _folder(name, calibration)
    trunk = _intact(folder)
    if trunk is None:
        backbone = name.split("-", 1)[0]
        observer.note(f"Preparing {backbone} for this machine: some seconds, once ...")
        with observer.task(f"Preparing {backbone}"), cache.entry(folder) as draft:
            trunk = _convert_trunk(build(), draft, calibration)
    else:
        cache.use(folder)
    return dataclasses.replace(trunk, folder=folder)


def is_converted(name: str) -> bool:
    """Whether a trunk's files are there, intact or not."""
    return _folder(name).is_dir()


def noise(model: Any, count: int = _PROBES) -> NDArray[np.uint8]:
    """Images that a model can be compared on, always the same; shape (count, height, width, 3)."""
    shape = (count, *model.input.shape[1:])
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _folder(name: str, calibration: Sequence[NDArray[np.uint8]] = ()) -> Path:
    name = f"{name}-{versions()}"
    if len(calibration):
        pixels = hashlib.sha256(b"".join(image.tobytes() for image in calibration))
        name += f"-int8-{pixels.hexdigest()[:16]}"
    return cache_folder() / "trunks" / name


def _convert_trunk(
    model: Any, folder: Path, calibration: Sequence[NDArray[np.uint8]]
) -> ConvertedTrunk:
    started = time.perf_counter()
    convert(model, folder / _LITERT, calibration)
    seconds = round(time.perf_counter() - started, 3)
    parity = {}
    if not len(calibration):
        with quiet():
            model.save(folder / _KERAS)
        parity["trunk"] = check_parity(in_keras(model), folder / _LITERT, noise(model))
        parity["keras"] = _check_archive(model, folder / _KERAS)
    files = {file.name: sha256_of_file(file) for file in folder.iterdir()}
    described = {"files": files, "parity": parity, "seconds": seconds}
    (folder / _DESCRIPTION).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return ConvertedTrunk(folder, files, parity, seconds)


def _check_archive(model: Any, trunk_file: Path) -> dict[str, Any]:
    """Check that this Keras reads the classifiers that are made of the trunk's file without it.

    Raises:
        TrainingError: what it reads does not compute what trunk and head compute.
    """
    layers = head_layers(Head(units=(8,)), 3)
    features = in_keras(model)(noise(model).astype(np.float32))
    head = HeadModel(layers, initial_weights(layers, features))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / trunk_file.name
        write_classifier(trunk_file, head, file)
        classifier = keras().saving.load_model(file, compile=False)
    received = in_keras(classifier)(noise(model).astype(np.float32))
    return compared(head(features), received, "model.keras")


def in_keras(model: Any) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A Keras model as a function from arrays to arrays."""
    return lambda inputs: np.asarray(model(inputs, training=False))


def _intact(folder: Path) -> ConvertedTrunk | None:
    """What is kept, if it is what was written."""
    try:
        described = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
        files, parity, seconds = (described[name] for name in ("files", "parity", "seconds"))
        trunk = ConvertedTrunk(folder, dict(files), parity, float(seconds))
        damaged = (sha256_of_file(folder / file) != sha for file, sha in trunk.files.items())
        return None if any(damaged) else trunk
    except (OSError, ValueError, KeyError, TypeError):
        return None


def versions() -> str:
    """What else decides a converted file: who built and converted it, without importing them."""
    return f"{__version__}-tf{version('tensorflow')}-k{version('keras')}"
