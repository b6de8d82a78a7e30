"""Training in stages: each is data (:class:`cnntransfer.recipe.Stage`), and all go the same way.

A stage whose trunk is frozen fits the head on cached features; a stage that unfreezes layers
fits the whole classifier on pixels. Either stops when the validation loss no longer falls and
keeps the best weights it saw; a stage that ends with a higher validation loss than it began
with is undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..data.augment import Augmenter
from ..data.dataset import Dataset, Pixels
from ..errors import TrainingError, UsageError, counted
from ..frameworks import keras
from ..models.backbones import Backbone
from ..models.classifier import (
    Trunk,
    build_classifier,
    build_head,
    copy_weights,
    head_layers,
    set_trainable,
    standardise,
    weights_digest,
)
from ..progress import SILENT, Observer
from ..recipe import Recipe
from .features import Features
from .fit import fit
from .sources import FeatureSource, PixelSource, Source


@dataclass(frozen=True)
class TrainingData:
    """Everything a stage may learn from.

    Attributes:
        dataset: Samples with subsets.
        pixels: Their images, by the same positions.
        features: The frozen trunk's output for the training views and the validation images.
        augmenter: Makes views.
    """

    dataset: Dataset
    pixels: Pixels
    features: Features
    augmenter: Augmenter


@dataclass(frozen=True)
class Trained:
    """What training gave.

    Attributes:
        head: Keras model, features (batch, d) -> probabilities (batch, classes).
        classifier: Keras model, image -> probabilities, with the same head.
        trunk_changed: Whether weights of the backbone are not what they were.
        history: One row per epoch and stage, see :data:`cnntransfer.training.fit.HISTORY_COLUMNS`.
    """

    head: Any
    classifier: Any
    trunk_changed: bool
    history: tuple[Mapping[str, Any], ...]


def check_stages(recipe: Recipe, backbone: Backbone) -> None:
    """Check what only the backbone can tell about the stages.

    Raises:
        UsageError: an unknown block, or a frozen stage after one that unfreezes.
    """
    unfrozen = ""
    for stage in recipe.stages:
        if backbone.cut(stage.unfreeze):
            unfrozen = stage.name
        elif unfrozen:
            raise UsageError(
                f"stages: expected stages with a frozen trunk first. Received: {stage.name!r} "
                f"(unfreeze: none) after {unfrozen!r}. Change their order."
            )


def train(
    recipe: Recipe,
    backbone: Backbone,
    trunk: Trunk,
    data: TrainingData,
    observer: Observer = SILENT,
) -> Trained:
    """Run the recipe's stages one after another.

    Raises:
        TrainingError: the loss is no number, or a frozen weight moved.
    """
    set_random_seed = keras().utils.set_random_seed
    classes = len(data.dataset.class_names)
    set_random_seed(recipe.seed)
    head = build_head(head_layers(recipe.head, classes), data.features.values.shape[1])
    standardise(head.layers, data.features.of(data.dataset.subset("train")))
    # The classifier has a head of its own, so that every layer has one place in one graph.
    top = head_layers(recipe.head, classes)
    classifier = build_classifier(trunk, top)

    history: list[Mapping[str, Any]] = []
    trunk_before = trunk.digest
    for number, stage in enumerate(recipe.stages):
        set_random_seed((recipe.seed + number) % 2**32)
        top_layers = backbone.cut(stage.unfreeze)
        set_trainable(trunk, top_layers, train_batch_normalization=stage.train_batch_normalization)
        if top_layers and not any(layer.trainable_weights for layer in trunk.layers):
            observer.note(
                f"Stage {stage.name!r}: the top {counted(top_layers, 'layer')} of {backbone.name} "
                f"(unfreeze: {stage.unfreeze}) hold nothing to train; only the head will. "
                f"Try unfreeze: {backbone.blocks[0][0]}"
            )
        copy_weights(head.layers, top)
        training, validation = _sources(bool(top_layers), recipe, data)
        with frozen_guard(trunk):
            model = classifier if top_layers else head
            history += fit(model, stage, training, validation, observer)
        if top_layers:
            copy_weights(top, head.layers)
    copy_weights(head.layers, top)
    return Trained(head, classifier, trunk.digest != trunk_before, tuple(history))


@contextmanager
def frozen_guard(trunk: Trunk) -> Iterator[None]:
    """Check that no weight or statistic of a frozen trunk layer moves while the block runs.

    Raises:
        TrainingError: one moved. This is a bug, never the user's doing.
    """
    frozen = [layer for layer in trunk.layers if layer.weights and not layer.trainable]
    before = [weights_digest([layer]) for layer in frozen]
    yield
    after = [weights_digest([layer]) for layer in frozen]
    moved = [layer.name for layer, a, b in zip(frozen, before, after, strict=True) if a != b]
    if moved:
        raise TrainingError(
            "Expected frozen layers to stay as they were. Received: changed weights in "
            f"{', '.join(moved[:5])}. This is a bug; please report it with the recipe."
        )


def _sources(on_pixels: bool, recipe: Recipe, data: TrainingData) -> tuple[Source, Source]:
    """What a stage learns from and what it is stopped by."""
    sources: list[Source] = []
    for subset, seed in (("train", recipe.seed), ("val", None)):
        if on_pixels:
            sources.append(
                PixelSource(
                    data.pixels, data.dataset, subset, data.augmenter, recipe.batch_size, seed
                )
            )
        else:
            sources.append(
                FeatureSource(data.features, data.dataset, subset, recipe.batch_size, seed)
            )
    return sources[0], sources[1]
