"""A run: a recipe goes in, a bundle comes out."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..data.augment import Augmenter
from ..data.dataset import Dataset, Pixels, read_dataset
from ..data.images import InputSpec, Resize
from ..data.index import list_images
from ..data.remarks import remarks
from ..data.show import write_views
from ..data.split import split
from ..engines.litert import LiteRTEngine
from ..errors import OutputError, TrainingError, UsageError
from ..metrics import Evaluation, figures
from ..models.backbones import Backbone, get_backbone
from ..models.classifier import build_trunk, check_image_size
from ..models.conversion import convert, converted_trunk
from ..models.weights import find_weights
from ..progress import SILENT, Observer
from ..recipe import Recipe
from ..storage import atomic_folder, check_target
from .features import compute_features, views_of
from .record import describe, describe_data, write_tables
from .stages import Trained, TrainingData, check_stages, train

#: Largest difference of a probability between model.keras and the LiteRT files that is rounding.
PARITY_TOLERANCE = 1e-4
_PARITY_IMAGES = 16


@dataclass
class Clock:
    """Where the time of a run went, in seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a step."""
        started = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 3)


def run(
    recipe: Recipe,
    output: Path,
    *,
    overwrite: bool = False,
    show_input: Path | None = None,
    observer: Observer = SILENT,
) -> Bundle:
    """Train a classifier and write its bundle.

    Args:
        recipe: What to do; ``recipe.data`` names the images.
        output: The bundle's folder.
        overwrite: Whether an existing folder may be replaced.
        show_input: Folder to write what the network sees to, as pictures.
        observer: Hears of progress.

    Raises:
        CnnTransferError: one of its kinds; nothing is left at ``output`` then.
    """
    backbone, recipe = resolve(recipe)
    check_target(output, overwrite=overwrite, marker=Bundle.MARKER)
    _check_apart(output, recipe)
    if show_input:
        check_target(show_input, overwrite=False)
        _check_apart(show_input, recipe)
    clock = Clock()
    weights = find_weights(backbone, recipe.weights, seed=recipe.seed, observer=observer)
    spec = _input_spec(recipe)
    with clock.step("read images"):
        listing = list_images(Path(str(recipe.data)))
        dataset, pixels = read_dataset(listing, spec, observer)
        dataset = split(dataset, recipe.validation_split, recipe.test_split, recipe.split_seed)
    for remark in remarks(listing, dataset, recipe.batch_size):
        observer.note(remark)

    with clock.step("prepare the backbone"):
        trunk_file = converted_trunk(backbone, spec.image_size, recipe.pooling, weights, observer)
    with clock.step("compute features"):
        augmenter = Augmenter(recipe.augmentation, recipe.seed)
        views = 1 if recipe.augmentation.is_identity else recipe.views
        if show_input:
            write_views(dataset, pixels, augmenter, views, show_input)
        features = compute_features(
            trunk_file, dataset, pixels, views_of(dataset, views), augmenter, observer
        )
    with clock.step("train"):
        trunk = build_trunk(backbone, spec.image_size, recipe.pooling, weights)
        data = TrainingData(dataset, pixels, features, augmenter)
        trained = train(recipe, backbone, trunk, data, observer)

    with atomic_folder(output, overwrite=overwrite, marker=Bundle.MARKER) as draft:
        bundle = Bundle(draft)
        with clock.step("write the bundle"):
            trained.classifier.save(bundle.keras_file)
            convert(trained.head, bundle.head_file)
            if trained.trunk_changed:
                with observer.task("Converting the fine-tuned backbone"):
                    convert(trunk.model, bundle.trunk_file)
            else:
                bundle.trunk_file.write_bytes(trunk_file.read_bytes())
        with clock.step("evaluate"):
            held_out = dataset.subset("val", "test")
            if trained.trunk_changed:
                pairs = [(position, 0) for position in held_out]
                features = compute_features(
                    bundle.trunk_file, dataset, pixels, pairs, augmenter, observer
                )
            head = LiteRTEngine([bundle.head_file])
            rows = [head.run(vector).probabilities for vector in features.of(held_out)]
            probabilities = np.stack(rows)
            parity = _check_parity(trained, bundle, pixels, held_out, probabilities)
        metrics = _judge(dataset, held_out, probabilities)
        bundle.write_labels(dataset.class_names)
        bundle.write_recipe(recipe.to_yaml())
        write_tables(bundle, dataset, trained, held_out, probabilities)
        bundle.write_metadata(
            {
                **describe(backbone, weights, spec, len(dataset.class_names)),
                "dataset": describe_data(dataset, recipe.data),
                "metrics": {name: judged.to_dict() for name, judged in metrics.items()},
                "parity": parity,
                "seconds": clock.seconds,
            }
        )
    return Bundle.open(output)


def resolve(recipe: Recipe) -> tuple[Backbone, Recipe]:
    """Check what only the backbone can tell, and fill in what it decides.

    Raises:
        UsageError: no data, an unknown backbone or block, or too small an image size.
    """
    if recipe.data is None:
        raise UsageError(
            "Expected a folder with one sub-folder of images per class. Received: none. "
            "Try: cnntransfer finetune photos/"
        )
    backbone = get_backbone(recipe.backbone)
    size = recipe.image_size or (backbone.default_size, backbone.default_size)
    check_image_size(backbone, size)
    check_stages(recipe, backbone)
    resolved = dataclasses.replace(
        recipe,
        backbone=backbone.name,
        image_size=size,
        # A bundle's recipe repeats the run from any folder.
        data=str(Path(recipe.data).expanduser().absolute()),
        weights=_absolute(recipe.weights),
    )
    return backbone, resolved


def default_output(recipe: Recipe) -> Path:
    """``runs/DATA-BACKBONE``, with a number when that exists: nothing is overwritten."""
    data = Path(str(recipe.data))
    name = data.stem if data.is_file() else Path(os.path.normpath(data)).name
    name = f"{name or 'data'}-{recipe.backbone}"
    target, number = Path("runs") / name, 1
    while target.exists():
        number += 1
        target = Path("runs") / f"{name}-{number}"
    return target


def _absolute(weights: str) -> str:
    file = Path(weights).expanduser()
    return str(file.absolute()) if file.is_file() else weights


def _check_apart(folder: Path, recipe: Recipe) -> None:
    """The user's folder of images is only read: nothing is written into it or over it."""
    data, target = Path(str(recipe.data)).resolve(), folder.resolve()
    if data.is_dir() and (target.is_relative_to(data) or data.is_relative_to(target)):
        raise OutputError(
            f"Expected an output outside the folder of images, which is only read. Received: "
            f"{folder}. Choose another place with --output, such as ../{folder.name}"
        )


