"""A bare pretrained network as a bundle: the 1000 ImageNet classes, nothing trained.

Made once per backbone and weights, kept in the user's cache folder, and then opened like any
other bundle.
"""

from __future__ import annotations

import csv
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from .bundle import Bundle
from .data.fitting import InputSpec, Resize
from .errors import BundleError, UsageError, nearest
from .progress import SILENT, Observer
from .storage import cache_folder

# What a bundle's predictions do without is imported where it is used.
if TYPE_CHECKING:
    from .models.backbones import Backbone
    from .models.weights import WeightsFile

#: The backbone that answers when no model is named.
DEFAULT = "mobilenet"
_CLASSES = Path(__file__).parent / "assets" / "imagenet_classes.csv"


def open_model(name: str | Path, observer: Observer = SILENT) -> Bundle:
    """Open a bundle by its folder, or a pretrained network by its name.

    Raises:
        BundleError: it is neither.
        WeightsError: the network's weights with their top are not found.
    """
    backbone = named_network(name)
    if backbone is None:
        return Bundle.open(Path(name).expanduser())
    return pretrained(backbone, observer)


def named_network(name: str | Path) -> Backbone | None:
    """The network that a name stands for; ``None`` for a path, be anything there or not.

    A file or folder of a network's name comes first.

    Raises:
        BundleError: it is no path, and there is no network of that name.
    """
    path = Path(name).expanduser()
    if path.exists() or len(path.parts) != 1:
        return None
    from .models.backbones import BACKBONES, get_backbone

    try:
        return get_backbone(str(name))
    except UsageError:
        raise BundleError(
            "--model: expected a bundle, a folder that 'cnntransfer finetune' wrote, or the name "
            f"of a pretrained network. Received: {str(name)!r}, which is neither."
            f"{nearest(name, BACKBONES)}"
        ) from None


def pretrained(backbone: Backbone, observer: Observer = SILENT) -> Bundle:
    """The bundle of a network with its ImageNet top, made on first use.

    Raises:
        WeightsError: its weights with their top are not found.
        OutputError: the cache cannot be written.
    """
    from . import cache
    from .engines.conversion import versions
    from .models.weights import find_weights

    weights = find_weights(backbone, top=True, observer=observer)
    names = hashlib.sha256("\n".join(imagenet_classes()).encode()).hexdigest()
    key = f"{backbone.name}-{weights.digest[:16]}-{names[:8]}-{versions()}"
    folder = cache_folder() / "imagenet" / key
    try:
        bundle = Bundle.open(folder)
        cache.use(folder)
        return bundle
    except BundleError:  # Not there yet, or damaged.
        observer.note(f"Preparing {backbone.name} for this machine: some seconds, once ...")
        with observer.task(f"Preparing {backbone.name}"):
            _make(backbone, weights, folder)
        return Bundle.open(folder)


@functools.cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of the 1000 classes, in the order of Keras' outputs."""
    with _CLASSES.open(newline="", encoding="utf-8") as file:
        return tuple(row["name"] for row in csv.DictReader(file))


def _make(backbone: Backbone, weights: WeightsFile, folder: Path) -> None:
    from . import cache
    from .engines.conversion import convert
    from .frameworks import keras
    from .models.classifier import INPUT_NAME
    from .models.weights import load_weights
    from .training.record import describe

    side = backbone.default_size
    image = keras().Input((side, side, 3), name=INPUT_NAME, dtype="float32")
    model = backbone.full(image)
    load_weights(model, backbone, weights)
    # The centre crop is how these networks were trained and are judged.
    spec = InputSpec((side, side), Resize.CROP)
    with cache.entry(folder) as draft:
        bundle = Bundle(draft)
        model.save(bundle.keras_file)
        convert(model, bundle.whole_litert_file)
        bundle.write_labels(imagenet_classes())
        bundle.write_metadata(describe(backbone, weights, spec, len(imagenet_classes())))
