"""Exports of a bundle, one module per format, and the table of them.

Every exporter takes a bundle and a path that does not exist yet and writes one file or folder
there; :func:`export` adds the labels beside it and proves that the result computes the same.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle, write_labels
from ..engines.litert import LiteRTEngine
from ..engines.parity import TOLERANCE
from ..errors import OutputError, UsageError, nearest
from ..storage import atomic_folder

#: Images of noise are enough to tell two functions apart; photos are in the tests.
_PROBES = 4
#: Says what the exported model takes; also what makes a folder one that may be replaced.
_DESCRIPTION = "input.json"


@dataclass(frozen=True)
class Format:
    """One export format.

    Attributes:
        name: What ``--format`` takes.
        module: The module here that has ``write(bundle, target)`` and ``run(target, images)``.
        artifact: Name of the file or folder that is written.
        summary: What it is for, in a few words.
        usage: Python code that runs the artifact, without cnntransfer.
    """

    name: str
    module: str
    artifact: str
    summary: str
    usage: str


FORMATS = {
    row.name: row
    for row in (
        Format(
            "saved_model",
            "saved_model",
            "saved_model",
            "TensorFlow SavedModel, for TF Serving and plain TensorFlow",
            "tf.saved_model.load('{path}').signatures['serving_default'](image=images)",
        ),
        Format(
            "keras",
            "keras_file",
            "model.keras",
            "Keras' own file, to load, inspect and train on",
            "keras.saving.load_model('{path}').predict(images)",
        ),
        Format(
            "litert",
            "litert",
            "model.tflite",
            "LiteRT (TensorFlow Lite), for phones, browsers and small machines",
            "ai_edge_litert.interpreter.Interpreter('{path}')",
        ),
    )
}


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        format: The format's name.
        folder: The folder that holds all of it.
        artifact: The model's file or folder in it.
        bytes: Size of the artifact.
        largest_difference: From ``predict``, over all probabilities of the probes.
        usage: Python code that runs the artifact on ``images``.
    """

    format: str
    folder: Path
    artifact: Path
    bytes: int
    largest_difference: float
    usage: str

    def to_dict(self) -> dict[str, Any]:
        """The values as plain ones."""
        values = dataclasses.asdict(self)
        return {**values, "folder": str(self.folder), "artifact": str(self.artifact)}


def get_format(name: str) -> Format:
    """The row of a format.

    Raises:
        UsageError: there is no such format.
    """
    if name not in FORMATS:
        raise UsageError(
            f"--format: expected one of: {', '.join(FORMATS)}. Received: {name!r}."
            f"{nearest(name, FORMATS)}"
        )
    return FORMATS[name]


def export(bundle: Bundle, name: str, output: Path, *, overwrite: bool = False) -> Export:
    """Export a bundle and check that the result computes what ``predict`` computes.

    Args:
        bundle: What to export.
        name: A name in :data:`FORMATS`.
        output: Folder to write: the artifact, ``labels.txt`` and ``input.json``.
        overwrite: Whether an existing folder may be replaced.

    Raises:
        UsageError: there is no such format.
        OutputError: the folder exists or cannot be written, or the result computes otherwise.
        BundleError: the bundle is damaged.
    """
    row = get_format(name)
    exporter = importlib.import_module(f".{row.module}", __name__)
    bundle.check_checksums()
    with atomic_folder(output, overwrite=overwrite, marker=_DESCRIPTION) as draft:
        artifact = draft / row.artifact
        exporter.write(bundle, artifact)
        difference = _largest_difference(bundle, exporter, artifact)
        if not difference <= TOLERANCE:
            raise OutputError(
                f"Expected the exported {name} to compute what the bundle computes, to "
                f"{TOLERANCE:g}. Received: a difference of {difference:.2g}; nothing was "
                "written. This is a bug; please report it with the bundle's recipe."
            )
        write_labels(draft / "labels.txt", bundle.class_names)
        described = {
            key: bundle.metadata[key] for key in ("input", "output", "backbone", "weights")
        }
        (draft / _DESCRIPTION).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        size = sum(f.stat().st_size for f in (artifact, *artifact.rglob("*")) if f.is_file())
    final = output / row.artifact
    return Export(name, output, final, size, difference, row.usage.format(path=final))


def _largest_difference(bundle: Bundle, exporter: Any, artifact: Path) -> float:
    shape = (_PROBES, *bundle.input_spec.image_size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    engine = LiteRTEngine(bundle.litert_files)
    expected = np.stack([engine.run(image).probabilities for image in images])
    return float(np.abs(exporter.run(artifact, images) - expected).max())