def _input_spec(recipe: Recipe) -> InputSpec:
    if recipe.image_size is None:
        raise UsageError("image_size: expected a size. Received: none.")
    return InputSpec(recipe.image_size, Resize(recipe.resize))


def _check_parity(
    trained: Trained,
    bundle: Bundle,
    pixels: Pixels,
    held_out: list[int],
    probabilities: NDArray[np.float32],
) -> Mapping[str, Any]:
    """Compare model.keras with the LiteRT files on held-out images.

    Raises:
        TrainingError: they differ by more than rounding.
    """
    chosen = held_out[:_PARITY_IMAGES]
    images = np.stack([pixels[position] for position in chosen]).astype(np.float32)
    # Called, not predict(): that would compile the network with XLA first.
    by_keras = np.asarray(trained.classifier(images, training=False))
    difference = float(np.abs(by_keras - probabilities[: len(chosen)]).max())
    if not difference <= PARITY_TOLERANCE:
        raise TrainingError(
            f"Expected the LiteRT files to compute what {bundle.keras_file.name} computes, to "
            f"{PARITY_TOLERANCE:g}. Received: a difference of {difference:.2g}. This is a bug; "
            "please report it with the recipe."
        )
    return {
        "largest_difference": difference,
        "tolerance": PARITY_TOLERANCE,
        "images": len(chosen),
    }


def _judge(
    dataset: Dataset, held_out: list[int], probabilities: NDArray[np.float32]
) -> dict[str, Evaluation]:
    labels = dataset.labels()[held_out]
    subsets = np.array([dataset.samples[position].subset for position in held_out])
    return {
        name: figures(dataset.class_names, labels[subsets == name], probabilities[subsets == name])
        for name in ("val", "test")
        if name in subsets
    }
