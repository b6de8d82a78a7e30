"""Where a backbone's pretrained weights are found, and whether a file fits.

Looked up in this order: a file the user names; the folders in ``CNNTRANSFER_WEIGHTS``; the
files inside this package; Keras' own cache; Keras' download. Nothing here but the download
imports Keras.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import threading
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import WeightsError
from ..frameworks import keras
from ..progress import SILENT, Observer
from ..storage import sha256_of_file
from .backbones import Backbone

FOLDERS_VARIABLE = "CNNTRANSFER_WEIGHTS"
OFFLINE_VARIABLE = "CNNTRANSFER_OFFLINE"

_ASSETS = Path(__file__).parent.parent / "assets"
#: SHA-256 of the weights inside the package; checked before they are used.
BUILT_IN = {
    "mobilenet_imagenet.weights.h5": (
        "323964e452aa6e9bb93118bfdd132fa0015bba2a14d3a9d324a71986be60e690"
    ),
    "mobilenet_v2_imagenet.weights.h5": (
        "803cc9a0e4321dda3a8546ecb947e163434d27f2c2b8b516cc6ac19e60deea3b"
    ),
}
#: Where Keras downloads from, and how long to wait before the network counts as closed.
_DOWNLOAD_HOST = "storage.googleapis.com"
_PATIENCE_SECONDS = 5.0
#: Parameters of the tops that are more than one dense layer from features to classes.
_LARGE_TOPS = {
    "vgg16": 123_642_856,
    "vgg19": 123_642_856,
    "mobilenet_v3_small": 1_615_848,
    "mobilenet_v3_large": 2_511_080,
}


@dataclass(frozen=True)
class WeightsFile:
    """A weights file that was found.

    Attributes:
        path: The file; ``None`` stands for random initial weights.
        source: ``given``, ``folder``, ``built-in``, ``keras cache``, ``download`` or ``random``.
        seed: Decides random initial weights.
    """

    path: Path | None
    source: str
    seed: int = 0

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file, hexadecimal; ``random-SEED`` without a file."""
        return sha256_of_file(self.path) if self.path else f"random-{self.seed}"


def find_weights(
    backbone: Backbone,
    choice: str = "auto",
    *,
    top: bool = False,
    seed: int = 0,
    observer: Observer = SILENT,
) -> WeightsFile:
    """The weights file that a backbone is to be loaded from.

    Args:
        backbone: The row of the backbone table.
        choice: ``auto`` to look it up, ``none`` for random weights, or a file.
        top: Whether the 1000-class top is needed too. A file with a top serves without, too.
        seed: Decides the random weights of ``none``.
        observer: Hears of a download.

    Raises:
        WeightsError: no file was found, or the one found does not fit the backbone.
    """
    if choice == "none":
        return WeightsFile(None, "random", seed)
    if choice != "auto":
        path = Path(choice).expanduser()
        if not path.is_file():
            raise WeightsError(
                "--weights: expected a weights file, 'auto' or 'none'. "
                f"Received: {choice!r}, {'a folder' if path.is_dir() else 'which does not exist'}."
            )
        check_fits(backbone, path, top=top)
        return WeightsFile(path.resolve(), "given")
    for found in candidates(backbone, top=top):
        check_fits(backbone, _existing(found), top=top)
        return found
    if not backbone.is_pretrained:
        raise WeightsError(
            f"Expected a network with pretrained weights. Received: {backbone.name}, which has "
            "none. Train it from random ones: cnntransfer finetune DATA --backbone "
            f"{backbone.name} --weights none"
        )
    return _download(backbone, top=top, observer=observer)


def candidates(backbone: Backbone, *, top: bool = False) -> Iterator[WeightsFile]:
    """The files on this machine that bear one of the backbone's file names, best first."""
    names = file_names(backbone, top=top)
    places = [(folder, "folder") for folder in weights_folders()]
    places += [(_ASSETS, "built-in"), (keras_cache(), "keras cache")]
    for folder, source in places:
        for name in names:
            if (folder / name).is_file():
                yield WeightsFile(folder / name, source)


def file_names(backbone: Backbone, *, top: bool) -> list[str]:
    """The names a backbone's weights go by: this project's and Keras' official ones."""
    with_top = [f"{backbone.name}_imagenet.weights.h5", backbone.official_top]
    without = [f"{backbone.name}_imagenet_notop.weights.h5", backbone.official_notop]
    names = with_top if top else without + with_top
    return [name for name in names if name]


def weights_folders() -> list[Path]:
    """The folders named in ``CNNTRANSFER_WEIGHTS``, separated as in ``PATH``."""
    value = os.environ.get(FOLDERS_VARIABLE, "")
    return [Path(part).expanduser() for part in value.split(os.pathsep) if part]


