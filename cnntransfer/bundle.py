"""The bundle: the folder a run produces. The only module that knows the names of its files.

::

    model.keras       the trained classifier, for Keras (source of truth)
    trunk.tflite      LiteRT: image -> features      \\ the same function as model.keras,
    head.tflite       LiteRT: features -> probabilities /  checked when it is written
    labels.txt        class names, one per line, in the order of the output
    recipe.yaml       the full recipe
    metadata.json     input, versions, data, weights, figures, checksums
    history.csv       one row per epoch and stage
    splits.csv        file, label, subset, digest
    rejected.csv      file, reason
    predictions.csv   predictions of the held-out images
    suspects.csv      images whose label may be wrong, the most suspect first
    near_duplicates.csv  photos that are the same picture, by group
    novelty.npz       how far photos are from the training photos, and how far known ones are
    report.html       all of it to read, with photos: one page that needs nothing else
    MODEL_CARD.md     what whoever uses the classifier should know

Where they were asked for there are ``tensorboard/``, the history once more as event files, and
``learning_rates.csv`` and ``.png``, the loss by learning rate.
A bundle made of a bare pretrained network has ``model.keras``, ``model.tflite``, ``labels.txt``
and ``metadata.json`` only.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from .arrays import Form, read_arrays, write_arrays
from .data.fitting import InputSpec, Resize
from .errors import BundleError, UsageError
from .metadata_form import wrong_form
from .storage import sha256_of_file

if TYPE_CHECKING:
    from .recipe import Recipe

FORMAT_VERSION = 1

_METADATA = "metadata.json"
_KERAS = "model.keras"
_LITERT = "model.tflite"
_TRUNK = "trunk.tflite"
_HEAD = "head.tflite"
_LABELS = "labels.txt"
_RECIPE = "recipe.yaml"
_TENSORBOARD = "tensorboard"
_RATES_PLOT = "learning_rates.png"
#: Archives of NumPy's arrays. Zip has a checksum of its own for each.
_ARRAYS = {"novelty": "novelty.npz"}
_REPORT = "report.html"
_CARD = "MODEL_CARD.md"
_TABLES = {
    "history": "history.csv",
    "splits": "splits.csv",
    "rejected": "rejected.csv",
    "predictions": "predictions.csv",
    "suspects": "suspects.csv",
    "learning_rates": "learning_rates.csv",
    "near_duplicates": "near_duplicates.csv",
}
#: The files whose size and checksum are recorded.
_MODELS = (_KERAS, _LITERT, _TRUNK, _HEAD)


@dataclass(frozen=True)
class Bundle:
    """A folder with a classifier. :meth:`open` checks it; writing goes through :meth:`write_*`."""

    path: Path

    #: The file that says that a folder is a bundle.
    MARKER: ClassVar[str] = _METADATA

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Open a bundle for use.

        Raises:
            BundleError: the folder is no bundle, is of a newer format, lacks a file, or its
                metadata is not what this program writes.
        """
        bundle = cls(path)
        if not path.is_dir():
            raise BundleError(
                "Expected a bundle, a folder that 'cnntransfer finetune' wrote. "
                f"Received: {path}, {'a file' if path.exists() else 'which does not exist'}."
            )
        if not cls.is_at(path):
            raise BundleError(
                "Expected a bundle, a folder that 'cnntransfer finetune' wrote. "
                f"Received: {path}, a folder without {_METADATA}."
            )
        version = bundle.metadata.get("format_version")
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise BundleError(
                f"Expected a bundle of format version {FORMAT_VERSION} or lower. Received: {path} "
                f"of format version {version}. Upgrade: pip install --upgrade cnntransfer"
            )
        if reason := wrong_form(bundle.metadata):
            raise bundle._damaged(_METADATA, reason)
        bundle._check_sizes()
        _ = bundle.class_names, bundle.input_spec
        return bundle

    @staticmethod
    def is_at(path: Path) -> bool:
        """Whether a folder looks like a bundle, intact or not."""
        return (path / _METADATA).is_file()

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The content of ``metadata.json``."""
        try:
            content = json.loads((self.path / _METADATA).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged(_METADATA, _reason(error)) from None
        if not isinstance(content, dict):
            raise self._damaged(_METADATA, "no JSON object")
        return content

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the model's output."""
        try:
            text = (self.path / _LABELS).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(_LABELS, _reason(error)) from None
        names = tuple(text.removesuffix("\n").split("\n"))
        classes = self.metadata.get("output", {}).get("classes", len(names))
        if len(names) != classes:
            raise self._damaged(_LABELS, f"{len(names)} names for {classes} classes")
        return names

    @cached_property
    def input_spec(self) -> InputSpec:
        """The size of the images and how photos are fitted to it."""
        try:
            described = self.metadata["input"]
            size = (int(described["height"]), int(described["width"]))
            return InputSpec(size, Resize(described["resize"]))
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(_METADATA, f"input: {error}") from None

    @property
    def keras_file(self) -> Path:
        """The classifier for Keras."""
        return self.path / _KERAS

    @property
    def litert_files(self) -> list[Path]:
        """The LiteRT files to run one after another, the last giving probabilities."""
        whole = self.path / _LITERT
        return [whole] if whole.is_file() else [self.path / _TRUNK, self.path / _HEAD]

    @property
    def trunk_file(self) -> Path:
        """The LiteRT file from image to features."""
        return self.path / _TRUNK

    @property
    def head_file(self) -> Path:
        """The LiteRT file from features to probabilities."""
        return self.path / _HEAD

    @property
    def whole_litert_file(self) -> Path:
        """The LiteRT file from image to probabilities, where the network is not split."""
        return self.path / _LITERT

    @property
    def recipe_file(self) -> Path:
        """The recipe."""
        return self.path / _RECIPE

    @property
    def tensorboard_folder(self) -> Path:
        """The event files of TensorBoard, where the run was told to write them."""
        return self.path / _TENSORBOARD

    @property
    def rates_plot(self) -> Path:
        """The loss by learning rate, where a run looked for one."""
        return self.path / _RATES_PLOT

    @property
    def report_file(self) -> Path:
        """The report, one page of HTML."""
        return self.path / _REPORT

    @property
    def model_card_file(self) -> Path:
        """The model card, in Markdown."""
        return self.path / _CARD

    def has_table(self, name: str) -> bool:
        """Whether there is such a table; a bundle of a bare network has none."""
        return (self.path / _TABLES[name]).is_file()

    def read_table(self, name: str, *columns: str) -> list[dict[str, str]]:
        """The rows of a table, such as ``history`` or ``predictions``.

        Args:
            name: Which table.
            *columns: The columns that the caller reads.

        Raises:
            BundleError: the table is missing or damaged, or lacks one of the columns.
        """
        try:
            with (self.path / _TABLES[name]).open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file, restval="")
                there = reader.fieldnames or ()
                rows = list(reader)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise self._damaged(_TABLES[name], _reason(error)) from None
        if lacking := [column for column in columns if column not in there]:
            raise self._damaged(_TABLES[name], f"it has no column {lacking[0]!r}")
        return rows

    def has_arrays(self, name: str) -> bool:
        """Whether there are such arrays; older bundles and bare networks have none."""
        return (self.path / _ARRAYS[name]).is_file()

    def read_arrays(self, name: str, form: Form) -> dict[str, NDArray[Any]]:
        """Arrays such as ``novelty``; see :func:`cnntransfer.arrays.read_arrays`.

        Raises:
            BundleError: the file is missing or damaged, or its arrays are of another form.
        """
        try:
            return read_arrays(self.path / _ARRAYS[name], form)
        except (OSError, ValueError) as error:
            raise self._damaged(_ARRAYS[name], _reason(error)) from None

    def write_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the arrays that :meth:`read_arrays` reads."""
        write_arrays(self.path / _ARRAYS[name], arrays)

    def damaged_table(self, name: str, reason: str) -> BundleError:
        """The error to raise when what a table holds makes no sense."""
        return self._damaged(_TABLES[name], reason)

    def damaged_metadata(self, reason: str) -> BundleError:
        """The same of the metadata."""
        return self._damaged(_METADATA, reason)

    def write_labels(self, class_names: Iterable[str]) -> None:
        """Write the class names."""
        write_labels(self.path / _LABELS, class_names)

    def write_recipe(self, yaml_text: str) -> None:
        """Write the recipe."""
        self.recipe_file.write_text(yaml_text, encoding="utf-8")

    def write_table(
        self, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
    ) -> None:
        """Write one of the tables that :meth:`read_table` reads."""
        write_csv(self.path / _TABLES[name], columns, rows)

    def write_metadata(self, described: Mapping[str, Any]) -> None:
        """Write the metadata, last, with the sizes and checksums of the model files."""
        files = {
            name: {"bytes": file.stat().st_size, "sha256": sha256_of_file(file)}
            for name in _MODELS
            if (file := self.path / name).is_file()
        }
        content = {"format_version": FORMAT_VERSION, **described, "files": files}
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (self.path / _METADATA).write_text(text, encoding="utf-8", errors="backslashreplace")

    def check_checksums(self) -> None:
        """Read every model file and compare it with the recorded checksum.

        Raises:
            BundleError: a file is not what was written.
        """
        for name, recorded in self.metadata.get("files", {}).items():
            if sha256_of_file(self.path / name) != recorded["sha256"]:
                raise self._damaged(name, "its checksum differs from the recorded one")

    def load_keras(self) -> Any:
        """Load ``model.keras``, without compiling it.

        Raises:
            BundleError: the file is damaged.
        """
        from .frameworks import keras

        self.check_checksums()
        try:
            return keras().saving.load_model(self.keras_file, compile=False)
        except Exception as error:  # Zip, HDF5 and JSON each have their own.
            raise self._damaged(_KERAS, " ".join(str(error).split())[:160]) from error

    def recipe(self) -> Recipe:
        """The recipe of the run that wrote the bundle.

        Raises:
            BundleError: it is missing, as in a bundle of a bare network, or damaged.
        """
        from .recipe import read_recipe

        try:
            return read_recipe(self.recipe_file)
        except UsageError as error:
            raise BundleError(
                f"Expected a bundle with an intact recipe. Received: {self.path} ({error}) "
                "Copy it again."
            ) from None

    def graph(self) -> dict[str, Any]:
        """The graph in ``model.keras``, as Keras wrote it down; Keras is not imported.

        Raises:
            BundleError: the file is damaged.
        """
        import zipfile

        from .models.archive import read_graph

        try:
            return read_graph(self.keras_file)
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile, OSError) as error:
            raise self._damaged(_KERAS, _reason(error)) from None

    def _check_sizes(self) -> None:
        for name, row in self.metadata["files"].items():
            file, size = self.path / name, row["bytes"]
            if not file.is_file():
                raise self._damaged(name, "it is missing")
            if file.stat().st_size != size:
                raise self._damaged(name, f"{file.stat().st_size} bytes instead of {size}")

    def _damaged(self, name: str, reason: str) -> BundleError:
        return BundleError(
            f"Expected an intact bundle. Received: {self.path}, whose {name} is damaged ({reason})."
            " Copy it again, or repeat the run with: "
            f"cnntransfer finetune --config {self.recipe_file}"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as a CSV file with a header."""
    # File names may hold bytes that are no UTF-8; they are shown as \udcXX.
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_labels(path: Path, class_names: Iterable[str]) -> None:
    """Write class names, one per line."""
    path.write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