def keras_cache() -> Path:
    """The folder Keras downloads to."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def check_fits(backbone: Backbone, path: Path, *, top: bool = False) -> bool:
    """Check that a file holds this backbone's weights; returns whether it has a top.

    Raises:
        WeightsError: it is damaged, another network's, or lacks the top that is needed.
    """
    expected_digest = BUILT_IN.get(path.name) if path.parent == _ASSETS else None
    if expected_digest and sha256_of_file(path) != expected_digest:
        raise WeightsError(
            f"Expected {path} as it was published (SHA-256 {expected_digest[:12]}...). Received: "
            "a changed file. Install the package again: pip install --force-reinstall cnntransfer"
        )
    parameters = count_parameters(path)
    extra = parameters - backbone.parameters
    has_top = extra > 0
    if extra and not _is_top(backbone, extra):
        raise WeightsError(
            f"Expected weights of {backbone.name} ({backbone.parameters:,} parameters without "
            f"its top). Received: {path} with {parameters:,}. Choose the file that belongs to "
            "the backbone, or the backbone that belongs to the file."
        )
    if top and not has_top:
        raise WeightsError(
            f"Expected weights of {backbone.name} with its 1000-class top. Received: {path}, "
            f"which has none. Provide {backbone.official_top} instead."
        )
    return has_top


def _is_top(backbone: Backbone, parameters: int) -> bool:
    """Whether a top of some number of classes has so many parameters."""
    per_class = backbone.features + 1
    is_dense = parameters > 0 and parameters % per_class == 0
    return is_dense or parameters == _LARGE_TOPS.get(backbone.name)


def count_parameters(path: Path) -> int:
    """How many numbers a ``.h5`` weights file holds, without those of an optimiser.

    Raises:
        WeightsError: the file is no readable HDF5 file.
    """
    import h5py

    total = 0

    def visit(name: str, item: object) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            total += item.size

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"Expected a Keras weights file (.h5, HDF5). Received: {path}, which cannot be read "
            f"({reason}). Download or copy it again."
        ) from None
    return total


def load_weights(model, backbone: Backbone, file: WeightsFile) -> None:  # type: ignore[no-untyped-def]
    """Load a file into a headless or full model of the backbone.

    Args:
        model: What :meth:`Backbone.trunk` or :meth:`Backbone.full` built.
        backbone: Its row.
        file: A file that fits (:func:`check_fits`); random weights are left as they are.

    Raises:
        WeightsError: names or shapes in the file are not the model's.
    """
    if file.path is None:
        return
    has_top = check_fits(backbone, file.path)
    is_headless = model.count_params() == backbone.parameters
    try:
        if has_top and is_headless and _is_legacy(file.path):
            _load_by_order(model, backbone, file.path)
        else:
            # Keras' newer format finds layers by class and number: a top comes last and is
            # left unread.
            with warnings.catch_warnings():
                # Keras only warns of layers that the file does not hold.
                warnings.simplefilter("error", UserWarning)
                with _named_for_keras(file.path) as path:
                    model.load_weights(path)
    except (ValueError, KeyError, OSError, IndexError, UserWarning) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"Expected weights of {backbone.name}. Received: {file.path}, whose layers differ "
            f"({reason}). Choose the file that belongs to the backbone."
        ) from error


def _load_by_order(trunk, backbone: Backbone, path: Path) -> None:  # type: ignore[no-untyped-def]
    """Take the lower layers from an official file with a top, which Keras loads only whole."""
    size = backbone.default_size
    donor = backbone.full(keras().Input((size, size, 3)))
    with _named_for_keras(path) as named:
        donor.load_weights(named)
    ours = [layer for layer in trunk.layers if layer.weights]
    theirs = [layer for layer in donor.layers if layer.weights]
    for layer, source in zip(ours, theirs, strict=False):
        layer.set_weights(source.get_weights())


@contextlib.contextmanager
def _named_for_keras(path: Path) -> Iterator[Path]:
    """The file under a name by which Keras, which looks at the suffix, chooses the right loader."""
    suffix = ".h5" if _is_legacy(path) else ".weights.h5"
    if path.name.endswith(".weights.h5") == (suffix == ".weights.h5") and path.suffix == ".h5":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copyfile(path, Path(folder) / f"renamed{suffix}"))


def _is_legacy(path: Path) -> bool:
    """Whether a file is in Keras 2's layout, which official downloads still have."""
    import h5py

    with h5py.File(path, "r") as file:
        return "layer_names" in file.attrs or "model_weights" in file


def _existing(file: WeightsFile) -> Path:
    if file.path is None:
        raise WeightsError("Expected a weights file. Received: random weights.")
    return file.path


def _download(backbone: Backbone, *, top: bool, observer: Observer) -> WeightsFile:
    name = backbone.official_top if top else backbone.official_notop
    if not _network_is_open():
        looked = [*map(str, weights_folders()), "this package", str(keras_cache())]
        raise WeightsError(
            f"No ImageNet weights of {backbone.name} found, and the network cannot be reached. "
            f"Expected a file named {name} (or {file_names(backbone, top=top)[0]}). "
            f"Looked in: {', '.join(looked)}. "
            f"Put the file into a folder named in {FOLDERS_VARIABLE}, or give it to finetune with "
            f"--weights FILE. Built in and always there: mobilenet, mobilenet_v2."
        )
    observer.note(f"Downloading {name} with Keras ...")
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)
    try:
        # Keras draws its progress bar on stdout, which belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            build = getattr(keras().applications, backbone.constructor)
            build(weights="imagenet", include_top=top)
    except Exception as error:  # Keras wraps what urllib raises in a bare Exception.
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"Downloading {name} failed ({reason}). Try again, or give the file with "
            f"--weights FILE or in a folder named in {FOLDERS_VARIABLE}."
        ) from error
    finally:
        socket.setdefaulttimeout(previous)
    for found in candidates(backbone, top=top):
        return found
    raise WeightsError(
        f"Keras downloaded {name}, but it is not in {keras_cache()}. "
        "Give the file with --weights FILE."
    )


def _network_is_open() -> bool:
    """Whether the download host answers within seconds (a look-up alone can hang for minutes)."""
    if os.environ.get(OFFLINE_VARIABLE):
        return False
    if urllib.request.getproxies().get("https"):
        return True
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection((_DOWNLOAD_HOST, 443), timeout=_PATIENCE_SECONDS).close()
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)
    return answered.is_set()
